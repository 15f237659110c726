"""What a stopped process loses of its time: nothing."""

import asyncio
import time

import pytest

from fusion_cli.event_loop import run_to_the_end
from fusion_cli.loop_clock import Clock, Selector


class Real:
    """A clock that is set by hand."""

    time_s = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.time_s


@pytest.fixture
def real() -> Real:
    """The clock that jumps."""
    return Real()


def test_the_clock_goes(real: Real) -> None:
    """Work between two looks takes its time."""
    clock = Clock(real)
    before = clock()
    real.time_s += 0.9
    assert clock() - before == pytest.approx(0.9)


def test_a_jump_takes_no_time(real: Real) -> None:
    """A process that is stopped in the middle of its work goes on where it was, and its clock with it."""
    clock = Clock(real)
    before = clock()
    real.time_s += 5000
    assert clock() == before
    real.time_s += 0.5
    assert clock() - before == pytest.approx(0.5)


@pytest.mark.parametrize(("asked_s", "counted_s"), [(60, 60), (59.5, 60), (58, 0), (0, 0), (-1, 0)])
def test_a_wait_counts_as_long_as_it_was_meant(real: Real, asked_s: float, counted_s: float) -> None:
    """Sixty seconds count where so many were asked for, or nearly; else the process was stopped while it waited."""
    clock = Clock(real)
    before = clock()
    real.time_s += 60
    clock.let_pass(asked_s)
    assert clock() - before == pytest.approx(counted_s)


def test_no_wait_is_so_long_that_a_stop_could_hide_in_it() -> None:
    """A limit far away is waited for a second at a time; what is ready is had at once."""
    clock = Clock()
    with Selector(clock) as selector:
        started = time.monotonic()
        assert selector.select(3600) == selector.select(0) == []
        assert time.monotonic() - started < 60


def test_a_limit_strikes_all_the_same() -> None:
    """Nobody is waited for longer because of all this."""

    async def waiting() -> None:
        async with asyncio.timeout(1.3):
            await asyncio.sleep(3600)

    started = time.monotonic()
    with pytest.raises(TimeoutError):
        run_to_the_end(waiting())
    assert 1.2 < time.monotonic() - started < 60
