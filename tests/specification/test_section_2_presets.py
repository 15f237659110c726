"""The specification, section 2: presets, the plugin's fields, and the function that the outer model sees."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.specification.running import ASK, CONVENED, WEB, Script, run
from tests.wire.server import Call, Reply

OPUS, SONNET = "~anthropic/claude-opus-latest", "~anthropic/claude-sonnet-latest"
BUDGET = ["~google/gemini-flash-latest", "deepseek/deepseek-v3.2", "~moonshotai/kimi-latest"]
PRESETS = {
    "general-high": ([OPUS, "~openai/gpt-sol-latest", "~google/gemini-pro-latest"], OPUS),
    "general-budget": (BUDGET, OPUS),
    "general-fast": (BUDGET, SONNET),
}
FUSION: dict[str, Any] = {"type": "openrouter:fusion"}


def request(**more: Any) -> dict[str, Any]:
    """Return a request that forces the panel."""
    return {"model": "o/outer", "messages": ASK, "tool_choice": "required", **more}


@pytest.mark.parametrize("name", PRESETS)
def test_presets(name: str) -> None:
    """Each preset has exactly its panel, in order, and its judge; the tilde is part of the slug on the wire."""
    panel, judge = PRESETS[name]
    seen = run("analyze", "--json", "--preset", name, "SQLite?")
    assert [row["model"] for row in seen.run["responses"]] == panel
    assert seen.models("panel") == sorted(panel)
    assert seen.models("judge") == [judge]


FAST: dict[str, tuple[list[str], str | None, dict[str, Any] | None]] = {
    "flag of ask": ([*CONVENED, "--preset", "general-fast", "x"], None, None),
    "flag of analyze": (["analyze", "--json", "--preset", "general-fast", "x"], None, None),
    "file": ([*CONVENED, "x"], 'preset = "general-fast"', None),
    "tool": ([*CONVENED], None, request(tools=[{**FUSION, "parameters": {"preset": "general-fast"}}])),
    "plugin": ([*CONVENED], None, request(plugins=[{"id": "fusion", "preset": "general-fast"}])),
}


@pytest.mark.parametrize("where", FAST)
def test_a_preset_is_accepted_everywhere(where: str) -> None:
    """A preset may be named in tool, plugin, flag and file alike: its panel answers, its judge judges."""
    arguments, config, body = FAST[where]
    seen = run(*arguments, config=config, body=body)
    assert (seen.models("panel"), seen.models("judge")) == (sorted(BUDGET), [SONNET])


def test_a_preset_names_the_judge_of_judge() -> None:
    """`judge` takes a preset for the sake of its judge."""
    Path("a.txt").write_text("yes")
    seen = run("judge", "--json", "--prompt", "x?", "--response", "ann=a.txt", "--preset", "general-fast")
    assert seen.models() == [SONNET]


OWN = 'panel = ["p/own"]\njudge = "j/own"\nmax_tool_calls = 7\ntemperature = 1.5\n'
WINS: dict[str, tuple[list[str], str | None, dict[str, Any] | None]] = {
    "flags over a built-in preset": (
        [*CONVENED, "--preset", "general-fast", "-p", "a/one", "-j", "z/judge", "--max-tool-calls", "2", "x"],
        None,
        None,
    ),
    "flags over one's own": (
        [*CONVENED, "--preset", "own", "-p", "a/one", "-j", "z/judge", "--max-tool-calls", "2", "x"],
        f"[presets.own]\n{OWN}",
        None,
    ),
    "the file over the preset it names": (
        [*CONVENED, "x"],
        f'preset = "own"\npanel = ["a/one"]\njudge = "z/judge"\nmax_tool_calls = 2\n[presets.own]\n{OWN}',
        None,
    ),
    "the tool's parameters over its preset": (
        [*CONVENED],
        f"[presets.own]\n{OWN}",
        request(
            tools=[
                {
                    **FUSION,
                    "parameters": {
                        "preset": "own",
                        "analysis_models": ["a/one"],
                        "model": "z/judge",
                        "max_tool_calls": 2,
                    },
                }
            ]
        ),
    ),
    "the plugin's fields over its preset": (
        [*CONVENED],
        None,
        request(
            plugins=[
                {
                    "id": "fusion",
                    "preset": "general-fast",
                    "analysis_models": ["a/one"],
                    "model": "z/judge",
                    "max_tool_calls": 2,
                }
            ]
        ),
    ),
}


@pytest.mark.parametrize("where", WINS)
def test_explicit_fields_win(where: str) -> None:
    """What is said beside a preset wins over it, and what is not comes from it."""
    arguments, config, body = WINS[where]
    seen = run(*arguments, config=config, body=body)
    assert (seen.models("panel"), seen.models("judge")) == (["a/one"], ["z/judge"])
    assert seen.panel[0]["stop_server_tools_when"] == [{"type": "step_count_is", "step_count": 2}]
    if config is not None:
        assert seen.panel[0]["temperature"] == 1.5


ENABLED = [({}, True), ({"enabled": True}, True), ({"enabled": False}, False)]


@pytest.mark.parametrize(("said", "attached"), ENABLED)
def test_the_plugin_is_enabled_by_default(said: dict[str, Any], attached: bool) -> None:
    """`enabled` is true by default; a plugin that is not attaches nothing."""
    plugin = {"id": "fusion", "analysis_models": ["a/one"], **said}
    seen = run("ask", "--json", body={"model": "o/outer", "messages": ASK, "plugins": [plugin]})
    assert (seen.status, seen.run["fused"]) == (0, attached)
    assert ("tools" in seen.outer[0]) is attached


def test_the_plugins_fields() -> None:
    """The plugin takes enabled, preset, analysis_models, model, max_tool_calls and tools, without a warning."""
    fields = {"analysis_models": ["a/one"], "model": "z/judge", "max_tool_calls": 3, "tools": WEB[:1]}
    plugin = {"id": "fusion", "enabled": True, "preset": "general-high", **fields}
    seen = run(*CONVENED, body=request(plugins=[plugin]))
    assert not [line for line in seen.run["warnings"] if "request" in line]
    assert (seen.models("panel"), seen.models("judge")) == (["a/one"], ["z/judge"])
    for body in (*seen.panel, *seen.judge):
        assert body["tools"] == WEB[:1]
        assert body["stop_server_tools_when"] == [{"type": "step_count_is", "step_count": 3}]


def test_enabled_is_true_or_false() -> None:
    """Another value is refused before anything is sent."""
    seen = run("ask", body=request(plugins=[{"id": "fusion", "enabled": "yes"}]))
    assert (seen.status, seen.requests) == (2, [])
    assert "plugins[0].enabled: expected true or false" in seen.ended.stderr


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ({"prompt": "In its own words?"}, ["In its own words?"]),
        ({"prompt": ""}, []),
        ({"question": "x"}, []),
        ({"prompt": 5}, []),
    ],
)
def test_the_function_has_one_argument(arguments: dict[str, Any], asked: list[str]) -> None:
    """The function has one argument, `prompt`, a string, which is what the panel is asked; without it nobody is."""
    called = Reply(tool_calls=(Call("fusion", json.dumps(arguments)),))
    script: list[Script] = [("o/outer", "outer", (called, Reply("done")))]
    seen = run("ask", "--json", "-p", "a/one", "-m", "o/outer", "SQLite?", script=script)
    parameters = seen.outer[0]["tools"][0]["function"]["parameters"]
    assert list(parameters["properties"]) == parameters["required"] == ["prompt"]
    assert parameters["properties"]["prompt"]["type"] == "string"
    assert [message["content"] for body in seen.panel for message in body["messages"]] == asked
    assert seen.run["answer"] == "done"


def test_the_same_slug_with_a_tilde_and_without() -> None:
    """A concrete model's name in the response does not change whom it belongs to."""
    script: list[Script] = [("~openai/gpt-sol-latest", "panel", (Reply("yes", model="openai/gpt-sol-5.2-2026-08"),))]
    seen = run("analyze", "--json", "-p", "~openai/gpt-sol-latest", "x", script=script)
    assert [row["model"] for row in seen.run["responses"]] == ["~openai/gpt-sol-latest"]
