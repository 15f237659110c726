"""Plans that take an earlier run up: go on with it, have another model write from it, continue its conversation.

Decides what of the earlier run stands and who has to be asked. Reads no file and calls nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fusion_cli import defaults, prompts
from fusion_cli.chat import Message, ModelName
from fusion_cli.conversation import transcript
from fusion_cli.errors import UsageError
from fusion_cli.naming import Names, demand_access
from fusion_cli.planning import limits_of, refuse_quorum
from fusion_cli.prompts import told_first

if TYPE_CHECKING:
    from fusion_cli.choices import Choices
    from fusion_cli.earlier import Earlier
    from fusion_cli.naming import Machine
    from fusion_cli.plan import Plan, Prompt
    from fusion_cli.run_files import SavedRun
    from fusion_cli.settings import Settings

# What a run that goes on may be given anew: how long and how much, never who and what.
_LIMITS = ("timeout", "idle_timeout", "deadline", "quorum", "grace", "max_cost", "allow_unknown_cost")


class TakenUp(NamedTuple):
    """A plan, what stands of an earlier run, and the models that may have to be asked."""

    plan: Plan
    earlier: Earlier
    asks: frozenset[ModelName]


def resumed(saved: SavedRun, flags: Choices, settings: Settings, machine: Machine, *, answers: bool) -> TakenUp:
    """Return how a run goes on: only what is missing is asked for.

    Args:
        saved: The run.
        flags: Of this call; time and money alone may be said anew.
        settings: As loaded.
        machine: What this machine can do.
        answers: Whether an answer is wanted, or an analysis alone.

    Raises:
        UsageError: A flag would change the run, it is under way, or an analysis is wanted of one without a panel.
        CredentialError: A model that has to be asked belongs to a provider whose key is not set.
    """
    _refuse_running(saved)
    _refuse_other_flags(flags, _LIMITS, "--resume")
    plan = _with_limits(saved.plan, flags)
    if saved.prompt and plan.tool_choice == "none":  # a run of `judge` has a panel that is not asked
        plan = plan._replace(tool_choice="required")
    if not answers and plan.tool_choice == "none":
        raise UsageError(f"the run {saved.summary.run} was asked without a panel: there is nothing to analyze")
    earlier = saved.as_earlier()
    asks = set[ModelName]()
    if saved.prompt or not answers or (plan.tool_choice != "none" and saved.answer is None):
        asks |= {seat.model for seat in earlier.missing(plan)}
        if asks or earlier.analysis is None:
            asks.add(plan.judge)
    if answers and not earlier.is_whole(plan):
        asks.add(plan.outer)
    return _accessible(TakenUp(plan, earlier, frozenset(asks)), settings, machine)


def rewritten(saved: SavedRun, flags: Choices, settings: Settings, machine: Machine) -> TakenUp:
    """Return how another model writes the answer from a run's responses and analysis: one call.

    Raises:
        UsageError: The run has no responses, is under way, or a flag would change more than who writes.
        CredentialError: The writer's provider has no key.
    """
    _refuse_running(saved)
    _refuse_other_flags(flags, (*_LIMITS, "model", "provider"), "--from")
    if not saved.responses:
        raise UsageError(f"the run {saved.summary.run} has no responses to write from")
    plan = _with_limits(saved.plan, flags)._replace(tool_choice="required")
    if flags.model is not None:
        outer = Names(settings, machine, flags.provider).model(flags.model)
        limit = plan.answer_max_completion_tokens
        if outer.is_local != plan.outer.is_local:
            limit = defaults.LOCAL_MAX_TOKENS["answer"] if outer.is_local else None
        extra = plan.outer_extra if outer.provider == plan.outer.provider else {}
        plan = plan._replace(outer=outer, answer_max_completion_tokens=limit, outer_extra=extra)
    return _accessible(TakenUp(plan, saved.as_earlier(is_closed=True), frozenset({plan.outer})), settings, machine)


def choices_of_continued(saved: SavedRun, flags: Choices) -> Choices:
    """Return what is asked for when a conversation goes on: the same people, where the flags name no others."""
    own = saved.choices
    if flags.preset is not None:
        own = own._replace(panel=None, judge=None, model=None)
    if flags.panel is not None or flags.preset is not None:  # it was a part of the other panel
        own = own._replace(quorum=None, grace=None)
    return flags.over(own)


def continued_prompt(saved: SavedRun, asked: Prompt) -> Prompt:
    """Return the question of a conversation that goes on: the panel reads what was said so far as material.

    Raises:
        UsageError: The run has no answer to continue from.
    """
    so_far = prompts.material([("the conversation so far", transcript(_turns(saved)))])
    return asked._replace(material="\n\n".join(part for part in (so_far, asked.material) if part))


def continued_plan(saved: SavedRun, asked: Prompt, plan: Plan) -> Plan:
    """Return the plan with the conversation as the outer model reads it: every turn, then the new question."""
    turns = (*_turns(saved), Message("user", asked.text()))
    return plan._replace(conversation=told_first(plan.system, turns))


def _turns(saved: SavedRun) -> tuple[Message, ...]:
    if saved.answer is None:
        raise UsageError(
            f"the run {saved.summary.run} has no answer to continue from",
            hint=f"To go on with it: fusion ask --resume {saved.summary.run}",
        )
    asked = _without_what_is_told_first(saved.plan) or (Message("user", saved.plan.prompt.text()),)
    return (*asked, Message("assistant", saved.answer))


def _without_what_is_told_first(plan: Plan) -> tuple[Message, ...]:
    """Return a plan's conversation as it was before `told_first`, which it goes through again with every turn."""
    if not plan.system or not plan.conversation:
        return plan.conversation
    first, *rest = plan.conversation
    own = first.content.removeprefix(plan.system).removeprefix("\n\n")
    return (Message("system", own), *rest) if own else tuple(rest)


def _with_limits(plan: Plan, flags: Choices) -> Plan:
    refuse_quorum(flags, len(plan.panel))
    allowed = flags.allow_unknown_cost
    return plan._replace(
        limits=limits_of(flags, len(plan.panel), plan.limits),
        max_cost=plan.max_cost if flags.max_cost is None else flags.max_cost,
        allow_unknown_cost=plan.allow_unknown_cost if allowed is None else allowed,
        warnings=(),
    )


def _refuse_running(saved: SavedRun) -> None:
    if saved.summary.status == "running":
        raise UsageError(f"the run {saved.summary.run} is still under way")


def _refuse_other_flags(flags: Choices, allowed: tuple[str, ...], by: str) -> None:
    others = [key for key, value in flags._asdict().items() if value is not None and key not in allowed]
    if others:
        named = ", ".join(f"--{key.replace('_', '-')}" if key != "tools" else "--no-web" for key in others)
        raise UsageError(
            f"{by} takes the run as it was asked: {named} cannot be changed",
            hint="Another judge: fusion judge RUN -j MODEL. Another writer: fusion ask --from RUN -m MODEL.",
        )


def _accessible(taken: TakenUp, settings: Settings, machine: Machine) -> TakenUp:
    for model in taken.asks:
        if model.provider not in settings.providers:
            said = f"the provider {model.provider}" if model.provider else "who serves it is not known here, so it"
            raise UsageError(f"{model.slug} cannot be asked: {said} is not configured")
    demand_access(taken.asks, settings, machine)
    return taken
