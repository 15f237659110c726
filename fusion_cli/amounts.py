"""How times and money are written: `90`, `2.5m` or `1h30m`, and dollars. Two more kinds of value beside `values`.

Knows no option and no key by name, nor what a limit is for.
"""

import re

from fusion_cli.values import Kind, MisfitError, describe, read_number

MOST_SECONDS = 30 * 24 * 3600
MOST_DOLLARS = 1_000_000
_MOST_CHARACTERS = 40
_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_DURATION = rf"(?:({_NUMBER})h)?(?:({_NUMBER})m)?(?:({_NUMBER})s)?"
_UNITS = (3600, 60, 1)


def _fit_limit(value: object) -> float:
    return 0.0 if isinstance(value, str) and value.strip() == "none" else _fit_duration(value)


def _fit_duration(value: object) -> float:
    seconds = _seconds(value.strip()) if isinstance(value, str) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise MisfitError(describe(value))
    if not 0 <= seconds <= MOST_SECONDS:  # which refuses nan, too
        raise MisfitError(describe(value))
    return abs(float(seconds))  # a negative zero is one


def _seconds(text: str) -> float | None:
    """Return the seconds that a text means; None where it is no time."""
    if len(text) > _MOST_CHARACTERS:
        return None
    if re.fullmatch(_NUMBER, text):
        return float(text)
    match = re.fullmatch(_DURATION, text)
    if not match or not text:
        return None
    return sum(float(number) * unit for number, unit in zip(match.groups(), _UNITS, strict=True) if number)


def _fit_money(value: object) -> float:
    dollars = value
    if isinstance(value, str) and len(value) <= _MOST_CHARACTERS:
        dollars = read_number(value.strip().removeprefix("$"))
    if isinstance(dollars, bool) or not isinstance(dollars, int | float) or not 0 < dollars <= MOST_DOLLARS:
        raise MisfitError(describe(value))  # nan is neither, too
    return float(dollars)


_TIME = "seconds, or a time like 90s, 2.5m or 1h30m, at most 30 days"
DURATION = Kind(f"{_TIME}; 0 or none for no limit", _fit_limit, read_number)
GRACE = Kind(f"{_TIME}; 0 for at once", _fit_duration, read_number)
MONEY = Kind(f"US dollars, more than 0 and at most {MOST_DOLLARS}, like 0.50", _fit_money, read_number)
