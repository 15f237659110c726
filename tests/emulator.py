"""A terminal in miniature, which breaks its lines anew when its size changes; what it does not know is an error.

So a test that feeds it what a command writes also shows that nothing else was written.
"""

import re

from rich.cells import cell_len

_TOKEN = re.compile(r"\x1b\[(\??)([\d;]*)([A-Za-z])|([\r\n\t])|(.)", re.S)


class UnknownCodeError(AssertionError):
    """Something was written that no terminal should be sent."""


class Emulator:
    """A screen with its scrollback.

    Attributes:
        rows: Everything that can be scrolled to, and the screen; a wide character has an empty cell behind it.
        shows_cursor: Whether the cursor is visible.
        wraps: Whether a line that is too long goes on in the next row.
        styles: The style codes that were sent.
    """

    def __init__(self, columns: int, lines: int) -> None:
        self.columns = columns
        self.lines = lines
        self.rows: list[list[str]] = [[]]
        self.row = self.column = 0
        self.shows_cursor = self.wraps = True
        self.styles: set[str] = set()
        self._main: tuple[list[list[str]], int, int] | None = None

    @property
    def is_apart(self) -> bool:
        """Whether the other screen is shown."""
        return self._main is not None

    @property
    def text(self) -> str:
        """All rows, without spaces at their ends."""
        return "\n".join("".join(row).rstrip() for row in self.rows).rstrip("\n")

    def feed(self, text: str) -> None:
        """Take what a program writes."""
        for private, numbers, letter, control, character in _TOKEN.findall(text):
            if letter:
                self._code(private, numbers, letter)
            elif control == "\r":
                self.column = 0
            elif control == "\n":
                self.row, self.column = self.row + 1, 0
                self._reach()
            else:
                self._put(" " if control else character)

    def resize(self, columns: int, lines: int) -> None:
        """Change the size; rows that are too long are broken, as most terminals do."""
        self.columns, self.lines = columns, lines
        if self._main:
            rows, row, column = self._main
            rows, row = _broken(rows, row, columns)
            self._main = (rows, row, min(column, columns - 1))
            self.rows = [row[:columns] for row in self.rows]
            self._reach()
        else:
            self.rows, self.row = _broken(self.rows, self.row, columns)
        self.column = min(self.column, columns - 1)

    def _reach(self) -> None:
        while len(self.rows) <= self.row:
            self.rows.append([])
        if self._main and len(self.rows) > self.lines:  # that screen has no scrollback
            self.row -= len(self.rows) - self.lines
            del self.rows[: -self.lines]

    def _put(self, character: str) -> None:
        if not character.isprintable():
            raise UnknownCodeError(repr(character))
        width = cell_len(character)
        if self.column + width > self.columns:
            if not self.wraps:
                return
            self.row, self.column = self.row + 1, 0
            self._reach()
        row = self.rows[self.row]
        row += [" "] * (self.column + width - len(row))
        if width:
            row[self.column : self.column + width] = [character, *[""] * (width - 1)]
        self.column += width

    def _code(self, private: str, numbers: str, letter: str) -> None:
        number = int(numbers or 1) if ";" not in numbers else 0
        top = max(0, len(self.rows) - self.lines)
        match private, letter, numbers:
            case "", "A", _:
                self.row = max(top, self.row - number)
            case "", "B", _:
                self.row = min(top + self.lines - 1, self.row + number)
                self._reach()
            case "", "K", "":
                del self.rows[self.row][self.column :]
            case "", "J", "":
                del self.rows[self.row][self.column :]
                del self.rows[self.row + 1 :]
            case "", "H", "":
                self.row, self.column = top, 0
            case "", "m", _:
                self.styles.add(numbers)
            case "?", "h" | "l", "25":
                self.shows_cursor = letter == "h"
            case "?", "h" | "l", "7":
                self.wraps = letter == "h"
            case "?", "h", "1049":
                self._main = (self.rows, self.row, self.column)
                self.rows = [[] for _ in range(min(len(self.rows), self.lines))]
                self.row = min(self.row - top, self.lines - 1)
                self._reach()
            case "?", "l", "1049":
                if self._main:
                    self.rows, self.row, self.column = self._main
                self._main = None
            case _:
                raise UnknownCodeError(f"{private}{numbers}{letter}")


def _broken(rows: list[list[str]], at: int, columns: int) -> tuple[list[list[str]], int]:
    """Return rows that are no longer than the screen is wide, and where a row of them has gone."""
    broken: list[list[str]] = []
    where = 0
    for number, row in enumerate(rows):
        if number == at:
            where = len(broken)
        broken += [row[start : start + columns] for start in range(0, max(len(row), 1), columns)]
    return broken, where
