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
    for spelled in _spellings(key):
        head = re.escape(spelled[:_LEAST_CHARS])
        for at in reversed([match.start() for match in re.finditer(head, text, re.IGNORECASE)]):
            pairs = zip(text[at:].lower(), spelled.lower(), strict=False)
            same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            text = text[:at] + _TOLD + text[at + same :] if same >= min(len(spelled), _LEAST_CHARS) else text
    return text


def without_whole_key(text: str, key: str | None) -> str:
    """Return a model's text without the key, leaving whatever only looks like one."""
    for spelled in _spellings(key) if key else ():
        text = text.replace(spelled, _TOLD)
    return text


def _spellings(key: str) -> list[str]:
    return list(dict.fromkeys([key, quote(key, safe=""), quote(key)]))
