"""Promises of `web.pages`: what is read is made once, by few threads at a time, and goes wrong in one way only."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from threading import Event, Lock
from typing import Any

import pytest

from fusion_cli.web.extract import Extract
from fusion_cli.web.fetch import Fetcher
from fusion_cli.web.guard import WebError
from fusion_cli.web.pages import Pages, WebPage, may_read
from tests.web.attacks import GOOD, PUBLIC, HostileServer, Names, Network, Play, answer, moved

HTML = b"<!doctype html><title>T</title><main><h1>Bees</h1><p>" + b"A bee is an insect that makes honey. " * 20


class Extractor:
    """A double that notes what it is asked, and how many ask at a time.

    Args:
        said: What comes of every page.
        pause_s: How long it takes.
    """

    def __init__(self, said: Extract | BaseException | None = None, pause_s: float = 0.0) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.most = 0
        self.begun = Event()
        self._now = 0
        self._said = said or Extract("Title", "text", False)
        self._pause_s = pause_s
        self._lock = Lock()

    def __call__(self, *page: Any, max_content_tokens: int | None) -> Extract:
        """Extract one page."""
        with self._lock:
            self.asked.append((*page, max_content_tokens))
            self._now += 1
            self.most = max(self.most, self._now)
        self.begun.set()
        time.sleep(self._pause_s)
        with self._lock:
            self._now -= 1
        if isinstance(self._said, BaseException):
            raise self._said
        return self._said


def reading(
    test: Callable[[Pages], Awaitable[None]],
    extractor: Extractor | None = None,
    plays: dict[str, Play] | None = None,
    **options: Any,
) -> list[str]:
    """Run a test with pages from a hostile server, and return what that was asked for."""

    async def run() -> list[str]:
        async with HostileServer(plays) as server:
            names = Names({"good.example": [[PUBLIC]], "evil.example": [[PUBLIC]]})
            async with Fetcher(resolve=names, transport=Network(server), **options) as fetcher:
                await test(Pages(fetcher, extract=extractor))
            return server.paths

    return asyncio.run(run())


async def refused(pages: Pages, url: str, **limits: Any) -> str:
    """Return the line of a page that cannot be read."""
    with pytest.raises(WebError) as caught:
        await pages.read(url, **limits)
    return str(caught.value)


def test_a_page_is_read_as_text() -> None:
    """The real extraction is found without being told of: title, text, and where the page was in the end."""

    async def test(pages: Pages) -> None:
        page = await pages.read(GOOD)
        assert (page.url, page.title) == (f"{GOOD}bees", "T")
        assert "A bee is an insect" in page.text
        assert "<p>" not in page.text
        short = await pages.read(GOOD, max_content_tokens=150)
        assert len(short.text) < len(page.text)
        assert short.text.splitlines()[-1].startswith("[cut here: ")

    assert reading(test, plays={"/": moved("/bees"), "*": answer(HTML)}) == ["/", "/bees"]


def test_eight_readers_have_it_extracted_once() -> None:
    """Who reads the same page at the same time or later, by whatever URL leads there, shares its text."""
    extractor = Extractor(pause_s=0.05)

    async def test(pages: Pages) -> None:
        urls = [f"{GOOD}page", "http://GOOD.example./page#top", f"{GOOD}old", f"{GOOD}page"] * 2
        found = await asyncio.gather(*(pages.read(url) for url in urls))
        found.append(await pages.read(f"{GOOD}page"))
        assert found == [WebPage(f"{GOOD}page", "Title", "text")] * 9

    reading(test, extractor, {"/old": moved("/page"), "*": answer(HTML, kind="text/html; charset=utf-8")})
    assert extractor.asked == [(HTML, "text/html", "utf-8", f"{GOOD}page", None)]


def test_another_length_is_another_text() -> None:
    """The page is fetched once, and extracted once for each length that is asked for."""
    extractor = Extractor()

    async def test(pages: Pages) -> None:
        for tokens in (None, 500, 900, 500, None):
            await pages.read(GOOD, max_content_tokens=tokens)

    assert reading(test, extractor) == ["/"]
    assert [asked[-1] for asked in extractor.asked] == [None, 500, 900]


def test_two_extractions_run_at_a_time() -> None:
    """More pages than that wait for their turn, and all are read."""
    extractor = Extractor(pause_s=0.03)

    async def test(pages: Pages) -> None:
        found = await asyncio.gather(*(pages.read(f"{GOOD}{number}") for number in range(8)))
        assert [page.url for page in found] == [f"{GOOD}{number}" for number in range(8)]

    reading(test, extractor)
    assert (extractor.most, len(extractor.asked)) == (2, 8)


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (WebError("the page is empty"), "the page is empty"),
        (ValueError("secret"), "the page was fetched, but its text could not be extracted (ValueError)"),
        (MemoryError(), "the page was fetched, but its text could not be extracted (MemoryError)"),
        (SystemExit(3), "the page was fetched, but its text could not be extracted (SystemExit)"),
        (StopIteration(), "the page was fetched, but its text could not be extracted (StopIteration)"),
    ],
)
def test_what_breaks_the_extraction_costs_one_page(problem: BaseException, said: str) -> None:
    """Whatever is raised, every reader of the page gets one line, an error of their own, and it is not tried again."""
    extractor = Extractor(problem)

    async def test(pages: Pages) -> None:
        errors = await asyncio.gather(*(pages.read(GOOD) for _ in range(3)), return_exceptions=True)
        assert [(type(error), str(error)) for error in errors] == [(WebError, said)] * 3
        assert len(set(map(id, errors))) == 3
        assert await refused(pages, GOOD) == said

    reading(test, extractor)
    assert len(extractor.asked) == 1


def test_what_cannot_be_fetched_is_not_extracted() -> None:
    """The fetcher's refusals come through as they are; a page that is known is still subject to the lists."""
    extractor = Extractor()

    async def test(pages: Pages) -> None:
        assert "loopback" in await refused(pages, "http://127.0.0.1/")
        assert "status 404" in await refused(pages, f"{GOOD}gone")
        assert (await pages.read(GOOD)).url == "http://evil.example/end"
        assert "blocked" in await refused(pages, GOOD, blocked_domains=["evil.example"])
        assert "not among" in await refused(pages, GOOD, allowed_domains=["good.example"])

    plays: dict[str, Play] = {
        "/": moved("http://evil.example/end"),
        "/gone": answer(status="404 Not Found"),
        "/end": answer(),
    }
    reading(test, extractor, plays)
    assert len(extractor.asked) == 1


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (
            Extract("", "all of it", False),
            "all of it\n\n[cut here: the page is longer than the 100 bytes that are read]",
        ),
        (Extract("", "some\n\n[cut here: so much]", True), "some\n\n[cut here: so much]"),
    ],
)
def test_a_part_is_called_a_part(found: Extract, text: str) -> None:
    """Of a page that was too long to fetch whole, the text says so once."""

    async def test(pages: Pages) -> None:
        assert (await pages.read(GOOD)).text == text

    reading(test, Extractor(found), max_bytes=100, plays={"*": answer(HTML)})


def test_who_gives_up_takes_nothing_from_the_others() -> None:
    """One reader's cancellation is that reader's alone, and the text is not made twice."""
    extractor = Extractor(pause_s=0.1)

    async def test(pages: Pages) -> None:
        first, second = (asyncio.create_task(pages.read(GOOD)) for _ in "12")
        await asyncio.to_thread(extractor.begun.wait, 5)
        first.cancel()
        assert (await second).text == "text"
        with pytest.raises(asyncio.CancelledError):
            await first

    reading(test, extractor)
    assert len(extractor.asked) == 1


def test_a_run_that_ends_leaves_nothing_behind() -> None:
    """What waits for its turn when the run is given up is not extracted any more."""
    extractor = Extractor(pause_s=0.2)

    async def test(pages: Pages) -> None:
        readers = [asyncio.create_task(pages.read(f"{GOOD}{number}")) for number in range(6)]
        await asyncio.to_thread(extractor.begun.wait, 5)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)

    reading(test, extractor)
    assert 1 <= len(extractor.asked) < 6


def test_the_extraction_is_imported_when_there_is_a_page() -> None:
    """Neither `extract` nor what it needs is part of a start."""
    told = subprocess.run(
        [sys.executable, "-c", "import sys, fusion_cli.web.pages; print('fusion_cli.web.extract' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "False\n"


@pytest.mark.parametrize(
    ("url", "lists", "may"),
    [
        ("https://good.example/a", {}, True),
        ("https://www.good.example/", {"allowed_domains": ["good.example"]}, True),
        ("https://notgood.example/", {"allowed_domains": ["good.example"]}, False),
        ("https://www.good.example/", {"blocked_domains": ["good.example"]}, False),
        ("https://good.example/", {"allowed_domains": ["good.example"], "blocked_domains": ["good.example"]}, False),
        ("http://wiki.local:8080/", {"allowed_domains": ["wiki.local"]}, True),
        ("https://good.example@evil.example/", {"allowed_domains": ["good.example"]}, False),
        ("https://evil.example\\@good.example/", {"blocked_domains": ["evil.example"]}, False),
        ("ftp://good.example/", {}, False),
        ("", {}, False),
        ("https://good.example/", {"blocked_domains": ["https://evil.example/"]}, False),
    ],
)
def test_a_hit_is_kept_if_its_domain_may_be_read(url: str, lists: dict[str, list[str]], may: bool) -> None:
    """The lists decide, not the port or whether the name is public; what cannot be read is dropped."""
    assert may_read(url, **lists) is may
