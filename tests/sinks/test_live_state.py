"""Promises of `sinks.live.state`: what each model does is known at any time, and only the end of its text is kept."""

import pytest

from fusion_cli import events
from fusion_cli.chat import Usage
from fusion_cli.events import Event
from fusion_cli.sinks.live.state import View, shortened
from tests.sinks.live_runs import CAST, LABELS, judged, panel_at_work, rest_of_panel


def view_after(*happened: Event, consults: bool = False, answers: bool = True) -> View:
    """Return a view to which these events happened, one a second."""
    view = View(CAST._replace(consults=consults, answers=answers), 0.0)
    for number, event in enumerate(happened):
        view.take(event, float(number))
    return view


def test_each_panelist_has_its_state() -> None:
    """Who writes, who waits to try again and who failed is told apart, in the order in which they sit."""
    view = view_after(*panel_at_work())
    assert [(seat.label, seat.state) for seat in view.in_order()] == [
        (LABELS[0], "writing"),
        (LABELS[1], "again"),
        (LABELS[2], "failed"),
    ]
    assert view.seats[LABELS[1]].again_at == 18.0
    assert view.seats[LABELS[2]].about == "HTTP 403: flagged by moderation…"


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (events.PanelDelta(LABELS[0], "", "hm"), "thinking"),
        (events.PanelDelta(LABELS[0], "text", "hm"), "writing"),
        (events.PanelToolCall(LABELS[0], 1, "web_search", "bridges", "started", ""), "searching"),
        (events.PanelToolCall(LABELS[0], 1, "web_fetch", "https://e.org/", "started", ""), "reading"),
        (events.PanelToolCall(LABELS[0], 1, "other", "x", "started", ""), "calling"),
        (events.PanelToolCall(LABELS[0], 1, "web_fetch", "https://e.org/", "completed", ""), "thinking"),
        (events.PanelCompleted(LABELS[0], "x", "text", 1.0, Usage(), truncated=False), "done"),
    ],
)
def test_events_change_the_state(event: Event, state: str) -> None:
    """Every step of a panelist is seen."""
    view = view_after(events.PanelAdded(LABELS[0], "x"))
    assert view.seats[LABELS[0]].state == "waiting"
    view.take(event, 1.0)
    assert view.seats[LABELS[0]].state == state


def test_the_tail_of_a_long_text_is_short_clean_and_ends_with_it() -> None:
    """However much a panelist writes, little of it is kept, and no escape code, even one that comes in halves."""
    view = view_after(events.PanelAdded(LABELS[0], "x"))
    seat = view.seats[LABELS[0]]
    for number in range(5000):
        view.take(events.PanelDelta(LABELS[0], f"word{number} \x1b[3", ""), 1.0)
        view.take(events.PanelDelta(LABELS[0], "1m", ""), 1.0)
        assert number % 500 or "\x1b" not in seat.tail
    assert len(seat.tail) <= 2400
    assert seat.tail.endswith("word4999 ")
    assert seat.estimated_tokens >= 5000 * 10 // 4


def test_what_was_written_before_a_lookup_is_gone() -> None:
    """It is no part of the response."""
    lookup = events.PanelToolCall(LABELS[0], 1, "web_search", "q", "started", "")
    view = view_after(events.PanelAdded(LABELS[0], "x"), events.PanelDelta(LABELS[0], "I search", ""), lookup)
    assert view.seats[LABELS[0]].tail == ""


def test_phases_follow_one_another() -> None:
    """Outer model, panel, judge, answer: the view knows who is at work, and that nobody is in the end."""
    view = view_after(consults=True)
    phases = [view.phase]
    story = [events.OuterDiscarded(), *panel_at_work(), *rest_of_panel(), *judged(), events.AnswerCompleted("")]
    for event in story:
        view.take(event, 1.0)
        if view.phase != phases[-1]:
            phases.append(view.phase)
    assert phases == ["outer", "start", "panel", "judge", "answer", "over"]
    assert not view.is_at_work


def test_a_refused_key_is_told_once() -> None:
    """Of eight panelists with the same bad key, one says so on the record."""
    failures = [events.PanelFailed(label, "x", "HTTP 401: no such key", 401, "", 0.1) for label in LABELS]
    records = [seat.record for seat in view_after(*failures).in_order()]
    assert records == ["failed after 0.1 s: HTTP 401: no such key", None, None]


def test_a_dropped_panelist_has_one_clock() -> None:
    """When the run dropped it is said already; how long its call took is not said beside that."""
    dropped = events.PanelFailed(LABELS[0], "x", "dropped at 1.0 s: 2 of 3 had answered", None, "", 0.5)
    assert view_after(dropped).in_order()[0].record == "dropped at 1.0 s: 2 of 3 had answered"


def test_an_interrupted_panelist_says_how_long_it_worked() -> None:
    """A cancelled call brings no time of its own."""
    asked = events.PanelAdded(LABELS[0], "x")
    view = view_after(asked, asked, events.PanelFailed(LABELS[0], "x", "interrupted", None, "", 0.0))
    assert view.in_order()[0].record == "failed after 1.0 s: interrupted"


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("HTTP 500: \x1b[31mno", "HTTP 500: no"),
        ("a b c d e", "a b c d e"),
        ("a b c d e f", "a b c d e…"),
        ("a b c d e, f", "a b c d e…"),
    ],
)
def test_a_reason_in_five_words(reason: str, told: str) -> None:
    """A long reason keeps its beginning, a hostile one its text."""
    assert shortened(reason) == told
