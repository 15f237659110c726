"""When a failed call is tried again, and after how long; and how calls that share a rate limit take turns.

What broke is tried at most twice more. A rate limit is waited out within a budget, one call of a key after the other.
"""

import asyncio
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from fusion_cli.errors import ModelError, RateLimitError

MAX_ATTEMPTS = 3
_BASE_S = 0.5
_CAP_S = 8.0
_LIMIT_CAP_S = 16.0


class WaitingBudget(NamedTuple):
    """How long a call waits for rate limits while none of its key gets through, in seconds, and how often it tries."""

    wait_s: float = 60.0
    attempts: int = 10


class Line:
    """What the calls of one key share: after a rate limit they go one at a time.

    Attributes:
        moved: When the last of them got through, on the loop's clock.
        freed: Set when any call of the key ends: a server that counts those under way may have room then.
    """

    def __init__(self) -> None:
        self.head = asyncio.Lock()
        self.moved = 0.0
        self.freed = asyncio.Event()


class Patience:
    """What one call has left of its retries, and its place in the line.

    Whoever has met no rate limit never stands in the line.

    Attributes:
        attempt: Which attempt is under way, from 1.
    """

    def __init__(self, budget: WaitingBudget, line: Line) -> None:
        self._budget = budget
        self._line = line
        self._failures = 0
        self._limits = 0
        self._since: float | None = None
        self._is_head = False
        self.attempt = 1

    def wait_before_retry_s(self, error: ModelError) -> float | None:
        """Return how long to wait before the next attempt, or None when there should be none; both are counted.

        A server's own wish (`Retry-After`) is followed, and fails the call where it is beyond the budget.
        """
        if not error.retryable:
            return None
        asked_s = error.retry_after_s or 0.0
        if is_rate_limit(error):
            self._limits += 1
            wait_s = max(_jitter_s(self._limits, _LIMIT_CAP_S), asked_s)
            if self._limits >= self._budget.attempts or self._waited_s() + wait_s > self._budget.wait_s:
                return None
        else:
            self._failures += 1
            wait_s = _jitter_s(self._failures, _CAP_S) if error.retry_after_s is None else asked_s
            most = 2 if error.status_code == 408 else MAX_ATTEMPTS
            if self._failures >= most or wait_s > self._budget.wait_s:
                return None
        self.attempt += 1
        return wait_s

    async def wait(self, error: ModelError, wait_s: float) -> None:
        """Wait before the next attempt; after a rate limit, until it is this call's turn as well.

        Raises:
            ModelError: The line did not move for too long: `error`.
        """
        if not is_rate_limit(error):
            self.leave()
            await asyncio.sleep(wait_s)
            return
        now = asyncio.get_running_loop().time
        ready, earliest = now() + wait_s, now() + (error.retry_after_s or 0.0)
        if not self._is_head:
            await self._line.head.acquire()
            self._is_head = True
            if self._waited_s() > self._budget.wait_s:
                raise error
        await asyncio.sleep(earliest - now())
        self._line.freed.clear()
        try:
            async with asyncio.timeout_at(ready):
                await self._line.freed.wait()
        except TimeoutError:
            return
        self._limits -= 1  # an attempt for which there was a reason

    def accepted(self) -> None:
        """Note that the server has begun to answer; the next in the line may try."""
        if self._is_head:
            self._line.moved = asyncio.get_running_loop().time()
        self.leave()

    def leave(self) -> None:
        """Let the next in the line try; does nothing where this call is not its head."""
        if self._is_head:
            self._is_head = False
            self._line.head.release()

    def _waited_s(self) -> float:
        """Return since when the call has waited for rate limits, the line not moving."""
        now = asyncio.get_running_loop().time()
        if self._since is None:
            self._since = now
        return now - max(self._since, self._line.moved)


def is_rate_limit(error: ModelError) -> bool:
    """Say whether a server would take the same call later: 429, or 503 with a time."""
    return isinstance(error, RateLimitError) or (error.status_code == 503 and error.retry_after_s is not None)


def parse_retry_after_s(value: str | None, now: datetime | None = None) -> float | None:
    """Return a `Retry-After` header in seconds (number or HTTP date), or None where it is neither."""
    if not value:
        return None
    text = value.strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - (now or datetime.now(UTC))).total_seconds())


def _jitter_s(count: int, cap_s: float) -> float:
    import random  # 4 ms that only a failure needs

    return random.uniform(0, min(cap_s, _BASE_S * 2**count))  # noqa: S311  # jitter, not a secret
