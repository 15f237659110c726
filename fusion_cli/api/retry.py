"""When a failed call is tried again, and after how long. Pure but for the dice.

At most two retries, with full jitter; a server's own wish (`Retry-After`) is followed where it is reasonable.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from fusion_cli.errors import ModelError

MAX_ATTEMPTS = 3
LONGEST_WAIT_S = 30.0
_BASE_S = 0.5
_CAP_S = 8.0


def wait_before_retry_s(error: ModelError, attempt: int) -> float | None:
    """Return how long to wait before the next attempt, or None when there should be none.

    Args:
        error: Why the attempt failed.
        attempt: Which one it was, from 1.
    """
    most = 2 if error.status_code == 408 else MAX_ATTEMPTS
    if not error.retryable or error.partial or attempt >= most:
        return None
    if error.retry_after_s is not None:
        return error.retry_after_s if error.retry_after_s <= LONGEST_WAIT_S else None
    import random  # 4 ms that only a failure needs

    return random.uniform(0, min(_CAP_S, _BASE_S * 2**attempt))  # noqa: S311  # jitter, not a secret


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
