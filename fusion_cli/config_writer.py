"""Changes the config file: checked as a whole first, then replaced in one step, with mode 0600 and comments kept.

What keys there are is `config_file`'s business, where the file is `settings`'. What cannot be changed with certainty is
left as it is, and said.
"""

import os
import re
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fusion_cli import config_file
from fusion_cli.errors import ConfigError, FusionError, UsageError
from fusion_cli.terminal import clean
from fusion_cli.values import DESCRIPTION, HOSTS, TEXT, Kind, MisfitError, printable, shown

_TOML_STARTS = ("[", "{", '"', "'")


def set_value(path: Path, key: str, value: str) -> None:
    """Set a key; `value` is as in TOML, or plain text.

    Raises:
        UsageError: There is no such key, or the value does not fit it.
        ConfigError: The file is malformed or cannot be written.
    """
    fitting = _fitting(config_file.find_key(key), key, value)
    text, document = _read(path)
    wanted = _changed(document, key.split("."), fitting)
    config_file.check(wanted, path)
    _save(path, lambda: _assigned(text, key.split("."), fitting, document, wanted), wanted)


def unset_value(path: Path, key: str) -> bool:
    """Remove a key or a table, and return whether it was there.

    Raises:
        UsageError: There is no such key.
        ConfigError: The file is malformed or cannot be written.
    """
    text, document = _read(path)
    parts = key.split(".")
    if _looked_up(document, parts) is None:
        if not any(known.starts_with(tuple(parts)) for known in config_file.KEYS):
            config_file.find_key(key)
        return False
    wanted = _changed(document, parts, None)
    config_file.check(wanted, path)
    _save(path, lambda: _removed(text, parts, wanted), wanted)
    return True


def change(path: Path, values: Mapping[str, Any]) -> None:
    """Set several keys in one step: all of them or none.

    Args:
        path: The config file, made when it is not there.
        values: By dotted key, as `config_file.check` takes them; None removes the key where it is set.

    Raises:
        ConfigError: The file is malformed or cannot be written, or would not be valid.
    """
    text, document = _read(path)
    wanted = document
    steps: list[tuple[list[str], Any, dict[str, Any], dict[str, Any]]] = []
    for key, value in values.items():
        parts = key.split(".")
        before = wanted
        if value is not None or _looked_up(before, parts) is not None:
            wanted = _changed(before, parts, value)
            steps.append((parts, value, before, wanted))
    config_file.check(wanted, path)

    def make() -> str:
        made = text
        for parts, value, before, after in steps:
            made = _removed(made, parts, after) if value is None else _assigned(made, parts, value, before, after)
        return made

    _save(path, make, wanted)


def as_toml(value: Any) -> str:
    """Return a value as TOML writes it in one line, with what a terminal would obey spelled out."""
    text: str = _item(value).as_string()
    return text if clean(text) == text else "".join(c if clean(c) == c else f"\\u{ord(c):04x}" for c in text)


def edit_in(editor: str, path: Path) -> None:
    """Have the user edit a copy, and put it in the file's place when it is valid.

    Raises:
        UsageError: The editor cannot be started.
        FusionError: It failed, or what it left is no valid configuration; the edit is kept beside the file.
    """
    target = _target(path)
    before = config_file.read(path)
    start = _template().encode() if before is None else before
    try:
        _make_folder(target.parent)
        handle, name = tempfile.mkstemp(prefix="config-edit-", suffix=".toml", dir=target.parent)
        copy = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(start)
    except OSError as error:
        raise _unwritable(path, error) from None
    kept = f"the file is unchanged; the edit is kept in {printable(str(copy))}"
    try:
        _run_editor(editor, copy)
        after = config_file.read(copy)
        if after is None or after == before:
            return
        config_file.check(config_file.parse(after, path), path)
        if config_file.read(path) != before:
            said = f"{printable(str(path))} was changed by someone else meanwhile"
            raise ConfigError(said)
        replace_file(path, after)
        copy.unlink(missing_ok=True)
    except FusionError as error:
        error.hint = kept if _differs(copy, start) else error.hint
        raise
    finally:
        if not _differs(copy, start):
            copy.unlink(missing_ok=True)


def _looked_up(document: dict[str, Any], parts: list[str]) -> Any:
    found: Any = document
    for part in parts:
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _fitting(key: config_file.Key, name: str, text: str) -> Any:
    """Return what the text means for the key, as TOML or as it stands.

    Raises:
        UsageError: Neither fits, or it is mistyped TOML; quotes what was found, unless that may be a secret.
    """
    plain = key.kind.read(text)
    entries = plain if isinstance(plain, list) else [text]
    # As it stands, mistyped TOML would pass for the name of a model; only a text may begin like TOML and be none.
    meant_as_toml = any(_looks_like_toml(str(entry).lstrip(), key.kind) for entry in entries)
    readings = [plain]
    try:
        value = _parsed(text)
        readings = [value] if meant_as_toml else [value, plain]
    except MisfitError as error:
        if meant_as_toml and key.kind not in (TEXT, DESCRIPTION):
            raise UsageError(f"{shown(name)}: expected TOML, found: {error}") from None
    for reading in readings:
        try:
            key.kind.check(reading)
        except MisfitError:
            continue
        return reading
    return key.kind.fit(readings[0], shown(name))  # which says what is wrong with it


def _looks_like_toml(text: str, kind: Kind) -> bool:
    is_host = kind == HOSTS and re.match(r"\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\]", text)  # IPv6 begins like an array
    return text.startswith(_TOML_STARTS) and not is_host


def _parsed(text: str) -> Any:
    """Return the value that the text is in TOML, or raise MisfitError."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except RecursionError:
        raise MisfitError("deeper nesting than can be read") from None
    except ValueError as error:  # TOMLDecodeError, whose place is not the user's, and numbers with too many digits
        raise MisfitError(shown(str(error).partition(" (at ")[0], 200)) from None
    if list(parsed) != ["value"]:
        raise MisfitError("more than one value")
    return parsed["value"]


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    """Return the file as text and as a document; both are empty when there is none.

    Raises:
        ConfigError: It is no regular file, or not TOML: what is not understood is not overwritten.
    """
    _target(path)
    data = config_file.read(path) or b""
    document = config_file.parse(data, path)
    return data.decode("utf-8-sig"), document


def _changed(document: dict[str, Any], parts: list[str], value: Any) -> dict[str, Any]:
    """Return the document with one value set, or with None removed, along with tables that this leaves empty."""
    changed = dict(document)
    first, rest = parts[0], parts[1:]
    if rest:
        inner = changed.get(first, {})
        # What is no table here is left for the check of the whole document to name.
        changed[first] = _changed(inner, rest, value) if isinstance(inner, dict) else inner
        if value is None and not changed[first]:
            del changed[first]
    elif value is None:
        del changed[first]
    else:
        changed[first] = value
    return changed


def _assigned(text: str, parts: list[str], value: Any, document: dict[str, Any], wanted: dict[str, Any]) -> str:
    """Return the text with one value set, comments and order kept."""
    import tomlkit

    fresh = text
    if _looked_up(document, parts) is not None:
        editable: Any = tomlkit.parse(text)
        _table(editable, parts)[parts[-1]] = _item(value)
        if _says(replaced := tomlkit.dumps(editable), wanted):
            return replaced
        # A table in the place of a line, or the other way round, needs another place.
        fresh = _removed(text, parts, _changed(document, parts, None))
    line = f"{parts[-1]} = {as_toml(value)}"
    for candidate in _places(fresh, parts, line):
        if _says(candidate, wanted):
            return candidate
    editable = tomlkit.parse(text)
    _table(editable, parts)[parts[-1]] = _item(value)
    return tomlkit.dumps(editable)


def _table(editable: Any, parts: list[str]) -> Any:
    """Return the table that a key stands in, made where there is none."""
    import tomlkit
    from tomlkit.items import InlineTable

    for part in parts[:-1]:
        if part not in editable:
            editable[part] = tomlkit.inline_table() if isinstance(editable, InlineTable) else tomlkit.table()
        editable = editable[part]
    return editable


def _item(value: Any) -> Any:
    """Return a value as TOML writes it within one line."""
    import tomlkit

    if isinstance(value, dict):
        table = tomlkit.inline_table()
        for key, entry in value.items():
            table[key] = _item(entry)
        return table
    if isinstance(value, list):
        array = tomlkit.array()
        for entry in value:
            array.append(_item(entry))
        return array
    return tomlkit.item(value)


def _places(text: str, parts: list[str], line: str) -> Iterator[str]:
    """Yield the text with a new line in it, best place first: many of these are not what is wanted.

    tomlkit adds below the comments that end a table, which are those of the next one more often than not.
    """
    end = "\r" if "\r\n" in text else ""
    lines = text.split("\n")
    for place in range(len(lines), 0, -1):
        if lines[place - 1].strip() and not lines[place - 1].lstrip().startswith("#"):
            yield "\n".join([*lines[:place], line + end, *lines[place:]])
    if len(parts) > 1:
        header = f"[{'.'.join(parts[:-1])}]"
        yield "\n".join([*([text.rstrip() + end, end] if text.strip() else []), header + end, line + end, ""])
        return
    blank = next((index for index, old in enumerate(lines) if not old.strip()), 0)
    place = blank + 1 if lines[0].startswith("#") and blank else 0
    yield "\n".join([*lines[:place], line + end, *([end] if text.strip() else []), *lines[place:]])


def _removed(text: str, parts: list[str], wanted: dict[str, Any]) -> str:
    """Return the text without the fewest lines in a row that make it say what is wanted."""
    import tomlkit

    lines = text.split("\n")
    starts = [index for index, line in enumerate(lines) if any(part in line for part in parts)]
    for count in range(1, min(len(lines), 60) + 1):
        for start in starts:
            candidate = "\n".join(lines[:start] + lines[start + count :])
            if _says(candidate, wanted):
                return candidate
    editable: Any = tomlkit.parse(text)  # lines that stand apart, or many
    del _table(editable, parts)[parts[-1]]
    return tomlkit.dumps(editable)


def _says(text: str, wanted: dict[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == wanted
    except (ValueError, RecursionError):
        return False


def _save(path: Path, make: Callable[[], str], wanted: dict[str, Any]) -> None:
    """Write the changed text, once it is known to say what is wanted and nothing else."""
    from tomlkit.exceptions import TOMLKitError

    try:
        text: str | None = make()
    except (TOMLKitError, ValueError, KeyError, TypeError, AttributeError):
        text = None
    if text is None or not _says(text, wanted):
        where = printable(str(path))
        raise ConfigError(f"{where}: expected plainer TOML to change by itself", hint="use: fusion config edit")
    replace_file(path, text.encode())


def _target(path: Path) -> Path:
    """Return the file that a symlinked config leads to.

    Raises:
        ConfigError: It is there and no regular file, so it must not be replaced (/dev/null, say).
    """
    target = Path(os.path.realpath(path))
    try:
        strange = target.exists() and not target.is_file()
    except OSError as error:
        raise _unwritable(path, error) from None
    if strange:
        raise ConfigError(
            f"{printable(str(path))}: expected a regular file, found something else", hint=config_file.ANOTHER
        )
    return target


def replace_file(path: Path, data: bytes) -> None:
    """Put the bytes in the file's place in one step, readable by the user alone, or raise ConfigError."""
    target = _target(path)
    temporary = None
    try:
        _make_folder(target.parent)
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    for missing in reversed([folder, *folder.parents]):
        if not missing.exists():
            missing.mkdir(mode=0o700, exist_ok=True)


def _unwritable(path: Path, error: OSError) -> ConfigError:
    where = printable(str(path))
    found = error.strerror or "an error"
    return ConfigError(f"{where}: expected a writable file, found: {found}", hint=config_file.ANOTHER)


def _differs(copy: Path, start: bytes) -> bool:
    try:
        return copy.read_bytes() != start
    except FileNotFoundError:
        return False
    except OSError:  # whatever it is, it is not ours to delete
        return True


def _run_editor(editor: str, copy: Path) -> None:
    import shlex
    import subprocess

    said = shown(editor)
    try:
        words = shlex.split(editor, posix=os.name != "nt")
        status = subprocess.run([*words, str(copy)], check=False).returncode  # noqa: S603  # the user's own editor
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not a command line"
        raise UsageError(f"the editor {said} cannot be started: {reason}", hint="set VISUAL or EDITOR") from None
    if status:
        raise FusionError(f"the editor {said} ended with status {status}; nothing was changed")


def _template() -> str:
    """Return the file that `edit` starts from: every key, commented out."""
    lines = ["# The configuration of fusion. Environment variables and flags win over it.", ""]
    table = ""
    for key in config_file.KEYS:
        *above, name = key.name.replace("providers.NAME", "providers.lab").replace("NAME", "mine").split(".")
        if ".".join(above) != table:
            table = ".".join(above)
            lines += [f"# [{table}]"]
        lines += [f"# {key.about[0].upper()}{key.about[1:]}: {key.kind.expects}.", f"# {name} = {key.example}", ""]
    return "\n".join(lines)
