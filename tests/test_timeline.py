"""Promises of `timeline`: who waited, thought, searched and wrote, alike from events and from a journal's lines."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from fusion_cli import events, run_files
from fusion_cli.about import Watch
from fusion_cli.chat import Usage
from fusion_cli.timeline import Row, Timeline, rows_of
from tests.recording import happy, record
from tests.sinks.shown_runs import HAPPY


def lines(*told: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Return lines from times, types and fields."""
    return [{"t": t, "type": f"fusion_call.{kind}", **(more[0] if more else {})} for t, kind, *more in told]


def states(row: Row) -> list[tuple[Any, ...]]:
    """Return what somebody did."""
    return [tuple(segment) for segment in row.segments]


A, B = {"label": "a"}, {"label": "b"}
CREATED = (0, "created", {"model": "o"})


def test_a_panelist_waits_thinks_and_writes() -> None:
    """From when it is asked to when it has answered; text after text changes nothing."""
    [row] = rows_of(
        lines(
            *((1, "panel.added", A), (3, "panel.reasoning.delta", A), (4, "panel.reasoning.delta", A)),
            *((6, "panel.delta", A), (7, "panel.delta", A), (9, "panel.completed", A)),
        )
    )
    assert states(row) == [("waiting", 1, 3), ("thinking", 3, 6), ("writing", 6, 9)]
    assert (row.role, row.label, row.failed, row.seconds("thinking")) == ("panel", "a", False, 3)


def test_a_search_is_told_apart() -> None:
    """While a tool call is carried out, its panelist searches; then it waits again."""
    [row] = rows_of(
        lines(
            (0, "panel.added", A),
            (2, "panel.tool_call", {**A, "status": "started"}),
            (5, "panel.tool_call", {**A, "status": "completed"}),
            (6, "panel.delta", A),
            (7, "panel.failed", A),
        )
    )
    assert states(row) == [("waiting", 0, 2), ("searching", 2, 5), ("waiting", 5, 6), ("writing", 6, 7)]
    assert row.failed


def test_a_call_that_is_tried_again_waits() -> None:
    """Only the one whose call it is."""
    rows = rows_of(
        lines(
            *((0, "panel.added", A), (0, "panel.added", B), (1, "panel.delta", A), (1, "panel.delta", B)),
            (2, "call.retried", {**A, "role": "panel"}),
            *((4, "panel.completed", A), (4, "panel.completed", B)),
        )
    )
    assert [states(row)[-1] for row in rows] == [("waiting", 2, 4), ("writing", 1, 4)]


def test_judge_and_answer_follow_the_panel() -> None:
    """The outer model's first turn is its own, then it rests until the analysis is there."""
    rows = rows_of(
        lines(
            *(CREATED, (1, "outer.delta"), (2, "outer.discarded"), (2, "in_progress"), (2, "panel.added", A)),
            *((3, "panel.completed", A), (3, "analysis.in_progress", {"model": "j"})),
            *((4, "analysis.delta", {"text_chars": 0, "reasoning_chars": 9}), (5, "analysis.delta", {"text_chars": 1})),
            *((6, "analysis.completed"), (8, "answer.delta"), (9, "answer.completed"), (9, "completed"), (9, "ended")),
        )
    )
    assert [(row.role, row.label) for row in rows] == [("panel", "a"), ("judge", "j"), ("answer", "o")]
    assert states(rows[1]) == [("waiting", 3, 4), ("thinking", 4, 5), ("writing", 5, 6)]
    assert states(rows[2])[-2:] == [("waiting", 6, 8), ("writing", 8, 9)]
    assert not any(row.failed for row in rows)


@pytest.mark.parametrize("wrote", [False, True])
def test_an_answer_that_failed_has_its_row(wrote: bool) -> None:
    """Also where not a word of it came; the failed call of somebody else is none of its."""
    failed = {"error": "no", "role": "outer"}
    told: list[tuple[Any, ...]] = [CREATED, (1, "in_progress"), (1, "panel.added", A), (3, "panel.failed", A)]
    told += [(3, "call.completed", {**failed, "role": "panel"}), *([(5, "answer.delta")] if wrote else [])]
    row = rows_of(lines(*told, (7, "call.completed", failed), (9, "ended")))[-1]
    assert states(row) == ([("waiting", 3, 5), ("writing", 5, 7)] if wrote else [("waiting", 3, 7)])
    assert (row.role, row.label, row.failed) == ("answer", "o", True)


def test_what_was_cut_short_ends_with_the_run() -> None:
    """Killed or cancelled, who had not ended has failed."""
    rows = rows_of(lines(CREATED, (1, "panel.added", A), (2, "panel.delta", A), (5, "warning")))
    assert states(rows[0]) == [("waiting", 1, 2), ("writing", 2, 5)]
    assert rows[0].failed


def test_what_an_earlier_run_brought_takes_no_time() -> None:
    """Neither its responses nor its analysis have a row."""
    earlier = {"from_run": "x"}
    assert rows_of(lines((0, "panel.completed", A | earlier), (0, "analysis.completed", earlier))) == ()


@pytest.mark.parametrize("t", [None, "1", -1, float("nan"), float("inf"), 1e300, [], True])
def test_damaged_lines_do_no_harm(t: Any) -> None:
    """What a time is not, and types that nobody knows, are passed over."""
    timeline = Timeline()
    for kind in ("panel.added", "panel.delta", None, 7):
        timeline.take({"type": kind, "t": t, "label": ["x"]})
    timeline.end(1.0)
    assert all(0 <= segment.start <= segment.end <= 1 for row in timeline.rows() for segment in row.segments)


def test_a_journal_tells_what_the_events_told(tmp_path: Path) -> None:
    """The same rows in the same order, whoever reads them."""
    path = record(tmp_path, happy()).path
    rows = rows_of(run_files.lines(path))
    assert {(row.role, row.label) for row in rows} <= {("panel", "a"), ("panel", "b"), ("judge", "j"), ("answer", "o")}
    assert not any(row.failed for row in rows)


def test_a_journal_knows_who_thought(tmp_path: Path) -> None:
    """When a panelist began to think is in its file, what it thought is not."""
    from fusion_cli.choices import Choices
    from fusion_cli.sinks.journal import Journal
    from tests.story.scripted import plan

    journal = Journal(tmp_path, "ask", plan(), Choices(), None, lambda said: None)
    for event in (
        events.PanelAdded("a", "a"),
        events.PanelDelta("a", "", "secret thought"),
        events.PanelDelta("a", "", "more of it"),
        events.PanelCompleted("a", "a", "now", 1.0, Usage(), truncated=False),
    ):
        journal(event)
    journal.close()
    thoughts = [line for line in run_files.lines(journal.path) if line["type"].endswith("panel.reasoning.delta")]
    assert [(line["label"], line["text"]) for line in thoughts] == [("a", "")]
    assert "secret" not in json.dumps(list(run_files.lines(journal.path)))


class TestWatch:
    """The sink."""

    def test_it_keeps_what_is_unfinished(self) -> None:
        """The beginning of an answer, but not words before a tool call, nor an answer that is whole."""
        watch = Watch("o")
        watch(events.OuterDelta("let me ask"))
        watch(events.OuterDiscarded())
        watch(events.AnswerDelta("It "))
        watch(events.AnswerDelta("dep"))
        assert watch.unfinished == "It dep"
        watch(events.AnswerCompleted("It depends"))
        assert watch.unfinished == ""

    def test_it_sees_who_was_there(self) -> None:
        """By the events as they come; who has not answered when the run ends has failed."""
        watch = Watch("o")
        watch(events.PanelAdded("a", "a"))
        time.sleep(0.01)
        watch(events.PanelDelta("a", "", "hm"))
        time.sleep(0.01)
        assert watch.rows()[0].segments[0].state == "waiting"
        watch(events.RunCompleted(HAPPY.run))
        [row] = watch.rows()
        assert (row.label, [segment.state for segment in row.segments]) == ("a", ["waiting", "thinking"])
        assert row.failed
        assert watch.duration_s == row.segments[-1].end
