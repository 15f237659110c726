"""Text in columns: how wide it is, where its lines end, and how it is cut. Pure; only rich knows wide characters.

Plain ASCII, which is most of it, never asks rich: drawing must cost little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ELLIPSIS = "…"


def cells(text: str) -> int:
    """Return how many columns a line takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def cut(text: str, width: int) -> str:
    """Return a line that is at most `width` columns, with an ellipsis where something is missing."""
    if cells(text) <= width:
        return text
    if width < 1:
        return ""
    return _head(text, width - 1)[0] + _ELLIPSIS


def padded(text: str, width: int) -> str:
    """Return a line of exactly `width` columns."""
    short = cut(text, width)
    return short + " " * (width - cells(short))


def wrapped(text: str, width: int) -> Iterator[str]:
    """Yield the lines of a paragraph without line feeds, broken between words, or within one that is too long."""
    width = max(width, 2)  # a wide character needs that
    while len(text) * 2 > width:  # a shorter one fits, whatever is in it
        head, rest = _head(text, width)
        if not rest:
            break
        space = head.rfind(" ") if not rest.startswith(" ") else len(head)
        if space > 0:
            head, rest = text[:space], text[space:]
        yield head.rstrip()
        text = rest.lstrip(" ")
    yield text


def last_lines(text: str, width: int, number: int, *, blank: bool = True) -> list[str]:
    """Return the last lines of a text, wrapped, at most `number` of them; none are blank at its end, or anywhere."""
    lines: list[str] = []
    rest = text.rstrip()
    while rest and len(lines) < number:
        rest, _, paragraph = rest.rpartition("\n")
        if blank or paragraph.strip():
            lines[:0] = wrapped(paragraph.expandtabs(4).rstrip(), width)
    return lines[-number:] if number > 0 else []


def _head(text: str, width: int) -> tuple[str, str]:
    """Return as much of a line as fits, and the rest."""
    if text.isascii():
        return text[:width], text[width:]
    from rich.cells import get_character_cell_size

    taken = 0
    for end, character in enumerate(text):  # one walk, as measuring ever shorter heads is quadratic
        taken += get_character_cell_size(character)
        if taken > width:
            return text[:end], text[end:]
    return text, ""
