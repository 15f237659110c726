"""Promises of `checkup`: each check's verdict fits what is there, and nothing is changed by looking."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from fusion_cli import checkup
from fusion_cli.api.catalogue_cache import path_of
from fusion_cli.errors import ConfigError, EngineError
from fusion_cli.local.weights import Weights

DATA = b"GGUF" + bytes(96)
KNOWN = Weights("tiny", len(DATA), hashlib.sha256(DATA).hexdigest(), "r", "v", "f", ("p",), "1")


def on_terminal(
    columns: int = 80, encoding: str = "utf-8", variables: Mapping[str, str] = MappingProxyType({"TERM": "xterm"})
) -> checkup.Finding:
    """Return the finding of a terminal."""
    return checkup.terminal(on_screen=True, encoding=encoding, columns=columns, variables=variables)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"TERM": "xterm"}, "80 columns, colours, utf-8"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, "80 columns, no colours, utf-8"),
        ({"TERM": "dumb"}, "80 columns, no colours, utf-8"),
        ({}, "80 columns, no colours, utf-8"),
    ],
)
def test_colours_are_what_the_environment_says(variables: dict[str, str], said: str) -> None:
    """A dumb or unknown terminal, and NO_COLOR, have none."""
    assert on_terminal(variables=variables)[:3] == ("terminal", "ok", said)


def test_a_terminal_that_shows_too_little_is_a_warning() -> None:
    """Too few columns or letters have a next step; a pipe is as good as any terminal."""
    for finding in (on_terminal(columns=39), on_terminal(encoding="ascii")):
        assert finding.verdict == "warning"
        assert finding.next_step
    piped = checkup.terminal(on_screen=False, encoding="utf-8", columns=20, variables={})
    assert piped.verdict == "ok"


@pytest.mark.parametrize(
    ("installed", "is_needed", "is_short", "verdict"),
    [
        (True, True, False, "ok"),
        (True, True, True, "warning"),
        (True, False, True, "ok"),
        (False, False, False, "ok"),
        (False, True, False, "problem"),
    ],
)
def test_the_engine_is_a_problem_only_where_it_is_needed(
    installed: bool, is_needed: bool, is_short: bool, verdict: str
) -> None:
    """Who asks hosted models does not need it."""
    finding = checkup.engine(installed=installed, is_needed=is_needed, memory_is_short=is_short)
    assert finding.verdict == verdict
    assert ("pip install" in finding.next_step) is not installed


def test_weights_are_looked_at_by_size_and_hash(tmp_path: Path) -> None:
    """Whole weights are ok, cut ones are fetched anew, and changed ones are a problem for who needs them."""
    path = tmp_path / "tiny.gguf"
    assert checkup.weights(KNOWN, tmp_path, is_needed=False) is None
    missing = checkup.weights(KNOWN, tmp_path / "none", is_needed=True)
    assert missing is not None
    assert (missing.verdict, missing.about) == ("warning", "tiny")
    verdicts = []
    for data in (DATA, DATA[:-1], DATA[:-1] + b"x"):
        path.write_bytes(data)
        found = [checkup.weights(KNOWN, tmp_path, is_needed=needed) for needed in (True, False)]
        verdicts.append([each.verdict for each in found if each])
        assert path.read_bytes() == data
    assert verdicts == [["ok", "ok"], ["warning", "warning"], ["problem", "warning"]]


def test_no_room_for_weights_is_a_problem(tmp_path: Path) -> None:
    """Weights that a run would fetch and the disk cannot take stop that run."""
    known = Weights("huge", 1 << 60, "", "r", "v", "f", ("p",), "1")
    huge = checkup.weights(known, tmp_path, is_needed=True)
    assert huge is not None
    assert (huge.verdict, huge.kind) == ("problem", EngineError)


def test_weights_of_ones_own_begin_as_they_should(tmp_path: Path) -> None:
    """Another kind of file, and none, are problems with the run's status."""
    path = tmp_path / "own.gguf"
    assert checkup.own_weights(path).kind is ConfigError
    path.write_bytes(b"<html>")
    assert (checkup.own_weights(path).verdict, checkup.own_weights(path).kind) == ("problem", EngineError)
    path.write_bytes(b"GGUF\3\0\0\0")
    assert checkup.own_weights(path).detail.endswith("breaks off where it begins")
    path.write_bytes(DATA)
    assert checkup.own_weights(path).verdict == "ok"


def test_lists_of_models_have_an_age(tmp_path: Path) -> None:
    """Each server's list is told with its age, one that cannot be read is a warning, and none is no harm."""
    server = "http://a/v1"
    [none] = checkup.catalogues(tmp_path / "cache", [server])
    assert none.verdict == "ok"
    kept = {"base_url": "http://a/v1\x1b[2J", "fetched_at": 1000.0, "data": [{}, {}]}
    path = path_of(tmp_path, server)
    path.write_text(json.dumps(kept))
    [first] = checkup.catalogues(tmp_path, [server, server], now=1000.0 + 5 * 3600)
    assert first[:3] == ("catalogue", "ok", "2 models, 5 hours old")
    assert first.about == "http://a/v1\\x1b[2J"
    assert checkup.catalogues(tmp_path, [server], now=1000.0 + 72 * 3600)[0].detail == "2 models, 3 days old"
    path.write_text(json.dumps(kept | {"data": [{}]}))
    assert checkup.catalogues(tmp_path, [server], now=1000.0)[0].detail == "1 model, less than a minute old"
    for torn in ("{", "[]", '{"fetched_at": "x", "base_url": 1, "data": 7}', "[" * 100_000):
        path.write_text(torn)
        assert checkup.catalogues(tmp_path, [server])[0].verdict == "warning"


def test_lists_of_servers_that_are_gone_are_left_out(tmp_path: Path) -> None:
    """Whoever is not configured any more is not spoken of, whole or torn as the list may be."""
    for server, text in (
        ("http://a/v1", '{"base_url": "http://a/v1", "fetched_at": 1, "data": []}'),
        ("http://b", "{"),
    ):
        path_of(tmp_path, server).write_text(text)
    assert [each.about for each in checkup.catalogues(tmp_path, ["http://a/v1", "http://c"])] == ["http://a/v1"]
    assert [each.about for each in checkup.catalogues(tmp_path, ["http://c"])] == [None]


def test_a_data_folder_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    """A run goes on without its journal, so that is no problem; looking makes no folder."""
    folder = tmp_path / "data" / "runs"
    assert checkup.data_folder(folder, is_kept=True).verdict == "ok"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "data").write_text("a file in the way")
    finding = checkup.data_folder(folder, is_kept=True)
    assert finding.verdict == "warning"
    assert "save false" in finding.next_step
    assert checkup.data_folder(folder, is_kept=False).verdict == "ok"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_others_is_a_warning(tmp_path: Path) -> None:
    """What may not be written is said."""
    tmp_path.chmod(0o500)
    assert checkup.data_folder(tmp_path / "runs", is_kept=True).verdict == "warning"
    tmp_path.chmod(0o700)
