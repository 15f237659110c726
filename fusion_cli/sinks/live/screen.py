"""The part of the screen that moves: drawn over itself below a record that stays, and gone without a trace at the end.

What is tall is drawn apart, on the terminal's other screen, where a change of size breaks no line that stays. Knows
escape codes and no run. Each change is one write; lines that are the same are not sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusion_cli.sinks.live.wrapping import cells

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
# A terminal may think a sign wider than rich does: then it is cut at the edge, and does not break the line.
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
_CLEAR_LINE, _CLEAR_BELOW, _TOP = "\x1b[K", "\x1b[J", "\x1b[H"
_APART, _BACK = "\x1b[?1049h", "\x1b[?1049l"
UNDO_APART = _BACK + _WRAP


class Screen:
    """A frame at the end of what a terminal shows; the cursor rests on the line below it.

    On the other screen, too, it is drawn from where the cursor is: a terminal that has none loses nothing.

    Args:
        write: Sends text to the terminal.
        size: Asks for its columns and lines.

    Attributes:
        is_apart: Whether the other screen is shown.
    """

    def __init__(self, write: Callable[[str], None], size: Callable[[], tuple[int, int]]) -> None:
        self._write = write
        self._ask_size = size
        self._size = (0, 0)
        self._shown: list[str] = []
        self._widths: list[int] = []
        self.is_apart = False

    def show(self, record: str, frame: Sequence[tuple[str, str]], *, apart: bool = False) -> None:
        """Add to the record, and draw the frame below it.

        Args:
            record: What stays: whole lines, or nothing; nothing where the frame is apart.
            frame: Each line as it is sent, and as it is read: without escape codes.
            apart: Whether the frame goes to the other screen.
        """
        size = self._ask_size()
        sent = [line for line, _ in frame]
        if not record and apart == self.is_apart and size == self._size and len(sent) == len(self._shown):
            self._redraw(sent)
        elif record or sent or self._shown or apart != self.is_apart:
            kept = "".join(_CLEAR_LINE + line + "\n" for line in record.split("\n")[:-1])
            drawn = "".join(_CLEAR_LINE + line + "\n" for line in sent)
            framed = _HIDE_CURSOR + _NO_WRAP + drawn + _WRAP if drawn else ""
            end = _CLEAR_BELOW + ("" if sent else _SHOW_CURSOR)
            self._write(self._back_to_top(size) + self._turned(apart=apart) + kept + framed + end)
        self._shown, self._size, self.is_apart = sent, size, apart
        self._widths = [min(cells(text), size[0]) for _, text in frame]  # what is wider was cut at the edge

    def close(self) -> None:
        """Take the frame away and show the cursor."""
        if self._shown or self.is_apart:
            self.show("", [])

    def _redraw(self, lines: Sequence[str]) -> None:
        """Send the lines that have changed."""
        parts, at = [], len(lines)  # where the cursor is, in lines from the frame's top
        for number, (line, before) in enumerate(zip(lines, self._shown, strict=True)):
            if line != before:
                parts.append(_moved(number - at) + _CLEAR_LINE + line + "\n")
                at = number + 1
        if parts:
            self._write(_NO_WRAP + "".join(parts) + _moved(len(lines) - at) + _WRAP)

    def _turned(self, *, apart: bool) -> str:
        """Return what turns to the other screen, or back from it, with nothing left behind."""
        if apart == self.is_apart:
            return ""
        return _CLEAR_BELOW + (_APART if apart else _BACK) + "\r"

    def _back_to_top(self, size: tuple[int, int]) -> str:
        """Return what moves to the frame's top; a screen that became narrower has broken the lines that are on it."""
        if self.is_apart and size != self._size:
            return _TOP
        rows = sum(max(1, -(-width // size[0])) for width in self._widths)
        return _moved(-min(rows, size[1] - 1)) + "\r"


def _moved(lines: int) -> str:
    return f"\x1b[{-lines}A" if lines < 0 else f"\x1b[{lines}B" if lines else ""
