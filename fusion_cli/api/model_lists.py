"""The model lists of a run's servers: each is asked for at most once, and only when what is kept on disk is too old.

No key is sent, and whatever is wrong with a list, its models are unknown then.
"""

import asyncio
import time
from pathlib import Path

import httpx

from fusion_cli.api import catalogue_cache
from fusion_cli.api.bodies import read_at_most
from fusion_cli.api.catalogue import Catalogue, parse
from fusion_cli.errors import ModelError

_MAX_LIST_BYTES = 8 * 1024 * 1024


class ModelLists:
    """What the servers tell of their models.

    Args:
        http: Carries the requests.
        cache_dir: Where lists are kept between runs; None keeps none.
        wait_s: How long a server may take.

    Attributes:
        notices: What the user may want to know of the cache, a line each.
    """

    def __init__(self, http: httpx.AsyncClient, cache_dir: Path | None, wait_s: float) -> None:
        self._http = http
        self._cache_dir = cache_dir
        self._wait_s = wait_s
        self._asked: dict[str, asyncio.Task[Catalogue | None]] = {}
        self.notices: list[str] = []

    async def of(self, base_url: str) -> Catalogue | None:
        """Return the list of a server; None when nobody has it."""
        asked = self._asked.get(base_url)
        if asked is None:
            asked = self._asked[base_url] = asyncio.create_task(self._obtain(base_url))
        # Shielded: a caller that gives up does not take the answer away from the others.
        return await asyncio.shield(asked)

    async def close(self) -> None:
        """End what is still under way."""
        asked = list(self._asked.values())
        for task in asked:
            task.cancel()  # a finished one does not mind
        await asyncio.gather(*asked, return_exceptions=True)

    async def _obtain(self, base_url: str) -> Catalogue | None:
        kept = None
        if self._cache_dir:
            kept = catalogue_cache.load(self._cache_dir, base_url, self.notices.append)
            if kept and catalogue_cache.is_fresh(kept):
                return kept
        fetched = await self._fetch(base_url)
        if fetched is None and kept:
            days = max(0.0, time.time() - kept.fetched_at) / 86400
            self.notices.append(
                f"the model list of {base_url} could not be fetched: the one kept is {days:.0f} days old"
            )
        elif fetched and self._cache_dir:
            catalogue_cache.store(self._cache_dir, fetched)
        return fetched or kept

    async def _fetch(self, base_url: str) -> Catalogue | None:
        try:
            async with (
                asyncio.timeout(self._wait_s),
                self._http.stream("GET", f"{base_url}/models", headers={"Accept": "application/json"}) as response,
            ):
                if response.status_code != 200:
                    return None
                body = await read_at_most(response, _MAX_LIST_BYTES)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ModelError, OSError, ValueError):
            return None
        models = parse(body)
        return Catalogue(base_url, time.time(), models) if models else None
