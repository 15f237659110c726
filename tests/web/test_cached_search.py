"""Promises of a run's searches: the same one is sent once, also at once, failures can be tried again, and all end."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from fusion_cli.web.guard import WebError
from fusion_cli.web.search import MAX_SEARCHES, CachedSearch, Hit


class Backend:
    """A backend that takes a moment, notes what it is asked, and finds the query itself or fails as scripted.

    Args:
        failures: How many searches fail before they succeed.
    """

    name = "double"

    def __init__(self, failures: int = 0) -> None:
        self.asked: list[tuple[str, int]] = []
        self._failures = failures

    async def search(self, query: str, max_results: int) -> list[Hit]:
        """Return one hit that is named after the query."""
        self.asked.append((query, max_results))
        number = len(self.asked)
        await asyncio.sleep(0.02)
        if number <= self._failures:
            raise WebError(f"failure {number}")
        return [Hit("https://e.org/", query, "")]


async def together(*searches: Coroutine[Any, Any, list[Hit]]) -> list[list[Hit] | BaseException]:
    """Carry out searches at the same time, and return how each ended."""
    return await asyncio.gather(*searches, return_exceptions=True)


def test_the_same_search_is_sent_once() -> None:
    """Whether one after another or at once, a query with its number goes out once, blanks aside; all get the hits."""

    async def ask() -> Backend:
        backend = Backend()
        cached = CachedSearch(backend)
        assert cached.name == "double"
        ends = await together(cached.search("a b", 3), cached.search(" a\nb ", 3), cached.search("a b", 3))
        ends.append(await cached.search("a b", 3))
        assert ends == [[Hit("https://e.org/", "a b", "")]] * 4
        assert len({id(end) for end in ends}) == 4  # nobody can spoil another's list
        await cached.search("a b", 4)
        await cached.search("a c", 3)
        return backend

    assert asyncio.run(ask()).asked == [("a b", 3), ("a b", 4), ("a c", 3)]


def test_different_searches_do_not_wait_for_one_another() -> None:
    """Two queries are under way at the same time."""

    async def ask() -> None:
        backend = Backend()
        cached = CachedSearch(backend)
        first = asyncio.create_task(cached.search("a", 1))
        second = asyncio.create_task(cached.search("b", 1))
        await asyncio.sleep(0.005)
        assert len(backend.asked) == 2
        await together(first, second)  # type: ignore[arg-type]  # tasks are awaited alike

    asyncio.run(ask())


def test_a_failure_is_shared_and_can_be_tried_again() -> None:
    """Those who waited for a search share its failure; who asks later sends it anew."""

    async def ask() -> Backend:
        backend = Backend(failures=2)
        cached = CachedSearch(backend)
        for number in (1, 2):
            ends = await together(*(cached.search("a", 3) for _ in range(3)))
            assert [str(end) for end in ends] == [f"failure {number}"] * 3
            assert len(backend.asked) == number
        assert await cached.search("a", 3) == [Hit("https://e.org/", "a", "")]
        return backend

    assert len(asyncio.run(ask()).asked) == 3


def test_a_search_that_is_given_up_does_not_harm_the_others() -> None:
    """When the one who sent a search is cancelled, the next in line sends it."""

    async def ask() -> Backend:
        backend = Backend()
        cached = CachedSearch(backend)
        first = asyncio.create_task(cached.search("a", 3))
        second = asyncio.create_task(cached.search("a", 3))
        await asyncio.sleep(0.005)
        first.cancel()
        assert await second == [Hit("https://e.org/", "a", "")]
        assert first.cancelled()
        return backend

    assert len(asyncio.run(ask()).asked) == 2


@pytest.mark.parametrize("limit", [None, 2])
def test_searches_of_a_run_are_counted(limit: int | None) -> None:
    """After 200 searches, or the limit given, no more are sent; what is known is still told, and refusals cost none."""

    async def ask() -> Backend:
        backend = Backend(failures=1)
        cached = CachedSearch(backend) if limit is None else CachedSearch(backend, limit=limit)
        sent = limit or MAX_SEARCHES
        await together(*(cached.search(f"q{number}", 1) for number in range(sent)))
        with pytest.raises(WebError, match="empty"):
            await cached.search(" ", 1)
        for _ in range(2):
            with pytest.raises(WebError, match=r"^no more searches in this run$"):
                await cached.search("one more", 1)
        assert await cached.search("q1", 1) == [Hit("https://e.org/", "q1", "")]
        assert len(backend.asked) == sent
        return backend

    asyncio.run(ask())
