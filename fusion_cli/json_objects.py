"""Finds JSON objects in what models wrote: between prose and fences, in wrappings, broken or deep as they may be. Pure.

Normalizes their characters, too. The cost is bounded whatever the text is. Knows no shape that an object should have.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

MAX_DEPTH = 8

# What is not JSON may hold a brace at every second character: how many are tried, and how far all are read in vain.
_MAX_STARTS = 2000
_MAX_WASTED_CHARS = 5_000_000

_OBJECT = re.compile(r'\{\s*["}]')


def find_objects(text: str) -> Iterator[dict[str, Any] | None]:
    """Yield the JSON objects in a text, and those wrapped in one; None for what begins like one and is none."""
    for found in find_outermost(text):
        if found is None:
            yield None
        else:
            yield from objects_in(found[2])


def find_outermost(text: str) -> Iterator[tuple[int, int, Any] | None]:
    """Yield where each outermost JSON object of a text begins and ends, and what it is; None as `find_objects` does."""
    decoder = json.JSONDecoder(parse_constant=_refuse_constant, strict=False)
    position = wasted = 0
    for _ in range(_MAX_STARTS):
        start = _OBJECT.search(text, position)
        if not start or wasted > _MAX_WASTED_CHARS:
            return
        try:
            value, position = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError) as error:
            position = start.start() + 1
            wasted += _reach(error, text) - position
            yield None
            continue
        yield start.start(), position, value


def _reach(error: Exception, text: str) -> int:
    """Return how far a text was read in vain; to its end where the error tells no place, or where a string begins."""
    if isinstance(error, json.JSONDecodeError) and not error.msg.startswith("Unterminated"):
        return error.pos
    return len(text)


def objects_in(value: Any, depth: int = MAX_DEPTH) -> Iterator[dict[str, Any]]:
    """Yield the objects in a JSON value, itself included, at any reasonable depth."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list) and depth:
        for inner in value:
            yield from objects_in(inner, depth - 1)


def texts_in(value: Any, depth: int = MAX_DEPTH) -> Iterator[str]:
    """Yield the strings in a JSON value, at any reasonable depth, but no keys."""
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts_in(inner, depth - 1)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
