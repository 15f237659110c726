"""Search by Brave's Search API, with the user's key.

Its statuses are those of Brave's reference: a wrong key is a 422 like a wrong query, told apart by a code in the body.
"""

import html
import re
from collections.abc import Mapping
from typing import Any

import httpx

from fusion_cli.web.guard import WebError
from fusion_cli.web.search import Hit, clean_hits, entries, exchange, plain_query, result_count

BASE_URL = "https://api.search.brave.com/res/v1"

_KEY_REJECTED = "it does not accept the key"
_MEANINGS = {
    401: f"{_KEY_REJECTED} (HTTP 401)",
    402: "its account cannot pay for the search (HTTP 402)",
    403: "the key's plan does not allow this search (HTTP 403)",
    404: "it knows no subscription for the key (HTTP 404)",
    422: "it cannot use the query (HTTP 422); ask with fewer or other words",
    429: "too many requests at a time (HTTP 429); wait before the next search",
}
_MEANINGS_OF_CODES = {
    "SUBSCRIPTION_TOKEN_INVALID": f"{_KEY_REJECTED} (HTTP 422)",
    "SUBSCRIPTION_TOKEN_MISSING": f"{_KEY_REJECTED} (HTTP 422)",
    "QUOTA_LIMITED": "the searches of the key's plan are used up (HTTP 429)",
}


class BraveSearch:
    """A `SearchBackend` that asks Brave.

    Args:
        client: Carries the requests.
        api_key: The subscription token.
        base_url: Where the API is.
    """

    name = "brave"

    def __init__(self, client: httpx.AsyncClient, api_key: str, *, base_url: str = BASE_URL) -> None:
        self._client = client
        self._api_key = api_key
        self._url = f"{base_url.rstrip('/')}/web/search"

    async def search(self, query: str, max_results: int) -> list[Hit]:
        """Return what Brave found (see `search.SearchBackend`).

        Raises:
            WebError: As there.
        """
        said = await exchange(
            self._client,
            self.name,
            self._url,
            headers={"X-Subscription-Token": self._api_key},
            params={"q": plain_query(query), "count": str(result_count(max_results))},
            refusal=_refusal,
        )
        web = said.get("web")
        if web is None and (said.get("type") == "search" or "query" in said):
            return []  # nothing found: the group is left out
        if not isinstance(web, dict):
            raise WebError(f"{self.name}: its reply holds no list of results")
        return clean_hits(
            (
                (entry.get("url"), _plain(entry.get("title")), _plain(entry.get("description")))
                for entry in entries(web.get("results"))
            ),
            max_results,
        )


def _refusal(status: int, said: Mapping[str, Any]) -> str | None:
    # The reference's schema has one `error`, its older examples a list `errors`.
    for error in (*entries([said.get("error")]), *entries(said.get("errors"))):
        code = error.get("code")
        if isinstance(code, str) and code in _MEANINGS_OF_CODES:
            return _MEANINGS_OF_CODES[code]
    return _MEANINGS.get(status)


def _plain(value: object) -> str:
    """Return a text without the marks on the words that were searched, its entities resolved."""
    return html.unescape(re.sub(r"</?strong>", "", value)) if isinstance(value, str) else ""
