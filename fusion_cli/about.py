"""What a report tells of a run beside its result, and the sink that takes note of it while the run goes on.

Knows no form and no file.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from fusion_cli import events, run_lines
from fusion_cli.event_lines import PREFIX, event_lines
from fusion_cli.timeline import ANSWER, Timeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fusion_cli.timeline import Row

_PIECES = (events.PanelDelta, events.AnalysisDelta, events.OuterDelta, events.AnswerDelta, events.WeightsProgress)


class Happened(NamedTuple):
    """An event, and when it happened, in seconds since the run began."""

    t: float
    event: events.Event


class About(NamedTuple):
    """What a report tells of a run beside its result.

    Attributes:
        question: What was asked.
        facts: What stands at its end, a line each.
        unfinished: What there is of an answer that did not come to its end.
        timeline: Who did what, when.
        panel: The labels of its seats, in their order.
        happened: Its events; those of what came in pieces may be missing.
    """

    question: str
    facts: Sequence[str]
    unfinished: str = ""
    timeline: Sequence[Row] = ()
    panel: Sequence[str] = ()
    happened: Sequence[Happened] = ()


def happened_in(lines: Iterable[dict[str, Any]]) -> Iterator[Happened]:
    """Yield the events of a recorded run from its lines, but for its end; what cannot be read is passed over."""
    kinds = {kind._field_defaults["type"]: kind for kind in get_args(events.Event)}
    for line in lines:
        name, label, text = (run_lines.text(line, key) for key in ("type", "label", "text"))
        t = run_lines.number(line, "t") or 0.0
        match name.removeprefix(PREFIX):
            case "panel.delta":
                yield Happened(t, events.PanelDelta(label, text, ""))
            case "panel.reasoning.delta":
                yield Happened(t, events.PanelDelta(label, "", text))
            case "analysis.completed":
                if analysis := run_lines.analysis_in([line]):
                    yield Happened(t, analysis)
            case kind if kind in kinds and kind != "completed":
                yield from (Happened(t, event) for event in run_lines.events_of([line], kinds[kind]))


class Watch:
    """A sink that notes what a report tells of a run beside its result.

    Args:
        model: The outer model's slug; empty where there is none.

    Attributes:
        at: When the run began, ISO 8601 in UTC.
        happened: The run's events, but for what came in pieces.
    """

    def __init__(self, model: str = "") -> None:
        self.at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        self.happened: list[Happened] = []
        self._started = time.monotonic()
        self._timeline = Timeline()
        self._timeline.take({"type": "created", "t": 0.0, "model": model})
        self._unfinished: list[str] = []
        self._ended_s: float | None = None

    def __call__(self, event: events.Event) -> None:
        """Take one event in."""
        t = time.monotonic() - self._started
        if not isinstance(event, _PIECES):
            self.happened.append(Happened(t, event))
        match event:
            case events.PanelDelta(label) if self._timeline.is_writing("panel", label):
                return  # nothing new, and there may be thousands
            case events.OuterDelta(text) | events.AnswerDelta(text):
                self._unfinished.append(text)
                if self._timeline.is_writing(ANSWER):
                    return
            case events.OuterDiscarded() | events.FusionInProgress() | events.AnswerCompleted():
                self._unfinished.clear()
            case events.RunCompleted():
                self._ended_s = t
                self._timeline.end(t)
                return
        for line in event_lines(event, t):
            self._timeline.take(line)

    @property
    def duration_s(self) -> float:
        """How long the run took, or has taken."""
        return time.monotonic() - self._started if self._ended_s is None else self._ended_s

    @property
    def unfinished(self) -> str:
        """What there is of an answer that did not come to its end."""
        return "".join(self._unfinished)

    def rows(self) -> tuple[Row, ...]:
        """Return who did what, when."""
        return self._timeline.rows()
