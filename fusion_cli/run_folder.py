"""Takes recorded runs away, but nothing that is being written.

What is in a file is not its business.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from fusion_cli.errors import FusionError, UsageError
from fusion_cli.run_files import is_running
from fusion_cli.terminal import one_line
from fusion_cli.values import shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Journals, and the objects that version 0.3 left of runs that it did not deliver.
_FILE = r"(?P<began>[0-9]{8}T[0-9]{6})(?:[0-9]{3})?-[0-9a-f]{6}\.jsonl?"
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


class OldFile(NamedTuple):
    """A file that may go; `size` in bytes."""

    path: Path
    size: int


def read_age(said: str) -> timedelta:
    """Return a length of time like 12h, 30d or 4w.

    Raises:
        UsageError: It is none.
    """
    found = re.fullmatch(r"([0-9]{1,5})([hdw])", said.strip())
    if not found:
        raise UsageError(f"--older-than: expected a time like 12h, 30d or 4w, found {shown(said) or 'nothing'}")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def old_files(folder: Path, age: timedelta, now: datetime | None = None) -> list[OldFile]:
    """Return the files of the runs in a folder that began longer ago than that, but for those under way."""
    limit = (now or datetime.now(UTC)) - age
    old = []
    with suppress(FileNotFoundError, NotADirectoryError):
        for path in sorted(folder.iterdir()):
            name = re.fullmatch(_FILE, path.name)
            if name and _began(name["began"], path) < limit and not is_running(path):
                old.append(OldFile(path, path.lstat().st_size))
    return old


def removable(folder: Path, paths: Sequence[Path]) -> list[Path]:
    """Return the files of runs, each once, that may be removed.

    Raises:
        UsageError: A run is under way, or a file is not one of the folder's.
    """
    for path in paths:
        if path.parent.resolve() != folder.resolve() or not re.fullmatch(_FILE, path.name):
            raise UsageError(
                f"{one_line(str(path), 200)} is a file of yours, and not one that fusion keeps: remove it yourself"
            )
        if is_running(path):
            raise UsageError(f"{path.stem} is under way", hint="End it first.")
    return list(dict.fromkeys(paths))


def remove(path: Path) -> None:
    """Remove a file; one that is gone already is no mistake.

    Raises:
        FusionError: It cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise FusionError(f"{one_line(str(path), 200)} cannot be removed: {error.strerror or error}") from None


def _began(said: str, path: Path) -> datetime:
    try:
        return datetime.strptime(said, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:  # digits that are no date
        return datetime.fromtimestamp(path.lstat().st_mtime, UTC)
