"""Fault 37: keys and signals, in every phase of a run, with and without a terminal."""

import re
import signal
from pathlib import Path

import pytest

from tests.faults.running import JUDGE, OUTER, Faults, asking
from tests.faults.screen import CTRL_C, HIDE, SHOW, Screen

PROMPTLY_S = 2.0  # promised are 0.3; a busy machine takes its time
PHASES = {
    "panel": (("fault/stops", "good/one"), JUDGE, OUTER),
    "judge": (("good/one", "good/two"), "fault/stops", OUTER),
    "outer": (("good/one", "good/two"), JUDGE, "fault/stops"),
}
HANGS = "fault/stops"


def hang_in(faults: Faults, phase: str) -> list[str]:
    """Return the arguments of a run that hangs in this phase."""
    panel, judge, outer = PHASES[phase]
    faults.reset()
    return asking(*panel, judge=judge, outer=outer)


def until_it_hangs(faults: Faults, screen: Screen) -> None:
    """Wait until the hanging model has been asked, and whoever answers has answered."""
    screen.wait_for("answered in", "✓")
    faults.wait_for(lambda rows: any(row["model"] == HANGS for row in rows))


def left_in_order(faults: Faults, screen: Screen) -> None:
    """The cursor is visible, nothing of a program's insides was shown, and the server has seen the connection close."""
    assert screen.shown.rfind(HIDE) <= screen.shown.rfind(SHOW)
    assert "CancelledError" not in screen.shown
    rows = faults.wait_for(lambda rows: all(row["outcome"] != "open" for row in rows))
    assert [row["outcome"] for row in rows if row["model"] == HANGS] == ["client_closed"]


@pytest.mark.parametrize("phase", PHASES)
def test_fault_37_ctrl_c_ends_the_run_in_any_phase(faults: Faults, phase: str) -> None:
    """Ctrl-C ends the run at once with 130, closes what was open, and says where the responses are."""
    with Screen(faults, *hang_in(faults, phase)) as screen:
        until_it_hangs(faults, screen)
        screen.press(CTRL_C)
        assert screen.wait_for_the_end() == 130
        assert screen.took_s < PROMPTLY_S
        left_in_order(faults, screen)
    assert re.search(r"fusion\s+(judge|ask\s+--resume)\s+\S+", screen.shown)


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_fault_37_other_signals_end_it_as_well(faults: Faults, signum: int, status: int) -> None:
    """SIGTERM and SIGHUP have their own status, and the same care."""
    with Screen(faults, *hang_in(faults, "panel")) as screen:
        until_it_hangs(faults, screen)
        screen.send(signum)
        assert screen.wait_for_the_end() == status
        assert screen.took_s < PROMPTLY_S
        left_in_order(faults, screen)
    assert re.search(r"fusion\s+(judge|ask\s+--resume)\s+\S+", screen.shown)


def test_fault_37_second_ctrl_c_ends_at_once(faults: Faults) -> None:
    """Whoever presses Ctrl-C twice in a row is not asked to wait."""
    with Screen(faults, *hang_in(faults, "panel")) as screen:
        until_it_hangs(faults, screen)
        screen.press(CTRL_C + CTRL_C)
        assert screen.wait_for_the_end() == 130
        assert screen.took_s < PROMPTLY_S
        left_in_order(faults, screen)


def test_fault_37_ctrl_c_before_anything_was_said(faults: Faults) -> None:
    """With nothing to keep, the end is as quick, and nothing is claimed to be kept."""
    faults.reset()
    with Screen(faults, *asking("fault/silent")) as screen:
        faults.wait_for(lambda rows: len(rows) == 1)
        screen.press(CTRL_C)
        assert screen.wait_for_the_end() == 130
        assert screen.took_s < PROMPTLY_S
    assert "are kept" not in screen.shown


def test_fault_37_resizing_changes_nothing(faults: Faults) -> None:
    """A terminal that changes its width during a run costs neither the run nor the answer."""
    faults.reset()
    with Screen(faults, *asking("fault/slow", "good/one")) as screen:
        screen.wait_for("answered in")
        for columns in (20, 200, 60):
            screen.resize(columns)
        assert screen.wait_for_the_end() == 0
    assert "SQLite: one file" in " ".join(screen.shown.split())
    assert "2 of 2 answered" in " ".join(screen.shown.split())


def test_fault_37_a_partial_response_is_kept(faults: Faults) -> None:
    """What a panelist had written by then is on disk, too."""
    with Screen(faults, *hang_in(faults, "panel")) as screen:
        until_it_hangs(faults, screen)
        screen.press(CTRL_C)
        assert screen.wait_for_the_end() == 130
    texts = [path.read_text("utf-8", "replace") for path in Path.home().rglob("*") if path.is_file()]
    assert any("This much" in text for text in texts)
