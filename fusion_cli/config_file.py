"""The config file's keys: what each is for, what it takes, and what a wrong value is told.

One table, `KEYS`, serves reading, `fusion config` and the error messages alike. Knows no environment, no
folder and no default, and never writes: `settings` and `commands.config` do. What could be a secret is never
quoted.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fusion_cli.errors import ConfigError, UsageError

BUILT_IN_PROVIDERS = ("openrouter", "local")
_MAX_BYTES = 1_000_000
# Patterns are compiled when they are first needed, which for most runs is never.
_NAME = r"[A-Za-z0-9_-]{1,64}"
_VARIABLE = r"[A-Z_][A-Z0-9_]{0,99}"
_HOST = r"[A-Za-z0-9._-]{1,253}"
_KEY_SHAPE = (
    r"(?i)(?<![a-z0-9])(?:(?:sk|gsk|rk|xai)[-_]|hf_|gh[opsu]_|github_pat_|glpat-|AIza|bearer\b).{4}"
    r"|(?=[a-z_-]*[0-9])(?=[0-9_-]*[a-z])[a-z0-9_]{24,}"
)
_NOT_SHOWN = "(not shown: it looks like a secret)"


class MisfitError(ValueError):
    """Tell that a key does not take a value; the text describes what was found, fit to be shown."""


class Key(NamedTuple):
    """One key of the config file.

    Attributes:
        name: Dotted; a part `NAME` stands for a name of the user's choice.
        expects: What it takes, to stand after "expected".
        about: One line for the template and the help.
        check: Returns the value as settings want it, or raises MisfitError.
        example: A value as TOML, for the template.
    """

    name: str
    expects: str
    about: str
    check: Callable[[object], object]
    example: str

    def matches(self, parts: tuple[str, ...]) -> bool:
        """Tell whether a dotted name, in parts, is this key's."""
        own = self.name.split(".")
        return len(own) == len(parts) and self.starts_with(parts)

    def starts_with(self, parts: tuple[str, ...]) -> bool:
        """Tell whether this key stands in the table of that name, or is it."""
        own = self.name.split(".")
        pairs = zip(own, parts, strict=False)
        return len(parts) <= len(own) and all(mine in ("NAME", theirs) for mine, theirs in pairs)


def printable(text: str) -> str:
    """Return the text with everything unprintable (line breaks, escapes, bidi controls) spelled out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown(text: str, limit: int = 60) -> str:
    """Return the text fit for one line of a message: printable, short, and not when it may be a secret."""
    if _may_be_secret(text):
        return _NOT_SHOWN
    text = printable(text)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def describe(value: object) -> str:
    """Return what a value is, to stand after "found"."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value) if abs(value) < 2**63 else "a huge number"
        case float():
            return str(value)
        case str():
            text = shown(value)
            return text if text == _NOT_SHOWN else f'"{text}"'
        case list() | tuple():
            return "an array"
        case dict():
            return "a table"
        case _:
            return "a date or a time"


def fit_model(value: object) -> str:
    """Return a model's name, `[provider:]slug`, or raise MisfitError."""
    if not isinstance(value, str) or not 0 < len(value) <= 200 or not value.isprintable() or " " in value:
        raise MisfitError(describe(value))
    return value


def fit_url(value: object) -> str:
    """Return a server's base address without its last slash, or raise MisfitError, which quotes none of it."""
    from urllib.parse import urlsplit

    if not isinstance(value, str):
        raise MisfitError(describe(value))
    if not value.isascii() or not value.isprintable() or " " in value or "\\" in value:
        raise MisfitError("white space or another character that has no place there")
    try:
        parts = urlsplit(value)
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
    except ValueError:
        raise MisfitError("a host or port that is none") from None
    if scheme not in ("http", "https"):
        raise MisfitError("no http:// or https:// at the start")
    if "@" in parts.netloc:
        raise MisfitError("a user name or password")
    if "?" in value or "#" in value:
        raise MisfitError("a query or fragment")
    if (not re.fullmatch(_HOST, host) and not parts.netloc.startswith("[")) or "%" in host or port == 0:
        raise MisfitError("no host" if not host else "a host or port that is none")
    return value.rstrip("/")


def _fit_panel(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise MisfitError(describe(value))
    if not 1 <= len(value) <= 8:
        raise MisfitError(f"{len(value)} of them")
    return tuple(fit_model(entry) for entry in value)


def _fit_name(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(_NAME, value):
        raise MisfitError(describe(value))
    return value


def _fit_variable(value: object) -> str:
    # A key pasted here instead of its variable's name is the likely mistake, so the text is never quoted.
    if not isinstance(value, str) or not re.fullmatch(_VARIABLE, value) or _may_be_secret(value):
        raise MisfitError("something else (not shown)")
    return value


def _fit_tool_choice(value: object) -> str:
    if not isinstance(value, str) or value not in ("auto", "required", "none"):
        raise MisfitError(describe(value))
    return value


def _fit_bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise MisfitError(describe(value))
    return value


def _fit_count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**63:
        raise MisfitError(describe(value))
    return value


def _fit_temperature(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 2:
        raise MisfitError(describe(value))
    return float(value)


def _fit_path(value: object) -> str:
    # A relative one would mean another file in every working directory.
    if not isinstance(value, str) or not value.isprintable():
        raise MisfitError(describe(value))
    if not value.startswith("~") and not Path(value).is_absolute():
        raise MisfitError(describe(value))
    return value


MODEL = "[provider:]slug (no white space, at most 200 characters)"
URL = "the address of a server, like https://host/v1"
KEYS = (
    Key("provider", "a provider's name", "who serves models named without one", _fit_name, '"openrouter"'),
    Key("model", MODEL, "the outer model, which writes the answer", fit_model, '"openai/gpt-5"'),
    Key("judge", MODEL, "the model that compares the panel's responses", fit_model, '"openai/gpt-5"'),
    Key(
        "panel",
        f"an array of 1 to 8, each {MODEL}",
        "the models that are asked side by side",
        _fit_panel,
        '["openai/gpt-5", "anthropic/claude-opus-4.8"]',
    ),
    Key("preset", "a preset's name", "a named panel with its judge", _fit_name, '"general-high"'),
    Key(
        "tool_choice",
        "auto, required or none",
        "whether the panel meets: as the outer model decides, always, or never",
        _fit_tool_choice,
        '"auto"',
    ),
    Key("strict", "true or false", "whether a degraded run ends with status 3", _fit_bool, "false"),
    Key(
        "max_completion_tokens",
        "a whole number from 1",
        "how long each panelist and the judge may write, in tokens",
        _fit_count,
        "4000",
    ),
    Key("temperature", "a number from 0 to 2", "how freely the panel writes", _fit_temperature, "0.7"),
    Key(
        "local.model",
        "the full path of a GGUF file (~ may stand for the home folder)",
        "your own weights for the embedded engine",
        _fit_path,
        '"~/models/own.gguf"',
    ),
    Key(
        "providers.NAME.base_url",
        URL,
        "an OpenAI-compatible server; its models are NAME:slug",
        fit_url,
        '"http://127.0.0.1:8000/v1"',
    ),
    Key(
        "providers.NAME.api_key_env",
        "the NAME of an environment variable, in capitals, never the key itself",
        "the environment variable that holds the server's key",
        _fit_variable,
        '"LAB_API_KEY"',
    ),
)


def find_key(name: str) -> Key:
    """Return the key of that dotted name.

    Raises:
        UsageError: There is none; the message suggests the nearest one.
    """
    parts = tuple(name.split("."))
    for key in KEYS:
        if key.matches(parts):
            return key
    raise UsageError(f"{shown(name)}: {_unknown(name)}", hint=_unknown_hint(name))


def read(path: Path) -> bytes | None:
    """Return the file's bytes, or None when there is no such file.

    Raises:
        ConfigError: It cannot be read, or is larger than any config file.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "a path that cannot be one"
        raise ConfigError(f"{printable(str(path))}: expected a readable file, found: {reason}") from None
    if len(data) > _MAX_BYTES:
        where = printable(str(path))
        raise ConfigError(f"{where}: expected a config file, found more than {_MAX_BYTES} bytes")
    return data


def parse(data: bytes, path: Path) -> dict[str, Any]:
    """Return the TOML document; `path` is for the message alone.

    Raises:
        ConfigError: It is not TOML in UTF-8.
    """
    import tomllib

    where = printable(str(path))
    try:
        # Python's newline translation is TOML's: CRLF is a line break, and nothing else changes.
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ConfigError(f"{where}: expected text in UTF-8, found other bytes") from None
    except RecursionError:
        raise ConfigError(f"{where}: expected TOML, found deeper nesting than can be read") from None
    except ValueError as error:  # TOMLDecodeError, and numbers with too many digits
        raise ConfigError(f"{where}: expected TOML, found: {shown(str(error), 200)}") from None


def check(document: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the document's values by dotted key, each as its key's `check` makes it.

    Raises:
        ConfigError: The first unknown key or bad value: file, key, what was expected and what was found.
    """
    values: dict[str, Any] = {}
    _collect(document, (), printable(str(path)), values)
    custom = [name for name in document.get("providers", {}) if name != "openrouter"]
    for name in custom:
        if f"providers.{name}.base_url" not in values:
            key = f"providers.{shown(name)}.base_url"
            raise ConfigError(f"{printable(str(path))}: {key}: expected {URL}, found nothing")
    known = (*BUILT_IN_PROVIDERS, *custom)
    if values.get("provider", "local") not in known:
        names, found = ", ".join(map(shown, known)), describe(values["provider"])
        raise ConfigError(f"{printable(str(path))}: provider: expected one of {names}; found {found}")
    return values


def _collect(table: Mapping[str, Any], above: tuple[str, ...], where: str, values: dict[str, Any]) -> None:
    for name, value in table.items():
        parts = (*above, name)
        dotted = ".".join(parts)
        said = f"{where}: {shown(dotted)}"
        if above == ("providers",):
            if name == "local":
                raise ConfigError(f"{said}: expected another name: local is the embedded engine")
            if not re.fullmatch(_NAME, name):
                raise ConfigError(f"{said}: expected a provider's name of letters, digits, - and _")
        keys = [key for key in KEYS if key.starts_with(parts)]
        if not keys:
            raise ConfigError(f"{said}: {_unknown(dotted)}", hint=_unknown_hint(dotted))
        if not keys[0].matches(parts):
            if not isinstance(value, dict):
                raise ConfigError(f"{said}: expected a table, found {describe(value)}")
            _collect(value, parts, where, values)
            continue
        try:
            values[dotted] = keys[0].check(value)
        except MisfitError as error:
            raise ConfigError(f"{said}: expected {keys[0].expects}, found {error}") from None


def _may_be_secret(text: str) -> bool:
    return bool(re.search(_KEY_SHAPE, text[:400]))  # no more of it is ever shown, and the search is quadratic


def _unknown(name: str) -> str:
    """Say that there is no such key, and which one may be meant."""
    from difflib import get_close_matches

    parts = name.split(".")
    known = [key.name for key in KEYS]
    if parts[0] == "providers" and len(parts) > 1 and re.fullmatch(_NAME, parts[1]):
        known = [key.replace("NAME", parts[1]) for key in known]
    near = get_close_matches(name, known, n=1)
    return f"unknown key, did you mean {shown(near[0])}?" if near else "unknown key"


def _unknown_hint(name: str) -> str:
    if re.search(r"(?i)key|token|secret|password", name) or _may_be_secret(name):
        return "keys of providers are never in this file: it names the environment variable that holds one"
    return "the keys are " + ", ".join(key.name for key in KEYS)
