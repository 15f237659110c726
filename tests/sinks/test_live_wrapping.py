"""Promises of `sinks.live.wrapping`: no line is wider than it may be, and no character gets lost."""

import pytest

from fusion_cli.sinks.live.wrapping import cells, cut, last_lines, padded, wrapped

TEXTS = [
    "",
    "a",
    "one two three",
    "x" * 500,
    "日本語の長い文です。" * 20,
    "mixed 日本 text 🎉 " * 30,
    "a  b   c" * 9,
    "e\u0301" * 90,
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("width", [2, 7, 40])
def test_lines_fit_and_hold_everything(text: str, width: int) -> None:
    """Each line is within the width; joined again they have every character but spaces."""
    lines = list(wrapped(text, width))
    assert max(map(cells, lines)) <= width
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_lines_end_between_words() -> None:
    """A word is broken only if it is longer than a line."""
    assert list(wrapped("one two three", 8)) == ["one two", "three"]
    assert list(wrapped("onetwothree", 8)) == ["onetwoth", "ree"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("width", [0, 1, 2, 9])
def test_what_is_cut_says_so(text: str, width: int) -> None:
    """A cut line is within its width and ends in an ellipsis; a short one is left alone."""
    short = cut(text, width)
    assert cells(short) <= width
    assert short == text or width == 0 or short.endswith("…")
    assert cells(padded(text, width)) == width


def test_the_last_lines_of_a_text() -> None:
    """Blank lines at its end are none of them, and a tab is no longer than it looks."""
    assert last_lines("one\n\ntwo three\n\tfour\n\n", 9, 3) == ["", "two three", "    four"][-3:]
    assert last_lines("one\n\ntwo\n", 9, 2, blank=False) == ["one", "two"]
    assert last_lines("one", 9, 0) == []
    assert last_lines("", 9, 3) == []
