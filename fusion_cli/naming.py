"""Who serves a model that was named, and whether it can be had: its provider, its key, the embedded engine.

Knows nothing of roles, presets or defaults of a run; asks no server.
"""

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from fusion_cli.chat import ModelName
from fusion_cli.errors import ConfigError, CredentialError, UsageError
from fusion_cli.providers import Provider
from fusion_cli.settings import Settings, parse_model, resolve_provider
from fusion_cli.values import describe


def _ddgs_installed() -> bool:
    from importlib.util import find_spec

    return find_spec("ddgs") is not None


class Machine(NamedTuple):
    """What this machine can do, looked up when it matters."""

    engine_installed: Callable[[], bool]
    memory_is_short: Callable[[], bool]
    embedded_models: Callable[[], Collection[str]]
    ddgs_installed: Callable[[], bool] = _ddgs_installed


class Names:
    """Resolve `[provider:]slug`; the default provider is looked up only when a name needs one."""

    def __init__(self, settings: Settings, machine: Machine, provider: str | None) -> None:
        self._provider = provider
        self._settings = settings
        self.machine = machine
        if provider is not None:  # one that does not exist is a mistake even where no name needs it
            self.default_provider()

    def default_provider(self) -> str:
        """Return who serves what is named without a provider.

        Raises:
            UsageError: The one that was named does not exist.
            CredentialError: None was named, and none can be used.
        """
        return resolve_provider(self._settings, self._provider, self.machine.engine_installed)

    def named(self, name: str) -> ModelName:
        """Return the model that a name means, whether it can be had or not.

        Raises:
            UsageError: The name is none.
            CredentialError: It has no provider, and there is none by default.
        """
        head, colon, _ = name.partition(":")
        default = "" if colon and head in self._settings.providers else self.default_provider()
        model = parse_model(name, self._settings, default)
        own = self._settings.local_model
        return model._replace(slug=own.stem) if model.is_local and own else model

    def model(self, name: str) -> ModelName:
        """Return the model that a name means.

        Raises:
            UsageError: The name is none, or that of an embedded model that does not exist.
            ConfigError: The file of one's own weights is missing.
            CredentialError: It has no provider, and there is none by default that has it.
        """
        model, own = self.named(name), self._settings.local_model
        if not model.is_local:
            return model
        known = (*([own.stem] if own else []), *self.machine.embedded_models())
        is_named = name.startswith("local:") or (self._provider or self._settings.default_provider) is not None
        if not is_named and name not in known:  # it is one of the engine's only because there is no key
            hint = f"Embedded models are named {', '.join(f'local:{slug}' for slug in known)}."
            raise _no_key(self._settings.providers["openrouter"], hint)
        if own is None:
            if model.slug not in known:
                raise UsageError(f"there is no embedded model {describe(model.slug)}; known are {', '.join(known)}")
        elif not own.is_file():
            source = self._settings.sources.get("local.model", "").removeprefix("environment ")
            named = "local.model" if source in ("", "file") else source
            way = "fusion config set local.model PATH" if named == "local.model" else f"unset or correct {named}"
            raise ConfigError(f"{named}: there is no file {own}", hint=f"For another one: {way}")
        return model


def demand_access(models: Iterable[ModelName], settings: Settings, machine: Machine) -> None:
    """Raise what stands in the way of asking these models; no key's file is opened for that, nor its command run.

    Raises:
        ConfigError: The embedded engine is needed, and missing.
        CredentialError: A provider's key is needed, and not set.
    """
    for name in sorted({model.provider for model in models}):
        provider = settings.providers[name]
        if provider.is_local and not machine.engine_installed():
            raise ConfigError("the embedded engine is not installed", hint="pip install 'fusion-deliberation[local]'")
        if provider.api_key_env and not provider.has_key:
            raise _no_key(provider)


def _no_key(provider: Provider, hint: str = "") -> CredentialError:
    where = " (get a key at https://openrouter.ai/keys)" if provider.is_openrouter else ""
    return CredentialError(f"no key for {provider.name}: set {provider.api_key_env}{where}", hint=hint)
