"""How a run is shown to a person: as much as the user wants, drawn where there is a screen for it, else in lines.

Decides which sink that is and what the terminal may be sent; knows no run and draws nothing itself.
"""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from fusion_cli import settings
from fusion_cli.errors import UsageError
from fusion_cli.sinks.drawing import Look

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fusion_cli.plan import Plan
    from fusion_cli.sinks.live.sink import LiveSink
    from fusion_cli.sinks.plain import PlainSink
    from fusion_cli.terminal import Terminal


_NARROWEST = 20  # columns, below which nothing is laid out


class Manner(NamedTuple):
    """How much the user wants to hear and see of a run.

    Attributes:
        is_quiet: The result alone.
        is_verbose: Retries, and what each call took.
        color: auto, always or never, where that was said.
        show_responses: Each response in full.
    """

    is_quiet: bool = False
    is_verbose: bool = False
    color: str | None = None
    show_responses: bool = False


class Looks(NamedTuple):
    """What can be drawn where.

    Attributes:
        draws: Whether standard output is a screen on which a run can be drawn while it goes on.
        screen: What standard output shows; where it is no screen, that is a page's.
        page: What a file does: as wide as was said, and in colour only where that was asked for.
    """

    draws: bool = False
    screen: Look = Look(80)
    page: Look = Look(80)


def prepare(terminal: Terminal, manner: Manner) -> Looks:
    """Tell the terminal what it may be sent, and return what can be drawn.

    Raises:
        UsageError: What was said of the manner makes no sense.
    """
    if manner.is_quiet and manner.is_verbose:
        raise UsageError("-q and -v say opposite things: choose one")
    screen = settings.read_screen()
    has_screen = terminal.can_be_drawn_on(screen.term)
    terminal.is_quiet = manner.is_quiet
    terminal.has_colour = screen.has_colour(manner.color, by_itself=has_screen)
    is_seen = has_screen and terminal.has_colour and terminal.stderr_is_tty
    page = Look(screen.columns, screen.has_colour(manner.color, by_itself=False))
    width = max(terminal.size()[0] - 1, _NARROWEST) if terminal.stdout_is_tty else page.width
    return Looks(
        is_seen and not manner.is_quiet and not screen.is_ci, Look(width, terminal.has_colour, terminal.is_ascii), page
    )


def sink_for(
    manner: Manner, terminal: Terminal, plan: Plan, *, answers: bool, show_answer: bool, draws: bool
) -> PlainSink | LiveSink:
    """Return what shows a run.

    Args:
        manner: How much is shown.
        terminal: Where to.
        plan: What is done.
        answers: Whether an outer model answers in the end.
        show_answer: Whether that goes to standard output as it comes, where nothing is drawn.
        draws: Whether the run is drawn.
    """
    if not draws:
        from fusion_cli.sinks.plain import PlainSink

        return PlainSink(
            terminal, show_answer=show_answer, is_verbose=manner.is_verbose, show_responses=manner.show_responses
        )
    from fusion_cli.sinks.live.sink import LiveSink
    from fusion_cli.sinks.live.state import Cast

    cast = Cast(
        tuple(panelist.label for panelist in plan.panel),
        plan.outer.slug,
        consults=answers and plan.tool_choice != "required",
        answers=answers,
        is_verbose=manner.is_verbose,
        show_responses=manner.show_responses,
    )
    look = Look(terminal.size()[0], terminal.has_colour, terminal.is_ascii)
    return LiveSink(terminal, cast, look, terminal.size)


@contextmanager
def given_back_when_stopped(sink: PlainSink | LiveSink) -> Iterator[None]:
    """Have Ctrl-Z leave the terminal to the shell as it was; called in the event loop that the sink is drawn by."""
    import asyncio

    from fusion_cli.sinks.plain import PlainSink

    is_wanted = os.name != "nt" and signal.getsignal(signal.SIGTSTP) == signal.SIG_DFL
    if isinstance(sink, PlainSink) or not is_wanted:
        yield
        return

    def stop() -> None:
        with suppress(Exception):  # a screen that cannot be given back is torn, but a stop is a stop
            sink.pause()
        os.kill(os.getpid(), signal.SIGSTOP)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTSTP, stop)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTSTP)
