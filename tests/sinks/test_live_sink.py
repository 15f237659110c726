"""Promises of `sinks.live.sink`: a run is seen while it happens, and leaves a record as if that had been printed."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest

from fusion_cli import events
from fusion_cli.chat import Usage
from fusion_cli.sinks.drawing import Look
from fusion_cli.sinks.live.sink import LiveSink
from fusion_cli.terminal import Terminal
from tests.emulator import Emulator
from tests.sinks.live_runs import ANSWER, CAST, LABELS, answered, judged, panel_at_work, rest_of_panel
from tests.sinks.snapshots import the_same

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusion_cli.events import Event
    from fusion_cli.sinks.live.state import Cast

FAILED: list[Event] = [
    events.Warned("the judge z/judge: HTTP 500: no"),
    events.AnalysisFailed("judge_upstream_error", "HTTP 500: no"),
]
ATTACK = "\x1b[41mred\x1b]0;title\x07\x9b2J\u202e [bold]x[/] "


class EmulatedTerminal(Terminal):
    """A terminal whose streams are an emulator; it counts what is written, and can break."""

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        super().__init__()
        self.emulator = Emulator(columns, lines)
        self.writes: list[str] = []
        self.notes: list[str] = []
        self.is_broken = False

    def write(self, text: str) -> None:
        """Take what goes to standard output."""
        if self.is_broken:
            raise OSError("no terminal any more")
        self.writes.append(text)
        self.emulator.feed(text)

    def note(self, text: str) -> None:
        """Take what goes to standard error."""
        self.notes.append(text)


class Watched:
    """A sink on an emulator, with a clock that stands still unless it is moved."""

    def __init__(self, cast: Cast = CAST, columns: int = 80, lines: int = 24, *, colour: bool = False) -> None:
        self.terminal = EmulatedTerminal(columns, lines)
        self.now = 0.0
        emulator = self.terminal.emulator
        look = Look(columns, has_colour=colour)
        self.sink = LiveSink(self.terminal, cast, look, lambda: (emulator.columns, emulator.lines), lambda: self.now)

    def take(self, happened: Sequence[Event], *, draws: bool = True) -> str:
        """Have events happen, each drawn; return all that can be seen."""
        for event in happened:
            self.sink(event)
            if draws:
                self.sink.draw()
        return self.terminal.emulator.text

    def end(self) -> str:
        """Close the sink and return what it leaves; the terminal is as it was."""
        self.sink.close()
        emulator = self.terminal.emulator
        assert (emulator.shows_cursor, emulator.wraps, emulator.is_apart) == (True, True, False)
        assert self.terminal.undo == ""
        return emulator.text


STORIES: dict[str, list[Event]] = {
    "happy": [*panel_at_work(), *rest_of_panel(), *judged(), *answered()],
    "degraded": [*panel_at_work(), *rest_of_panel(), events.AnalysisInProgress("z/judge", 2), *FAILED, *answered()],
    "failed": [*panel_at_work(), *rest_of_panel(answers=False)],
}


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("story", STORIES)
def test_the_record_as_reviewed(story: str, width: int) -> None:
    """A good, a degraded and a failed run leave their record, however often they were drawn meanwhile."""
    watched, once = Watched(columns=width), Watched(columns=width)
    watched.take(STORIES[story])
    once.take(STORIES[story], draws=False)
    record = watched.end()
    assert record == once.end()
    the_same(f"record-{story}-{width}", record + "\n")


def test_the_panel_is_seen_apart_and_then_recorded() -> None:
    """While the panel works the other screen shows it; an end at once would take that back."""
    watched = Watched()
    shown = watched.take(panel_at_work())
    assert watched.terminal.emulator.is_apart
    assert watched.terminal.undo
    assert "● openai/gpt-5" in shown
    shown = watched.take([*rest_of_panel(), *judged()[:1]])
    assert not watched.terminal.emulator.is_apart
    assert shown.splitlines()[0] == "panel   openai/gpt-5  answered in 11.2 s, 412 tokens, $0.0123, 1 source"
    assert shown.splitlines()[-1] == "judge   z/judge  reads 2 responses  0 s"


def test_the_answer_streams_in_finished_blocks() -> None:
    """A finished block is drawn as Markdown at once, the open one as it is written, in a low window."""
    watched = Watched()
    shown = watched.take([events.AnswerDelta("# Title\n\n**bold**\nte")])
    assert shown == "\n# Title\n**bold**\nte"
    shown = watched.take([events.AnswerDelta("xt\n\n" + "line\n" * 30)])
    assert shown == "\n# Title\n\nbold text\n" + "\n".join(["line"] * 8)


CUT_OFF = events.Warned("the answer was cut off by its token limit")
HALF = "# One\n\n```\nfirst\n\nsecond\n"


@pytest.mark.parametrize("draws", [True, False])
def test_a_warning_stands_below_the_answer_that_it_comes_in(*, draws: bool) -> None:
    """No block of it is torn apart, whether it ends or breaks off, and no warning is lost."""
    told = "warning: the answer was cut off by its token limit"
    block = "\n# One\n\n  first\n\n  second\n"
    for end in ([events.AnswerCompleted("")], []):
        watched = Watched()
        assert "warning" not in watched.take([events.AnswerDelta(HALF), CUT_OFF], draws=draws)
        watched.take(end, draws=draws)
        assert watched.end().rstrip("\n") == f"{block}\n{told}"


def test_a_warning_among_words_that_were_no_answer_comes_before_the_panel() -> None:
    """It waits for their end, which is the tool call."""
    watched = Watched(CAST._replace(consults=True))
    watched.take([events.OuterDelta("x" * 500), CUT_OFF, events.OuterDiscarded()])
    assert watched.take([events.AnalysisInProgress("z/judge", 2)]).startswith("warning: the answer was cut off")


def test_a_first_turn_is_held_back_until_it_is_an_answer() -> None:
    """Words before a tool call are not shown; an answer without a panel is, whole."""
    cast = CAST._replace(consults=True)
    asks = Watched(cast)
    assert asks.take([events.OuterDelta("I ask.")]) == "answer  openai/gpt-5  writing  0 s  ~2 tokens\n  I ask."
    assert asks.take([events.OuterDiscarded(), events.OuterDecided(convene=True, forced=False)]) == ""
    alone = Watched(cast)
    alone.take([events.OuterDelta("The answer."), events.AnswerCompleted("The answer.")])
    assert alone.sink.answer_shown
    assert alone.end() == "\nThe answer."


def test_nothing_hostile_reaches_the_screen() -> None:
    """Names, errors, texts, warnings and the answer: escape codes are gone, also in halves, and markup is text."""
    watched = Watched(CAST._replace(labels=(ATTACK,), is_verbose=True, show_responses=True), colour=True)
    watched.take(
        [
            events.FusionInProgress(ATTACK, ATTACK),
            events.PanelAdded(ATTACK, ATTACK),
            *(events.PanelDelta(ATTACK, character, character) for character in ATTACK),
            events.CallRetried("panel", ATTACK, 2, 1.0, ATTACK, 500),
            events.PanelToolCall(ATTACK, 1, "web_search", ATTACK, "started", ""),
            events.PanelToolCall(ATTACK, 1, "web_search", ATTACK, "failed", ATTACK),
            events.Warned(ATTACK),
            events.EngineStarting(ATTACK),
            events.WeightsProgress(ATTACK, 0, 10, ATTACK, ATTACK),
            events.PanelCompleted(ATTACK, ATTACK, ATTACK, 1.0, Usage(), truncated=False),
            events.PanelFailed("x", "x", ATTACK, 500, ATTACK, 1.0),
            events.AnalysisInProgress(ATTACK, 1),
            *answered(ATTACK * 5, size=1),
        ]
    )
    text = watched.end()
    assert "red<U+202E> [bold]x[/]" in text
    assert "41" not in watched.terminal.emulator.styles


def test_each_response_is_on_the_record_where_that_is_wanted() -> None:
    """Each stands whole under its panelist's name, before the judge."""
    watched = Watched(CAST._replace(show_responses=True))
    watched.take([*panel_at_work(), *rest_of_panel(), *judged()])
    text = watched.end()
    assert text.count("SQLite is enough for one machine.") > 6
    assert text.index("\nopenai/gpt-5\n") < text.index("\nanthropic/claude-opus-4.8\n") < text.index("judge   z/judge")


def test_an_early_end_records_what_there_is() -> None:
    """Interrupted, the record says how far everybody was, and the answer stands as far as it had come."""
    watched = Watched()
    watched.take(panel_at_work())
    watched.now = 4.0
    text = watched.end()
    assert "panel   openai/gpt-5  interrupted after 4.0 s" in text
    assert "google/gemini-3-pro  failed after 0.4 s" in text
    answering = Watched()
    answering.take([events.AnswerDelta("# One\n\ntwo **thr")])
    assert answering.end() == "\n# One\n\ntwo **thr"
    alone = Watched(CAST._replace(consults=True))
    alone.take([events.OuterDelta("It dep")])
    assert alone.end() == "\nIt dep"


def test_a_change_of_size_in_the_middle() -> None:
    """Made narrower, higher and wider at each step of a run, the screen has every line of the record once."""
    watched, sizes = Watched(columns=100), [(60, 24), (45, 18), (120, 40), (41, 20)]
    for number, event in enumerate(STORIES["happy"]):
        watched.terminal.emulator.resize(*sizes[number % 4])
        watched.take([event])
    words = " ".join(watched.end().split())
    for once in ("answered in 11.2 s", "failed after 0.4 s", "judged in 9.8 s", "# SQLite", "one file", "no server"):
        assert words.count(once) == 1
    assert not re.search("writing|thinking|waiting|tries again", words)


def test_a_warning_after_the_end_is_a_note() -> None:
    """What the journal finds last is said, too."""
    watched = Watched()
    watched.end()
    watched.sink(events.Warned("the disk is full"))
    assert watched.terminal.notes == ["warning: the disk is full"]


def test_what_cannot_be_drawn_gives_the_screen_back_at_once() -> None:
    """A mistake of ours ends the view: the record so far stands, and answer and analysis are printed by others."""
    watched = Watched()
    watched.take(panel_at_work())
    with pytest.raises(AttributeError):
        watched.sink(events.AnalysisCompleted(None, 1.0))  # type: ignore[arg-type]  # which nothing can draw
    watched.take(answered(), draws=False)
    assert watched.end().startswith("panel   openai/gpt-5")
    assert (watched.sink.answer_shown, watched.sink.analysis_shown) == (False, False)


def test_what_is_not_written_is_not_shown() -> None:
    """An answer counts as shown when the terminal has it, and not before."""
    watched = Watched()
    watched.take(answered(), draws=False)
    assert not watched.sink.answer_shown
    watched.sink.draw()
    assert watched.sink.answer_shown
    broken = Watched()
    broken.take(answered(), draws=False)
    broken.terminal.is_broken = True
    broken.sink.close()
    assert not broken.sink.answer_shown


class TestTimes:
    """When it draws."""

    def test_many_events_are_few_frames(self) -> None:
        """A thousand deltas in half a second are at most twelve frames a second, and silence is none but the clock."""

        async def run() -> tuple[int, int, int]:
            watched = Watched()
            watched.take(panel_at_work(), draws=False)
            for _ in range(1000):
                watched.sink(events.PanelDelta(LABELS[0], "text ", ""))
                await asyncio.sleep(0.0005)
            busy = len(watched.terminal.writes)
            await asyncio.sleep(0.15)
            settled = len(watched.terminal.writes)
            await asyncio.sleep(0.4)
            idle = len(watched.terminal.writes)
            watched.sink.close()
            return busy, settled, idle

        busy, settled, idle = asyncio.run(run())
        assert 1 <= busy <= 40
        assert idle == settled

    def test_the_clock_runs_by_itself(self) -> None:
        """While nothing comes, elapsed time is drawn all the same."""

        async def run() -> str:
            watched = Watched()
            watched.take(panel_at_work(), draws=False)
            await asyncio.sleep(0.2)
            watched.now = 59.0
            await asyncio.sleep(1.3)
            text = watched.terminal.emulator.text
            watched.sink.close()
            return text

        assert "writing  59 s" in asyncio.run(run())

    def test_a_screen_that_breaks_costs_no_answer(self) -> None:
        """What cannot be drawn falls silent, and the answer is not taken for shown."""

        async def run() -> bool:
            watched = Watched()
            watched.take(panel_at_work(), draws=False)
            watched.terminal.is_broken = True
            await asyncio.sleep(0.2)
            watched.take(answered(), draws=False)
            watched.sink.close()
            return watched.sink.answer_shown

        assert not asyncio.run(run())


def test_the_answer_is_shown_once_in_whatever_pieces() -> None:
    """Character by character and at once, the same stands there."""
    texts = []
    for size in (1, 5, 1000):
        watched = Watched()
        watched.take(answered(ANSWER, size))
        texts.append(watched.end())
    assert texts[0] == texts[1] == texts[2]
    assert "the docs (https://sqlite.org/)" in texts[0]
