"""Promises of `sinks.journal`: what was paid for is on the disk before anybody hears of it, whatever the disk does."""

import asyncio
import errno
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fusion_cli import events
from fusion_cli.chat import Usage
from fusion_cli.choices import Choices
from fusion_cli.errors import InterruptError
from fusion_cli.events import Event, fan_out
from fusion_cli.run_files import is_running
from fusion_cli.sinks.journal import Disk, Journal
from tests.story.scripted import plan

ODD = 'Zwölf\u2028 🥊 \ud83d \x00 \x1b[31m "\\'
POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions and locks")


class Failing(Disk):
    """A disk that refuses the writes with these numbers, the first being 1, and takes at most `most` bytes at once."""

    def __init__(self, *refused: int, most: int | None = None, error: int = errno.ENOSPC) -> None:
        self.refused, self.most, self.error = refused, most, error
        self.writes = self.syncs = 0

    def write(self, file: int, data: bytes) -> int:
        """Write, or do not."""
        self.writes += 1
        if self.writes in self.refused:
            raise OSError(self.error, os.strerror(self.error))
        return os.write(file, data[: self.most])

    def sync(self, file: int) -> None:
        """Count."""
        self.syncs += 1


def journal(folder: Path, told: list[str] | None = None, disk: Disk | None = None) -> Journal:
    """Return a journal of a run of two panelists."""
    complaints = told if told is not None else []
    return Journal(folder, "ask", plan(), Choices(judge="j"), None, complaints.append, disk)


def answered(label: str = "a", content: str = "now", from_run: str | None = None) -> events.PanelCompleted:
    """Return a panelist's success."""
    return events.PanelCompleted(label, label, content, 1.0, Usage(), truncated=False, from_run=from_run)


def failed(partial: str = "half", from_run: str | None = None) -> events.PanelFailed:
    """Return a panelist's failure."""
    return events.PanelFailed("b", "b", "HTTP 500: no", 500, partial, 1.0, from_run)


def lines(path: Path) -> list[dict[str, Any]]:
    """Return what stands in a journal, every line of which must be whole."""
    data = path.read_bytes()
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


def types(path: Path) -> list[str]:
    """Return the types of a journal's lines."""
    return [line["type"].removeprefix("fusion_call.") for line in lines(path)]


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so, for as long as a slow machine needs."""
    async with asyncio.timeout(20):
        while not is_so():  # noqa: ASYNC110  # a file tells nobody that it has grown
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("event", [answered(), failed(), events.AnswerCompleted("done")])
def test_what_is_finished_is_on_the_disk_before_the_next_sink_hears_of_it(tmp_path: Path, event: Event) -> None:
    """When a view says "answered" or "failed", the file has it and has been flushed to the disk."""
    disk = Failing()
    kept = journal(tmp_path, disk=disk)
    found: list[tuple[str, int]] = []
    emit = fan_out([kept, lambda event: found.append((types(kept.path)[-1], disk.syncs))])
    emit(event)
    assert found == [(event.type, 1)]
    kept.close()


def test_a_signal_is_no_error_of_a_sink() -> None:
    """An interruption that comes while a sink works ends the run, and not the sink; whatever else breaks ends that."""

    def interrupted(_event: Event) -> None:
        raise InterruptError(2)

    def broken(_event: Event) -> None:
        raise ZeroDivisionError

    fan_out([broken])(answered())
    with pytest.raises(InterruptError):
        fan_out([broken, interrupted])(answered())


def test_the_head_says_what_the_run_is(tmp_path: Path) -> None:
    """Id, time, command, question and panel stand in the first line, the plan and what was chosen in the second."""
    kept = journal(tmp_path)
    kept(answered())
    kept.close()
    created, planned, *_ = lines(kept.path)
    assert created["run"] == kept.run == kept.path.stem
    assert created["at"].replace("-", "").replace(":", "").rstrip("Z") == kept.run[:15]
    assert (created["command"], created["question"], created["panel"]) == ("ask", "the question", ["a", "b"])
    assert planned["plan"]["prompt"]["material"] == "the material"
    assert planned["choices"]["judge"] == "j"


def test_text_comes_back_as_it_was(tmp_path: Path) -> None:
    """Controls, half characters and what JSON escapes are in the file, one line an event."""
    kept = journal(tmp_path)
    kept(answered(content=ODD))
    kept.close()
    assert lines(kept.path)[-1]["content"] == ODD


def test_the_text_of_an_unfinished_response_follows_soon(tmp_path: Path) -> None:
    """Without any end of anything, deltas are in the file well within a second, joined to a line a panelist."""

    async def write() -> float:
        kept = journal(tmp_path)
        begun = time.monotonic()
        for text in ("Once ", "upon "):
            kept(events.PanelDelta("a", text, ""))
            kept(events.PanelDelta("b", text.upper(), ""))
        await until(lambda: kept.path.exists() and types(kept.path)[2:] == ["panel.delta"] * 2)
        took = time.monotonic() - begun
        assert [line["text"] for line in lines(kept.path)[2:]] == ["Once upon ", "ONCE UPON "]
        kept(events.PanelDelta("a", "a time", ""))
        await until(lambda: len(lines(kept.path)) == 5)
        kept.close()
        return took

    assert asyncio.run(write()) < 5  # half a second, and the hiccups of a busy machine


def test_the_outer_models_words_follow_too(tmp_path: Path) -> None:
    """What it writes before and after the panel is kept apart."""
    kept = journal(tmp_path)
    kept(events.OuterDelta("Let me ask."))
    kept(events.AnswerDelta("It "))
    kept(events.AnswerDelta("depends."))
    kept.close()
    said = [(line["type"], line["text"]) for line in lines(kept.path)[2:]]
    assert said == [("fusion_call.outer.delta", "Let me ask."), ("fusion_call.answer.delta", "It depends.")]


def test_whole_responses_are_not_written_twice(tmp_path: Path) -> None:
    """A delta that a finished response holds is left out; a failed one's stands before its failure."""
    kept = journal(tmp_path)
    kept(events.PanelDelta("a", "no", ""))
    kept(answered())
    kept(events.PanelDelta("b", "ha", ""))
    kept(failed())
    kept.close()
    assert types(kept.path)[2:] == ["panel.completed", "panel.delta", "panel.failed"]


@POSIX
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_nobody_else_can_read_it(tmp_path: Path, umask: int) -> None:
    """The file is its owner's alone, in a folder that is, whatever the umask."""
    before = os.umask(umask)
    try:
        kept = journal(tmp_path / "deep" / "runs")
        kept(answered())
        kept.close()
    finally:
        os.umask(before)
    assert kept.path.stat().st_mode & 0o777 == 0o600
    assert kept.path.parent.stat().st_mode & 0o777 == 0o700


@POSIX
def test_it_says_that_it_is_under_way(tmp_path: Path) -> None:
    """The file is locked from its first line to the end of the run."""
    kept = journal(tmp_path)
    kept(answered())
    assert is_running(kept.path)
    kept.close()
    assert not is_running(kept.path)


def test_fifty_runs_of_one_second_are_fifty_files(tmp_path: Path) -> None:
    """Two runs at once do not write into one another's file."""
    for _ in range(50):
        kept = journal(tmp_path)
        kept(answered())
        kept.close()
    assert len(list(tmp_path.iterdir())) == 50


def test_nothing_is_written_for_a_run_that_never_began(tmp_path: Path) -> None:
    """Neither file nor folder is left of a plan alone, nor of a download's progress."""
    kept = journal(tmp_path / "runs")
    kept(events.WeightsProgress("m", 1, 2, "hub", "MIT"))
    kept.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("nth", range(1, 7))
def test_a_write_that_fails_costs_nothing_once_the_disk_is_better(tmp_path: Path, nth: int) -> None:
    """Whichever write fails, the next one goes on at the same byte, and it was said once."""
    told: list[str] = []
    kept = journal(tmp_path, told, Failing(nth))
    for number in range(6):
        kept(answered(f"seat {number}"))
    kept.close()
    assert [line["label"] for line in lines(kept.path)[2:]] == [f"seat {number}" for number in range(6)]
    assert told == [f"this run is not kept: {tmp_path}: No space left on device"]


@pytest.mark.parametrize("most", [1, 7, 100])
def test_a_write_that_is_taken_in_part_goes_on_at_the_same_byte(tmp_path: Path, most: int) -> None:
    """A disk that takes a few bytes at a time, and fails in between, leaves every line whole."""
    kept = journal(tmp_path, disk=Failing(3, 5, 6, most=most))
    for number in range(4):
        kept(answered(f"seat {number}", ODD))
    kept.close()
    assert [line["content"] for line in lines(kept.path)[2:]] == [ODD] * 4


def test_a_disk_that_stays_full_is_complained_of_once(tmp_path: Path) -> None:
    """However many events come, there is one line, and the run does not fail."""
    told: list[str] = []
    kept = journal(tmp_path, told, Failing(*range(1, 100)))
    for _ in range(20):
        kept(answered())
    kept.close()
    assert len(told) == 1
    assert not kept.has_kept


@pytest.mark.parametrize("disk", [Failing(*range(1, 100)), Failing(*range(2, 100), most=100)], ids=["none", "little"])
def test_a_disk_without_room_keeps_no_empty_file(tmp_path: Path, disk: Disk) -> None:
    """A file that does not even say which run it is of is taken away again."""
    kept = journal(tmp_path, disk=disk)
    kept(answered())
    assert kept.path.exists()
    kept.close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_is_complained_of(tmp_path: Path) -> None:
    """A file where the folder should be is named, and nothing is raised."""
    (tmp_path / "runs").write_text("in the way")
    told: list[str] = []
    kept = journal(tmp_path / "runs", told)
    kept(answered())
    kept.close()
    assert [str(tmp_path / "runs") in said for said in told] == [True]
    assert not kept.has_kept


def test_text_is_not_hoarded_while_the_disk_is_full(tmp_path: Path) -> None:
    """What cannot be written and will come whole is left out, and the whole response is there afterwards."""
    kept = journal(tmp_path, disk=Failing(1))
    kept(failed())
    for _ in range(1000):
        kept(events.PanelDelta("a", "x" * 1000, ""))
    kept(answered(content="x" * 1_000_000))
    kept.close()
    assert types(kept.path)[2:] == ["panel.failed", "panel.completed"]


def test_half_a_text_has_no_hole(tmp_path: Path) -> None:
    """Of a text some of which the disk did not take, what is kept is its beginning, and nothing behind the gap."""
    kept = journal(tmp_path, disk=Failing(2))
    kept(events.PanelDelta("a", "one ", ""))
    kept(failed())
    kept(failed())  # the disk is full
    kept(events.PanelDelta("a", "two ", ""))
    kept(failed())  # and better again
    kept(events.PanelDelta("a", "three", ""))
    kept(events.PanelDelta("b", "another", ""))
    kept.close()
    deltas = [(line["label"], line["text"]) for line in lines(kept.path) if line["type"].endswith("panel.delta")]
    assert deltas == [("a", "one "), ("b", "another")]


@pytest.mark.parametrize(
    ("event", "has_kept"),
    [
        (answered(), True),
        (failed(), True),
        (events.AnswerCompleted("done"), True),
        (events.AnswerDelta("It dep"), True),
        (events.OuterDelta("It dep"), True),
        (events.OuterDelta(""), False),
        (failed(partial=""), False),
        (answered(from_run="20261128T000000-abcdef"), False),
        (failed(from_run="20261128T000000-abcdef"), False),
        (events.FusionInProgress("p", "p"), False),
    ],
    ids=lambda value: getattr(value, "type", str(value)),
)
def test_what_is_worth_going_back_to(tmp_path: Path, event: Event, has_kept: bool) -> None:
    """A run has kept something where a model wrote it in this run, whole or in part."""
    kept = journal(tmp_path)
    kept(event)
    kept.close()
    assert kept.has_kept is has_kept


def test_words_before_a_tool_call_are_not_worth_going_back_to(tmp_path: Path) -> None:
    """A run that was ended in its panel has kept nothing of it because its outer model said that it would ask."""
    kept = journal(tmp_path)
    kept(events.OuterDelta("Let me ask."))
    kept(events.OuterDiscarded())
    kept.close()
    assert not kept.has_kept
