"""The live view: takes the run's events, draws what moves at most twelve times a second, and writes the record above.

Driven by the event loop it runs in: nothing is drawn when nothing has changed but the clock, once a second. What cannot
be drawn falls silent and leaves the answer to be printed.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from fusion_cli import events
from fusion_cli.sinks.drawing import Look, colours_of, styled
from fusion_cli.sinks.live.blocks import Blocks
from fusion_cli.sinks.live.layout import frame
from fusion_cli.sinks.live.screen import UNDO_APART, Screen
from fusion_cli.sinks.live.state import View
from fusion_cli.sinks.live.wrapping import last_lines
from fusion_cli.terminal import Cleaner, clean, one_line

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from fusion_cli.sinks.live.layout import Line
    from fusion_cli.sinks.live.state import Worker
    from fusion_cli.terminal import Terminal

_FRAME_S, _CLOCK_S = 1 / 12, 1.0
# Words before a tool call are no answer: so much of the first turn is held back until that is settled.
_HELD_BACK_CHARS = 400
_MARK_CHARS = 8
_LEAST_ROOM = 3


class Cast(NamedTuple):
    """Who plays in a run, and how much of them is shown.

    Attributes:
        labels: The panelists, in the order in which they sit.
        outer: The outer model's slug.
        consults: Whether that is asked first.
        answers: Whether it answers in the end.
        is_verbose: Whether retries and lookups go on the record.
        show_responses: Whether each response does.
    """

    labels: tuple[str, ...]
    outer: str
    consults: bool
    answers: bool
    is_verbose: bool = False
    show_responses: bool = False


class LiveSink:
    """Show a run while it happens.

    Args:
        terminal: Where to; both its streams are the same screen.
        cast: Who plays.
        look: What the screen can show; its width is asked for anew each time.
        size: Asks for its columns and lines.
        now: The clock, in seconds.

    Attributes:
        answer_shown: Whether all of the answer has been.
        analysis_shown: Whether the analysis has been.
    """

    def __init__(
        self,
        terminal: Terminal,
        cast: Cast,
        look: Look,
        size: Callable[[], tuple[int, int]],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._terminal = terminal
        self._cast = cast
        self._look = look
        self._size = size
        self._now = now
        self._view = View(cast.labels, cast.outer, consults=cast.consults, answers=cast.answers, now=now())
        self._colours = colours_of(one_line(label, 80) for label in cast.labels)
        self._screen = Screen(terminal.draw, size)
        self._timer: asyncio.TimerHandle | None = None
        self._drawn_at: float | None = None
        self._is_dirty = False
        self._is_closed = False
        self._record: list[str] = []
        self._dropped: list[str] = []
        self._responses: dict[str, str] = {}
        self._panel_recorded = False
        self._answer = _Answer()
        self._answer_recorded = self._analysis_recorded = False
        self.answer_shown = self.analysis_shown = False

    def __call__(self, event: events.Event) -> None:
        """Take one event in."""
        if self._is_closed:
            if isinstance(event, events.Warned):
                self._terminal.note(f"warning: {one_line(event.text, 400)}")
            return
        try:
            self._take(event)
        except Exception:
            self._give_up()
            raise

    def _take(self, event: events.Event) -> None:
        self._view.take(event, self._now())
        match event:
            case events.PanelDelta() | events.AnalysisDelta():
                pass
            case events.OuterDelta(text) | events.AnswerDelta(text):
                self._answer.take(text, is_settled=isinstance(event, events.AnswerDelta))
            case _:
                self._put_on_record(event)
        self._is_dirty = True
        if isinstance(event, events.RunCompleted):
            self.close()
        else:
            self._arm(_FRAME_S)

    def close(self) -> None:
        """Complete the record and leave the terminal as it was."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._timer:
            self._timer.cancel()
        with suppress(Exception):  # a terminal that is gone costs nobody what is still to be done
            self._record_panel()
            self._warn_of_dropped()
            self._put_answer(self._answer.end() if self._answer.has_text else [])  # as far as it came
            self._show(self._flushed(), [])
            self._note_shown()
        with suppress(Exception):
            self._screen.close()
        self._terminal.undo = ""

    def pause(self) -> None:
        """Give the screen back for a while; the next frame takes it again."""
        if not self._is_closed:
            self._screen.close()
            self._terminal.undo = ""

    def _arm(self, delay_s: float) -> None:
        """Have a frame drawn after so long, unless one is due earlier."""
        import asyncio

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # before or after the run: the end draws it
            return
        due = loop.time() + delay_s if self._drawn_at is None else max(loop.time(), self._drawn_at + delay_s)
        if self._timer and not self._timer.cancelled():
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = loop.call_at(due, self._on_timer, loop.time)

    def _on_timer(self, loop_time: Callable[[], float]) -> None:
        self._timer = None
        if self._is_closed:
            return
        try:
            self.draw()
        except Exception:  # noqa: BLE001  # what cannot be drawn must cost nobody the run
            self._give_up()
            return
        self._drawn_at = loop_time()
        if self._view.is_at_work:
            self._arm(_CLOCK_S)

    def draw(self) -> None:
        """Bring the screen up to date."""
        columns, height = self._size()
        self._look = self._look._replace(width=columns)
        if self._is_dirty:
            self._put_answer(self._answer.finished())
        self._is_dirty = False
        apart = self._view.phase == "panel"
        if self._answer.has_begun:
            room = max(_LEAST_ROOM, height // 3)  # what is low enough survives a change of size
            lines: list[Line] = [((line, ""),) for line in last_lines(self._answer.open, columns - 1, room)]
        else:
            lines = frame(self._view, self._colours, self._now(), columns - 1, height - 2)
        drawn = [(styled(line, self._look), "".join(text for text, _ in line)) for line in lines]
        if apart and not self._screen.is_apart and self._record:
            self._show(self._flushed(), [])
        self._show("" if apart else self._flushed(), drawn, apart=apart)
        if not apart:
            self._note_shown()

    def _flushed(self) -> str:
        """Return what is to be added to the record, which has it then."""
        record = "".join(self._record)
        self._record.clear()
        return record

    def _note_shown(self) -> None:
        """Note what has been written: only then is it shown."""
        self.answer_shown, self.analysis_shown = self._answer_recorded, self._analysis_recorded

    def _show(self, record: str, drawn: list[tuple[str, str]], *, apart: bool = False) -> None:
        if apart:
            self._terminal.undo = UNDO_APART
        self._screen.show(record, drawn, apart=apart)
        if not apart:
            self._terminal.undo = ""

    def _give_up(self) -> None:
        self._is_closed = True
        if self._timer:
            self._timer.cancel()
        with suppress(Exception):
            self._show(self._flushed(), [])
        self._terminal.undo = ""

    def _put_on_record(self, event: events.Event) -> None:
        match event:
            case events.PanelCompleted(label, _, content):
                if self._cast.show_responses:
                    self._responses[one_line(label, 80)] = content
            case events.AnalysisInProgress() | events.OuterDiscarded():
                self._record_panel()
                self._answer = _Answer()
            case events.AnalysisFailed():
                self._record_panel()
                self._warn_of_dropped()
            case events.AnalysisCompleted():
                self._record_analysis(event)
            case events.AnswerCompleted(text):
                self._record_panel()
                if not self._answer.has_text:
                    self._answer.take(text, is_settled=True)
                self._put_answer(self._answer.end())
                self._record.append("\n")
                self._answer = _Answer()
                self._answer_recorded = True
            case events.Warned(text) if self._view.phase == "judge":  # it stands with the analysis that it is about
                self._dropped.append(one_line(text, 400))
            case events.Warned(text):
                self._warn(one_line(text, 400))
            case events.EngineStarting(name):
                self._note("engine", f"loading {one_line(name)}")
            case events.WeightsProgress(name, 0, total, source, licence):
                what = f"fetching {one_line(name)}, {total / 1e6:,.0f} MB, {one_line(licence)}, from {one_line(source)}"
                self._note("engine", what)
            case events.CallRetried(role, label, attempt, wait_s, error) if self._cast.is_verbose:
                who = "answer" if role == "outer" else role
                said = f"{one_line(label, 80)}  tries again in {wait_s:.1f} s (attempt {attempt}): {one_line(error)}"
                self._note(who, said)
            case events.PanelToolCall(label, _, tool, about, status, error):
                self._note_tool("panel", label, tool, about, status, error)
            case events.AnalysisToolCall(_, tool, about, status, error) if self._view.judge:
                self._note_tool("judge", self._view.judge.label, tool, about, status, error)

    def _warn(self, text: str) -> None:
        self._note("warning:", f" {text}", style="yellow")

    def _warn_of_dropped(self) -> None:
        for text in self._dropped:
            self._warn(text)
        self._dropped.clear()

    def _note_tool(self, who: str, label: str, tool: str, about: str, status: str, error: str) -> None:
        """Put what was looked up in vain on the record, and all of it for those who want to hear more."""
        if status == "failed" or (self._cast.is_verbose and status == "completed"):
            verb = {"web_search": "searched", "web_fetch": "read"}.get(tool, f"called {one_line(tool, 40)}")
            why = f": failed: {one_line(error)}" if status == "failed" else ""
            self._note(who, f"{one_line(label, 80)}  {verb} {one_line(about, 120)}{why}")

    def _note(self, mark: str, text: str, *, name: str = "", style: str = "") -> None:
        """Put a line on the record, wrapped under its mark."""
        from fusion_cli.sinks.live.wrapping import wrapped

        width = max(self._size()[0] - 1, 20)
        first, *rest = wrapped(f"{name}{text}", width - _MARK_CHARS)
        head = ((f"{mark:<{_MARK_CHARS}}", "dim"),)
        if first.startswith(name) and name:
            line: Line = (*head, (name, f"bold {self._colours.get(name, '')}".strip()), (first[len(name) :], style))
        else:
            line = (*head, (first, style))
        lines = [line, *(((" " * _MARK_CHARS + more, style),) for more in rest)]
        self._record += [styled(spans, self._look) + "\n" for spans in lines]

    def _record_panel(self) -> None:
        """Put on the record how each panelist fared, once, when nothing more is to come from them."""
        if self._panel_recorded or not self._view.seats:
            return
        self._panel_recorded = True
        for seat in self._view.in_order():
            if not seat.is_over:
                self._note("panel", f"  interrupted after {self._elapsed(seat):.1f} s", name=seat.label)
            elif seat.record:
                style = "red" if seat.state == "failed" else ""
                self._note("panel", f"  {seat.record}", name=seat.label, style=style)
        for label, content in self._responses.items():
            heading = styled(((label, f"bold {self._colours.get(label, '')}".strip()),), self._look)
            self._record += ["\n", heading + "\n\n", *self._drawn(clean(content))]
        self._responses.clear()

    def _elapsed(self, seat: Worker) -> float:
        return 0.0 if seat.since is None else self._now() - seat.since

    def _record_analysis(self, event: events.AnalysisCompleted) -> None:
        from fusion_cli.sinks.analysis_view import Findings, analysis_view

        self._record_panel()
        name = self._view.judge.label if self._view.judge else "the judge"
        if event.from_run:
            self._note("judge", f"{name}  judged in the run {one_line(event.from_run, 80)}")
        else:
            self._note("judge", f"{name}  judged in {event.duration_s:.1f} s")
        labels = self._cast.labels
        dropped = tuple(self._dropped)
        self._dropped.clear()
        silent = frozenset(label for label, seat in self._view.seats.items() if seat.state == "failed")
        found = Findings(event.analysis, labels, event.quotes, event.supported, event.second_look, dropped, silent)
        end = [] if self._cast.answers else ["\n"]
        self._record += ["\n", analysis_view(found, self._look._replace(width=self._size()[0] - 1)), *end]
        self._analysis_recorded = True

    def _put_answer(self, finished: list[tuple[str, bool, bool]]) -> None:
        for text, goes_on, is_plain in finished:
            if not self._answer.has_shown or not goes_on:
                self._record.append("\n")
            self._answer.has_shown = True
            self._record += self._drawn(text, is_plain=is_plain)

    def _drawn(self, text: str, *, is_plain: bool = False) -> list[str]:
        from fusion_cli.sinks.markdown import markdown, plain

        look = self._look._replace(width=max(self._size()[0] - 1, 20))
        return [plain(text, look) if is_plain else markdown(text, look)]


class _Answer:
    """The answer as it comes: cleaned, and cut into blocks that are finished.

    Attributes:
        has_text: Whether anything came.
        has_shown: Whether a block of it is on the record.
        is_settled: Whether it is an answer: what comes before a tool call is none.
    """

    def __init__(self) -> None:
        self._cleaner = Cleaner()
        self._blocks = Blocks()
        self._pieces: list[str] = []
        self._held = 0
        self.has_text = False
        self.has_shown = False
        self.is_settled = False

    @property
    def has_begun(self) -> bool:
        """Whether there is something to show."""
        return self.is_settled and self.has_text

    @property
    def open(self) -> str:
        """The end of it that is in no finished block."""
        return self._blocks.open

    def take(self, text: str, *, is_settled: bool) -> None:
        """Take what arrived; a first turn is settled by its length."""
        self._pieces.append(text)
        self._held += len(text)
        self.has_text = self.has_text or bool(text)
        self.is_settled = self.is_settled or is_settled or self._held > _HELD_BACK_CHARS

    def finished(self) -> list[tuple[str, bool, bool]]:
        """Return the blocks that are finished since the last time."""
        if not self.is_settled or not self._pieces:
            return []
        text = "".join(self._pieces)
        self._pieces.clear()
        return [*self._blocks.feed(self._cleaner.feed(text))]

    def end(self) -> list[tuple[str, bool, bool]]:
        """Return all that is left."""
        self.is_settled = True
        return [*self.finished(), *self._blocks.feed(self._cleaner.end()), *self._blocks.end()]
