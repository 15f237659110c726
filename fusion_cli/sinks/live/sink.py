"""The live view: takes the run's events, draws what moves at most twelve times a second, and writes the record above.

Driven by the event loop it runs in: nothing is drawn when nothing has changed but the clock, once a second. What cannot
be drawn falls silent and leaves the answer to be printed.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from fusion_cli import events
from fusion_cli.sinks.drawing import Look, styled
from fusion_cli.sinks.live.layout import frame
from fusion_cli.sinks.live.screen import UNDO_APART, Screen
from fusion_cli.sinks.live.scrollback import Scrollback
from fusion_cli.sinks.live.state import View
from fusion_cli.sinks.live.wrapping import last_lines
from fusion_cli.terminal import one_line

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from fusion_cli.sinks.live.layout import Line
    from fusion_cli.sinks.live.state import Cast
    from fusion_cli.terminal import Terminal

_FRAME_S, _CLOCK_S = 1 / 12, 1.0
_LEAST_ROOM, _NARROWEST = 3, 20


class LiveSink:
    """Show a run while it happens.

    Args:
        terminal: Where to; both its streams are the same screen.
        cast: Who plays.
        look: What the screen can show; its width is asked for anew each time.
        size: Asks for its columns and lines.
        now: The clock, in seconds.

    Attributes:
        answer_shown: Whether all of the answer has been.
        analysis_shown: Whether the analysis has been.
    """

    def __init__(
        self,
        terminal: Terminal,
        cast: Cast,
        look: Look,
        size: Callable[[], tuple[int, int]],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._terminal = terminal
        self._look = look
        self._size = size
        self._now = now
        self._view = View(cast, now())
        self._record = Scrollback(cast, self._view, self._look_of_record)
        self._screen = Screen(terminal.draw, size)
        self._timer: asyncio.TimerHandle | None = None
        self._drawn_at: float | None = None
        self._is_dirty = False
        self._is_closed = False
        self.answer_shown = self.analysis_shown = False

    def __call__(self, event: events.Event) -> None:
        """Take one event in."""
        if self._is_closed:
            if isinstance(event, events.Warned):
                self._terminal.note(f"warning: {one_line(event.text, 400)}")
            return
        try:
            self._take(event)
        except Exception:
            self._give_up()
            raise

    def _take(self, event: events.Event) -> None:
        now = self._now()
        self._view.take(event, now)
        self._record.take(event, now)
        self._is_dirty = True
        if isinstance(event, events.RunCompleted):
            self.close()
        else:
            self._arm(_FRAME_S)

    def close(self) -> None:
        """Complete the record and leave the terminal as it was."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._timer:
            self._timer.cancel()
        with suppress(Exception):  # a terminal that is gone costs nobody what is still to be done
            self._record.end(self._now())
            self._show(self._record.taken(), [])
            self._note_shown()
        with suppress(Exception):
            self._screen.close()
        self._terminal.undo = ""

    def pause(self) -> None:
        """Give the screen back for a while; the next frame takes it again."""
        if not self._is_closed:
            self._screen.close()
            self._terminal.undo = ""

    def _arm(self, delay_s: float) -> None:
        """Have a frame drawn after so long, unless one is due earlier."""
        import asyncio

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # before or after the run: the end draws it
            return
        due = loop.time() + delay_s if self._drawn_at is None else max(loop.time(), self._drawn_at + delay_s)
        if self._timer and not self._timer.cancelled():
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = loop.call_at(due, self._on_timer, loop.time)

    def _on_timer(self, loop_time: Callable[[], float]) -> None:
        self._timer = None
        if self._is_closed:
            return
        try:
            self.draw()
        except Exception:  # noqa: BLE001  # what cannot be drawn must cost nobody the run
            self._give_up()
            return
        self._drawn_at = loop_time()
        if self._view.is_at_work:
            self._arm(_CLOCK_S)

    def draw(self) -> None:
        """Bring the screen up to date."""
        columns, height = self._size()
        self._look = self._look._replace(width=columns)
        if self._is_dirty:
            self._record.go_on()
        self._is_dirty = False
        apart = self._view.phase == "panel"
        if self._record.answer.has_begun:
            room = max(_LEAST_ROOM, height // 3)  # what is low enough survives a change of size
            lines: list[Line] = [((line, ""),) for line in last_lines(self._record.answer.open, columns - 1, room)]
        else:
            lines = frame(self._view, self._record.colours, self._now(), columns - 1, height - 2)
        drawn = [(styled(line, self._look), "".join(text for text, _ in line)) for line in lines]
        if apart and not self._screen.is_apart and self._record.has_more:
            self._show(self._record.taken(), [])
        self._show("" if apart else self._record.taken(), drawn, apart=apart)
        if not apart:
            self._note_shown()

    def _look_of_record(self) -> Look:
        return self._look._replace(width=max(self._size()[0] - 1, _NARROWEST))

    def _note_shown(self) -> None:
        """Note what has been written: only then is it shown."""
        self.answer_shown, self.analysis_shown = self._record.has_answer, self._record.has_analysis

    def _show(self, record: str, drawn: list[tuple[str, str]], *, apart: bool = False) -> None:
        if apart:
            self._terminal.undo = UNDO_APART
        self._screen.show(record, drawn, apart=apart)
        if not apart:
            self._terminal.undo = ""

    def _give_up(self) -> None:
        self._is_closed = True
        if self._timer:
            self._timer.cancel()
        with suppress(Exception):
            self._record.end_answer(self._now())
            self._show(self._record.taken(), [])
        self._terminal.undo = ""
