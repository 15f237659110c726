"""The part of the screen that moves: drawn over itself below a record that stays, and gone without a trace at the end.

Knows escape codes and no run. Each change is one write; lines that are the same are not sent again. The screen may have
been made narrower meanwhile, and may have broken the lines that stand there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusion_cli.sinks.live.wrapping import cells

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
# A terminal may think a sign wider than rich does: then it is cut at the edge, and does not break the line.
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
_CLEAR_LINE, _CLEAR_BELOW = "\x1b[K", "\x1b[J"


class Screen:
    """A frame at the end of what a terminal shows; the cursor rests on the line below it.

    Args:
        write: Sends text to the terminal.
        size: Asks for its columns and lines.
    """

    def __init__(self, write: Callable[[str], None], size: Callable[[], tuple[int, int]]) -> None:
        self._write = write
        self._size = size
        self._shown: list[str] = []
        self._widths: list[int] = []
        self._columns = 0

    def show(self, record: str, frame: Sequence[tuple[str, str]]) -> None:
        """Add to the record, and draw the frame below it.

        Args:
            record: What stays: whole lines, or nothing.
            frame: Each line as it is sent, and as it is read: without escape codes.
        """
        columns, height = self._size()
        sent = [line for line, _ in frame]
        if not record and columns == self._columns and len(sent) == len(self._shown):
            self._redraw(sent)
        else:
            above = self._rows(columns, height)
            up = (f"\x1b[{above}A" if above else "") + "\r"
            kept = "".join(_CLEAR_LINE + line + "\n" for line in record.split("\n")[:-1])
            drawn = "".join(_CLEAR_LINE + line + "\n" for line in sent)
            hidden = _HIDE_CURSOR if sent else ""
            framed = _NO_WRAP + drawn + _WRAP if drawn else ""
            if up != "\r" or kept or framed:
                self._write(hidden + up + kept + framed + _CLEAR_BELOW + ("" if sent else _SHOW_CURSOR))
        self._shown, self._columns = sent, columns
        self._widths = [cells(text) for _, text in frame]

    def close(self) -> None:
        """Take the frame away and show the cursor."""
        if self._shown:
            self.show("", [])

    def _redraw(self, lines: Sequence[str]) -> None:
        """Send the lines that have changed."""
        parts, at = [], len(lines)  # where the cursor is, in lines from the frame's top
        for number, (line, before) in enumerate(zip(lines, self._shown, strict=True)):
            if line != before:
                parts.append(_moved(number - at) + _CLEAR_LINE + line + "\n")
                at = number + 1
        if parts:
            self._write(_HIDE_CURSOR + _NO_WRAP + "".join(parts) + _moved(len(lines) - at) + _WRAP)

    def _rows(self, columns: int, height: int) -> int:
        """Return how many rows the frame takes, its lines broken where the screen has become narrower."""
        rows = sum(max(1, -(-width // columns)) for width in self._widths)
        return min(rows, height - 1)


def _moved(lines: int) -> str:
    return f"\x1b[{-lines}A" if lines < 0 else f"\x1b[{lines}B" if lines else ""
