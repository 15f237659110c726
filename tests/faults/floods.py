"""Replies that are too large to be held, or that no encoder would write: made piece by piece as they are sent."""

import json
import zlib
from collections.abc import Iterator
from functools import cache

MB = 1_000_000
PIECE = "lorem ipsum " * 1000
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"


def chunk(text: str, finish_reason: str | None = None) -> bytes:
    """Return one event of a stream."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def answer() -> Iterator[bytes]:
    """Yield an answer of 20 MB."""
    yield HEAD + b"\r\n"
    piece = chunk(PIECE)
    for _ in range(20 * MB // len(PIECE)):
        yield piece
    yield chunk("", "stop") + b"data: [DONE]\n\n"


def event() -> Iterator[bytes]:
    """Yield a single event of 20 MB."""
    yield HEAD + b"\r\n"
    before, after = chunk("@").split(b"@")
    yield before
    piece = PIECE.encode()
    for _ in range(20 * MB // len(PIECE)):
        yield piece
    yield after + chunk("", "stop") + b"data: [DONE]\n\n"


def bomb() -> Iterator[bytes]:
    """Yield an answer of 200 MB in 200 kB of gzip."""
    yield HEAD + b"Content-Encoding: gzip\r\n\r\n"
    yield _packed()


@cache
def _packed() -> bytes:
    packer = zlib.compressobj(level=9, wbits=31)
    before, after = chunk("@").split(b"@")
    pieces = [before, *[b"0" * MB] * 200, after + chunk("", "stop") + b"data: [DONE]\n\n"]
    return b"".join([*map(packer.compress, pieces), packer.flush()])


def headers() -> Iterator[bytes]:
    """Yield headers that do not end."""
    yield HEAD
    for number in range(2000):
        yield b"X-%d: %b\r\n" % (number, b"h" * 10_000)


def error_body() -> Iterator[bytes]:
    """Yield an error of 20 MB."""
    yield b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
    for _ in range(20):
        yield b"no! " * (MB // 4)


def bad_event() -> Iterator[bytes]:
    """Yield a stream with one event that is no JSON in its middle."""
    yield HEAD + b"\r\n" + chunk("the first half, ") + b'data: {"choices": [{"delta": {"content": "lo\n\n'
    yield chunk("the second half", "stop") + b"data: [DONE]\n\n"
