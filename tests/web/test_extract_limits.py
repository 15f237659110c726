"""Promises of `bounded`: work ends at its limit, in any thread, and finalizers that run meanwhile are left alone.

Time is told by the work itself here, a second a finalizer: nothing depends on the machine, and the limit always
passes while one is running.
"""

import asyncio
import gc
import sys
import weakref
from collections.abc import Callable, Generator
from time import thread_time
from typing import Any

import pytest
from pypdf import PageRange

from fusion_cli.web.extract_limits import bounded

LIMIT_S = 100
MOST_LATE_S = 20  # the work would go on for a hundred times as long


class Work:
    """Work that in every step makes something that Python finalizes, and then something that can be stopped."""

    def __init__(self, leave_behind: "Callable[[Work], object]") -> None:
        self.steps = self.begun = self.ended = 0
        self._leave_behind = leave_behind

    def __call__(self) -> None:
        """Go on for a long time."""
        while self.steps < 100 * LIMIT_S:
            self.steps += 1
            self._leave_behind(self)
            PageRange("1:2")  # of a package in which work is stopped

    def clock(self) -> float:
        """Return the time."""
        return self.begun

    def finalize(self, *_: object) -> None:
        """Do what must not be broken off."""
        self.begun += 1
        for _each in range(50):
            len("")
        self.ended += 1


class Finalized:
    """Something with a finalizer, which may have to be found by the garbage collector."""

    def __init__(self, work: Work, *, in_ring: bool = False) -> None:
        self._work = work
        self._self = self if in_ring else None

    def __del__(self) -> None:
        self._work.finalize()


def finalized(work: Work) -> None:
    """Leave something with a finalizer behind."""
    Finalized(work)


def collected(work: Work) -> None:
    """Leave rings with finalizers behind, which the garbage collector finds."""
    Finalized(work, in_ring=True)
    if not work.steps % 3:
        gc.collect(0)


def referred(work: Work) -> None:
    """Leave something behind that calls back when it is gone, and that a weak set has to forget."""

    class Referred:
        pass

    gone = Referred()
    forgetful = weakref.WeakSet([gone])
    reference = weakref.ref(gone, work.finalize)
    del gone
    assert not forgetful
    assert reference() is None


def unfinished(work: Work) -> None:
    """Leave a generator behind whose last lines run when it is gone."""

    def lines() -> Generator[None, None, None]:
        try:
            yield
        finally:
            work.finalize()

    next(lines())


def in_a_thread(seconds: float, clock: Callable[[], float], work: Work) -> None:
    """Run work as pages are read."""
    asyncio.run(asyncio.to_thread(bounded, seconds, clock, work))


@pytest.mark.parametrize("is_threaded", [False, True], ids=["here", "in a thread"])
@pytest.mark.parametrize("leave_behind", [finalized, collected, referred, unfinished])
def test_finalizers_neither_break_nor_outlive_the_limit(
    leave_behind: Callable[[Work], None],
    is_threaded: bool,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Work is stopped at its limit, every finalizer is run to its end, and Python has nothing to print."""
    ignored: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)
    work = Work(leave_behind)
    run: Callable[..., object] = in_a_thread if is_threaded else bounded
    with pytest.raises(TimeoutError):
        run(LIMIT_S, work.clock, work)
    gc.collect()
    assert LIMIT_S < work.begun <= LIMIT_S + MOST_LATE_S
    assert work.ended == work.begun
    assert ignored == []
    assert capfd.readouterr() == ("", "")


def test_work_within_its_limit_is_left_alone() -> None:
    """What returns or fails in time does so as if nobody looked, and whoever looked before looks again."""

    def watch(*_: object) -> None:
        pass

    def fail() -> None:
        raise KeyError

    sys.setprofile(watch)
    try:
        assert bounded(60, thread_time, lambda: str(PageRange("1:3"))) == "1:3"
        with pytest.raises(KeyError):
            bounded(60, thread_time, fail)
        assert sys.getprofile() is watch
    finally:
        sys.setprofile(None)
