"""Promises of what `fusion models` prints: readable at any width, exact in a pipe, and never a control character."""

from collections.abc import Sequence
from typing import Any

import pytest

from fusion_cli.api.catalogue import ListedModel
from fusion_cli.chat import Price
from fusion_cli.model_table import abilities, as_objects, as_rows, as_table, matching
from fusion_cli.run_list import width_of

GPT = ListedModel(
    "openai/gpt-5",
    "OpenAI: GPT-5",
    "",
    400_000,
    Price(1.25e-6, 1e-5),
    ("tools", "structured_outputs"),
    ("text", "image"),
)
LONG = ListedModel("some-laboratory/" + "a-model-with-a-long-name-" * 2 + "7b:free", "Long", "", 8192, Price(0, 0))
DEAR = ListedModel("z/dear", "深い", "", 1_050_000, Price(1.5e-4, 6e-4, 0.01), ("response_format",), ("text",))
UNKNOWN = ListedModel("lab/llama")
ALL = (GPT, LONG, DEAR, UNKNOWN)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ((), [UNKNOWN, GPT, LONG, DEAR]),
        (("GPT",), [GPT]),
        (("openai", "5"), [GPT]),
        (("openai 5",), [GPT]),
        (("深",), [DEAR]),
        (("gpt", "free"), []),
    ],
)
def test_every_word_has_to_be_there(words: Sequence[str], found: list[ListedModel]) -> None:
    """In the id or in the name, in any case; the ids are in order."""
    assert matching(ALL, words) == found


@pytest.mark.parametrize(
    ("model", "can"), [(GPT, (True, True, True)), (DEAR, (False, True, False)), (UNKNOWN, (None, None, None))]
)
def test_what_is_not_said_is_unknown(model: ListedModel, can: tuple[bool | None, ...]) -> None:
    """A list without parameters says nothing of them, and a format counts as structured output."""
    assert tuple(abilities(model)) == can


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140, 200])
def test_it_fits(width: int) -> None:
    """No line is wider than the screen, but for an id, which is of no use cut; and nothing is padded at its end."""
    for line in as_table(ALL, width):
        assert width_of(line) <= width or line == LONG.slug
        assert line == line.rstrip()


def test_at_80_columns_it_is_a_table() -> None:
    """Numbers stand below one another, and a long id has a line of its own above its values."""
    assert as_table(ALL, 80) == [
        "MODEL         CONTEXT   IN $/M  OUT $/M  CAN",
        "openai/gpt-5     400k    $1.25   $10.00  tools json image",
        LONG.slug,
        "                 8192    $0.00    $0.00",
        "z/dear          1.05M  $150.00  $600.00  json",
        "lab/llama           -        -        -",
    ]


def test_at_40_columns_a_model_has_two_lines() -> None:
    """What is unknown of it takes no room."""
    assert as_table((GPT, UNKNOWN), 40) == ["openai/gpt-5", "  400k  $1.25/$10.00  tools json image", "lab/llama"]


def test_a_wide_screen_has_names() -> None:
    """The name is last, and cut where it does not fit."""
    head, line, *_ = as_table((GPT._replace(name="n" * 300), LONG), 140)
    assert head.endswith("NAME")
    assert line.endswith("n…")
    assert width_of(line) == 140


def test_a_pipe_gets_values_between_tabs() -> None:
    """Numbers are plain, what can be had is yes or no, and what is unknown is empty."""
    assert as_rows(ALL)[::3] == [
        "openai/gpt-5\t400000\t1.25\t10\tyes\tyes\tyes\tOpenAI: GPT-5",
        "lab/llama\t\t\t\t\t\t\t",
    ]
    small = UNKNOWN._replace(price=Price(1e-12, 3e-7))
    assert as_rows([small])[0].split("\t")[2:4] == ["0.000001", "0.3"]


def test_json_has_null_for_what_is_unknown() -> None:
    """Every object has every key."""
    known, unknown = as_objects("openrouter", (DEAR, UNKNOWN))
    expected: dict[str, Any] = {
        "id": "z/dear",
        "provider": "openrouter",
        "name": "深い",
        "context_tokens": 1_050_000,
        "input_usd_per_million": 150.0,
        "output_usd_per_million": 600.0,
        "request_usd": 0.01,
        "tools": False,
        "structured_output": True,
        "images": False,
    }
    assert known == expected
    assert unknown == dict.fromkeys(expected) | {"id": "lab/llama", "provider": "openrouter"}


@pytest.mark.parametrize("width", [40, 80, 140])
def test_what_a_server_wrote_controls_nothing(width: int) -> None:
    """Escapes, tabs and line breaks in ids and names reach neither screen nor pipe."""
    hostile = ListedModel("a/\x1b[31mb\tc\nd\u202e", "\x1b]0;title\x07\x9b2J\te\nf", "", 8192, None, ("tools",))
    text = "\n".join(as_table([hostile], width))
    assert not set(text) & set("\x1b\x07\x9b\t\u202e")
    assert len(as_rows([hostile])[0].split("\t")) == 8
