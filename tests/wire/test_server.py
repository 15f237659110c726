"""The test server itself: what it promises to the tests that trust it."""

import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from fusion_cli.prompts import judge_messages
from tests.wire.server import (
    Call,
    Fault,
    Reply,
    WireServer,
    deliberation,
    document,
    failure,
    html,
    redirect,
)

SLUG = "openai/gpt-5"
TEXT = "Zwölf Boxkämpfer\u2028jagen\u0085Viktor 🥊 quer."
TIMEOUT = httpx.Timeout(5.0, read=0.3)


def ask(server: WireServer, **body: Any) -> httpx.Response:
    """Post a streaming chat completion and read it whole."""
    return post(server, 0, **body)


def ask_judge(server: WireServer, **body: Any) -> httpx.Response:
    """Post what a judge of A and C is asked, and read the answer whole."""
    messages = judge_messages("=====", "Which?", {"A": "One.", "C": "Two."}, 1)
    return post(server, 1, messages=[{"role": it.role, "content": it.content} for it in messages], **body)


def post(server: WireServer, depth: int, **body: Any) -> httpx.Response:
    """Post a streaming chat completion from some depth."""
    payload = {"model": SLUG, "stream": True, "messages": [{"role": "user", "content": "Which?"}], **body}
    headers = {"x-openrouter-fusion-depth": str(depth)} if depth else {}
    with httpx.Client(timeout=TIMEOUT) as client:
        return client.post(f"{server.url}/chat/completions", json=payload, headers=headers)


def chunks(body: bytes) -> list[Any]:
    """Decode server-sent events, as plainly as the specification can be read."""
    found: list[Any] = []
    for event in re.split(rb"(?:\r\n|\n|\r){2}", body.removeprefix("\ufeff".encode())):
        lines = re.split(rb"\r\n|\n|\r", event)
        data = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
        if data == [b"[DONE]"]:
            return [*found, "DONE"]
        if data:
            found.append(json.loads(b"\n".join(data).decode("utf-8", "replace")))
    return found


def said(found: list[Any], key: str = "content") -> str:
    """Join what the chunks' deltas say."""
    return "".join(choice["delta"].get(key) or "" for c in found if c != "DONE" for choice in c["choices"])


def test_a_stream_has_openrouters_shape() -> None:
    """A stream is comment, role, reasoning, text, finish, usage without choices, and [DONE]."""
    with WireServer() as server:
        server.script(SLUG, Reply("Hello, world", reasoning="Hm.", chunk_chars=6, model="openai/gpt-5-2"))
        response = ask(server)
    assert response.headers["content-type"] == "text/event-stream"
    assert response.content.startswith(b": OPENROUTER PROCESSING\n\ndata: {")
    *found, usage, done = chunks(response.content)
    assert done == "DONE"
    assert [c["choices"][0]["delta"].get("role") for c in found] == ["assistant", None, None, None, None]
    assert [c["choices"][0]["delta"].get("content") for c in found] == ["", "", "Hello,", " world", ""]
    assert [c["choices"][0]["finish_reason"] for c in found] == [None, None, None, None, "stop"]
    assert said(found, "reasoning") == "Hm."
    assert {c["model"] for c in [*found, usage]} == {"openai/gpt-5-2"}
    assert usage["choices"] == []
    assert usage["usage"]["cost"] > 0
    assert usage["usage"]["total_tokens"] == 4  # Which? + Hm. Hello, world


@pytest.mark.parametrize(
    "reply",
    [
        Reply(TEXT),
        Reply(TEXT, line_end="\r\n"),
        Reply(TEXT, line_end="\r"),
        Reply(TEXT, bom=True),
        Reply(TEXT, space_after_data=False),
        Reply(TEXT, packet_bytes=1, chunk_chars=1000),
        Reply(TEXT, packet_bytes=1, chunked=False, line_end="\r\n", bom=True, chunk_chars=1000),
        Reply(TEXT, unknown_fields=True, nulls=True),
        Reply(TEXT, multi_line=True),
        Reply(TEXT, gzip=True, packet_bytes=3),
        Reply(TEXT, chunked=False),
        Reply(TEXT, usage=None, late=b'data: {"choices":[{"delta":{"content":"late"}}]}\n\n'),
    ],
    ids=lambda reply: ",".join(name for name in reply.__slots__ if getattr(reply, name) != getattr(Reply(), name)),
)
def test_every_shape_carries_the_same_text(reply: Reply) -> None:
    """However a stream is dressed and cut, the text in it is the same."""
    with WireServer() as server:
        server.script(SLUG, reply)
        found = chunks(ask(server).content)
    assert found[-1] == "DONE"
    assert said(found) == TEXT


def test_a_packet_of_one_byte_reaches_the_client_as_one_byte() -> None:
    """With `packet_bytes=1` an HTTP client gets the body byte by byte, so decoders can be tested with it."""
    with WireServer() as server:
        server.script(SLUG, Reply("é", packet_bytes=1))
        payload = {"model": SLUG, "stream": True, "messages": [{}]}
        with httpx.stream("POST", f"{server.url}/chat/completions", json=payload) as response:
            assert {len(piece) for piece in response.iter_raw()} == {1}


@pytest.mark.parametrize(
    ("fault", "error", "outcome"),
    [
        (Fault("close", after=None), httpx.RemoteProtocolError, "cut"),
        (Fault("close", after=2), httpx.RemoteProtocolError, "cut"),
        (Fault("reset", after=None), httpx.ReadError, "cut"),
        (Fault("reset", after=2), httpx.ReadError, "cut"),
        (Fault("stall", after=None), httpx.ReadTimeout, "client_closed"),
        (Fault("stall", after=2), httpx.ReadTimeout, "client_closed"),
    ],
    ids=lambda value: f"{value.kind}-{value.after}" if isinstance(value, Fault) else "",
)
def test_a_broken_connection_looks_real(fault: Fault, error: type[Exception], outcome: str) -> None:
    """FIN, RST and silence reach the client as such, before the headers or in the middle."""
    with WireServer() as server:
        server.script(SLUG, Reply("a" * 100, fault=fault))
        with pytest.raises(error):
            ask(server)
        server.wait_for(lambda requests: requests[0].outcome == outcome)


def test_a_stream_can_end_early_or_with_an_error_chunk() -> None:
    """An "end" is a proper body without finish; an "error" is a last chunk that says so."""
    with WireServer() as server:
        server.script(
            SLUG,
            Reply("abcdef", chunk_chars=1, fault=Fault("end", after=2)),
            Reply("abcdef", chunk_chars=1, fault=Fault("error", after=2, code="server_error", message="gone")),
        )
        early, broken = chunks(ask(server).content), chunks(ask(server).content)
    assert said(early) == said(broken) == "ab"
    assert early[-1]["choices"][0]["finish_reason"] is None
    assert broken[-1]["choices"][0]["finish_reason"] == "error"
    assert broken[-1]["error"] == {"code": "server_error", "message": "gone"}


def test_comments_can_go_on_for_ever_until_the_client_has_enough() -> None:
    """Endless comments keep the socket busy, and the client's leaving is noticed and recorded."""
    with WireServer() as server:
        server.script(SLUG, Reply("never", fault=Fault("comments", every_s=0.001)))
        payload = {"model": SLUG, "stream": True, "messages": [{}]}
        with httpx.stream("POST", f"{server.url}/chat/completions", json=payload) as response:
            seen = b""
            for piece in response.iter_raw():
                seen += piece
                if seen.count(b": OPENROUTER PROCESSING\n\n") > 20:
                    break
        (request,) = server.wait_for(lambda requests: requests[0].client_closed)
    assert request.ended_s is not None
    assert request.ended_s > request.received_s


def test_invalid_utf8_and_lone_surrogates_reach_the_wire() -> None:
    """A surrogate-escaped byte is sent raw, and any other lone surrogate as a JSON escape."""
    with WireServer() as server:
        server.script(SLUG, Reply("caf\udce9 \ud83d!"))
        body = ask(server).content
    assert b'"caf\xe9 \\ud83d!"' in body


def test_a_request_without_stream_gets_one_document() -> None:
    """A non-streamed completion is one JSON object, after white space if asked for, and can be compressed."""
    with WireServer() as server:
        server.script(SLUG, Reply("Hello", leading_space=500, gzip=True, finish_reason="length"))
        result = ask(server, stream=False)
    assert result.content.startswith(b" " * 500)
    assert result.json()["choices"][0]["message"]["content"] == "Hello"
    assert result.json()["choices"][0]["finish_reason"] == "length"
    assert result.json()["usage"]["completion_tokens"] == 1


def test_errors_pages_and_redirects_are_sent_as_given() -> None:
    """Status, headers and bodies that are no completions arrive unchanged."""
    bomb = gzip.compress(b"x" * 100_000)
    with WireServer() as server:
        server.script(
            SLUG,
            failure(429, retry_after=1, error_type="rate_limit_exceeded"),
            html(),
            redirect("http://127.0.0.2:1/trap"),
            Reply(status=529, body=b"\x1b[31mred", headers={"X-Odd": "1"}),
            Reply(body=bomb, headers={"Content-Encoding": "gzip"}),
            Reply(raw=b"SSH-2.0-OpenSSH_9.6\r\n"),
        )
        limited, page, moved, odd, large = (ask(server) for _ in range(5))
        with pytest.raises(httpx.RemoteProtocolError):
            ask(server)
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "1")
    assert limited.json()["error"]["metadata"] == {"error_type": "rate_limit_exceeded"}
    assert (page.status_code, page.headers["content-type"]) == (502, "text/html; charset=utf-8")
    assert (moved.status_code, moved.headers["location"]) == (307, "http://127.0.0.2:1/trap")
    assert (odd.status_code, odd.content, odd.headers["x-odd"]) == (529, b"\x1b[31mred", "1")
    assert len(large.content) == 100_000


def test_scripts_go_by_precision_and_in_order() -> None:
    """A script for a role beats one for a model; replies come in order, and the last one repeats."""
    with WireServer(default=lambda request: Reply("default " + request.model)) as server:
        server.script("*", Reply("judge"), role="judge")
        server.script(SLUG, Reply("one"), Reply("two"))
        server.script("/api/v1/models", document({"data": []}), failure(500))
        texts = [said(chunks(ask(server).content)) for _ in range(3)]
        judged = said(chunks(ask_judge(server, model="x/y").content))
        other = said(chunks(ask(server, model="x/y").content))
        statuses = [httpx.get(f"{server.url}/models").status_code for _ in range(2)]
        assert [request.role for request in server.calls(model="x/y")] == ["judge", "outer"]
    assert (texts, judged, other, statuses) == (["one", "two", "two"], "judge", "default x/y", [200, 500])


def test_an_unscripted_request_fails_the_test() -> None:
    """A request that nobody planned for ends the block with an AssertionError, not with a quiet 400."""
    server = WireServer()
    with pytest.raises(AssertionError, match="no script for model 'x/y' as outer"), server:
        assert ask(server, model="x/y").status_code == 400


def test_requests_are_recorded_with_their_connection() -> None:
    """Kept-alive connections are reused, told apart in the record, and closed when the reply says so."""
    with WireServer(deliberation(), api_key="canary") as server:
        server.script("x/last", Reply("bye", keep_alive=False))
        headers = {"Authorization": "Bearer canary"}
        with httpx.Client(base_url=server.url, headers=headers) as client:
            assert client.get("/models").json()["data"][0]["id"] == SLUG
            for slug in (SLUG, "x/last", SLUG):
                client.post("/chat/completions", json={"model": slug, "messages": [{"role": "user"}]})
        assert ask(server).json()["error"] == {"message": "No auth credentials found", "code": 401}
        requests = server.requests
    assert [r.connection for r in requests] == [1, 1, 1, 2, 3]
    assert [r.outcome for r in requests] == ["complete"] * 5
    assert requests[1].headers["authorization"] == "Bearer canary"
    assert requests[0].received_s < requests[1].received_s


def test_the_deliberation_plays_all_roles() -> None:
    """The outer model calls the offered tool and then answers; the judge uses the labels offered."""
    tools = [{"type": "function", "function": {"name": "fusion", "parameters": {}}}]
    schema = {"properties": {"x": {"items": {"enum": ["Response A", "Response B"]}}}}
    response_format = {"type": "json_schema", "json_schema": {"name": "analysis", "schema": schema}}
    with WireServer(deliberation()) as server:
        first, second = (chunks(ask(server, tools=tools, tool_choice=c).content) for c in ("auto", "none"))
        analysis = json.loads(said(chunks(ask_judge(server, response_format=response_format).content)))
    fragments = [call for c in first[:-1] for ch in c["choices"] for call in ch["delta"].get("tool_calls", [])]
    assert fragments[0]["function"]["name"] == "fusion"
    arguments = "".join(fragment["function"]["arguments"] for fragment in fragments)
    assert json.loads(arguments) == {"prompt": "Which?"}
    assert said(second).startswith("SQLite")
    assert analysis["unique_insights"][0]["model"] == "Response B"


@pytest.mark.parametrize("asked_for", [{}, {"response_format": {"type": "json_object"}}], ids=["text", "json_object"])
def test_a_judge_without_a_schema_uses_the_letters_of_its_prompt(asked_for: dict[str, Any]) -> None:
    """The deliberation also works where the judge's output format does not name the letters."""
    with WireServer(deliberation()) as server:
        analysis = json.loads(said(chunks(ask_judge(server, **asked_for).content)))
    assert analysis["contradictions"][0]["stances"][0]["model"] == "A"
    assert analysis["unique_insights"][0]["model"] == "C"


@pytest.mark.parametrize("response_format", [None, {"type": "json_object"}])
def test_roles_go_by_depth_and_task(response_format: object) -> None:
    """An output format says nothing: what is asked at depth 0 is outer, and only a judge is told to be one."""
    with WireServer(lambda request: Reply(request.role)) as server:
        asked = (ask(server, response_format=response_format), post(server, 1, response_format=response_format))
        judge = ask_judge(server, response_format=response_format)
    assert [said(chunks(response.content)) for response in (*asked, judge)] == ["outer", "panel", "judge"]


def test_fragments_of_two_tool_calls_are_interleaved() -> None:
    """Only the index says which call a fragment of arguments belongs to."""
    calls = (Call("fusion", '{"prompt": "a"}', "call_a"), Call("other", '{"query": "b"}', "call_b"))
    with WireServer() as server:
        server.script(SLUG, Reply(tool_calls=calls))
        found = chunks(ask(server).content)[:-1]
    joined = {0: "", 1: ""}
    order = []
    for call in (call for c in found for ch in c["choices"] for call in ch["delta"].get("tool_calls", [])):
        joined[call["index"]] += call["function"]["arguments"]
        order.append(call["index"])
    assert joined == {0: '{"prompt": "a"}', 1: '{"query": "b"}'}
    assert order[:4] == [0, 1, 0, 1]
    assert found[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_nothing_is_left_when_the_block_ends() -> None:
    """Open, stalled and idle connections end with the server, together with its thread and its port."""
    before = threading.active_count()
    with ExitStack() as stack:
        with WireServer() as server:
            server.script(SLUG, Reply("a", fault=Fault("stall")))
            port = int(server.origin.rpartition(":")[2])
            idle, stalled = (stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in "ab")
            body = json.dumps({"model": SLUG, "stream": True, "messages": [{}]})
            head = f"POST /api/v1/chat/completions HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
            stalled.sendall(head.encode() + body.encode())
            assert stalled.recv(12) == b"HTTP/1.1 200"
        assert threading.active_count() == before
        while stalled.recv(4096):
            pass
        assert idle.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))


def test_it_serves_by_hand() -> None:
    """`python -m tests.wire.server` prints its URL, takes the latency asked for, ends on SIGTERM."""
    command = [sys.executable, "-m", "tests.wire.server", "--latency", "0.2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"]}) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            payload = {"model": SLUG, "messages": [{"role": "user", "content": "Which?"}]}
            response = httpx.post(f"{url}/chat/completions", json=payload)
            assert response.elapsed.total_seconds() >= 0.2
            assert response.json()["choices"][0]["message"]["content"].startswith("SQLite")
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
