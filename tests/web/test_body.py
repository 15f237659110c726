"""Promises of `web.body`: which answers are read, what is made of them, and where reading ends.

Each is read through a whole fetch, since what breaks a body depends on how it arrives.
"""

import asyncio
import tracemalloc
from hashlib import shake_128

import pytest

from fusion_cli.web.body import MAX_BYTES
from fusion_cli.web.fetch import Fetcher
from tests.web.attacks import (
    CHUNKED,
    ENDLESS,
    ENDLESS_PDF,
    GOOD,
    HTML,
    PUBLIC,
    HostileServer,
    Names,
    Network,
    Play,
    answer,
    attempt,
    bomb,
    for_ever,
    packed,
)

LIMIT = 1_000_000


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "bare deflate"])
def test_a_bomb_is_not_unpacked(encoding: str) -> None:
    """Much of nothing costs no more memory than a large page, and is cut like one."""

    async def put() -> tuple[int, bool, int]:
        resolver = Names({"good.example": [[PUBLIC]]})
        async with (
            HostileServer({"*": bomb(encoding)}) as server,
            Fetcher(resolve=resolver, transport=Network(server), max_bytes=LIMIT) as fetcher,
        ):
            tracemalloc.start()
            try:
                page = await fetcher.fetch(GOOD)
                return len(page.body), page.truncated, tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    size, truncated, peak = asyncio.run(put())
    assert (size, truncated) == (LIMIT, True)
    assert peak < 6 * LIMIT


@pytest.mark.parametrize(
    "plays",
    [
        for_ever(ENDLESS, b"x" * 60_000),
        for_ever(CHUNKED, b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n"),
        answer(b"x" * (LIMIT + 1)),
        packed(shake_128().digest(LIMIT + 100_000)),
    ],
)
def test_an_endless_page_is_cut(plays: Play) -> None:
    """Of a text that does not end, the beginning comes back, and says that it is one."""
    page = attempt(GOOD, plays, max_bytes=LIMIT).page
    assert page
    assert page.truncated
    assert LIMIT - 200_000 < len(page.body) <= LIMIT


def test_the_limit_is_five_megabytes() -> None:
    """Unless another is asked for, no more than that is read of a page."""
    page = attempt(GOOD, answer(b"x" * 6_000_000)).page
    assert page
    assert (len(page.body), page.truncated) == (MAX_BYTES, True) == (5_000_000, True)


def test_a_page_in_crumbs_is_cut() -> None:
    """A body that comes byte by byte, which costs far more to take apart than to send, ends early."""
    page = attempt(GOOD, for_ever(CHUNKED, b"1\r\nx\r\n" * 10_000), timeout_s=20).page
    assert page
    assert page.truncated
    assert len(page.body) < 100_000


def test_a_page_of_just_the_limit_is_whole() -> None:
    """What fits is not called truncated."""
    for plays in (answer(b"x" * LIMIT), packed(b"x" * LIMIT)):
        page = attempt(GOOD, plays, max_bytes=LIMIT).page
        assert page
        assert (len(page.body), page.truncated) == (LIMIT, False)


@pytest.mark.parametrize(
    "plays",
    [
        for_ever(ENDLESS_PDF, b"%PDF-" * 9_000),
        for_ever(b"HTTP/1.1 200 OK\r\n\r\n", b"%PDF-" * 9_000),
        answer(b"%PDF-", kind="application/pdf", length=LIMIT + 1),
        answer(b"%PDF-", kind="application/pdf", length=int("9" * 18)),
    ],
)
def test_half_a_document_is_none(plays: Play) -> None:
    """A PDF over the limit is refused, and at once where its length is told."""
    assert attempt(GOOD, plays, max_bytes=LIMIT).said == "the PDF is larger than 1 MB"


def test_a_length_that_lies_is_seen() -> None:
    """A body shorter than its Content-Length is no page; a longer one ends where it said."""

    async def too_short(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(HTML, length=1000))
        await writer.drain()
        writer.close()

    assert attempt(GOOD, too_short).said == "good.example broke the connection off before the page was whole"
    page = attempt(GOOD, answer(HTML, length=9)).page
    assert page
    assert page.body == HTML[:9]


def test_a_type_that_lies_breaks_nothing() -> None:
    """The bytes come back with the type that the server gave them; what they really are is the reader's question."""
    noise = shake_128().digest(5000)
    for body, kind in ((HTML, "text/plain"), (noise, "text/html"), (b"", "text/html"), (b"{", "application/json")):
        page = attempt(GOOD, answer(body, kind=kind)).page
        assert page
        assert (page.body, page.content_type, page.truncated) == (body, kind, False)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\xef\xbb\xbf\n<!DOCTYPE html><p>", "text/html"),
        (b"<HTML>", "text/html"),
        (b"<?xml version='1.0'?><rss/>", "application/xml"),
        (b"%PDF-1.7\n\0", "application/pdf"),
        (b"Boxk\xe4mpfer \x1b[0m", "text/plain"),
        (b"x" * 600 + b"\0", "text/plain"),
        (b"", "text/plain"),
    ],
)
def test_a_missing_type_is_sniffed(body: bytes, kind: str) -> None:
    """The first bytes decide, if the server says nothing; they need not arrive at once."""

    async def in_pieces(writer: asyncio.StreamWriter) -> None:
        head, _, _ = answer(body, kind=None).partition(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        for start in range(0, len(body), 3):
            await asyncio.sleep(0)
            writer.write(body[start : start + 3])

    page = attempt(GOOD, in_pieces).page
    assert page
    assert (page.content_type, page.charset, page.body) == (kind, None, body)


@pytest.mark.parametrize(
    ("value", "kind", "charset"),
    [
        ("text/html; charset=utf8", "text/html", "utf-8"),
        ("text/html;charset=Windows-1252", "text/html", "cp1252"),
        ("application/ld+json", "application/ld+json", None),
        ("application/rss+xml; charset=shift_jis", "application/rss+xml", "shift_jis"),
        ("text/xml", "text/xml", None),
        ("text/csv; charset=klingon", "text/csv", None),
        ("text/html; charset=idna", "text/html", None),
        ("text/html; charset=unicode_escape", "text/html", None),
        ("text/html; charset=zlib", "text/html", None),
        ("text/html; charset=../../x", "text/html", None),
        ("text/html; charset=", "text/html", None),
    ],
)
def test_type_and_charset_are_taken_apart(value: str, kind: str, charset: str | None) -> None:
    """A charset is one that pages are written in, by Python's name, or none."""
    page = attempt(GOOD, answer(kind=value)).page
    assert page
    assert (page.content_type, page.charset) == (kind, charset)
