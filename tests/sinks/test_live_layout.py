"""Promises of `sinks.live.layout`: whatever the panel does, its blocks fit the screen and say what matters most."""

import pytest

from fusion_cli import events
from fusion_cli.events import Event
from fusion_cli.sinks.live.layout import clock, frame
from fusion_cli.sinks.live.state import View
from fusion_cli.sinks.live.wrapping import cells
from tests.sinks.live_runs import CAST, LABELS, TEXT, judged, panel_at_work, rest_of_panel
from tests.sinks.snapshots import the_same

NOW = 75.0


def lines_of(*happened: Event, width: int = 80, height: int = 22, now: float = NOW) -> list[str]:
    """Return the frame after these events, as it is read."""
    view = View(CAST, 0.0)
    for event in happened:
        view.take(event, 70.0)
    return ["".join(text for text, _ in line) for line in frame(view, {}, now, width, height)]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_panel_at_work(width: int) -> None:
    """One writes, one waits to try again, one has failed: as reviewed."""
    the_same(f"panel-{width}", "\n".join(lines_of(*panel_at_work(), width=width)) + "\n")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_panel_that_is_done(width: int) -> None:
    """Time, tokens and cost of those who answered stand where there is room for them."""
    the_same(f"panel-done-{width}", "\n".join(lines_of(*panel_at_work(), *rest_of_panel(), width=width)) + "\n")


@pytest.mark.parametrize("width", [20, 40, 41, 79, 200])
@pytest.mark.parametrize("height", [3, 18, 23, 48])
@pytest.mark.parametrize("seats", range(1, 9))
def test_every_size_fits(width: int, height: int, seats: int) -> None:
    """From 1 to 8 panelists, nothing is wider or higher than the screen, and everybody is there where they can be."""
    asked: list[Event] = [events.FusionInProgress("", "Which? " * 40), events.Warned("beware " * 40)]
    for number in range(seats):
        label = f"作者/モデル-with-a-long-name-{number}"
        asked += [events.PanelAdded(label, label), events.PanelDelta(label, TEXT + "x" * 3000, "")]
    lines = lines_of(*asked, width=width, height=height)
    assert max(map(cells, lines)) <= width
    assert len(lines) <= height
    assert sum("●" in line for line in lines) == (seats if seats <= height else height - 1)


def test_little_room_takes_lines_of_text_first() -> None:
    """Three lines a panelist, then fewer, then none; only then are panelists left out, those first who are over."""
    work = panel_at_work()
    assert [len(lines_of(*work, height=height)) for height in (22, 6, 4, 3)] == [7, 5, 4, 3]
    assert lines_of(*work, height=2)[-1] == "and 2 more"
    assert LABELS[0] in lines_of(*work, height=2)[0]


def test_the_judge_says_what_it_does_and_how_far_it_is() -> None:
    """How much it has written is estimated, as what it writes is for no person to read."""
    begun = judged()[:3]
    assert lines_of(begun[0]) == ["judge   z/judge  reads 2 responses  5 s"]
    assert lines_of(*begun) == ["judge   z/judge  reads 2 responses, writing  5 s  ~120 tokens"]


@pytest.mark.parametrize(
    "earlier",
    [
        events.CallRetried("judge", "z/judge", 2, 1.0, "HTTP 500: asked to", 500),
        events.AnalysisToolCall(1, "web_fetch", "https://e.org/", "started", ""),
    ],
    ids=["failed", "looked up"],
)
def test_what_the_judge_did_before_is_gone_when_it_writes(earlier: Event) -> None:
    """Neither an error that is over nor a page that was read stands beside what it does now."""
    begun = [*judged()[:1], earlier]
    assert "reads 2 responses" not in lines_of(*begun)[0]
    written = lines_of(*begun, events.AnalysisDelta(80, 0))
    assert written == ["judge   z/judge  reads 2 responses, writing  5 s  ~20 tokens"]


def test_the_engine_comes_before_everybody() -> None:
    """How far a download is stands alone until somebody is asked."""
    progress = events.WeightsProgress("qwen", 123_000_000, 400_000_000, "the index", "MIT")
    assert lines_of(progress) == ["engine  fetching qwen: 123 of 400 MB, 30%"]
    assert lines_of(progress, events.EngineStarting("qwen")) == ["engine  loading qwen"]
    assert lines_of(progress, *panel_at_work()) == lines_of(*panel_at_work())


def test_who_is_waited_for_before_the_answer() -> None:
    """After the analysis the outer model is at work, though nothing has come from it."""
    assert lines_of(*judged()) == ["answer  openai/gpt-5  waiting  5 s"]


def test_a_retry_counts_down() -> None:
    """Each second says how long it still takes."""
    work = panel_at_work()
    assert "tries again in 12 s (HTTP 429: slow down)" in lines_of(*work, now=70.0)[-2]
    assert "tries again in 1 s" in lines_of(*work, now=81.5)[-2]
    assert "tries again  " in lines_of(*work, now=82.0)[-2]


@pytest.mark.parametrize(("seconds", "said"), [(0.9, "0 s"), (59.9, "59 s"), (60, "1:00 min"), (754, "12:34 min")])
def test_time_as_it_is_read(seconds: float, said: str) -> None:
    """Minutes are shown as such."""
    assert clock(seconds) == said
