"""The way to the web of one run: the search that is configured, and pages, each made ready when it is first wanted.

Knows which backend is which by name; nothing of models. What is fetched by way of a search result is fetched like any
other page.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from fusion_cli import __version__
from fusion_cli.web.guard import WebError

if TYPE_CHECKING:
    import httpx

    from fusion_cli.settings import Web
    from fusion_cli.web.pages import Pages, WebPage
    from fusion_cli.web.search import CachedSearch, Hit, SearchBackend
    from fusion_cli.web_tools import FetchLimits, SearchLimits


class Access:
    """Search and read for one run (`desk.Web`); an async context manager.

    Args:
        settings: What the user configured.
    """

    def __init__(self, settings: Web) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._starting = asyncio.Lock()
        self._pages: Pages | None = None
        self._search: CachedSearch | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._stack.aclose()

    async def search(self, query: str, limits: SearchLimits, max_results: int) -> list[Hit]:
        """Return at most `max_results` pages, of the domains that may be named.

        Raises:
            WebError: The search failed, or none is configured.
        """
        from fusion_cli.web.pages import may_read
        from fusion_cli.web.search import MAX_RESULTS

        async with self._starting:
            if self._search is None:
                self._search = await self._open_search()
        is_filtered = bool(limits.allowed_domains or limits.excluded_domains)
        hits = await self._search.search(query, MAX_RESULTS if is_filtered else max_results)
        return [
            hit
            for hit in hits
            if not is_filtered
            or may_read(hit.url, allowed_domains=limits.allowed_domains, blocked_domains=limits.excluded_domains)
        ][:max_results]

    async def read(self, url: str, limits: FetchLimits, max_content_tokens: int) -> WebPage:
        """Return a page as text.

        Raises:
            WebError: It cannot be had.
        """
        async with self._starting:
            if self._pages is None:
                from fusion_cli.web.fetch import Fetcher
                from fusion_cli.web.pages import Pages

                self._pages = Pages(
                    await self._stack.enter_async_context(Fetcher(allow_hosts=self._settings.allow_hosts))
                )
        return await self._pages.read(
            url,
            max_content_tokens=max_content_tokens,
            allowed_domains=limits.allowed_domains,
            blocked_domains=limits.blocked_domains,
        )

    async def _open_search(self) -> CachedSearch:
        from fusion_cli.web.search import CachedSearch

        return CachedSearch(await self._backend())

    async def _backend(self) -> SearchBackend:
        web = self._settings
        keys = web.api_keys
        if web.backend == "searxng" and web.searxng_url:
            from fusion_cli.web.searxng import SearxngSearch

            return SearxngSearch(await self._client(encrypted=web.searxng_url.startswith("https:")), web.searxng_url)
        if web.backend == "brave" and "brave" in keys:
            from fusion_cli.web.brave import BraveSearch

            return BraveSearch(await self._client(), keys["brave"])
        if web.backend == "tavily" and "tavily" in keys:
            from fusion_cli.web.tavily import TavilySearch

            return TavilySearch(await self._client(), keys["tavily"])
        if web.backend == "duckduckgo":
            from fusion_cli.web.duckduckgo import DuckDuckGoSearch

            return DuckDuckGoSearch()
        raise WebError("no search is configured: read pages that you know instead")

    async def _client(self, *, encrypted: bool = True) -> httpx.AsyncClient:
        """Return what carries searches; a proxy of the environment is for what is encrypted."""
        import httpx

        try:
            verify = await asyncio.to_thread(httpx.create_ssl_context) if encrypted else False
            client = httpx.AsyncClient(
                verify=verify, trust_env=encrypted, headers={"User-Agent": f"fusion/{__version__}"}
            )
        except (ImportError, OSError, ValueError):
            raise WebError("the search cannot be asked: proxy or certificates of the environment are wrong") from None
        return await self._stack.enter_async_context(client)
