"""Promises of `guide.store` and of changing several keys at once: all of it is written, or none."""

import os
import stat
import tomllib
from pathlib import Path

import pytest

from fusion_cli import config_writer
from fusion_cli.errors import ConfigError
from fusion_cli.guide import Outcome, store

KEY = "sk-canary-0123456789"
BEFORE = '# mine\njudge = "a/b"\n\n[web]\nsearch = "brave" # paid\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a config file with something in it."""
    path = tmp_path / "config.toml"
    path.write_text(BEFORE)
    return path


def test_several_keys_change_in_one_step(path: Path) -> None:
    """Values are set and removed together, where one alone would not be valid; comments stay."""
    values = {"provider": "lab", "providers.lab.api_key_env": "LAB_KEY", "providers.lab.base_url": "http://[::1]/v1"}
    config_writer.change(path, {**values, "judge": None, "model": None, "preset": "local"})
    assert tomllib.loads(path.read_text()) == {
        "provider": "lab",
        "preset": "local",
        "web": {"search": "brave"},
        "providers": {"lab": {"api_key_env": "LAB_KEY", "base_url": "http://[::1]/v1"}},
    }
    assert path.read_text().startswith("# mine\n")
    assert "# paid" in path.read_text()


@pytest.mark.parametrize("values", [{"provider": "lba"}, {"judge": ""}, {"jugde": "a/b"}, {"judge": None, "seed": "x"}])
def test_one_bad_value_changes_nothing(path: Path, values: dict[str, object]) -> None:
    """The whole is checked before a byte is written."""
    with pytest.raises(ConfigError):
        config_writer.change(path, values)
    assert path.read_text() == BEFORE


@pytest.mark.parametrize("old", [None, "old\n"])
def test_a_key_is_not_left_behind_by_a_config_that_fails(path: Path, old: str | None) -> None:
    """When the config file cannot be written the key's file is as it was."""
    key_path = path.parent / "keys" / "lab.key"
    if old:
        key_path.parent.mkdir()
        key_path.write_text(old)
    with pytest.raises(ConfigError) as caught:
        store(Outcome({"provider": "nobody"}, KEY, key_path), path)
    assert KEY not in str(caught.value) + caught.value.hint
    assert (key_path.read_text() if key_path.exists() else None) == old
    assert path.read_text() == BEFORE


def test_a_key_is_kept_for_its_owner_alone(path: Path) -> None:
    """The key is the file's one line, nobody else may read it, and it is not shown where the outcome is."""
    key_path = path.parent / "keys" / "openrouter.key"
    outcome = Outcome({"providers.openrouter.api_key_file": str(key_path)}, KEY, key_path)
    store(outcome, path)
    assert key_path.read_text() == f"{KEY}\n"
    assert os.name == "nt" or stat.S_IMODE(key_path.stat().st_mode) == 0o600
    assert KEY not in repr(outcome) + path.read_text()
