"""Promises of a key's rate limit: it slows the calls down that share it, and no others, and fails none of them."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from fusion_cli.api.client import ChatClient
from fusion_cli.api.retry import WaitingBudget
from fusion_cli.chat import Completion, Delta, Endpoint, ModelName
from fusion_cli.errors import RateLimitError, ServerFailedError
from tests.wire.calling import KEY, MODEL, REQUEST, failed, put
from tests.wire.server import Reply, Request, WireServer, failure

PANEL = [REQUEST._replace(model=ModelName("lab", f"m/{seat}"), timeout_s=60.0) for seat in range(8)]


@pytest.fixture
def server() -> Iterator[WireServer]:
    """Serve what the test scripts."""
    with WireServer() as server:
        yield server


class TwoASecond:
    """A server that lets two requests through in a period, and tells the others to wait."""

    def __init__(self, period_s: float, retry_after: int | None) -> None:
        self._period_s = period_s
        self._retry_after = retry_after
        self._through: deque[float] = deque(maxlen=2)

    def __call__(self, request: Request) -> Reply:
        """Answer, or refuse."""
        now = time.monotonic()
        if len(self._through) == 2 and now - self._through[0] < self._period_s:
            return failure(429, "Rate limit exceeded", retry_after=self._retry_after)
        self._through.append(now)
        return Reply("fine")


def all_fine(ended: list[Any]) -> bool:
    """Whether every call has its answer."""
    return [it.text if isinstance(it, Completion) else it for it in ended] == ["fine"] * len(ended)


@pytest.mark.parametrize(("period_s", "retry_after"), [(1.0, 1), (0.3, None)], ids=["Retry-After", "no word"])
def test_eight_calls_behind_two_a_second_all_get_through(
    server: WireServer, period_s: float, retry_after: int | None
) -> None:
    """A limit of requests in a time makes the panel slower, and no panelist fails for it."""
    server.default = TwoASecond(period_s, retry_after)
    assert all_fine(put(server, *PANEL))
    assert len(server.requests) <= 40


def test_eight_calls_behind_two_at_once_all_get_through(server: WireServer) -> None:
    """A limit of requests at once: whoever waits is let in when another call ends, long before its own wait is over."""
    busy = threading.Lock()
    running: dict[int, float] = {}

    def two_at_once(request: Request) -> Reply:
        with busy:
            now = time.monotonic()
            for key in [key for key, until in running.items() if until < now]:
                del running[key]
            if len(running) == 2:
                return failure(429, "too many requests at once")
            running[id(request)] = now + 0.38
        return Reply("fine", delay_first_s=0.4)

    server.default = two_at_once
    started = time.monotonic()
    assert all_fine(put(server, *PANEL))
    assert time.monotonic() - started < 15


def test_who_was_not_limited_does_not_wait(server: WireServer) -> None:
    """Fault 3: one call waits for its second; the others of the same key have long answered."""
    server.script("m/0", failure(429, retry_after=1), Reply("fine"))
    for request in PANEL[1:]:
        server.script(request.model.slug, Reply("fine"))
    assert all_fine(put(server, *PANEL))
    first, *others = [server.calls(model=request.model.slug) for request in PANEL]
    assert first[1].received_s - first[0].received_s >= 1
    assert all((call.ended_s or 0) < first[1].received_s for (call,) in others)


def test_after_a_limit_calls_go_one_at_a_time(server: WireServer) -> None:
    """What was refused together does not come again together."""
    seen: set[str] = set()

    def limited(request: Request) -> Reply:
        if request.model in seen:
            return Reply("fine", delay_headers_s=0.05)
        seen.add(request.model)
        return failure(429, retry_after=0)

    server.default = limited
    assert all_fine(put(server, *PANEL))
    times = sorted(server.calls(model=request.model.slug)[1].received_s for request in PANEL)
    assert min(later - sooner for sooner, later in pairwise(times)) > 0.03


def test_each_wait_is_announced_before_it(server: WireServer) -> None:
    """Whoever watches can count down: what failed, with which status, which attempt comes, and when."""
    server.script(MODEL.slug, failure(429, "slow down", retry_after=1), Reply("fine"))
    deltas: list[tuple[float, Delta]] = []
    put(server, REQUEST, on_delta=lambda delta: deltas.append((time.monotonic(), delta)))
    (told, first), (_, answer) = deltas
    assert answer == Delta("fine")
    assert first.retry is not None
    assert first.retry[::3] == (2, 429)
    assert 1 <= first.retry.wait_s < 1.5
    assert first.retry.error == "HTTP 429: slow down"
    assert server.requests[1].received_s - told >= 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_limit_that_stays_is_a_failure_in_the_end(server: WireServer, status: int) -> None:
    """After so many attempts the call fails as what it is, and says how many there were."""
    server.script(MODEL.slug, failure(status, "busy", retry_after=0))
    kind = RateLimitError if status == 429 else ServerFailedError
    error = failed(server, kind, "busy", waiting_budget=WaitingBudget(60, 3))
    assert (error.attempts, len(server.requests)) == (3, 3)
    error = failed(server, kind, "busy", waiting_budget=WaitingBudget(0, 100))
    assert (error.attempts, len(server.requests)) == (1, 4)


def test_a_limit_that_stays_costs_all_calls_one_budget(server: WireServer) -> None:
    """Eight calls behind a closed door fail together, not one after the other."""
    server.script("*", failure(429, "none left"))
    started = time.monotonic()
    ended = put(server, *PANEL, waiting_budget=WaitingBudget(0.5, 100))
    assert {type(it) for it in ended} == {RateLimitError}
    assert time.monotonic() - started < 3


def test_each_key_has_a_line_of_its_own(server: WireServer) -> None:
    """A key that has to wait holds up nobody who has another one, at the same server."""
    for slug, retry_after in (("m/0", 2), ("m/1", 0)):
        server.script(slug, failure(429, retry_after=retry_after), Reply("fine"))

    async def both() -> None:
        endpoints = {request.model: Endpoint(server.url, f"{KEY}{request.model.slug}") for request in PANEL[:2]}
        async with ChatClient(endpoints) as client:
            await asyncio.gather(*(client.complete(request, lambda delta: None) for request in PANEL[:2]))

    asyncio.run(both())
    first, second = (server.calls(model=slug)[1] for slug in ("m/0", "m/1"))
    assert second.received_s < first.received_s - 0.5
