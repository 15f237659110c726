"""What a signal does, whatever else the process is doing: the handlers themselves, called as the kernel would."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator

import pytest

from fusion_cli.errors import FusionError, InterruptError
from fusion_cli.event_loop import cancelling, run_to_the_end
from fusion_cli.interrupts import Interrupts

INT, TERM = signal.SIGINT, signal.SIGTERM


class Process:
    """A clock that is set by hand, and an end that is written down.

    Attributes:
        left: The statuses it was to end with.
    """

    def __init__(self) -> None:
        self.time_s = 100.0
        self.left: list[int] = []
        self.interrupts = Interrupts(lambda: self.time_s, self.left.append)

    def send(self, signum: int, after_s: float = 0.0) -> None:
        """Send a signal so long after the one before."""
        self.time_s += after_s
        self.interrupts(signum)

    def deliver(self, work: Callable[[], object], leave: Callable[[int], object] | None = None) -> None:
        """Do this work as the last of a run."""
        with self.interrupts.held(leave or self.left.append):
            work()


@pytest.fixture
def process() -> Iterator[Process]:
    """A process; no clock of it may go on ticking."""
    yield Process()
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_the_first_signal_is_raised(process: Process) -> None:
    """Where nobody has said what is to be done, the first signal is an error with its own status."""
    with pytest.raises(InterruptError) as raised:
        process.send(TERM)
    assert raised.value.exit_status == 143


@pytest.mark.parametrize("gap_s", [0.0, 0.004, 0.03, 0.29])
def test_a_signal_sent_twice_is_one_wish(process: Process, gap_s: float) -> None:
    """What follows within a moment, as from `timeout`, neither ends the process nor breaks into its clearing up."""
    with pytest.raises(InterruptError):
        process.send(TERM)
    process.send(TERM, gap_s)
    process.send(INT)
    assert process.left == []


def test_a_later_signal_ends_at_once(process: Process) -> None:
    """Whoever asks again has waited long enough, and gets the status of the signal that was sent last."""
    with pytest.raises(InterruptError):
        process.send(TERM)
    process.send(TERM, 0.01)
    process.send(INT, 0.5)
    assert process.left == [130]


def test_what_is_being_delivered_comes_to_its_end(process: Process) -> None:
    """A first signal during the last moments is raised after them, and nothing is written by halves."""
    written = []

    def write() -> None:
        process.send(TERM)
        process.send(TERM, 0.002)
        written.append("all of it")

    with pytest.raises(InterruptError):
        process.deliver(write)
    assert written == ["all of it"]
    assert process.left == []


def test_an_error_that_is_held_with_a_signal_is_told(process: Process) -> None:
    """What went wrong is not lost for a signal that came with it."""

    def fail() -> None:
        process.send(TERM)
        raise FusionError("the disk is full")

    with pytest.raises(FusionError, match="disk"):
        process.deliver(fail)


def test_what_blocks_is_broken_off(process: Process) -> None:
    """A pipe that nobody reads holds up a single signal for a moment only."""
    reading, writing = os.pipe()

    def block() -> None:
        process.send(TERM)
        while True:
            os.write(writing, b"x" * 65536)

    try:
        with pytest.raises(InterruptError):
            process.deliver(block)
    finally:
        os.close(reading)
        os.close(writing)


def test_a_later_signal_in_the_last_moments_gives_the_screen_back(process: Process) -> None:
    """What ends the process then is what knows how to leave the terminal; afterwards it is the old way again."""
    screen: list[int] = []

    def ask_twice() -> None:
        process.send(INT)
        process.send(INT, 0.5)

    with pytest.raises(InterruptError):
        process.deliver(ask_twice, screen.append)
    process.send(INT, 0.5)
    assert (screen, process.left) == ([130], [130])


def test_the_first_signal_at_the_very_end_is_no_traceback(process: Process) -> None:
    """Where nobody is left to catch an error, the process ends with the signal's status."""
    process.interrupts.finish()
    process.send(TERM)
    assert process.left == [143]


def running(interrupts: Interrupts, work: Callable[[], None], is_cut: list[bool]) -> list[int]:
    """Run a task that works and then waits for ever, until signals cancel it, and return those."""

    async def waiting() -> None:
        work()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            is_cut.append(True)
            await asyncio.sleep(0)  # a second cancellation would end this
            is_cut.append(False)

    async def whole() -> list[int]:
        task = asyncio.create_task(waiting())
        with cancelling(task, interrupts) as signals:
            await task
        return signals

    return run_to_the_end(whole())


def test_in_a_loop_the_first_signal_cancels_and_the_next_is_the_same(process: Process) -> None:
    """Two signals at once cancel a run once, so that it can clear up."""
    is_cut: list[bool] = []

    def twice() -> None:
        process.send(TERM)
        process.send(TERM, 0.004)

    assert running(process.interrupts, twice, is_cut) == [TERM]
    assert is_cut == [True, False]
    assert process.left == []


def test_a_busy_loop_is_ended_by_a_later_signal(process: Process) -> None:
    """The second signal is taken in where the program is, not when the loop turns again."""

    def busy() -> None:
        process.send(INT)
        process.send(INT, 1)
        assert process.left == [130]

    assert running(process.interrupts, busy, []) == [INT]


def test_a_signal_wakes_a_loop_that_sleeps(process: Process) -> None:
    """A loop in which nothing happens for an hour hears a signal at once, and its handler stays as it was."""
    before = signal.signal(TERM, process.interrupts)
    try:

        def later() -> None:
            asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), TERM)

        assert running(process.interrupts, later, []) == [TERM]
        assert signal.getsignal(TERM) is process.interrupts
    finally:
        signal.signal(TERM, before)


def test_a_signal_that_is_held_cancels_what_begins(process: Process) -> None:
    """One that came just before the loop listened is not forgotten."""
    with process.interrupts.held(process.left.append):
        process.send(TERM)
        assert running(process.interrupts, lambda: None, []) == [TERM]
