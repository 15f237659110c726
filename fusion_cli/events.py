"""What happens during a run, as typed events, and how they reach the sinks.

Names follow upstream's stream (`panel.delta`, `analysis.completed`). An event is data: it knows no screen and no file.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from fusion_cli.chat import Citation, ToolStep, Usage
from fusion_cli.errors import InterruptError

if TYPE_CHECKING:  # pydantic takes 100 ms to import, and no event needs it before the panel has answered
    from fusion_cli.results import Analysis, Quote, Run, SecondLook, Supported

# Without `from __future__ import annotations`: a named tuple compiles every type that is text, at each start.

# Words before a tool call are no answer: so much of a first turn is shown to nobody until that is settled.
HELD_BACK_CHARS = 400


class Warned(NamedTuple):
    """Something the user should know, in one line."""

    text: str
    type: Literal["warning"] = "warning"


class WeightsProgress(NamedTuple):
    """The embedded model's weights are being fetched; sizes in bytes, `done == total` at the end."""

    name: str
    done: int
    total: int
    source: str
    licence: str
    type: Literal["engine.weights"] = "engine.weights"


class EngineStarting(NamedTuple):
    """The embedded engine loads a model."""

    name: str
    type: Literal["engine.starting"] = "engine.starting"


class OuterDelta(NamedTuple):
    """Text of the outer model's first turn: an answer, or words before it calls the tool."""

    text: str
    type: Literal["outer.delta"] = "outer.delta"


class OuterDecided(NamedTuple):
    """Whether the panel is convened, and whether the user forced that."""

    convene: bool
    forced: bool
    type: Literal["outer.decided"] = "outer.decided"


class OuterDiscarded(NamedTuple):
    """What the outer model wrote in this turn was not its answer: it called a tool."""

    type: Literal["outer.discarded"] = "outer.discarded"


class CallRetried(NamedTuple):
    """A call's attempt has failed and is made again in `wait_s` seconds; `attempt` is the number of the next one."""

    role: Literal["outer", "panel", "judge"]
    label: str
    attempt: int
    wait_s: float
    error: str
    status_code: int | None
    type: Literal["call.retried"] = "call.retried"


class CallCompleted(NamedTuple):
    """A call is over, well or badly; its fields are those of `results.Call`, as they are known by now.

    `steps` are the tool calls that were carried out here; `refused` says that the server turned it down for nothing.
    """

    role: Literal["outer", "panel", "judge"]
    model: str
    answered_by: str | None
    label: str
    attempts: int
    duration_s: float
    finish_reason: str | None
    usage: Usage | None
    tools: tuple[str, ...]
    steps: tuple[ToolStep, ...]
    citations: tuple[Citation, ...]
    error: str | None
    refused: bool
    type: Literal["call.completed"] = "call.completed"


class CallsSettled(NamedTuple):
    """What each call cost, in the order of their ends, where price lists have filled in what servers did not tell."""

    costs: tuple[float | None, ...]
    type: Literal["calls.settled"] = "calls.settled"


class FusionInProgress(NamedTuple):
    """The panel is convened, with this prompt; `told` is what the outer model (or the user) asked in it."""

    prompt: str
    told: str
    type: Literal["in_progress"] = "in_progress"


class PanelAdded(NamedTuple):
    """A panelist has been asked."""

    label: str
    model: str
    type: Literal["panel.added"] = "panel.added"


class PanelDelta(NamedTuple):
    """Text or thinking of one panelist, since its last delta."""

    label: str
    text: str
    reasoning: str
    type: Literal["panel.delta"] = "panel.delta"


class PanelToolCall(NamedTuple):
    """A tool call is carried out for a panelist: once as it starts, once as it ends (see `chat.ToolStep`).

    What the panelist wrote before it is no part of its response.
    """

    label: str
    number: int
    tool: str
    input: str
    status: Literal["started", "completed", "failed"]
    error: str
    type: Literal["panel.tool_call"] = "panel.tool_call"


class PanelCompleted(NamedTuple):
    """A panelist has answered; `from_run` is the earlier run that this is taken from, where it was not asked now."""

    label: str
    model: str
    content: str
    duration_s: float
    usage: Usage
    truncated: bool
    citations: tuple[Citation, ...] = ()
    from_run: str | None = None
    type: Literal["panel.completed"] = "panel.completed"


class PanelFailed(NamedTuple):
    """A panelist gave no answer; `partial` is what it had written."""

    label: str
    model: str
    error: str
    status_code: int | None
    partial: str
    duration_s: float
    from_run: str | None = None
    type: Literal["panel.failed"] = "panel.failed"


class AnalysisInProgress(NamedTuple):
    """The judge has been asked."""

    model: str
    responses: int
    type: Literal["analysis.in_progress"] = "analysis.in_progress"


class AnalysisDelta(NamedTuple):
    """How many characters the judge wrote and thought since the last delta: what it writes is no text for people."""

    text_chars: int
    reasoning_chars: int
    type: Literal["analysis.delta"] = "analysis.delta"


class AnalysisToolCall(NamedTuple):
    """A tool call is carried out for the judge, as `PanelToolCall` is for a panelist."""

    number: int
    tool: str
    input: str
    status: Literal["started", "completed", "failed"]
    error: str
    type: Literal["analysis.tool_call"] = "analysis.tool_call"


class AnalysisCompleted(NamedTuple):
    """The judge's analysis is in; with what was asked for beside it."""

    analysis: "Analysis"
    duration_s: float
    supported: "Supported | None" = None
    second_look: "SecondLook | None" = None
    quotes: "Sequence[Quote] | None" = None
    from_run: str | None = None
    type: Literal["analysis.completed"] = "analysis.completed"


class AnalysisFailed(NamedTuple):
    """There will be no analysis."""

    failure_reason: str
    error: str
    type: Literal["analysis.failed"] = "analysis.failed"


class AnswerDelta(NamedTuple):
    """Text of the final answer, since the last delta."""

    text: str
    type: Literal["answer.delta"] = "answer.delta"


class AnswerCompleted(NamedTuple):
    """The final answer, whole."""

    text: str
    type: Literal["answer.completed"] = "answer.completed"


class RunCompleted(NamedTuple):
    """The story is over, and this is its result, be it a good one or not."""

    run: "Run"
    type: Literal["completed"] = "completed"


Event = (
    Warned
    | WeightsProgress
    | EngineStarting
    | OuterDelta
    | OuterDecided
    | OuterDiscarded
    | CallRetried
    | CallCompleted
    | CallsSettled
    | FusionInProgress
    | PanelAdded
    | PanelDelta
    | PanelToolCall
    | PanelCompleted
    | PanelFailed
    | AnalysisInProgress
    | AnalysisDelta
    | AnalysisToolCall
    | AnalysisCompleted
    | AnalysisFailed
    | AnswerDelta
    | AnswerCompleted
    | RunCompleted
)
Emit = Callable[[Event], None]


def fan_out(sinks: Sequence[Emit]) -> Emit:
    """Return an `emit` that hands each event to every sink; a sink that raises falls silent.

    A screen that cannot be drawn must not lose an answer, so its errors end the sink and not the run; a signal that
    comes in the meantime is no error of the sink's.
    """
    live = list(sinks)

    def emit(event: Event) -> None:
        for sink in tuple(live):
            try:
                sink(event)
            except InterruptError:
                raise
            except Exception:  # noqa: BLE001  # whatever a sink cannot do, the run goes on
                live.remove(sink)

    return emit
