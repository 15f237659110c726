"""Promises of `regular_files`, and of those who open what we put there: no pipe makes them wait."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fusion_cli import checkup, config_file, guide, run_files, run_folder, settings
from fusion_cli.api import catalogue_cache
from fusion_cli.errors import ConfigError, UsageError
from fusion_cli.regular_files import open_regular

URL = "http://127.0.0.1:9/api/v1"

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    """Fail whoever waits for a pipe's writer, as nobody comes."""

    def fail(*_: object) -> None:
        raise AssertionError("it waits for a writer")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def pipe(path: Path) -> Path:
    """Make a pipe that nobody writes to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    return path


def test_only_a_regular_file_is_opened(tmp_path: Path) -> None:
    """Also by a link to it; what else there is under a name is an error that says so."""
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    with open_regular(tmp_path / "link") as file:
        assert file.read() == b"x"
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
    for strange in (pipe(tmp_path / "pipe"), Path(os.devnull)):
        with pytest.raises(OSError, match="not a regular file") as raised:
            open_regular(strange)
        assert raised.value.filename == str(strange)


def test_a_pipe_among_the_runs_is_a_damaged_one(tmp_path: Path) -> None:
    """It is listed, nobody is writing it, and it can be removed like any other."""
    path = pipe(tmp_path / "20260101T000000000-abcdef.jsonl")
    assert [each.status for each in run_files.summaries(tmp_path)] == ["damaged"]
    for read in (run_files.read, run_files.lines, run_files.raw_lines):
        with pytest.raises(UsageError, match=r"abcdef\.jsonl: not a regular file$"):
            read(path)
    assert run_folder.removable(tmp_path, [path]) == [path]


def test_a_pipe_in_place_of_a_kept_list_is_none(tmp_path: Path) -> None:
    """The list is fetched anew, as where none is kept, and takes its place."""
    pipe(catalogue_cache.path_of(tmp_path, URL))
    assert catalogue_cache.load(tmp_path, URL) is None
    assert catalogue_cache.peek(tmp_path, URL) is None
    assert [each.verdict for each in checkup.catalogues(tmp_path, [URL])] == ["warning"]


def test_a_pipe_in_place_of_the_users_config_is_named(isolated: Path) -> None:
    """Nobody meant one there."""
    pipe(isolated / ".config/fusion/config.toml")
    with pytest.raises(ConfigError, match=r"config\.toml: expected a readable file, found: not a regular file$"):
        settings.load()


@pytest.mark.parametrize("named", ["flag", "variable"])
def test_a_config_that_is_named_may_be_a_pipe(named: str, tmp_path: Path) -> None:
    """A shell's `<(...)` is one, and has its writer."""
    path = pipe(tmp_path / "config")
    threading.Thread(target=path.write_text, args=["seed = 7\n"], daemon=True).start()
    environ = {} if named == "flag" else {"FUSION_CONFIG": str(path)}
    assert settings.load(path if named == "flag" else None, environ=environ).configured.seed == 7


@pytest.mark.parametrize(
    "act",
    [
        lambda path: config_file.read(path),
        lambda path: run_folder.old_files(path, run_folder.read_age("1h")),
        lambda path: run_files.summaries(path),
    ],
)
def test_a_home_that_is_no_folder_has_no_files(act: Callable[[Path], object]) -> None:
    """As services have it: `HOME=/dev/null`."""
    assert not act(Path(os.devnull, "fusion"))


def test_an_own_model_that_is_a_pipe_is_a_problem(tmp_path: Path) -> None:
    """The doctor looks at how it begins, and does not wait for that."""
    assert checkup.own_weights(pipe(tmp_path / "model.gguf")).verdict == "problem"


def test_a_pipe_in_place_of_a_key_is_left_there(tmp_path: Path) -> None:
    """It is named as no file, and nothing of the guide's is written."""
    key = pipe(tmp_path / "lab.key")
    with pytest.raises(OSError, match="not a regular file") as raised:
        guide.store(guide.Outcome({"seed": 1}, "sk-canary", key), tmp_path / "config.toml")
    assert raised.value.filename == str(key)
    assert [path.name for path in tmp_path.iterdir()] == ["lab.key"]
