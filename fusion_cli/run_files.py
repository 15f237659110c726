"""Recorded runs, read back from their journals: found by id, prefix or `last`, whole or torn by a kill.

Opens files and reads them; writes nothing, calls nobody. A line that cannot be read is passed over and counted.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fusion_cli.errors import UsageError
from fusion_cli.event_lines import PREFIX, VERSION
from fusion_cli.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fusion_cli.choices import Choices
    from fusion_cli.earlier import Earlier
    from fusion_cli.events import AnalysisCompleted, PanelCompleted, PanelFailed
    from fusion_cli.plan import Plan

LAST = "last"
_ID = r"[0-9]{8}T[0-9]{9}-[0-9a-f]{6}"
_ID_BEGUN = r"[0-9]{8}T?[0-9]{0,9}-?[0-9a-f]{0,6}"
_TAIL_BYTES = 4096
_MAX_BYTES = 512_000_000


class RunSummary(NamedTuple):
    """What a list shows of a run.

    Attributes:
        status: ok, degraded, error, cancelled, running, unfinished or damaged.
        at: When it began, ISO 8601 in UTC; empty where that cannot be read.
        answered: How many panelists did; None where the run did not end.
        cost: US dollars; None where unknown.
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


def find(folder: Path, name: str, *, command: str | None = None) -> Path:
    """Return a run's file: `last`, a file's path, an id, or the beginning of one.

    Args:
        folder: Where runs are kept.
        name: What was asked for.
        command: Of which command the last one is meant; None is any.

    Raises:
        UsageError: There is none, or several ids begin so.
    """
    paths = _journals(folder)
    if name == LAST:
        for path in reversed(paths):
            if command in (None, summary(path).command):
                return path
        said = one_line(str(folder), 200)
        raise UsageError("there is no run yet", hint=f"Runs are kept in {said}, unless --no-save says otherwise.")
    if re.fullmatch(r"[0-9][0-9T]*-?[0-9a-f]*", name):
        found = [path for path in paths if path.stem.startswith(name)]
        if len(found) == 1 or (found and found[0].stem == name):
            return found[0]
        if found:
            raise UsageError(f"{len(found)} runs begin with {name}: {', '.join(path.stem for path in found[:5])}")
    if name and Path(name).is_file():
        return Path(name)
    raise UsageError(f"there is no run {one_line(name, 80)}", hint="fusion runs list shows what there is.")


def journal_named(folder: Path, name: str) -> Path | None:
    """Return the journal that a name means, where it means one and no other file.

    Raises:
        UsageError: It can only mean a run, and there is no such.
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
    return find(folder, name)


def read(path: Path) -> SavedRun:
    """Return a run from its journal.

    Raises:
        UsageError: It cannot be read, is no journal, or its beginning is damaged.
    """
    data = _bytes(path)
    lines, skipped = _parsed(data)
    created = lines[0]
    if created.get("type") != f"{PREFIX}created":
        raise UsageError(f"{one_line(str(path), 200)} is no run's journal, or its beginning is damaged")
    if created.get("version") != VERSION:
        raise UsageError(f"{one_line(str(path), 200)} was written by another version of fusion ({VERSION} is read)")
    try:
        return _Reader(path).read(lines, skipped)
    except (KeyError, TypeError, ValueError):  # pydantic's are ValueErrors
        raise UsageError(f"{one_line(str(path), 200)} is damaged: its plan cannot be read") from None


def summaries(folder: Path) -> list[RunSummary]:
    """Return every run in a folder, the oldest first; only the first and last line of each file are read."""
    return [summary(path) for path in _journals(folder)]


def summary(path: Path) -> RunSummary:
    """Return what a list shows of one run; never raises for what is in the file."""
    try:
        with path.open("rb") as file:
            head = file.readline(64 * 1024)
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            tail = file.read()
            is_running = _is_locked(file.fileno())
    except OSError:
        return RunSummary(path.stem, path, "damaged")
    created = _parsed(head)[0][0]
    ended = next((line for line in reversed(_parsed(tail)[0]) if line.get("type") == f"{PREFIX}ended"), None)
    return _summary(path, created, ended, is_running=is_running)


def is_running(path: Path) -> bool:
    """Tell whether a process is still writing this run."""
    try:
        with path.open("rb") as file:
            return _is_locked(file.fileno())
    except OSError:
        return False


def _journals(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if re.fullmatch(rf"{_ID}\.jsonl", path.name))
    except OSError:
        return []


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{one_line(str(path), 200)}: {error.strerror or error}") from None
    if len(data) > _MAX_BYTES:
        raise UsageError(f"{one_line(str(path), 200)} is larger than {_MAX_BYTES // 1_000_000} MB")
    return data


def _parsed(data: bytes) -> tuple[list[dict[str, Any]], int]:
    """Return the lines that are objects, an empty one where there is none, and how many others there are.

    A last line that a kill has torn is one of the others.
    """
    lines: list[dict[str, Any]] = []
    skipped = 0
    for line in data.split(b"\n"):
        if not line:
            continue
        with suppress(ValueError, RecursionError):
            value = json.loads(line)
            if isinstance(value, dict):
                lines.append(value)
                continue
        skipped += 1
    return lines or [{}], skipped


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
    status = "running" if is_running else "unfinished"
    if ended:
        status = "degraded" if ended.get("status") == "ok" and ended.get("degraded") else str(ended.get("status"))
        status = "cancelled" if ended.get("failure_reason") == "cancelled" else status
    panel = created.get("panel")
    ended = ended or {}
    return RunSummary(
        path.stem,
        path,
        status,
        _text(created, "at"),
        _text(created, "command"),
        _text(created, "parent") or None,
        _text(created, "question"),
        tuple(str(label) for label in panel) if isinstance(panel, list) else (),
        _text(created, "judge") or None,
        _text(created, "model") or None,
        ended.get("answered"),
        ended.get("total_tokens"),
        ended.get("cost"),
    )


def _text(line: dict[str, Any], key: str) -> str:
    value = line.get(key)
    return value if isinstance(value, str) else ""


class _Reader:
    """Puts a run together from its lines."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, lines: list[dict[str, Any]], skipped: int) -> SavedRun:
        """Return the run; raises KeyError, TypeError or ValueError where there is no plan to read."""
        from pydantic import TypeAdapter

        from fusion_cli import choices, events, plan

        by_type: dict[str, list[dict[str, Any]]] = {}
        partial: dict[str, str] = {}
        partial_answer = ""
        for line in lines:
            kind = _text(line, "type").removeprefix(PREFIX)
            by_type.setdefault(kind, []).append(line)
            label = _text(line, "label")
            if kind == "panel.delta":
                partial[label] = partial.get(label, "") + _text(line, "text")
            elif kind == "panel.tool_call":  # what stood before it is no part of the response
                partial.pop(label, None)
            elif kind in ("outer.delta", "answer.delta"):
                partial_answer += _text(line, "text")
            elif kind in ("outer.discarded", "in_progress"):
                partial_answer = ""
        [planned, *_] = by_type["planned"]
        read_plan = TypeAdapter(plan.Plan).validate_python(_known(planned["plan"], plan.Plan))
        read_choices = TypeAdapter(choices.Choices).validate_python(_known(planned["choices"], choices.Choices))
        completed = _events(by_type.get("panel.completed", ()), events.PanelCompleted)
        failed = _events(by_type.get("panel.failed", ()), events.PanelFailed)
        responses = {event.label: event for event in completed}
        asked = by_type.get("in_progress", [{}])[-1]
        ended = by_type.get("ended", [None])[-1]
        answers = by_type.get("answer.completed", [])
        return SavedRun(
            _summary(self._path, lines[0], ended, is_running=is_running(self._path)),
            read_plan,
            read_choices,
            _text(asked, "prompt") or None,
            _text(asked, "told"),
            responses,
            {event.label: event for event in failed if event.label not in responses},
            {label: text for label, text in partial.items() if label not in responses and text.strip()},
            _analysis(by_type.get("analysis.completed", ())),
            _text(answers[-1], "text") if answers else None,
            partial_answer,
            next((line["run"] for line in by_type.get("completed", ()) if isinstance(line.get("run"), dict)), None),
            skipped,
        )


def _known(value: Any, shape: Any) -> dict[str, Any]:
    """Return the fields that this version knows of what may have been written by a newer one."""
    return {key: inner for key, inner in value.items() if key in shape._fields}


def _events(lines: Any, kind: Any) -> Iterator[Any]:
    from pydantic import TypeAdapter, ValidationError

    adapter = TypeAdapter(kind)
    for line in lines:
        fields = _known(line, kind)
        fields.pop("type", None)
        with suppress(ValidationError):
            yield adapter.validate_python(fields)


def _analysis(lines: Any) -> AnalysisCompleted | None:
    from pydantic import ValidationError

    from fusion_cli import events, results

    for line in reversed(list(lines)):
        with suppress(ValidationError, TypeError):
            supported, look, quotes = (line.get(key) for key in ("supported", "second_look", "quotes"))
            return events.AnalysisCompleted(
                results.Analysis.model_validate(line.get("analysis")),
                float(line.get("duration_s") or 0),
                results.Supported.model_validate(supported) if supported else None,
                results.SecondLook.model_validate(look) if look else None,
                None if quotes is None else [results.Quote.model_validate(quote) for quote in quotes],
            )
    return None
