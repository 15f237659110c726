"""Promises of `api.retry`: what is tried again, how often, after how long; and any `Retry-After` is survived."""

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from fusion_cli.api.retry import LONGEST_WAIT_S, MAX_ATTEMPTS, parse_retry_after_s, wait_before_retry_s
from fusion_cli.errors import (
    EmptyCompletionError,
    KeyRejectedError,
    ModelError,
    ModelRejectedError,
    ModelUnreachableError,
    NoCreditsError,
    RateLimitError,
    ServerFailedError,
)

NOW = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize("kind", [RateLimitError, ServerFailedError, ModelUnreachableError])
def test_what_may_pass_is_tried_three_times(kind: type[ModelError]) -> None:
    """At most two retries, the waits jittered between zero and a bound that doubles."""
    assert MAX_ATTEMPTS == 3
    for attempt, longest in ((1, 1.0), (2, 2.0)):
        waits = [wait_before_retry_s(kind("no"), attempt) for _ in range(300)]
        known = [wait for wait in waits if wait is not None]
        assert len(known) == len(waits)
        assert min(known) >= 0
        assert min(known) < longest * 0.2
        assert longest * 0.8 < max(known) <= longest
    assert wait_before_retry_s(kind("no"), 3) is None


@pytest.mark.parametrize("kind", [KeyRejectedError, NoCreditsError, ModelRejectedError, EmptyCompletionError])
def test_what_would_fail_again_is_not_tried_again(kind: type[ModelError]) -> None:
    """Keys, credits and refusals are not retried, not even when the server asks for it."""
    assert wait_before_retry_s(kind("no"), 1) is None
    assert wait_before_retry_s(kind("no", retry_after_s=0.0), 1) is None


def test_a_request_timeout_is_tried_once_more() -> None:
    """408 is retried once."""
    error = ModelUnreachableError("no", status_code=408)
    assert wait_before_retry_s(error, 1) is not None
    assert wait_before_retry_s(error, 2) is None


def test_text_that_was_there_forbids_a_retry() -> None:
    """A second attempt would say it twice."""
    assert wait_before_retry_s(ServerFailedError("no", partial="Hel"), 1) is None


def test_the_server_is_obeyed_within_reason() -> None:
    """A wait that the server names is taken exactly; one beyond the longest is a failure, not a wait."""
    assert wait_before_retry_s(RateLimitError("no", retry_after_s=0.0), 1) == 0.0
    assert wait_before_retry_s(RateLimitError("no", retry_after_s=LONGEST_WAIT_S), 2) == LONGEST_WAIT_S
    assert wait_before_retry_s(RateLimitError("no", retry_after_s=LONGEST_WAIT_S + 0.1), 1) is None
    assert wait_before_retry_s(ServerFailedError("no", status_code=503, retry_after_s=3.0), 1) == 3.0
    assert wait_before_retry_s(RateLimitError("no", retry_after_s=float("inf")), 1) is None


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
