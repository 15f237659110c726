"""Promises of the DuckDuckGo backend, with a double in the place of ddgs: what it asks, and how each failure reads."""

import asyncio
import sys
import time
from types import ModuleType
from typing import Any

import pytest

from fusion_cli.web.duckduckgo import DuckDuckGoSearch
from fusion_cli.web.guard import WebError
from fusion_cli.web.search import Hit


class RatelimitException(Exception):  # noqa: N818 - named as in ddgs
    """A double of the one in ddgs."""


class TimeoutException(Exception):  # noqa: N818 - named as in ddgs
    """A double of the one in ddgs."""


class PanicException(BaseException):
    """A double of what a panic in compiled Rust becomes."""


def install(monkeypatch: pytest.MonkeyPatch, found: Any) -> list[dict[str, Any]]:
    """Put a double in the place of ddgs that finds this, or raises it; return what it will be asked."""
    asked: list[dict[str, Any]] = []

    class DDGS:
        def __init__(self, **options: Any) -> None:
            asked.append(options)

        def text(self, query: str, **options: Any) -> Any:
            asked.append({"query": query, **options})
            if isinstance(found, BaseException):
                raise found
            return found() if callable(found) else found

    module = ModuleType("ddgs")
    module.__dict__["DDGS"] = DDGS
    monkeypatch.setitem(sys.modules, "ddgs", module)
    return asked


def test_duckduckgo_alone_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ddgs is told which engine to ask and for how many results, and its entries become hits."""
    found = [{"href": "https://e.org/", "title": "T", "body": "C"}, {"title": "no address"}, None]
    asked = install(monkeypatch, found)
    assert asyncio.run(DuckDuckGoSearch().search(" a\nb ", 99)) == [Hit("https://e.org/", "T", "C")]
    assert asked == [{"timeout": 10}, {"query": "a b", "max_results": 20, "backend": "duckduckgo"}]


@pytest.mark.parametrize("found", [None, "junk", {"href": "https://e.org/"}, [[]]])
def test_junk_is_no_hit(monkeypatch: pytest.MonkeyPatch, found: Any) -> None:
    """What is no list of entries holds no results."""
    install(monkeypatch, found)
    assert asyncio.run(DuckDuckGoSearch().search("x", 3)) == []


@pytest.mark.parametrize(
    ("raised", "match"),
    [
        (Exception("No results found."), "no results, or it refuses"),
        (RatelimitException("https://x 202"), "too many requests"),
        (TimeoutException("timed out"), "no answer within 10 seconds"),
        (ImportError("lxml"), r"pip install 'fusion-deliberation\[ddgs\]'"),
        (KeyError("a\nb"), r"the search failed \(KeyError\)"),
        (TimeoutError(), r"the search failed \(TimeoutError\)"),
        (StopIteration(), r"the search failed \(StopIteration\)"),
        (PanicException("called unwrap"), r"the search failed \(PanicException\)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_failures_are_one_line(monkeypatch: pytest.MonkeyPatch, raised: BaseException, match: str) -> None:
    """Whatever ddgs raises is a line for the model."""
    install(monkeypatch, raised)
    with pytest.raises(WebError, match=match) as caught:
        asyncio.run(DuckDuckGoSearch().search("x", 3))
    assert str(caught.value).startswith("duckduckgo: ")
    assert str(caught.value).isprintable()


def test_without_ddgs_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ddgs is looked for when a search is made, not before."""
    monkeypatch.setitem(sys.modules, "ddgs", None)
    with pytest.raises(WebError, match=r"pip install 'fusion-deliberation\[ddgs\]'"):
        asyncio.run(DuckDuckGoSearch().search("x", 3))


def test_a_slow_search_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller is answered at its time limit, though the thread takes longer."""
    install(monkeypatch, lambda: time.sleep(0.3))
    begun = time.monotonic()
    answered: list[float] = []

    async def ask() -> None:
        with pytest.raises(WebError, match=r"no answer within 0\.05 seconds"):
            await DuckDuckGoSearch(time_limit_s=0.05).search("x", 3)
        answered.append(time.monotonic() - begun)

    asyncio.run(ask())
    assert answered[0] < 0.25
