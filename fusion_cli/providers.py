"""Who serves models: the providers of config file and environment, each with its address and where its key comes from.

Handed the environment, never reads it; obtains no key but one that stands in a variable (`keys` has the others). A key
that would travel in the clear is refused here, wherever it comes from.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fusion_cli.addresses import keeps_secrets
from fusion_cli.config_file import BUILT_IN_PROVIDERS
from fusion_cli.errors import ConfigError
from fusion_cli.values import URL, MisfitError, printable, shown

_OPENROUTER_URL = "https://openrouter.ai/api/v1"


class Provider(NamedTuple):
    """Somebody who serves models.

    Attributes:
        name: What stands before the colon in `provider:slug`.
        base_url: Without a slash at its end; empty for the embedded engine.
        api_key: What the environment variable holds, fit for a header, or None when none is set.
        api_key_env: The environment variable the key is read from, or None when the server wants none.
        api_key_file: The file that holds the key where the variable does not.
        api_key_command: The command line that prints the key where neither of them has it.
    """

    name: str
    base_url: str = ""
    api_key: str | None = None
    api_key_env: str | None = None
    api_key_file: str | None = None
    api_key_command: str | None = None

    def __repr__(self) -> str:
        """Say who it is; a key is never shown."""
        return f"Provider({self.name!r}, {self.base_url!r})"

    @property
    def is_local(self) -> bool:
        """Whether it is the embedded engine."""
        return self.name == "local"

    @property
    def is_openrouter(self) -> bool:
        """Whether it speaks OpenRouter's dialect."""
        return self.name == "openrouter"

    @property
    def has_key(self) -> bool:
        """Whether there is a key, or something that is to have one; nothing is opened or run to tell."""
        return bool(self.api_key or self.api_key_file or self.api_key_command)

    @property
    def key_hint(self) -> str:
        """Where the key comes from, or how to set one, for whoever has to change it."""
        if not self.api_key and (self.api_key_file or self.api_key_command):
            return f"It comes from providers.{self.name}.api_key_{'file' if self.api_key_file else 'command'}."
        if self.is_openrouter:
            return f"Set {self.api_key_env} (a key is at https://openrouter.ai/keys)."
        if self.api_key_env:
            return f"Set {self.api_key_env}."
        return f"Name the variable that holds its key: fusion config set providers.{self.name}.api_key_env VARIABLE"


def read_providers(
    values: Mapping[str, Any], sources: dict[str, str], path: Path, environ: Mapping[str, str]
) -> dict[str, Provider]:
    """Return the providers by name, built in first, and note in `sources` what the environment gave.

    Args:
        values: The config file's, by dotted key.
        sources: Where each dotted key got its value; added to.
        path: The config file, for messages alone.
        environ: The environment.

    Raises:
        ConfigError: An address or a key cannot be used, or not together.
    """
    in_file = (key.split(".")[1] for key in values if key.startswith("providers."))
    names = dict.fromkeys((*BUILT_IN_PROVIDERS, *in_file))
    return {
        name: Provider(name) if name == "local" else _provider(name, values, sources, path, environ) for name in names
    }


def _provider(
    name: str, values: Mapping[str, Any], sources: dict[str, str], path: Path, environ: Mapping[str, str]
) -> Provider:
    above = f"providers.{name}"
    base_url = values.get(f"{above}.base_url", _OPENROUTER_URL)
    variable = values.get(f"{above}.api_key_env", "OPENROUTER_API_KEY" if name == "openrouter" else None)
    named_by = ""
    if name == "openrouter" and (text := environ.get("OPENROUTER_BASE_URL", "").strip()):
        named_by = "OPENROUTER_BASE_URL"
        sources[f"{above}.base_url"] = "environment OPENROUTER_BASE_URL"
        try:
            base_url = URL.check(text)
        except MisfitError as error:
            raise ConfigError(f"{named_by}: expected {URL.expects}, found {error}") from None
    file, command = values.get(f"{above}.api_key_file"), values.get(f"{above}.api_key_command")
    provider = Provider(name, base_url, key_in(variable, environ), variable, file, command)
    if provider.has_key:
        from_file = "key file" if file else "command"
        sources[f"{above}.api_key"] = f"environment {variable}" if provider.api_key else from_file
        if not keeps_secrets(base_url):
            said = named_by or f"{printable(str(path))}: {shown(above)}.base_url"
            key = variable if provider.api_key else "api_key_file" if file else "api_key_command"
            raise ConfigError(
                f"{said}: expected https://, found http:// with {key} set: a key never travels in the clear"
            )
    return provider


def key_in(variable: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the key that an environment variable holds, or None where it holds none.

    Raises:
        ConfigError: It holds what cannot be a key.
    """
    key = environ.get(variable, "").strip() if variable else ""
    if not fits_header(key):
        raise ConfigError(
            f"{variable} holds a line break or another character that cannot stand in a header",
            hint="Set it anew, to the key alone.",
        )
    return key or None


def fits_header(key: str) -> bool:
    """Tell whether a key can be sent: printable ASCII without white space."""
    return all("!" <= character <= "~" for character in key)
