"""Plans that take an earlier run up: go on with it, have another model write from it, continue its conversation.

Decides what of the earlier run stands and who has to be asked. Reads no file and calls nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fusion_cli import defaults, prompts
from fusion_cli.chat import Message, ModelName
from fusion_cli.choices import Choices, Seat
from fusion_cli.conversation import transcript
from fusion_cli.errors import UsageError
from fusion_cli.naming import Names, demand_access
from fusion_cli.planning import limits_of, refuse_quorum
from fusion_cli.presets import PRESETS
from fusion_cli.request import Request, routing_of, written_by
from fusion_cli.run_files import under_way

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fusion_cli.earlier import Earlier
    from fusion_cli.naming import Machine
    from fusion_cli.plan import Panelist, Plan, Prompt
    from fusion_cli.run_files import SavedRun
    from fusion_cli.settings import Settings

# What a run that goes on may be given anew: how long and how much, never who and what.
_LIMITS = ("timeout", "idle_timeout", "deadline", "quorum", "grace", "max_cost", "allow_unknown_cost")


class TakenUp(NamedTuple):
    """A plan, what stands of an earlier run, and the models that may have to be asked.

    Attributes:
        choices: The earlier run's and this call's together, for whoever takes the new run up.
    """

    plan: Plan
    earlier: Earlier
    asks: frozenset[ModelName]
    choices: Choices


def resumed(
    saved: SavedRun, flags: Choices, settings: Settings, machine: Machine, *, answers: bool, web: bool = False
) -> TakenUp:
    """Return how a run goes on: only what is missing is asked for.

    Args:
        saved: The run.
        flags: Of this call; time and money alone may be said anew.
        settings: As loaded.
        machine: What this machine can do.
        answers: Whether an answer is wanted, or an analysis alone.
        web: Whether --web was among the flags, which choose nothing by it.

    Raises:
        UsageError: A flag would change the run, it is under way, or an analysis is wanted of one without a panel.
        CredentialError: A model that has to be asked belongs to a provider whose key is not set.
    """
    refuse_running(saved)
    _refuse_other_flags(flags, _LIMITS, "--resume", web=web)
    plan = _with_limits(saved.plan, flags)
    if saved.prompt and plan.tool_choice == "none":  # a run of `judge` has a panel that is not asked
        plan = plan._replace(tool_choice="required")
    if not answers and plan.tool_choice == "none":
        raise UsageError(
            f"the run {saved.summary.run} was asked without a panel: there is nothing to analyze",
            hint="For one with a panel: fusion analyze QUESTION",
        )
    earlier = saved.as_earlier()
    asks = set[ModelName]()
    if saved.prompt or not answers or (plan.tool_choice != "none" and saved.answer is None):
        asks |= {seat.model for seat in earlier.missing(plan)}
        if asks or earlier.analysis is None:
            asks.add(plan.judge)
    if answers and not earlier.is_whole(plan):
        asks.add(plan.outer)
    return _accessible(TakenUp(plan, earlier, frozenset(asks), flags.over(saved.choices)), settings, machine)


def rewritten(saved: SavedRun, flags: Choices, settings: Settings, machine: Machine, *, web: bool = False) -> TakenUp:
    """Return how another model writes the answer from a run's responses and analysis: one call.

    Raises:
        UsageError: The run has no responses, is under way, or a flag would change more than who writes.
        CredentialError: The writer's provider has no key.
    """
    refuse_running(saved)
    _refuse_other_flags(flags, (*_LIMITS, "model", "provider"), "--from", web=web)
    if not saved.responses:
        raise UsageError(f"the run {saved.summary.run} has no responses to write from", hint=_go_on(saved))
    plan = _with_limits(saved.plan, flags)._replace(tool_choice="required")
    if flags.model is not None:
        outer = Names(settings, machine, flags.provider).model(flags.model)
        limit = plan.answer_max_completion_tokens
        if outer.is_local != plan.outer.is_local:
            limit = defaults.LOCAL_MAX_TOKENS["answer"] if outer.is_local else None
        plan = written_by(plan, outer)._replace(answer_max_completion_tokens=limit)
    choices = flags._replace(provider=None).over(saved.choices)
    earlier = saved.as_earlier(is_closed=True)
    return _accessible(TakenUp(plan, earlier, frozenset({plan.outer}), choices), settings, machine)


def choices_of_continued(saved: SavedRun, flags: Choices, settings: Settings) -> Choices:
    """Return what is asked for when a conversation goes on: the same people, where the flags name no others.

    Who they were is read from the plan: what named them then, a preset or the config file, may name others now.
    """
    if flags.preset is not None:
        own = saved.choices._replace(panel=None, judge=None, model=None)
    else:
        own = _same_people(saved, flags, settings)
    if flags.panel is not None or flags.preset is not None:  # it was a part of the other panel
        own = own._replace(quorum=None, grace=None)
    return flags.over(own)


def _same_people(saved: SavedRun, flags: Choices, settings: Settings) -> Choices:
    """Return the earlier choices with everybody by their whole name, but for those whom the flags replace."""
    own, plan = saved.choices, saved.plan
    if own.tool_choice is None and defaults.preset_of_alias(own.model or ""):
        own = own._replace(tool_choice="required")  # which the alias said, and a model's own name does not
    if own.preset not in {**PRESETS, **settings.presets}:
        own = own._replace(preset=None)
    own = own._replace(model=str(plan.outer), judge=str(plan.judge), provider=None)
    seats = () if flags.panel is not None else plan.panel
    if not all(seat.model.provider for seat in seats):  # texts from anywhere have no model that could be asked
        seats = ()
    asked = [seat.model for seat in seats]
    asked += [model for model, flag in ((plan.outer, flags.model), (plan.judge, flags.judge)) if flag is None]
    _refuse_unknown_providers(asked, settings)
    return own._replace(panel=tuple(_seat(panelist, plan.system) for panelist in seats) or None)


def _seat(panelist: Panelist, system: str | None) -> Seat:
    """Return a panelist as one that is asked for; what all were told first is not its own."""
    label, model, told, temperature, limit, reasoning = panelist
    persona = (told or "").removeprefix(system or "").strip() or None
    return Seat(str(model), persona, temperature, label, reasoning, limit)


def choices_of_judged(saved: SavedRun, flags: Choices, settings: Settings) -> Choices:
    """Return what is asked for when a judge reads a run's responses: its own judge, web tools and limit of cost.

    Flags win, and so does a preset that they name.

    Raises:
        UsageError: Its own judge is meant, whose provider is not configured any more.
    """
    own, judge = saved.choices, None
    if flags.preset is None:
        if preset := settings.presets.get(own.preset or ""):
            own = own.over(preset.choices)
        if flags.judge is None:
            _refuse_unknown_providers([saved.plan.judge], settings, "; or name another judge with -j MODEL")
            judge = str(saved.plan.judge)
    return flags.over(
        Choices(judge=judge, tools=own.tools, max_cost=own.max_cost, allow_unknown_cost=own.allow_unknown_cost)
    )


def continued_prompt(saved: SavedRun, asked: Prompt) -> Prompt:
    """Return the question of a conversation that goes on: the panel reads what was said so far as material.

    Raises:
        UsageError: The run has no answer to continue from, or none yet.
    """
    turns = _turns(saved)
    so_far = prompts.material([("the conversation so far", transcript(turns))])
    shown = dict.fromkeys(each for turn in turns for each in turn.attachments)
    return asked._replace(
        material="\n\n".join(part for part in (so_far, asked.material) if part),
        attachments=tuple(dict.fromkeys((*shown, *asked.attachments))),
    )


def continued_plan(saved: SavedRun, asked: Prompt, plan: Plan, flags: Choices) -> Plan:
    """Return the plan with the conversation as the outer model reads it: every turn, then the new question.

    What a request asked of every call, its privacy first of all, holds for the next question, too.
    """
    before = saved.plan
    routing = routing_of(before)
    extra = {**before.outer_extra, **({"provider": routing} if routing else {})}
    limit = None if before.outer.is_local or plan.outer.is_local else before.answer_max_completion_tokens
    turns = (*_turns(saved), Message("user", asked.text(), attachments=asked.attachments))
    return Request(saved.choices, asked, turns, extra, limit, (), attached=True).applied_to(plan, flags)


def _turns(saved: SavedRun) -> tuple[Message, ...]:
    if saved.answer is None:
        refuse_running(saved)
        raise UsageError(f"the run {saved.summary.run} has no answer to continue from", hint=_go_on(saved))
    prompt = saved.plan.prompt
    whole = Message("user", prompt.text(), attachments=prompt.attachments)
    first, *rest = saved.plan.conversation or (whole,)
    if first.role == "system":  # what all are told first is put before it anew
        own = first.content.removeprefix(saved.plan.system or "").strip()
        turns = (*([Message("system", own)] if own else []), *rest)
    else:
        turns = (first, *rest)
    return (*turns, Message("assistant", saved.answer))


def _with_limits(plan: Plan, flags: Choices) -> Plan:
    refuse_quorum(flags, len(plan.panel))
    allowed = flags.allow_unknown_cost
    return plan._replace(
        limits=limits_of(flags, len(plan.panel), plan.limits),
        max_cost=plan.max_cost if flags.max_cost is None else flags.max_cost,
        allow_unknown_cost=plan.allow_unknown_cost if allowed is None else allowed,
        warnings=(),
    )


def refuse_running(saved: SavedRun) -> None:
    """Refuse to take a run up that is not over.

    Raises:
        UsageError: It is under way.
    """
    if saved.summary.status == "running":
        raise under_way(saved.summary.run)


def _go_on(saved: SavedRun) -> str:
    return f"To go on with it: fusion ask --resume {saved.summary.run}"


def _refuse_other_flags(flags: Choices, allowed: tuple[str, ...], by: str, *, web: bool) -> None:
    others = [key for key, value in flags._asdict().items() if value is not None and key not in allowed]
    named = [f"--{key.replace('_', '-')}" if key != "tools" else "--no-web" for key in others] + ["--web"] * web
    if named:
        raise UsageError(
            f"{by} takes the run as it was asked: {', '.join(named)} cannot be changed",
            hint="Another judge: fusion judge RUN -j MODEL. Another writer: fusion ask --from RUN -m MODEL.",
        )


def _accessible(taken: TakenUp, settings: Settings, machine: Machine) -> TakenUp:
    _refuse_unknown_providers(taken.asks, settings)
    demand_access(taken.asks, settings, machine)
    return taken


def _refuse_unknown_providers(models: Iterable[ModelName], settings: Settings, or_else: str = "") -> None:
    for model in models:
        if model.provider not in settings.providers:
            said = f"the provider {model.provider}" if model.provider else "who serves it is not known here, so it"
            hint = f"Configure it: fusion config set providers.{model.provider or 'NAME'}.base_url URL{or_else}"
            raise UsageError(f"{model.slug} cannot be asked: {said} is not configured", hint=hint)
