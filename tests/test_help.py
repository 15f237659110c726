"""What every help text has: one sentence, an example that can be typed, and for the first of them a screen's length."""

import re

import pytest

from tests.test_house import COMMANDS, SNAPSHOTS, fusion_calls

SCREEN_ROWS = 24


def test_the_first_help_fits_a_screen() -> None:
    """Somebody who asks `fusion --help` sees all of it, and the next prompt, without scrolling."""
    assert len((SNAPSHOTS / "fusion.txt").read_text("utf-8").splitlines()) < SCREEN_ROWS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_starts_with_a_sentence_and_has_an_example(name: str) -> None:
    """The first paragraph is one sentence of at most 80 characters, and an example of this very command follows."""
    told = COMMANDS[name].help or ""
    sentence = told.partition("\n")[0]
    assert re.fullmatch(r"[A-Z].{10,78}\.", sentence), sentence
    assert ". " not in sentence
    example = re.search(r"^Example: (.*)$", told, re.MULTILINE)
    assert example, "no example"
    path = name.split()[1:]
    assert path in [call[: len(path)] for call in fusion_calls(example[1])]
