"""A JSON body that somebody else's program wrote: parsed, its values checked with their place, its leftovers named.

Knows JSON and `values`, but no field by name. A null counts as absent, as in the API's own schema.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from fusion_cli.errors import UsageError
from fusion_cli.values import Kind, MisfitError, describe, shown

MOST_NAMED = 20  # of what nobody here knows; a line for each of a million would bury what matters
_AS_JSON = {"a table": "an object", "an empty table": "an empty object"}
_MAX_DEPTH = 100  # more than any schema has, less than what Python's own recursion bears


class Body:
    """One body; its name begins every error, and `warnings` gathers what is not honoured, once each."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._warnings: dict[str, None] = {}  # a set that keeps its order
        self._unknown: dict[str, None] = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """The lines so far; of what is unknown, the first ones and how many more there are."""
        unknown = list(self._unknown)
        if (more := len(unknown) - MOST_NAMED) > 0:
            unknown[MOST_NAMED:] = [f"and {more:,} more of the request's fields and tools were left out"]
        return (*self._warnings, *unknown)

    def warn(self, line: str) -> None:
        """Note what is not honoured."""
        self._warnings[line] = None

    def warn_of_unknown(self, line: str) -> None:
        """Note one of any number of things that are not known here."""
        self._unknown[line] = None

    def error(self, problem: str, *, hint: str = "") -> UsageError:
        """Return the error that says what is wrong with this body."""
        return UsageError(f"{self._name}: {problem}", hint=hint)

    def refuse(self, where: str, expected: str, found: str) -> NoReturn:
        """Say what was expected in one place.

        Raises:
            UsageError: Always.
        """
        raise self.error(f"{where}: expected {expected}, found {_AS_JSON.get(found, found)}") from None

    def fit(self, kind: Kind, value: object, where: str) -> Any:
        """Return the checked value.

        Raises:
            UsageError: It does not fit.
        """
        try:
            return kind.check(value)
        except MisfitError as error:
            expects = (error.expects or kind.expects).replace("a table", "an object")
            self.refuse(f"{where}{error.inside}", expects, str(error))

    def leave_out(self, keys: Iterable[object], where: str) -> None:
        """Warn of the keys of one object that nothing is done with."""
        for key in keys:
            self.warn_of_unknown(f"the request's {where}.{shown(str(key))} is not known here and was left out")

    def parse(self, text: str) -> dict[str, Any]:
        """Return the object that the body is.

        Raises:
            UsageError: It is none, or holds what could not be sent on.
        """
        try:
            value = json.loads(text, object_pairs_hook=self._once)
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        except json.JSONDecodeError as problem:
            raise self.error(f"not JSON: {problem}") from None
        except ValueError:
            raise self.error("it holds a number or a character that JSON cannot carry") from None
        except RecursionError:
            raise self.error("it is nested too deeply") from None
        if not isinstance(value, dict):
            raise self.error(f"expected a request, which is a JSON object, found {describe(value)}")
        level: list[Any] = [value]
        for _ in range(_MAX_DEPTH):
            inner = [it for outer in level for it in (outer.values() if isinstance(outer, dict) else outer)]
            level = [it for it in inner if isinstance(it, dict | list)]
        if level:
            raise self.error("it is nested too deeply")
        return given(value)

    def _once(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        shape: dict[str, Any] = {}
        for key, value in pairs:
            if key in shape:
                raise self.error(f'"{shown(key)}" stands twice in one object')
            shape[key] = value
        return shape


def given(shape: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an object says: a null says nothing."""
    return {key: value for key, value in shape.items() if value is not None}


def such(expects: str, fits: Callable[[Any], bool]) -> Kind:
    """Return the kind of what is taken as it stands where it fits."""

    def check(value: object) -> object:
        if not fits(value):
            raise MisfitError(describe(value))
        return value

    return Kind(expects, check)


OBJECT = such("an object", lambda it: isinstance(it, dict))
ARRAY = such("an array", lambda it: isinstance(it, list))
TYPED = such("an object with a type", lambda it: isinstance(it, dict) and isinstance(it.get("type"), str))
