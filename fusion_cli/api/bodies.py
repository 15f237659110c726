"""The bodies of responses, unpacked piece by piece and never read further than somebody wants.

httpx would unpack each read at once, however large that is: a gzip bomb of 64 KB is 64 MB. Knows no JSON.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator

import httpx

from fusion_cli.errors import ServerFailedError, UnusableAnswerError
from fusion_cli.terminal import one_line

_PIECE_BYTES = 64 * 1024


async def pieces(response: httpx.Response) -> AsyncIterator[bytes]:
    """Yield a response's body, its compression undone, in pieces of about 64 KB at most.

    Raises:
        UnusableAnswerError: It is compressed in a way that was not asked for.
        ServerFailedError: It is not what its headers say.
    """
    stream: _Inflater | None = None
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding in {"gzip", "x-gzip", "deflate"}:
        stream = _Inflater(encoding)
    elif encoding not in {"", "identity"}:
        raise UnusableAnswerError(
            f"the server's answer is compressed as {one_line(encoding, 40)}, which nobody asked for"
        )
    async for packed in response.aiter_raw():
        if stream is None:
            yield packed
            continue
        piece = stream.feed(packed)
        while piece:
            yield piece
            await asyncio.sleep(0)  # what was one read can be a thousand pieces: clocks and signals have their turn
            piece = stream.feed(b"")


async def read_at_most(response: httpx.Response, limit: int) -> bytes:
    """Return a response's body, or its first `limit` bytes.

    Raises:
        ServerFailedError: It cannot be unpacked.
    """
    body = bytearray()
    async for piece in pieces(response):
        body += piece
        if len(body) >= limit:
            break
    return bytes(body[:limit])


class _Inflater:
    """Undo gzip or deflate, at most one piece at a time."""

    def __init__(self, encoding: str) -> None:
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | (0 if encoding == "deflate" else 16))
        # Some servers send deflate bare, which shows in the first two bytes.
        self._head: bytes | None = b"" if encoding == "deflate" else None

    def feed(self, packed: bytes) -> bytes:
        """Return the next piece; once it is empty, more has to be fed."""
        if self._head is not None:
            packed = self._head + packed
            if len(packed) < 2:
                self._head = packed
                return b""
            self._head = None
            if packed[0] & 15 != 8 or int.from_bytes(packed[:2], "big") % 31:
                self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        if self._stream.eof:  # what follows is nobody's
            return b""
        try:
            return self._stream.decompress(self._stream.unconsumed_tail + packed, _PIECE_BYTES)
        except zlib.error:
            raise ServerFailedError("the server's answer is compressed, and cannot be decompressed") from None
