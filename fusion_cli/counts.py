"""Numbers of things and stretches of time as people read them. Pure."""

_MINUTES = {"day": 1440, "hour": 60}


def count(number: int | str, noun: str) -> str:
    """Return a number of things: `0 models`, `1 model`, `1,200 tokens`; a span like `2-4` is several."""
    said = number if isinstance(number, str) else f"{number:,}"
    return f"{said} {noun}{'' if said == '1' else 's'}"


def lapse(seconds: float) -> str:
    """Return how long ago something was: in days, or in hours or minutes where it is less than two of them."""
    minutes = max(0.0, seconds) / 60
    for unit, length in _MINUTES.items():
        if minutes >= 2 * length:
            return count(int(minutes // length), unit)
    return count(int(minutes), "minute") if minutes >= 1 else "less than a minute"
