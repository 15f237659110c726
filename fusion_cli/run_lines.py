"""Values out of a journal's lines, which may be torn, of another version, or anything at all.

Pure: knows neither files nor what a run is.
"""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fusion_cli.events import AnalysisCompleted

_LARGEST = 1e15  # number that anything in a run can be; JSON's may be infinite


def parsed(data: bytes) -> tuple[list[dict[str, Any]], int]:
    """Return the lines that are objects, an empty one where there is none, and how many others there are.

    A last line that a kill has torn is one of the others.
    """
    lines: list[dict[str, Any]] = []
    skipped = 0
    for line in BytesIO(data):  # which copies one at a time
        value = object_in(line)
        if value is not None:
            lines.append(value)
        elif line != b"\n":
            skipped += 1
    return lines or [{}], skipped


def object_in(line: bytes) -> dict[str, Any] | None:
    """Return the object that a line is; None where it is none, or cannot be read."""
    with suppress(ValueError, RecursionError):
        value = json.loads(line)
        if isinstance(value, dict):
            return value
    return None


def text(line: dict[str, Any], key: str) -> str:
    """Return the text under a key; an empty one where there is none."""
    value = line.get(key)
    return value if isinstance(value, str) else ""


def number(line: dict[str, Any], key: str) -> float | None:
    """Return the number under a key; None where there is none that counts or measures anything."""
    value = line.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _LARGEST:
        return value
    return None


def count(line: dict[str, Any], key: str) -> int | None:
    """Return the whole number under a key; None where there is none."""
    value = number(line, key)
    return value if isinstance(value, int) else None


def known(value: Any, shape: Any) -> dict[str, Any]:
    """Return the fields that this version knows of what may have been written by a newer one."""
    return {key: inner for key, inner in value.items() if key in shape._fields}


def as_kind(value: Any, kind: Any) -> Any:
    """Return what stands for a named tuple as one.

    Raises:
        AttributeError: It is no object.
        ValueError: It does not fit.
    """
    return _adapter(kind).validate_python(known(value, kind))


@cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def events_of(lines: Iterable[dict[str, Any]], kind: Any) -> Iterator[Any]:
    """Yield the events of one kind, from their lines; what does not fit is passed over."""
    from pydantic import ValidationError

    for line in lines:
        fields = known(line, kind)
        fields.pop("type", None)
        with suppress(ValidationError):
            yield _adapter(kind).validate_python(fields)


def analysis_in(lines: Iterable[dict[str, Any]]) -> AnalysisCompleted | None:
    """Return the last analysis that fits, from the lines that have one."""
    from fusion_cli import events, results

    for line in reversed(list(lines)):
        with suppress(ValueError, TypeError):  # pydantic's are ValueErrors
            supported, look, quotes = (line.get(key) for key in ("supported", "second_look", "quotes"))
            return events.AnalysisCompleted(
                results.Analysis.model_validate(line.get("analysis")),
                float(line.get("duration_s") or 0),
                results.Supported.model_validate(supported) if supported else None,
                results.SecondLook.model_validate(look) if look else None,
                None if quotes is None else [results.Quote.model_validate(quote) for quote in quotes],
                text(line, "from_run") or None,
            )
    return None
