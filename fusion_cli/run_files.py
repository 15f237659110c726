"""Recorded runs, read back from their journals: found by id, prefix or `last`, whole or torn by a kill.

Opens files and reads them; writes nothing, calls nobody. A line that cannot be read is passed over and counted.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fusion_cli import run_lines
from fusion_cli.errors import UsageError
from fusion_cli.event_lines import PREFIX, VERSION
from fusion_cli.regular_files import open_regular
from fusion_cli.run_ids import ID, journals
from fusion_cli.terminal import as_escapes, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fusion_cli.choices import Choices
    from fusion_cli.earlier import Earlier
    from fusion_cli.events import AnalysisCompleted, PanelCompleted, PanelFailed
    from fusion_cli.plan import Plan

LAST = "last"
ANOTHER = "fusion runs list shows what there is."
_ID_BEGUN = r"[0-9][0-9T]*-?[0-9a-f]*"
_TAIL_BYTES = 16_384
_MAX_BYTES = 512_000_000


class RunSummary(NamedTuple):
    """What a list shows of a run.

    Attributes:
        status: ok, degraded, error, cancelled, running, unfinished or damaged.
        at: When it began, ISO 8601 in UTC; empty where that cannot be read.
        answered: How many panelists did; None where the run did not end.
        cost: US dollars; None where unknown.
        duration_s: How long the run took; None where it did not end.
    """

    run: str
    path: Path
    status: str
    at: str = ""
    command: str = ""
    parent: str | None = None
    question: str = ""
    panel: tuple[str, ...] = ()
    judge: str | None = None
    model: str | None = None
    answered: int | None = None
    total_tokens: int | None = None
    cost: float | None = None
    duration_s: float | None = None


class SavedRun(NamedTuple):
    """A run as far as it got.

    Attributes:
        prompt: What its panel was asked; None where it was not convened.
        told: The question in that.
        responses: By label; so are `failures` and `partial`, which holds what unfinished panelists had written.
        answer: The final one, whole.
        partial_answer: What there is of it otherwise.
        result: The object that `--json` printed, or would have; None where the run did not end.
        skipped: How many lines could not be read.
        warnings: What the user was told, a line each.
    """

    summary: RunSummary
    plan: Plan
    choices: Choices
    prompt: str | None
    told: str
    responses: dict[str, PanelCompleted]
    failures: dict[str, PanelFailed]
    partial: dict[str, str]
    analysis: AnalysisCompleted | None
    answer: str | None
    partial_answer: str
    result: dict[str, Any] | None
    skipped: int
    warnings: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        """The labels of the panelists that gave no response, where the panel was convened."""
        return [seat.label for seat in self.plan.panel if seat.label not in self.responses]

    def as_earlier(self, *, is_closed: bool = False) -> Earlier:
        """Return what stands of this run, for another one.

        Args:
            is_closed: Whether nobody of the panel, nor the judge, is asked again.
        """
        from fusion_cli.earlier import Earlier
        from fusion_cli.events import PanelFailed

        failures: dict[str, PanelFailed] = {}
        if is_closed:
            models = {seat.label: seat.model.slug for seat in self.plan.panel}
            for label in self.missing:
                unfinished = PanelFailed(label, models[label], "unfinished", None, self.partial.get(label, ""), 0.0)
                failures[label] = self.failures.get(label, unfinished)
        return Earlier(
            self.summary.run,
            self.prompt or "",
            self.told,
            self.responses,
            failures,
            self.analysis,
            is_judged=is_closed,
            answer=None if is_closed else self.answer,
        )


def find(folder: Path, name: str, *, command: str | None = None, is_over: bool = False) -> Path:
    """Return a run's file: `last`, a file's path, an id, or the beginning of one.

    Args:
        folder: Where runs are kept.
        name: What was asked for.
        command: Of which command the last one is meant; None is any.
        is_over: Whether one that is still under way is not meant.

    Raises:
        UsageError: There is none, or several ids begin so.
        FusionError: The folder cannot be read.
    """
    if name == LAST:
        return _last(folder, command, is_over=is_over)
    if re.fullmatch(_ID_BEGUN, name):
        found = [path for path in journals(folder) if path.stem.startswith(name)]
        if len(found) == 1 or (found and found[0].stem == name):
            return found[0]
        if found:
            newest = ", ".join(path.stem for path in found[:-6:-1])
            said = f"the newest are {newest}" if found[5:] else newest
            raise UsageError(f"{len(found)} runs begin with {name}: {said}")
    with suppress(OSError):  # longer than a name can be
        if name and Path(name).is_file():
            return Path(name)
    raise UsageError(f"there is no run {one_line(name, 80)}", hint=ANOTHER)


def _last(folder: Path, command: str | None, *, is_over: bool) -> Path:
    paths = journals(folder)
    running = None
    for path in filter(_has_begun, reversed(paths)):
        if command not in (None, summary(path).command):
            continue
        if not (is_over and is_running(path)):
            return path
        running = running or path
    if running:
        raise under_way(running.stem)
    if paths and command:
        raise UsageError(f"there is no run of fusion {command} yet", hint=ANOTHER)
    said = one_line(str(folder), 200)
    raise UsageError("there is no run yet", hint=f"Runs are kept in {said}, unless --no-save says otherwise.")


def under_way(run: str) -> UsageError:
    """Return what is said when a run that is not over is to be taken up."""
    return UsageError(f"the run {run} is still under way", hint="Wait for its end, or end it first.")


def _has_begun(path: Path) -> bool:
    """Tell whether anything stands in a file: where a full disk took nothing, an empty one may have stayed."""
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def recorded(folder: Path, run: str) -> Path | None:
    """Return the file of the run with this whole id; None where it is not kept here, or `run` is no id."""
    path = folder / f"{run}.jsonl"
    return path if re.fullmatch(ID, run) and path.is_file() else None


def journal_named(folder: Path, name: str) -> Path | None:
    """Return the journal that a name means, where it means one and no other file.

    Raises:
        UsageError: It can only mean a run, and there is no such.
        FusionError: The folder cannot be read.
    """
    path = Path(name)
    if name == "-" or (name != LAST and not re.fullmatch(_ID_BEGUN, name) and not path.is_file()):
        return None
    if name != LAST and path.is_file():
        try:
            with path.open("rb") as file:
                return path if file.read(80).startswith(f'{{"type":"{PREFIX}created"'.encode()) else None
        except OSError:
            return None
    return find(folder, name, is_over=True)


def read(path: Path) -> SavedRun:
    """Return a run from its journal.

    Raises:
        UsageError: It cannot be read, is no journal, or its beginning is damaged.
    """
    lines, skipped = run_lines.parsed(_bytes(path))
    created = lines[0]
    if created.get("type") != f"{PREFIX}created":
        said = one_line(str(path), 200)
        if _is_printed(_bytes(path)):
            raise UsageError(
                f"{said} is what --json printed of a run, and no journal of one",
                hint="fusion judge reads it. What can be shown is what fusion runs export -o FILE.jsonl writes.",
            )
        raise UsageError(f"{said} is no run's journal, or its beginning is damaged", hint=ANOTHER)
    if created.get("version") != VERSION:
        raise UsageError(f"{one_line(str(path), 200)} was written by another version of fusion ({VERSION} is read)")
    try:
        return _Reader(path).read(lines, skipped)
    except (AttributeError, KeyError, TypeError, ValueError):  # pydantic's are ValueErrors
        raise UsageError(f"{one_line(str(path), 200)} is damaged: its plan cannot be read", hint=ANOTHER) from None


def _is_printed(data: bytes) -> bool:
    """Tell whether this is the object that `--json` printed of a run."""
    value = run_lines.object_in(data)
    return value is not None and {"status", "usage", "version"} <= value.keys()


def summaries(folder: Path, limit: int | None = None) -> list[RunSummary]:
    """Return the runs in a folder, the newest ones first; only the first and last line of each file are read.

    Raises:
        FusionError: The folder cannot be read.
    """
    return [summary(path) for path in journals(folder)[::-1][:limit]]


def raw_lines(path: Path) -> str:
    """Return a journal's lines as they stand, but for those that cannot be read; what is no text is escaped.

    Raises:
        UsageError: The file cannot be read.
    """
    lines = (line.rstrip(b"\n") + b"\n" for line in BytesIO(_bytes(path)) if run_lines.object_in(line) is not None)
    return as_escapes(b"".join(lines).decode("utf-8", "replace"))


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """Return the objects of a journal's lines, one at a time, but for those that cannot be read.

    Raises:
        UsageError: The file cannot be read.
    """
    return (line for each in BytesIO(_bytes(path)) if (line := run_lines.object_in(each)) is not None)


def summary(path: Path) -> RunSummary:
    """Return what a list shows of one run; never raises for what is in the file."""
    try:
        with open_regular(path) as file:
            head = file.readline(64 * 1024)
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            tail = file.read()
            is_running = _is_locked(file.fileno())
    except OSError:
        return RunSummary(path.stem, path, "damaged")
    created = run_lines.parsed(head)[0][0]
    ended = next((line for line in reversed(run_lines.parsed(tail)[0]) if line.get("type") == f"{PREFIX}ended"), None)
    return _summary(path, created, ended, is_running=is_running)


def is_running(path: Path) -> bool:
    """Tell whether a process is still writing this run."""
    try:
        with open_regular(path) as file:
            return _is_locked(file.fileno())
    except OSError:
        return False


def _bytes(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{one_line(str(path), 200)}: {error.strerror or error}") from None
    if len(data) > _MAX_BYTES:
        raise UsageError(f"{one_line(str(path), 200)} is larger than {_MAX_BYTES // 1_000_000} MB")
    return data


def _is_locked(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _summary(
    path: Path, created: dict[str, Any], ended: dict[str, Any] | None, *, is_running: bool = False
) -> RunSummary:
    if created.get("type") != f"{PREFIX}created":
        return RunSummary(path.stem, path, "damaged")
    said = run_lines.text(created, "run")  # a file that was exported may be called anything
    run = said if re.fullmatch(ID, said) and not re.fullmatch(ID, path.stem) else path.stem
    status = "running" if is_running else "unfinished"
    if ended:
        status = "degraded" if ended.get("status") == "ok" and ended.get("degraded") else str(ended.get("status"))
        status = "cancelled" if ended.get("failure_reason") == "cancelled" else status
    panel = created.get("panel")
    ended = ended or {}
    return RunSummary(
        run,
        path,
        status,
        run_lines.text(created, "at"),
        run_lines.text(created, "command"),
        run_lines.text(created, "parent") or None,
        run_lines.text(created, "question"),
        tuple(str(label) for label in panel) if isinstance(panel, list) else (),
        run_lines.text(created, "judge") or None,
        run_lines.text(created, "model") or None,
        run_lines.count(ended, "answered"),
        run_lines.count(ended, "total_tokens"),
        run_lines.number(ended, "cost"),
        run_lines.number(ended, "t"),
    )


class _Reader:
    """Puts a run together from its lines."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, lines: list[dict[str, Any]], skipped: int) -> SavedRun:
        """Return the run; what it raises where there is no plan to read, `read` expects."""
        from fusion_cli import choices, events, plan

        by_type: dict[str, list[dict[str, Any]]] = {}
        partial: dict[str, str] = {}
        partial_answer = ""
        for line in lines:
            kind = run_lines.text(line, "type").removeprefix(PREFIX)
            by_type.setdefault(kind, []).append(line)
            label = run_lines.text(line, "label")
            if kind == "panel.delta":
                partial[label] = partial.get(label, "") + run_lines.text(line, "text")
            elif kind == "panel.tool_call":  # what stood before it is no part of the response
                partial.pop(label, None)
            elif kind in ("outer.delta", "answer.delta"):
                partial_answer += run_lines.text(line, "text")
            elif kind in ("outer.discarded", "in_progress"):
                partial_answer = ""
        [planned, *_] = by_type["planned"]
        read_plan = run_lines.as_kind(planned["plan"], plan.Plan)
        read_choices = run_lines.as_kind(planned["choices"], choices.Choices)
        completed = run_lines.events_of(by_type.get("panel.completed", ()), events.PanelCompleted)
        failed = run_lines.events_of(by_type.get("panel.failed", ()), events.PanelFailed)
        responses = {event.label: event for event in completed}
        asked = by_type.get("in_progress", [{}])[-1]
        ended = by_type.get("ended", [None])[-1]
        answers = by_type.get("answer.completed", [])
        return SavedRun(
            _summary(self._path, lines[0], ended, is_running=is_running(self._path)),
            read_plan,
            read_choices,
            run_lines.text(asked, "prompt") or None,
            run_lines.text(asked, "told"),
            responses,
            {event.label: event for event in failed if event.label not in responses},
            {label: text for label, text in partial.items() if label not in responses and text.strip()},
            run_lines.analysis_in(by_type.get("analysis.completed", ())),
            run_lines.text(answers[-1], "text") if answers else None,
            partial_answer,
            next((line["run"] for line in by_type.get("completed", ()) if isinstance(line.get("run"), dict)), None),
            skipped,
            tuple(run_lines.text(line, "text") for line in by_type.get("warning", ())),
        )
