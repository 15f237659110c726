"""Promises of `second_look`: points that come back in other words are found, others are not, and the share is right."""

import time
from typing import Any

import pytest

from fusion_cli.results import Analysis
from fusion_cli.second_look import compare

EMPTY: dict[str, Any] = {
    "consensus": [],
    "contradictions": [],
    "partial_coverage": [],
    "unique_insights": [],
    "blind_spots": [],
}


def analysis(**sections: Any) -> Analysis:
    """Return an analysis of these sections alone."""
    return Analysis(**EMPTY | sections)


def contradiction(topic: str, **stances: str) -> dict[str, Any]:
    """Return a contradiction of these panelists."""
    return {"topic": topic, "stances": [{"model": name, "stance": text} for name, text in stances.items()]}


FULL = analysis(
    consensus=["SQLite is enough for one writer.", "Back-ups are needed every night."],
    contradictions=[contradiction("when to migrate", a="now, before the load grows", b="after the first incident")],
    partial_coverage=[{"models": ["a", "b"], "point": "Connection pools need a limit."}],
    unique_insights=[{"model": "a", "insight": "Write-ahead logging lets readers go on."}],
    blind_spots=["Nobody considers what deployment costs."],
)


def stable(first: Analysis, second: Analysis) -> list[str]:
    """Return the points of the first that come back."""
    return [point.where for point in compare(first, second).points if point.stable]


def test_an_analysis_agrees_with_itself() -> None:
    """Every point comes back, all are listed in order, and the second analysis is passed on."""
    look = compare(FULL, FULL)
    assert look.agreement == 1.0
    assert [(point.where, point.stable) for point in look.points] == [
        ("consensus[0]", True),
        ("consensus[1]", True),
        ("contradictions[0]", True),
        ("partial_coverage[0]", True),
        ("unique_insights[0]", True),
        ("blind_spots[0]", True),
    ]
    assert look.analysis is FULL


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SQLite is enough for one writer.", "For one writer, SQLite suffices."),
        ("SQLite is enough for one writer.", "**sqlite** IS ENOUGH"),
        ("Back-ups are needed every night.", "They need a nightly backup... every night, back-ups"),
        ("Logging lets readers continue", "Logs let a reader continue"),
        ("Cost", "Costs."),
        ("Go", "go!"),
        ("使用预写日志可以让读者继续工作", "预写日志让读者继续工作"),
        ("การสำรองข้อมูลทุกคืน", "สำรองข้อมูลทุกคืน"),
        ("Резервные копии нужны каждую ночь", "Нужны резервные копии"),
        ("👍", "👍"),
    ],
)
def test_a_point_in_similar_words_comes_back(one: str, other: str) -> None:
    """Order, case, endings and small words make no difference, in any script, and in either direction."""
    for first, second in ((one, other), (other, one)):
        assert stable(analysis(consensus=[first]), analysis(consensus=[second])) == ["consensus[0]"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SQLite is enough for one writer.", "SQLite has no server process to run."),
        ("SQLite", "SQLite needs nightly copies of its file"),
        ("They should be and have been", "Those would not have been there"),
        ("使用预写日志", "备份数据库文件"),
        ("👍", "👎"),
        ("It costs 5 dollars", "It needs 7 servers"),
    ],
)
def test_a_point_in_other_words_does_not(one: str, other: str) -> None:
    """One word in common, or small words alone, are not a match."""
    assert stable(analysis(consensus=[one]), analysis(consensus=[other])) == []


def test_points_are_matched_within_their_section() -> None:
    """What was agreed on at first and overlooked later has not come back."""
    look = compare(analysis(consensus=["Back-ups are needed."]), analysis(blind_spots=["Back-ups are needed."]))
    assert (look.agreement, [point.stable for point in look.points]) == (0.0, [False])


def test_an_insight_needs_its_panelist_and_partial_coverage_one_of_them() -> None:
    """The same words from somebody else are another point."""
    insight = {"model": "a", "insight": "Write-ahead logging helps."}
    partial = {"models": ["a", "b"], "point": "Pools need a limit."}
    first = analysis(unique_insights=[insight], partial_coverage=[partial])
    assert stable(first, analysis(unique_insights=[insight | {"model": "b"}])) == []
    assert stable(first, analysis(unique_insights=[insight])) == ["unique_insights[0]"]
    assert stable(first, analysis(partial_coverage=[partial | {"models": ["c"]}])) == []
    assert stable(first, analysis(partial_coverage=[partial | {"models": ["c", "b"]}])) == ["partial_coverage[0]"]


@pytest.mark.parametrize(
    ("other", "found"),
    [
        (contradiction("when they migrate", c="x", d="y"), True),
        (contradiction("timing", b="after a first incident", a="now, as load grows"), True),
        (contradiction("timing", a="after the first incident", b="now, before the load grows"), False),
        (contradiction("timing", a="now, before the load grows", c="after the first incident"), False),
        (contradiction("licence", a="free", b="paid"), False),
    ],
)
def test_contradictions_match_by_topic_or_by_what_the_same_panelists_hold(other: Any, found: bool) -> None:
    """A topic in other words is known by two panelists' stances, each by its own."""
    first = analysis(
        contradictions=[contradiction("when to migrate", a="now, before the load grows", b="after the first incident")]
    )
    assert stable(first, analysis(contradictions=[other])) == (["contradictions[0]"] if found else [])


def test_a_point_is_matched_once_and_with_the_most_similar() -> None:
    """Two points do not share one of the other analysis: the closer one has it."""
    first = analysis(consensus=["Nightly copies help", "Nightly copies of the database help"])
    second = analysis(consensus=["Nightly copies of the database help"])
    assert stable(first, second) == ["consensus[1]"]
    assert compare(first, second).agreement == 0.67
    assert stable(second, first) == ["consensus[0]"]
    assert compare(second, first).agreement == 0.67


def test_agreement_counts_the_points_of_both() -> None:
    """Three points of which one comes back among two: two of five."""
    first = analysis(consensus=["Alpha beta", "Gamma delta", "Epsilon zeta"])
    assert compare(first, analysis(consensus=["Beta alpha"], blind_spots=["Iota kappa"])).agreement == 0.4


def test_two_empty_analyses_agree() -> None:
    """There is nothing that one has and the other has not."""
    look = compare(analysis(), analysis())
    assert (look.agreement, look.points) == (1.0, [])


def test_long_lists_are_compared() -> None:
    """Fifty points of 300 words in two sections are compared in less than a second, and heaps of accents in none."""
    points = [" ".join(f"word{at * number % 997}" for number in range(300)) for at in range(50)]
    points[0] += "\u0301\u0327" * 90_000
    started = time.process_time()
    whole = analysis(consensus=points, blind_spots=points)
    assert 0 < compare(whole, analysis(consensus=points[::-1], blind_spots=points)).agreement <= 1
    assert time.process_time() - started < 5
