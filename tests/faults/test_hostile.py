"""Faults 28, 29 and 36: text that is meant for the terminal, for its markup, or for the judge."""

import json
import re

import pytest

from tests.faults.behaviours import HOSTILE, MARKUP
from tests.faults.careless import PLANTED
from tests.faults.running import Faults, asking
from tests.faults.screen import Screen

# Colour, cursor, wrapping, clearing, and the other screen of a live view.
OURS = r"\x1b\[[0-9;]*m|\x1b\[\d*(?:;\d*)?[ABCDHKGJ]|\x1b\[\?(?:7|25|1049|2026)[hl]"
DANGER = set(map(chr, (*range(9), *range(11, 32), 127, *range(128, 160)))) | set("\u202e\u2066\u2067\u202d")


def alien(shown: str) -> set[str]:
    """Return the controls on a screen that are neither ours nor a line's end."""
    return set(re.sub(OURS, "", shown).replace("\r", "")) & DANGER


def test_fault_28_nothing_hostile_reaches_a_terminal(faults: Faults) -> None:
    """Escape codes of answers, errors, model names and judges, split over deltas or not, do not reach the screen."""
    panel = ("fault/hostile-400", "fault/hostile", "good/one")
    arguments = asking(*panel, judge="fault/judge-hostile", outer="fault/hostile")
    with Screen(faults, *arguments) as screen:
        assert screen.wait_for_the_end() == 0
    assert alien(screen.shown) == set()
    assert "link" in screen.shown
    assert "<U+202E>" in screen.shown
    for sign in ("owned", "evil", "+q6e", "\x1b[2J", "safe\x1b[31m"):
        assert sign not in screen.shown


def test_fault_28_analyses_are_as_clean(faults: Faults) -> None:
    """What a judge writes is cleaned before it is shown."""
    with Screen(faults, "analyze", "-p", "good/one,good/two", "-j", "fault/judge-hostile", "q") as screen:
        assert screen.wait_for_the_end() == 0
    assert alien(screen.shown) == set()
    assert "both agree" in screen.shown
    assert "owned" not in screen.shown


def test_fault_28_pipes_are_stripped_and_json_escapes(faults: Faults) -> None:
    """A pipe gets clean text, JSON has every character in its escape."""
    piped = faults.plain("good/one", outer="fault/hostile")
    assert piped.status == 0
    assert set(piped.stdout + piped.stderr) & DANGER == set()
    as_json = faults.ask("fault/hostile-400", outer="fault/hostile")
    assert as_json.run["answer"] == HOSTILE
    assert as_json.stdout.isascii()
    assert "\\u001b" in as_json.stdout
    assert set(as_json.stdout) & DANGER == set()


def test_fault_28_raw_is_for_pipes_alone(faults: Faults) -> None:
    """With `--raw` a pipe gets what the model wrote, and a terminal is as safe as ever."""
    piped = faults.plain("good/one", outer="fault/hostile", more=["--raw"])
    assert piped.status == 0
    assert piped.stdout.rstrip("\n") == HOSTILE
    with Screen(faults, *asking("good/one", outer="fault/hostile", more=["--raw"])) as screen:
        assert screen.wait_for_the_end() == 0
    assert alien(screen.shown) == set()


def test_fault_29_markup_is_shown_as_it_is(faults: Faults) -> None:
    """Brackets that rich would read, and fences without an end, are shown literally or not at all interpreted."""
    arguments = asking("fault/markup", "good/one", outer="fault/markup")
    with Screen(faults, *arguments) as screen:
        assert screen.wait_for_the_end() == 0
    assert "[red]not red[/red] [link=http://evil/]here[/link]" in " ".join(screen.shown.split())
    assert "[/nothing]" in screen.shown
    assert "\x1b]8;" not in screen.shown
    assert faults.plain("good/one", outer="fault/markup").stdout.strip() == MARKUP.strip()


@pytest.mark.parametrize("name", ["long-line", "deep-list"])
def test_fault_29_masses_of_text_are_shown_in_time(faults: Faults, name: str) -> None:
    """A line of 1 MB and a list of ten thousand levels take seconds on a terminal, not minutes."""
    with Screen(faults, *asking("good/one", outer=f"fault/{name}")) as screen:
        assert screen.wait_for_the_end() == 0
    assert screen.took_s < 20
    assert "MarkupError" not in screen.shown


@pytest.mark.parametrize("name", ["orders", "fake-judge", "fake-fence"])
def test_fault_36_injections_stay_data(faults: Faults, name: str) -> None:
    """What a panelist plants stands between fences that it could not guess, and is not taken for the judge's."""
    slug = f"fault/{name}"
    ran = faults.analyze(slug, "good/one", judge="fault/judge-once-bad")
    assert ran.status == 0
    assert PLANTED not in json.dumps(ran.run["analysis"])
    fences = set()
    for asked in ran.asked("judge"):
        read = asked["body"]["messages"][1]["content"]
        fences |= set(re.findall(r"^(=+\[\w{16,}\]) begin Response", read, re.MULTILINE))
        body = re.findall(r"begin Response \w\n(.*?)\n=+\[\w{16,}\] end Response", read, re.DOTALL)
        assert len(body) == 2
    assert len(fences) == 1
    [fence] = fences
    assert "0123456789abcdef" not in fence
    again = faults.analyze(slug, "good/one").asked("judge")[0]["body"]["messages"][1]["content"]
    assert fence not in again


def test_fault_36_judge_that_repeats_the_planted_is_not_believed(faults: Faults) -> None:
    """A judge's reply that is a panelist's ready-made analysis does not count as one."""
    ran = faults.analyze("fault/fake-judge", "good/one", judge="fault/judge-parrot")
    assert ran.status in (0, 3)
    assert PLANTED not in json.dumps(ran.run.get("analysis"))
