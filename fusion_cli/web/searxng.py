"""Search by a SearXNG server, the user's own or a public one.

Its address is the user's choice: loopback, private networks and plain http are as good as any. The shape of its JSON
and its refusals are those of SearXNG's documentation and source.
"""

from collections.abc import Mapping
from typing import Any

import httpx

from fusion_cli.terminal import one_line
from fusion_cli.web.guard import WebError
from fusion_cli.web.search import Hit, clean_hits, exchange, plain_query, result_entries

_MAX_NAMED_ENGINES = 5


class SearxngSearch:
    """A `SearchBackend` that asks a SearXNG server.

    Args:
        client: Carries the requests.
        base_url: The server's address, without `/search`.
    """

    name = "searxng"

    def __init__(self, client: httpx.AsyncClient, base_url: str) -> None:
        self._client = client
        self._url = f"{base_url.rstrip('/')}/search"

    async def search(self, query: str, max_results: int) -> list[Hit]:
        """Return what the server's engines found (see `search.SearchBackend`).

        Raises:
            WebError: As there; also when nothing was found and engines did not respond.
        """
        params = {"q": plain_query(query), "format": "json"}
        said = await exchange(self._client, self.name, self._url, params=params, refusal=_refusal)
        results = result_entries(self.name, said)
        hits = clean_hits(
            ((entry.get("url"), entry.get("title"), entry.get("content")) for entry in results), max_results
        )
        if not hits and (silent := _silent_engines(said.get("unresponsive_engines"))):
            raise WebError(f"{self.name}: no results, as some of its search engines did not respond ({silent})")
        return hits


def _refusal(status: int, said: Mapping[str, Any]) -> str | None:
    if status == 403:
        return (
            "HTTP 403: the server's administrator has to allow JSON, with `search: formats: [html, json]` "
            "in its settings.yml"
        )
    if status == 429:
        return (
            "too many requests (HTTP 429): the server's limiter lets few programs' searches through; "
            "its administrator can turn it off with `server: limiter: false` in settings.yml"
        )
    return None


def _silent_engines(value: object) -> str:
    """Return "google: timeout, bing: CAPTCHA" of the [engine, reason] pairs; a bare name is taken, too."""
    if not isinstance(value, list):
        return ""
    named = []
    for entry in value[:_MAX_NAMED_ENGINES]:
        words = [word for word in entry if isinstance(word, str)] if isinstance(entry, list) else [entry]
        if words and all(isinstance(word, str) for word in words):
            named.append(": ".join(one_line(word, 40) for word in words[:2]))
    if len(value) > _MAX_NAMED_ENGINES:
        named.append(f"and {len(value) - _MAX_NAMED_ENGINES} more")
    return ", ".join(named)
