"""What the signals that end a run do: the first is one wish, though it be sent twice; a later one ends at once.

Listens from the start of the process to its end. Knows neither what a run is nor how a terminal is left.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fusion_cli.errors import SIGNALS, InterruptError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# `timeout` signals its child and then its child's group, and a terminal or a service manager may do the like.
_ONE_WISH_S = 0.3
_HELD_S = 0.3


class Interrupts:
    """Take the signals of a process, in its main thread and wherever that is: no event loop has to turn for it.

    Args:
        now: The clock, in seconds.
        leave: Ends the process with a status.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        leave: Callable[[int], object] = lambda status: os._exit(status),
    ) -> None:
        self._now = now
        self._leave = leave
        self._act: Callable[[int], object] = _raise
        self._first_at: float | None = None
        self._held: int | None = None

    def __call__(self, signum: int, _frame: object = None) -> None:
        """Take one signal in.

        Raises:
            InterruptError: It is the first, and nobody has said what is to be done then.
        """
        if self._first_at is None:
            self._first_at = self._now()
            self._act(signum)
        elif self._now() - self._first_at >= _ONE_WISH_S:
            self._leave(128 + signum)

    def listen(self) -> None:
        """Take the process's signals from now on."""
        for signum in SIGNALS:
            signal.signal(signum, self)

    def finish(self) -> None:
        """Have the first signal end the process at once, too: there is nobody left to catch an error."""
        self._act = lambda signum: self._leave(128 + signum)

    @contextmanager
    def answered_by(self, act: Callable[[int], object]) -> Iterator[None]:
        """Have the first signal do this, and no more; one that is held does it now."""
        before, self._act = self._act, act
        if (held := self._held) is not None:
            self._let_go()
            act(held)
        try:
            yield
        finally:
            self._act = before

    @contextmanager
    def held(self, leave_at_once: Callable[[int], object]) -> Iterator[None]:
        """Let what is within come to its end before the first signal is raised, as far as that takes a moment only.

        What blocks longer, as a pipe does that nobody reads, is broken off; Windows has no clock for that, nor a hold.

        Args:
            leave_at_once: Ends the process with a status, on a later signal.

        Raises:
            InterruptError: A signal came, and what is within raised nothing.
        """
        if not hasattr(signal, "setitimer"):
            yield
            return
        before, self._act = self._act, self._hold
        leave, self._leave = self._leave, leave_at_once
        alarm = signal.signal(signal.SIGALRM, lambda *_: self._raise_held())
        try:
            yield
            self._act = before
            self._raise_held()
        finally:
            self._act = before
            self._let_go()
            signal.signal(signal.SIGALRM, alarm)
            self._leave = leave

    def _hold(self, signum: int) -> None:
        self._held = signum
        signal.setitimer(signal.ITIMER_REAL, _HELD_S)

    def _let_go(self) -> None:
        self._held = None
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _raise_held(self) -> None:
        if (held := self._held) is not None:
            self._let_go()
            raise InterruptError(held)


def _raise(signum: int) -> None:
    raise InterruptError(signum)


INTERRUPTS = Interrupts()
