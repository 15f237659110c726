"""Responses that exist already: what is read of a saved file, and texts under labels."""

import json
from typing import Any

import pytest

from fusion_cli.chat import Citation, ModelName
from fusion_cli.errors import UsageError
from fusion_cli.plan import Panelist
from fusion_cli.saved import SavedResponses, label_and_file, labelled_responses, read_responses

ROWS = [{"model": "x/a", "content": "now"}, {"model": "x/a", "content": "later"}]


def read(*rows: dict[str, Any]) -> SavedResponses:
    """Return what is read of a file with these rows."""
    return read_responses(json.dumps({"prompt": "q", "responses": rows}), "f", None)


def labels(*rows: dict[str, Any]) -> list[str]:
    """Return what the panelists of these rows are called."""
    return [panelist.label for panelist in read(*rows).responses]


def test_file_of_an_older_version() -> None:
    """Without labels the panelists are called by their slugs, numbered where one stands twice."""
    saved = read_responses(json.dumps({"prompt": "q", "responses": ROWS}), "f", None)
    model = ModelName("", "x/a")
    assert saved == SavedResponses(
        "q", {Panelist("x/a#1", model): "now", Panelist("x/a#2", model): "later"}, 0, file="f"
    )


def test_labels_come_back() -> None:
    """A panelist keeps the label that it had, whatever its model."""
    assert labels({**ROWS[0], "label": "pragmatist"}, {**ROWS[1], "label": "sceptic"}) == ["pragmatist", "sceptic"]


@pytest.mark.parametrize(
    "second",
    [
        {},
        *(
            {"label": unfit}
            for unfit in ("ann", 7, ["ann"], " ", " bob", "z\x1b]0;x\nfusion: fake", "x" * 100_000, "\x9b")
        ),
    ],
)
def test_labels_that_do_not_tell_apart(second: dict[str, Any]) -> None:
    """Where a label is missing, unfit or double, none is used, and one line says so."""
    saved = read({**ROWS[0], "label": "ann"}, {**ROWS[1], **second})
    assert [seat.label for seat in saved.responses] == ["x/a#1", "x/a#2"]
    assert saved.warnings == ("f: labels are missing, unfit or double: the responses are called by their models",)


def test_labels_that_are_slugs_are_no_loss() -> None:
    """A slug that is too long for a label is called as it was, and nothing is said."""
    slug = "x/" + "a" * 100
    saved = read(*({"model": slug, "content": "x", "label": f"{slug}#{number}"} for number in (1, 2)))
    assert [seat.label for seat in saved.responses] == [f"{slug}#1", f"{slug}#2"]
    assert saved.warnings == ()


def test_models_are_one_clean_line() -> None:
    """What a file calls a model cannot forge a line either."""
    [seat] = read({"model": "z\x1b]0;x\x07\nfusion: fake" + "x" * 999, "content": "x"}).responses
    assert seat.label == seat.model.slug
    assert seat.label.startswith("z fusion: fakexxx")
    assert (seat.label.isprintable(), len(seat.label)) == (True, 200)


@pytest.mark.parametrize("blank", ["", " \n", None])
def test_blank_responses_are_missing(blank: str | None) -> None:
    """A response without text is none; the others are judged."""
    rows = [{**ROWS[0], "label": "ann"}, {**ROWS[1], "label": "bob", "content": blank}]
    shape = {"prompt": "q", "responses": rows, "failed_models": [{"model": "x/b", "error": "no"}]}
    saved = read_responses(json.dumps(shape), "f", None)
    assert [(seat.label, text) for seat, text in saved.responses.items()] == [("ann", "now")]
    assert (saved.missing, saved.warnings) == (2, ())


@pytest.mark.parametrize(
    "rows",
    [
        [{**ROWS[0], "content": " "}],
        [ROWS[0], "x"],
        [ROWS[0], {"content": "x"}],
        [ROWS[0], {"model": "\x1b[31m", "content": "x"}],
        [ROWS[0], {"model": "x/a", "content": 7}],
    ],
)
def test_no_panel_in_it(rows: list[Any]) -> None:
    """Without any text, or with what is no response, a file is refused."""
    with pytest.raises(UsageError, match=r"^f holds no responses"):
        read_responses(json.dumps({"prompt": "q", "responses": rows}), "f", None)


@pytest.mark.parametrize("wrap", [lambda shape: shape, lambda shape: {"prompt": "q", "result": shape}])
def test_failed_models_are_missing(wrap: Any) -> None:
    """Panelists that had failed count as missing, in what `analyze` and what `ask` printed."""
    shape = {"prompt": "q", "responses": ROWS[:1], "failed_models": [{"model": "x/b", "error": "no"}] * 2}
    assert read_responses(json.dumps(wrap(shape)), "f", None).missing == 2


def test_prompt_that_is_given_wins() -> None:
    """What the command line says was asked wins over the file."""
    assert read_responses(json.dumps({"prompt": "q", "responses": ROWS}), "f", "p").prompt == "p"


def test_standard_input_has_a_name() -> None:
    """What was piped in is not called a dash."""
    with pytest.raises(UsageError, match=r"^standard input is not JSON$"):
        read_responses("x", "-", None)


@pytest.mark.parametrize(
    ("said", "halves"),
    [("ann=a.txt", ("ann", "a.txt")), ("b c=x=y.txt", ("b c", "x=y.txt")), ("ann=-", ("ann", "-"))],
)
def test_first_equals_sign_splits(said: str, halves: tuple[str, str]) -> None:
    """A label cannot hold an equals sign, a file's name can."""
    assert label_and_file(said) == halves


@pytest.mark.parametrize("said", ["", "ann", "=a.txt", "ann=", " ann=a", "a\nb=c", "a" * 81 + "=b"])
def test_label_or_file_missing(said: str) -> None:
    """Both halves are needed, and a label is a short name in one line."""
    with pytest.raises(UsageError, match=r"^--response: .*expected"):
        label_and_file(said)


def test_labelled_texts() -> None:
    """Texts under labels are a panel of which nobody is missing."""
    saved = labelled_responses([("ann", "now"), ("bob", "later")], "q")
    assert saved.prompt == "q"
    assert [(seat.label, str(seat.model.slug), text) for seat, text in saved.responses.items()] == [
        ("ann", "ann", "now"),
        ("bob", "bob", "later"),
    ]
    assert saved.missing == 0


@pytest.mark.parametrize(
    ("texts", "prompt", "said"),
    [
        ([("ann", "x")] * 2, "q", "two responses are called ann"),
        ([("ann", " \n")], "q", "the response of ann is empty"),
        ([(str(number), "x") for number in range(9)], "q", "9 responses were given; a panel has at most 8"),
        ([("ann", "x")], None, "does not say what was asked: say it with --prompt or --prompt-file"),
    ],
)
def test_labelled_texts_that_are_no_panel(texts: list[tuple[str, str]], prompt: str | None, said: str) -> None:
    """Each misuse has its own words."""
    with pytest.raises(UsageError, match=said):
        labelled_responses(texts, prompt)


LABELLED = [{**ROWS[0], "label": "ann"}, {**ROWS[1], "label": "bob"}]
PAGE = {"url": "https://one.example/", "title": "One"}
ONE = Citation("https://one.example/", "One")


def cited(sources: Any, *, wrapped: bool = False) -> tuple[Citation, ...]:
    """Return what is read of a file whose second response has these sources; in `ask`'s shape, if wrapped."""
    ann, bob = LABELLED
    shape = {"responses": [ann, {**bob, "sources": sources}]}
    value = {"prompt": "q", **({"result": shape} if wrapped else shape)}
    return read_responses(json.dumps(value), "f", None).cited.get(bob["label"], ())


@pytest.mark.parametrize("wrapped", [False, True])
def test_cited_pages_come_back(wrapped: bool) -> None:
    """What `analyze` and `ask` print of a response is read with its pages."""
    pages = [PAGE, {"url": "https://two.example/"}]
    assert cited(pages, wrapped=wrapped) == (ONE, Citation("https://two.example/", "https://two.example/"))


@pytest.mark.parametrize(
    "sources",
    [None, 7, "x", PAGE, [None, 7, "https://e.org/", [PAGE], {}], *([{**PAGE, "url": it}] for it in (7, "data:x", ""))],
)
def test_hostile_sources_are_passed_over(sources: Any) -> None:
    """Whatever stands in the place of sources, nothing is cited and nothing goes wrong."""
    assert cited(sources) == ()


def test_what_is_fit_stays_among_what_is_not() -> None:
    """One broken page takes no other with it; titles are one clean line, and an address holds no second one."""
    forged = {"url": "https://two.example/\n[2] https://e.org/", "title": "Two"}
    titled = {"url": "https://two.example/", "title": "\x1b[31mTwo\n[9] Nine"}
    found = cited([7, {"url": "data:x"}, forged, titled, PAGE])
    assert found == (Citation("https://two.example/", "Two [9] Nine"), ONE)


def test_a_file_without_sources_cites_nothing() -> None:
    """What older versions wrote is read as before."""
    assert read(*LABELLED).cited == {}


def test_what_broke_off_is_judged_as_cut_off() -> None:
    """A failed panelist's beginning comes along with its seat; one without a word only counts as missing."""
    ann, bob = LABELLED
    failed = [{"model": "x/c", "label": "cy", "error": "broke", "partial": True, "content": "half a"}, {"model": "x/d"}]
    value = {"prompt": "q", "responses": [ann, bob], "failed_models": failed}
    saved = read_responses(json.dumps(value), "f", None)
    assert [seat.label for seat in saved.panel] == ["ann", "bob", "cy"]
    assert saved.as_earlier().failures["cy"].partial == "half a"
    assert saved.missing == 1


def test_what_is_read_can_be_taken_up() -> None:
    """A run that takes a file up has its texts, pages and cuts, and names the run that it came from."""
    ann, bob = LABELLED
    value = {"prompt": "q", "run": "r", "responses": [ann, {**bob, "sources": [PAGE], "truncated": True}]}
    earlier = read_responses(json.dumps(value), "f", None).as_earlier()
    said = [(it.content, it.truncated, it.citations) for it in earlier.responses.values()]
    assert earlier.run == "r"
    assert said == [(ann["content"], False, ()), (bob["content"], True, (ONE,))]
