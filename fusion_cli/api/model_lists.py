"""The model lists of servers: each is asked for at most once, and only when what is kept on disk is too old.

No key is sent unless one is handed over, and whatever is wrong with a list, its models are unknown then.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import httpx

from fusion_cli.api import catalogue_cache
from fusion_cli.api.bodies import read_at_most
from fusion_cli.errors import ModelError
from fusion_cli.terminal import one_line

if TYPE_CHECKING:  # most runs ask for no list
    from collections.abc import Callable
    from pathlib import Path

    from fusion_cli.api.catalogue import Catalogue

_MAX_LIST_BYTES = 8 * 1024 * 1024
_REFUSALS = (400, 401, 403, 404, 405, 501)  # of a server without such a list, or that shows it to its own alone


class ModelLists:
    """What the servers tell of their models.

    Args:
        http: Carries the requests.
        cache_dir: Where lists are kept between runs; None keeps none.
        wait_s: How long a server may take.

    Attributes:
        notices: What the user may want to know of the cache, a line each.
        failures: Why a server's list could not be fetched, by its address.
        refused: Those of these servers that were there, and do not show us a list.
    """

    def __init__(self, http: httpx.AsyncClient, cache_dir: Path | None, wait_s: float) -> None:
        self._http = http
        self._cache_dir = cache_dir
        self._wait_s = wait_s
        self._asked: dict[str, asyncio.Task[Catalogue | None]] = {}
        self.notices: list[str] = []
        self.failures: dict[str, str] = {}
        self.refused: set[str] = set()

    async def of(
        self, base_url: str, *, key: Callable[[], str | None] = lambda: None, refresh: bool = False
    ) -> Catalogue | None:
        """Return the list of a server; None when nobody has it.

        Args:
            base_url: The server's.
            key: Returns what to send as bearer, where the server lists its models to nobody else.
            refresh: Whether what is kept is too old, however new it is.
        """
        asked = self._asked.get(base_url)
        if asked is None:
            asked = self._asked[base_url] = asyncio.create_task(self._obtain(base_url, key, refresh=refresh))
        # Shielded: a caller that gives up does not take the answer away from the others.
        return await asyncio.shield(asked)

    async def close(self) -> None:
        """End what is still under way."""
        asked = list(self._asked.values())
        for task in asked:
            task.cancel()  # a finished one does not mind
        await asyncio.gather(*asked, return_exceptions=True)

    async def _obtain(self, base_url: str, key: Callable[[], str | None], *, refresh: bool) -> Catalogue | None:
        kept = None
        if self._cache_dir:
            kept = catalogue_cache.load(self._cache_dir, base_url, self.notices.append)
            if kept and catalogue_cache.is_fresh(kept) and not refresh:
                return kept
        fetched = await self._fetch(base_url, key())
        if fetched is None and kept:
            age = catalogue_cache.age(kept)
            self.notices.append(f"the model list of {base_url} could not be fetched: the one kept is {age} old")
        elif fetched and self._cache_dir:
            catalogue_cache.store(self._cache_dir, fetched)
        return fetched or kept

    async def _fetch(self, base_url: str, key: str | None) -> Catalogue | None:
        from fusion_cli.api.catalogue import Catalogue, parse

        headers = {"Accept": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        try:
            async with (
                asyncio.timeout(self._wait_s),
                self._http.stream("GET", f"{base_url}/models", headers=headers) as response,
            ):
                if response.status_code != 200:
                    self.failures[base_url] = f"HTTP {response.status_code}"
                    if response.status_code in _REFUSALS:
                        self.refused.add(base_url)
                    return None
                body = await read_at_most(response, _MAX_LIST_BYTES)
        except TimeoutError:
            self.failures[base_url] = f"no answer within {self._wait_s:g} s"
            return None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ModelError, OSError, ValueError) as error:
            self.failures[base_url] = one_line(str(error), 200) or type(error).__name__
            return None
        models = parse(body)
        if not models:
            self.failures[base_url] = "what came is no list of models"
            return None
        return Catalogue(base_url, time.time(), models)
