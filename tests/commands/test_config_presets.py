"""Promises of `fusion config` for presets, seats and tables: writing them, showing them, and listing all presets."""

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from fusion_cli.amounts import DURATION, GRACE, MONEY
from fusion_cli.errors import ConfigError, FusionError, UsageError
from fusion_cli.values import EFFORT, MODEL
from tests.commands.test_config import CANARY, COMMENTED, done, fusion, others, refused, written

PERSONA = "You doubt everything that is said, and say so at great length.\n\x1b[31mRed.\u202e" * 3
MINE = f"""\
[presets.mine]
description = "two minds of mine, for questions where a single opinion is not enough"
panel = [
  {{model = "a/b", label = "sceptic", system = {json.dumps(PERSONA)}, temperature = 1, reasoning = {{effort = "low"}}}},
  "a/b", # once more
  "a/b",
]
temperature = 0.5
tools = []
"""


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the config file would be; there is none yet."""
    path = tmp_path / "folder" / "config.toml"
    monkeypatch.setenv("FUSION_CONFIG", str(path))
    return path


def listed(*arguments: str) -> dict[str, dict[str, Any]]:
    """Return what `fusion config presets --json` says, by name."""
    told = json.loads(done(*arguments, "presets", "--json"))
    assert list(told) == ["presets"]
    return {preset["name"]: preset for preset in told["presets"]}


@pytest.mark.parametrize(
    ("key", "value", "printed", "stored"),
    [
        ("reasoning", '{effort = "low"}', '{effort = "low"}', {"effort": "low"}),
        ("tools", "[]", "[]", []),
        (
            "tools",
            '[{type = "openrouter:web_search", parameters = {max_results = 3}}]',
            '[{type = "openrouter:web_search", parameters = {max_results = 3}}]',
            [{"type": "openrouter:web_search", "parameters": {"max_results": 3}}],
        ),
        ("panel", '[{model="b",label="B"}]', '[{model = "b", label = "B"}]', [{"model": "b", "label": "B"}]),
        ("presets.mine.panel", "a, b", "a,b", ["a", "b"]),
        ("presets.mine.panel", '["a,b"]', '["a,b"]', ["a,b"]),
        ("seed", " 5 ", "5", 5),
        ("seed", "007", "7", 7),
        ("temperature", ".5", "0.5", 0.5),
        ("max_tool_calls", "16", "16", 16),
        ("system", "Be brief.\nBe kind.", "Be brief.\nBe kind.", "Be brief.\nBe kind."),
        ("system", "42", "42", "42"),
        ("quotes", "true", "true", True),
        ("timeout", "90", "90.0", 90),
        ("deadline", "1h30m", "5400.0", "1h30m"),
        ("idle_timeout", "none", "0.0", "none"),
        ("quorum", "2", "2", 2),
        ("max_cost", "$0.50", "0.5", "$0.50"),
    ],
)  # fmt: skip
def test_what_was_set_is_got(path: Path, key: str, value: str, printed: str, stored: object) -> None:
    """Tables, seats and numbers written as text are stored as what they are, and printed as `set` takes them again."""
    written(path, "")
    assert refused(FusionError, "get", key).args == (f"{key} is not set",)
    done("set", key, value)
    assert done("get", key) == f"{printed}\n"
    before = path.read_text()
    found: Any = tomllib.loads(before)
    for part in key.split("."):
        found = found[part]
    assert (found, type(found)) == (stored, type(stored))
    done("set", key, printed)
    assert done("get", key) == f"{printed}\n"
    assert path.read_text() == before or printed != value


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("reasoning", '{effort = "much"}', f'reasoning.effort: expected {EFFORT.expects}, found "much"'),
        ("panel", "a,,b", f'panel[1]: expected {MODEL.expects} or a table with one as model, found ""'),
        ("reasoning", "low", 'reasoning: expected a table with effort or max_tokens, found "low"'),
        ("max_tool_calls", "17", "max_tool_calls: expected a whole number from 1 to 16, found 17"),
        ("timeout", "-1", f"timeout: expected {DURATION.expects}, found -1"),
        ("deadline", "nan", f"deadline: expected {DURATION.expects}, found nan"),
        ("grace", "none", f'grace: expected {GRACE.expects}, found "none"'),
        ("presets.m.max_cost", "abc", f'presets.m.max_cost: expected {MONEY.expects}, found "abc"'),
        ("save", "no", 'save: expected true or false, found "no"'),
        ("seed", "9" * 40, "seed: expected a whole number from 0, found a huge number"),
        ("presets.m.panel", '[{model = "b", seed = 3}]', "presets.m.panel[0]: expected a table of model, system, "),
        ("presets.m.panel", '[{model = "b", temperature = 3}]', "presets.m.panel[0].temperature: expected a number"),
        ("presets.mine.pannel", "a", "presets.mine.pannel: unknown key, did you mean presets.mine.panel?"),
        ("preset.mine.panel", "a", "preset.mine.panel: unknown key, did you mean presets.mine.panel?"),
        (f"presets.{CANARY}.x", "a", "(not shown: it looks like a secret): unknown key"),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_where_it_is_bad(path: Path, key: str, value: str, said: str) -> None:
    """The line names the place within the value, and nothing is written."""
    assert str(refused(UsageError, "set", key, value)).startswith(said)
    assert not path.parent.exists()


def test_a_preset_starts_with_its_panel_and_ends_as_a_whole(path: Path) -> None:
    """What would leave a preset without a panel is refused, and the hint names the commands that work."""
    error = refused(ConfigError, "set", "presets.mine.judge", "x")
    assert str(error).startswith(f"{path}: presets.mine.panel: expected an array of 1 to 8")
    assert "fusion config set presets.mine.panel a,b,c" in error.hint
    done("set", "presets.mine.panel", "a,b")
    done("set", "presets.mine.judge", "x")
    done("set", "preset", "mine")
    assert path.read_text() == 'preset = "mine"\n\n[presets.mine]\npanel = ["a", "b"]\njudge = "x"\n'
    assert "fusion config unset presets.mine" in refused(ConfigError, "unset", "presets.mine.panel").hint
    done("unset", "preset")
    done("unset", "presets.mine")
    assert path.read_text().strip() == ""
    assert str(refused(ConfigError, "set", "presets.local.panel", "a")).endswith("another name: local is built in")


@pytest.mark.parametrize(
    ("arguments", "old", "new"),
    [
        (("set", "presets.mine.judge", "j"), "tools = []\n", 'tools = []\njudge = "j"\n'),
        (("set", "presets.mine.temperature", "1"), "temperature = 0.5\n", "temperature = 1\n"),
        (("unset", "presets.mine.tools"), "tools = []\n", ""),
        (("set", "reasoning", "{max_tokens = 5}"), "# why\n", "# why\nreasoning = {max_tokens = 5}\n"),
        (("unset", "presets.mine"), MINE, ""),
    ],
)
def test_nothing_but_the_value_changes(path: Path, arguments: list[str], old: str, new: str) -> None:
    """Comments, order and the other keys of a preset stay."""
    text = f"{COMMENTED}\n# of mine\n{MINE}"
    written(path, text)
    done(*arguments)
    assert text.count(old) == 1
    assert path.read_text() == text.replace(old, new)
    assert others(path) == []


@pytest.mark.parametrize(
    ("text", "key", "value", "new"),
    [
        ('# a\n[reasoning] # b\neffort = "low"\n# c\n', "reasoning", "{max_tokens = 1}", {"max_tokens": 1}),
        ('# a\nreasoning = {effort = "low"} # b\n', "reasoning", "{max_tokens = 1}", {"max_tokens": 1}),
        ('[[tools]] # a\ntype = "openrouter:x"\n[[tools]]\ntype = "openrouter:y"\n', "tools", "[]", []),
        ('# a\n[[presets.x.panel]]\nmodel = "a"\n[presets.y] # b\npanel = ["c"]\n', "presets.x.panel", "d", ["d"]),
        ('[presets.x]\npanel = ["a"]\n[presets.x.reasoning] # a\neffort = "low"\n', "presets.x.judge", "j", "j"),
        ('presets = {x = {panel = ["a"]}} # a\n', "presets.y.panel", "b", ["b"]),
    ],
)
def test_any_way_of_writing_a_table_can_be_changed(path: Path, text: str, key: str, value: str, new: object) -> None:
    """A value takes the place of a table or an array of tables, comments elsewhere stay, and nothing else changes."""
    written(path, text)
    wanted = tomllib.loads(text)
    *above, name = key.split(".")
    table = wanted
    for part in above:
        table = table.setdefault(part, {})
    table[name] = new
    done("set", key, value)
    assert tomllib.loads(path.read_text()) == wanted


def test_a_preset_in_many_tables_can_be_removed(path: Path) -> None:
    """However far apart and long its tables are, `unset` takes all of a preset and nothing else."""
    seat = '[[presets.mine.panel]]\nmodel = "a"\nsystem = """' + "line\n" * 20 + '"""\n'
    written(path, f'{seat * 4}[local]\nmodel = "/x" # kept\n[presets.mine.reasoning]\neffort = "low"\n')
    done("unset", "presets.mine")
    assert path.read_text() == '[local]\nmodel = "/x" # kept\n'


def test_show_is_one_clean_line_a_value(path: Path) -> None:
    """Seats and long texts are shown short and without controls, in JSON whole."""
    written(path, f"system = {json.dumps(PERSONA)}\nreasoning = {{effort = 'low'}}\n{MINE}")
    lines = done("show").splitlines()
    assert all(line.isprintable() for line in lines)
    shown = dict(line.split(maxsplit=1) for line in lines if not line.startswith("#"))
    assert shown["reasoning"] == "effort=low (file)"
    assert shown["system"] == "You doubt everything that is said, and say so at great le... (file)"
    assert shown["presets.mine.tools"] == "none (file)"
    assert shown["presets.mine.panel"] == (
        'a/b (system="You doubt everything that is said, an...", temperature=1.0, label=sceptic, '
        "reasoning={effort=low}), a/b, a/b (file)"
    )
    values = json.loads(done("show", "--json"))["values"]
    assert values["system"] == {"value": PERSONA, "source": "file"}
    assert values["presets.mine.panel"]["value"][0] == {
        "model": "a/b",
        "system": PERSONA,
        "temperature": 1.0,
        "label": "sceptic",
        "reasoning": {"effort": "low"},
    }
    assert values["seed"] == {"value": None, "source": "default"}


def test_presets_are_listed_as_a_run_would_take_them(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Built in and own: labels, models with their provider, who judges and writes, and only what is set."""
    monkeypatch.setenv("FUSION_PROVIDER", "openrouter")  # so that nothing depends on what is installed
    written(
        path,
        MINE
        + 'judge = "local:j"\n[presets.lean]\npanel = ["lab:x", "y"]\n[providers.lab]\nbase_url = "http://[::1]/v1"\n',
    )
    presets = listed()
    assert list(presets) == ["general-high", "general-budget", "general-fast", "local", "local-small", "mine", "lean"]
    high, local = presets["general-high"], presets["local"]
    assert high["panel"][1] == {"label": "~openai/gpt-sol-latest", "model": "openrouter:~openai/gpt-sol-latest"}
    assert (high["source"], high["in_effect"], local["in_effect"]) == ("built in", "default", None)
    assert (high["judge"], high["model"]) == ("openrouter:~anthropic/claude-opus-latest",) * 2
    assert [seat["label"] for seat in local["panel"]] == [f"qwen2.5-coder-1.5b#{number}" for number in (1, 2, 3)]
    assert presets["mine"] == {
        "name": "mine",
        "source": "config file",
        "in_effect": None,
        "overridden": [],
        "description": "two minds of mine, for questions where a single opinion is not enough",
        "panel": [
            {
                "label": "sceptic",
                "model": "openrouter:a/b",
                "system": PERSONA,
                "temperature": 1.0,
                "reasoning": {"effort": "low"},
            },
            {"label": "a/b#1", "model": "openrouter:a/b"},
            {"label": "a/b#2", "model": "openrouter:a/b"},
        ],
        "judge": "local:j",
        "model": "local:j",
        "temperature": 0.5,
        "tools": [],
    }
    assert [seat["model"] for seat in presets["lean"]["panel"]] == ["lab:x", "openrouter:y"]
    assert (presets["lean"]["judge"], presets["lean"]["model"]) == ("lab:x", "lab:x")


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ('preset = "general-fast"', [("general-fast", "configured", [])]),
        ('judge = "openrouter:x"', [("general-high", "default", ["judge", "model"])]),
        ('model = "openrouter/fusion-flash"\nprovider = "local"', [("general-fast", "configured", [])]),
        ('preset = "general-budget"\npanel = ["a/b"]', [("general-budget", "configured", ["panel"])]),
        ('panel = ["a"]', []),
    ],
)
def test_the_preset_in_effect_is_marked(path: Path, text: str, marked: list[Any]) -> None:
    """The one that a run without flags takes, why, and what of it is overridden; none where the panel is one's own."""
    written(path, text)
    presets = [preset for preset in listed().values() if preset["in_effect"]]
    assert [(preset["name"], preset["in_effect"], preset["overridden"]) for preset in presets] == marked


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_list_fits_the_terminal(path: Path, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """No line is wider than the terminal but for a single name that is, and no control of a persona comes out."""
    written(path, 'preset = "mine"\n' + MINE)
    monkeypatch.setenv("COLUMNS", str(width))
    lines = done("presets").splitlines()
    assert all(line.isprintable() for line in lines)
    assert [line for line in lines if len(line) > width and len(line.split()) > 1] == []
    assert "mine (config file; in effect)" in lines
    told = " ".join(" ".join(lines).split())
    assert "two minds of mine, for questions" in told
    assert "temperature: 0.5 tools: none" in told
    assert "You doubt everything" in told


def test_listing_needs_neither_key_nor_engine(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Where nobody could serve them, models without a provider are listed as they are written."""
    monkeypatch.setattr("fusion_cli.local.engine.installed", lambda: False)
    written(path, MINE)
    assert listed()["mine"]["panel"][1] == {"label": "a/b#1", "model": "a/b"}
    assert "    sceptic  a/b" in done("presets")


@pytest.mark.skipif(os.name == "nt", reason="Windows spells this path otherwise")
def test_own_weights_are_listed_as_what_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model file of one's own takes the place of every embedded model, as in a run."""
    written(path, "")
    monkeypatch.setenv("FUSION_LOCAL_MODEL", "/x/own.gguf")
    assert listed()["local"]["judge"] == "local:own"
    assert [seat["label"] for seat in listed()["local"]["panel"]] == ["own#1", "own#2", "own#3"]


def test_a_malformed_file_stops_the_list(path: Path) -> None:
    """A list that leaves out the user's own presets would mislead."""
    written(path, "preset = \n")
    assert fusion("presets").exit_code == 1
    assert "expected TOML" in str(refused(ConfigError, "presets"))
