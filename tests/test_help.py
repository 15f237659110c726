"""What every help text has: one sentence, an example that can be typed, and for the first of them a screen's length."""

import re

import pytest

from fusion_cli.option_groups import GROUPS
from tests.test_house import COMMANDS, SNAPSHOTS, fusion_calls

SCREEN_ROWS = 24


def test_the_first_help_fits_a_screen() -> None:
    """Somebody who asks `fusion --help` sees all of it, and the next prompt, without scrolling."""
    assert len((SNAPSHOTS / "fusion.txt").read_text("utf-8").splitlines()) < SCREEN_ROWS


@pytest.mark.parametrize("name", ["fusion ask", "fusion analyze", "fusion judge"])
def test_many_options_are_in_groups(name: str) -> None:
    """Each of them stands in one, and what is left over is the help's own option."""
    told = (SNAPSHOTS / f"{name.replace(' ', '-')}.txt").read_text("utf-8")
    sections = re.findall(r"^(\w[\w ]*):$", told, re.MULTILINE)
    assert sections == ["Arguments", "Question", "Models", "Work", "Time and money", "Output", "Options"]
    assert re.findall(r"^  -", told.partition("\nOptions:\n")[2], re.MULTILINE) == ["  -"]


def test_no_group_names_what_is_gone() -> None:
    """Each parameter in a group is one of a command, and in no other group."""
    named = [name for names in GROUPS.values() for name in names]
    declared = {each.name for command in COMMANDS.values() for each in command.params}
    assert len(set(named)) == len(named)
    assert set(named) <= declared


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
