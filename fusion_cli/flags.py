"""A command's flags, which are text, made into `Choices`: each is in its range, or one error names it and the range.

Knows the parameters by their names, no command and no Typer. Whether what is named exists is `planning`'s business.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fusion_cli import amounts, values
from fusion_cli.chat import Reasoning
from fusion_cli.choices import Choices, Seat
from fusion_cli.errors import UsageError
from fusion_cli.plan import MAX_PANELISTS

_KINDS = {
    "judge": values.MODEL,
    "model": values.MODEL,
    "tool_choice": values.TOOL_CHOICE,
    "max_tool_calls": values.TOOL_CALLS,
    "max_completion_tokens": values.TOKENS,
    "temperature": values.TEMPERATURE,
    "system": values.TEXT,
    "seed": values.SEED,
    "timeout": amounts.DURATION,
    "idle_timeout": amounts.DURATION,
    "deadline": amounts.DURATION,
    "quorum": values.QUORUM,
    "grace": amounts.GRACE,
    "max_cost": amounts.MONEY,
}
_AS_THEY_ARE = ("preset", "provider", "quotes", "second_look", "allow_unknown_cost")


def choices_from(params: Mapping[str, Any]) -> Choices:
    """Return what the flags ask for.

    Args:
        params: Typer's `ctx.params`; a flag that the command lacks is absent, and others are passed over.

    Raises:
        UsageError: A flag is out of its range, or two of them exclude each other.
    """
    fitting = {name: _fit(name, kind, params.get(name)) for name, kind in _KINDS.items()}
    return Choices(
        panel=_panel(params.get("panel") or ()),
        reasoning=_reasoning(params),
        tools=() if params.get("web") is False else None,  # --web takes those that are chosen elsewhere
        **fitting,
        **{name: params.get(name) for name in _AS_THEY_ARE},
    )


def _fit(name: str, kind: values.Kind, text: str | None) -> Any:
    return None if text is None else kind.fit(kind.read(text), f"--{name.replace('_', '-')}")


def _panel(entries: Sequence[str]) -> tuple[Seat, ...] | None:
    slugs = [slug for entry in entries for slug in values.split_list(entry)]
    if len(slugs) > MAX_PANELISTS:
        raise UsageError(f"the panel has {len(slugs)} models; it takes 1 to {MAX_PANELISTS}")
    return tuple(Seat(values.MODEL.fit(slug, "--panel")) for slug in slugs) or None


def _reasoning(params: Mapping[str, Any]) -> Reasoning | None:
    effort = _fit("reasoning_effort", values.EFFORT, params.get("reasoning_effort"))
    tokens = _fit("reasoning_max_tokens", values.TOKENS, params.get("reasoning_max_tokens"))
    if effort is None and tokens is None:
        return None
    if effort is not None and tokens is not None:
        raise UsageError("--reasoning-effort and --reasoning-max-tokens say the same thing in two ways: choose one")
    return Reasoning(effort, tokens)
