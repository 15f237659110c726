"""Promises of `api.probe`: one small request, every answer of a server is an outcome, and nothing secret comes back."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from fusion_cli.api.probe import Sounding, sound_out
from fusion_cli.chat import Endpoint
from tests.wire.server import Fault, Reply, WireServer, document, failure, html, redirect

KEY = "sk-canary-0123456789"


@pytest.fixture
def server() -> Iterator[WireServer]:
    """Serve what the test scripts."""
    with WireServer() as server:
        yield server


def sounded(url: str, *, asks_for_key: bool = False, patience_s: float = 5.0) -> Sounding:
    """Return what came of asking."""
    return asyncio.run(sound_out(Endpoint(url, KEY), asks_for_key=asks_for_key, patience_s=patience_s))


def test_the_models_are_listed(server: WireServer) -> None:
    """A server of one's own is asked for its models, with the key."""
    found = sounded(server.url)
    [request] = server.requests
    assert (request.method, request.path) == ("GET", "/api/v1/models")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert found.models == ("openai/gpt-5", "anthropic/claude-opus-4.8")
    assert (found.status, found.is_accepted, found.is_refused, found.left) == (200, True, False, None)


@pytest.mark.parametrize(
    ("data", "left"),
    [({"limit_remaining": 2}, 2.0), ({"limit_remaining": None}, None), ({}, None), ([], None), (None, None)]
    + [({"limit_remaining": odd}, None) for odd in ("3", True, float("nan"), 10**400)],
)
def test_what_a_key_may_spend(server: WireServer, data: object, left: float | None) -> None:
    """OpenRouter is asked for the key; an amount is a number or it is not known."""
    server.script("/api/v1/key", Reply(body=json.dumps({"data": data}).encode(), content_type="application/json"))
    found = sounded(server.url, asks_for_key=True)
    assert (found.left, found.models, found.is_accepted) == (left, (), True)


@pytest.mark.parametrize("status", [401, 403, 402, 404, 429, 500, 503])
def test_a_refusal_is_a_status_and_no_text(server: WireServer, status: int) -> None:
    """What a server writes beside its status is not passed on: it may repeat the key."""
    server.script("/api/v1/models", failure(status, f"bad key {KEY}"))
    found = sounded(server.url)
    assert (found.status, found.is_accepted, found.is_refused) == (status, False, status in (401, 403))
    assert KEY not in repr(found)


def test_a_redirect_is_not_followed(server: WireServer) -> None:
    """The key goes to its own server and no further."""
    with WireServer() as other:
        server.script("/api/v1/models", redirect(f"{other.url}/models"))
        assert sounded(server.url).status == 307
        assert other.requests == []


@pytest.mark.parametrize(
    "reply",
    [
        Reply(raw=b"not HTTP at all\r\n\r\n"),
        Reply(text="x" * 100, fault=Fault("reset", after=None)),
        Reply(text="x" * 100, fault=Fault("close", after=None)),
    ],
)
def test_a_broken_answer_is_trouble(server: WireServer, reply: Reply) -> None:
    """What is no HTTP, or breaks off before it, is said in a few words."""
    server.script("/api/v1/models", reply)
    found = sounded(server.url)
    assert (found.status, found.trouble) == (None, "its answer is not HTTP, or broke off")


@pytest.mark.parametrize(
    "reply",
    [html(status=200), document([]), document({"data": [None, 7, {"id": 7}, {"id": ""}, {}]}), document({"data": "x"})]
    + [Reply(body=body, content_type="application/json") for body in (b"", b"{", b"[" * 100_000, b"\xff")],
)
def test_a_strange_list_is_no_list(server: WireServer, reply: Reply) -> None:
    """Whatever stands where the models should, nothing is raised and no model made up."""
    server.script("/api/v1/models", reply)
    found = sounded(server.url)
    assert (found.status, found.models) == (200, ())


class Drip(httpx.AsyncByteStream):
    """A body that never ends, though something always comes."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield a blank every now and then."""
        while True:
            yield b" "
            await asyncio.sleep(0.02)


def test_silence_has_an_end(server: WireServer) -> None:
    """A server that never answers is left after the time it was given."""
    server.script("/api/v1/models", Reply(fault=Fault("stall", after=None)))
    assert sounded(server.url, patience_s=0.3).trouble == "no answer within 0.3 s"


def test_a_body_without_end_has_one() -> None:
    """The time is for the whole, however often something comes."""
    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=Drip()))
    found = asyncio.run(sound_out(Endpoint("http://x/v1"), asks_for_key=False, patience_s=0.3, transport=transport))
    assert (found.status, found.trouble) == (None, "no answer within 0.3 s")


def test_nobody_there() -> None:
    """A refused connection names the host."""
    assert sounded("http://127.0.0.1:1/v1").trouble.startswith("cannot connect to 127.0.0.1:1: ")
