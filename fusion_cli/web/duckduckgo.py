"""Search by DuckDuckGo's public pages, through the optional package ddgs.

ddgs is imported when it is first used, and works in a thread. It reads web pages meant for people: what it raises
does not tell an empty result from a refusal.
"""

import asyncio
from importlib import import_module
from typing import Any

from fusion_cli.web.guard import WebError
from fusion_cli.web.search import Hit, clean_hits, entries, plain_query, result_count

_INSTALL = "pip install 'fusion-deliberation[ddgs]'"
_TIME_LIMIT_S = 15.0
_REQUEST_LIMIT_S = 10  # below the other: a thread cannot be stopped, and the process waits for it at its end


class DuckDuckGoSearch:
    """A `SearchBackend` that reads DuckDuckGo's pages; it needs no key.

    Args:
        time_limit_s: How long a search may take, in seconds.
    """

    name = "duckduckgo"

    def __init__(self, *, time_limit_s: float = _TIME_LIMIT_S) -> None:
        self._time_limit_s = time_limit_s

    async def search(self, query: str, max_results: int) -> list[Hit]:
        """Return what DuckDuckGo found (see `search.SearchBackend`).

        Raises:
            WebError: As there; also when ddgs is not installed, or nothing was found.
        """
        asked = plain_query(query), result_count(max_results)
        try:
            async with asyncio.timeout(self._time_limit_s):
                found = await asyncio.to_thread(_ask, *asked)
        except TimeoutError:
            raise WebError(f"{self.name}: no answer within {self._time_limit_s:g} seconds") from None
        if isinstance(found, str):
            raise WebError(f"{self.name}: {found}")
        return clean_hits(((entry.get("href"), entry.get("title"), entry.get("body")) for entry in found), max_results)


def _ask(query: str, max_results: int) -> list[dict[str, Any]] | str:
    """Return what ddgs found, or how it failed.

    Nothing is raised: a reader of web pages breaks in any way when they change, a panic of ddgs's compiled part is no
    `Exception`, and not every exception can leave a thread for a coroutine.
    """
    try:
        ddgs = import_module("ddgs").DDGS(timeout=_REQUEST_LIMIT_S)
        # The engine is named, or ddgs would ask all that it knows.
        return entries(ddgs.text(query, max_results=max_results, backend="duckduckgo"))
    except ImportError:
        return f"a package is missing; the user can run: {_INSTALL}"
    except BaseException as error:  # noqa: BLE001 - see above
        return _meaning(error)


def _meaning(error: BaseException) -> str:
    """Return what an exception of ddgs means; its classes are known by name, as ddgs may not be there to import."""
    kind = type(error).__name__
    if kind == "TimeoutException":
        return f"no answer within {_REQUEST_LIMIT_S} seconds"
    if kind == "RatelimitException":
        return "too many requests; wait before the next search"
    if "No results found" in str(error):
        return "no results, or it refuses searches from this machine for now"
    return f"the search failed ({kind})"
