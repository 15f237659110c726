"""The calls of a run that have ended: what is noted of each, what they took, and how they are told.

Knows neither how a call is made nor what its text is good for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from fusion_cli.budget import costs_of
from fusion_cli.chat import Usage

if TYPE_CHECKING:  # pydantic (100 ms) is imported while the first responses are awaited
    from collections.abc import Iterable, Sequence

    from fusion_cli.chat import Citation, ModelClient, ModelName, ToolStep
    from fusion_cli.results import Call, RunUsage, Source

Role = Literal["outer", "panel", "judge"]


class CallNote(NamedTuple):
    """One call that has ended; `refused` when the server turned it down, so that it cost nothing."""

    role: Role
    name: ModelName
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


def usage_of(calls: Iterable[CallNote]) -> RunUsage:
    """Return what all calls took that were not turned down."""
    from fusion_cli.results import RunUsage

    return RunUsage.over_calls((call.role, call.usage or Usage()) for call in calls if not call.refused)


async def settled(calls: Sequence[CallNote], models: ModelClient) -> list[CallNote]:
    """Return the calls with what those cost that were told without, where their models' prices are known."""
    costs = await costs_of([(call.name, call.usage) for call in calls], models)
    return [
        call._replace(usage=call.usage and call.usage._replace(cost=cost))
        for call, cost in zip(calls, costs, strict=True)
    ]


def public_sources(pages: Sequence[Citation]) -> list[Source]:
    """Return pages as `--json` prints them."""
    from fusion_cli.results import Source

    return [Source(**page._asdict()) for page in pages]


def public_call(call: CallNote) -> Call:
    """Return a call as `--json` prints it."""
    from fusion_cli.results import Call, CallUsage, ToolUse

    fields = {key: value for key, value in call._asdict().items() if key in Call.model_fields}
    return Call(
        **{
            **fields,
            "tools": list(call.tools),
            "usage": CallUsage(**call.usage._asdict()) if call.usage else None,
            "tool_calls": [ToolUse(tool=step.tool, input=step.input, error=step.error or None) for step in call.steps],
            "sources": public_sources(call.citations),
        }
    )
