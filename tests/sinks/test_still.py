"""Promises of `sinks.live.still`: a run that is drawn later looks as the live view left it, whatever is known of it."""

import pytest

from fusion_cli import events
from fusion_cli.about import About, Happened
from fusion_cli.chat import Usage
from fusion_cli.formats import RICH, rendered
from fusion_cli.results import Analysis, AnalysisRun, AskRun
from fusion_cli.sinks.drawing import Look
from tests.emulator import Emulator
from tests.sinks.hostile_page import attacks, hostile
from tests.sinks.shown_runs import ANALYSIS, DEGRADED, FACTS, FAILED, GEMINI, GPT, HAPPY, OPUS, QUESTION
from tests.tour.replay import COLUMNS, happened, live, result, saved

ABOUT = About(QUESTION, FACTS, panel=(GPT, OPUS, GEMINI))
SEEN = Look(COLUMNS - 1, has_colour=True)


def drawn(run: AskRun | AnalysisRun, *story: events.Event, unfinished: str = "", with_responses: bool = False) -> str:
    """Return a run as it is drawn, to which these events happened, one a second."""
    told = tuple(Happened(float(number), event) for number, event in enumerate(story))
    about = ABOUT._replace(happened=told, unfinished=unfinished)
    return rendered(RICH, run, about, with_responses=with_responses)


def test_what_is_drawn_later_is_what_the_live_view_left() -> None:
    """Panel, analysis and answer of the recorded run, to the last escape code; question and facts stand around them."""
    told = tuple(happened())
    about = About(QUESTION, FACTS, panel=[seat.label for seat in saved().plan.panel], happened=told)
    text = rendered(RICH, result(), about, SEEN)
    assert f"\n\n{live(told).strip()}\n\n" in text
    assert text.startswith(f"\x1b[1m{QUESTION}\x1b[0m\n\n")
    assert text.index("Sources:\n[1] https://sqlite.org/") < text.index(FACTS[0])


def test_without_its_pieces_it_is_the_same() -> None:
    """What came in pieces need not be kept for it."""
    pieces = (events.PanelDelta, events.OuterDelta, events.AnswerDelta)
    about = About(QUESTION, FACTS, panel=[seat.label for seat in saved().plan.panel], happened=tuple(happened()))
    whole = about._replace(happened=[it for it in about.happened if not isinstance(it.event, pieces)])
    assert len(whole.happened) < len(about.happened) / 2
    assert rendered(RICH, result(), whole, SEEN) == rendered(RICH, result(), about, SEEN)


def test_who_has_not_come_to_an_end_is_unfinished() -> None:
    """A run that was killed, or is under way: how long each was at work, by its last event."""
    text = drawn(
        FAILED.run,
        events.PanelAdded(GPT, GPT),
        events.PanelAdded(OPUS, OPUS),
        events.PanelDelta(OPUS, "", "hm"),
        events.Warned("slow"),
    )
    assert f"panel   {GPT}  unfinished after 3.0 s\npanel   {OPUS}  unfinished after 2.0 s\n" in text
    assert "failed after" not in text


def test_an_answer_that_broke_off_stands_as_far_as_it_came() -> None:
    """And below it why there is no more, and why there is no analysis."""
    text = drawn(FAILED.run, unfinished="**SQLite** is")
    assert "\n\nSQLite is\n" in text.replace("**", "")
    assert "judge   no analysis: all panel models failed\nanswer  none: HTTP 500: oops\n" in text


def test_a_warning_is_told_once() -> None:
    """Where it came, or at the end where no event told it."""
    warning = DEGRADED.run.warnings[0]
    assert " ".join(drawn(DEGRADED.run).split()).count(warning) == 1
    told = " ".join(drawn(DEGRADED.run, events.Warned(warning)).split())
    assert told.count(warning) == 1
    assert told.index(warning) < told.index(f"panel {GPT}")


def test_a_warning_about_the_answer_stands_below_it() -> None:
    """As the live view leaves it, which does not tear an answer apart."""
    ended = events.Warned("the answer was cut off"), events.AnswerCompleted("")
    run = HAPPY.run.model_copy(update={"answer": "So be it"})
    text = drawn(run, events.Warned("slow"), events.PanelAdded(GPT, GPT), *ended)
    assert text.index("warning: slow") < text.index("So be it\n") < text.index("\nwarning: the answer was cut off\n")


def test_responses_stand_below_the_panel_where_that_is_wanted() -> None:
    """Each under its name, with what cut it off; also where there is neither answer nor analysis."""
    assert "As soon as a second process" not in drawn(DEGRADED.run)
    text = drawn(DEGRADED.run, with_responses=True)
    assert f"\n{GPT}\n\n# SQLite\n" in text
    assert f"\n{GEMINI}, cut off\n\nPostgreSQL, from the\n" in text
    assert text.index(f"panel   {GEMINI}") < text.index(f"\n{GPT}\n") < text.index("\nSQLite.\n")
    assert f"\n{GEMINI}, cut off by its token limit\n" in drawn(HAPPY.run, with_responses=True)
    nothing_else = DEGRADED.run.model_copy(update={"answer": None, "status": "error"})
    assert f"\n{GEMINI}, cut off\n\nPostgreSQL, from the\n" in drawn(nothing_else)


def test_what_was_taken_up_says_from_where() -> None:
    """A response and an analysis of an earlier run took no time in this one."""
    usage = Usage()
    text = drawn(
        HAPPY.run,
        events.PanelCompleted(GPT, GPT, "x", 9.0, usage, truncated=False, from_run="20261128T094000000-aaaaaa"),
        events.AnalysisInProgress("z/judge", 3),
        events.AnalysisCompleted(Analysis.model_validate(ANALYSIS), 9.0, from_run="20261128T094000000-aaaaaa"),
    )
    assert f"panel   {GPT}  answered in the run 20261128T094000000-aaaaaa\n" in text
    assert "judge   z/judge  judged in the run 20261128T094000000-aaaaaa\n" in text


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_nothing_hostile_reaches_the_screen(width: int) -> None:
    """A run whose every text is an attack sends no code but those for styles."""
    run, question, facts, _ = hostile("http://trap.example/")
    about = About(question, facts, attacks("http://trap.example/"), panel=(question, OPUS))
    text = rendered(RICH, run, about, Look(width, has_colour=True), with_responses=True)
    emulator = Emulator(width, 24)
    emulator.feed(text)
    assert emulator.styles <= {"0", "1", "2", "3", "4", "9", "31", "32", "33", "34", "35", "36"} | {
        f"1;{code}" for code in range(31, 37)
    }
    assert "<script>" in emulator.text
