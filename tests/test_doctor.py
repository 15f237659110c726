"""Promises of `doctor` that take no process: it comes to its end whatever is missing."""

import json
import os
import shlex
import sys
from pathlib import Path

import pytest

from fusion_cli import doctor
from fusion_cli.checkup import Finding
from fusion_cli.naming import Machine
from fusion_cli.settings import Settings, load


def test_an_unknown_home_is_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With a config file that was named there are settings, and no folder for anything else: a run could not start."""
    (tmp_path / "c.toml").touch()
    monkeypatch.setenv("HOME", "relative")
    monkeypatch.setattr(os, "getuid", lambda: 54321)  # of whom passwd knows nothing

    def settings() -> Settings:
        return load(tmp_path / "c.toml", environ={"OPENROUTER_API_KEY": "k"})

    machine = Machine(lambda: False, lambda: False, list)
    around = doctor.Surroundings(settings, machine, None, Finding("terminal", "ok", ""))
    found = list(doctor.examine(around))
    assert [(each.check, each.next_step) for each in found if each.verdict == "problem"] == [
        ("data", "set HOME"),
        ("run", "set HOME"),
    ]
    assert doctor.as_json(found)["ready"] is False


def test_a_slow_command_for_a_key_is_not_waited_for_in_silence(tmp_path: Path) -> None:
    """Who watches is told which command it is."""
    code = "import time; time.sleep(1.5); print('k')"
    command = shlex.join([sys.executable, "-c", code])
    (tmp_path / "c.toml").write_text(f"[providers.openrouter]\napi_key_command = {json.dumps(command)}\n")
    told: list[str] = []
    around = doctor.Surroundings(
        lambda: load(tmp_path / "c.toml", environ={}),
        Machine(lambda: False, lambda: False, list),
        None,
        Finding("terminal", "ok", ""),
        told.append,
    )
    keys = [finding.detail for finding in doctor.examine(around) if finding.check == "key"]
    assert keys == ["set (command), not tried"]
    assert told == [f"fusion: waiting for the key of openrouter, which {sys.executable} is to print (Ctrl-C ends it)"]
