"""The JSON Schema of the lines of `jsonl` output and of journals, generated from the classes that they are made of.

Writes nothing; imports pydantic, so it is imported by those alone who ask for the schema.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, RootModel, create_model

from fusion_cli import chat, choices, event_lines, events, plan, results

_NAMES = {**vars(chat), **vars(results), **vars(choices), **vars(plan), **vars(events)}


def schema_of_lines() -> dict[str, Any]:
    """Return the schema of one line, whatever its event is."""
    kinds = [*get_args(event_lines.Line), *(kind for kind in get_args(events.Event) if kind is not events.PanelDelta)]
    lines = [_line(kind) for kind in kinds]
    whole = RootModel[Union[tuple(lines)]]  # type: ignore[misc, valid-type]  # noqa: UP007  # made at run time
    schema = whole.model_json_schema(mode="serialization")
    told = "One line of what --format jsonl prints: an event. The first one, created, has the version of the form."
    return {**schema, "title": "Line", "description": told}


def _line(kind: Any) -> type[BaseModel]:
    """Return the shape of an event's line: `type` and `t`, and the fields of its class."""
    fields = _fields(kind)
    name = get_args(get_type_hints(kind, localns=_NAMES)["type"])[0]
    fields |= {"type": (Literal[f"{event_lines.PREFIX}{name}"], ...), "t": (float, ...)}
    return _model(kind, fields)


@cache
def _shape(kind: Any) -> type[BaseModel]:
    return _model(kind, _fields(kind))


def _model(kind: Any, fields: dict[str, Any]) -> type[BaseModel]:
    told = (kind.__doc__ or "").strip()
    return create_model(kind.__name__, __config__=ConfigDict(extra="forbid"), __doc__=told, **fields)


def _fields(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind, localns=_NAMES)
    return {name: (_as_json_holds_it(hints[name]), ...) for name in kind._fields}


def _as_json_holds_it(hint: Any) -> Any:
    """Return a type as `event_lines.as_data` writes it: named tuples are objects, tuples are arrays."""
    if hint is results.Run:
        return results.AskRun | results.AnalysisRun
    if isinstance(hint, type) and hasattr(hint, "_fields"):
        return _shape(hint)
    origin, inner = get_origin(hint), [each for each in get_args(hint) if each is not ...]
    if origin in (None, Literal):
        return hint
    inner = [_as_json_holds_it(each) for each in inner]
    if origin in (Union, UnionType):
        return Union[tuple(inner)]  # noqa: UP007  # made at run time
    if origin is Mapping:
        return dict[inner[0], inner[1]]  # type: ignore[valid-type]
    if origin in (tuple, list, Sequence):
        return list[Union[tuple(inner)]]  # type: ignore[misc]  # noqa: UP007  # made at run time
    return hint
