"""Promises of `sinks.analysis_view`: who disagrees with whom is seen at a glance, with colour and without."""

import re

import pytest

from fusion_cli.results import Analysis
from fusion_cli.sinks.analysis_view import Findings, analysis_view
from fusion_cli.sinks.drawing import Look
from fusion_cli.sinks.live.wrapping import cells
from tests.sinks.live_runs import ANALYSIS, CHECKED, LABELS
from tests.sinks.snapshots import the_same

EMPTY: dict[str, list[object]] = {key: [] for key in Analysis.model_fields}
COLOURS = dict(zip(LABELS, ("36", "35", "32"), strict=True))


@pytest.mark.parametrize("width", [40, 80, 200])
def test_every_width_as_reviewed(width: int) -> None:
    """A table where there is room, a list where there is none; every mark of the checks; as reviewed."""
    drawn = analysis_view(CHECKED, Look(width))
    assert max(map(cells, drawn.splitlines())) <= width
    the_same(f"analysis-{width}", drawn)


def test_ascii_alone() -> None:
    """Without UTF-8 all that is ours is ASCII, and dots can still be told apart."""
    plain = Analysis.model_validate(EMPTY | {"partial_coverage": [{"models": [LABELS[0]], "point": "p"}]})
    drawn = analysis_view(Findings(plain, LABELS), Look(140, is_ascii=True))
    assert drawn.isascii()
    assert drawn.splitlines()[-1].split() == ["*", ".", ".", "p"]


def test_a_panelist_has_one_colour() -> None:
    """In the table, the matrix and the insights the same."""
    drawn = analysis_view(Findings(ANALYSIS, LABELS), Look(160, has_colour=True))
    for label, code in COLOURS.items():
        assert drawn.count(f"\x1b[1;{code}m{label}") == 2 + (label != LABELS[1])
    assert f"\x1b[{COLOURS[LABELS[1]]}mFTS5 suffices." in drawn
    assert f"\x1b[{COLOURS[LABELS[2]]}mSTRICT tables catch mistakes." in drawn
    assert re.search(rf"\x1b\[{COLOURS[LABELS[0]]}m *●", drawn)


def test_who_is_silent_has_no_column() -> None:
    """A panelist that failed covers nothing, and is not shown as one who left a point out."""
    drawn = analysis_view(Findings(ANALYSIS, (*LABELS, "x/silent"), silent=frozenset({"x/silent"})), Look(200))
    assert "x/silent" not in drawn


@pytest.mark.parametrize("width", [20, 80])
def test_hostile_and_endless_texts(width: int) -> None:
    """Markup is text, escape codes are gone, a megabyte is cut, eight long names fit."""
    labels = tuple(f"作者/{'model' * 9}-{number}" for number in range(8))
    evil = "[bold]\x1b[31m\u202e[/x] " + "y" * 1_000_000
    hostile = Analysis.model_validate(
        {
            "consensus": [evil, ""],
            "contradictions": [{"topic": evil, "stances": [{"model": label, "stance": evil} for label in labels]}],
            "partial_coverage": [{"models": [labels[0], "\x1b[2Jwho"], "point": evil}],
            "unique_insights": [{"model": "\x1b[2Jwho", "insight": evil}],
            "blind_spots": ["a\nb"],
        }
    )
    drawn = analysis_view(Findings(hostile, labels), Look(width))
    assert "[bold]<U+202E>[/x]" in drawn.replace("\n  ", "").replace("\n", "")
    assert not set(drawn) & {"\x1b", "\u202e"}
    assert max(map(cells, drawn.splitlines())) <= width
    assert len(drawn) < 200_000


@pytest.mark.parametrize("width", [40, 80])
def test_points_and_topics_are_whole_beside_eight_panelists(width: int) -> None:
    """Dots move together before a point has no room, and what has no blank in it is broken instead of cut."""
    labels = [f"author/model-{number}" for number in range(8)]
    address = "https://example.org/" + "0123456789" * 9
    found = EMPTY | {
        "contradictions": [{"topic": address, "stances": [{"model": it, "stance": "s"} for it in labels[:2]]}],
        "partial_coverage": [{"models": labels[:1], "point": f"Back-ups are a file copy: {address}"}],
    }
    drawn = analysis_view(Findings(Analysis.model_validate(found), tuple(labels)), Look(width))
    assert "…" not in drawn
    assert [part.count("9") for part in drawn.split("Partial coverage")] == [9, 9]
    assert re.search(r"· +Back-ups are", drawn)


def test_an_empty_analysis_is_nothing() -> None:
    """Without findings there is no heading."""
    assert analysis_view(Findings(Analysis.model_validate(EMPTY), LABELS), Look(80)) == ""
