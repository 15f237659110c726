"""Search by Tavily's API, with the user's key; a basic search, the cheapest.

Its statuses are those of Tavily's help pages: 432 and 433 are limits of the plan, not of the pace.
"""

from collections.abc import Mapping
from typing import Any

import httpx

from fusion_cli.web.search import Hit, clean_hits, exchange, plain_query, result_count, result_entries

BASE_URL = "https://api.tavily.com"

_MEANINGS = {
    400: "it cannot use the query (HTTP 400); ask with fewer or other words",
    401: "it does not accept the key (HTTP 401)",
    403: "the key does not allow this search (HTTP 403)",
    429: "too many requests at a time (HTTP 429); wait before the next search",
    432: "the searches of the key's plan are used up (HTTP 432)",
    433: "the account's pay-as-you-go limit is reached (HTTP 433)",
}


class TavilySearch:
    """A `SearchBackend` that asks Tavily.

    Args:
        client: Carries the requests.
        api_key: The key.
        base_url: Where the API is.
    """

    name = "tavily"

    def __init__(self, client: httpx.AsyncClient, api_key: str, *, base_url: str = BASE_URL) -> None:
        self._client = client
        self._api_key = api_key
        self._url = f"{base_url.rstrip('/')}/search"

    async def search(self, query: str, max_results: int) -> list[Hit]:
        """Return what Tavily found (see `search.SearchBackend`).

        Raises:
            WebError: As there.
        """
        said = await exchange(
            self._client,
            self.name,
            self._url,
            headers={"Authorization": f"Bearer {self._api_key}"},
            body={"query": plain_query(query), "max_results": result_count(max_results), "search_depth": "basic"},
            refusal=_refusal,
        )
        results = result_entries(self.name, said)
        return clean_hits(
            ((entry.get("url"), entry.get("title"), entry.get("content")) for entry in results), max_results
        )


def _refusal(status: int, said: Mapping[str, Any]) -> str | None:
    return _MEANINGS.get(status)
