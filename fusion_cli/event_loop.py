"""The one event loop of a run: run to its end, and ended by the first signal.

Knows neither what is run nor how a terminal is left.
"""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine, Iterator

    from fusion_cli.interrupts import Interrupts

T = TypeVar("T")


def run_to_the_end(work: Coroutine[None, None, T]) -> T:
    """Run `work` in a loop of its own; unlike `asyncio.run`, do not wait for a thread that looks up a name."""
    import asyncio

    async def end_what_is_left() -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await loop.shutdown_asyncgens()

    loop = _new_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.run_until_complete(end_what_is_left())
        loop.close()


def _new_loop() -> asyncio.AbstractEventLoop:
    import asyncio

    if os.name == "nt":  # whose own loop starts processes, and where nobody stops one
        return asyncio.new_event_loop()
    from fusion_cli.loop_clock import Loop

    return Loop()


@contextmanager
def cancelling(task: asyncio.Task[None], interrupts: Interrupts) -> Iterator[list[int]]:
    """Have the first signal cancel the task; yield the signals that did."""
    signals: list[int] = []
    loop = task.get_loop()

    def on_signal(signum: int) -> None:
        if not signals:  # one may interrupt the handler of another
            signals.append(signum)
            loop.call_soon_threadsafe(task.cancel)

    # A loop that has a signal of its own, if only one that nobody sends, is woken by all others, too: one that came
    # just before it fell asleep would else not be heard. Those that end a run cannot be its own, as it gives them back
    # by way of their default, which is death.
    with suppress(NotImplementedError, AttributeError):  # Windows, where it wakes up anyway
        loop.add_signal_handler(signal.SIGURG, lambda: None)
    try:
        with interrupts.answered_by(on_signal):
            yield signals
    finally:
        with suppress(NotImplementedError, AttributeError):
            loop.remove_signal_handler(signal.SIGURG)
