"""What every search backend is and does alike: the interface, one bounded HTTP exchange, clean results, a run's cache.

Whatever a server says is taken for junk until it fits; its words, and the user's keys, never reach an error's message.
Knows no backend by name, and opens no page that it found.
"""

import asyncio
import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import httpx

from fusion_cli.terminal import clean, one_line
from fusion_cli.web.guard import MAX_URL_CHARS, WebError

MAX_RESULTS = 20
MAX_SEARCHES = 200  # of a run: what nine models may have, and some more
_TIME_LIMIT_S = 15.0
_MAX_BODY_BYTES = 2 * 1024 * 1024
_MAX_QUERY_CHARS = 400
_MAX_TITLE_CHARS = 200
_MAX_CONTENT_CHARS = 1_000
_ANY_COMPRESSION = 47  # zlib's code for gzip or zlib, whichever it is


class Hit(NamedTuple):
    """One page that a search found; an http or https URL, a title on one line, and an excerpt on one line."""

    url: str
    title: str
    content: str


class SearchBackend(Protocol):
    """Something that can search the web.

    Attributes:
        name: What the user calls it.
    """

    name: str

    async def search(self, query: str, max_results: int) -> list[Hit]:
        """Return at most `max_results` pages, the best first; none is a valid answer.

        Raises:
            WebError: It could not be asked, refused, or answered with something else than results.
        """


def plain_query(query: str) -> str:
    """Return a model's query on one line, without controls.

    Raises:
        WebError: Nothing is left of it, or it is longer than search engines take.
    """
    line = " ".join(clean(query[: _MAX_QUERY_CHARS * 8]).split())
    if not line:
        raise WebError("the search query is empty")
    if len(line) > _MAX_QUERY_CHARS:
        raise WebError(f"the search query is too long: at most {_MAX_QUERY_CHARS} characters are taken")
    return line


def result_count(max_results: int) -> int:
    """Return how many results to ask for: as many as wanted, but at least 1 and at most 20."""
    return min(max(max_results, 1), MAX_RESULTS)


def clean_hits(found: Iterable[tuple[object, object, object]], max_results: int) -> list[Hit]:
    """Return the usable ones among (URL, title, content), cleaned and cut, each URL once, at most `max_results`."""
    hits: dict[str, Hit] = {}
    for url, title, content in found:
        if len(hits) >= result_count(max_results):
            break
        if isinstance(url, str) and url not in hits and _is_web_address(url):
            line = one_line(_text(title), _MAX_TITLE_CHARS) or one_line(url, _MAX_TITLE_CHARS)
            hits[url] = Hit(url, line, one_line(_text(content), _MAX_CONTENT_CHARS))
    return list(hits.values())


def entries(value: object) -> list[dict[str, Any]]:
    """Return the JSON objects in what should be a list of them."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def result_entries(name: str, said: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the entries of a reply's `results`.

    Raises:
        WebError: There is no such list.
    """
    if not isinstance(said.get("results"), list):
        raise WebError(f"{name}: its reply holds no list of results")
    return entries(said["results"])


async def exchange(
    client: httpx.AsyncClient,
    name: str,
    url: str,
    *,
    refusal: Callable[[int, Mapping[str, Any]], str | None],
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    body: Mapping[str, Any] | None = None,
    time_limit_s: float = _TIME_LIMIT_S,
) -> dict[str, Any]:
    """Send one GET, or a POST if there is a body, and return the JSON object that comes back.

    Args:
        client: Carries the request; redirects are not followed, so that a key stays with its own server.
        name: The backend's name, which begins each message.
        url: Where to; it may hold credentials and is never named.
        refusal: Says what an HTTP status, and the object sent with it, mean; None where it has nothing special to say.
        headers: Sent beside what every request has.
        params: The query string.
        body: Sent as JSON.
        time_limit_s: How long all of it may take, in seconds.

    Raises:
        WebError: It did not come about, or ended in another status than 200 or in no JSON object.
    """
    asked = {"Accept": "application/json", "Accept-Encoding": "identity", **(headers or {})}
    try:
        async with (
            asyncio.timeout(time_limit_s),
            client.stream(
                "GET" if body is None else "POST",
                url,
                headers=asked,
                params=params,
                json=body,
                timeout=time_limit_s,
                follow_redirects=False,
            ) as response,
        ):
            status = response.status_code
            raw = await _read(response, name)
    except (TimeoutError, httpx.TimeoutException):
        raise WebError(f"{name}: no answer within {time_limit_s:g} seconds") from None
    # From here on, what is raised may quote the key or the address: it is not chained either.
    except (httpx.LocalProtocolError, UnicodeError):
        raise WebError(f"{name}: its key holds what no request can carry") from None
    except (httpx.UnsupportedProtocol, httpx.InvalidURL):
        raise WebError(f"{name}: its address is not one that can be asked") from None
    except httpx.ConnectError:
        raise WebError(f"{name}: cannot connect to it") from None
    except (httpx.HTTPError, httpx.StreamError, OSError):
        raise WebError(f"{name}: the connection broke") from None
    said = _object(raw)
    if status != 200:
        raise WebError(f"{name}: {refusal(status, said or {}) or _usual_meaning(status)}")
    if said is None:
        raise WebError(f"{name}: its reply is not the JSON object that was asked for")
    return said


def _usual_meaning(status: int) -> str:
    if 300 <= status < 400:
        return f"HTTP {status}: it redirects elsewhere, which is not followed; its configured address may be wrong"
    if status >= 500:
        return f"it failed (HTTP {status}); another search may succeed"
    return f"it refused the search (HTTP {status})"


async def _read(response: httpx.Response, name: str) -> bytes:
    """Return the body, unpacked should it be compressed after all.

    Raises:
        WebError: It is too large, or becomes so when unpacked.
    """
    too_large = WebError(f"{name}: its reply is larger than {_MAX_BODY_BYTES // 1024**2} MB")
    parts: list[bytes] = []
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > _MAX_BODY_BYTES:
            raise too_large
        parts.append(chunk)
    raw = b"".join(parts)
    if response.headers.get("content-encoding", "identity").strip().lower() in ("", "identity"):
        return raw
    try:
        plain = zlib.decompressobj(_ANY_COMPRESSION).decompress(raw, _MAX_BODY_BYTES + 1)
    except zlib.error:
        raise WebError(f"{name}: its reply is compressed in a way that was not asked for") from None
    if len(plain) > _MAX_BODY_BYTES:
        raise too_large
    return plain


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _is_web_address(url: str) -> bool:
    """Say whether a URL can be shown and asked for as it stands."""
    if len(url) > MAX_URL_CHARS or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


class _Search:
    """What is known of one query: its results, or how it failed last."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.hits: list[Hit] | None = None
        self.failure: WebError | None = None


class CachedSearch:
    """A backend as one run sees it: the same search is sent once, and only so many are sent at all.

    Those who ask the same while it is under way share its end, good or bad. A failure is not kept beyond that: to ask
    again later is a new search. One that is given up leaves the next in line to send it.

    Args:
        backend: What is asked.
        limit: How many searches a run may send.
    """

    def __init__(self, backend: SearchBackend, *, limit: int = MAX_SEARCHES) -> None:
        self.name = backend.name
        self._backend = backend
        self._left = limit
        self._searches: dict[tuple[str, int], _Search] = {}

    async def search(self, query: str, max_results: int) -> list[Hit]:
        """Return what the backend found (see `SearchBackend`).

        Raises:
            WebError: The backend failed, or the run has used up its searches.
        """
        key = plain_query(query), result_count(max_results)
        search = self._searches.setdefault(key, _Search())
        known = search.failure
        async with search.lock:
            if search.hits is not None:
                return list(search.hits)
            if search.failure is not None and search.failure is not known:
                raise WebError(str(search.failure))
            if self._left <= 0:
                raise WebError("no more searches in this run")
            self._left -= 1
            try:
                search.hits = await self._backend.search(*key)
            except WebError as error:
                search.failure = error
                raise
            return list(search.hits)
