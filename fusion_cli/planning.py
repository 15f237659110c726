"""Explicit choices over presets, configuration and defaults: one frozen `Plan`, or one clear error before it costs.

Owns who is asked by default. Knows neither where a choice was written down nor how a plan is carried out.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple, TypeVar

from fusion_cli import defaults
from fusion_cli.chat import ModelName
from fusion_cli.choices import Choices, Seat
from fusion_cli.errors import ConfigError, CredentialError, UsageError
from fusion_cli.plan import (
    DEFAULT_MAX_COMPLETION_TOKENS,
    DEFAULT_MAX_TOOL_CALLS,
    Panelist,
    Plan,
    Prompt,
    label_panel,
)
from fusion_cli.presets import PRESETS
from fusion_cli.settings import Settings, parse_model, resolve_provider
from fusion_cli.values import describe, shown

_T = TypeVar("_T")


class Machine(NamedTuple):
    """What this machine can do, looked up when it matters."""

    engine_installed: Callable[[], bool]
    memory_is_short: Callable[[], bool]
    embedded_models: Callable[[], Collection[str]]


def make_plan(
    choices: Choices, settings: Settings, prompt: Prompt, machine: Machine, *, outer_is_judge: bool = False
) -> Plan:
    """Return the plan of an `ask` run, or of an `analyze` run, which has no outer model but its judge.

    Args:
        choices: What was asked for explicitly, by flags or in a request.
        settings: As loaded.
        prompt: What is asked.
        machine: What this machine can do.
        outer_is_judge: Whether this is an `analyze` run.

    Raises:
        UsageError: Something that was chosen does not exist or cannot be used so.
        ConfigError: The embedded engine or its weights are needed, and missing.
        CredentialError: A model that may be called belongs to a provider whose key is not set.
    """
    asked, alias, preset_judge = _layered(choices, settings)
    if alias and choices.tool_choice not in (None, "required"):
        raise UsageError(f"{alias} convenes the panel, tool choice {choices.tool_choice} does not: choose one")
    tool_choice = "required" if alias or outer_is_judge else asked.tool_choice
    names = _Names(asked, settings, machine)
    default = None if asked.panel else _default_preset(names, asked.model, asked.judge)
    seats = asked.panel or (default.panel if default else None) or ()
    if not seats and tool_choice != "none":
        names.default_provider()  # no key and no engine is what is wrong, where that is so
        raise UsageError(
            "no panel was named, and there is none by default for this provider",
            hint="Name models with -p, or set one with: fusion config set panel a,b,c",
        )
    outer_name = _first(asked.model, preset_judge, asked.judge, _judge_by_default(asked, default))
    if outer_name is None:
        raise UsageError("no model was named", hint="Name one with -m.")
    judge = names.model(outer_name if asked.judge is None else asked.judge)
    outer = judge if outer_is_judge else names.model(outer_name)
    panel = _panel(seats, choices, asked, names)
    tools = defaults.TOOLS if asked.tools is None else asked.tools
    plan = Plan(
        prompt=prompt,
        panel=panel,
        judge=judge,
        outer=outer,
        # The embedded models ignore tools, so they cannot decide.
        tool_choice=tool_choice or ("required" if outer.is_local else "auto"),
        judge_max_completion_tokens=_tokens("judge", judge, asked.max_completion_tokens),
        answer_max_completion_tokens=defaults.LOCAL_MAX_TOKENS["answer"] if outer.is_local else None,
        reasoning=asked.reasoning,
        seed=asked.seed,
        system=asked.system,
        tools=tools,
        max_tool_calls=asked.max_tool_calls or DEFAULT_MAX_TOOL_CALLS,
        quotes=bool(asked.quotes),
        second_look=bool(asked.second_look),
        warnings=_warnings(choices, bool(tools), (judge, *(panelist.model for panelist in panel))),
    )
    _demand_access(plan.models, settings, machine)
    return plan


def make_judge_plan(
    choices: Choices, settings: Settings, prompt: Prompt, panel: Sequence[Panelist], machine: Machine
) -> Plan:
    """Return the plan of a `judge` run, whose panel has answered already.

    Raises:
        UsageError: The judge does not exist, or cannot be one.
        ConfigError: The embedded engine or its weights are needed, and missing.
        CredentialError: Its provider's key is not set.
    """
    asked = _layered(choices, settings).asked
    names = _Names(asked, settings, machine)
    name = _first(asked.judge, asked.model)
    if name is None:
        name = _judge_by_default(asked, None if asked.panel else _default_preset(names))
    if name is None:
        raise UsageError("no judge was named", hint="Name one with -j.")
    judge = names.model(name)
    _demand_access({judge}, settings, machine)
    tools = defaults.TOOLS if asked.tools is None else asked.tools
    return Plan(
        prompt,
        tuple(panel),
        judge,
        judge,
        "none",
        judge_max_completion_tokens=_tokens("judge", judge, asked.max_completion_tokens),
        reasoning=asked.reasoning,
        seed=asked.seed,
        tools=tools,
        max_tool_calls=asked.max_tool_calls or DEFAULT_MAX_TOOL_CALLS,
        quotes=bool(asked.quotes),
        second_look=bool(asked.second_look),
        warnings=_warnings(choices, bool(tools), (judge,)),
    )


class _Layered(NamedTuple):
    """What all sources together ask for.

    Attributes:
        asked: One over the other; its model is None where that was an alias.
        alias: The alias that was named as outer model.
        preset_judge: The preset's, who is also the outer model unless another is named.
    """

    asked: Choices
    alias: str | None
    preset_judge: str | None


def _layered(choices: Choices, settings: Settings) -> _Layered:
    """Put explicit choices over the preset that they name, configuration over the preset that it names.

    A preset that was asked for replaces all that is configured about who is asked: its judge would otherwise judge
    for another outer model, and a configured judge another panel.
    """
    if settings.fusion_depth:
        raise UsageError("this is already running inside a fusion (FUSION_DEPTH is set): it cannot start another one")
    below = settings.configured
    preset = _preset_of(choices, settings, "preset")
    if preset is not None:
        asked = choices.over(preset).over(below._replace(panel=None, judge=None, model=None))
    else:
        if choices.model is not None:  # a configured alias that does not count names no preset either
            below = below._replace(model=None)
        preset = _preset_of(below, settings, f"{settings.config_path}: preset") or Choices()
        asked = choices.over(below).over(preset)
    alias = asked.model if _alias(asked.model) else None
    if alias:
        asked = asked._replace(model=None)
    for name in (asked.judge, *(seat.model for seat in asked.panel or ())):
        _refuse_fusion(name, "a panelist or the judge")
    _refuse_fusion(asked.model, "another provider's outer model")
    return _Layered(asked, alias, preset.judge)


def _preset_of(layer: Choices, settings: Settings, said: str) -> Choices | None:
    """Return what the preset asks for that a layer names, be it by its name or by an alias."""
    presets = {**PRESETS, **settings.presets}
    name = _first(layer.preset, _alias(layer.model))
    if name is None:
        return None
    if name not in presets:
        raise UsageError(f"{said}: expected one of {', '.join(presets)}, found {describe(name)}")
    return presets[name].choices


def _alias(name: str | None) -> str | None:
    """Return the preset that a model's name stands for, where it is OpenRouter's own fusion."""
    return defaults.ALIASES.get(_plain((name or "").removeprefix("openrouter:")))


def _plain(slug: str) -> str:
    """Return a slug without its variant, as in `author/model:free`, and as it compares."""
    return slug.partition(":")[0].lower()


def _refuse_fusion(name: str | None, role: str) -> None:
    if name and any(_plain(slug) in defaults.ALIASES for slug in (name, name.partition(":")[2])):
        raise UsageError(f"{shown(name)} cannot be {role}: a fusion cannot start another one")


def _first(*values: _T | None) -> _T | None:
    """Return the first value that was given; an empty one was, and so was 0."""
    return next((value for value in values if value is not None), None)


class _Names:
    """Resolve `[provider:]slug`; the default provider is looked up only when a name needs one."""

    def __init__(self, asked: Choices, settings: Settings, machine: Machine) -> None:
        self._provider = asked.provider
        self._settings = settings
        self.machine = machine
        if asked.provider is not None:  # one that does not exist is a mistake even where no name needs it
            self.default_provider()

    def default_provider(self) -> str:
        return resolve_provider(self._settings, self._provider, self.machine.engine_installed)

    def model(self, name: str) -> ModelName:
        head, colon, _ = name.partition(":")
        default = "" if colon and head in self._settings.providers else self.default_provider()
        model = parse_model(name, self._settings, default)
        return self._embedded(model) if model.is_local else model

    def _embedded(self, model: ModelName) -> ModelName:
        own = self._settings.local_model
        if own is None:
            known = self.machine.embedded_models()
            if model.slug not in known:
                raise UsageError(f"there is no embedded model {describe(model.slug)}; known are {', '.join(known)}")
            return model
        if not own.is_file():
            source = self._settings.sources.get("local.model", "").removeprefix("environment ")
            raise ConfigError(f"{'local.model' if source in ('', 'file') else source}: there is no file {own}")
        return model._replace(slug=own.stem)


def _default_preset(names: _Names, *named: str | None) -> Choices | None:
    """Return the preset of the provider that the first named model belongs to, else of the default one."""
    name = _first(*named)
    try:
        provider = names.default_provider() if name is None else names.model(name).provider
    except CredentialError:  # the models to be called may all have been named with their provider
        return None
    if provider == "openrouter":
        return PRESETS["general-high"].choices
    if provider == "local":
        return PRESETS["local-small" if names.machine.memory_is_short() else "local"].choices
    return None


def _judge_by_default(asked: Choices, default: Choices | None) -> str | None:
    """Return who judges when nobody was named: a panel of one's own is not judged by a stranger."""
    if asked.panel:
        return asked.panel[0].model
    return default.judge if default else None


def _panel(seats: Sequence[Seat], choices: Choices, asked: Choices, names: _Names) -> tuple[Panelist, ...]:
    """Return the panelists: what was chosen explicitly holds for every seat, what is layered where a seat is silent."""
    models = [names.model(seat.model) for seat in seats]
    labels = _labels(seats, models)
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


def _labels(seats: Sequence[Seat], models: Sequence[ModelName]) -> list[str]:
    by_slug = iter(label_panel([model.slug for seat, model in zip(seats, models, strict=True) if seat.label is None]))
    labels = [next(by_slug) if seat.label is None else seat.label for seat in seats]
    for label in labels:
        if labels.count(label) > 1:
            raise UsageError(f"two panelists are called {describe(label)}: give one of them another label")
    return labels


def _warnings(choices: Choices, has_tools: bool, models: Iterable[ModelName]) -> tuple[str, ...]:
    """Return what was asked for explicitly of web tools and cannot be had."""
    served = any(model.has_server_tools for model in models)
    warnings = []
    if choices.tools and not served:
        warnings.append("web tools are run by OpenRouter only: no model of this run has any")
    elif choices.max_tool_calls is not None and not (served and has_tools):
        warnings.append("a limit of tool calls was given, but no model of this run has web tools")
    return tuple(warnings)


def _demand_access(models: Iterable[ModelName], settings: Settings, machine: Machine) -> None:
    for name in sorted({model.provider for model in models}):
        provider = settings.providers[name]
        if provider.is_local:
            if not machine.engine_installed():
                raise ConfigError(
                    "the embedded engine is not installed", hint="pip install 'fusion-deliberation[local]'"
                )
        elif provider.api_key_env and not provider.api_key:
            where = " (get a key at https://openrouter.ai/keys)" if provider.is_openrouter else ""
            raise CredentialError(f"no key for {name}: set {provider.api_key_env}{where}")


def _tokens(role: str, model: ModelName, limit: int | None) -> int:
    return limit or (defaults.LOCAL_MAX_TOKENS[role] if model.is_local else DEFAULT_MAX_COMPLETION_TOKENS)
