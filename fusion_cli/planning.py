"""Explicit choices over presets, configuration and defaults: one frozen `Plan`, or one clear error before it costs.

Owns who is asked by default. Knows neither where a choice was written down nor how a plan is carried out.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple, TypeVar

from fusion_cli import defaults, web_tools
from fusion_cli.chat import ModelName
from fusion_cli.choices import Choices, Seat
from fusion_cli.counts import count
from fusion_cli.errors import CredentialError, UsageError
from fusion_cli.naming import Machine, Names, demand_access
from fusion_cli.plan import (
    DEFAULT_MAX_COMPLETION_TOKENS,
    DEFAULT_MAX_TOOL_CALLS,
    Limits,
    Panelist,
    Plan,
    Prompt,
    ToolChoice,
    label_seats,
)
from fusion_cli.presets import PRESETS
from fusion_cli.settings import Settings
from fusion_cli.values import describe, shown

_T = TypeVar("_T")
_USUAL = Limits()
_PANELS = (
    "max_tool_calls",
    "max_completion_tokens",
    "temperature",
    "reasoning",
    "quotes",
    "second_look",
    "quorum",
    "grace",
)


class Roles(NamedTuple):
    """Who is asked, each by the name that it was given; None where nobody was named."""

    panel: tuple[Seat, ...]
    judge: str | None
    model: str | None


class PresetInEffect(NamedTuple):
    """The preset of a run without flags.

    Attributes:
        name: Of a built-in one, or of the user's own.
        is_configured: Whether the configuration names it, by its name or by an alias; else it is the default.
        overridden: Those fields of `Choices` that the configuration has another value for.
    """

    name: str
    is_configured: bool
    overridden: tuple[str, ...]


def make_plan(
    choices: Choices,
    settings: Settings,
    prompt: Prompt,
    machine: Machine,
    *,
    outer_is_judge: bool = False,
    web: bool = False,
    said: Choices | None = None,
) -> Plan:
    """Return the plan of an `ask` run, or of an `analyze` run, which has no outer model but its judge.

    Args:
        choices: What was asked for explicitly, by flags or in a request.
        settings: As loaded.
        prompt: What is asked.
        machine: What this machine can do.
        outer_is_judge: Whether this is an `analyze` run.
        web: Whether web tools are wanted, be they configured away or not.
        said: What of `choices` was said just now, and is worth a warning where it has no effect; all of it by default.

    Raises:
        UsageError: Something that was chosen does not exist or cannot be used so.
        ConfigError: The embedded engine or its weights are needed, and missing.
        CredentialError: A model that may be called belongs to a provider whose key is not set.
    """
    _refuse_depth(settings)
    layered = _layered(choices, settings)
    asked = layered.asked
    if _alias(choices.model) and choices.tool_choice not in (None, "required"):
        raise UsageError(f"{choices.model} convenes the panel, tool choice {choices.tool_choice} does not: choose one")
    convened = outer_is_judge or layered.has_alias
    tool_choice: ToolChoice | None = choices.tool_choice or ("required" if convened else asked.tool_choice)
    names = Names(settings, machine, asked.provider)
    roles = _roles(asked, layered.from_preset.judge, _default_preset(asked, names))
    if not roles.panel and tool_choice != "none":
        names.default_provider()  # no key and no engine is what is wrong, where that is so
        raise UsageError(
            "no panel was named, and there is none by default for this provider",
            hint="Name models with -p, or set one with: fusion config set panel a,b,c",
        )
    if roles.judge is None or roles.model is None:
        raise UsageError("no model was named", hint="Name one with -m.")
    judge = names.model(roles.judge)
    outer = judge if outer_is_judge else names.model(roles.model)
    panel = _panel(roles.panel, choices, asked, names)
    if tool_choice is None:  # the embedded models ignore tools, so they cannot decide
        tool_choice = "required" if outer.is_local else "auto"
    plan = _judged(asked, Plan(prompt, panel, judge, outer, tool_choice, system=asked.system))
    said = choices if said is None else said
    if tool_choice == "none":
        plan = plan._replace(warnings=_vain(said, asked, layered.from_preset, web=web))
    else:
        refuse_quorum(choices, len(panel))
        plan = _equipped(choices, asked, plan, settings, machine, web=web)
    plan = plan._replace(warnings=(*plan.warnings, *_pointless(said, asked, meets=tool_choice != "none")))
    if outer.is_local:
        plan = plan._replace(answer_max_completion_tokens=defaults.LOCAL_MAX_TOKENS["answer"])
    demand_access(plan.models, settings, machine)
    return plan


def make_judge_plan(
    choices: Choices,
    settings: Settings,
    prompt: Prompt,
    panel: Sequence[Panelist],
    machine: Machine,
    *,
    web: bool = False,
    said: Choices | None = None,
) -> Plan:
    """Return the plan of a `judge` run, whose panel has answered already; see `make_plan` for the arguments.

    Raises:
        UsageError: The judge does not exist, or cannot be one.
        ConfigError: The embedded engine or its weights are needed, and missing.
        CredentialError: Its provider's key is not set.
    """
    _refuse_depth(settings)
    asked = _layered(choices, settings).asked
    names = Names(settings, machine, asked.provider)
    name = _roles(asked, None, _default_preset(asked, names)).judge
    if name is None:
        raise UsageError("no judge was named", hint="Name one with -j.")
    judge = names.model(name)
    plan = _judged(asked, Plan(prompt, (), judge, judge, "none"))
    plan = _equipped(choices, asked, plan, settings, machine, web=web)
    said = choices if said is None else said
    plan = plan._replace(panel=tuple(panel), warnings=(*plan.warnings, *_pointless(said, asked, meets=False)))
    demand_access(plan.models, settings, machine)
    return plan


def roles_of(preset: Choices) -> Roles:
    """Return whom a preset asks where nothing is said but its name."""
    return _roles(_without_alias(preset), preset.judge, None)


def preset_in_effect(settings: Settings, machine: Machine) -> PresetInEffect | None:
    """Return the preset of a run without flags; None where it takes none, or what is configured is refused."""
    try:
        layered = _layered(Choices(), settings)
        default = _default_preset(layered.asked, Names(settings, machine, None))
    except UsageError:
        return None
    name = _first(layered.preset, default)
    if name is None:
        return None
    preset = {**PRESETS, **settings.presets}[name].choices
    taken = _roles(layered.asked, layered.from_preset.judge, default)._asdict()
    own = roles_of(preset)._asdict()
    said = {key: value for key, value in preset._asdict().items() if value is not None} | own
    asked = layered.asked._asdict() | taken
    return PresetInEffect(name, layered.preset is not None, tuple(key for key in said if asked[key] != said[key]))


class _Layered(NamedTuple):
    """What all sources together ask for.

    Attributes:
        asked: One over the other; its model is None where that was an alias.
        has_alias: Whether it was.
        preset: The name of the preset among the sources.
        from_preset: What it says; its judge is also the outer model unless another is named.
    """

    asked: Choices
    has_alias: bool
    preset: str | None
    from_preset: Choices


def _layered(choices: Choices, settings: Settings) -> _Layered:
    """Put explicit choices over the preset that they name, configuration over the preset that it names.

    A preset that was asked for replaces all that is configured about who is asked: its judge would otherwise judge
    for another outer model, and a configured judge another panel.
    """
    below = settings.configured
    presets = {**PRESETS, **settings.presets}
    name = _preset_named(choices, presets, "preset")
    if name is not None:
        preset = presets[name].choices
        asked = choices.over(preset).over(below._replace(panel=None, judge=None, model=None))
    else:
        if choices.model is not None:  # a configured alias that does not count names no preset either
            below = below._replace(model=None)
        name = _preset_named(below, presets, f"{settings.config_path}: preset")
        preset = Choices() if name is None else presets[name].choices
        asked = choices.over(below).over(preset)
    for fusion in (asked.judge, *(seat.model for seat in asked.panel or ())):
        _refuse_fusion(fusion, "a panelist or the judge")
    named = _without_alias(asked)
    _refuse_fusion(named.model, "another provider's outer model")
    return _Layered(named, named is not asked, name, preset)


def _without_alias(asked: Choices) -> Choices:
    return asked._replace(model=None) if _alias(asked.model) else asked


def _preset_named(layer: Choices, presets: Collection[str], said: str) -> str | None:
    """Return the preset that a layer names, be it by its name or by an alias."""
    name = _first(layer.preset, _alias(layer.model))
    if name is not None and name not in presets:
        raise UsageError(f"{said}: expected one of {', '.join(presets)}, found {describe(name)}")
    return name


def _alias(name: str | None) -> str | None:
    return defaults.preset_of_alias(name) if name else None


def _refuse_fusion(name: str | None, role: str) -> None:
    if name and any(map(defaults.preset_of_alias, (name, name.partition(":")[2]))):
        raise UsageError(f"{shown(name)} cannot be {role}: a fusion cannot start another one")


def _refuse_depth(settings: Settings) -> None:
    if settings.fusion_depth:
        raise UsageError("this is already running inside a fusion (FUSION_DEPTH is set): it cannot start another one")


def _first(*values: _T | None) -> _T | None:
    """Return the first value that was given; an empty one was, and so was 0."""
    return next((value for value in values if value is not None), None)


def _roles(asked: Choices, preset_judge: str | None, default: str | None) -> Roles:
    """Return who is asked, with the default preset's where nobody was named."""
    fallback = Choices() if default is None else PRESETS[default].choices
    panel = asked.panel or fallback.panel or ()
    # A panel of one's own is not judged by a stranger.
    judge = _first(asked.judge, asked.model, asked.panel[0].model if asked.panel else fallback.judge)
    return Roles(panel, judge, _first(asked.model, preset_judge, judge))


def _default_preset(asked: Choices, names: Names) -> str | None:
    """Return the preset of who serves the model that was named, else of the default provider; none beside a panel."""
    if asked.panel:
        return None
    name = _first(asked.model, asked.judge)
    try:
        provider = names.default_provider() if name is None else names.named(name).provider
    except CredentialError:  # the models to be called may all have been named with their provider
        return None
    if provider == "openrouter":
        return "general-high"
    if provider == "local":
        return "local-small" if names.machine.memory_is_short() else "local"
    return None


def _judged(asked: Choices, plan: Plan) -> Plan:
    """Return the plan with all that every run with a judge has."""
    return plan._replace(
        judge_max_completion_tokens=_tokens("judge", plan.judge, asked.max_completion_tokens),
        reasoning=asked.reasoning,
        seed=asked.seed,
        max_tool_calls=asked.max_tool_calls or DEFAULT_MAX_TOOL_CALLS,
        quotes=bool(asked.quotes),
        second_look=bool(asked.second_look),
        limits=limits_of(asked, len(plan.panel)),
        max_cost=asked.max_cost,
        allow_unknown_cost=bool(asked.allow_unknown_cost),
    )


def limits_of(asked: Choices, seats: int, usual: Limits = _USUAL) -> Limits:
    """Return how long a run may take.

    Args:
        asked: What is asked for; a quorum in it that is layered holds for a smaller panel as for its own.
        seats: How many the panel has.
        usual: What holds where nothing is.
    """
    return Limits(
        _limit(asked.timeout, usual.timeout_s),
        _limit(asked.idle_timeout, usual.idle_timeout_s),
        _limit(asked.deadline, usual.deadline_s),
        min(asked.quorum, seats) or None if asked.quorum else usual.quorum,
        usual.grace_s if asked.grace is None else asked.grace,
    )


def _limit(seconds: float | None, usual: float | None) -> float | None:
    return usual if seconds is None else seconds or None


def refuse_quorum(choices: Choices, seats: int) -> None:
    """Refuse an explicit quorum that the panel could not reach.

    Raises:
        UsageError: It is larger than the panel.
    """
    if choices.quorum and choices.quorum > seats:
        models = count(seats, "model")
        raise UsageError(f"the quorum is {choices.quorum}, but the panel has {models}: it could never be reached")


def _pointless(choices: Choices, asked: Choices, *, meets: bool) -> Iterator[str]:
    """Yield what was chosen explicitly and says nothing without another choice that was not made."""
    if meets and choices.grace is not None and asked.quorum is None:
        yield "a grace was given, but no quorum: it has no effect"
    if choices.allow_unknown_cost and asked.max_cost is None:
        yield "unknown costs were allowed, but no highest cost was given: that has no effect"


def _equipped(choices: Choices, asked: Choices, plan: Plan, settings: Settings, machine: Machine, *, web: bool) -> Plan:
    """Return the plan with its web tools, and with what cannot be honoured of them."""
    tools = defaults.TOOLS if asked.tools is None or (web and not asked.tools) else asked.tools
    plan = web_tools.equipped(plan, tools, settings.web, machine.ddgs_installed)
    is_limited = choices.max_tool_calls is not None
    return plan._replace(warnings=web_tools.warnings(plan, wanted=web or bool(choices.tools), is_limited=is_limited))


def _vain(choices: Choices, asked: Choices, preset: Choices, *, web: bool) -> tuple[str, ...]:
    """Return what was chosen explicitly and has no effect without a panel: of who was named one may have to answer."""
    answers = asked.model or preset.judge
    vain = {
        **dict.fromkeys(_PANELS, True),
        "panel": answers or asked.judge,
        "judge": answers,
        "preset": choices.model and (preset.system, preset.seed, preset.tool_choice) == (None, None, None),
    }
    said = [key for key, value in choices._asdict().items() if value is not None and value is not False]
    named = ", ".join([key for key in said if vain.get(key)] + ["web"] * (web or bool(choices.tools)))
    return (f"the panel will not meet (tool choice: none), so these have no effect: {named}",) if named else ()


def _panel(seats: Sequence[Seat], choices: Choices, asked: Choices, names: Names) -> tuple[Panelist, ...]:
    """Return the panelists: what was chosen explicitly holds for every seat, what is layered where a seat is silent."""
    models = [names.model(seat.model) for seat in seats]
    labels = label_seats([seat.label for seat in seats], [model.slug for model in models])
    for label in labels:
        if labels.count(label) > 1:
            raise UsageError(f"two panelists are called {describe(label)}: give one of them another label")
    return tuple(
        Panelist(
            label,
            model,
            # Joined, so that a system prompt does not take a persona away.
            "\n\n".join(part for part in (asked.system, seat.system) if part) or None,
            _first(choices.temperature, seat.temperature, asked.temperature),
            _tokens(
                "panel",
                model,
                _first(choices.max_completion_tokens, seat.max_completion_tokens, asked.max_completion_tokens),
            ),
            _first(choices.reasoning, seat.reasoning, asked.reasoning),
        )
        for label, model, seat in zip(labels, models, seats, strict=True)
    )


def _tokens(role: str, model: ModelName, limit: int | None) -> int:
    return limit or (defaults.LOCAL_MAX_TOKENS[role] if model.is_local else DEFAULT_MAX_COMPLETION_TOKENS)
