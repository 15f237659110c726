"""An event loop whose clock stands still while the process does: stopped by Ctrl-Z, or kept from running.

Else every limit would strike before what has come in the meantime is read.
"""

import asyncio
import selectors
import time
from collections.abc import Callable

_JUMP_S = 1.0  # what takes longer between two looks at the clock is no work of ours


class Clock:
    """Tell the time without its jumps.

    Args:
        now: The clock that has them, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._read_at = now()
        self._lost_s = 0.0

    def __call__(self) -> float:
        """Return the time in seconds; it has not moved where it was last read too long ago."""
        now = self._now()
        if now - self._read_at > _JUMP_S:
            self._lost_s += now - self._read_at
        self._read_at = now
        return now - self._lost_s

    def let_pass(self, asked_s: float) -> None:
        """Count the time since the last look, as far as it is what somebody asked to wait."""
        now = self._now()
        if now - self._read_at <= max(asked_s, 0.0) + _JUMP_S:
            self._read_at = now


class Selector(selectors.DefaultSelector):
    """Wait, and have that counted; a second at a time, as a stop within a longer wait would pass for a part of it."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready, within so many seconds, or nothing after a part of them."""
        self._clock()  # what has been done since the last wait is no part of this one
        asked_s = _JUMP_S if timeout is None else min(timeout, _JUMP_S)
        ready = super().select(asked_s)
        self._clock.let_pass(asked_s)
        return ready


class Loop(asyncio.SelectorEventLoop):
    """Run by such a clock."""

    def __init__(self) -> None:
        self._clock = Clock()
        super().__init__(Selector(self._clock))

    def time(self) -> float:
        """Return the time that everything in this loop goes by, in seconds."""
        return self._clock()
