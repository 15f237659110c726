"""Promises of `fusion config` on mistyped and hostile values: nothing good is overwritten, no control gets out."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fusion_cli import values
from fusion_cli.errors import ConfigError, UsageError
from tests.commands.test_config import CANARY, done, refused, root, written
from tests.e2e.command import fusion, on_a_terminal

GOOD = """\
judge = "j"
system = "Be brief."
reasoning = {max_tokens = 5}
[presets.y]
panel = ["good"]
"""
A_SEAT = f"{values.MODEL.expects} or a table with one as model"
HOSTILE = "Be\tkind.\n\x1b]0;owned\x07\x1b[2J\x1b[31mRed\u202e.\x9b0m"
CLEANED = "Be\tkind.\nRed<U+202E>."


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the config file would be; there is none yet."""
    path = tmp_path / "folder" / "config.toml"
    monkeypatch.setenv("FUSION_CONFIG", str(path))
    return path


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (
            "presets.y.panel",
            '[{model="a/1",max_completion_tokens=0}]',
            f"[0].max_completion_tokens: expected {values.TOKENS.expects}, found 0",
        ),
        ("presets.y.panel", '[{model="a/1",temp=1}]', "[0]: expected a table of model, system, temperature, label, "),
        ("presets.y.panel", "[]", f": expected {values.PANEL.expects}, found 0 of them"),
        ("presets.y.panel", '["a/1","a/2"', ": expected TOML, found: Unclosed array"),
        ("presets.y.panel", '[["a/1"]]', f"[0]: expected {A_SEAT}, found an array"),
        ("presets.y.panel", '{model="a/1"}', f": expected {values.PANEL.expects}, found a table"),
        ("presets.y.panel", ' ["a/1"', ": expected TOML, found: Unclosed array"),
        ("presets.y.panel", 'a/1, {model="a/2"}', ": expected TOML, found: Invalid value"),
        ("presets.y.panel", '"a/1", "a/2"', ": expected TOML, found: Expected newline or end of document after"),
        ("presets.y.panel", '["a"]\nsystem = "x"', ": expected TOML, found: more than one value"),
        ("presets.y.panel", "[" * 20_000, ": expected TOML, found: deeper nesting than can be read"),
        ("presets.y.panel", f"[{'9' * 5000}]", ": expected TOML, found: Exceeds the limit"),
        ("judge", '["a/1"]', f": expected {values.MODEL.expects}, found an array"),
        ("judge", '"a/1', ": expected TOML, found: Unterminated string"),
        ("judge", "'a/1", ": expected TOML, found: Expected"),
        ("judge", "{a=1}", f": expected {values.MODEL.expects}, found a table"),
        ("judge", '""', f': expected {values.MODEL.expects}, found ""'),
        ("judge", f'["{CANARY}"', ": expected TOML, found: Unclosed array"),
        ("system", '["x"]', ": expected text, found an array"),
        ("system", '" "', ': expected text, found " "'),
        ("presets.y.description", "{}", f": expected {values.DESCRIPTION.expects}, found a table"),
        ("reasoning", '{effort="low",max_tokens=3}', ": expected a table with effort or max_tokens, found both"),
        ("reasoning", '{effort="low"', ": expected TOML, found: Unclosed inline table"),
    ],
)
def test_a_mistyped_table_is_no_text(path: Path, key: str, value: str, said: str) -> None:
    """What was meant as TOML is refused as such, at its own place, and the good value stays."""
    written(path, GOOD)
    error = str(refused(UsageError, "set", key, value))
    assert error.startswith(f"{key}{said}")
    assert "(at " not in error
    assert path.read_text() == GOOD


@pytest.mark.parametrize(
    ("key", "value", "stored"),
    [
        ("system", "[brief] Be kind", "[brief] Be kind"),
        ("system", '"Brief" is the word', '"Brief" is the word'),
        ("system", "'Tis short", "'Tis short"),
        ("system", "{name} is you.", "{name} is you."),
        ("system", '"[1]"', "[1]"),
        ("system", "1979-05-27", "1979-05-27"),
        ("presets.y.description", "[mine] two minds", "[mine] two minds"),
        ("judge", "2024-01-01", "2024-01-01"),
        ("judge", " 'a/1' ", "a/1"),
        ("presets.y.panel", "a[1],b'c", "a[1],b'c"),
    ],
)
def test_text_that_only_looks_like_toml_is_text(path: Path, key: str, value: str, stored: str) -> None:
    """A text may begin with a bracket or a quote where the key takes text, and hold either anywhere."""
    written(path, GOOD)
    done("set", key, value)
    assert done("get", key) == f"{stored}\n"


def test_no_control_of_a_text_reaches_the_terminal(path: Path) -> None:
    """A system prompt is printed cleaned, in a pipe as on a terminal."""
    written(path, f"{GOOD}system = {json.dumps(HOSTILE)}\n")
    assert done("get", "presets.y.system") == f"{CLEANED}\n"
    status, screen = on_a_terminal("config", "get", "presets.y.system", server=None)
    assert (status, screen.replace(" " * 6, "\t")) == (0, f"{CLEANED}\n")


def test_controls_in_a_table_are_spelled_out(path: Path) -> None:
    """What `get` prints of seats is clean, and `set` takes it for the same seats again."""
    seat = {"model": "a", "label": "l", "system": f"{HOSTILE}\u3000\x7f\u2066"}
    written(path, f"[presets.p]\npanel = [{{model = 'a', label = 'l', system = {json.dumps(seat['system'])}}}]\n")
    printed = done("get", "presets.p.panel").rstrip("\n")
    assert all(c.isprintable() or c == "\u3000" for c in printed)
    assert "\\u202e" in printed
    done("set", "presets.q.panel", printed)
    told = json.loads(done("show", "--json"))["values"]
    assert told["presets.q.panel"]["value"] == told["presets.p.panel"]["value"] == [seat]


def test_a_path_is_cleaned_for_people_alone(tmp_path: Path) -> None:
    """On a terminal a path does nothing to it; in a pipe it stays the bytes that open the file."""
    name = os.fsencode(tmp_path) + b"/\x1b[2Jc\xe2\x80\xae.toml\xff"
    result = CliRunner().invoke(root, ["--config", os.fsdecode(name), "config", "path"])
    assert result.stdout_bytes == name + b"\n"
    status, screen = on_a_terminal("--config", os.fsdecode(name), "config", "path", server=None)
    assert (status, screen) == (0, f"{tmp_path}/c<U+202E>.toml\ufffd\n")


def test_an_unknown_preset_is_refused_at_once(path: Path) -> None:
    """A preset is set only where there is one, so that the next question is not the one that fails."""
    written(path, GOOD)
    known = "general-high, general-budget, general-fast, local, local-small, y"
    said = str(refused(ConfigError, "set", "preset", "nope"))
    assert said == f'{path}: preset: expected one of {known}; found "nope"'
    done("set", "preset", "y")
    kept = path.read_text()
    assert str(refused(ConfigError, "unset", "presets.y")).endswith('; found "y"')
    assert path.read_text() == kept
    written(path, 'preset = "nope"\n')
    assert str(refused(ConfigError, "presets")).endswith('local-small; found "nope"')
    done("set", "preset", "local")
    assert path.read_text() == 'preset = "local"\n'


@pytest.mark.parametrize("key", ["judge", "presets.y.panel", "presets.y.description"])
def test_a_key_in_the_place_of_a_name_is_never_kept(path: Path, key: str) -> None:
    """A key that is pasted where a model or a description belongs is refused unseen, and nothing is written."""
    assert str(refused(UsageError, "set", key, CANARY)).endswith("found (not shown: it looks like a secret)")
    assert not path.parent.exists()


def test_every_key_is_listed_by_the_command_that_is_named(path: Path) -> None:
    """Who mistypes a key is told what lists them all, and it does, whether the file can be read or not."""
    assert refused(UsageError, "get", "zzz").hint == "fusion config show lists every key"
    written(path, "")
    assert "web.searxng_url" in done("show")
    written(path, "zzz = 1")
    [_, flag, file, *command, _, _, _] = refused(ConfigError, "show").hint.split()
    listed = fusion(flag, file, *command)
    assert (listed.status, "web.searxng_url" in listed.stdout) == (0, True)
