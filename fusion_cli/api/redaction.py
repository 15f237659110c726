"""Takes a key out of what a server said: whole, cut off where a line was cut, or percent-encoded. Pure."""

import re
from itertools import takewhile
from urllib.parse import quote

_TOLD = "[key]"
_LEAST_CHARS = 8  # fewer of a key's first characters are what every key of its kind begins with


def without_key(text: str, key: str | None) -> str:
    """Return a message without the key, and without the beginning of it where the message was cut."""
    if not key:
        return text
    spellings = _spellings(key)
    heads = "|".join(re.escape(spelled[:_LEAST_CHARS]) for spelled in spellings)
    parts: list[str] = []
    end = 0
    for match in re.finditer(heads, text, re.IGNORECASE):
        if match.start() >= end:  # not within what is hidden already
            parts += [text[end : match.start()], _TOLD]
            end = match.start() + max(_same(text[match.start() :], spelled) for spelled in spellings)
    return "".join([*parts, text[end:]])


def without_whole_key(text: str, key: str | None) -> str:
    """Return a model's text without the key, leaving whatever only looks like one."""
    for spelled in _spellings(key) if key else ():
        text = text.replace(spelled, _TOLD)
    return text


def _spellings(key: str) -> list[str]:
    return list(dict.fromkeys([key, quote(key, safe=""), quote(key)]))


def _same(text: str, key: str) -> int:
    """Return how many characters both begin with, whatever their case."""
    pairs = zip(text.lower(), key.lower(), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
