"""Promises of `api.retry`: what is tried again, how often, after how long; and any `Retry-After` is survived."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from fusion_cli.api.retry import MAX_ATTEMPTS, Line, Patience, WaitingBudget, parse_retry_after_s
from fusion_cli.errors import (
    EmptyCompletionError,
    KeyRejectedError,
    ModelError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnreachableError,
    NoCreditsError,
    RateLimitError,
    ServerFailedError,
    UnusableAnswerError,
)

NOW = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)


def patience(budget: WaitingBudget = WaitingBudget(), line: Line | None = None) -> Patience:  # noqa: B008 - frozen
    """Return what a call has left that has not failed yet."""
    return Patience(budget, line or Line())


def waits(*errors: ModelError, budget: WaitingBudget = WaitingBudget()) -> list[float | None]:  # noqa: B008 - frozen
    """Return the waits of one call that fails so, one after the other, as if no time passed."""

    async def fail() -> list[float | None]:
        call = patience(budget)
        return [call.wait_before_retry_s(error) for error in errors]

    return asyncio.run(fail())


@pytest.mark.parametrize("kind", [ServerFailedError, ModelUnreachableError])
def test_what_may_pass_is_tried_three_times(kind: type[ModelError]) -> None:
    """At most two retries, the waits jittered between zero and a bound that doubles."""
    assert MAX_ATTEMPTS == 3
    calls = [patience() for _ in range(300)]
    for longest in (1.0, 2.0):
        found = [call.wait_before_retry_s(kind("no")) for call in calls]
        known = [wait for wait in found if wait is not None]
        assert len(known) == len(found)
        assert 0 <= min(known) < longest * 0.2
        assert longest * 0.8 < max(known) <= longest
    assert {call.wait_before_retry_s(kind("no")) for call in calls} == {None}
    assert {call.attempt for call in calls} == {3}


@pytest.mark.parametrize(
    "kind",
    [
        *(KeyRejectedError, NoCreditsError, ModelRejectedError, EmptyCompletionError),
        *(ModelTimeoutError, UnusableAnswerError),
    ],
)
def test_what_would_fail_again_is_not_tried_again(kind: type[ModelError]) -> None:
    """Keys, credits, refusals and silence are not retried, not even when the server asks for it."""
    assert waits(kind("no")) == [None]
    assert waits(kind("no", retry_after_s=0.0)) == [None]


def test_a_request_timeout_is_tried_once_more() -> None:
    """408 is retried once."""
    first, second = waits(*[ModelUnreachableError("no", status_code=408)] * 2)
    assert first is not None
    assert second is None


@pytest.mark.parametrize(
    "limit", [RateLimitError("no", status_code=429), ServerFailedError("no", status_code=503, retry_after_s=0.0)]
)
def test_a_rate_limit_is_waited_out_ten_times(limit: ModelError) -> None:
    """A key's limit is worth more attempts than a fault, with waits that grow to a bound; then it is final."""
    found = [waits(*[limit] * 12, budget=WaitingBudget(1e9)) for _ in range(200)]
    longest = [max(call[at] or 0.0 for call in found) for at in range(9)]
    assert all(wait is not None for call in found for wait in call[:9])
    assert all(call[9] is None for call in found)
    assert 0.5 < longest[0] <= 1 < longest[1] <= 2 < longest[3] <= 8 < longest[8] <= 16


def test_the_server_is_obeyed_within_the_budget() -> None:
    """A wait that the server names is taken at least; one beyond the budget is a failure, not a wait."""
    for error in (RateLimitError("no", retry_after_s=5.0), ServerFailedError("no", status_code=503, retry_after_s=5.0)):
        assert waits(error) == [5.0]
    assert waits(ServerFailedError("no", status_code=500, retry_after_s=0.0)) == [0.0]
    for seconds in (60.1, 86400.0, float("inf")):
        assert waits(RateLimitError("no", retry_after_s=seconds)) == [None]
        assert waits(ServerFailedError("no", status_code=500, retry_after_s=seconds)) == [None]
    assert waits(RateLimitError("no", retry_after_s=0.2), budget=WaitingBudget(0.1)) == [None]


def test_faults_and_limits_are_counted_apart() -> None:
    """A call that had to wait for its turn may still break twice."""
    limit, fault = RateLimitError("no"), ServerFailedError("no")
    found = waits(limit, fault, limit, limit, fault, limit, fault)
    assert [wait is None for wait in found] == [False] * 6 + [True]


def test_who_waits_in_line_gives_up_when_it_does_not_move() -> None:
    """A limit that is there to stay costs one budget, not one for each of those who wait."""

    async def all_wait() -> tuple[float, list[BaseException | None]]:
        line = Line()

        async def wait() -> None:
            call = patience(WaitingBudget(0.2), line)
            limit = RateLimitError("no", retry_after_s=0.15)
            try:
                while (wait_s := call.wait_before_retry_s(limit)) is not None:
                    await call.wait(limit, min(wait_s, 0.15))
                raise limit
            finally:
                call.leave()

        started = asyncio.get_running_loop().time()
        ended = await asyncio.gather(*(wait() for _ in range(8)), return_exceptions=True)
        return asyncio.get_running_loop().time() - started, ended

    random.seed(152872)  # the jitter falls short
    took, ended = asyncio.run(all_wait())
    assert {type(error) for error in ended} == {RateLimitError}
    assert took < 0.8


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        (" 7 ", 7.0),
        ("86400", 86400.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(days=3), usegmt=True), 0.0),
        ("Sun, 01 Nov 2026 14:00:30 +0200", 30.0),
        ("Sun, 01 Nov 2026 12:00:30 -0000", 30.0),
        ("Sunday, 01-Nov-26 12:00:30 GMT", 30.0),
        ("Sun Nov  1 12:00:30 2026", 30.0),
        ("9" * 5000, float("inf")),
    ],
)
def test_both_forms_are_read(header: str, seconds: float) -> None:
    """Seconds, and a date in each of HTTP's three spellings, whatever its zone; the past is now."""
    assert parse_retry_after_s(header, NOW) == seconds


@pytest.mark.parametrize(
    "header",
    [
        *(None, "", " ", "soon", "-1", "1.5", "1e3", "nan", "inf", "0x10", "\uff11", "²", "12 s", "\x1b[31m", "Mon,"),
        "Mon, 99 Foo 9999 99:99:99 GMT",
        "Mon, 01 Jan 2024 00:00:00 +99999999999999999999",
        "Mon, 01 Jan 2024 99999999999999999999:00:00 GMT",
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2024 " + "9" * 5000 + ":00:00 GMT",
    ],
)
def test_junk_is_no_wish(header: str | None) -> None:
    """What is neither form is as if there were no header, and raises nothing."""
    assert parse_retry_after_s(header, NOW) is None


def test_no_header_can_raise() -> None:
    """Of 5,000 mutated dates (fixed seed), each is None or a number from zero up."""
    dice = random.Random(7)  # noqa: S311 - reproducible, not secret
    date = format_datetime(NOW, usegmt=True)
    for _ in range(5000):
        text = list(date)
        for _ in range(dice.randint(1, 6)):
            at = dice.randrange(len(text))
            text[at] = dice.choice(["", "9" * 30, *"0123456789 ,:+-GMTjanNov\x00é"])
        seconds = parse_retry_after_s("".join(text), NOW)
        assert seconds is None or seconds >= 0, text
