"""What a value that a user gives must be: one check each, for flags, config file, presets and requests alike.

A check returns the value as the rest of the program wants it, or says what was found instead. Knows no option, no key
and no file by name. What could be a secret is never quoted.
"""

import re
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from fusion_cli import addresses
from fusion_cli.chat import Reasoning, ServerTool
from fusion_cli.choices import Seat
from fusion_cli.errors import UsageError
from fusion_cli.key_shapes import is_key, may_be_secret
from fusion_cli.plan import MAX_PANELISTS

SEARCHES = ("searxng", "brave", "tavily", "duckduckgo")
EFFORTS = ("max", "xhigh", "high", "medium", "low", "minimal", "none")
FUSION_TOOL_TYPE = "openrouter:fusion"
_MAX_TOOLS = 8
_MAX_HOSTS = 20
_MAX_DEPTH = 20  # of a tool's parameters, which are flat in truth
_MOST = 2**53  # what JSON's numbers hold exactly
# Patterns are compiled when they are first needed, which for most runs is never.
NAME_PATTERN = r"[A-Za-z0-9_-]{1,64}"
_NOT_SHOWN = "(not shown: it looks like a secret)"


class MisfitError(ValueError):
    """Tell that a value does not fit; the text describes what was found, fit to be shown.

    Attributes:
        inside: Where in the value, like `[1].temperature`; empty for the value itself.
        expects: What was expected there; None leaves that to the value's kind.
    """

    def __init__(self, found: str, *, inside: str = "", expects: str | None = None) -> None:
        super().__init__(found)
        self.inside = inside
        self.expects = expects


class Kind(NamedTuple):
    """One kind of value.

    Attributes:
        expects: What it takes, to stand after "expected".
        check: Returns the value as the program wants it, or raises MisfitError.
        read: Makes of a flag's text what `check` takes.
    """

    expects: str
    check: Callable[[object], Any]
    read: Callable[[str], object] = str

    def fit(self, value: object, where: str) -> Any:
        """Return the checked value.

        Raises:
            UsageError: It does not fit; says where, what was expected and what was found.
        """
        try:
            return self.check(value)
        except MisfitError as error:
            expects = error.expects or self.expects
            raise UsageError(f"{where}{error.inside}: expected {expects}, found {error}") from None


def printable(text: str) -> str:
    """Return the text with everything unprintable (line breaks, escapes, bidi controls) spelled out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown(text: str, limit: int = 60) -> str:
    """Return the text fit for one line of a message: printable, short, and not when it may be a secret."""
    if may_be_secret(text):
        return _NOT_SHOWN
    text = printable(text)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def describe(value: object) -> str:
    """Return what a value is, to stand after "found"."""
    match value:
        case None:
            return "null"
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


def as_data(value: Any) -> Any:
    """Return a checked value as JSON and TOML hold it, with only what was set: the reverse of `check`."""
    match value:
        case Seat() if value == Seat(value.model):
            return value.model
        case Seat() | Reasoning():
            return {key: as_data(entry) for key, entry in value._asdict().items() if entry is not None}
        case ServerTool():
            return {"type": value.type, **({"parameters": dict(value.parameters)} if value.parameters else {})}
        case tuple():
            return [as_data(entry) for entry in value]
        case _:
            return value


def fit_model(value: object) -> str:
    """Return a model's name, `[provider:]slug`, or raise MisfitError."""
    if not isinstance(value, str) or not 0 < len(value) <= 200 or not value.isprintable() or " " in value:
        raise MisfitError(describe(value))
    return _no_key(value)


def _no_key(text: str) -> str:
    """Return a short text, or raise MisfitError where a key was pasted: it would be shown and sent."""
    if is_key(text):
        raise MisfitError(_NOT_SHOWN)
    return text


def _address(read: Callable[[str], str]) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not isinstance(value, str):
            raise MisfitError(describe(value))
        try:
            return read(value)
        except addresses.AddressError as error:  # which quotes nothing
            raise MisfitError(str(error)) from None

    return check


def _fit_hosts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise MisfitError(describe(value))
    if len(value) > _MAX_HOSTS:
        raise MisfitError(f"{len(value)} of them")
    return tuple(_fit_inside(_HOST, entry, f"[{index}]") for index, entry in enumerate(value))


def _fit_panel(value: object) -> tuple[Seat, ...]:
    if not isinstance(value, list | tuple):
        raise MisfitError(describe(value))
    if not 1 <= len(value) <= MAX_PANELISTS:
        raise MisfitError(f"{len(value)} of them")
    seats = tuple(_fit_seat(entry, f"[{index}]") for index, entry in enumerate(value))
    labels = [seat.label for seat in seats if seat.label is not None]
    for label in labels:
        if labels.count(label) > 1:
            raise MisfitError(f"two that are called {describe(label)}", expects="a label of its own for each")
    return seats  # what a seat without a label is called depends on the providers that there are


def split_list(text: str) -> list[str]:
    """Return the entries of a comma-separated panel, or other list; one that is empty is one that no check takes."""
    return [entry.strip() for entry in text.split(",")]


def _fit_seat(value: object, inside: str) -> Seat:
    if not isinstance(value, dict):
        try:
            return Seat(fit_model(value))
        except MisfitError as error:
            raise MisfitError(str(error), inside=inside, expects=_SEAT_EXPECTS) from None
    if strangers := [key for key in value if key not in _SEAT]:
        raise MisfitError(_quoted(strangers[0]), inside=inside, expects=f"a table of {', '.join(_SEAT)}")
    if "model" not in value:
        raise MisfitError("nothing", inside=f"{inside}.model", expects=MODEL.expects)
    return Seat(**{key: _fit_inside(_SEAT[key], entry, f"{inside}.{key}") for key, entry in value.items()})


def _fit_inside(kind: Kind, value: object, inside: str) -> Any:
    """Return the checked part of a value; what is wrong with it is told with where it stands."""
    try:
        return kind.check(value)
    except MisfitError as error:
        raise MisfitError(str(error), inside=f"{inside}{error.inside}", expects=error.expects or kind.expects) from None


def _quoted(key: object) -> str:
    """Return a table's key as it may be shown after "found"."""
    return describe(str(key))


def _fit_name(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(NAME_PATTERN, value):
        raise MisfitError(describe(value))
    return value


def _line(most: int) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not isinstance(value, str) or not value.isprintable() or not value or value != value.strip():
            raise MisfitError(describe(value))
        if len(value) > most:
            raise MisfitError(f"{len(value)} characters")
        return _no_key(value)

    return check


def _fit_text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise MisfitError(describe(value))
    if not _is_unicode(value):
        raise MisfitError("text that is not Unicode")
    return value


def _is_unicode(text: str) -> bool:
    return not re.search("[\ud800-\udfff]", text)


def _one_of(*words: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise MisfitError(describe(value))
        return value

    return check


def _fit_bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise MisfitError(describe(value))
    return value


def _whole(least: int, most: int = _MOST) -> Callable[[object], int]:
    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            is_huge = isinstance(value, int) and value > _MOST
            raise MisfitError("a huge number" if is_huge else describe(value))
        return value

    return check


def _read_whole(text: str) -> object:
    digits = text.strip()
    # Python refuses to read a number of many thousand digits; a few say as well that it is too large.
    return int(digits[:100]) if re.fullmatch("-?[0-9]+", digits) else text


def _fit_temperature(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 2:  # which refuses nan, too
        raise MisfitError(describe(value))
    return abs(float(value))  # a negative zero is one


def read_number(text: str) -> object:
    """Return the number that a text is, or the text."""
    try:
        # Python's float takes more than people write: 1_0, or digits of any script.
        return float(text) if text.isascii() and "_" not in text else text
    except ValueError:
        return text


def _fit_reasoning(value: object) -> Reasoning:
    if not isinstance(value, dict):
        raise MisfitError(describe(value))
    if strangers := [key for key in value if key not in _REASONING]:
        raise MisfitError(_quoted(strangers[0]))
    if len(value) != 1:
        raise MisfitError("both" if value else "an empty table")
    return Reasoning(**{key: _fit_inside(_REASONING[key], entry, f".{key}") for key, entry in value.items()})


def _fit_tools(value: object) -> tuple[ServerTool, ...]:
    if not isinstance(value, list | tuple):
        raise MisfitError(describe(value))
    if len(value) > _MAX_TOOLS:
        raise MisfitError(f"{len(value)} of them")
    return tuple(_fit_tool(entry, f"[{index}]") for index, entry in enumerate(value))


def _fit_tool(value: object, inside: str) -> ServerTool:
    strangers = [key for key in value if key not in ("type", "parameters")] if isinstance(value, dict) else []
    if not isinstance(value, dict) or strangers:
        found = _quoted(strangers[0]) if strangers else describe(value)
        raise MisfitError(found, inside=inside, expects="a table of type and parameters")
    kind = value.get("type")
    if not isinstance(kind, str) or not re.fullmatch(r"openrouter:[a-z0-9_]{1,60}", kind) or kind == FUSION_TOOL_TYPE:
        expects = "a server tool, like openrouter:web_search; never the fusion tool itself"
        found = describe(kind) if "type" in value else "nothing"
        raise MisfitError(found, inside=f"{inside}.type", expects=expects)
    parameters = value.get("parameters", {})
    if not isinstance(parameters, dict):
        raise MisfitError(describe(parameters), inside=f"{inside}.parameters", expects="a table")
    _refuse_what_json_lacks(parameters, f"{inside}.parameters", _MAX_DEPTH)
    return ServerTool(kind, parameters)


def _refuse_what_json_lacks(value: object, inside: str, depth: int) -> None:
    """Raise MisfitError for what cannot be sent, like TOML's dates and infinite numbers."""
    found = None
    if depth < 0:
        found = "deeper nesting"
    elif isinstance(value, dict):
        for key, entry in value.items():
            _refuse_what_json_lacks(key, inside, depth)
            _refuse_what_json_lacks(entry, f"{inside}.{shown(str(key))}", depth - 1)
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            _refuse_what_json_lacks(entry, f"{inside}[{index}]", depth - 1)
    elif isinstance(value, str):
        found = None if _is_unicode(value) else "text that is not Unicode"
    elif isinstance(value, float):
        found = None if isfinite(value) else describe(value)
    elif value is not None and not isinstance(value, int):
        found = describe(value)
    if found:
        raise MisfitError(found, inside=inside, expects="what can be sent as JSON")


def _fit_path(value: object) -> str:
    # A relative one would mean another file in every working directory.
    if not isinstance(value, str) or not value.isprintable():
        raise MisfitError(describe(value))
    if not value.startswith("~") and not Path(value).is_absolute():
        raise MisfitError(describe(value))
    return value


MODEL = Kind("[provider:]slug (no white space, at most 200 characters)", fit_model)
URL = Kind("the address of a server, like https://host/v1", _address(addresses.base_url))
_HOST = Kind("host:port, like localhost:8000", _address(addresses.host_and_port))
HOSTS = Kind(f"an array of at most {_MAX_HOSTS}, each {_HOST.expects}", _fit_hosts, split_list)
SEARCH = Kind(f"one of {', '.join(SEARCHES)}", _one_of(*SEARCHES))
_SEAT_EXPECTS = f"{MODEL.expects} or a table with one as model"
PANEL = Kind(f"an array of 1 to {MAX_PANELISTS}, each {_SEAT_EXPECTS}", _fit_panel, split_list)
NAME = Kind("a name of letters, digits, - and _", _fit_name)
LABEL = Kind("a short name in one line", _line(80))
DESCRIPTION = Kind("text in one line of at most 200 characters", _line(200))
TEXT = Kind("text", _fit_text)
TOOL_CHOICE = Kind("auto, required or none", _one_of("auto", "required", "none"))
COLOR = Kind("auto, always or never", _one_of("auto", "always", "never"))
SWITCH = Kind("true or false", _fit_bool)
TOKENS = Kind("a whole number from 1", _whole(1), _read_whole)
TOOL_CALLS = Kind("a whole number from 1 to 16", _whole(1, 16), _read_whole)
QUORUM = Kind(f"a whole number from 1 to {MAX_PANELISTS}", _whole(1, MAX_PANELISTS), _read_whole)
SEED = Kind("a whole number from 0", _whole(0), _read_whole)
TEMPERATURE = Kind("a number from 0 to 2", _fit_temperature, read_number)
EFFORT = Kind(f"one of {', '.join(EFFORTS)}", _one_of(*EFFORTS))
_REASONING = {"effort": EFFORT, "max_tokens": TOKENS}
REASONING = Kind("a table with effort or max_tokens", _fit_reasoning)
TOOLS = Kind(f"an array of at most {_MAX_TOOLS} server tools", _fit_tools)
PATH = Kind("the full path of a GGUF file (~ may stand for the home folder)", _fit_path)
_SEAT = {
    "model": MODEL,
    "system": TEXT,
    "temperature": TEMPERATURE,
    "label": LABEL,
    "reasoning": REASONING,
    "max_completion_tokens": TOKENS,
}
