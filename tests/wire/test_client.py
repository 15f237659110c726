"""Promises of `api.client` against a real server on loopback: what a fault costs, where a key goes, what is reused."""

import asyncio
import random
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import pytest

from fusion_cli.api import wire
from fusion_cli.api.client import ChatClient
from fusion_cli.chat import ChatRequest, Completion, Delta, Endpoint, Message, ModelName, Usage
from fusion_cli.errors import (
    KeyRejectedError,
    ModelError,
    ModelRejectedError,
    ModelUnreachableError,
    RateLimitError,
    ServerFailedError,
)
from tests.wire.server import Call, Fault, Reply, WireServer, failure, html, redirect

MODEL = ModelName("lab", "openai/gpt-5")
OTHER = ModelName("other", "openai/gpt-5")
ASKED = (Message("user", "Which \ud800 DB?"),)
REQUEST = ChatRequest(MODEL, ASKED)
KEY = "sk-canary-0123456789"
SEED = 152872  # the first four throws are below 0.03
TEXT = "Zwölf Boxkämpfer\u2028jagen\u2029Viktor\u0085quer\v\f 🥊 über den großen Sylter Deich."


@pytest.fixture
def server() -> Iterator[WireServer]:
    """Serve what the test scripts."""
    with WireServer() as server:
        yield server


@pytest.fixture(autouse=True)
def quick_dice() -> None:
    """Let the jitter of the retries fall short, so that nobody waits for it."""
    random.seed(SEED)


def ask(
    server: WireServer | str,
    *requests: ChatRequest,
    deltas: list[Delta] | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> list[Completion]:
    """Put the requests (one, by default) to a server, one after the other, through one client."""
    url = server if isinstance(server, str) else server.url

    async def put() -> list[Completion]:
        async with ChatClient({MODEL: Endpoint(url, KEY)}, transport=transport) as client:

            def say(delta: Delta) -> None:
                if deltas is not None and not delta.ended:
                    deltas.append(delta)

            return [await client.complete(request, say) for request in requests or (REQUEST,)]

    return asyncio.run(put())


def fails(server: WireServer | str, kind: type[ModelError], match: str | None = None) -> ModelError:
    """Return the error of a call that must fail with exactly this kind, on one printable line without the key."""
    with pytest.raises(ModelError, match=match) as caught:
        ask(server)
    error = caught.value
    assert type(error) is kind
    assert str(error).isprintable()
    assert len(str(error)) <= 300
    assert KEY not in "".join(traceback.format_exception(error))
    assert KEY not in f"{error!r} {vars(error)!r} {error.hint} {error.__cause__!r}"
    return error


def streamed(*events: str, end: bytes = b"0\r\n\r\n") -> Reply:
    """Return a chunked event stream, byte for byte, whose end can be left out."""
    body = "".join(f"data: {event}\n\n" for event in events).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return Reply(raw=head + b"%x\r\n%b\r\n" % (len(body), body) + end)


SAYS_ALL = '{"choices": [{"delta": {"content": "All."}, "finish_reason": "stop"}]}'


class TestText:
    """Streams that go well, however odd."""

    @pytest.mark.parametrize(
        "dress",
        [
            {"packet_bytes": 1, "chunk_chars": 40},
            {"packet_bytes": 1, "chunk_chars": 40, "line_end": "\r\n", "bom": True, "chunked": False},
            {"line_end": "\r", "unknown_fields": True},
            {"space_after_data": False, "nulls": True, "multi_line": True},
            {"gzip": True, "packet_bytes": 3},
            {"done": False},
            {"usage": None, "done": False, "chunked": False},
            {"late": b'data: {"choices": [{"delta": {"content": "late"}}]}\n\ndata: {"error": "late"}\n\n'},
        ],
        ids=lambda dress: ",".join(dress),
    )
    def test_a_streams_dress_changes_nothing(self, server: WireServer, dress: dict[str, object]) -> None:
        """Every shape that a server may choose brings the plain stream's text, tool call and end."""
        plain = Reply(TEXT, reasoning="Hm.", tool_calls=(Call("fusion", '{"prompt": "ö"}'),))
        server.script(MODEL.slug, plain, replace(plain, **dress))  # type: ignore[arg-type]  # a table of any fields
        deltas: list[Delta] = []
        expected, found = ask(server, REQUEST, REQUEST, deltas=deltas)
        assert expected.text == TEXT
        assert (found.text, found.tool_calls, found.finish_reason) == (TEXT, expected.tool_calls, "tool_calls")
        assert found.usage == (Usage() if dress.get("usage", "auto") is None else expected.usage)
        assert "".join(delta.text for delta in deltas) == TEXT * 2
        assert "".join(delta.reasoning for delta in deltas) == "Hm." * 2

    def test_text_is_passed_on_while_it_comes(self, server: WireServer) -> None:
        """A slow answer is seen piece by piece, not at its end."""
        server.script(MODEL.slug, Reply("abc", chunk_chars=1, delay_chunk_s=0.05))
        deltas: list[Delta] = []
        ask(server, deltas=deltas)
        assert deltas == [Delta("a"), Delta("b"), Delta("c")]

    def test_a_server_that_does_not_stream_is_understood(self, server: WireServer) -> None:
        """A whole JSON body, after keep-alive white space and compressed, is the same completion."""
        body = b" " * 500 + b'{"choices": [{"message": {"content": "Yes"}, "finish_reason": "length"}]}'
        server.script(MODEL.slug, Reply(body=body, content_type="application/json; charset=utf-8", gzip=True))
        (completion,) = ask(server)
        assert (completion.text, completion.truncated, completion.usage) == ("Yes", True, Usage())

    @pytest.mark.parametrize("ending", [(), ("[DONE]",)], ids=["finish_reason", "[DONE]"])
    def test_a_line_that_breaks_after_the_end_costs_nothing(self, server: WireServer, ending: Sequence[str]) -> None:
        """Once the server has said that the answer is whole, a connection that breaks does not unsay it."""
        server.script(MODEL.slug, streamed(SAYS_ALL, *ending, end=b""))
        (completion,) = ask(server)
        assert (completion.text, completion.attempts, len(server.requests)) == ("All.", 1, 1)

    def test_a_server_that_just_closes_is_heard_to_the_end(self, server: WireServer) -> None:
        """The last event counts without its blank line."""
        server.script(MODEL.slug, Reply(body=f"data: {SAYS_ALL}".encode(), content_type="text/event-stream"))
        assert ask(server)[0].text == "All."

    def test_one_broken_event_costs_itself(self, server: WireServer) -> None:
        """An event that is no JSON is passed over."""
        server.script(MODEL.slug, streamed('{"choices', SAYS_ALL))
        assert ask(server)[0].text == "All."

    def test_an_endless_answer_is_cut_and_left(self, server: WireServer) -> None:
        """At the cap the client has what it wants; the server sees it go."""
        server.script(MODEL.slug, Reply("x" * (wire.MAX_TEXT_BYTES * 10), chunk_chars=200_000))
        (completion,) = ask(server)
        assert (len(completion.text), completion.truncated) == (wire.MAX_TEXT_BYTES, True)
        server.wait_for(lambda requests: requests[0].client_closed)


class TestRetry:
    """What is asked again."""

    @pytest.mark.parametrize(
        "bad",
        [
            *(failure(status, retry_after=0) for status in (408, 429, 500, 502, 503, 504, 524, 529)),
            failure(200, code="429"),
            Reply("never", fault=Fault("close", after=None)),
            Reply("never", fault=Fault("reset", after=None)),
            Reply("never", fault=Fault("end", after=0)),
            Reply("never", fault=Fault("error", after=0)),
            Reply(raw=b"SSH-2.0-OpenSSH_9.6\r\n"),
            html(status=200),
        ],
        ids=lambda reply: f"{reply.status}{reply.fault.kind if reply.fault else ''}",
    )
    def test_what_passes_costs_one_retry(self, server: WireServer, bad: Reply) -> None:
        """A fault before the first word is asked again: the second attempt's text alone, and attempts is 2."""
        server.script(MODEL.slug, bad, Reply("fine"))
        deltas: list[Delta] = []
        (completion,) = ask(server, deltas=deltas)
        assert (completion.text, completion.attempts, len(server.requests)) == ("fine", 2, 2)
        announced, answer = deltas
        assert answer == Delta("fine")
        assert announced.retry is not None
        assert (announced.text, announced.retry.attempt, announced.retry.wait_s < 1) == ("", 2, True)
        assert announced.retry.error.isprintable()

    def test_retry_after_is_waited_for(self, server: WireServer) -> None:
        """The server's own second is kept to."""
        server.script(MODEL.slug, failure(429, retry_after=1), Reply("fine"))
        ask(server)
        first, second = server.requests
        assert 1.0 <= second.received_s - first.received_s < 2.5

    def test_a_day_is_not_waited_for(self, server: WireServer) -> None:
        """A wait beyond reason fails at once, as a rate limit."""
        server.script(MODEL.slug, failure(429, "slow", retry_after=86400))
        started = time.monotonic()
        error = fails(server, RateLimitError, "slow")
        assert time.monotonic() - started < 1
        assert (error.attempts, error.retry_after_s, len(server.requests)) == (1, 86400.0, 1)

    def test_three_attempts_are_enough(self, server: WireServer) -> None:
        """A server that stays broken is asked three times, and the error says so."""
        server.script(MODEL.slug, failure(503))
        assert (fails(server, ServerFailedError).attempts, len(server.requests)) == (3, 3)

    @pytest.mark.parametrize(
        "fault",
        [Fault(kind, after=2) for kind in ("close", "reset", "end", "error")],
        ids=lambda fault: fault.kind,
    )
    def test_after_the_first_word_nothing_is_asked_again(self, server: WireServer, fault: Fault) -> None:
        """A stream that breaks keeps what was shown, marked as partial, and says nothing twice."""
        server.script(MODEL.slug, Reply("abcdef", chunk_chars=1, fault=fault))
        error = fails(server, ServerFailedError if fault.kind == "error" else ModelUnreachableError)
        assert (error.partial, error.attempts, len(server.requests)) == ("ab", 1, 1)

    def test_thinking_that_was_shown_is_not_thought_again(self, server: WireServer) -> None:
        """A stream that breaks among its thoughts has been seen, though there is no text of it."""
        server.script(MODEL.slug, Reply("never", reasoning="Hm.", fault=Fault("close", after=1)))
        error = fails(server, ModelUnreachableError)
        assert (error.partial, error.attempts, len(server.requests)) == ("", 1, 1)

    @pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
    def test_a_refusal_is_final(self, server: WireServer, status: int) -> None:
        """What asking again would not change is asked once."""
        server.script(MODEL.slug, failure(status, "no", retry_after=0))
        with pytest.raises(ModelError, match=rf"^HTTP {status}\b.*: no\b"):
            ask(server)
        assert len(server.requests) == 1


class TestFailure:
    """Answers that are none."""

    @pytest.mark.parametrize(
        ("reply", "kind", "said"),
        [
            (html(status=400), ModelRejectedError, "HTTP 400: it sent a web page"),
            (Reply(status=404, body=b""), ModelRejectedError, "HTTP 404 without a message"),
            (Reply(status=400, body=b"\x1b[31mred\x07\xff \x9b2J"), ModelRejectedError, "HTTP 400: red\ufffd"),
            (Reply(status=401, body=b"[" * 60_000), KeyRejectedError, "HTTP 401: "),
            (failure(400, "x" * 5000), ModelRejectedError, "HTTP 400: xxx"),
        ],
        ids=["html", "empty", "escapes", "nesting", "long"],
    )
    def test_any_error_body_is_one_short_clean_line(
        self, server: WireServer, reply: Reply, kind: type[ModelError], said: str
    ) -> None:
        """Whatever the body holds, the user reads the status and at most 200 harmless characters."""
        server.script(MODEL.slug, reply)
        assert str(fails(server, kind)).startswith(said)

    @pytest.mark.parametrize(
        ("reply", "said"),
        [
            (streamed("{", "7", "[DONE]"), "nothing of the stream can be read: 2 broken events"),
            (streamed('{"choices": [{"delta": {}, "finish_reason": "error"}]}'), "with an error that it does not name"),
        ],
        ids=["unreadable", "error"],
    )
    def test_an_end_alone_is_no_success(self, server: WireServer, reply: Reply, said: str) -> None:
        """A stream that ends properly, and of which nothing could be read, has failed, after the usual retries."""
        server.script(MODEL.slug, reply)
        assert fails(server, ServerFailedError, said).attempts == 3

    def test_what_was_skipped_is_counted(self, server: WireServer) -> None:
        """A completion says how many of its events could not be read."""
        server.script(MODEL.slug, streamed("{", SAYS_ALL, "null"))
        assert ask(server)[0].skipped == 2

    def test_nobody_listening_is_told_as_such(self) -> None:
        """A connection that is refused names the host with its port, and ends with the network's status."""
        with WireServer() as server:
            url = server.url
        error = fails(url, ModelUnreachableError, f"cannot connect to {urlsplit(url).netloc}: ")
        assert (error.attempts, error.exit_status) == (3, 6)

    def test_time_outs_say_what_was_waited_for(self) -> None:
        """No connection and silence are told apart, and both are the network's fault."""
        for fault, said in ((httpx.ConnectTimeout, "no connection"), (httpx.ReadTimeout, "the server fell silent")):

            def time_out(request: httpx.Request, fault: type[httpx.TimeoutException] = fault) -> httpx.Response:
                raise fault(f"no {request.headers['authorization']}")

            with pytest.raises(ModelUnreachableError, match=f"timed out: {said}") as caught:
                ask("http://127.0.0.1:9/v1", transport=httpx.MockTransport(time_out))
            assert KEY not in f"{caught.value!r}"


class TestSecrets:
    """Where a key goes."""

    def test_a_redirect_is_not_followed(self, server: WireServer) -> None:
        """Neither prompt nor key reach the place that a server points to."""
        with WireServer() as trap:
            for status in (301, 302, 303, 307, 308):
                server.script(MODEL.slug, redirect(f"{trap.url}/chat/completions", status))
                error = fails(server, ModelRejectedError, f"HTTP {status}: the server redirects elsewhere")
                assert "base_url" in error.hint
            assert trap.requests == []
        assert len(server.requests) == 5

    def test_each_key_goes_to_its_own_provider(self) -> None:
        """Of two providers, each sees its own key and headers alone."""
        endpoints = {}
        with WireServer() as one, WireServer() as two:
            one.script(MODEL.slug, Reply("one"))
            two.script(OTHER.slug, Reply("two"))
            endpoints = {MODEL: Endpoint(one.url, KEY, (("X-Title", "fusion"),)), OTHER: Endpoint(two.url)}

            async def both() -> None:
                async with ChatClient(endpoints) as client:
                    for model in (MODEL, OTHER, MODEL, OTHER):
                        await client.complete(ChatRequest(model, ASKED), lambda delta: None)

            asyncio.run(both())
            assert {r.headers["authorization"] for r in one.requests} == {f"Bearer {KEY}"}
            assert all(r.headers["x-title"] == "fusion" for r in one.requests)
            seen = b"".join(r.head + r.raw_body for r in two.requests).lower()
        for secret in (KEY.encode(), b"authorization", b"x-title"):
            assert secret not in seen
        assert KEY not in repr(endpoints)

    def test_no_cookie_is_kept(self, server: WireServer) -> None:
        """What a provider would have us carry is not carried, least of all to another one on the same host."""
        server.script(MODEL.slug, Reply("fine", headers={"Set-Cookie": "session=secret; Path=/"}))
        ask(server, REQUEST, REQUEST)
        assert all("cookie" not in request.headers for request in server.requests)

    def test_a_server_that_repeats_the_key_is_not_quoted(self, server: WireServer) -> None:
        """Providers put the key into their 401s; the user's log does not get it."""
        server.script(MODEL.slug, failure(401, f"Incorrect API key provided: {KEY}."))
        fails(server, KeyRejectedError, "HTTP 401: Incorrect API key provided: ")

    def test_a_key_that_no_header_can_hold_is_not_told(self, server: WireServer) -> None:
        """Even a key with a line break in it, which the settings refuse, stands in no error."""

        async def put() -> None:
            async with ChatClient({MODEL: Endpoint(server.url, KEY + "\nX-Injected: 1")}) as client:
                await client.complete(REQUEST, lambda delta: None)

        with pytest.raises(ModelError) as caught:
            asyncio.run(put())
        assert KEY not in str(caught.value)
        assert server.requests == []


class TestHeadersAndConnections:
    """The rest of a request, and what carries it."""

    def test_only_inner_calls_carry_their_depth(self, server: WireServer) -> None:
        """The header that stops recursion is there from depth 1, and absent at 0."""
        server.script(MODEL.slug, Reply("fine"))
        ask(server, REQUEST, ChatRequest(MODEL, ASKED, fusion_depth=1))
        outer, inner = server.requests
        assert "x-openrouter-fusion-depth" not in outer.headers
        assert inner.headers["x-openrouter-fusion-depth"] == "1"
        assert outer.headers["content-type"] == "application/json"
        assert outer.headers["user-agent"].startswith("fusion/")
        assert outer.body["messages"][0]["content"] == "Which ? DB?"  # half a character cannot be sent

    @pytest.mark.parametrize("late", [b"", b"data: late\n\n" * 50])
    def test_a_connection_is_used_again(self, server: WireServer, late: bytes) -> None:
        """Calls one after the other share a connection, also when something follows `[DONE]`."""
        server.script(MODEL.slug, Reply("fine", late=late), Reply("done", done=False))
        ask(server, REQUEST, REQUEST)
        assert [request.connection for request in server.requests] == [1, 1]

    def test_calls_at_once_do_not_wait_for_each_other(self, server: WireServer) -> None:
        """Sixteen slow answers take the time of one."""
        server.script(MODEL.slug, Reply("fine", delay_first_s=0.3))

        async def all_at_once() -> None:
            async with ChatClient({MODEL: Endpoint(server.url)}) as client:
                await asyncio.gather(*(client.complete(REQUEST, lambda delta: None) for _ in range(16)))

        started = time.monotonic()
        asyncio.run(all_at_once())
        assert time.monotonic() - started < 2.0

    def test_the_first_request_is_announced_once(self, server: WireServer) -> None:
        """The hook that warms up imports runs once, and not before something was sent."""
        told: list[int] = []
        server.script(MODEL.slug, Reply("fine"))

        async def put() -> None:
            endpoints = {MODEL: Endpoint(server.url)}
            async with ChatClient(endpoints, on_first_request=lambda: told.append(len(told))) as client:
                assert told == []
                for _ in range(3):
                    await client.complete(REQUEST, lambda delta: None)

        asyncio.run(put())
        assert told == [0]
