"""What a server's list of models tells of them (`GET /models`, specification, section 5).

Pure: bytes to numbers. A list of any shape is read as far as it makes sense; knows no connection.
"""

import json
from collections.abc import Mapping
from operator import itemgetter
from typing import Any

_LEAST, _MOST = 256, 1_000_000_000  # what is outside is a mistake, and no context


def context_lengths(body: bytes) -> dict[str, int]:
    """Return the context of each model in tokens, by its `id` and by its `canonical_slug`."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    entries = value.get("data") if isinstance(value, dict) else None
    if not isinstance(entries, list):
        return {}
    lengths: dict[str, int] = {}
    canonical: list[tuple[bool, str, int]] = []
    for entry in entries:
        length = _length(entry)
        if length is None:
            continue
        slug, other_name = entry.get("id"), entry.get("canonical_slug")
        if isinstance(slug, str):
            lengths.setdefault(slug, length)
        if isinstance(other_name, str):
            canonical.append((":" in str(slug), other_name, length))
    # Variants share this name with the model itself, which is the one that is meant.
    for _, other_name, length in sorted(canonical, key=itemgetter(0)):
        lengths.setdefault(other_name, length)
    return lengths


def find(lengths: Mapping[str, int], slug: str) -> int | None:
    """Return the context of `slug`, or else of the model that it is a `:variant` of."""
    while slug not in lengths:
        slug, colon, _ = slug.rpartition(":")
        if not colon:
            return None
    return lengths[slug]


def _length(entry: Any) -> int | None:
    """Return the smaller of what the model can do and what its first provider allows."""
    if not isinstance(entry, dict):
        return None
    provider = entry.get("top_provider")
    told = [entry.get("context_length"), provider.get("context_length") if isinstance(provider, dict) else None]
    sensible = [
        length
        for length in told
        if isinstance(length, int) and not isinstance(length, bool) and _LEAST <= length <= _MOST
    ]
    return min(sensible, default=None)
