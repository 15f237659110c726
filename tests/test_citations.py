"""Promises of `citations`: what is shown as a web page is an address of the web and a title, each on one clean line."""

from typing import Any

import pytest

from fusion_cli.chat import Citation
from fusion_cli.citations import MAX_URL_CHARS, fit_citation

ONE = "https://one.example/a?b=c#d"


@pytest.mark.parametrize("url", [ONE, "http://one.example", "HTTPS://ONE.example/", "https://[::1]:8000/ä"])
def test_an_address_of_the_web_is_kept_as_it_stands(url: str) -> None:
    """Its title is kept beside it; what else the page holds is dropped."""
    assert fit_citation({"url": url, "title": "One", "content": "x"}) == Citation(url, "One")


@pytest.mark.parametrize("title", [None, "", " \n", "\x1b[31m", 7, ["One"]])
def test_without_a_title_the_address_is_it(title: Any) -> None:
    """A page is always called something."""
    assert fit_citation({"url": ONE, "title": title}) == Citation(ONE, ONE)
    assert fit_citation({"url": ONE}) == Citation(ONE, ONE)


def test_controls_are_taken_out() -> None:
    """Neither address nor title can forge a line or steer a terminal; an address with controls is none."""
    page = fit_citation({"url": ONE, "title": "\x1b[31mOne\n[2] Two\r\u202e\ud83d"})
    assert page == Citation(ONE, "One [2] Two<U+202E>\ufffd")
    for character in ("\x1b]0;x\x07", "\x9b2J", "\n", " ", "\u202e", "\u2028", "\ud83d"):
        assert fit_citation({"url": f"{ONE}{character}a", "title": "One"}) is None


def test_a_long_title_is_cut() -> None:
    """A megabyte of title is one line of a screen or two."""
    page = fit_citation({"url": ONE, "title": "x" * 1_000_000})
    assert page
    assert len(page.title) == 200


def test_an_address_is_whole_or_nothing() -> None:
    """One that is too long, or becomes so when it is cleaned, is not cut: half of it would lead elsewhere."""
    longest = "https://e.org/".ljust(MAX_URL_CHARS, "x")
    assert fit_citation({"url": longest}) == Citation(longest, longest)
    assert fit_citation({"url": f"{longest}x"}) is None
    assert fit_citation({"url": f"{longest[:-1]}\u202e"}) is None
    assert fit_citation({"url": "https://e.org/" + "\x00" * MAX_URL_CHARS}) is None


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)//",
        "javascript://e.org/%0aalert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "ftp://e.org/",
        "e.org/",
        "//e.org/",
        "https:e.org",
        "https://",
        "http://\x1b[31m",
        " \n",
        "",
        None,
        7,
        [ONE],
    ],
)
def test_what_is_no_address_of_the_web_is_nothing(url: Any) -> None:
    """A source that cannot be opened, or runs something when it is, is not shown at all."""
    assert fit_citation({"url": url, "title": "One"}) is None


def test_a_page_without_an_address_is_nothing() -> None:
    """A title alone is no source."""
    assert fit_citation({"title": "One"}) is None
