"""Flags over config file over preset over defaults: one frozen `Plan`, or one clear error before a cent is spent.

Owns who is asked by default. Knows nothing of how a plan is carried out.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple, cast, get_args

from fusion_cli.chat import ModelName, Reasoning
from fusion_cli.config_file import describe
from fusion_cli.errors import ConfigError, CredentialError, UsageError
from fusion_cli.plan import (
    DEFAULT_MAX_COMPLETION_TOKENS,
    MAX_PANELISTS,
    Panelist,
    Plan,
    Prompt,
    ToolChoice,
    label_panel,
)
from fusion_cli.presets import PRESETS, Preset, Seat
from fusion_cli.settings import Settings, parse_model, resolve_provider

# The alias convenes the panel at once, with the preset's judge as outer model (specification, section 1).
ALIASES = {"openrouter/fusion": "general-high", "openrouter/fusion-flash": "general-fast"}

EFFORTS = ("max", "xhigh", "high", "medium", "low", "minimal", "none")

# Small models do not know when to stop; these are chosen so that a run takes about a minute on two cores.
LOCAL_MAX_TOKENS = {"panel": 160, "judge": 800, "answer": 300}


class Choices(NamedTuple):
    """What the command line asked for; None means it did not say."""

    panel: Sequence[str] = ()
    judge: str | None = None
    model: str | None = None
    preset: str | None = None
    provider: str | None = None
    tool_choice: str | None = None
    max_completion_tokens: str | None = None
    temperature: str | None = None
    reasoning_effort: str | None = None
    reasoning_max_tokens: str | None = None
    seed: str | None = None


class Machine(NamedTuple):
    """What this machine can do, looked up when it matters."""

    engine_installed: Callable[[], bool]
    memory_is_short: Callable[[], bool]
    embedded_models: Callable[[], Collection[str]]


def make_plan(
    choices: Choices, settings: Settings, prompt: Prompt, machine: Machine, *, outer_is_judge: bool = False
) -> Plan:
    """Return the plan of an `ask` run, or of an `analyze` run, which has no outer model but its judge.

    Raises:
        UsageError: Something that was chosen does not exist or cannot be used so.
        CredentialError: A model that may be called belongs to a provider whose key is not set.
    """
    settings = _heeding(choices, settings)
    outer_name = _first(choices.model, settings.model)
    alias = ALIASES.get((outer_name or "").removeprefix("openrouter:"))
    if alias and choices.tool_choice not in (None, "required"):
        raise UsageError(f"{outer_name} convenes the panel, --tool-choice {choices.tool_choice} does not: choose one")
    if alias:
        outer_name = None
    names = _Names(choices, settings, machine)
    chosen = _chosen_preset(choices, settings, alias)
    slugs = _panel_slugs(choices, settings)
    judge_name = _first(choices.judge, settings.judge)
    default = None if chosen else _default_preset(names, outer_name, judge_name, *slugs)
    preset = chosen or default
    tool_choice = "required" if alias or outer_is_judge else _tool_choice(choices.tool_choice) or settings.tool_choice

    seats = [Seat(slug) for slug in slugs] or list(preset.panel if preset else ())
    if not seats and tool_choice != "none":
        names.default_provider()  # no key and no engine is what is wrong, where that is so
        raise UsageError(
            "no panel was named, and there is none by default for this provider",
            hint="Name models with -p, or set one with: fusion config set panel a,b,c",
        )
    # A panel of one's own is not judged by a model that nobody named.
    by_default = default.judge if default and not slugs else seats[0].model if seats else None
    outer_name = _first(outer_name, chosen.judge if chosen else None, judge_name, by_default)
    if outer_name is None:
        raise UsageError("no model was named", hint="Name one with -m.")
    judge = names.model(_first(judge_name, chosen.judge if chosen else None, outer_name) or outer_name)
    outer = judge if outer_is_judge else names.model(outer_name)
    models = [names.model(seat.model) for seat in seats]
    for model in (judge, *models):
        _refuse_fusion(model)
    limit = _whole("--max-completion-tokens", choices.max_completion_tokens) or settings.max_completion_tokens
    temperature = _temperature(choices.temperature)
    temperature = settings.temperature if temperature is None else temperature
    plan = Plan(
        prompt=prompt,
        panel=tuple(
            Panelist(label, model, seat.system, temperature, _tokens("panel", model, limit))
            for label, model, seat in zip(label_panel([model.slug for model in models]), models, seats, strict=True)
        ),
        judge=judge,
        outer=outer,
        # The embedded models ignore tools, so they cannot decide.
        tool_choice=tool_choice or ("required" if outer.is_local else "auto"),
        judge_max_completion_tokens=_tokens("judge", judge, limit),
        answer_max_completion_tokens=LOCAL_MAX_TOKENS["answer"] if outer.is_local else None,
        reasoning=_reasoning(choices),
        seed=_whole("--seed", choices.seed, least=0),
    )
    _demand_access(plan.models, settings, machine)
    return plan


def make_judge_plan(
    choices: Choices, settings: Settings, prompt: Prompt, panel: Sequence[Panelist], machine: Machine
) -> Plan:
    """Return the plan of a `judge` run, whose panel has answered already.

    Raises:
        UsageError: The judge does not exist.
        CredentialError: Its provider's key is not set.
    """
    settings = _heeding(choices, settings)
    names = _Names(choices, settings, machine)
    chosen = _chosen_preset(choices, settings, None)
    name = _first(choices.judge, settings.judge, chosen.judge if chosen else None, settings.model)
    if name is None:
        default = _default_preset(names)
        if default is None:
            raise UsageError("no judge was named", hint="Name one with -j.")
        name = default.judge
    judge = names.model(name)
    _refuse_fusion(judge)
    _demand_access({judge}, settings, machine)
    limit = _whole("--max-completion-tokens", choices.max_completion_tokens) or settings.max_completion_tokens
    return Plan(
        prompt,
        tuple(panel),
        judge,
        judge,
        "none",
        judge_max_completion_tokens=_tokens("judge", judge, limit),
        reasoning=_reasoning(choices),
        seed=_whole("--seed", choices.seed, least=0),
    )


def _heeding(choices: Choices, settings: Settings) -> Settings:
    """Return the settings that count beside the flags: a preset named by flag wins over what the file names."""
    if settings.fusion_depth:
        raise UsageError("this is already running inside a fusion (FUSION_DEPTH is set): it cannot start another one")
    if choices.preset is None:
        return settings
    return settings._replace(preset=None, panel=None, judge=None, model=None)


def _first(*values: str | None) -> str | None:
    """Return the first value that was given; an empty one was, and is refused as a model later."""
    return next((value for value in values if value is not None), None)


class _Names:
    """Resolve `[provider:]slug`; the default provider is looked up only when a name needs one."""

    def __init__(self, choices: Choices, settings: Settings, machine: Machine) -> None:
        self._choices = choices
        self._settings = settings
        self.machine = machine

    def default_provider(self) -> str:
        return resolve_provider(self._settings, self._choices.provider, self.machine.engine_installed)

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


def _whole(option: str, text: str | None, *, least: int = 1, most: int = 2**53) -> int | None:
    if text is None:
        return None
    digits = text.strip()
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 16 and least <= int(digits) <= most):
        raise UsageError(f"{option}: expected a whole number from {least}, found {describe(text)}")
    return int(digits)


def _temperature(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 2:  # which refuses nan, too
        raise UsageError(f"--temperature: expected a number from 0 to 2, found {describe(text)}")
    return value


def _reasoning(choices: Choices) -> Reasoning | None:
    effort = choices.reasoning_effort
    tokens = _whole("--reasoning-max-tokens", choices.reasoning_max_tokens)
    if effort is None and tokens is None:
        return None
    if effort is not None and tokens is not None:
        raise UsageError("--reasoning-effort and --reasoning-max-tokens say the same thing in two ways: choose one")
    if effort is not None and effort not in EFFORTS:
        raise UsageError(f"--reasoning-effort: expected one of {', '.join(EFFORTS)}, found {describe(effort)}")
    return Reasoning(effort, tokens)


def _chosen_preset(choices: Choices, settings: Settings, alias: str | None) -> Preset | None:
    """Return the preset that was named, or that the alias stands for."""
    name = _first(choices.preset, settings.preset, alias)
    if name is None or name in PRESETS:
        return PRESETS[name] if name else None
    said = "--preset" if choices.preset is not None else f"{settings.config_path}: preset"
    raise UsageError(f"{said}: expected one of {', '.join(PRESETS)}, found {describe(name)}")


def _default_preset(names: _Names, *named: str | None) -> Preset | None:
    """Return the preset of the provider that the first named model belongs to, else of the default one."""
    name = _first(*named)
    try:
        provider = names.default_provider() if name is None else names.model(name).provider
    except CredentialError:  # the models to be called may all have been named with their provider
        return None
    if provider == "openrouter":
        return PRESETS["general-high"]
    if provider == "local":
        return PRESETS["local-small" if names.machine.memory_is_short() else "local"]
    return None


def _panel_slugs(choices: Choices, settings: Settings) -> list[str]:
    slugs = [slug.strip() for entry in choices.panel for slug in entry.split(",")] or list(settings.panel or ())
    if len(slugs) > MAX_PANELISTS:
        raise UsageError(f"the panel has {len(slugs)} models; it takes 1 to {MAX_PANELISTS}")
    return slugs


def _tool_choice(name: str | None) -> ToolChoice | None:
    for known in get_args(ToolChoice):
        if name == known:
            return cast("ToolChoice", known)
    if name is None:
        return None
    raise UsageError(f"--tool-choice: expected auto, required or none; found {describe(name)}")


def _refuse_fusion(model: ModelName) -> None:
    if model.slug.partition(":")[0] in ALIASES:
        raise UsageError(f"{model.slug} cannot be a panelist or the judge: a fusion cannot start another one")


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
    return limit or (LOCAL_MAX_TOKENS[role] if model.is_local else DEFAULT_MAX_COMPLETION_TOKENS)
