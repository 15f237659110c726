"""Flags over config file over preset over defaults: one frozen `Plan`, or one clear error before a cent is spent.

Owns who is asked by default. Knows nothing of how a plan is carried out.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, cast, get_args

from fusion_cli.chat import ModelName
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

# Small models do not know when to stop; these are chosen so that a run takes about a minute on two cores.
LOCAL_MAX_TOKENS = {"panel": 200, "judge": 1000, "answer": 300}


class Choices(NamedTuple):
    """What the command line asked for; None means it did not say."""

    panel: Sequence[str] = ()
    judge: str | None = None
    model: str | None = None
    preset: str | None = None
    provider: str | None = None
    tool_choice: str | None = None


class Machine:
    """What this machine can do, looked up when it matters."""

    def __init__(self, engine_installed: Callable[[], bool], memory_is_short: Callable[[], bool]) -> None:
        self.engine_installed = engine_installed
        self.memory_is_short = memory_is_short


def make_plan(
    choices: Choices, settings: Settings, prompt: Prompt, machine: Machine, *, outer_is_judge: bool = False
) -> Plan:
    """Return the plan of an `ask` run, or of an `analyze` run, which has no outer model but its judge.

    Raises:
        UsageError: Something that was chosen does not exist or cannot be used so.
        CredentialError: A model that may be called belongs to a provider whose key is not set.
    """
    if settings.fusion_depth:
        raise UsageError("this is already running inside a fusion (FUSION_DEPTH is set): it cannot start another one")
    names = _Names(choices, settings, machine)
    outer_name = choices.model or settings.model
    alias = ALIASES.get((outer_name or "").removeprefix("openrouter:"))
    if alias and choices.tool_choice == "none":
        raise UsageError(f"{outer_name} convenes the panel, --tool-choice none forbids it: choose one")
    explicit = choices.preset or settings.preset
    preset = _preset(explicit or alias) or _default_preset(names)
    seats = _seats(choices.panel, settings, preset)
    panel_models = [names.model(seat.model) for seat in seats]

    by_preset = preset.judge if preset and (explicit or alias or not _named_panel(choices, settings)) else None
    fallback = by_preset or (preset.judge if preset and _suits(preset, panel_models) else str(panel_models[0]))
    judge_name = choices.judge or settings.judge
    if alias:
        outer_name = fallback
    if outer_name is None:
        outer_name = fallback if explicit or not judge_name else judge_name
    if judge_name is None:
        judge_name = fallback if explicit else outer_name
    judge = names.model(judge_name)
    outer = judge if outer_is_judge else names.model(outer_name)

    tool_choice = _tool_choice(choices.tool_choice) or settings.tool_choice
    if alias:
        tool_choice = "required"
    elif tool_choice is None:  # the embedded models ignore tools, so they cannot decide
        tool_choice = "required" if outer.provider == "local" else "auto"

    _refuse_fusion_slugs((outer, judge, *panel_models))
    labels = label_panel([model.slug for model in panel_models])
    limit = settings.max_completion_tokens
    plan = Plan(
        prompt=prompt,
        panel=tuple(
            Panelist(label, model, seat.system, settings.temperature, _tokens("panel", model, limit))
            for label, model, seat in zip(labels, panel_models, seats, strict=True)
        ),
        judge=judge,
        outer=outer,
        tool_choice=tool_choice,
        judge_max_completion_tokens=_tokens("judge", judge, limit),
        answer_max_completion_tokens=LOCAL_MAX_TOKENS["answer"] if outer.provider == "local" else None,
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
    names = _Names(choices, settings, machine)
    name = choices.judge or settings.judge
    if name is None:
        preset = _preset(choices.preset or settings.preset) or _default_preset(names)
        if preset is None:
            raise UsageError("no judge was named", hint="Name one with -j.")
        name = preset.judge
    judge = names.model(name)
    _refuse_fusion_slugs((judge,))
    _demand_access({judge}, settings, machine)
    limit = _tokens("judge", judge, settings.max_completion_tokens)
    return Plan(prompt, tuple(panel), judge, judge, "none", judge_max_completion_tokens=limit)


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
        return parse_model(name, self._settings, default)


def _tool_choice(name: str | None) -> ToolChoice | None:
    for known in get_args(ToolChoice):
        if name == known:
            return cast("ToolChoice", known)
    if name is None:
        return None
    raise UsageError(f"--tool-choice: expected auto, required or none; found {describe(name)}")


def _preset(name: str | None) -> Preset | None:
    if name is None:
        return None
    if name not in PRESETS:
        raise UsageError(f"--preset: expected one of {', '.join(PRESETS)}; found {describe(name)}")
    return PRESETS[name]


def _default_preset(names: _Names) -> Preset | None:
    try:
        provider = names.default_provider()
    except CredentialError:  # every model may have been named with its provider
        return None
    if provider == "openrouter":
        return PRESETS["general-high"]
    if provider == "local":
        return PRESETS["local-small" if names.machine.memory_is_short() else "local"]
    return None


def _named_panel(choices: Choices, settings: Settings) -> bool:
    return bool(choices.panel or settings.panel)


def _seats(named: Sequence[str], settings: Settings, preset: Preset | None) -> list[Seat]:
    slugs = [slug.strip() for entry in named for slug in entry.split(",")] or list(settings.panel or ())
    if len(slugs) > MAX_PANELISTS:
        raise UsageError(f"the panel has {len(slugs)} models; it takes 1 to {MAX_PANELISTS}")
    if slugs:
        return [Seat(slug) for slug in slugs]
    if preset is None:
        raise UsageError(
            "no panel was named, and the default provider has no preset",
            hint="Name models with -p, or set `panel` with: fusion config set panel a,b,c",
        )
    return list(preset.panel)


def _suits(preset: Preset, panel: Iterable[ModelName]) -> bool:
    """Whether a preset's judge is at hand for a panel that was named: the same account, and nothing to fetch."""
    provider = preset.judge.partition(":")[0]
    return provider != "local" and any(model.provider == provider for model in panel)


def _refuse_fusion_slugs(models: Iterable[ModelName]) -> None:
    for model in models:
        if model.slug in ALIASES:
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
    return limit or (LOCAL_MAX_TOKENS[role] if model.provider == "local" else DEFAULT_MAX_COMPLETION_TOKENS)
