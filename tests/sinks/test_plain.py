"""Promises of `sinks.plain`: nothing but the answer on standard output, and one clean line a fact beside it."""

from collections.abc import Callable, Sequence
from typing import Literal

import pytest

from fusion_cli import events
from fusion_cli.chat import Citation, Usage
from fusion_cli.events import Event
from fusion_cli.results import Analysis, Contradiction, PartialCoverage, Stance, UniqueInsight
from fusion_cli.sinks.plain import PlainSink
from fusion_cli.terminal import Terminal

ATTACK = "\x1b[31mred\x1b]0;title\x07\x9b2J\u202e\nnext\r\x08"
CONVENED = events.OuterDiscarded()
ANSWERED = events.OuterDecided(convene=False, forced=False)


class RecordingTerminal(Terminal):
    """A terminal that keeps what it is given, stream by stream."""

    def __init__(self) -> None:
        super().__init__()
        self.out = ""
        self.notes: list[str] = []
        self.__dict__["stderr_is_tty"] = False

    def write(self, text: str) -> None:
        """Keep what goes to standard output."""
        self.out += text
        if text:
            self._line_open = not text.endswith("\n")

    def note(self, text: str) -> None:
        """Keep what goes to standard error."""
        self.notes.append(text)


def shown(*happened: Event, show_answer: bool = True, show_responses: bool = False) -> RecordingTerminal:
    """Return a terminal to which a sink has shown these events."""
    terminal = RecordingTerminal()
    sink = PlainSink(terminal, show_answer=show_answer, show_responses=show_responses)
    for event in happened:
        sink(event)
    sink.close()
    return terminal


def completed(label: str = "x/y", *, usage: Usage = Usage(), truncated: bool = False) -> events.PanelCompleted:  # noqa: B008 - immutable
    """Return a panelist's success."""
    return events.PanelCompleted(label, "x/y", "content", 1.26, usage, truncated)


def failed(label: str = "x/y", error: str = "HTTP 500: no") -> events.PanelFailed:
    """Return a panelist's failure."""
    return events.PanelFailed(label, "x/y", error, 500, "partial", 0.5)


Status = Literal["started", "completed", "failed"]


def looks_up(about: str, status: Status = "started", error: str = "", *, tool: str = "web_fetch") -> Event:
    """Return a step of a panelist's tool call."""
    return events.PanelToolCall("x/y", 1, tool, about, status, error)


def judge_looks_up(about: str, status: Status = "started", error: str = "", *, tool: str = "web_fetch") -> Event:
    """Return a step of the judge's tool call."""
    return events.AnalysisToolCall(1, tool, about, status, error)


class TestAnswer:
    """Standard output."""

    def test_words_before_a_tool_call_are_no_answer(self) -> None:
        """What the outer model says before it convenes the panel is not shown; the answer alone is."""
        terminal = shown(
            *(events.OuterDelta(text) for text in ("Let me ask", " the panel. ")),
            CONVENED,
            completed(),
            *(events.AnswerDelta(text) for text in ("SQ", "Lite.")),
            events.AnswerCompleted("SQLite."),
        )
        assert terminal.out == "SQLite.\n"

    def test_a_short_first_turn_is_shown_when_it_is_settled(self) -> None:
        """An answer without a panel is held back only until it is known to be one, and then shown once."""
        deltas = [events.OuterDelta(text) for text in ("SQ", "Lite.")]
        assert shown(*deltas).out == ""
        assert shown(*deltas, ANSWERED, events.AnswerCompleted("SQLite.")).out == "SQLite.\n"

    def test_a_long_first_turn_streams(self) -> None:
        """Nobody waits for the end of a long answer: after some hundred characters it is shown as it comes."""
        terminal = RecordingTerminal()
        sink = PlainSink(terminal, show_answer=True)
        for number in range(100):
            sink(events.OuterDelta(f"{number:09} "))
            assert len(terminal.out) in (0, 10 * (number + 1))
            assert terminal.out or number < 60
        sink(ANSWERED)
        sink(events.AnswerCompleted("..."))
        assert terminal.out == "".join(f"{number:09} " for number in range(100)) + "\n"

    @pytest.mark.parametrize("deltas", [["SQLite.\n"], ["SQLite", ".", "\n"]])
    def test_an_answer_with_a_line_feed_gets_no_second_one(self, deltas: Sequence[str]) -> None:
        """The last line is ended once."""
        assert shown(*map(events.AnswerDelta, deltas), events.AnswerCompleted("")).out == "SQLite.\n"

    def test_where_the_answer_is_printed_otherwise_nothing_is_shown(self) -> None:
        """With `--json` or a pipe, the sink leaves standard output alone, however much there is."""
        terminal = shown(
            *(events.OuterDelta("x" * 300) for _ in range(3)),
            CONVENED,
            *(events.AnswerDelta("x" * 300) for _ in range(3)),
            events.AnswerCompleted("x" * 900),
            show_answer=False,
        )
        assert terminal.out == ""

    @pytest.mark.parametrize("make", [events.AnswerDelta, events.OuterDelta])
    def test_no_escape_code_of_a_model_reaches_the_screen(self, make: Callable[[str], Event]) -> None:
        """An attack is removed even when it comes in single characters, and when it never ends."""
        text = "a" * 500 + ATTACK + "b\x1b]0;never ended"
        expected = "a" * 500 + "red<U+202E>\nnextb0;never ended\n"
        assert shown(*map(make, text), events.AnswerCompleted(text)).out == expected
        assert shown(make(text), events.AnswerCompleted(text)).out == expected

    def test_an_unfinished_sequence_of_the_first_turn_takes_nothing_from_the_answer(self) -> None:
        """What the outer model left open before its call does not swallow the beginning of the answer."""
        terminal = shown(
            events.OuterDelta("x" * 500 + "\x1b]0;"),
            CONVENED,
            events.AnswerDelta("The answer\x07 is SQLite."),
            events.AnswerCompleted(""),
        )
        assert terminal.out.endswith("The answer is SQLite.\n")


class TestNotesOnTheAnswersTerminal:
    """Standard error, where standard output is the same screen."""

    @pytest.mark.parametrize("end", [events.AnswerCompleted(""), CONVENED, None])
    def test_a_warning_waits_for_the_end_of_the_answer(self, end: Event | None) -> None:
        """It stands below what was written, whether that ends, was no answer or breaks off."""
        terminal = RecordingTerminal()
        terminal.__dict__.update(stdout_is_tty=True, stderr_is_tty=True)
        sink = PlainSink(terminal, show_answer=True)
        sink(events.OuterDelta("It is " * 500))
        sink(events.Warned("beware"))
        sink(events.OuterDelta("so."))
        assert terminal.notes == []
        if end:
            sink(end)
        else:
            sink.close()
        assert terminal.notes == ["warning: beware"]
        assert terminal.out.endswith("It is so.\n")

    def test_a_warning_for_another_place_does_not_wait(self) -> None:
        """Where standard error is a file, its notes come when they happen."""
        assert shown(events.AnswerDelta("It is "), events.Warned("beware")).notes == ["warning: beware"]


class TestNotes:
    """Standard error."""

    def test_each_fact_is_one_line(self) -> None:
        """The story of a run, as a person reads it."""
        analysis = Analysis(
            consensus=["c", "d"],
            contradictions=[Contradiction(topic="t", stances=[Stance(model="a", stance="s")] * 2)],
            partial_coverage=[PartialCoverage(models=["a"], point="p")],
            unique_insights=[UniqueInsight(model="a", insight="i")] * 2,
            blind_spots=[],
        )
        terminal = shown(
            events.EngineStarting("qwen"),
            events.PanelAdded("x/y", "x/y"),
            events.PanelDelta("x/y", "text", "thought"),
            completed("x/y#1", usage=Usage(completion_tokens=7)),
            completed("x/y#2", truncated=True),
            failed("z/z"),
            failed("z/z")._replace(error="dropped at 0.9 s: 2 of 3 had answered"),
            failed("z/z")._replace(error="it broke off", from_run=""),
            events.AnalysisInProgress("j/j", 1),
            events.AnalysisInProgress("j/j", 2),
            events.AnalysisCompleted(analysis, 2.0),
            events.Warned("beware"),
        )
        assert terminal.notes == [
            "engine  loading qwen",
            "panel   x/y#1  answered in 1.3 s, 7 tokens",
            "panel   x/y#2  answered in 1.3 s, cut off",
            "panel   z/z  failed after 0.5 s: HTTP 500: no",
            "panel   z/z  dropped at 0.9 s: 2 of 3 had answered",
            "panel   z/z  its file holds only a beginning: it broke off",
            "judge   j/j  reads 1 response",
            "judge   j/j  reads 2 responses",
            "judge   2 agreed, 1 contradiction, 1 covered in part, 2 unique insights, 0 blind spots (2.0 s)",
            "warning: beware",
        ]
        assert terminal.out == ""

    @pytest.mark.parametrize(
        "event",
        [
            completed(ATTACK),
            failed(ATTACK),
            failed(error=ATTACK),
            events.AnalysisInProgress(ATTACK, 2),
            events.Warned(ATTACK),
            events.EngineStarting(ATTACK),
            events.WeightsProgress(ATTACK, 0, 1_000_000, "index", "MIT"),
            events.WeightsProgress("qwen", 0, 1_000_000, ATTACK, "MIT"),
            looks_up(ATTACK),
            looks_up(ATTACK, tool="web_search"),
            looks_up("https://e.org/", "failed", ATTACK),
            judge_looks_up(ATTACK),
            judge_looks_up("https://e.org/", "failed", ATTACK),
            events.PanelToolCall(ATTACK, 1, "web_fetch", "https://e.org/", "started", ""),
        ],
        ids=lambda event: type(event).__name__,
    )
    def test_no_escape_code_reaches_a_note(self, event: Event) -> None:
        """Names, errors and warnings are data: each is one line, without a control in it."""
        (note,) = shown(event).notes
        assert note.isprintable()
        assert "red<U+202E> next" in note

    def test_a_long_error_stays_a_line(self) -> None:
        """A megabyte of error is a few hundred characters."""
        assert len(shown(failed("x" * 10_000, "y" * 1_000_000)).notes[0]) < 350

    def test_a_download_off_a_terminal_is_told_once(self) -> None:
        """In a log there is one line for it, and no bar."""
        progress = [
            events.WeightsProgress("qwen", done, 400_000_000, "the index", "Apache-2.0") for done in (0, 1, 400_000_000)
        ]
        assert shown(*progress).notes == ["engine  fetching qwen, 400 MB, Apache-2.0, from the index"]


class TestLookingUp:
    """What is told of tool calls that are carried out here."""

    def test_a_panelist_searches_and_reads(self) -> None:
        """Each call is one line as it starts, and none as it ends well."""
        terminal = shown(
            looks_up("bridge river", tool="web_search"),
            looks_up("bridge river", "completed", tool="web_search"),
            looks_up("https://e.org/a"),
            looks_up("https://e.org/a", "completed"),
        )
        assert terminal.notes == ["panel   x/y  searches bridge river", "panel   x/y  reads https://e.org/a"]
        assert terminal.out == ""

    def test_a_failed_call_says_why(self) -> None:
        """The end that was no success stands with what was looked up: other calls run at the same time."""
        terminal = shown(
            looks_up("q", "failed", "searxng: HTTP 403", tool="web_search"),
            looks_up("https://e.org/", "failed", "HTTP 404"),
        )
        assert terminal.notes == [
            "panel   x/y  searches q: failed: searxng: HTTP 403",
            "panel   x/y  reads https://e.org/: failed: HTTP 404",
        ]

    def test_the_judge_looks_up_under_its_name(self) -> None:
        """The judge's calls are told as the panel's are, with the model that judges."""
        terminal = shown(
            events.AnalysisInProgress("j/j", 2),
            judge_looks_up("bridge", tool="web_search"),
            judge_looks_up("https://e.org/", "completed"),
            judge_looks_up("https://e.org/", "failed", "HTTP 404"),
        )
        assert terminal.notes[1:] == [
            "judge   j/j  searches bridge",
            "judge   j/j  reads https://e.org/: failed: HTTP 404",
        ]

    def test_a_long_query_stays_a_line(self) -> None:
        """A megabyte of query, or of a reason, is a few hundred characters."""
        (note,) = shown(looks_up("y" * 1_000_000, "failed", "z" * 1_000_000)).notes
        assert len(note) < 400

    @pytest.mark.parametrize(("number", "said"), [(0, ""), (1, ", 1 source"), (2, ", 2 sources")])
    def test_an_answer_says_how_many_sources_it_has(self, number: int, said: str) -> None:
        """They are counted where there are any, between the tokens and a cut."""
        pages = tuple(Citation(f"https://e.org/{n}", "T") for n in range(number))
        event = completed(usage=Usage(completion_tokens=1), truncated=True)._replace(citations=pages)
        assert shown(event).notes == [f"panel   x/y  answered in 1.3 s, 1 token{said}, cut off"]


@pytest.mark.parametrize("from_run", [None, "20261128T1", ""])
def test_responses_are_set_off_from_each_other_and_from_the_answer(from_run: str | None) -> None:
    """Where they are shown, wherever they are from, each has its heading, and so has the answer below them."""
    said: list[Event] = [completed(label)._replace(content="Said.\n", from_run=from_run) for label in ("a/b", "c/d")]
    answer: list[Event] = [events.AnswerDelta("So"), events.AnswerDelta(" be it."), events.AnswerCompleted("So be it.")]
    terminal = shown(*said, *answer, show_responses=True)
    assert terminal.out == "## a/b\n\nSaid.\n\n## c/d\n\nSaid.\n\n## Answer\n\nSo be it.\n"
    assert shown(*answer, show_responses=True).out == "So be it.\n"
