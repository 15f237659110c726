"""Promises of `api.catalogue` and of the client that asks for it: how much a model can read, or that nobody knows."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from fusion_cli.api.catalogue import Catalogue, parse
from fusion_cli.api.client import ChatClient
from fusion_cli.chat import Endpoint, ModelName, Price
from tests.wire.server import Fault, Reply, WireServer, failure, html, redirect

MODEL = ModelName("openrouter", "openai/gpt-5")
PATH = "/api/v1/models"
KEY = "sk-canary-0123456789"
JUNK: list[Any] = [None, 7, {}, "x", [None, 7, "x", [], {}]]


@pytest.fixture
def server() -> Iterator[WireServer]:
    """Serve what the test scripts."""
    with WireServer() as server:
        yield server


def listed(*entries: Any) -> bytes:
    """Return a list of models as a server sends it."""
    return json.dumps({"data": entries}).encode()


def known(body: bytes, slug: str = MODEL.slug) -> int | None:
    """Return the context of a model by this list."""
    return Catalogue("", 0.0, parse(body)).context_tokens(slug)


def entry(slug: object = MODEL.slug, length: object = 8000, **others: Any) -> dict[str, Any]:
    """Return a model of the list."""
    return {"id": slug, "context_length": length, **others}


def ask(
    server: WireServer | str,
    *slugs: str,
    has_catalogue: bool = True,
    context_tokens: int | None = None,
    catalogue_s: float = 5.0,
    transport: httpx.AsyncBaseTransport | None = None,
) -> list[int | None]:
    """Ask one client for the contexts of these models (one, by default), all at once."""
    url = server if isinstance(server, str) else server.url
    models = [ModelName("openrouter", slug) for slug in slugs or (MODEL.slug,)]
    endpoint = Endpoint(url, KEY, (("X-Title", "fusion"),), context_tokens=context_tokens, has_catalogue=has_catalogue)

    async def put() -> list[int | None]:
        async with ChatClient(dict.fromkeys(models, endpoint), transport=transport, catalogue_s=catalogue_s) as client:
            return await asyncio.gather(*(client.context_tokens(model) for model in models))

    return asyncio.run(put())


class TestList:
    """What the list says."""

    @pytest.mark.parametrize(
        ("entries", "slug", "found"),
        [
            ([entry()], "openai/gpt-5", 8000),
            ([entry("other"), entry(length=9000), entry(length=1000)], "openai/gpt-5", 9000),
            ([entry(top_provider={"context_length": 4000})], "openai/gpt-5", 4000),
            ([entry(top_provider={"context_length": 9000})], "openai/gpt-5", 8000),
            ([entry(length=None, top_provider={"context_length": 4000})], "openai/gpt-5", 4000),
            ([entry()], "openai/gpt-5:online", 8000),
            ([entry()], "openai/gpt-5:free:online", 8000),
            ([entry(), entry("openai/gpt-5:free", 2000)], "openai/gpt-5:free", 2000),
            ([entry(), entry("openai/gpt-5:free", 2000)], "openai/gpt-5:free:online", 2000),
            ([entry(canonical_slug="openai/gpt-5-2026")], "openai/gpt-5-2026", 8000),
            ([entry(canonical_slug="openai/gpt-5-2026")], "openai/gpt-5-2026:nitro", 8000),
            (
                [entry("openai/gpt-5:free", 2000, canonical_slug="c"), entry("openai/gpt-5", canonical_slug="c")],
                "c",
                8000,
            ),
            ([entry("other", 2000, canonical_slug=MODEL.slug), entry()], "openai/gpt-5", 8000),
            ([entry("")], ":free", None),
            ([entry()], "openai/gpt-5-mini", None),
            ([entry()], "openai", None),
            ([entry()], "", None),
            ([], "openai/gpt-5", None),
        ],
    )
    def test_a_model_is_found_by_its_names(self, entries: list[Any], slug: str, found: int | None) -> None:
        """Its own name first, then the name without a variant; the smaller number counts, and no other model's."""
        assert known(listed(*entries), slug) == found

    @pytest.mark.parametrize("length", [None, True, "8000", 8000.0, -1, 0, 255, 10**9 + 1, 10**400, [], {}])
    def test_an_absurd_number_is_unknown(self, length: object) -> None:
        """What cannot be a context is none, at either place."""
        assert known(listed(entry(length=length, top_provider={"context_length": length}))) is None

    @pytest.mark.parametrize(
        "body",
        [
            *(b"", b"{", b"null", b"7", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"data": ' + b"9" * 5000 + b"}"),
            *(json.dumps({"data": value}).encode() for value in JUNK),
            listed(entry(None), entry(7), entry([]), {"id": MODEL.slug}),
            listed(entry(None, canonical_slug=7), entry(7, top_provider=[])),
        ],
        ids=lambda body: repr(body[:40]),
    )
    def test_a_list_of_another_shape_knows_nothing(self, body: bytes) -> None:
        """Junk raises nothing."""
        assert known(body) is None

    def test_junk_costs_itself(self) -> None:
        """Among entries that make no sense, one that does is found."""
        assert known(listed(None, 7, {}, entry(length="x"), entry(top_provider=7))) == 8000


class TestFamily:
    """What is told of `~author/family-latest`, which a list may not have itself."""

    MEMBERS = (
        entry("google/gemini-2.5-pro", 9000, pricing={"prompt": "0.000001", "completion": "0.00001"}),
        entry("google/gemini-3-pro", 8000, pricing={"prompt": "0.000002", "completion": "0.000008"}),
        entry("google/gemini-3-pro:free", 7000, pricing={"prompt": "0", "completion": "0"}),
        entry("google/gemini-3-flash", 6000, pricing={"prompt": "0.1", "completion": "0.1"}),
        entry("other/gemini-9-pro", 5000, pricing={"prompt": "0.1", "completion": "0.1"}),
    )

    def test_the_dearest_and_the_smallest_member_count(self) -> None:
        """Nobody knows which one it is, so what is assumed is on the safe side."""
        catalogue = Catalogue("", 0.0, parse(listed(*self.MEMBERS)))
        assert catalogue.price("~google/gemini-pro-latest") == Price(0.000002, 0.00001, 0.0)
        assert catalogue.context_tokens("~google/gemini-pro-latest") == 8000
        assert catalogue.price("~google/gemini-ultra-latest") is None
        assert not catalogue.has("~google/gemini-pro-latest")

    def test_a_member_without_a_price_makes_it_unknown(self) -> None:
        """An unknown price is not taken for a low one."""
        catalogue = Catalogue("", 0.0, parse(listed(*self.MEMBERS, entry("google/gemini-4-pro"))))
        assert catalogue.price("~google/gemini-pro-latest") is None


class TestClient:
    """Who is asked, and what comes of it."""

    def test_what_is_known_is_not_asked_for(self, server: WireServer) -> None:
        """An endpoint that tells the context itself, or has no list, costs no request."""
        assert ask(server, context_tokens=8192) == [8192]
        assert ask(server, context_tokens=8192, has_catalogue=False) == [8192]
        assert ask(server, has_catalogue=False) == [None]
        assert server.requests == []

    def test_all_callers_share_one_request(self, server: WireServer) -> None:
        """However many models are asked for at once, the list is fetched once, without key and without headers."""
        server.script(PATH, Reply(body=listed(entry(), entry("a/b", 4096)), delay_first_s=0.1))
        assert ask(server, MODEL.slug, "a/b", "a/b:free", "x/y") == [8000, 4096, 4096, None]
        (request,) = server.requests
        assert (request.method, request.path, request.raw_body) == ("GET", PATH, b"")
        for secret in (KEY.encode(), b"authorization", b"x-title", b"fusion-depth"):
            assert secret not in request.head.lower()

    def test_each_server_has_its_own_list(self, server: WireServer) -> None:
        """Two base URLs are two lists; asked again later, both are still known."""
        other = ModelName("other", MODEL.slug)

        async def put(endpoints: dict[ModelName, Endpoint]) -> list[int | None]:
            async with ChatClient(endpoints) as client:
                return [await client.context_tokens(model) for model in (MODEL, other, MODEL, other)]

        with WireServer() as second:
            second.models = [entry()]
            urls = {MODEL: server.url, other: second.url}
            found = asyncio.run(put({model: Endpoint(url, has_catalogue=True) for model, url in urls.items()}))
            assert (len(server.requests), len(second.requests)) == (1, 1)
        assert found == [200_000, 8000, 200_000, 8000]

    @pytest.mark.parametrize(
        "reply",
        [
            *(failure(status) for status in (400, 401, 404, 429, 500, 503)),
            html(status=200),
            Reply(status=204, body=b""),
            Reply(raw=b"SSH-2.0-OpenSSH_9.6\r\n"),
            Reply(body=listed(entry()), fault=Fault("close", after=None)),
            Reply(body=listed(entry()), fault=Fault("reset", after=None)),
            Reply(body=listed(entry()), fault=Fault("end")),
            Reply(body=b"no gzip", headers={"Content-Encoding": "gzip"}),
            Reply(body=b" " * (17 << 20) + listed(entry())),
        ],
        ids=lambda reply: (
            f"{reply.status}{reply.fault.kind if reply.fault else ''}{(reply.body or reply.raw or b'')[:7]!r}"
        ),
    )
    def test_whatever_is_wrong_is_unknown(self, server: WireServer, reply: Reply) -> None:
        """A list that cannot be had, or is longer than 16 MiB, costs one request and no more than the knowledge."""
        server.script(PATH, reply)
        assert ask(server, MODEL.slug, "a/b") == [None, None]
        assert len(server.requests) == 1

    def test_a_redirect_is_not_followed(self, server: WireServer) -> None:
        """Another place's list is not believed, nor asked for."""
        with WireServer() as trap:
            server.script(PATH, redirect(f"{trap.url}/models"))
            assert ask(server) == [None]
            assert trap.requests == []

    @pytest.mark.parametrize("kind", ["stall", "comments"])
    @pytest.mark.parametrize("after", [None, 0])
    def test_a_server_that_takes_its_time_is_left(self, server: WireServer, kind: Any, after: int | None) -> None:
        """After its time the list is unknown, be the server silent or busy."""
        server.script(PATH, Reply(body=listed(entry()), fault=Fault(kind, after=after)))
        started = time.monotonic()
        assert ask(server, catalogue_s=0.2) == [None]
        assert time.monotonic() - started < 2
        server.wait_for(lambda requests: requests[0].outcome != "open")

    @pytest.mark.parametrize("fault", [httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, OSError, ValueError])
    def test_no_fault_of_the_network_is_raised(self, fault: Callable[[str], Exception]) -> None:
        """Nobody listening, no name, no way there: unknown."""

        def fail(request: httpx.Request) -> httpx.Response:
            raise fault("gone")

        assert ask("http://127.0.0.1:9/v1", transport=httpx.MockTransport(fail)) == [None]

    def test_a_caller_that_gives_up_takes_nothing_from_the_others(self, server: WireServer) -> None:
        """One who is cancelled while waiting leaves the request to the one who still waits."""
        server.script(PATH, Reply(body=listed(entry()), delay_first_s=0.2))

        async def put() -> int | None:
            async with ChatClient({MODEL: Endpoint(server.url, has_catalogue=True)}) as client:
                first, second = (asyncio.create_task(client.context_tokens(MODEL)) for _ in "ab")
                await asyncio.sleep(0.05)
                first.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await first
                return await second

        assert asyncio.run(put()) == 8000
        assert len(server.requests) == 1

    def test_nothing_goes_on_when_the_client_is_closed(self, server: WireServer) -> None:
        """A request that nobody waits for any more ends with the client, at once."""
        server.script(PATH, Reply(body=listed(entry()), fault=Fault("stall")))

        async def put() -> None:
            async with ChatClient({MODEL: Endpoint(server.url, has_catalogue=True)}) as client:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(client.context_tokens(MODEL), 0.1)
            assert asyncio.all_tasks() == {asyncio.current_task()}

        started = time.monotonic()
        asyncio.run(put())
        assert time.monotonic() - started < 2
        server.wait_for(lambda requests: requests[0].client_closed)
