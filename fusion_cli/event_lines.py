"""Events as JSON, one object a line: the form of journals and of `jsonl` output, and what else stands in them.

Names are upstream's stream's (`fusion_call.panel.delta`), `t` is seconds since the run began. Pure; knows no file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fusion_cli import __version__

if TYPE_CHECKING:
    from fusion_cli.choices import Choices
    from fusion_cli.events import Event
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


def event_line(event: Event, t: float) -> dict[str, Any]:
    """Return an event as its line's object."""
    fields = as_data(event)
    kind = fields.pop("type")
    return {"type": f"{PREFIX}{kind}", "t": round(t, 3), **fields}


def created_line(run: str, at: str, command: str, plan: Plan, parent: str | None) -> dict[str, Any]:
    """Return the first line: all that a list of runs shows of one that is under way.

    Args:
        run: Its id.
        at: When it began, in ISO 8601.
        command: ask, analyze or judge.
        plan: What it is going to do.
        parent: The run that it takes up.
    """
    return {
        "type": f"{PREFIX}created",
        "t": 0.0,
        "version": VERSION,
        "fusion": __version__,
        "run": run,
        "at": at,
        "command": command,
        "parent": parent,
        "question": plan.prompt.question[:_QUESTION_CHARS],
        "panel": [seat.label for seat in plan.panel] if command == "judge" or plan.tool_choice != "none" else [],
        "judge": plan.judge.slug,
        "model": plan.outer.slug if command == "ask" else None,
    }


def planned_line(plan: Plan, choices: Choices, t: float) -> dict[str, Any]:
    """Return the second line: the whole plan, and what was chosen explicitly."""
    return {"type": f"{PREFIX}planned", "t": round(t, 3), "plan": as_data(plan), "choices": as_data(choices)}


def ended_line(run: Run, t: float) -> dict[str, Any]:
    """Return the last line: all that a list of runs shows of one that is over."""
    result = getattr(run, "result", None) or run
    return {
        "type": f"{PREFIX}ended",
        "t": round(t, 3),
        "status": getattr(run, "status", "ok"),
        "failure_reason": getattr(run, "failure_reason", None),
        "degraded": run.degraded,
        "answered": len(getattr(result, "responses", None) or ()),
        "failed": len(getattr(result, "failed_models", None) or ()),
        "total_tokens": run.usage.total_tokens,
        "cost": run.usage.cost,
    }


def encoded(line: Mapping[str, Any]) -> bytes:
    """Return a line's bytes; half a character, which UTF-8 cannot hold, becomes its escape, as JSON can."""
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace") + b"\n"
