"""Promises of presets of one's own: how the config file says them, and what each mistake in one is told."""

import json
from pathlib import Path

import pytest

from fusion_cli import settings, values
from fusion_cli.chat import Reasoning, ServerTool
from fusion_cli.choices import Choices, Seat
from fusion_cli.errors import ConfigError
from fusion_cli.presets import Preset

CANARY = "sk-or-v1-canary0123456789"
MINE = """\
preset = "mine"

[presets.mine]
description = "two minds of mine"
judge = "lab:j"
model = "o"
tool_choice = "required"
max_tool_calls = 1
max_completion_tokens = 4000
temperature = 0
reasoning.max_tokens = 100
system = "Be brief."
seed = 7
tools = []
quotes = true
second_look = false
timeout = "1m"
idle_timeout = 0
deadline = 3600
quorum = 1
grace = "2s"
max_cost = 2
allow_unknown_cost = true

[[presets.mine.panel]]
model = "a/b"
system = "You doubt\\neverything."
label = "sceptic"
temperature = 1
reasoning.effort = "low"
max_completion_tokens = 400

[[presets.mine.panel]]
model = "a/b"

[presets.lean]
panel = ["a", "a"]
tools = [{type = "openrouter:web_search", parameters = {max_results = 3, allowed_domains = ["x.example"]}}]
"""
SCEPTIC = Seat("a/b", "You doubt\neverything.", 1.0, "sceptic", Reasoning("low"), 400)


def configured(tmp_path: Path, text: str) -> settings.Settings:
    """Load a config file of this text."""
    path = tmp_path / "c.toml"
    path.write_text(text)
    return settings.load(path, environ={})


def refusal(tmp_path: Path, text: str) -> ConfigError:
    """Return the error with which such a config is refused, which reveals nothing and has one clean line."""
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, text)
    said = str(caught.value)
    assert said.isprintable()
    assert CANARY not in said + caught.value.hint
    assert said.startswith(f"{tmp_path / 'c.toml'}: ")
    return caught.value


def test_a_preset_arrives_as_it_was_written(tmp_path: Path) -> None:
    """Every key of a preset reaches its field, presets keep the file's order, and what is absent is not invented."""
    loaded = configured(tmp_path, MINE)
    assert list(loaded.presets) == ["mine", "lean"]
    assert loaded.configured == Choices(preset="mine")
    assert loaded.presets["mine"] == Preset(
        "two minds of mine",
        Choices(
            panel=(SCEPTIC, Seat("a/b")),
            judge="lab:j",
            model="o",
            tool_choice="required",
            max_tool_calls=1,
            max_completion_tokens=4000,
            temperature=0.0,
            reasoning=Reasoning(max_tokens=100),
            system="Be brief.",
            seed=7,
            tools=(),
            quotes=True,
            second_look=False,
            timeout=60.0,
            idle_timeout=0.0,
            deadline=3600.0,
            quorum=1,
            grace=2.0,
            max_cost=2.0,
            allow_unknown_cost=True,
        ),
    )
    search = ServerTool("openrouter:web_search", {"max_results": 3, "allowed_domains": ["x.example"]})
    assert loaded.presets["lean"] == Preset("", Choices(panel=(Seat("a"), Seat("a")), tools=(search,)))


def test_without_presets_there_are_none() -> None:
    """The built-in presets are not the user's."""
    assert settings.load(environ={}).presets == {}


def test_entries_say_what_is_set_as_json_holds_it(tmp_path: Path) -> None:
    """Each key that a preset sets is an entry from the file, faithful and fit for JSON; the others are no entries."""
    found = {entry.key: entry for entry in settings.entries(configured(tmp_path, MINE))}
    assert {entry.source for key, entry in found.items() if key.startswith("presets.")} == {"file"}
    assert [key for key in found if key.startswith("presets.lean")] == ["presets.lean.panel", "presets.lean.tools"]
    assert json.loads(json.dumps(found["presets.mine.panel"].value)) == [
        {
            "model": "a/b",
            "system": "You doubt\neverything.",
            "temperature": 1.0,
            "label": "sceptic",
            "reasoning": {"effort": "low"},
            "max_completion_tokens": 400,
        },
        "a/b",
    ]
    assert found["presets.mine.reasoning"].value == {"max_tokens": 100}
    assert (found["presets.mine.tools"].value, found["presets.mine.temperature"].value) == ([], 0.0)
    assert found["presets.lean.tools"].value == [
        {"type": "openrouter:web_search", "parameters": {"max_results": 3, "allowed_domains": ["x.example"]}}
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[presets.mine]\njudge = "a"', f"presets.mine.panel: expected {values.PANEL.expects}, found nothing"),
        ("[presets.mine]", f"presets.mine.panel: expected {values.PANEL.expects}, found nothing"),
        ('[presets.local]\npanel = ["a"]', "presets.local: expected another name: local is built in"),
        ('[presets."a b"]\npanel = ["a"]', "presets.a b: expected a preset's name of letters, digits, - and _"),
        ('[presets."a.b"]\npanel = ["a"]', "presets.a.b: expected a preset's name of letters, digits, - and _"),
        ('presets = "mine"', 'presets: expected a table, found "mine"'),
        ('[presets]\nmine = ["a"]', "presets.mine: expected a table, found an array"),
        ("[presets.mine]\njugde = 1", "presets.mine.jugde: unknown key, did you mean presets.mine.judge?"),
        ('[presets.mine]\npreset = "local"', "presets.mine.preset: unknown key"),
        ("[presets.mine]\ndescription = '''a\nb'''", "presets.mine.description: expected text in one line of at most"),
        (
            '[presets.x]\npanel = ["a", {model = "b", temperature = 3}]',
            "presets.x.panel[1].temperature: expected a number from 0 to 2, found 3",
        ),
        (
            '[presets.x]\npanel = ["a"]\ntools = [{type = "openrouter:web_search", parameters = {since = 1979-05-27}}]',
            "presets.x.tools[0].parameters.since: expected what can be sent as JSON, found a date or a time",
        ),
    ],
)
def test_each_mistake_in_a_preset_has_its_line(tmp_path: Path, text: str, said: str) -> None:
    """A mistake names the preset, the key and the seat, what was expected, and what was found."""
    assert str(refusal(tmp_path, text)).removeprefix(f"{tmp_path / 'c.toml'}: ").startswith(said)


def test_a_preset_without_a_panel_says_what_comes_first(tmp_path: Path) -> None:
    """The hint gives the commands that make the preset whole or remove it."""
    assert refusal(tmp_path, '[presets.mine]\njudge = "a"').hint == (
        "A preset starts with its panel: fusion config set presets.mine.panel a,b,c"
        " (and ends with: fusion config unset presets.mine)"
    )


@pytest.mark.parametrize(
    "text", [f'[presets."{CANARY}"]\njudge = "x"', f'[presets.x]\npanel = ["a"]\napi_key = "{CANARY}"']
)
def test_a_secret_in_a_preset_is_never_quoted(tmp_path: Path, text: str) -> None:
    """Whoever pastes a key there is told so without its being repeated, hint included (see `refusal`)."""
    assert refusal(tmp_path, text)


@pytest.mark.parametrize("name", ["general-fast", "mine"])
def test_a_preset_that_exists_may_be_configured(tmp_path: Path, name: str) -> None:
    """Built in or the user's own, wherever in the file its table stands."""
    assert configured(tmp_path, f'preset = "{name}"\n[presets.mine]\npanel = ["a"]').configured.preset == name


@pytest.mark.parametrize(("name", "found"), [("gone", '"gone"'), (CANARY, "(not shown: it looks like a secret)")])
def test_a_preset_that_does_not_exist_names_those_that_do(tmp_path: Path, name: str, found: str) -> None:
    """It is refused when the file is read, not by the first question."""
    said = str(refusal(tmp_path, f'preset = "{name}"\n[presets.mine]\npanel = ["a"]'))
    known = "general-high, general-budget, general-fast, local, local-small, mine"
    assert said == f"{tmp_path / 'c.toml'}: preset: expected one of {known}; found {found}"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("deep_research_panel_2026_v2", "deep_research_panel_2026_v2"),
        ("m" * 64, "m" * 64),
        (CANARY, "NAME"),
        ("a1" * 20, "NAME"),
    ],
)
def test_a_hint_can_be_used(tmp_path: Path, name: str, told: str) -> None:
    """The commands of a hint name the preset whole; one that may be a secret is called NAME, suggestions included."""
    error = refusal(tmp_path, f'[presets.{name}]\njudge = "a"')
    assert str(error).endswith(f"presets.{told}.panel: expected {values.PANEL.expects}, found nothing")
    assert f" fusion config set presets.{told}.panel a,b,c " in error.hint
    assert error.hint.endswith(f" fusion config unset presets.{told})")
    unknown = str(refusal(tmp_path, f'[presets.{name}]\njugde = "a"'))
    assert unknown.endswith(f": unknown key, did you mean presets.{told}.judge?")


def test_the_hint_for_a_key_of_a_preset_lists_those(tmp_path: Path) -> None:
    """Who mistypes a preset's key is not shown the rest of the file's keys."""
    hint = refusal(tmp_path, "[presets.x]\nzzz = 1").hint
    assert hint.startswith("the keys of a preset are description, panel, judge, model, tool_choice, ")
    assert "base_url" not in hint
    assert refusal(tmp_path, "zzz = 1").hint == "fusion --config /dev/null config show lists every key"
