"""The one event loop of a run: run to its end, and ended by the first signal; a second one ends the process.

Knows neither what is run nor how a terminal is left.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from fusion_cli.errors import SIGNALS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Iterator

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

    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.run_until_complete(end_what_is_left())
        loop.close()


@contextmanager
def cancelling(task: asyncio.Task[None], leave_at_once: Callable[[int], object]) -> Iterator[list[int]]:
    """Have the first signal cancel the task, and a second one end the process; yield the signals that came."""
    signals: list[int] = []

    def on_signal(signum: int) -> None:
        if signals:
            leave_at_once(128 + signum)
        signals.append(signum)
        task.cancel()

    loop = task.get_loop()
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    for signum in SIGNALS:
        try:
            loop.add_signal_handler(signum, on_signal, signum)
        except NotImplementedError:  # Windows
            signal.signal(signum, lambda number, _: loop.call_soon_threadsafe(on_signal, number))
    try:
        yield signals
    finally:
        for signum in SIGNALS:
            with suppress(NotImplementedError):
                loop.remove_signal_handler(signum)
            signal.signal(signum, before[signum])
