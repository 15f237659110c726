"""Config file, environment and flags, merged into one frozen `Settings`.

The only reader of `os.environ`, and the owner of every path. Decides nothing about a run: what is not configured
is None here, and presets and defaults are somebody else's. What is wrong is said now, before anything is sent.
"""

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from fusion_cli import config_file
from fusion_cli.chat import ModelName
from fusion_cli.choices import Choices
from fusion_cli.errors import ConfigError, CredentialError, UsageError
from fusion_cli.presets import Preset
from fusion_cli.providers import Provider, key_in, read_providers
from fusion_cli.screens import Screen
from fusion_cli.values import MODEL, MisfitError, as_data, describe, fit_model, printable

_LINUX_DIRS = {"config": ".config", "data": ".local/share", "cache": ".cache"}
_OF_PROVIDERS = ("base_url", "api_key_env", "api_key_file", "api_key_command")


class Web(NamedTuple):
    """What the tool's own web search and fetch may use; nothing is asked here, nor is a key tried.

    Attributes:
        search: As configured; `backend` derives one where it is None.
        searxng_url: Without a slash at its end.
        allow_hosts: `host:port`, in lower case, of what may be fetched from though it is private.
        api_keys: Of "brave" and "tavily", where set; fit for a header.
    """

    search: str | None = None
    searxng_url: str | None = None
    allow_hosts: tuple[str, ...] = ()
    api_keys: Mapping[str, str] = MappingProxyType({})

    def __repr__(self) -> str:
        """Say what is set; of a key, only whose it is."""
        return f"Web({self.search!r}, {self.searxng_url!r}, {self.allow_hosts!r}, keys of {sorted(self.api_keys)})"

    @property
    def backend(self) -> str | None:
        """The search in use: as configured, else what there is an address or a key for; DuckDuckGo by name alone."""
        usable = {"searxng": self.searxng_url, **{name: self.api_keys.get(name) for name in ("brave", "tavily")}}
        return self.search or next((name for name, means in usable.items() if means), None)


class Settings(NamedTuple):
    """What the user configured; None means nothing was.

    Attributes:
        default_provider: As configured; `resolve_provider` derives one where it is None.
        configured: What the config file asks for; its `provider` is None, as `default_provider` says that.
        presets: The user's own, by name, in the order of the file.
        fusion_depth: How many fusions this process runs inside of.
        config_path: Where the config file is, or would be.
        config_source: What named it: "flag", "environment FUSION_CONFIG" or "default".
        sources: Where each dotted key got its value: "file" or "environment NAME"; absent means "default".
    """

    providers: Mapping[str, Provider]
    config_path: Path
    config_source: str = "default"
    default_provider: str | None = None
    configured: Choices = Choices()
    presets: Mapping[str, Preset] = MappingProxyType({})
    strict: bool | None = None
    save: bool | None = None
    local_model: Path | None = None
    web: Web = Web()
    fusion_depth: int = 0
    sources: Mapping[str, str] = MappingProxyType({})

    @property
    def key_dir(self) -> Path:
        """Where keys are kept: the user's own folder, wherever the config file is, as that may be shared."""
        return _user_dir("config")

    @property
    def data_dir(self) -> Path:
        """Where what must last is kept."""
        return _user_dir("data")

    @property
    def cache_dir(self) -> Path:
        """Where what can be had again is kept."""
        return _user_dir("cache")

    @property
    def models_dir(self) -> Path:
        """Where fetched weights are kept."""
        return self.cache_dir / "models"

    @property
    def runs_dir(self) -> Path:
        """Where runs are kept."""
        return self.data_dir / "runs"

    @property
    def own_files(self) -> list[str]:
        """The files that the settings and the keys come from."""
        keys = [provider.api_key_file for provider in self.providers.values()]
        return [str(self.config_path), *(str(Path(key).expanduser()) for key in keys if key)]


class Entry(NamedTuple):
    """One value for `fusion config show`, as JSON holds it, None for "not set"; a key is "set", never itself."""

    key: str
    value: Any
    source: str


def read_screen(environ: Mapping[str, str] | None = None) -> Screen:
    """Read from the environment, `os.environ` when None, what the screen is and is to show."""
    environ = os.environ if environ is None else environ
    columns = environ.get("COLUMNS", "")
    return Screen(
        environ.get("TERM", ""),
        is_ci=environ.get("CI", "").lower() not in ("", "0", "false"),
        no_color=bool(environ.get("NO_COLOR", "")),
        force_color=environ.get("FORCE_COLOR", "") not in ("", "0"),
        columns=int(columns) if re.fullmatch("[2-9][0-9]|[1-9][0-9]{2,3}", columns) else Screen().columns,
    )


def load(
    config_flag: Path | None = None, *, environ: Mapping[str, str] | None = None, may_be_missing: bool = False
) -> Settings:
    """Read the config file and the environment.

    Args:
        config_flag: What `--config` named.
        may_be_missing: Whether a file that was named need not be there.
        environ: The environment, `os.environ` when None. The user's folders are platformdirs' in any case,
            which reads the process's own (XDG_CONFIG_HOME and its kind).

    Raises:
        ConfigError: Something in them cannot be used.
        UsageError: FUSION_PROVIDER names a provider that does not exist.
    """
    environ = os.environ if environ is None else environ
    path, named_by = _locate(config_flag, environ)
    data = config_file.read(path, may_be_pipe=named_by != "default")
    if data is None and named_by != "default" and not may_be_missing:
        said = f"{printable(str(path))}: expected a config file, found none (named by {named_by})"
        raise ConfigError(said, hint="fusion config init makes one")
    try:
        values = config_file.check(config_file.parse(data, path), path) if data is not None else {}
    except ConfigError as error:
        if error.hint in ("", config_file.MEND):
            error.hint = config_file.MEND if config_flag is None else _mend_named(path)
        raise
    sources = dict.fromkeys(values, "file")
    providers = read_providers(values, sources, path, environ)
    if provider := environ.get("FUSION_PROVIDER", "").strip():
        _refuse_unknown(provider, providers, "FUSION_PROVIDER")
        values["provider"] = provider
        sources["provider"] = "environment FUSION_PROVIDER"
    return Settings(
        local_model=_local_model(values, sources, path, environ),
        providers=providers,
        config_path=path,
        config_source=named_by,
        default_provider=values.get("provider"),
        configured=_choices(values),
        presets=_presets(values),
        strict=values.get("strict"),
        save=values.get("save"),
        web=_web(values, sources, environ),
        fusion_depth=_fusion_depth(environ),
        sources=sources,
    )


def config_path(config_flag: Path | None = None, *, environ: Mapping[str, str] | None = None) -> Path:
    """Return where the config file is or would be, without reading it.

    Raises:
        ConfigError: No home folder is known.
    """
    return _locate(config_flag, os.environ if environ is None else environ)[0]


def editor(*, environ: Mapping[str, str] | None = None) -> str:
    """Return the command line of the user's editor: $VISUAL, $EDITOR, or the one that every system has."""
    environ = os.environ if environ is None else environ
    fallback = "notepad" if os.name == "nt" else "vi"
    return environ.get("VISUAL", "").strip() or environ.get("EDITOR", "").strip() or fallback


def step_summary(*, environ: Mapping[str, str] | None = None) -> Path | None:
    """Return the file that a GitHub job's summary is appended to; None outside of one."""
    named = (os.environ if environ is None else environ).get("GITHUB_STEP_SUMMARY", "")
    return Path(named) if named else None


def terminal_variables(*, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what the environment says of the terminal, of those variables that are set."""
    environ = os.environ if environ is None else environ
    names = ("TERM", "NO_COLOR", "FORCE_COLOR", "COLORTERM", "CI")
    return {name: environ[name] for name in names if environ.get(name)}


def resolve_provider(settings: Settings, flag: str | None, engine_installed: Callable[[], bool]) -> str:
    """Return who serves the models that are named without a provider.

    Args:
        settings: As loaded.
        flag: What `--provider` named.
        engine_installed: Says whether the embedded engine could be started; asked only where that matters.

    Raises:
        UsageError: The flag names a provider that does not exist.
        CredentialError: None was named, and none can be used.
    """
    if flag is not None:
        _refuse_unknown(flag, settings.providers, "--provider")
        return flag
    if settings.default_provider is not None:
        return settings.default_provider
    openrouter = settings.providers["openrouter"]
    if openrouter.has_key:
        return openrouter.name
    if engine_installed():
        return "local"
    raise CredentialError(
        "no model can be asked yet: be led through it with fusion config init, or set "
        f"{openrouter.api_key_env} (a key is at https://openrouter.ai/keys), or get small models that need no key "
        "with pip install 'fusion-deliberation[local]'"
    )


def parse_model(name: str, settings: Settings, default_provider: str) -> ModelName:
    """Split `[provider:]slug`, where only a provider that exists counts as one: a slug may hold colons.

    Raises:
        UsageError: It is empty, too long, or holds white space or what cannot be printed.
    """
    provider, colon, slug = name.partition(":")
    if not colon or provider not in settings.providers:
        provider, slug = default_provider, name
    try:
        fit_model(name)
        return ModelName(provider, fit_model(slug))
    except MisfitError:
        said = f"{MODEL.expects}, found {describe(name)}"
        raise UsageError(f"model: expected {said}") from None


def entries(settings: Settings) -> tuple[Entry, ...]:
    """Return every value that can be configured, and whether each provider's key is set, with its source.

    Of presets there is what is set.
    """
    local_model = settings.local_model
    values: dict[str, Any] = {
        "provider": settings.default_provider,
        "strict": settings.strict,
        "save": settings.save,
        "local.model": None if local_model is None else str(local_model),
        "web.search": settings.web.search,
        "web.searxng_url": settings.web.searxng_url,
        "web.allow_hosts": settings.web.allow_hosts if "web.allow_hosts" in settings.sources else None,
    }
    in_order = [key.name for key in config_file.KEYS if "NAME" not in key.name]
    for name in in_order:
        if name not in values:
            values[name] = getattr(settings.configured, name)
    for name in config_file.SEARCH_KEYS:
        values[f"web.{name}_api_key"] = "set" if name in settings.web.api_keys else None
        in_order.append(f"web.{name}_api_key")
    for provider in settings.providers.values():
        if not provider.is_local:
            above = f"providers.{provider.name}"
            own = {name: getattr(provider, name) for name in _OF_PROVIDERS}
            own["api_key"] = "set" if provider.has_key else None
            values |= {f"{above}.{name}": value for name, value in own.items()}
            in_order += [f"{above}.{name}" for name in own]
    for name, preset in settings.presets.items():
        said = {"description": preset.description or None, **preset.choices._asdict()}
        own = {f"presets.{name}.{key}": value for key, value in said.items() if value is not None}
        values |= own
        in_order += own
    return tuple(Entry(name, as_data(values[name]), settings.sources.get(name, "default")) for name in in_order)


def _choices(values: Mapping[str, Any]) -> Choices:
    # `provider` may come from the environment, too: it is a field of its own.
    return Choices(**{name: values[name] for name in Choices._fields if name in values and name != "provider"})


def _presets(values: Mapping[str, Any]) -> dict[str, Preset]:
    """Return the user's own presets; what must be in one is checked already."""
    inside: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        if key.startswith("presets."):
            _, name, own = key.split(".")
            inside.setdefault(name, {})[own] = value
    return {name: Preset(said.get("description", ""), _choices(said)) for name, said in inside.items()}


def _user_dir(kind: Literal["config", "data", "cache"]) -> Path:
    if found := _usual_dir(kind):
        return found
    import platformdirs

    find = {
        "config": platformdirs.user_config_path,
        "data": platformdirs.user_data_path,
        "cache": platformdirs.user_cache_path,
    }[kind]
    # Without HOME and a passwd entry platformdirs raises, or (older ones) answers with a literal ~ below the
    # working directory, where a cloned repository could have put a config file.
    try:
        path = find("fusion", appauthor=False)
    except RuntimeError:
        path = Path()
    if not path.is_absolute():
        raise ConfigError(f"no home folder is known, so there is no {kind} folder", hint="set HOME")
    return path


def _usual_dir(kind: Literal["config", "data", "cache"]) -> Path | None:
    """Return what platformdirs would on an ordinary Linux, without its import: somebody who presses Tab waits."""
    if sys.platform != "linux" or "ANDROID_DATA" in os.environ:
        return None
    chosen, home = os.environ.get(f"XDG_{kind.upper()}_HOME", ""), os.environ.get("HOME", "")
    if chosen.startswith("/"):
        return Path(chosen) / "fusion"
    return Path(home) / _LINUX_DIRS[kind] / "fusion" if home.startswith("/") else None


def _locate(flag: Path | None, environ: Mapping[str, str]) -> tuple[Path, str]:
    if flag is not None:
        return flag, "flag"
    if named := environ.get("FUSION_CONFIG", ""):
        return Path(named), "environment FUSION_CONFIG"
    return _user_dir("config") / "config.toml", "default"


def _mend_named(path: Path) -> str:
    import shlex

    return config_file.MEND.replace("fusion", f"fusion --config {printable(shlex.quote(str(path)))}")


def _refuse_unknown(name: str, providers: Mapping[str, Provider], named_by: str) -> None:
    if name not in providers:
        known = ", ".join(providers)
        raise UsageError(f"{named_by}: expected one of {known}; found {describe(name)}")


def _local_model(
    values: Mapping[str, Any], sources: dict[str, str], path: Path, environ: Mapping[str, str]
) -> Path | None:
    said = f"{printable(str(path))}: local.model"
    text = values.get("local.model")
    if named := environ.get("FUSION_LOCAL_MODEL", ""):
        said, text = "FUSION_LOCAL_MODEL", named
        if not named.isprintable():
            raise ConfigError(f"{said}: expected a path, found {describe(named)}")
        sources["local.model"] = "environment FUSION_LOCAL_MODEL"
    if text is None:
        return None
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ConfigError(f"{said}: expected a path, found ~ for a home folder that is not known") from None


def _web(values: Mapping[str, Any], sources: dict[str, str], environ: Mapping[str, str]) -> Web:
    configured = {name: values[f"web.{name}"] for name in Web._fields if f"web.{name}" in values}
    api_keys: dict[str, str] = {}
    for name, variable in config_file.SEARCH_KEYS.items():
        if api_key := key_in(variable, environ):
            api_keys[name] = api_key
            sources[f"web.{name}_api_key"] = f"environment {variable}"
    return Web(**configured, api_keys=MappingProxyType(api_keys))


def _fusion_depth(environ: Mapping[str, str]) -> int:
    text = environ.get("FUSION_DEPTH", "").strip() or "0"
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise ConfigError(f"FUSION_DEPTH: expected a whole number from 0, found {describe(text)}")
    return int(text)
