"""Promises of the backends that speak HTTP: what they ask, what they make of the answers, how failures read."""

import asyncio
import gzip
import json
import traceback
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import httpx
import pytest

from fusion_cli.web.brave import BraveSearch
from fusion_cli.web.guard import WebError
from fusion_cli.web.search import Hit, SearchBackend, clean_hits, exchange, plain_query
from fusion_cli.web.searxng import SearxngSearch
from fusion_cli.web.tavily import TavilySearch
from tests.web.searxng_server import SearxngServer

KEY = "sk-canary-0123456789"
BASE = "http://127.0.0.1:9/base/"
Handler = Callable[[httpx.Request], httpx.Response] | Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]


class Kind(NamedTuple):
    """How one backend is made, and how its server wraps results of url, title and text."""

    make: Callable[[httpx.AsyncClient], SearchBackend]
    wrap: Callable[[Any], dict[str, Any]]
    text: str


KINDS = {
    "searxng": Kind(lambda http: SearxngSearch(http, BASE), lambda found: {"results": found}, "content"),
    "brave": Kind(
        lambda http: BraveSearch(http, KEY, base_url=BASE),
        lambda found: {"type": "search", "web": {"results": found}},
        "description",
    ),
    "tavily": Kind(lambda http: TavilySearch(http, KEY, base_url=BASE), lambda found: {"results": found}, "content"),
}


def search(kind: str, handler: Handler, query: str = "fresh news", max_results: int = 5) -> list[Hit]:
    """Search once, with a server that answers as `handler` does."""

    async def ask() -> list[Hit]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http:
            return await KINDS[kind].make(http).search(query, max_results)

    return asyncio.run(ask())


def says(value: Any, status: int = 200) -> Handler:
    """Return a handler that always answers the same: bytes as they are, or a value as JSON."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return lambda request: httpx.Response(status, stream=httpx.ByteStream(body))


def fails(kind: str, handler: Handler, match: str = "") -> str:
    """Return the message of a search that must fail: one clear line that begins with the backend's name, no key."""
    with pytest.raises(WebError, match=match) as caught:
        search(kind, handler)
    message = str(caught.value)
    assert message.startswith(f"{kind}: ")
    assert message.isprintable()
    assert len(message) <= 300
    told = "".join(traceback.format_exception(caught.value))
    assert KEY not in told
    return message


@pytest.mark.parametrize("kind", KINDS)
def test_results_become_hits(kind: str) -> None:
    """What a server found is returned in its order, as URL, title and text."""
    found = [{"url": f"https://e.org/{n}", "title": f"T{n}", KINDS[kind].text: f"Text {n}", "score": n} for n in (1, 2)]
    hits = search(kind, says(KINDS[kind].wrap(found)))
    assert hits == [Hit("https://e.org/1", "T1", "Text 1"), Hit("https://e.org/2", "T2", "Text 2")]


def test_each_server_is_asked_in_its_own_words() -> None:
    """Method, path, key and count are what the server's documentation wants, the count within its limits."""
    requests: dict[str, httpx.Request] = {}
    for kind in KINDS:

        def note(request: httpx.Request, kind: str = kind) -> httpx.Response:
            requests[kind] = request
            return httpx.Response(200, stream=httpx.ByteStream(json.dumps(KINDS[kind].wrap([])).encode()))

        assert search(kind, note, " C++ &\n\x1b[1mtemplates\ud800 ", 50) == []
    query = "C++ & templates\ufffd"
    searxng, brave, tavily = requests.values()
    assert [f"{request.method} {request.url.path}" for request in requests.values()] == [
        "GET /base/search",
        "GET /base/web/search",
        "POST /base/search",
    ]
    assert dict(searxng.url.params) == {"q": query, "format": "json"}
    assert dict(brave.url.params) == {"q": query, "count": "20"}
    assert json.loads(tavily.content) == {"query": query, "max_results": 20, "search_depth": "basic"}
    assert brave.headers["x-subscription-token"] == KEY
    assert tavily.headers["authorization"] == f"Bearer {KEY}"


def test_no_more_hits_than_wanted() -> None:
    """A server that returns more than it was asked for is cut short, and a senseless count means one."""
    found = [{"url": f"https://e.org/{n}", "title": "T", "content": "C"} for n in range(30)]
    assert len(search("searxng", says({"results": found}), max_results=3)) == 3
    assert len(search("searxng", says({"results": found}), max_results=-1)) == 1


def test_brave_marks_and_entities_are_plain_text() -> None:
    """The marks on the words that were searched are taken out, and what the page wrote about markup stays."""
    found = [
        {
            "url": "https://e.org/",
            "title": "It&#x27;s <strong>fresh</strong>",
            "description": "<strong>A &amp; B</strong>: use &lt;strong&gt;",
        }
    ]
    assert search("brave", says({"web": {"results": found}})) == [
        Hit("https://e.org/", "It's fresh", "A & B: use <strong>")
    ]


def test_brave_leaves_the_group_out_when_nothing_is_found() -> None:
    """A reply of Brave's without web results is an empty one, not a broken one."""
    assert search("brave", says({"type": "search", "query": {"original": "x"}})) == []


REFUSALS: list[tuple[str, int, Any, str]] = [
    ("searxng", 403, b"<!doctype html>", r"settings\.yml"),
    ("searxng", 403, b"", r"`search: formats: \[html, json\]`"),
    ("searxng", 429, {}, "too many requests"),
    ("searxng", 302, b"", "redirects elsewhere"),
    ("searxng", 502, b"<html>", "it failed"),
    ("brave", 401, {}, "does not accept the key"),
    ("brave", 402, {}, "cannot pay"),
    ("brave", 403, {}, "plan does not allow"),
    ("brave", 404, {}, "no subscription"),
    ("brave", 422, {"error": {"code": "VALIDATION"}}, "cannot use the query"),
    ("brave", 422, {"error": {"code": "SUBSCRIPTION_TOKEN_INVALID"}}, "does not accept the key"),
    ("brave", 422, {"errors": [7, {"code": "SUBSCRIPTION_TOKEN_INVALID"}]}, "does not accept the key"),
    ("brave", 422, {"error": {"code": ["x"]}, "errors": "no"}, "cannot use the query"),
    ("brave", 429, {"error": {"code": "RATE_LIMITED"}}, "too many requests"),
    ("brave", 429, {"error": {"code": "QUOTA_LIMITED"}}, "plan are used up"),
    ("brave", 500, b"\xff", "it failed"),
    ("tavily", 400, {"detail": {"error": KEY}}, "cannot use the query"),
    ("tavily", 401, {"detail": {"error": f"bad key {KEY}"}}, "does not accept the key"),
    ("tavily", 403, {}, "does not allow"),
    ("tavily", 418, KEY, r"refused the search \(HTTP 418\)"),
    ("tavily", 429, {}, "too many requests"),
    ("tavily", 432, {}, "plan are used up"),
    ("tavily", 433, {}, "pay-as-you-go"),
]


@pytest.mark.parametrize(("kind", "status", "body", "match"), REFUSALS)
def test_refusals_are_told_apart(kind: str, status: int, body: Any, match: str) -> None:
    """Each refusal says what it means, and where somebody can help it, what to do; the server's words stay out."""
    fails(kind, says(body, status), match)


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ([["google", "timeout"], ["bing", "Suspended: CAPTCHA"]], r"\(google: timeout, bing: Suspended: CAPTCHA\)"),
        ([["a\x1b[2J\n", 7, "b" * 99], "qwant", 3, [], None], r"\(a: b{39}…, qwant\)"),
        ([[str(n), "x"] for n in range(9)], r"4: x, and 4 more\)"),
    ],
)
def test_searxng_names_engines_that_did_not_respond(named: Any, told: str) -> None:
    """No results, with engines that did not respond, is a failure that names them."""
    fails("searxng", says({"results": [], "unresponsive_engines": named}), told)


@pytest.mark.parametrize("named", [[], {}, "google", [7], None])
def test_searxng_may_find_nothing(named: Any) -> None:
    """No results is an answer where no engine is named."""
    assert search("searxng", says({"results": [], "unresponsive_engines": named})) == []


JUNK = [
    b"",
    b"<html><body>Just a moment...</body></html>",
    b"null",
    b"[]",
    b'"results"',
    b"{}",
    b'{"results": {"url": "https://e.org"}, "web": [1]}',
    b'{"results": "x", "web": "x"}',
    b'{"results": [',
    b"[" * 200_000,
    b'{"a": ' * 100_000,
    b'{"results": ' + b"9" * 5_000 + b"}",
    b"\xff\xfe\x00\xd8",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", JUNK, ids=range(len(JUNK)))
def test_what_is_no_list_of_results_is_an_error(kind: str, body: bytes) -> None:
    """A reply of another shape, or not in JSON, fails in one line."""
    fails(kind, says(body), "its reply")


@pytest.mark.parametrize("kind", KINDS)
def test_junk_among_the_results_is_left_out(kind: str) -> None:
    """Entries without a usable web address are skipped, texts of a wrong type are empty, a URL comes once."""
    text = KINDS[kind].text
    addresses = [
        None,
        7,
        "",
        "e.org",
        "//e.org/",
        "ftp://e.org/",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http://",
        "http://[",
        "https://e.org/a b",
        "https://e.org/\nHost: x",
        "https://e.org/\u202e",
        "https://e.org/\ud800",
        "https://e.org/" + "x" * 2_000,
    ]
    found: list[Any] = [None, 7, "x", [], {}, *({"url": url, "title": "T", text: "C"} for url in addresses)]
    found += [{"url": "HTTPS://e.org/ü", "title": ["T"], text: {"C": 1}}]
    found += [{"url": "https://e.org/", "title": name, text: "C"} for name in ("first", "second")]
    assert search(kind, says(KINDS[kind].wrap(found))) == [
        Hit("HTTPS://e.org/ü", "HTTPS://e.org/ü", ""),
        Hit("https://e.org/", "first", "C"),
    ]


def test_hits_are_clean_and_short() -> None:
    """Titles and texts are one line each, without controls, at most 200 and 1,000 characters long."""
    [long, plain] = clean_hits(
        [
            ("http://e.org/1", "t" * 500, "c\n" * 4_000),
            ("http://e.org/2", "A\r\n\x1b]0;x\x07B\u202e", "C\x00\n\nD\ud800"),
        ],
        5,
    )
    assert (len(long.title), len(long.content)) == (200, 1_000)
    assert plain == Hit("http://e.org/2", "A B<U+202E>", "C D\ufffd")


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}])
def test_a_huge_body_is_not_read(headers: dict[str, str]) -> None:
    """A reply of more than 2 MB, packed or not, is given up."""
    body = b'{"results": []}' + b" " * 2 * 1024 * 1024
    if headers:
        body = gzip.compress(body)
        assert len(body) < 10_000
    fails("tavily", lambda request: httpx.Response(200, headers=headers, stream=httpx.ByteStream(body)), "than 2 MB")


def test_a_compressed_reply_is_read() -> None:
    """A server that compresses though it was not asked to is understood; what cannot be unpacked is an error."""

    def answer(body: bytes) -> Handler:
        packed = {"Content-Encoding": "gzip"}
        return lambda request: httpx.Response(200, headers=packed, stream=httpx.ByteStream(body))

    assert search("tavily", answer(gzip.compress(b'{"results": []}'))) == []
    fails("tavily", answer(b'{"results": []}'), "compressed")
    fails("tavily", answer(gzip.compress(b'{"results": []}')[:-12]), "JSON")


@pytest.mark.parametrize(
    ("fault", "match"),
    [
        (httpx.ConnectError(f"no {KEY}"), "cannot connect"),
        (httpx.ConnectTimeout(KEY), "no answer within 15 seconds"),
        (httpx.ReadTimeout(KEY), "no answer within 15 seconds"),
        (httpx.ReadError(KEY), "the connection broke"),
        (httpx.RemoteProtocolError(KEY), "the connection broke"),
        (httpx.LocalProtocolError(f"Illegal header value b'{KEY}'"), "no request can carry"),
        (httpx.ProxyError(KEY), "the connection broke"),
        (httpx.UnsupportedProtocol(KEY), "address"),
        (ConnectionResetError(KEY), "the connection broke"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("kind", KINDS)
def test_faults_of_the_network_are_one_line(kind: str, fault: Exception, match: str) -> None:
    """Whatever goes wrong on the way is a line for the model, without key or address."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise fault

    assert "127.0.0.1" not in fails(kind, fail, match)


def test_a_key_that_no_header_can_hold_is_not_quoted() -> None:
    """A key with foreign characters fails before it is sent, unseen."""

    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(says({}))) as http:
            await BraveSearch(http, f"{KEY}ü").search("x", 1)

    with pytest.raises(WebError, match="no request can carry") as caught:
        asyncio.run(ask())
    assert KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_is_not_taken_elsewhere(kind: str) -> None:
    """A redirect is not followed, whatever the client does otherwise."""
    asked: list[str] = []

    def move(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(307, headers={"Location": "http://127.0.0.2/"}, stream=httpx.ByteStream(b""))

    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(move), follow_redirects=True) as http:
            await KINDS[kind].make(http).search("x", 1)

    with pytest.raises(WebError, match="redirects elsewhere"):
        asyncio.run(ask())
    assert len(asked) == 1


def test_a_slow_server_is_given_up() -> None:
    """The time limit counts all of an exchange, however busy the server looks."""

    async def drip(request: httpx.Request) -> httpx.Response:
        async def body() -> Any:
            while True:
                yield b" "
                await asyncio.sleep(0.01)

        return httpx.Response(200, content=body())

    async def ask() -> None:
        async with asyncio.timeout(5), httpx.AsyncClient(transport=httpx.MockTransport(drip)) as http:
            await exchange(http, "slow", BASE, refusal=lambda status, said: None, time_limit_s=0.1)

    with pytest.raises(WebError, match=r"^slow: no answer within 0\.1 seconds$"):
        asyncio.run(ask())


@pytest.mark.parametrize(("query", "match"), [("", "empty"), (" \n\x1b[0m", "empty"), ("x" * 401, "too long")])
def test_a_query_that_cannot_be_asked_is_refused(query: str, match: str) -> None:
    """An empty or endless query is answered at once."""
    with pytest.raises(WebError, match=match):
        plain_query(query)


def real(url: str, query: str) -> list[Hit]:
    """Search a server on loopback for real."""

    async def ask() -> list[Hit]:
        async with httpx.AsyncClient(trust_env=False) as http:
            return await SearxngSearch(http, url).search(query, 5)

    return asyncio.run(ask())


def test_a_real_server_is_searched() -> None:
    """Over a socket, the query arrives as it was written, and the results come back."""
    with SearxngServer(results=[{"url": "https://e.org/", "title": "T", "content": "C"}]) as server:
        assert real(f"{server.url}/", "Zwölf & 1+1=2?") == [Hit("https://e.org/", "T", "C")]
        assert server.queries == ["Zwölf & 1+1=2?"]


def test_a_real_server_refuses() -> None:
    """A server without JSON, one whose engines are silent, and one that has gone are told apart."""
    with SearxngServer(formats=["html"]) as server, pytest.raises(WebError, match="settings"):
        real(server.url, "x")
    with SearxngServer(unresponsive=[("google", "timeout")]) as server, pytest.raises(WebError, match="google"):
        real(server.url, "x")
    with pytest.raises(WebError, match="cannot connect"):
        real(server.url, "x")
