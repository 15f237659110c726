"""Events as JSON, one object a line: the form of journals and of `jsonl` output, and what else stands in them.

Names are upstream's stream's (`fusion_call.panel.delta`), `t` is seconds since the run began. Pure; knows no file.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from fusion_cli import __version__

if TYPE_CHECKING:
    from fusion_cli.choices import Choices
    from fusion_cli.events import Event, PanelDelta
    from fusion_cli.plan import Plan
    from fusion_cli.results import Run

VERSION = 1  # of the form: raised when a reader of the old one would go wrong
PREFIX = "fusion_call."
_QUESTION_CHARS = 300


def as_data(value: Any) -> Any:
    """Return a value in what JSON can be written from: named tuples are objects."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {key: as_data(inner) for key, inner in value._asdict().items()}
    if isinstance(value, Mapping):
        return {key: as_data(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_data(inner) for inner in value]
    return value.model_dump() if hasattr(value, "model_dump") else value


class Created(NamedTuple):
    """The first line: all that a list of runs shows of one that is under way.

    `version` is that of the form, `fusion` the program's; `run` is null where the run is not kept. What was not settled
    when the run ended is null or empty.
    """

    version: int
    fusion: str
    run: str | None
    at: str
    command: Literal["ask", "analyze", "judge"]
    parent: str | None
    question: str
    panel: tuple[str, ...]
    judge: str | None
    model: str | None
    type: Literal["created"] = "created"


class Planned(NamedTuple):
    """The second line: the whole plan, and what was chosen explicitly."""

    plan: "Plan"
    choices: "Choices"
    type: Literal["planned"] = "planned"


class PanelReasoningDelta(NamedTuple):
    """What a panelist thought since its last line; in the journal without its text, and only as it begins to."""

    label: str
    text: str
    type: Literal["panel.reasoning.delta"] = "panel.reasoning.delta"


class PanelTextDelta(NamedTuple):
    """What a panelist wrote since its last line."""

    label: str
    text: str
    type: Literal["panel.delta"] = "panel.delta"


class Ended(NamedTuple):
    """The last line: all that a list of runs shows of one that is over."""

    status: Literal["ok", "error"]
    failure_reason: str | None
    error: str | None
    degraded: bool
    seed: int | None
    answered: int
    failed: int
    total_tokens: int | None
    cost: float | None
    type: Literal["ended"] = "ended"


Line = Created | Planned | PanelReasoningDelta | PanelTextDelta | Ended
Data = dict[str, Any]


def event_lines(event: "Event", t: float) -> list[Data]:
    """Return an event as its lines' objects: two where a panelist thought and wrote."""
    if event.type != "panel.delta":
        return [_data(event, t)]
    lines: list[Data] = []
    if event.reasoning:
        lines.append(_data(PanelReasoningDelta(event.label, event.reasoning), t))
    if event.text:
        lines.append(_data(PanelTextDelta(event.label, event.text), t))
    return lines


def mark_lines(event: "PanelDelta", t: float) -> list[Data]:
    """Return the lines of a panelist's delta without what it holds: what is left is when it began to think or write."""
    return [{**line, "text": ""} for line in event_lines(event, t)]


def _data(line: "Event | Line", t: float) -> Data:
    fields = as_data(line)
    kind = fields.pop("type")
    return {"type": f"{PREFIX}{kind}", "t": round(t, 3), **fields}


def created_line(run: str | None, at: str, command: str, plan: "Plan | None", parent: str | None) -> Data:
    """Return the first line.

    Args:
        run: Its id; None where it is not kept.
        at: When it began, in ISO 8601.
        command: ask, analyze or judge.
        plan: What it is going to do; None where the run ended before that was settled.
        parent: The run that it takes up.
    """
    meets = plan is not None and (command == "judge" or plan.tool_choice != "none")
    return _data(
        Created(
            VERSION,
            __version__,
            run,
            at,
            cast("Literal['ask', 'analyze', 'judge']", command),
            parent,
            plan.prompt.question[:_QUESTION_CHARS] if plan else "",
            tuple(seat.label for seat in plan.panel) if plan and meets else (),
            plan.judge.slug if plan else None,
            plan.outer.slug if plan and command == "ask" else None,
        ),
        0.0,
    )


def planned_line(plan: "Plan", choices: "Choices", t: float) -> Data:
    """Return the second line."""
    return _data(Planned(plan, choices), t)


def ended_line(run: "Run", t: float) -> Data:
    """Return the last line."""
    result = getattr(run, "result", None) or run
    return _data(
        Ended(
            getattr(run, "status", "ok"),
            getattr(run, "failure_reason", None),
            getattr(run, "error", None),
            run.degraded,
            run.seed,
            len(getattr(result, "responses", None) or ()),
            len(getattr(result, "failed_models", None) or ()),
            run.usage.total_tokens,
            run.usage.cost,
        ),
        t,
    )


def encoded(line: Mapping[str, Any]) -> bytes:
    """Return a line's bytes; half a character, which UTF-8 cannot hold, becomes its escape, as JSON can."""
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace") + b"\n"
