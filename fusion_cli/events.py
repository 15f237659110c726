"""What happens during a run, as typed events, and how they reach the sinks.

Names follow upstream's stream (`panel.delta`, `analysis.completed`). An event is data: it knows no screen and no file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:  # pydantic takes 100 ms to import, and no event needs it before the panel has answered
    from fusion_cli.chat import Usage
    from fusion_cli.results import Analysis


@dataclass(frozen=True, slots=True)
class Warned:
    """Something the user should know, in one line."""

    type: ClassVar[str] = "warning"
    text: str


@dataclass(frozen=True, slots=True)
class WeightsProgress:
    """The embedded model's weights are being fetched; sizes in bytes, `done == total` at the end."""

    type: ClassVar[str] = "engine.weights"
    name: str
    done: int
    total: int
    source: str


@dataclass(frozen=True, slots=True)
class EngineStarting:
    """The embedded engine loads a model."""

    type: ClassVar[str] = "engine.starting"
    name: str


@dataclass(frozen=True, slots=True)
class OuterDelta:
    """Text of the outer model's first turn: an answer, or words before it calls the tool."""

    type: ClassVar[str] = "outer.delta"
    text: str


@dataclass(frozen=True, slots=True)
class OuterDecided:
    """Whether the panel is convened, and whether the user forced that."""

    type: ClassVar[str] = "outer.decided"
    convene: bool
    forced: bool


@dataclass(frozen=True, slots=True)
class PanelAdded:
    """A panelist has been asked."""

    type: ClassVar[str] = "panel.added"
    label: str
    model: str


@dataclass(frozen=True, slots=True)
class PanelDelta:
    """Text or thinking of one panelist, since its last delta."""

    type: ClassVar[str] = "panel.delta"
    label: str
    text: str
    reasoning: str


@dataclass(frozen=True, slots=True)
class PanelCompleted:
    """A panelist has answered."""

    type: ClassVar[str] = "panel.completed"
    label: str
    model: str
    content: str
    duration_s: float
    usage: Usage
    truncated: bool


@dataclass(frozen=True, slots=True)
class PanelFailed:
    """A panelist gave no answer; `partial` is what it had written."""

    type: ClassVar[str] = "panel.failed"
    label: str
    model: str
    error: str
    status_code: int | None
    partial: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class AnalysisInProgress:
    """The judge has been asked."""

    type: ClassVar[str] = "analysis.in_progress"
    model: str
    responses: int


@dataclass(frozen=True, slots=True)
class AnalysisCompleted:
    """The judge's analysis is in."""

    type: ClassVar[str] = "analysis.completed"
    analysis: Analysis
    duration_s: float


@dataclass(frozen=True, slots=True)
class AnalysisFailed:
    """There will be no analysis."""

    type: ClassVar[str] = "analysis.failed"
    failure_reason: str
    error: str


@dataclass(frozen=True, slots=True)
class AnswerDelta:
    """Text of the final answer, since the last delta."""

    type: ClassVar[str] = "answer.delta"
    text: str


@dataclass(frozen=True, slots=True)
class AnswerCompleted:
    """The final answer, whole."""

    type: ClassVar[str] = "answer.completed"
    text: str


Event = (
    Warned
    | WeightsProgress
    | EngineStarting
    | OuterDelta
    | OuterDecided
    | PanelAdded
    | PanelDelta
    | PanelCompleted
    | PanelFailed
    | AnalysisInProgress
    | AnalysisCompleted
    | AnalysisFailed
    | AnswerDelta
    | AnswerCompleted
)
Emit = Callable[[Event], None]


def fan_out(sinks: Sequence[Emit]) -> Emit:
    """Return an `emit` that hands each event to every sink; a sink that raises falls silent.

    A screen that cannot be drawn must not lose an answer, so its errors end the sink and not the run.
    """
    live = list(sinks)

    def emit(event: Event) -> None:
        for sink in tuple(live):
            try:
                sink(event)
            except Exception:  # noqa: BLE001  # whatever a sink cannot do, the run goes on
                live.remove(sink)

    return emit
