"""Keeps what servers told of their models on disk: one file a server, replaced in one step, mode 0600, no secret in it.

It is a cache: what cannot be written is not kept. A file that cannot be read is set aside, and somebody is told.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fusion_cli.counts import lapse
from fusion_cli.regular_files import open_regular

if TYPE_CHECKING:  # a start asks only who is listed, which needs none of it
    from collections.abc import Callable, Collection

    from fusion_cli.api.catalogue import Catalogue

FRESH_S = 24 * 3600.0
_MAX_BYTES = 32 * 1024 * 1024


def path_of(cache_dir: Path, base_url: str) -> Path:
    """Return where the list of a server is kept."""
    return cache_dir / f"catalogue-{hashlib.sha256(base_url.encode()).hexdigest()[:16]}.json"


def load(cache_dir: Path, base_url: str, notice: Callable[[str], None] = lambda said: None) -> Catalogue | None:
    """Return what is kept of a server, however old; None where nothing is, or nothing that can be read.

    Args:
        cache_dir: Where the lists are.
        base_url: The server's.
        notice: Told in one line when a file was set aside.
    """
    path = path_of(cache_dir, base_url)
    body = _bytes(path)
    if body is None:
        return None
    found = _read(body, base_url)
    if found is None:
        aside = path.with_name(f"{path.name}.corrupt-{time.time():.0f}")
        try:
            path.replace(aside)
        except OSError:
            notice(f"{path} cannot be read: the model list is fetched anew")
        else:
            notice(f"{path} could not be read and was set aside as {aside.name}: the model list is fetched anew")
    return found


def peek(cache_dir: Path, base_url: str) -> Catalogue | None:
    """Return what is kept of a server, however old, and leave everything where it is."""
    body = _bytes(path_of(cache_dir, base_url))
    return None if body is None else _read(body, base_url)


def missing(cache_dir: Path, base_url: str, slugs: Collection[str]) -> list[str]:
    """Return which slugs are no model's id in what is kept of a server; none where nothing is.

    Looks for each as `store` writes it, and reads nothing else of the file: every run asks this before it begins.
    """
    body = _bytes(path_of(cache_dir, base_url))
    return [] if body is None else [slug for slug in slugs if f'"id": {json.dumps(slug)}'.encode() not in body]


def store(cache_dir: Path, catalogue: Catalogue) -> None:
    """Keep what a server told; where that cannot be done, nothing is kept."""
    import tempfile  # who only reads, as Tab does, does not wait for it

    from fusion_cli.api.catalogue import as_listed

    data = {
        "base_url": catalogue.base_url,
        "fetched_at": catalogue.fetched_at,
        "data": [as_listed(model) for model in catalogue.models],
    }
    target = path_of(cache_dir, catalogue.base_url)
    with suppress(OSError, ValueError):
        body = json.dumps(data).encode()
        cache_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=cache_dir)  # mode 0600
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(body)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def is_fresh(catalogue: Catalogue, now: float | None = None) -> bool:
    """Say whether a list is less than a day old, by the clock in seconds since 1970; what is from the future is not."""
    return 0 <= (time.time() if now is None else now) - catalogue.fetched_at < FRESH_S


def age(catalogue: Catalogue) -> str:
    """Return how old a list is, for people."""
    return lapse(time.time() - catalogue.fetched_at)


def _bytes(path: Path) -> bytes | None:
    try:
        with open_regular(path) as file:
            return file.read(_MAX_BYTES + 1)
    except OSError:
        return None


def _read(body: bytes, base_url: str) -> Catalogue | None:
    from fusion_cli.api.catalogue import Catalogue, parse

    if len(body) > _MAX_BYTES:
        return None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or value.get("base_url") != base_url:
        return None
    fetched_at = value.get("fetched_at")
    if isinstance(fetched_at, bool) or not isinstance(fetched_at, int | float) or not 0 <= fetched_at < 1e12:
        return None
    models = parse(body)
    return Catalogue(base_url, float(fetched_at), models) if models else None
