"""The time that a part of the run has: its calls end with it, and it can be made shorter while they run.

Knows clocks, and neither who calls nor why a part is over.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fusion_cli.errors import OutOfTimeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Phase:
    """A part of the run: the outer model's turns, the panel, or the judge. Without an end until it is given one."""

    def __init__(self) -> None:
        self._until: float | None = None
        self._why: Callable[[], str] = str
        self._open: set[asyncio.Timeout] = set()

    def end_at(self, until: float, why: Callable[[], str]) -> None:
        """Let no call of this phase outlive `until`, on the loop's clock; an earlier end stands.

        Args:
            until: When it ends.
            why: What to say of a call that is ended so, asked for when that happens.
        """
        if self._until is not None and self._until <= until:
            return
        self._until, self._why = until, why
        for scope in self._open:
            if not scope.expired():
                scope.reschedule(until)

    @asynccontextmanager
    async def bounded(self) -> AsyncIterator[None]:
        """Run a call within this phase.

        Raises:
            OutOfTimeError: The phase has ended.
        """
        scope = asyncio.timeout_at(self._until)
        self._open.add(scope)
        try:
            async with scope:
                yield
        except TimeoutError:
            if scope.expired():
                raise OutOfTimeError(self._why()) from None
            raise
        finally:
            self._open.discard(scope)
