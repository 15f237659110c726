"""A Markdown text that arrives in pieces, cut into blocks that are finished: what is drawn once and never again.

Pure, and linear in the text. A block that will not end (an open fence, a list of thousands, a line of a megabyte) is
cut where that does the least harm, and goes on as a block of its own.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_LONG_LINE = 2000
_LONG_LINES, _LONG_CHARS = 40, 4000
_FENCE = r" {0,3}(`{3,}(?!.*`)|~{3,})(.*)"
_LIST = r" {0,3}(?:[-*+]|\d{1,9}[.)])(?:\s|$)"
_TABLES_RULE = r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-*:?\s*)*$"


class Block(NamedTuple):
    """A part of a text.

    Attributes:
        text: As it was written.
        goes_on: Whether it belongs to the block before it, so that there is no blank line between them.
        is_plain: Whether it is to be shown as it is written.
    """

    text: str
    goes_on: bool = False
    is_plain: bool = False


class Blocks:
    """Cut a text into blocks."""

    def __init__(self) -> None:
        self._line = ""
        self._lines: list[str] = []
        self._chars = 0
        self._fence = ""
        self._opener = ""
        self._is_blank = False
        self._is_list = False
        self._goes_on = False
        self._table: list[str] = []

    @property
    def open(self) -> str:
        """What belongs to no finished block yet."""
        return "".join(self._lines) + self._line

    def feed(self, text: str) -> list[Block]:
        """Return the blocks that are finished now."""
        done: list[Block] = []
        *lines, rest = text.split("\n")
        for line in lines:
            self._take_line(self._line + line + "\n", done)
            self._line = ""
        self._line += rest
        while len(self._line) > _LONG_LINE:
            piece, self._line = _cut_line(self._line)
            self._take_piece(piece, done)
        return done

    def end(self) -> list[Block]:
        """Return what is left."""
        done: list[Block] = []
        if self._line:
            self._take_line(self._line, done)
            self._line = ""
        self._finish(done)
        return done

    def _take_piece(self, piece: str, done: list[Block]) -> None:
        """Take the beginning of a line that is too long for Markdown."""
        if self._fence:
            self._add(piece + "\n", done)
            return
        self._finish(done)
        done.append(Block(piece, self._goes_on, is_plain=True))
        self._goes_on = True

    def _take_line(self, line: str, done: list[Block]) -> None:
        while len(line) > _LONG_LINE:
            piece, line = _cut_line(line)
            self._take_piece(piece, done)
        if self._fence:
            self._add(line, done)
            if re.match(rf" {{0,3}}{re.escape(self._fence[0])}{{{len(self._fence)},}}\s*$", line):
                self._fence = ""
                if not self._is_list:
                    self._finish(done)
            return
        if not line.strip():
            self._is_blank = True
            if self._lines:
                self._lines.append(line)
            else:
                self._goes_on = False
            return
        if self._is_blank and self._lines and not (self._is_list and line[0] in " \t"):
            self._finish(done)
        self._is_blank = False
        if not self._lines:
            self._is_list = bool(re.match(_LIST, line))
        if fence := re.match(_FENCE, line):
            if self._lines and not self._is_list:
                self._finish(done)
            self._fence, self._opener = fence[1], line
        elif len(self._lines) == 1 and "|" in self._lines[0] and re.match(_TABLES_RULE, line):
            self._table = [self._lines[0], line]
        self._add(line, done)

    def _add(self, line: str, done: list[Block]) -> None:
        """Add a line to the block; one that grows too long is cut before it, at best between a list's items."""
        is_long = len(self._lines) >= _LONG_LINES or self._chars > _LONG_CHARS
        is_far_too_long = len(self._lines) >= 4 * _LONG_LINES or self._chars > 4 * _LONG_CHARS
        if is_far_too_long or (is_long and (self._fence or not line[:1].isspace())):
            fence, opener, table, is_list = self._fence, self._opener, self._table, self._is_list
            self._finish(done)
            self._goes_on, self._table, self._is_list = True, table, is_list
            if fence and line != opener:
                self._fence, self._opener = fence, opener
                self._lines.append(opener)
            else:
                self._lines += table
                self._fence = fence
        self._lines.append(line)
        self._chars += len(line)

    def _finish(self, done: list[Block]) -> None:
        text = "".join(self._lines)
        if text.strip():
            done.append(Block(text.rstrip("\n"), self._goes_on))
            self._goes_on = False
        self._lines, self._chars = [], 0
        self._fence = self._opener = ""
        self._table = []
        self._is_blank = self._is_list = False


def _cut_line(line: str) -> tuple[str, str]:
    space = line.rfind(" ", _LONG_LINE // 2, _LONG_LINE)
    at = space + 1 if space >= 0 else _LONG_LINE
    return line[:at], line[at:]
