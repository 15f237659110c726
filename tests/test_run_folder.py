"""Promises of `run_folder`: nothing under way is removed, nothing of anybody else's, nothing is overwritten."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fusion_cli import events, run_folder
from fusion_cli.choices import Choices
from fusion_cli.errors import FusionError, UsageError
from fusion_cli.sinks.journal import Journal
from tests.story.scripted import plan

NOW = datetime(2026, 11, 28, 12, 0, 0, tzinfo=UTC)
POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions and locks")


def filled(folder: Path, *names: str) -> list[Path]:
    """Put files of ten bytes there."""
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text("x" * 10)
    return [folder / name for name in names]


@pytest.mark.parametrize(
    ("said", "age"),
    [("12h", timedelta(hours=12)), ("30d", timedelta(days=30)), (" 4w ", timedelta(weeks=4)), ("0d", timedelta(0))],
)
def test_ages_are_read(said: str, age: timedelta) -> None:
    """Hours, days and weeks."""
    assert run_folder.read_age(said) == age


@pytest.mark.parametrize(
    "said", ["", "30", "d", "-1d", "1.5d", "30 days", "1y", "9" * 30 + "d", "\x1b[31m", "1d1h", "٣d"]
)
def test_no_age_is_an_error(said: str) -> None:
    """What is none is said with what was expected."""
    with pytest.raises(UsageError, match="expected a time like 12h, 30d or 4w") as raised:
        run_folder.read_age(said)
    assert str(raised.value).isprintable()


def test_old_is_what_began_before(tmp_path: Path) -> None:
    """Journals and files of older versions go by the time in their names; other files are not looked at."""
    old = filled(tmp_path, "20261001T000000000-aaaaaa.jsonl", "20261127T115959-aaaaaa.json")
    filled(
        tmp_path,
        "20261127T120001000-aaaaaa.jsonl",
        "notes.txt",
        "20200101T000000.jsonl",
        "x20200101T000000-aaaaaa.json",
    )
    assert run_folder.old_files(tmp_path, timedelta(days=1), NOW) == [run_folder.OldFile(path, 10) for path in old]
    assert run_folder.old_files(tmp_path / "none", timedelta(0), NOW) == []


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Nothing to remove and nothing to be seen are two things."""
    [path] = filled(tmp_path, "runs")
    with pytest.raises(FusionError, match=f"{path}, where runs are kept, cannot be read: Not a directory"):
        run_folder.old_files(path, timedelta(0), NOW)


def test_digits_that_are_no_date_go_by_the_file(tmp_path: Path) -> None:
    """A name of the month 99 is as old as its file."""
    [path] = filled(tmp_path, "20269999T000000-aaaaaa.jsonl")
    os.utime(path, (0, 0))
    assert [file.path for file in run_folder.old_files(tmp_path, timedelta(days=1), NOW)] == [path]


@POSIX
def test_a_run_that_is_under_way_stays(tmp_path: Path) -> None:
    """However old it is said to be, it is neither pruned nor removed, until it has ended."""
    journal = Journal(tmp_path, "ask", plan(), Choices(), None, lambda said: None)
    journal(events.AnswerCompleted("x"))
    late = datetime.now(UTC) + timedelta(days=2)
    assert run_folder.old_files(tmp_path, timedelta(days=1), late) == []
    with pytest.raises(UsageError, match="is under way"):
        run_folder.removable(tmp_path, [journal.path])
    journal.close()
    assert [file.path for file in run_folder.old_files(tmp_path, timedelta(days=1), late)] == [journal.path]
    assert run_folder.removable(tmp_path, [journal.path, journal.path]) == [journal.path]


@pytest.mark.parametrize("name", ["../20261001T000000-aaaaaa.jsonl", "../precious.txt", "notes.jsonl"])
def test_files_of_somebody_elses_are_not_removed(tmp_path: Path, name: str) -> None:
    """A file elsewhere, or of another name, is refused, though it may be shown."""
    folder = tmp_path / "runs"
    filled(tmp_path, "20261001T000000-aaaaaa.jsonl", "precious.txt")
    filled(folder, "notes.jsonl")
    with pytest.raises(UsageError, match="a file of yours"):
        run_folder.removable(folder, [folder / name])


def test_what_is_gone_already_is_no_mistake(tmp_path: Path) -> None:
    """Two that clear up at once do not stumble over one another."""
    [path] = filled(tmp_path, "20261001T000000-aaaaaa.jsonl")
    run_folder.remove(path)
    run_folder.remove(path)
    assert not path.exists()
