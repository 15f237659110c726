"""Promises of `json_objects`: objects are found whatever is around them, and no text takes long."""

import time
import unicodedata

import pytest

from fusion_cli.folding import normalized
from fusion_cli.json_objects import find_objects, texts_in

SECONDS = 5  # where all takes a tenth of one


def test_objects_are_found_between_prose_and_in_wrappings() -> None:
    """Each object is yielded, and after it those that are wrapped in it; what only begins like one is None."""
    text = 'So {it} is:\n```json\n{"a": [{"b": 1}]}\n``` and {"c": NaN} and {"d": oh}, {"e": "\n"}'
    assert list(find_objects(text)) == [{"a": [{"b": 1}]}, {"b": 1}, None, None, {"e": "\n"}]


HOSTILE = {
    "NaN at the end": '{"a":' * 400 + "[" + '{"a":1},' * 220_000 + "NaN",
    "Infinity at the end": '{"a":' * 400 + "[" + "1," * 900_000 + "-Infinity",
    "a huge integer at the end": '{"a":' * 400 + "[" + '{"a":1},' * 120_000 + "9" * 900_000,
    "huge integers": ('{"a":' + "9" * 100_000 + "}") * 20,
    "huge digits": '{"a":' * 400 + "9" * 1_800_000 + ".5",
    "too deep at the end": '{"a":' * 400 + "[" + '{"a":1},' * 220_000 + "[" * 5000,
    "a string without an end": '{"a":' * 400 + '"' + "\\n" * 900_000,
    "a key without an end": '{"a":{' * 400 + '"' + "\\u0041" * 300_000,
    "a wrong escape": '{"a":' * 400 + "[" + '"x",' * 450_000 + '"\\x"',
    "line breaks before it": "\n" * 180_000 + '{"x' * 3000,
    "braces": '{ "' * 600_000,
    "white space": ("{" + " " * 9999) * 180,
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_what_is_no_json_is_given_up(attack: str) -> None:
    """Wherever the fault stands, two megabytes are not read from each of their braces to that place."""
    started = time.process_time()
    assert not any(find_objects(HOSTILE[attack]))
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize("fault", ["NaN", "9" * 5000, "[" * 5000, '"', "oh"])
def test_an_object_behind_many_faults_is_found(fault: str) -> None:
    """A few thousand characters read in vain do not use up the patience that a text gets."""
    assert list(find_objects(f'{{"a": {fault} }}\n' * 20 + '{"b": "c"}'))[20:] in ([{"b": "c"}], [None, {"b": "c"}])


def test_texts_are_found_at_any_reasonable_depth() -> None:
    """Strings count, keys and numbers do not, and what is deeper than anybody nests is left out."""
    deep: object = "too deep"
    for _ in range(20):
        deep = [deep]
    assert list(texts_in({"key": ["a", {"b": "c"}, 1, None], "d": deep})) == ["a", "c"]


@pytest.mark.parametrize(
    "text", ["e\u0301 ﬁ ½", "हिन्दी में लिखा हुआ पाठ", "각", "Z\u0301\u0327" * 40, "—" * 99 + "。" * 99]
)
def test_characters_get_their_normal_form(text: str) -> None:
    """Accents, ligatures and rules of dashes are what Unicode makes of them."""
    assert normalized(text) == unicodedata.normalize("NFKC", text)


@pytest.mark.parametrize("heap", ["\u0301\u0327", "\u0f73\u0301", "\uff9e\u0301", "\u0301.\u0327", "\u0344\u0327"])
def test_heaps_of_accents_take_no_time(heap: str) -> None:
    """Two megabytes of accents on one letter are left out, not sorted; what stands around them stays."""
    text = heap[0] * 300_000 + heap * 300_000
    started = time.process_time()
    assert normalized(f"é {text} c").replace(".", "") == "é  c"
    assert time.process_time() - started < SECONDS
