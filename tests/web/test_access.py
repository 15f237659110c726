"""Promises of `web.access`: which search a run gets, what of its results is passed on, pages, and the end of all."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from fusion_cli.settings import Web
from fusion_cli.web.access import Access
from fusion_cli.web.guard import WebError
from fusion_cli.web.search import Hit
from fusion_cli.web_tools import FetchLimits, SearchLimits
from tests.web.searxng_server import SearxngServer
from tests.web.site import listening
from tests.web.site import site as serving

PAGE = b"<!doctype html><title>Bees</title><main><h1>Bees</h1><p>" + b"A bee is an insect that makes honey. " * 20
KEYS = {"brave": "canary-brave", "tavily": "canary-tavily"}
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def found(*urls: str) -> list[Mapping[str, Any]]:
    """Return results as SearXNG has them."""
    return [{"url": url, "title": f"title of {url}", "content": "text"} for url in urls]


def with_access(web: Web, use: Callable[[Access], Awaitable[Any]]) -> Any:
    """Return what comes of using the web as configured."""

    async def run() -> Any:
        async with Access(web) as access:
            return await use(access)

    return asyncio.run(run())


def searched(web: Web, query: str = "bees", limits: SearchLimits = SearchLimits(), number: int = 5) -> list[Hit]:  # noqa: B008 - immutable
    """Return what one search of a run finds."""
    hits: list[Hit] = with_access(web, lambda access: access.search(query, limits, number))
    return hits


def urls_of(hits: Sequence[Hit]) -> list[str]:
    """Return where hits lead."""
    return [hit.url for hit in hits]


def site() -> AbstractContextManager[tuple[str, list[str]]]:
    """Serve a page under every path but /gone; yield `host:port`, and the paths asked for."""
    return serving(lambda path: None if path == "/gone" else PAGE)


@contextmanager
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Be the environment's proxy, which lets nobody through; yield where it was asked to lead."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _refuse(self) -> None:
            asked.append(self.path)
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_CONNECT = do_GET = do_POST = _refuse  # noqa: N815 - as `http.server` wants them

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with listening(Handler) as host:
        for name in PROXIES:
            monkeypatch.setenv(name, f"http://{host}")
        yield asked


class TestSearch:
    """Which search, and what of it."""

    def test_results_of_the_configured_server(self) -> None:
        """A SearXNG server is found by its address alone, and its results are passed on in its order."""
        one, two = "https://one.example/", "https://two.example/"
        with SearxngServer(found(one, two)) as server:
            hits = searched(Web(searxng_url=server.url))
            assert server.queries == ["bees"]
        assert hits == [Hit(one, f"title of {one}", "text"), Hit(two, f"title of {two}", "text")]

    def test_no_more_than_are_wanted(self) -> None:
        """The number holds with and without domains, and the first ones stay."""
        urls = [f"https://{n}.example/" for n in range(9)]
        with SearxngServer(found(*urls)) as server:
            assert urls_of(searched(Web(searxng_url=server.url), number=2)) == urls[:2]
            limits = SearchLimits(excluded_domains=("0.example",))
            assert urls_of(searched(Web(searxng_url=server.url), limits=limits, number=2)) == urls[1:3]

    @pytest.mark.parametrize(
        ("limits", "kept"),
        [
            (SearchLimits(), [0, 1, 2, 3]),
            (SearchLimits(allowed_domains=("good.example",)), [0, 1]),
            (SearchLimits(excluded_domains=("good.example",)), [2, 3]),
            (SearchLimits(allowed_domains=("good.example", "x.org"), excluded_domains=("www.good.example",)), [0, 3]),
            (SearchLimits(allowed_domains=("other.example",)), []),
        ],
    )
    def test_domains_that_may_be_named(self, limits: SearchLimits, kept: list[int]) -> None:
        """Allowed and excluded domains hold for subdomains too, and for nothing that only looks like one."""
        urls = ["https://good.example/", "http://www.good.example/a", "https://notgood.example/", "https://x.org/"]
        with SearxngServer(found(*urls)) as server:
            assert urls_of(searched(Web(searxng_url=server.url), limits=limits)) == [urls[n] for n in kept]

    def test_those_who_filter_look_further_down(self) -> None:
        """A page of the right domain is found though more of others than were wanted stand before it."""
        others = [f"https://other.example/{n}" for n in range(15)]
        with SearxngServer(found(*others, "https://good.example/")) as server:
            limits = SearchLimits(allowed_domains=("good.example",))
            hits = searched(Web(searxng_url=server.url), limits=limits, number=1)
        assert urls_of(hits) == ["https://good.example/"]

    def test_the_same_search_is_sent_once(self) -> None:
        """Several panelists who search the same at once share one request, each with its own domains."""

        async def twice(access: Access) -> list[list[Hit]]:
            sides = (SearchLimits(allowed_domains=(f"{side}.example",)) for side in ("a", "b"))
            return list(await asyncio.gather(*(access.search("bees", limits, 3) for limits in sides)))

        with SearxngServer(found("https://a.example/", "https://b.example/")) as server:
            first, second = with_access(Web(searxng_url=server.url), twice)
            assert server.queries == ["bees"]
        assert (urls_of(first), urls_of(second)) == (["https://a.example/"], ["https://b.example/"])

    @pytest.mark.parametrize("web", [Web(), Web(search="searxng"), Web(search="brave"), Web(search="tavily")])
    def test_without_a_usable_search_nothing_is_asked(self, web: Web) -> None:
        """The model is told, each time, and may still read."""

        async def twice(access: Access) -> None:
            for _ in range(2):
                with pytest.raises(WebError, match=r"^no search is configured: read pages that you know instead$"):
                    await access.search("bees", SearchLimits(), 5)

        with_access(web, twice)

    @pytest.mark.parametrize(
        ("web", "asked"),
        [
            (Web(api_keys=KEYS), "api.search.brave.com:443"),
            (Web(api_keys={"tavily": KEYS["tavily"]}), "api.tavily.com:443"),
            (Web(search="tavily", api_keys=KEYS), "api.tavily.com:443"),
            (Web(search="brave", searxng_url="http://127.0.0.1:1", api_keys=KEYS), "api.search.brave.com:443"),
        ],
    )
    def test_a_key_leads_to_its_own_server(self, web: Web, asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """By name or by key alone, one server is asked, encrypted, through the environment's proxy; no key is told."""
        with proxy(monkeypatch) as led, pytest.raises(WebError) as caught:
            searched(web)
        assert led == [asked]
        assert str(caught.value).startswith(f"{web.backend}: ")
        assert not any(key in str(caught.value) for key in KEYS.values())

    def test_a_searxng_server_in_plain_http_is_asked_without_the_proxy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A proxy of the environment is no way to a server on this machine, and reads no plain text."""
        with proxy(monkeypatch) as led, SearxngServer(found("https://one.example/")) as server:
            assert urls_of(searched(Web(searxng_url=server.url))) == ["https://one.example/"]
        assert led == []

    @pytest.mark.parametrize("name", ["ALL_PROXY", "HTTPS_PROXY"])
    def test_a_broken_environment_is_an_answer(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A proxy that cannot be used costs the search and not the panelist; the way to it is not quoted."""
        monkeypatch.setenv(name, "gopher://user:canary@127.0.0.1:1")
        with pytest.raises(WebError, match=r"^the search cannot be asked: proxy or certificates") as caught:
            searched(Web(api_keys=KEYS))
        assert "canary" not in str(caught.value)


class TestRead:
    """Pages."""

    def test_a_page_that_the_user_opened(self) -> None:
        """What is listed under allow_hosts is read though it is on this machine, once for all who ask."""
        with site() as (host, asked):
            url = f"http://{host}/bees"

            async def twice(access: Access) -> list[Any]:
                return await asyncio.gather(*(access.read(url, FetchLimits(), 500) for _ in range(2)))

            first, second = with_access(Web(allow_hosts=(host,)), twice)
        assert (first.url, first.title) == (url, "Bees")
        assert "A bee is an insect" in first.text
        assert second == first
        assert asked == ["/bees"]

    def test_a_page_that_he_did_not_open(self) -> None:
        """Without the entry this machine is not asked at all."""
        with site() as (host, asked):
            with pytest.raises(WebError):
                with_access(Web(), lambda access: access.read(f"http://{host}/bees", FetchLimits(), 500))
            assert asked == []

    def test_the_limits_hold(self) -> None:
        """Domains and length are those of the call."""
        with site() as (host, asked):
            web, url = Web(allow_hosts=(host,)), f"http://{host}/bees"
            for limits in (FetchLimits(allowed_domains=("e.org",)), FetchLimits(blocked_domains=("127.0.0.1",))):
                with pytest.raises(WebError):
                    with_access(web, partial(Access.read, url=url, limits=limits, max_content_tokens=500))
            assert asked == []
            short = with_access(web, lambda access: access.read(url, FetchLimits(), 30))
            whole = with_access(web, lambda access: access.read(url, FetchLimits(), 500))
        assert len(short.text) < len(whole.text) / 2

    def test_a_page_that_is_not_there(self) -> None:
        """A failure is one line for the model."""
        with site() as (host, _), pytest.raises(WebError, match="404"):
            with_access(Web(allow_hosts=(host,)), lambda it: it.read(f"http://{host}/gone", FetchLimits(), 500))


def test_a_broken_proxy_costs_searches_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a search needs is made ready when somebody searches: a run that only reads never misses it."""
    monkeypatch.setenv("ALL_PROXY", "gopher://127.0.0.1:1")
    with site() as (host, _):
        web = Web(api_keys=KEYS, allow_hosts=(host,))
        page = with_access(web, lambda access: access.read(f"http://{host}/bees", FetchLimits(), 500))
    assert page.title == "Bees"


def test_after_its_end_nothing_can_be_asked() -> None:
    """What carried searches and pages is closed with the run, and nothing stays open behind it."""
    with SearxngServer(found("https://one.example/")) as server, site() as (host, asked):
        web, url = Web(searxng_url=server.url, allow_hosts=(host,)), f"http://{host}/bees"

        async def run() -> None:
            async with Access(web) as access:
                await access.search("bees", SearchLimits(), 5)
                await access.read(url, FetchLimits(), 500)
            for again in (access.search("wasps", SearchLimits(), 5), access.read(f"{url}2", FetchLimits(), 500)):
                with pytest.raises((WebError, RuntimeError)):
                    await again

        asyncio.run(run())
        assert server.queries == ["bees"]
        assert asked == ["/bees"]
