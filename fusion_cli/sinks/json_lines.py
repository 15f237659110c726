"""A run's events as JSON, a line each, as they happen: `--format jsonl`. What it writes with is handed in.

All outside ASCII is escaped, controls included, so that a line is safe on a terminal and in any encoding.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fusion_cli.event_lines import created_line, ended_line, event_lines, planned_line
from fusion_cli.events import Event, RunCompleted

if TYPE_CHECKING:
    from collections.abc import Callable

    from fusion_cli.choices import Choices
    from fusion_cli.plan import Plan


class JsonLines:
    """Write a run's events.

    Args:
        write: Takes a line with its end, and lets it out at once.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._started = time.monotonic()
        self._beginning: tuple[dict[str, Any], ...] = ()

    def begin(self, run: str | None, at: str, command: str, plan: Plan, choices: Choices, parent: str | None) -> None:
        """Take what stands before the events; it waits for `start`, as a run that is refused is none.

        Args:
            run: Its id; None where it is not kept.
            at: When it began, in ISO 8601.
            command: ask, analyze or judge.
            plan: What it is going to do.
            choices: What was chosen explicitly.
            parent: The run that it takes up.
        """
        self._beginning = (created_line(run, at, command, plan, parent), planned_line(plan, choices, 0.0))

    def start(self) -> None:
        """Write what stands before the events, unless it has been: somebody is asked, or there is something to tell."""
        beginning, self._beginning = self._beginning, ()
        for line in beginning:
            self._put(line)

    def begin_without_plan(self, command: str) -> None:
        """Write the first line of a run that ends before it was planned."""
        self._put(created_line(None, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", command, None, None))

    def __call__(self, event: Event) -> None:
        """Write one event, and after the last one how the run ended."""
        if self._beginning and isinstance(event, RunCompleted):  # nobody was asked, and it may not be kept
            self._beginning[0]["run"] = event.run.run
        self.start()
        t = time.monotonic() - self._started
        for line in event_lines(event, t):
            self._put(line)
        if isinstance(event, RunCompleted):
            self._put(ended_line(event.run, t))

    def _put(self, line: dict[str, Any]) -> None:
        self._write(json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n")
