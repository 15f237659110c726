"""What the live view knows of a run: who does what, since when, and the end of what they wrote. Made of events alone.

Pure: told the time, draws nothing, cleans what models wrote. Text that arrives is set aside until it is looked at, as
it may come a thousand times a second and is looked at twelve times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from fusion_cli import events
from fusion_cli.counts import count
from fusion_cli.dollars import shown_dollars
from fusion_cli.errors import DROPPED
from fusion_cli.terminal import Cleaner, one_line

if TYPE_CHECKING:
    from fusion_cli.chat import Usage

State = Literal["waiting", "thinking", "writing", "searching", "reading", "calling", "again", "done", "failed"]
Phase = Literal["start", "outer", "panel", "judge", "answer", "over"]
OVER = ("done", "failed")
_TAIL_CHARS, _TAIL_LEAST_CHARS = 2400, 1200
_BYTES_PER_TOKEN = 4
_REASON_WORDS = 5
_BUSY_WITH: dict[str, State] = {"web_search": "searching", "web_fetch": "reading"}


class Worker:
    """A model at work: a panelist, the judge or the outer model.

    Attributes:
        label: Its name, clean.
        state: What it does.
        about: What it searches, reads or failed of, else its task.
        task: What it was asked to do, where that is worth telling.
        since: When it began; None before that.
        took_s: How long it took, once it is over.
        again_at: When its call is made again.
        tokens: How many it wrote, where its server has said so.
        cost: In US dollars, where that is known.
        record: What is said of it for good, once it is over; None is nothing.
    """

    def __init__(self, label: str) -> None:
        self.label = one_line(label, 80)
        self.state: State = "waiting"
        self.about = self.task = ""
        self.since: float | None = None
        self.took_s: float | None = None
        self.again_at = 0.0
        self.tokens: int | None = None
        self.cost: float | None = None
        self.record: str | None = None
        self._bytes = 0
        self._tail = ""
        self._pieces: list[str] = []
        self._cleaner = Cleaner()

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes from it."""
        return self.state in OVER

    @property
    def tail(self) -> str:
        """The end of what it wrote, clean; of a long text the beginning is forgotten."""
        if self._pieces:
            self._tail += self._cleaner.feed("".join(self._pieces))
            self._pieces.clear()
            if len(self._tail) > _TAIL_CHARS:  # cut seldom and between words, so that the lines stand still
                at = len(self._tail) - _TAIL_LEAST_CHARS
                ends = (self._tail.find(end, at, at + 400) for end in "\n ")
                self._tail = self._tail[next((end for end in ends if end >= 0), at) + 1 :]
        return self._tail

    @property
    def estimated_tokens(self) -> int:
        """About how many tokens it wrote so far, thoughts included."""
        return -(-self._bytes // _BYTES_PER_TOKEN)

    def begin(self, now: float, task: str = "") -> None:
        """Note that it has been asked, and to do what."""
        self.since = now
        self.about = self.task = task

    def write(self, text: str, reasoning: str) -> None:
        """Note what it wrote and thought."""
        self.about = self.task
        if text:
            self.state = "writing"
            self._pieces.append(text)
            self._bytes += _size(text)
        if reasoning:
            self.state = "writing" if text else "thinking"
            self._bytes += _size(reasoning)

    def count(self, text_chars: int, reasoning_chars: int) -> None:
        """Note how much it wrote and thought, where what it is is not told."""
        self.about = self.task
        self.state = "writing" if text_chars else "thinking"
        self._bytes += text_chars + reasoning_chars

    def look_up(self, tool: str, about: str, status: str) -> None:
        """Note that it uses a tool: what it wrote before is no part of its response."""
        self.state, self.about = "thinking", self.task
        self.forget()
        if status == "started":
            self.state = _BUSY_WITH.get(tool, "calling")
            self.about = one_line(about or tool, 120)

    def wait(self, until: float, why: str) -> None:
        """Note that its call has failed, and when it is made again."""
        self.state, self.again_at, self.about = "again", until, shortened(why)
        self.forget()

    def forget(self) -> None:
        """Drop what it wrote."""
        self._pieces.clear()
        self._tail = ""
        self._cleaner = Cleaner()

    def end(self, state: Literal["done", "failed"], took_s: float, record: str | None) -> None:
        """Note that it is over."""
        self.state, self.took_s, self.record = state, took_s, record
        self.forget()


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


class View:
    """A run as it stands.

    Args:
        cast: Who plays.
        now: The time, in seconds.

    Attributes:
        phase: What is going on; the panel's lasts until somebody else is at work.
        seats: The panelists that have been asked, by label.
        judge: The judge, once it has been asked.
        outer: The outer model.
        engine: What is said of the embedded engine before anybody can be asked.
        told: What the panel is asked, in one line.
        warning: The last one, in one line.
    """

    def __init__(self, cast: Cast, now: float) -> None:
        self._order = {label: number for number, label in enumerate(cast.labels)}
        self.phase: Phase = "start"
        self.seats: dict[str, Worker] = {}
        self.judge: Worker | None = None
        self.outer = Worker(cast.outer)
        self.engine = self.told = self.warning = ""
        self._answers = cast.answers
        self._is_refused = False
        if cast.consults:  # no event says so before its first word
            self._outer_works("outer", now)

    @property
    def is_at_work(self) -> bool:
        """Whether somebody's clock runs."""
        return self.phase in ("outer", "panel", "judge", "answer")

    def take(self, event: events.Event, now: float) -> None:
        """Take one event in, at this time in seconds."""
        match event:
            case events.PanelDelta(label, text, reasoning) if label in self.seats:
                self.seats[label].write(text, reasoning)
            case events.OuterDelta(text) | events.AnswerDelta(text):
                self._outer_works("answer" if isinstance(event, events.AnswerDelta) else "outer", now)
                self.outer.write(text, "")
            case events.AnalysisDelta(text_chars, reasoning_chars) if self.judge:
                self.judge.count(text_chars, reasoning_chars)
            case events.PanelAdded(label):
                self.phase = "panel"
                self._seat(label).begin(now)
            case events.PanelCompleted() | events.PanelFailed():
                self._panelist_is_over(event, now)
            case events.PanelToolCall(label, _, tool, about, status) if label in self.seats:
                self.seats[label].look_up(tool, about, status)
            case events.AnalysisToolCall(_, tool, about, status) if self.judge:
                self.judge.look_up(tool, about, status)
            case events.CallRetried(role, label, _, wait_s, error):
                worker = {"judge": self.judge, "outer": self.outer}.get(role, self.seats.get(label))
                if worker:
                    worker.wait(now + wait_s, error)
            case events.AnalysisInProgress(model, responses):
                self.phase, self.judge = "judge", Worker(model)
                self.judge.begin(now, f"reads {count(responses, 'response')}")
            case events.AnalysisCompleted() | events.AnalysisFailed():
                self.phase = "start"
                if self._answers:
                    self._outer_works("answer", now)
            case events.OuterDiscarded():
                self.phase = "start"
            case events.AnswerCompleted() | events.RunCompleted():
                self.phase = "over"
            case events.FusionInProgress(_, told):
                self.told, self.engine = one_line(told, 400), ""
            case events.Warned(text):
                self.warning = one_line(text, 400)
            case events.EngineStarting(name):
                self.engine = f"loading {one_line(name)}"
            case events.WeightsProgress(name, done, total):
                part = f", {done * 100 // total}%" if total else ""
                self.engine = f"fetching {one_line(name)}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB{part}"

    def in_order(self) -> list[Worker]:
        """Return the panelists as they sit."""
        last = len(self._order)
        return [self.seats[label] for label in sorted(self.seats, key=lambda label: self._order.get(label, last))]

    def _outer_works(self, phase: Literal["outer", "answer"], now: float) -> None:
        self.engine = ""
        if self.phase != phase:
            self.phase = phase
            self.outer = Worker(self.outer.label)
            self.outer.begin(now)

    def _seat(self, label: str) -> Worker:
        return self.seats.setdefault(label, Worker(label))

    def _panelist_is_over(self, event: events.PanelCompleted | events.PanelFailed, now: float) -> None:
        seat = self._seat(event.label)
        took_s = event.duration_s or (0.0 if seat.since is None else now - seat.since)
        earlier = ""
        if event.from_run is not None:
            earlier = f" in the run {one_line(event.from_run, 80)}" if event.from_run else " before"
        timed = f" {'in' if isinstance(event, events.PanelCompleted) else 'after'} {took_s:.1f} s" if took_s else ""
        took = earlier or timed
        if isinstance(event, events.PanelCompleted):
            seat.tokens, seat.cost = event.usage.completion_tokens, event.usage.cost
            sources = f", {count(len(event.citations), 'source')}" if event.citations else ""
            cut = ", cut off" if event.truncated else ""
            seat.end("done", took_s, f"answered{took}{'' if earlier else spent(event.usage)}{sources}{cut}")
            return
        error = one_line(event.error)
        failed = "" if error.startswith(DROPPED) else f"failed{took}: "
        record = None if self._is_refused and event.status_code == 401 else f"{failed}{error}"
        self._is_refused = self._is_refused or event.status_code == 401  # the same key, refused to the next one
        seat.end("failed", took_s, record)
        seat.about = shortened(error)


def shortened(error: str) -> str:
    """Return a reason in five words at the most."""
    words = one_line(error).split()
    return " ".join(words[:_REASON_WORDS]).rstrip(",;:") + ("…" if len(words) > _REASON_WORDS else "")


def spent(usage: Usage) -> str:
    """Return what a call wrote and cost, as far as that is known, each after a comma."""
    tokens = "" if usage.completion_tokens is None else f", {count(usage.completion_tokens, 'token')}"
    return tokens + ("" if usage.cost is None else f", {shown_dollars(usage.cost)}")


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
