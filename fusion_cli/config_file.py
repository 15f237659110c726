"""The config file's keys: what each is for, what it takes, and what a wrong value is told.

One table, `KEYS`, serves reading, `fusion config` and the error messages alike. Knows no environment, no
folder and no default, and never writes: `settings` and `commands.config` do. What could be a secret is never
quoted.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fusion_cli import amounts, key_sources, values
from fusion_cli.errors import ConfigError, UsageError
from fusion_cli.key_shapes import may_be_secret
from fusion_cli.presets import PRESETS
from fusion_cli.regular_files import open_regular
from fusion_cli.values import NAME_PATTERN, Kind, MisfitError, describe, printable, shown

BUILT_IN_PROVIDERS = ("openrouter", "local")
SEARCH_KEYS = {"brave": "BRAVE_API_KEY", "tavily": "TAVILY_API_KEY"}  # whose, and the variable that holds it
MEND = "Correct it with: fusion config edit"
_MAX_BYTES = 1_000_000
ANOTHER = "Name another file with --config or FUSION_CONFIG, or see to this one."


class Key(NamedTuple):
    """One key of the config file.

    Attributes:
        name: Dotted; a part `NAME` stands for a name of the user's choice.
        kind: What it takes.
        about: One line for the template and the help.
        example: A value as TOML, for the template.
    """

    name: str
    kind: Kind
    about: str
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


# What may stand at the top level and in a preset alike; `planning` knows which of the two counts.
_CHOICES = (
    Key(
        "panel",
        values.PANEL,
        "the models that are asked side by side",
        '["openai/gpt-5", {model = "anthropic/claude-opus-4.8", label = "sceptic", system = "Doubt everything."}]',
    ),
    Key("judge", values.MODEL, "the model that compares the panel's responses", '"openai/gpt-5"'),
    Key("model", values.MODEL, "the outer model, which writes the answer", '"openai/gpt-5"'),
    Key(
        "tool_choice",
        values.TOOL_CHOICE,
        "whether the panel meets: as the outer model decides, always, or never",
        '"auto"',
    ),
    Key("max_tool_calls", values.TOOL_CALLS, "how many steps with tools each panelist and the judge may take", "4"),
    Key(
        "max_completion_tokens",
        values.TOKENS,
        "how long each panelist and the judge may write, in tokens",
        "4000",
    ),
    Key("temperature", values.TEMPERATURE, "how freely the panel writes", "0.7"),
    Key("reasoning", values.REASONING, "how much panel and judge may think", '{effort = "low"}'),
    Key(
        "system",
        values.TEXT,
        "what every panelist and the outer model are told first",
        '"Answer for an experienced programmer."',
    ),
    Key("seed", values.SEED, "what settles everything that is drawn, as far as servers heed it", "1"),
    Key(
        "tools",
        values.TOOLS,
        "the web tools of panel and judge; none with []",
        '[{type = "openrouter:web_search", parameters = {max_results = 3}}]',
    ),
    Key("quotes", values.SWITCH, "whether the judge has to give quotes, which are checked", "true"),
    Key(
        "second_look",
        values.SWITCH,
        "whether the responses are judged a second time, in reversed order",
        "true",
    ),
    Key("timeout", amounts.DURATION, "how long each call may take to its first words", "300"),
    Key("idle_timeout", amounts.DURATION, "how long a model may pause in the middle of its words", '"2m"'),
    Key("deadline", amounts.DURATION, "how long the whole run may take, downloads included", '"30m"'),
    Key("quorum", values.QUORUM, "how many responses are enough to close the panel after the grace", "2"),
    Key("grace", amounts.GRACE, "how long the other panelists have once the quorum is there", '"30s"'),
    Key("max_cost", amounts.MONEY, "how many US dollars a run may take", "0.50"),
    Key(
        "allow_unknown_cost",
        values.SWITCH,
        "whether models whose price nobody knows may be called under max_cost",
        "false",
    ),
)

KEYS = (
    Key("provider", values.NAME, "who serves models named without one", '"openrouter"'),
    Key("preset", values.NAME, "a named panel with its judge, built in or of your own", '"general-high"'),
    *_CHOICES,
    Key("strict", values.SWITCH, "whether a degraded run ends with status 3", "false"),
    Key("save", values.SWITCH, "whether runs are kept in your data folder", "true"),
    Key("local.model", values.PATH, "your own weights for the embedded engine", '"~/models/own.gguf"'),
    Key("web.search", values.SEARCH, "which search the tool runs for models whose server has none", '"searxng"'),
    Key("web.searxng_url", values.URL, "a SearXNG server's address", '"http://127.0.0.1:8888"'),
    Key(
        "web.allow_hosts",
        values.HOSTS,
        "private hosts that models may fetch pages from",
        '["localhost:8000"]',
    ),
    Key(
        "providers.NAME.base_url",
        values.URL,
        "an OpenAI-compatible server; its models are NAME:slug",
        '"http://127.0.0.1:8000/v1"',
    ),
    Key(
        "providers.NAME.api_key_env",
        key_sources.VARIABLE,
        "the environment variable that holds the server's key",
        '"LAB_API_KEY"',
    ),
    Key(
        "providers.NAME.api_key_file",
        key_sources.FILE,
        "the file that holds the server's key, of mode 0600",
        '"~/.config/lab.key"',
    ),
    Key(
        "providers.NAME.api_key_command",
        key_sources.COMMAND,
        "the command whose first line is the server's key",
        '"pass show lab"',
    ),
    Key("presets.NAME.description", values.DESCRIPTION, "what a preset of your own is for", '"two minds of mine"'),
    *(key._replace(name=f"presets.NAME.{key.name}") for key in _CHOICES),
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
    raise UsageError(f"{shown(name)}: {_unknown(name)}", hint=_unknown_hint(name, "fusion config show"))


def read(path: Path, *, may_be_pipe: bool = False) -> bytes | None:
    """Return the file's bytes, or None when there is no such file.

    Args:
        path: The file.
        may_be_pipe: Whether whoever named it may have meant a pipe or a device.

    Raises:
        ConfigError: It cannot be read, or is larger than any config file.
    """
    try:
        with path.open("rb") if may_be_pipe else open_regular(path) as file:
            data = file.read(_MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):  # the latter where home is no folder, as services have it
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "a path that cannot be one"
        raise ConfigError(f"{printable(str(path))}: expected a readable file, found: {reason}", hint=ANOTHER) from None
    if len(data) > _MAX_BYTES:
        where = printable(str(path))
        raise ConfigError(f"{where}: expected a config file, found more than {_MAX_BYTES:,} bytes", hint=ANOTHER)
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
        raise ConfigError(f"{where}: expected text in UTF-8, found other bytes", hint=MEND) from None
    except RecursionError:
        raise ConfigError(f"{where}: expected TOML, found deeper nesting than can be read", hint=MEND) from None
    except ValueError as error:  # TOMLDecodeError, and numbers with too many digits
        raise ConfigError(f"{where}: expected TOML, found: {shown(str(error), 200)}", hint=MEND) from None


def check(document: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the document's values by dotted key, each as its key's `check` makes it.

    Raises:
        ConfigError: The first unknown key or bad value: file, key, what was expected and what was found.
    """
    found: dict[str, Any] = {}
    _collect(document, (), printable(str(path)), found)
    _demand_panels(document.get("presets", {}), printable(str(path)), found)
    custom = [name for name in document.get("providers", {}) if name != "openrouter"]
    for name in custom:
        if f"providers.{name}.base_url" not in found:
            key = f"providers.{shown(name)}.base_url"
            raise ConfigError(
                f"{printable(str(path))}: {key}: expected {values.URL.expects}, found nothing",
                hint=f"A provider starts with its address: fusion config set providers.{_nameable(name)}.base_url URL",
            )
    known = {"provider": (*BUILT_IN_PROVIDERS, *custom), "preset": (*PRESETS, *document.get("presets", {}))}
    for key, names in known.items():
        if key in found and found[key] not in names:
            told = f"expected one of {', '.join(map(shown, names))}; found {describe(found[key])}"
            raise ConfigError(f"{printable(str(path))}: {key}: {told}")
    return found


def _collect(table: Mapping[str, Any], above: tuple[str, ...], where: str, found: dict[str, Any]) -> None:
    for name, value in table.items():
        parts = (*above, name)
        dotted = ".".join(parts)
        said = f"{where}: {shown(dotted)}"
        if above in (("providers",), ("presets",)):
            _check_name(name, above[0].removesuffix("s"), said)
        keys = [key for key in KEYS if key.starts_with(parts)]
        if not keys:
            # The file that is wrong cannot be shown, but without one there are the same keys.
            hint = _unknown_hint(dotted, f"fusion --config {os.devnull} config show")
            raise ConfigError(f"{said}: {_unknown(dotted)}", hint=hint)
        if not keys[0].matches(parts):
            if not isinstance(value, dict):
                raise ConfigError(f"{said}: expected a table, found {describe(value)}")
            _collect(value, parts, where, found)
            continue
        try:
            found[dotted] = keys[0].kind.check(value)
        except MisfitError as error:
            expects = error.expects or keys[0].kind.expects
            raise ConfigError(f"{said}{error.inside}: expected {expects}, found {error}") from None


def _check_name(name: str, what: str, said: str) -> None:
    if what == "provider" and name == "local":
        raise ConfigError(f"{said}: expected another name: local is the embedded engine")
    if what == "preset" and name in PRESETS:
        raise ConfigError(f"{said}: expected another name: {name} is built in")
    if not re.fullmatch(NAME_PATTERN, name):
        raise ConfigError(f"{said}: expected a {what}'s name of letters, digits, - and _")


def _demand_panels(presets: Mapping[str, Any], where: str, found: Mapping[str, Any]) -> None:
    for name in presets:
        if f"presets.{name}.panel" not in found:
            table = f"presets.{_nameable(name)}"
            raise ConfigError(
                f"{where}: {table}.panel: expected {values.PANEL.expects}, found nothing",
                hint=f"A preset starts with its panel: fusion config set {table}.panel a,b,c"
                f" (and ends with: fusion config unset {table})",
            )


def _unknown(name: str) -> str:
    """Say that there is no such key, and which one may be meant."""
    from difflib import get_close_matches

    parts = name.split(".")
    is_own = len(parts) > 1 and parts[0] != "web" and re.fullmatch(NAME_PATTERN, parts[1])
    own = parts[1] if is_own else "NAME"
    known = {key.name.replace("NAME", own): key.name.replace("NAME", _nameable(own)) for key in KEYS}
    near = get_close_matches(name, known, n=1)
    return f"unknown key, did you mean {known[near[0]]}?" if near else "unknown key"


def _nameable(name: str) -> str:
    """Return a provider's or preset's name as a command may show it: whole, or NAME where it may be a secret."""
    return "NAME" if may_be_secret(name) else name


def _unknown_hint(name: str, lister: str) -> str:
    if re.match(r"(?i)web\.|brave|tavily", name):
        own = ", ".join(key.name.removeprefix("web.") for key in KEYS if key.name.startswith("web."))
        variables = " and ".join(SEARCH_KEYS.values())
        return f"the keys of web are {own}; API keys are never in this file: they are read from {variables}"
    if re.search(r"(?i)key|token(?!s)|secret|password", name) or may_be_secret(name):
        return "keys of providers are never in this file: it names the variable, the file or the command that has one"
    if name.startswith("presets."):
        return "the keys of a preset are description, " + ", ".join(key.name for key in _CHOICES)
    return f"{lister} lists every key"
