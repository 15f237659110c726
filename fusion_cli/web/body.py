"""What a fetched answer holds: its type, its bytes unpacked, and the limits within which they are read.

Knows no address, redirect or clock, and of the bytes no more than their first ones: what the page says is read
elsewhere. Whatever a server claims of itself is taken for a claim.
"""

import asyncio
import codecs
import re
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import httpx

from fusion_cli.web.guard import WebError

MAX_BYTES = 5_000_000
_MAX_PIECES = 50_000  # a body of single bytes costs far more time to take apart than to send
_SNIFFED_BYTES = 512
_PDF = "application/pdf"
# What reads as text. XML is also text/xml (RFC 7303), as which most feeds are served; XHTML ends in +xml.
_TEXTS = re.compile(r"text/(html|plain|markdown|csv|xml)|application/(json|xml)|.*\+(json|xml)")
_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,60}")
_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([a-z0-9_.:-]{1,40})""", re.IGNORECASE)
# What Python calls the encodings of pages; among those that it knows besides are escapes, Punycode and the like.
_ENCODINGS = re.compile(r"(utf-(8|16|32)|ascii|iso8859|cp\d|koi8|mac-|gb|big5|euc_|shift_jis|iso2022|tis-620).*")


class Page(NamedTuple):
    """What a server sent, decompressed and otherwise as it came.

    Attributes:
        url: Where it was in the end, after redirects.
        content_type: In lower case, without parameters; sniffed if the server named none.
        charset: Python's name of an encoding for text, as the server says; None if it does not, or names no such one.
        body: At most as many bytes as were wanted; nothing says that it is what `content_type` claims.
        truncated: Whether the body was longer.
    """

    url: str
    content_type: str
    charset: str | None
    body: bytes
    truncated: bool


async def read_page(response: httpx.Response, url: str, host: str, *, max_bytes: int = MAX_BYTES) -> Page:
    """Read an answer's body, as far as it is wanted.

    Args:
        response: Its head has arrived, of its body nothing is read yet.
        url: Where it was asked for.
        host: How an error names the server.
        max_bytes: What is read of it, sent as well as decompressed; a text is cut there, half a PDF is refused.

    Raises:
        WebError: Nobody here can read such a thing, or it is not whole.
    """
    too_large = f"the PDF is larger than {max_bytes / 1_000_000:g} MB"
    kind, charset = _content_type(response.headers.get_list("content-type"))
    unpacker = _Unpacker(response.headers.get("content-encoding", ""))
    length = response.headers.get("content-length", "")
    if kind == _PDF and length.isdecimal() and (len(length) > 15 or int(length) > max_bytes):
        raise WebError(too_large)
    body = bytearray()
    sent = pieces = 0
    truncated = False
    try:
        async for piece in response.aiter_raw():
            sent += len(piece)
            body += unpacker.feed(piece, max_bytes + 1 - len(body))
            if kind is None and len(body) >= _SNIFFED_BYTES:
                kind = _sniffed(body)
            pieces += 1
            truncated = max(sent, len(body)) > max_bytes or pieces > _MAX_PIECES
            if unpacker.ended or truncated:
                break
            if pieces % 100 == 0:  # what has arrived already is read without a pause, in which others could run
                await asyncio.sleep(0)
    except (httpx.HTTPError, httpx.StreamError):
        raise WebError(f"{host} broke the connection off before the page was whole") from None
    if sent and unpacker.compressed and not unpacker.ended and not truncated:
        raise WebError("the page is compressed, and ends before its end")
    kind = kind or _sniffed(body)
    if truncated and kind == _PDF:
        raise WebError(too_large)
    return Page(url, kind, charset, bytes(body[:max_bytes]), truncated)


def _content_type(values: Sequence[str]) -> tuple[str | None, str | None]:
    """Return type and charset as a server names them, each None if it does not.

    Raises:
        WebError: Nobody here can read such a thing.
    """
    value = values[0] if values else ""
    kind = value.partition(";")[0].strip().lower()
    if kind and not _TYPE.fullmatch(kind):
        raise WebError("it is not a page that can be read, nor is its type")
    if kind and kind != _PDF and not _TEXTS.fullmatch(kind):
        raise WebError(f"it is not a page that can be read, but {kind}")
    named = _CHARSET.search(value)
    try:
        charset = codecs.lookup(named[1]).name if named else ""
    except (LookupError, ValueError):
        charset = ""
    return kind or None, charset if _ENCODINGS.fullmatch(charset) else None


def _sniffed(body: bytes | bytearray) -> str:
    """Return the type of a body whose server names none.

    Raises:
        WebError: It is not text.
    """
    start = bytes(body[:_SNIFFED_BYTES]).removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if start.startswith(b"%pdf-"):
        return _PDF
    if re.match(rb"<(!doctype html|html|head|body|title|meta|!--)", start):
        return "text/html"
    if start.startswith(b"<?xml"):
        return "application/xml"
    if re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", start):
        raise WebError("it is not a page that can be read, but something binary without a type")
    return "text/plain"


class _Unpacker:
    """Undo a body's compression, never making more of it than is asked for."""

    def __init__(self, encoding: str) -> None:
        encoding = encoding.strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise WebError("the page is compressed in a way that was not asked for")
        self.compressed = encoding not in ("", "identity")
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | (16 if "gzip" in encoding else 0))
        # Some servers send deflate bare, which shows in the first two bytes.
        self._maybe_bare = encoding == "deflate"
        self._head = b""

    @property
    def ended(self) -> bool:
        """Whether a compressed body has come to its end; what follows is nobody's."""
        return self._stream.eof

    def feed(self, piece: bytes, room: int) -> bytes:
        """Return what `piece` adds: at most `room` bytes (1 or more), and nothing may be fed once that many came."""
        if not self.compressed:
            return piece[:room]
        if self._maybe_bare:
            piece = self._head = self._head + piece
            if len(piece) < 2:
                return b""
            self._maybe_bare = False
            if piece[0] & 15 != 8 or int.from_bytes(piece[:2], "big") % 31:
                self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            return self._stream.decompress(piece, room)
        except zlib.error:
            raise WebError("the page is compressed, and cannot be decompressed") from None
