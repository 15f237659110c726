"""Writes a run to disk as it happens, a JSON line an event: whatever ends the process, what was paid for is kept.

A response is on the disk before the next sink hears of it; the text of an unfinished one follows within half a second.
A journal that cannot be written says so once, keeps what is finished, and tries again.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fusion_cli import events
from fusion_cli.event_lines import created_line, encoded, ended_line, event_lines, mark_lines, planned_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fusion_cli.choices import Choices
    from fusion_cli.plan import Plan

_DELAY_S = 0.5
_FINISHED = (
    events.PanelCompleted,
    events.PanelFailed,
    events.AnalysisCompleted,
    events.AnswerCompleted,
    events.RunCompleted,
)


class Disk:
    """What a journal needs of the operating system, beside opening."""

    def write(self, file: int, data: bytes) -> int:
        """Write as much as is taken, and return how much that is."""
        return os.write(file, data)

    def sync(self, file: int) -> None:
        """Wait until what was written survives a power cut."""
        os.fsync(file)


class Journal:
    """One run's file.

    Args:
        folder: Where the file goes, made when it is needed.
        command: ask, analyze or judge.
        plan: What the run is going to do.
        choices: What was chosen explicitly.
        parent: The run that it takes up.
        complain: Told in one line that the run cannot be kept; called once.
        disk: What writes.

    Attributes:
        run: The run's id; it begins with the time, in UTC and milliseconds, so that ids sort as runs began.
        path: The file.
        has_failed: Whether something could not be written.
    """

    def __init__(
        self,
        folder: Path,
        command: str,
        plan: Plan,
        choices: Choices,
        parent: str | None,
        complain: Callable[[str], None],
        disk: Disk | None = None,
    ) -> None:
        self._disk = disk or Disk()
        now = datetime.now(UTC)
        self.run = f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03}-{os.urandom(3).hex()}"
        self.path = folder / f"{self.run}.jsonl"
        self._complain = complain
        self._started = time.monotonic()
        self._file: int | None = None
        self._waiting = b"".join(
            (
                encoded(created_line(self.run, f"{now:%Y-%m-%dT%H:%M:%S}Z", command, plan, parent)),
                encoded(planned_line(plan, choices, 0.0)),
            )
        )
        self._head_left = len(self._waiting)
        self._texts: dict[tuple[type[Any], str], list[str]] = {}
        self._thinking: set[str] = set()
        self._with_gaps: set[tuple[type[Any], str]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.has_failed = False
        self._holds_text = self._holds_words = False

    def __call__(self, event: events.Event) -> None:
        """Take one event in."""
        match event:
            case events.PanelDelta(label, text, reasoning):
                if (
                    reasoning and label not in self._thinking
                ):  # when it began to think is worth a line, what it thought is not
                    self._thinking.add(label)
                    self._put(*mark_lines(event._replace(text=""), self._t))
                self._gather(events.PanelDelta, label, text)
            case events.OuterDelta(text) | events.AnswerDelta(text):
                self._gather(type(event), "", text)
            case events.WeightsProgress() | events.AnalysisDelta():
                return
            case _:
                if isinstance(event, events.PanelCompleted):  # which has it whole
                    self._texts.pop((events.PanelDelta, event.label), None)
                self._put_texts()
                if isinstance(event, events.OuterDiscarded):  # what stands before a tool call is no answer
                    self._holds_words = False
                self._put(*event_lines(event, self._t))
                if isinstance(event, events.RunCompleted):
                    self._put(ended_line(event.run, self._t))
                if isinstance(event, _FINISHED):
                    self._holds_text = self._holds_text or _is_paid_for(event)
                    self._write(is_finished=True)
                    return
        if self._timer is None:
            with suppress(RuntimeError):  # no loop, no run
                self._timer = asyncio.get_running_loop().call_later(_DELAY_S, self._on_timer)

    @property
    def has_kept(self) -> bool:
        """Whether something that was paid for is on the disk."""
        return (self._holds_text or self._holds_words) and not self.has_failed

    def close(self) -> None:
        """Write what is left and close the file; a run that never began leaves none, nor one that found no room."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._file is None and not self.has_failed and not self._has_begun:
            return
        self._put_texts()
        self._write(is_finished=True)
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
                if self._head_left > 0:  # it would be the last run, and nothing can be read of it
                    self.path.unlink()
            self._file = None

    @property
    def _has_begun(self) -> bool:
        return self._waiting.count(b"\n") > 2 or bool(self._texts)

    @property
    def _t(self) -> float:
        return time.monotonic() - self._started

    def _put(self, *lines: dict[str, Any]) -> None:
        self._waiting += b"".join(map(encoded, lines))

    def _gather(self, kind: type[Any], label: str, text: str) -> None:
        if self.has_failed:  # what cannot be written now is not hoarded: the end brings it whole
            self._with_gaps.add((kind, label))
        elif text and (kind, label) not in self._with_gaps:  # half a text is worth keeping, one with a hole is not
            self._texts.setdefault((kind, label), []).append(text)

    def _put_texts(self) -> None:
        for (kind, label), parts in self._texts.items():
            text = "".join(parts)
            event = kind(label, text, "") if kind is events.PanelDelta else kind(text)
            self._holds_words = self._holds_words or kind is not events.PanelDelta
            self._put(*event_lines(event, self._t))
        self._texts.clear()

    def _on_timer(self) -> None:
        self._timer = None
        self._put_texts()
        self._write(is_finished=False)

    def _write(self, *, is_finished: bool) -> None:
        """Write all that waits; what the disk does not take stays, to go on with at the same byte."""
        try:
            if self._file is None:
                self._file = self._open()
            while self._waiting:
                taken = self._disk.write(self._file, self._waiting)
                self._waiting = self._waiting[taken:]
                self._head_left -= taken
            if is_finished:
                self._disk.sync(self._file)
            self.has_failed = False
        except OSError as error:
            if not self.has_failed:
                self.has_failed = True
                self._complain(f"this run is not kept: {self.path.parent}: {error.strerror or error}")

    def _open(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(
            self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o600
        )
        with suppress(ImportError):  # says that the run is under way; Windows has no such lock
            import fcntl

            for _ in range(20):  # somebody who lists the runs may hold it for a moment
                with suppress(OSError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                time.sleep(0.001)
        return file


def _is_paid_for(event: events.Event) -> bool:
    """Tell whether a model's text is in a finished event; a run that took everything up has none of its own."""
    match event:
        case events.PanelCompleted() | events.AnalysisCompleted():
            return event.from_run is None
        case events.PanelFailed():
            return event.from_run is None and bool(event.partial)
    return isinstance(event, events.AnswerCompleted)
