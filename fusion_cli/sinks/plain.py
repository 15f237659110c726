"""One quiet line on standard error for each thing that happens, and the answer as it comes on a terminal's output.

What models wrote is cleaned here, on its way to the stream. Draws nothing that moves but the download's bar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusion_cli import events
from fusion_cli.counts import count
from fusion_cli.errors import DROPPED
from fusion_cli.terminal import Cleaner, Terminal, one_line

if TYPE_CHECKING:
    from rich.progress import Progress

    from fusion_cli.chat import Usage

_BUSY, _LONG_WAIT_S = {429, 503}, 1.0


class PlainSink:
    """Write a run's progress for a person.

    Args:
        terminal: Where to.
        show_answer: Whether the answer is shown while it is written.
        is_verbose: Whether every call that is tried again is told of, not only one that has to wait.
        show_responses: Whether each response is written to standard output.

    Attributes:
        answer_shown: Whether all of the answer has been.
        analysis_shown: Whether the analysis has been, which it never is.
    """

    analysis_shown = False

    def __init__(
        self, terminal: Terminal, *, show_answer: bool, is_verbose: bool = False, show_responses: bool = False
    ) -> None:
        self._show_responses = show_responses
        self._terminal = terminal
        self._show_answer = show_answer
        self._is_verbose = is_verbose
        self._cleaner = Cleaner()
        self._held = ""
        self._shown = False
        self._is_open = False
        self._asides: list[str] = []
        self._has_headings = False
        self.answer_shown = False
        self._refused = False
        self._judge = ""
        self._bar: Progress | None = None

    def __call__(self, event: events.Event) -> None:
        """Show one event."""
        match event:
            case events.PanelDelta() | events.AnalysisDelta():
                return
            case events.OuterDelta(text):
                self._hold(text)
            case events.AnswerDelta(text):
                self._show(text)
            case events.AnswerCompleted():
                self._show(self._held)
                self._held = ""
                self._show_cleaned(self._cleaner.end())
                self._end_answer()
                self.answer_shown = self._show_answer
            case events.OuterDiscarded():
                self._held = ""
                self._cleaner = Cleaner()
                self._end_answer()
            case events.RunCompleted() if self._asides:  # it broke off
                self._end_answer()
            case events.PanelToolCall(label, _, tool, about, status, error):
                self._note_tool("panel", label, tool, about, status, error)
            case events.AnalysisToolCall(_, tool, about, status, error):
                self._note_tool("judge", self._judge, tool, about, status, error)
            case events.CallRetried(role, label, attempt, wait_s, error, status_code):
                if self._is_verbose or (status_code in _BUSY and wait_s >= _LONG_WAIT_S):
                    who, which = "answer" if role == "outer" else role, f" (attempt {attempt})" * self._is_verbose
                    self._note(who, label, f"tries again in {wait_s:.1f} s{which}: {one_line(error)}")
            case events.PanelCompleted():
                self._note_response(event)
            case events.PanelFailed(label, _, error, from_run=""):
                self._note("panel", label, f"its file holds only a beginning: {one_line(error)}")
            case events.PanelFailed(label, _, error, from_run=str(run)):
                self._note("panel", label, f"failed in the run {one_line(run, 80)}: {one_line(error)}")
            case events.PanelFailed(status_code=401) if self._refused:
                return  # the same key, refused to the next one
            case events.PanelFailed(label, _, error, status_code, _, duration_s):
                self._refused = status_code == 401
                failed = "" if error.startswith(DROPPED) else f"failed after {duration_s:.1f} s: "
                self._note("panel", label, f"{failed}{one_line(error)}")
            case events.AnalysisInProgress(model, responses):
                self._judge = model
                self._note("judge", model, f"reads {count(responses, 'response')}")
            case events.AnalysisCompleted(analysis, duration_s, supported, second_look, from_run=run):
                hold = "holds" if supported and supported.held == 1 else "hold"
                checks = [f"{supported.held} of {supported.checked} quotes {hold}"] if supported else []
                checks += [f"second look agrees to {second_look.agreement:.0%}"] if second_look else []
                found = ", ".join(
                    (
                        f"{len(analysis.consensus)} agreed",
                        count(len(analysis.contradictions), "contradiction"),
                        f"{len(analysis.partial_coverage)} covered in part",
                        count(len(analysis.unique_insights), "unique insight"),
                        count(len(analysis.blind_spots), "blind spot"),
                        *checks,
                    )
                )
                when = f"in the run {one_line(run, 80)}" if run else f"{duration_s:.1f} s"
                self._say(f"judge   {found} ({when})")
            case events.Warned(text):
                self._say(f"warning: {one_line(text, 400)}")
            case events.EngineStarting(name):
                self._say(f"engine  loading {one_line(name)}")
            case events.WeightsProgress():
                self._download(event)
            case _:
                return

    def _say(self, text: str) -> None:
        """Write a note, below the answer where both are on a terminal and that is being written."""
        if self._is_open and self._terminal.stdout_is_tty and self._terminal.stderr_is_tty:
            self._asides.append(text)
        else:
            self._terminal.note(text)

    def _end_answer(self) -> None:
        self._is_open = False
        self._terminal.end_line()
        for text in self._asides:
            self._terminal.note(text)
        self._asides.clear()

    def _note(self, who: str, name: str, what: str) -> None:
        self._say(f"{who:<8}{one_line(name, 80)}  {what}")

    def _note_response(self, event: events.PanelCompleted) -> None:
        """Say that there is a response, and show it where that is wanted, however it came to be there."""
        if event.from_run is None:
            cut = ", cut off" if event.truncated else ""
            cited = f", {count(len(event.citations), 'source')}" if event.citations else ""
            what = f"answered in {event.duration_s:.1f} s{_tokens(event.usage)}{cited}{cut}"
        else:
            run = one_line(event.from_run, 80)
            what = f"answered in the run {run}" if run else "said what its file holds"
        self._note("panel", event.label, what)
        if self._show_responses:
            self._terminal.write_line(f"## {one_line(event.label, 80)}\n\n{event.content.strip()}")
            self._terminal.write("\n")
            self._has_headings = True

    def _note_tool(self, who: str, name: str, tool: str, about: str, status: str, error: str) -> None:
        """Say what a model looks up as it starts to, and of the end only that it failed."""
        if status == "completed":
            return
        verb = {"web_search": "searches", "web_fetch": "reads"}.get(tool, f"calls {one_line(tool, 40)}")
        what = f"{verb} {one_line(about, 120)}"
        self._note(who, name, what if status == "started" else f"{what}: failed: {one_line(error)}")

    def _hold(self, text: str) -> None:
        if self._shown:
            self._show(text)
            return
        self._held += text
        if len(self._held) > events.HELD_BACK_CHARS:
            text, self._held = self._held, ""
            self._show(text)

    def _show(self, text: str) -> None:
        self._show_cleaned(self._cleaner.feed(text))

    def _show_cleaned(self, text: str) -> None:
        if self._show_answer and text:
            if self._has_headings and not self._shown:
                self._terminal.write("## Answer\n\n")
            self._shown = self._is_open = True
            self._terminal.write(text)

    def _download(self, event: events.WeightsProgress) -> None:
        if event.done == 0:
            size = f"{event.total / 1e6:,.0f} MB"
            self._say(
                f"engine  fetching {one_line(event.name)}, {size}, {event.licence}, from {one_line(event.source)}"
            )
        if not self._terminal.stderr_is_tty or self._terminal.is_quiet:
            return
        if self._bar is None:
            self._bar = _progress_bar()
            self._bar.add_task("")
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=event.done, total=event.total)
        if event.done >= event.total:
            self._end_bar()

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._end_bar()
        if self._asides:
            self._end_answer()

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _progress_bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    return Progress(
        BarColumn(None), DownloadColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True
    )


def _tokens(usage: Usage) -> str:
    return "" if usage.completion_tokens is None else f", {count(usage.completion_tokens, 'token')}"
