"""Promises of the client's clocks: only content sets them, and what they cut off keeps its text."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import pytest

from fusion_cli.chat import Completion, Delta
from fusion_cli.errors import ModelTimeoutError, RateLimitError
from tests.wire.calling import MODEL, REQUEST, failed, put
from tests.wire.server import Call, Fault, Reply, WireServer, failure

EMPTY = b'data: {"choices": [{"delta": {"content": "", "reasoning": null, "tool_calls": [{"index": 0}]}}]}\n\n'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
QUICK = REQUEST._replace(timeout_s=0.3)


@pytest.fixture
def server() -> Iterator[WireServer]:
    """Serve what the test scripts."""
    with WireServer() as server:
        yield server


@pytest.mark.parametrize(
    "reply",
    [
        Reply("never", fault=Fault("stall", after=None)),
        Reply("never", fault=Fault("stall", after=0)),
        Reply("never", fault=Fault("comments", after=0)),
        Reply("never", delay_first_s=5),
        Reply(status=200, body=b" " * 70_000, content_type="application/json", fault=Fault("comments")),
        Reply(status=500, body=b" " * 70_000, fault=Fault("stall")),
    ],
    ids=["no headers", "headers", "comments", "late", "white space", "an error's body"],
)
def test_the_first_content_has_its_time(server: WireServer, reply: Reply) -> None:
    """Faults 14 and 16: headers, comments and white space are no content; the server sees the client go."""
    server.script(MODEL.slug, reply)
    started = time.monotonic()
    error = failed(server, ModelTimeoutError, r"^no content within 0\.3 s$", QUICK)
    assert time.monotonic() - started < 1.3
    assert (error.attempts, error.partial, error.exit_status, len(server.requests)) == (1, "", 6, 1)
    server.wait_for(lambda requests: requests[0].client_closed)


@pytest.mark.parametrize("kind", ["stall", "comments"])
@pytest.mark.parametrize(
    ("reply", "partial"),
    [
        (Reply("abcdef", chunk_chars=1), "ab"),
        (Reply("", reasoning="Hm, well.", chunk_chars=1), ""),
        (Reply("", tool_calls=(Call("fusion", '{"prompt": "Which?"}'),)), ""),
    ],
    ids=["text", "thinking", "a tool call"],
)
def test_silence_after_content_has_its_time(
    server: WireServer, kind: Literal["stall", "comments"], reply: Reply, partial: str
) -> None:
    """Fault 15: text, thinking and fragments of tool calls start the clock of silence; comments do not stop it."""
    server.script(MODEL.slug, replace(reply, fault=Fault(kind, after=2)))
    started = time.monotonic()
    request = REQUEST._replace(timeout_s=60, idle_timeout_s=0.2)
    error = failed(server, ModelTimeoutError, r"^silent for 0\.2 s$", request)
    assert time.monotonic() - started < 1.2
    assert (error.partial, error.attempts, len(server.requests)) == (partial, 1, 1)


def test_empty_deltas_are_silence(server: WireServer) -> None:
    """Chunks that say nothing come for longer than is allowed, and do not count."""
    server.script(MODEL.slug, Reply(raw=HEAD + EMPTY * 200_000))
    error = failed(server, ModelTimeoutError, "no content within", REQUEST._replace(timeout_s=0.05))
    assert error.partial == ""


def test_content_resets_the_clock(server: WireServer) -> None:
    """An answer that takes three times the allowed silence, and is never silent, is whole."""
    server.script(MODEL.slug, Reply("abcdefgh", chunk_chars=1, delay_chunk_s=0.1))
    (completion,) = put(server, REQUEST._replace(timeout_s=0.3, idle_timeout_s=0.3))
    assert isinstance(completion, Completion)
    assert completion.text == "abcdefgh"


def test_without_limits_nothing_is_cut(server: WireServer) -> None:
    """A request that names no time is waited for, and so is one that has begun and may be silent."""
    server.script(MODEL.slug, Reply("late", delay_first_s=0.5))
    for request in (REQUEST, REQUEST._replace(timeout_s=5.0), REQUEST._replace(idle_timeout_s=0.1)):
        (completion,) = put(server, request)
        assert isinstance(completion, Completion), completion


def test_an_answer_that_has_ended_is_not_failed_for_silence(server: WireServer) -> None:
    """Fault 33: after the finish reason a server may keep the line open; the answer is whole."""
    event = b'data: {"choices": [{"delta": {"content": "All."}, "finish_reason": "stop"}]}\n\n'
    body = event + b": " * 100_000  # of which the server sends one half
    server.script(MODEL.slug, Reply(body=body, content_type="text/event-stream", fault=Fault("stall")))
    (completion,) = put(server, REQUEST._replace(timeout_s=5, idle_timeout_s=0.2))
    assert isinstance(completion, Completion)
    assert completion.text == "All."


def test_the_clock_runs_through_retries(server: WireServer) -> None:
    """A server that fails, and then never answers, has the time of one call and not of two."""
    server.script(MODEL.slug, failure(500, retry_after=0), Reply("never", fault=Fault("stall", after=None)))
    started = time.monotonic()
    error = failed(server, ModelTimeoutError, "no content within", QUICK)
    assert time.monotonic() - started < 1.3
    assert (error.attempts, len(server.requests)) == (2, 2)


def test_a_wait_beyond_the_clock_is_not_begun(server: WireServer) -> None:
    """A rate limit that asks for more than is left fails at once, as what it is."""
    server.script(MODEL.slug, failure(429, "slow", retry_after=5))
    started = time.monotonic()
    deltas: list[Delta] = []
    request = REQUEST._replace(timeout_s=3)
    failed(server, RateLimitError, "slow", request, on_delta=deltas.append)
    assert time.monotonic() - started < 1
    assert (deltas, len(server.requests)) == ([], 1)
