"""Where a run goes, and in which forms: standard output in one, and any number of files in others.

Files are written whole or not at all, and what cannot be written is said before anybody is asked.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from fusion_cli import formats
from fusion_cli.about import About
from fusion_cli.errors import FusionError, InterruptError, UsageError, internal_error
from fusion_cli.showing import Looks
from fusion_cli.terminal import one_line
from fusion_cli.values import shown
from fusion_cli.whole_files import NO_FILE, are_one, is_special, is_standard_input, try_out, why, write_out

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fusion_cli.events import Emit
    from fusion_cli.results import AnalysisRun, AskRun
    from fusion_cli.sinks.drawing import Look
    from fusion_cli.terminal import Terminal

_MOST_BYTES = 1024 * 1024  # of a step's summary, of which GitHub shows nothing where it is larger
_LIMIT = "GitHub shows no summary of more than 1 MiB"
_GAP = b"\n\n"
_ENDINGS = ".html, .md, .json, .jsonl or .txt"


class Target(NamedTuple):
    """A file that a run goes to; `appends` where it is one that several have a part in."""

    form: str
    path: Path
    appends: bool = False


def unnamed_file(beside: Path) -> IO[bytes]:
    """Return a file for what is on its way to another one; without a name, so that no kill leaves it behind."""
    import tempfile
    from io import BytesIO

    try:
        return tempfile.TemporaryFile(dir=None if is_special(beside) else beside.resolve().parent)
    except OSError:  # the folder has gone, or there is none to write to
        return BytesIO()


class Outputs:
    """What a run is put out as.

    Args:
        form: The form on standard output.
        targets: The files.
        looks: What can be drawn on both.
        is_chosen: Whether somebody said which form that is.
        shows_responses: Whether each response is in what does not have it by itself.
        lines_file: Makes the file in which lines wait that go to a file; told of the latter.

    Attributes:
        is_delivered: Whether a run has come to its delivery, so that nothing need be told in its place.
        failure: Why standard output took no more lines.
        lines: What makes the lines of the events, once it has begun.
    """

    def __init__(
        self,
        form: str,
        targets: Sequence[Target] = (),
        looks: Looks = Looks(),  # noqa: B008 - immutable
        *,
        is_chosen: bool = False,
        shows_responses: bool = False,
        lines_file: Callable[[Path], IO[bytes]] = unnamed_file,
    ) -> None:
        self.form = form
        self.targets = tuple(targets)
        self.looks = looks
        self.is_chosen = is_chosen
        self._shows_responses = shows_responses
        self.is_delivered = False
        self.failure: FusionError | None = None
        self.lines: Emit | None = None
        self._lines_file = lines_file
        self._lines: IO[bytes] | None = None
        self._lost: Exception | None = None

    @property
    def draws(self) -> bool:
        """Whether the run is drawn on standard output while it goes on."""
        return self.form == formats.RICH and self.looks.draws

    @property
    def is_for_people(self) -> bool:
        """Whether standard output has the result alone, as a person reads it."""
        return self.draws or self.form == formats.PLAIN

    @property
    def has_reports(self) -> bool:
        """Whether the run is told again when it is over, for which somebody has to listen."""
        forms = {target.form for target in self.targets} | ({self.form} if not self.is_for_people else set())
        return not forms <= {formats.JSON, formats.JSON_LINES}

    @property
    def has_lines(self) -> bool:
        """Whether somebody gets the run's events."""
        return formats.JSON_LINES in (self.form, *(target.form for target in self.targets))

    def put_line(self, line: str, terminal: Terminal) -> None:
        """Take a line of events: out with it at once, and kept for the files."""
        files = [target for target in self.targets if target.form == formats.JSON_LINES]
        if files and self._lost is None:
            try:
                self._lines = self._lines or self._lines_file(files[0].path)
                self._lines.write(line.encode("utf-8", "backslashreplace"))
            except (OSError, ValueError) as error:  # told when the files are written: the run goes on
                self._lost = error
        if self.form == formats.JSON_LINES and self.failure is None:
            try:
                terminal.write(line)
            except FusionError as error:  # raised when the run is delivered: the files get it all the same
                self.failure = error

    def spare(self, files: Sequence[str], folder: Path) -> None:
        """Refuse files that would take the place of something else.

        Args:
            files: What is in use.
            folder: Whose files are all somebody's: the recorded runs.

        Raises:
            UsageError: One of them would.
        """
        for target in self.targets:
            _refuse_to_replace(target, files)
            if target.path.exists() and target.path.resolve().parent == folder.resolve():
                where = one_line(str(target.path), 200)
                said = f"-o/--output: {where} is a recorded run, and would be overwritten"
                raise UsageError(said, hint="Name another file.")

    def print_whole(self, run: AskRun | AnalysisRun, about: About, terminal: Terminal) -> None:
        """Write the run to standard output, where its form is one of a whole run.

        Raises:
            FusionError: Standard output took no more.
        """
        if self.failure:
            raise self.failure
        if not self.is_for_people and self.form != formats.JSON_LINES:
            terminal.write(self._rendered(self.form, run, about, self.looks.screen))

    def write_files(self, run: AskRun | AnalysisRun, about: About | None) -> list[FusionError]:
        """Write the files; return what went wrong, each by itself.

        Args:
            run: What is in them.
            about: What a report tells beside; None where there was no run, so that there is no report either.

        Raises:
            InterruptError: A signal came, which costs a pipe that nobody reads; the other files are there.
        """
        errors: list[FusionError] = []
        interrupt: InterruptError | None = None
        for form, path, appends in self.targets:
            if interrupt and is_special(path):
                continue
            if not about and form not in (formats.JSON, formats.JSON_LINES):
                continue
            try:
                put = append if appends else write_out
                most = _room_in(path) if appends else None
                put(path, self._data(form, path, run, about or About("", ()), most))
            except InterruptError as error:
                interrupt = error
            except FusionError as error:
                errors.append(error)
            except Exception as bug:  # noqa: BLE001  # a text that breaks one form must not cost the other files
                errors.append(FusionError(f"{one_line(str(path), 200)}: {internal_error(bug)}"))
        if self._lines:
            with suppress(OSError):  # what it could not take has been told
                self._lines.close()
        if interrupt:
            raise interrupt
        return errors

    def _data(
        self, form: str, path: Path, run: AskRun | AnalysisRun, about: About, most: int | None
    ) -> bytes | IO[bytes]:
        if form == formats.JSON_LINES:
            return self._kept_lines(path)
        return self._rendered(form, run, about, self.looks.page, most).encode("utf-8", "backslashreplace")

    def _kept_lines(self, path: Path) -> IO[bytes]:
        """Return the lines that came, from their beginning.

        Raises:
            FusionError: They could not be kept.
        """
        try:
            if self._lost:
                raise self._lost
            self._lines = self._lines or self._lines_file(path)
            self._lines.seek(0)
        except (OSError, ValueError) as error:
            raise FusionError(f"{one_line(str(path), 200)} cannot be written: {why(error)}") from None
        return self._lines

    def _rendered(
        self, form: str, run: AskRun | AnalysisRun, about: About, look: Look, most_bytes: int | None = None
    ) -> str:
        responses = self._shows_responses or None
        return formats.rendered(form, run, about, look, with_responses=responses, most_bytes=most_bytes)


def read_outputs(
    form: str | None,
    named: Sequence[str],
    *,
    as_json: bool,
    looks: Looks,
    step_summary: Path | None,
    shows_responses: bool = False,
    read: Sequence[str | None] = (),
) -> Outputs:
    """Return where a run goes, once it is clear that it can go there.

    Args:
        form: What `--format` said.
        named: What each `-o` said: FILE, or FORMAT:FILE.
        as_json: Whether `--json` was given.
        looks: What can be drawn.
        step_summary: The file that others write to, too, and that is shown as Markdown.
        shows_responses: Whether each response is in what does not have it by itself.
        read: The files that the run reads, as they were named.

    Raises:
        UsageError: A format is none, two options contradict each other, or a file cannot be written.
    """
    targets = [read_target(each, step_summary) for each in named]
    for number, target in enumerate(targets):
        before = next((other.path for other in targets[:number] if are_one(target.path, other.path)), None)
        if before is not None:
            where, there = one_line(str(target.path), 200), one_line(str(before), 200)
            said = f"{where} stands twice" if where == there else f"{where} is the same file as {there}"
            raise UsageError(f"-o/--output: {said}", hint="Give each form a file of its own.")
    for target in targets:
        check(target)
        _refuse_to_replace(target, read)
    chosen = fit_form(form, as_json=as_json, usual=formats.RICH if looks.draws else formats.PLAIN)
    return Outputs(chosen, targets, looks, is_chosen=form is not None, shows_responses=shows_responses)


def fit_form(form: str | None, *, as_json: bool, usual: str) -> str:
    """Return the form of standard output; where nobody says which, it is the usual one.

    Raises:
        UsageError: It is none, or `--json` says another.
    """
    chosen = formats.fit_format(form) if form is not None else formats.JSON if as_json else usual
    if as_json and chosen != formats.JSON:
        raise UsageError("--json and --format both say how to print it: choose one")
    return chosen


def read_target(said: str, step_summary: Path | None = None) -> Target:
    """Return the file that `FILE` or `FORMAT:FILE` means, in the form that it has or that its ending stands for.

    Raises:
        UsageError: Neither says which form, or what stands before the colon is none.
    """
    before, colon, after = said.partition(":")
    form, name = (before, after) if colon and before in formats.FORMATS else (None, said)
    if colon and form is None and re.fullmatch("[a-z]{2,10}", before):  # a letter alone is a drive
        known = ", ".join(formats.FORMATS)
        hint = f"For a file of that name: -o ./{one_line(said, 200)}"
        raise UsageError(f"-o/--output: expected one of {known} before the colon, found {shown(before)}", hint=hint)
    if not name or name == "-":
        raise UsageError("-o/--output: expected a file; --format says what standard output gets")
    path = Path(name)
    is_shared = step_summary is not None and are_one(path, step_summary)
    form = form or (formats.MARKDOWN if is_shared else formats.format_of_file(name))
    if form is None:
        where = one_line(name, 200)
        raise UsageError(f"-o/--output: expected a name that ends in {_ENDINGS}, or FORMAT:FILE, found {where}")
    return Target(form, path, is_shared)


def _refuse_to_replace(target: Target, read: Sequence[str | None]) -> None:
    """Raise a UsageError if a file would take the place of one that is read, and that may be all there is of it."""
    if target.appends or is_special(target.path) or not target.path.exists():
        return
    where = one_line(str(target.path), 200)
    named = [name for name in read if name and name != "-"]
    if is_standard_input(target.path):
        said = f"-o/--output: {where} is standard input, and would be overwritten"
        raise UsageError(said, hint="Name another file.")
    if other := next((name for name in named if are_one(target.path, Path(name))), None):
        there = one_line(other, 200)
        said = "is read" if where == there else f"is {there}, which is read"
        raise UsageError(f"-o/--output: {where} {said}, and would be overwritten", hint="Name another file.")


def check(target: Target) -> None:
    """See to it that a file can be written.

    Raises:
        UsageError: It cannot.
    """
    where = one_line(str(target.path), 200)
    try:
        if is_special(target.path):
            if target.path.is_dir():
                raise UsageError(f"-o/--output: {where} is a folder")
        elif target.appends:
            os.close(os.open(target.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666))
            if _room_in(target.path) <= 0:
                raise UsageError(f"-o/--output: {where} is full: {_LIMIT}", hint="Name another file: -o report.md")
        else:
            try_out(target.path)
    except NO_FILE as error:
        raise UsageError(f"-o/--output: {where} cannot be written: {why(error)}") from None


def append(target: Path, data: bytes | IO[bytes]) -> None:
    """Write to the end of a step's summary, which others write to, too, set off by an empty line.

    Raises:
        FusionError: It cannot be written, or would be too large to be shown at all.
    """
    where = one_line(str(target), 200)
    try:
        data = data if isinstance(data, bytes) else data.read(_MOST_BYTES + 1)
        with target.open("ab") as file:
            data = _GAP * bool(file.tell()) + data
            if file.tell() + len(data) > _MOST_BYTES:
                raise FusionError(f"{where} has no room for the run: {_LIMIT}", hint="Name another file: -o report.md")
            file.write(data)
    except OSError as error:
        raise FusionError(f"{where} cannot be written: {why(error)}") from None


def _room_in(summary: Path) -> int:
    """Return how many bytes can still be appended."""
    try:
        size = summary.stat().st_size
    except OSError:  # it is made, or `append` says why not
        size = 0
    return _MOST_BYTES - size - len(_GAP) * bool(size)
