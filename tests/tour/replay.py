"""Replays the recorded run: through the live view as far as one wants, or in lines as a pipe gets it."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from fusion_cli import run_files
from fusion_cli.about import Happened, happened_in
from fusion_cli.commands.ask import whether_the_panel_met
from fusion_cli.delivery import announce
from fusion_cli.recorded import result_of
from fusion_cli.results import AskRun
from fusion_cli.sinks.analysis_text import source_lines
from fusion_cli.sinks.drawing import Look
from fusion_cli.sinks.live.sink import LiveSink
from fusion_cli.sinks.live.state import Cast
from fusion_cli.sinks.plain import PlainSink
from fusion_cli.terminal import Terminal

RUN = Path(__file__).parent / "run.jsonl"
COLUMNS, LINES = 100, 24
_CURSOR = re.compile(r"\x1b\[\??[\d;]*[A-HJKhl]|\r")


class Overheard(Terminal):
    """A terminal that keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []
        self.notes: list[str] = []

    def write(self, text: str) -> None:
        """Keep what goes to standard output."""
        self.written.append(text)

    def note(self, text: str) -> None:
        """Keep what goes to standard error."""
        self.notes.append(text)

    @property
    def text(self) -> str:
        """What was written, without the codes that move the cursor."""
        return _CURSOR.sub("", "".join(self.written))


@cache
def saved() -> run_files.SavedRun:
    """Return the recorded run."""
    return run_files.read(RUN)


def result() -> AskRun:
    """Return what it brought."""
    run = result_of(saved())
    assert isinstance(run, AskRun)
    return run


def happened() -> Iterator[Happened]:
    """Yield what happened; the end of the run, which draws nothing, is left out."""
    return happened_in(run_files.lines(RUN))


def live(until: Sequence[Happened], now: float | None = None) -> str:
    """Return what the live view shows of these events, escape codes for styles included.

    Args:
        until: What has happened.
        now: The time at which a frame is drawn; without it, the view is closed, and leaves its record.
    """
    plan = saved().plan
    labels = tuple(seat.label for seat in plan.panel)
    cast = Cast(labels, plan.outer.slug, consults=plan.tool_choice != "required", answers=True)
    terminal, clock = Overheard(), [0.0]
    sink = LiveSink(terminal, cast, Look(COLUMNS, has_colour=True), lambda: (COLUMNS, LINES), lambda: clock[0])
    for clock[0], event in until:
        sink(event)
    if now is not None:
        clock[0] = now
        sink.draw()
    else:
        sink.close()
    return terminal.text


def opening() -> list[str]:
    """Return the lines that are said before anything happens."""
    terminal, plan = Overheard(), saved().plan
    announce(plan, terminal, plan.models, answers=True)
    return terminal.notes


def closing() -> str:
    """Return the line that is said at the end."""
    return whether_the_panel_met(result(), saved().plan)


def sources() -> list[str]:
    """Return the pages that stand below the answer."""
    run = result()
    return ["Sources:", *source_lines(run)]


def plain_lines() -> list[str]:
    """Return the lines that go to standard error where nothing is drawn."""
    terminal = Overheard()
    sink = PlainSink(terminal, show_answer=False)
    for _, event in happened():
        sink(event)
    return [*opening(), *terminal.notes, closing()]
