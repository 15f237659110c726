"""Promises of fault 34: whatever a server sends, answers are capped, memory is bounded, and the beginning counts."""

import json
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fusion_cli.api import wire
from fusion_cli.api.sse import MAX_EVENT_BYTES
from fusion_cli.chat import Completion, Delta
from fusion_cli.errors import ModelRejectedError, ModelUnreachableError, ServerFailedError, UnusableAnswerError
from tests.wire.calling import MODEL, REQUEST, failed, put
from tests.wire.server import Reply, WireServer
from tests.wire.test_wire import assembled, calls, chunk

ROOT = Path(__file__).parent.parent.parent
SSE = "text/event-stream"
SIZE = 20_000_000
CAP = wire.MAX_TEXT_BYTES


@pytest.fixture
def server() -> Iterator[WireServer]:
    """Serve what the test scripts."""
    with WireServer() as server:
        yield server


def event(delta: object) -> bytes:
    """Return an event of a stream."""
    return b"data: %b\n\n" % json.dumps({"choices": [{"delta": delta}]}, ensure_ascii=False).encode()


def many(delta: object) -> bytes:
    """Return 20 MB of such events, and an end."""
    one = event(delta)
    return one * (SIZE // len(one)) + event({"content": "The end."}) + b"data: [DONE]\n\n"


def whole(text: str) -> bytes:
    """Return a completion that came as one body."""
    return json.dumps({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}).encode()


CUT: dict[str, object] = {"chars": CAP, "truncated": True}
HUGE: dict[str, tuple[Reply, dict[str, object]]] = {
    "an answer": (Reply(body=many({"content": "x" * 100}), content_type=SSE), CUT),
    "an event": (Reply(body=event({"content": "x" * SIZE}), content_type=SSE), CUT),
    "an event, packed": (Reply(body=event({"content": "x" * 3 * SIZE}), content_type=SSE, gzip=True), CUT),
    "an event of wide characters": (
        Reply(body=event({"content": "The start" + "🥊" * (SIZE // 4)}), content_type=SSE),
        {"start": "The start", "truncated": True},
    ),
    "a body": (Reply(body=whole("x" * SIZE), content_type="application/json"), CUT),
    "thinking": (Reply(body=many({"reasoning": "x" * 5000}), content_type=SSE), {"chars": 8, "thought": CAP}),
    "a tool call": (
        Reply(body=many({"tool_calls": [{"index": 0, "function": {"arguments": "x" * 500}}]}), content_type=SSE),
        {"arguments": CAP, "truncated": True},
    ),
    "an error, packed": (
        Reply(status=400, body=b"x" * 3 * SIZE, content_type="text/plain", gzip=True),
        {"partial": 0},
    ),
    "headers": (Reply(raw=b"HTTP/1.1 200 OK\r\nX: " + b"x" * SIZE), {"partial": 0}),
}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("what", HUGE)
def test_fault_34_eight_panelists_of_20_mb_stay_under_200_mib(server: WireServer, what: str) -> None:
    """Each of eight sends 20 MB, or what unpacks to 60: all are cut or refused, in less than 200 MiB."""
    reply, expected = HUGE[what]
    server.script("*", reply)
    command = [sys.executable, "-m", "tests.wire.memory", server.url]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    told: dict[str, Any] = json.loads(ended.stdout)
    assert [{key: row.get(key) for key in expected} for row in told["rows"]] == [expected] * 8
    assert told["peak_mib"] < 200


class TestOversized:
    """One event, or one body, that is too large to be read whole."""

    @pytest.mark.parametrize("packet_bytes", [None, 1000])
    @pytest.mark.parametrize("gzip", [False, True])
    def test_its_text_is_delivered_as_far_as_it_goes(
        self, server: WireServer, packet_bytes: int | None, gzip: bool
    ) -> None:
        """What came before it and its own beginning are the text, which is truncated, and the client has gone."""
        big = event({"content": 'Say "yes"\n🥊' + "ö" * MAX_EVENT_BYTES})
        body = event({"content": "Well. "}) + big + event({"content": "lost"})
        server.script(MODEL.slug, Reply(body=body, content_type=SSE, packet_bytes=packet_bytes, gzip=gzip))
        deltas: list[Delta] = []
        (completion,) = put(server, REQUEST, on_delta=deltas.append)
        assert isinstance(completion, Completion)
        assert completion.text.startswith('Well. Say "yes"\n🥊öö')
        assert completion.text.endswith("öö")
        assert len(completion.text.encode()) > CAP - 4
        assert (completion.truncated, completion.attempts) == (True, 1)
        assert "".join(delta.text for delta in deltas) == completion.text

    @pytest.mark.parametrize(
        ("cut", "text"),
        [
            (r'{"choices": [{"delta": {"content": "abc', "abc"),
            (r'{"content":"abc\n\"d\"\\', 'abc\n"d"\\'),
            (r'{"content"  : "abc\u00e9\u00', "abcé"),
            (r'{"content": "abc\ud83e\udd4a\ud83e', "abc🥊\ufffd"),
            (r'{"content": "abc\\u00', "abc\\u00"),
            ('{"content": "abc\\', "abc"),
            (r'{"content": "whole", "reasoning_details": ["long', "whole"),
            (r'{"reasoning": "\"content\": \"no\"", "content": "yes', "yes"),
            ('{"content": "a\tb\n\u2028c\x00', "a\tb\n\u2028c\x00"),
            *(
                (junk, "")
                for junk in ("", "{", '{"content": ', '{"content": "', '{"content": null, "x": "y', "[" * 9000)
            ),
        ],
    )
    def test_json_may_end_anywhere(self, cut: str, text: str) -> None:
        """Whatever is cut in the middle, what stood before it in the text is read, and no half of it."""
        assembly = wire.Assembly()
        deltas: list[Delta] = []
        assembly.salvage(cut.encode(), deltas.append)
        assert assembly.text == text
        assert deltas == ([Delta(text)] if text else [])
        assert assembly.full

    def test_json_may_end_at_every_byte(self) -> None:
        """Of an event of every kind of character, any beginning gives a beginning of its text."""
        text = 'Zwölf "Box"kämpfer\\\n\u2028🥊\t/ '
        for ascii_only in (False, True):
            data = json.dumps({"choices": [{"delta": {"content": text}}]}, ensure_ascii=ascii_only).encode()
            for end in range(len(data)):
                assembly = wire.Assembly()
                assembly.salvage(data[:end], lambda delta: None)
                assert text.startswith(assembly.text.removesuffix("\ufffd")), data[:end]

    def test_without_text_it_is_a_failure_that_is_not_repeated(self, server: WireServer) -> None:
        """The same again would be as large: it costs one attempt, and says why."""
        for reply in (
            Reply(body=event({"x": "y" * MAX_EVENT_BYTES}), content_type=SSE),
            Reply(body=b": " + b"x" * MAX_EVENT_BYTES * 2, content_type=SSE),
            Reply(body=json.dumps({"x": "y" * MAX_EVENT_BYTES}).encode(), content_type="application/json"),
        ):
            server.script(MODEL.slug, reply)
            assert failed(server, UnusableAnswerError, r"more than 3,000,000 bytes").attempts == 1

    def test_after_the_end_it_is_nothing(self, server: WireServer) -> None:
        """An answer that is complete is not failed, or cut, by what follows it."""
        done = b'data: {"choices": [{"delta": {"content": "All."}, "finish_reason": "stop"}]}\n\n'
        server.script(MODEL.slug, Reply(body=done + event({"x": "y" * MAX_EVENT_BYTES}), content_type=SSE))
        (completion,) = put(server, REQUEST)
        assert isinstance(completion, Completion)
        assert (completion.text, completion.finish_reason) == ("All.", "stop")


class TestPacked:
    """Compressed bodies."""

    @pytest.mark.parametrize("bits", [31, 15, -15], ids=["gzip", "deflate", "bare deflate"])
    @pytest.mark.parametrize("size", [1, 7, 100_000])
    def test_each_packing_is_undone(self, server: WireServer, bits: int, size: int) -> None:
        """A packed stream is the same as a plain one, however its bytes come."""
        packer = zlib.compressobj(wbits=bits)
        text = "Zwölf 🥊 " * 30_000
        plain = event({"content": text}) + b"data: [DONE]\n\n"
        body = packer.compress(plain) + packer.flush()
        headers = {"Content-Encoding": "GZip" if bits == 31 else "deflate"}
        server.script(MODEL.slug, Reply(body=body, content_type=SSE, headers=headers, packet_bytes=size))
        (completion,) = put(server, REQUEST)
        assert isinstance(completion, Completion)
        assert completion.text == text

    @pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x" * 500])
    def test_what_was_not_asked_for_is_refused(self, server: WireServer, encoding: str) -> None:
        """A packing that nobody here undoes is a failure of this call, once, and no text of noise."""
        server.script(MODEL.slug, Reply("x", headers={"Content-Encoding": encoding}))
        assert failed(server, UnusableAnswerError, "compressed as ").attempts == 1

    def test_noise_is_no_packed_body(self, server: WireServer) -> None:
        """A server that only says it packs is failed, after the retries of a server that fails."""
        headers = {"Content-Encoding": "gzip"}
        server.script(MODEL.slug, Reply(body=event({"content": "x"}), content_type=SSE, headers=headers))
        assert failed(server, ServerFailedError, "cannot be decompressed").attempts == 3

    def test_a_packed_body_that_breaks_off_is_no_answer(self, server: WireServer) -> None:
        """Half of a gzip stream has no end, and its text is kept as what it is."""
        packer = zlib.compressobj(wbits=31)
        body = packer.compress(event({"content": "Half"})) + packer.flush(zlib.Z_SYNC_FLUSH)
        headers = {"Content-Encoding": "gzip"}
        server.script(MODEL.slug, Reply(body=body, content_type=SSE, headers=headers))
        assert failed(server, ModelUnreachableError, "ended early").partial == "Half"

    @pytest.mark.parametrize("gzip", [False, True])
    def test_of_an_error_only_the_beginning_is_read(self, server: WireServer, gzip: bool) -> None:
        """Of 50 MB the client takes 64 KiB and goes."""
        server.script(MODEL.slug, Reply(status=400, body=b"x" * 50_000_000, content_type="text/plain", gzip=gzip))
        failed(server, ModelRejectedError, "HTTP 400: xxx")
        if not gzip:
            server.wait_for(lambda requests: requests[0].client_closed)


class TestCap:
    """Where an answer ends that does not end itself."""

    @pytest.mark.parametrize(("piece", "size"), [("x", 1), ("é", 2), ("漢", 3), ("🥊", 4)])
    def test_it_is_counted_in_bytes(self, piece: str, size: int) -> None:
        """Two megabytes of UTF-8 are the cap, whatever the language, and no character is cut in half."""
        deltas = {"content": piece * 1001, "reasoning": piece * 1001}
        completion, shown, assembly = assembled(*[chunk(deltas)] * (CAP // size // 1001 + 3))
        assert completion.text == piece * (CAP // size)
        assert "".join(delta.text for delta in shown) == completion.text
        assert len("".join(delta.reasoning for delta in shown)) <= CAP // size
        assert (assembly.full, completion.truncated) == (True, True)


class TestNames:
    """What is short in an answer, and is not in a hostile one."""

    def test_they_are_cut(self) -> None:
        """The model's name, and the reason of its end, are names and no megabytes."""
        completion, _, _ = assembled(chunk({"content": "a"}, "f" * 10_000, model="m" * 10_000))
        assert completion.finish_reason == "f" * 200
        assert completion.model == "m" * 200

    def test_a_tool_call_of_small_pieces_is_put_together_in_time(self) -> None:
        """Two million characters of arguments in 25,000 pieces: no piece copies what came before it."""
        piece = {"index": 0, "function": {"arguments": "x" * 80}}
        started = time.process_time()
        (call,) = calls({"index": 0, "id": "a", "function": {"name": "f"}}, *[piece] * 26_000)
        assert time.process_time() - started < 4
        assert len(call.arguments) > CAP - 100
