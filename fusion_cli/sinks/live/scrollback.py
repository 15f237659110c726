"""What a run leaves on the screen for good: how each panelist fared, what the judge found, the answer as Markdown.

Made of events, in lines that fit; draws nothing that moves, and writes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusion_cli import events
from fusion_cli.sinks.analysis_view import Findings, analysis_view
from fusion_cli.sinks.drawing import Look, colours_of, styled
from fusion_cli.sinks.live.blocks import Blocks
from fusion_cli.sinks.live.wrapping import wrapped
from fusion_cli.sinks.markdown import markdown, plain
from fusion_cli.terminal import Cleaner, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from fusion_cli.sinks.live.blocks import Block
    from fusion_cli.sinks.live.layout import Line
    from fusion_cli.sinks.live.state import Cast, View

_MARK_CHARS = 8
_ASIDES = (  # what may come while the answer is written, and has no place within it
    events.Warned,
    events.EngineStarting,
    events.WeightsProgress,
    events.CallRetried,
    events.PanelToolCall,
    events.AnalysisToolCall,
)


class Scrollback:
    """Put together what stays, from a run's events.

    Args:
        cast: Who plays.
        view: The run as it stands, which has taken each event before this does.
        look: Returns what the screen can show; its width is what lines may have.
        broken_off: What is said of a panelist who has not come to an end.

    Attributes:
        colours: Of the panelists, by label.
        answer: The answer as far as it has come.
        has_answer: Whether all of the answer is in it.
        has_analysis: Whether the analysis is.
    """

    def __init__(self, cast: Cast, view: View, look: Callable[[], Look], broken_off: str = "interrupted") -> None:
        self._cast = cast
        self._view = view
        self._look = look
        self._broken_off = broken_off
        self.colours = colours_of(one_line(label, 80) for label in cast.labels)
        self.answer = Text()
        self.has_answer = self.has_analysis = False
        self._lines: list[str] = []
        self._dropped: list[str] = []
        self._asides: list[events.Event] = []
        self._responses: list[tuple[str, str, str]] = []
        self._has_panel = False

    @property
    def has_more(self) -> bool:
        """Whether there are lines that have not been taken."""
        return bool(self._lines)

    def taken(self) -> str:
        """Return the lines that are new since the last time."""
        lines = "".join(self._lines)
        self._lines.clear()
        return lines

    def take(self, event: events.Event, now: float) -> None:
        """Take one event in, at this time in seconds; what is no part of an answer that has begun stands below it."""
        if self.answer.has_text and isinstance(event, _ASIDES):
            self._asides.append(event)
            return
        match event:
            case events.PanelDelta() | events.AnalysisDelta():
                pass
            case events.OuterDelta(text) | events.AnswerDelta(text):
                self.answer.take(text, is_settled=isinstance(event, events.AnswerDelta))
            case events.PanelCompleted(label, _, content):
                if self._cast.show_responses:
                    self.add_response(label, content)
            case events.AnalysisInProgress() | events.OuterDiscarded():
                self._put_panel(now)
                self.end_answer(now)
            case events.AnalysisFailed():
                self._put_panel(now)
                self._warn_of_dropped()
            case events.AnalysisCompleted():
                self._put_panel(now)
                self._put_analysis(event)
            case events.AnswerCompleted(text):
                self._put_panel(now)
                if not self.answer.has_text:
                    self.answer.take(text, is_settled=True)
                self._put_text(self.answer, self.answer.end())
                self.has_answer = True
                self.end_answer(now)
                self._lines.append("\n")
            case events.Warned(text) if self._view.phase == "judge":  # it stands with the analysis that it is about
                self._dropped.append(one_line(text, 400))
            case events.Warned(text):
                self.warn(text)
            case events.EngineStarting(name):
                self.note("engine", f"loading {one_line(name)}")
            case events.WeightsProgress(name, 0, total, source, licence):
                what = f"fetching {one_line(name)}, {total / 1e6:,.0f} MB, {one_line(licence)}, from {one_line(source)}"
                self.note("engine", what)
            case events.CallRetried(role, label, attempt, wait_s, error) if self._cast.is_verbose:
                who = "answer" if role == "outer" else role
                said = f"{one_line(label, 80)}  tries again in {wait_s:.1f} s (attempt {attempt}): {one_line(error)}"
                self.note(who, said)
            case events.PanelToolCall(label, _, tool, about, status, error):
                self._note_tool("panel", label, tool, about, status, error)
            case events.AnalysisToolCall(_, tool, about, status, error) if self._view.judge:
                self._note_tool("judge", self._view.judge.label, tool, about, status, error)

    def add_response(self, label: str, content: str, note: str = "") -> None:
        """Have a response stand below the panel, unless it is empty; the note stands beside its author."""
        if content:
            self._responses.append((one_line(label, 80), content, f", {note}" if note else ""))

    def put_responses(self) -> None:
        """Add the responses that are to stand below the panel."""
        for label, content, note in self._responses:
            spans = (label, f"bold {self.colours.get(label, '')}".strip()), (note, "dim")
            said = Text()
            said.take(content, is_settled=True)
            self._lines += ["\n", styled(spans, self._look()) + "\n"]
            self._put_text(said, said.end())
        self._responses.clear()

    def go_on(self) -> None:
        """Add what is finished of the answer by now."""
        self._put_text(self.answer, self.answer.finished())

    def end(self, now: float) -> None:
        """Add what there is at the end, however the run came to it."""
        self._put_panel(now)
        self._warn_of_dropped()
        self._put_text(self.answer, self.answer.end() if self.answer.has_text else [])  # as far as it came
        self.end_answer(now)

    def end_answer(self, now: float) -> None:
        """Have an answer, or words that were none, behind, and add what has waited for its end."""
        has_shown, before = self.answer.has_shown, len(self._lines)
        self.answer = Text()
        for event in self._asides:
            self.take(event, now)
        self._asides.clear()
        if has_shown and len(self._lines) > before:
            self._lines.insert(before, "\n")

    def warn(self, text: str) -> None:
        """Add a warning."""
        self.note("warning:", f" {one_line(text, 400)}", style="yellow")

    def _warn_of_dropped(self) -> None:
        for text in self._dropped:
            self.warn(text)
        self._dropped.clear()

    def _note_tool(self, who: str, label: str, tool: str, about: str, status: str, error: str) -> None:
        """Add what was looked up in vain, and all that was for those who want to hear more."""
        if status == "failed" or (self._cast.is_verbose and status == "completed"):
            verb = {"web_search": "searched", "web_fetch": "read"}.get(tool, f"called {one_line(tool, 40)}")
            why = f": failed: {one_line(error)}" if status == "failed" else ""
            self.note(who, f"{one_line(label, 80)}  {verb} {one_line(about, 120)}{why}")

    def note(self, mark: str, text: str, *, name: str = "", style: str = "") -> None:
        """Add a line, wrapped under its mark."""
        look = self._look()
        first, *rest = wrapped(f"{name}{text}", look.width - _MARK_CHARS)
        head = ((f"{mark:<{_MARK_CHARS}}", "dim"),)
        if first.startswith(name) and name:
            line: Line = (*head, (name, f"bold {self.colours.get(name, '')}".strip()), (first[len(name) :], style))
        else:
            line = (*head, (first, style))
        lines = [line, *(((" " * _MARK_CHARS + more, style),) for more in rest)]
        self._lines += [styled(spans, look) + "\n" for spans in lines]

    def _put_panel(self, now: float) -> None:
        """Add how each panelist fared, once, when nothing more is to come from them."""
        if self._has_panel or not self._view.seats:
            return
        self._has_panel = True
        for seat in self._view.in_order():
            if not seat.is_over:
                took_s = 0.0 if seat.since is None else now - seat.since
                self.note("panel", f"  {self._broken_off} after {took_s:.1f} s", name=seat.label)
            elif seat.record:
                style = "red" if seat.state == "failed" else ""
                self.note("panel", f"  {seat.record}", name=seat.label, style=style)
        self.put_responses()

    def _put_analysis(self, event: events.AnalysisCompleted) -> None:
        name = self._view.judge.label if self._view.judge else "the judge"
        if event.from_run:
            self.note("judge", f"{name}  judged in the run {one_line(event.from_run, 80)}")
        else:
            self.note("judge", f"{name}  judged in {event.duration_s:.1f} s")
        dropped = tuple(self._dropped)
        self._dropped.clear()
        silent = frozenset(label for label, seat in self._view.seats.items() if seat.state == "failed")
        labels = self._cast.labels
        found = Findings(event.analysis, labels, event.quotes, event.supported, event.second_look, dropped, silent)
        self._lines += ["\n", analysis_view(found, self._look()), *([] if self._cast.answers else ["\n"])]
        self.has_analysis = True

    def _put_text(self, said: Text, finished: list[Block]) -> None:
        for text, goes_on, is_plain in finished:
            if not said.has_shown or not goes_on:
                self._lines.append("\n")
            said.has_shown = True
            self._lines.append(plain(text, self._look()) if is_plain else markdown(text, self._look()))


class Text:
    """What a model writes, as it comes: cleaned, and cut into blocks that are finished.

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
        self.is_settled = self.is_settled or is_settled or self._held > events.HELD_BACK_CHARS

    def finished(self) -> list[Block]:
        """Return the blocks that are finished since the last time."""
        if not self.is_settled or not self._pieces:
            return []
        text = "".join(self._pieces)
        self._pieces.clear()
        return [*self._blocks.feed(self._cleaner.feed(text))]

    def end(self) -> list[Block]:
        """Return all that is left."""
        self.is_settled = True
        return [*self.finished(), *self._blocks.feed(self._cleaner.end()), *self._blocks.end()]
