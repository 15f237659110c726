"""The specification, section 2: every field of the tool entry, in a request, as a flag, in a preset and in the file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fusion_cli.config_writer import as_toml
from tests.specification.running import ASK, CONVENED, WEB, Rows, Seen, here, run, untrue
from tests.wire.server import WireServer, deliberation

EFFORTS = ("max", "xhigh", "high", "medium", "low", "minimal", "none")
IN_FILE = {"analysis_models": "panel", "model": "judge"}
FLAGS: dict[str, Callable[[Any], list[str]]] = {
    "analysis_models": lambda value: ["-p", ",".join(value)],
    "model": lambda value: ["-j", value],
    "max_tool_calls": lambda value: ["--max-tool-calls", str(value)],
    "max_completion_tokens": lambda value: ["--max-completion-tokens", str(value)],
    "temperature": lambda value: ["--temperature", str(value)],
    "reasoning": lambda value: [
        part for key, it in value.items() for part in (f"--reasoning-{key.replace('_', '-')}", str(it))
    ],
    "tools": lambda value: ["--web" if value else "--no-web"],
    "preset": lambda value: ["--preset", value],
}
OF_THE_PLUGIN = ("preset", "analysis_models", "model", "max_tool_calls", "tools")
FORMS = ("request", "plugin", "flags", "preset", "file")


def as_table(fields: dict[str, Any]) -> str:
    """Return fields as they stand in the config file or in a preset in it."""
    return "".join(f"{IN_FILE.get(key, key)} = {as_toml(value)}\n" for key, value in fields.items())


def spelled(form: str, fields: dict[str, Any]) -> list[str]:
    """Return the arguments that say these fields in one of the forms; what they name is written to files."""
    command = [*CONVENED, "-m", "o/outer"]
    if form == "flags":
        return [*command, "SQLite?", *(part for key, value in fields.items() for part in FLAGS[key](value))]
    if form in ("request", "plugin"):
        tool = {"type": "openrouter:fusion", "parameters": fields}
        attached = {"tools": [tool]} if form == "request" else {"plugins": [{"id": "fusion", **fields}]}
        Path("body.json").write_text(json.dumps({"model": "o/outer", "messages": ASK, **attached}))
        return [*command, "--request", "body.json"]
    table, named = (as_table(fields), ()) if form == "file" else (f"[presets.own]\n{as_table(fields)}", ("own",))
    Path("own.toml").write_text(table)
    return ["--config", "own.toml", *command, *(part for name in named for part in ("--preset", name)), "SQLite?"]


def values_on_the_wire(seen: Seen) -> dict[str, Any]:
    """Return the fields as panel and judge were asked with them; a list where they differ."""

    def of(body: Any, key: str) -> Any:
        if key == "max_tool_calls":
            [stop] = body.get("stop_server_tools_when") or [{}]
            return stop.get("step_count")
        return body.get(key, [] if key == "tools" else None)

    [judge] = seen.judge
    shared = ("max_tool_calls", "max_completion_tokens", "reasoning", "tools")
    inner: dict[str, Any] = {}
    for key in shared:
        told = [of(body, key) for body in (*seen.panel, judge)]
        inner[key] = told[0] if all(value == told[0] for value in told) else told
    [temperature] = {body.get("temperature") for body in seen.panel}
    return {
        "analysis_models": seen.models("panel"),
        "model": judge["model"],
        "temperature": temperature,
        "the judge's temperature": judge["temperature"],
        **inner,
    }


DEFAULTS: Rows = {
    "analysis_models: the quality preset's panel": lambda it: (
        it.models("panel")
        == sorted(["~anthropic/claude-opus-latest", "~openai/gpt-sol-latest", "~google/gemini-pro-latest"])
    ),
    "model: the outer model": lambda it: it.models("judge", "outer") == ["o/outer", "o/outer"],
    "max_tool_calls: 4": lambda it: values_on_the_wire(it)["max_tool_calls"] == 4,
    "max_completion_tokens: 16000": lambda it: values_on_the_wire(it)["max_completion_tokens"] == 16_000,
    "reasoning: provider's default": lambda it: not any("reasoning" in body for body in it.bodies()),
    "temperature: provider's default": lambda it: not any("temperature" in body for body in it.panel),
    "the judge always runs at 0": lambda it: it.judge[0]["temperature"] == 0,
    "tools: web_search and web_fetch": lambda it: values_on_the_wire(it)["tools"] == WEB,
    "preset: none": lambda it: it.run["warnings"] == [],
}


def test_defaults() -> None:
    """What nobody says has the default of the table."""
    assert untrue(DEFAULTS, run(*CONVENED, "-m", "o/outer", "SQLite?")) == []


LEAST = {
    "analysis_models": ["a/one"],
    "model": "z/judge",
    "max_tool_calls": 1,
    "max_completion_tokens": 1,
    "reasoning": {"effort": "none"},
    "temperature": 0,
    "tools": WEB,
}
MOST = {
    "analysis_models": ["a/one"] * 3 + [f"b/{index}" for index in range(5)],
    "model": "z/judge",
    "max_tool_calls": 16,
    "max_completion_tokens": 1_000_000,
    "reasoning": {"max_tokens": 9000},
    "temperature": 2,
    "tools": [{"type": "openrouter:web_search", "parameters": {"max_results": n + 1}} for n in range(8)],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fields", [LEAST, MOST], ids=["least", "most"])
def test_limits_are_accepted(form: str, fields: dict[str, Any]) -> None:
    """Each field at its lower and its upper limit is accepted in every form, and reaches those it is for."""
    fields = dict(fields)
    if form == "plugin":
        fields = {key: value for key, value in fields.items() if key in OF_THE_PLUGIN}
    if form == "flags":
        fields["tools"] = WEB  # a flag says whether, and not with which parameters
    with WireServer(default=deliberation()) as server:
        seen = Seen(here(*spelled(form, fields), server=server), server.requests)
    assert seen.status == 0, seen.ended.stderr
    found = values_on_the_wire(seen)
    assert {key: found[key] for key in fields} == fields
    assert found["the judge's temperature"] == 0
    assert seen.models("outer") == ["o/outer"]
    assert not {"temperature", "max_completion_tokens", "reasoning"} & seen.outer[0].keys()


def test_no_web_tools() -> None:
    """`[]` means no web tools, in every form."""
    with WireServer(default=deliberation()) as server:
        for form in FORMS:
            ended = here(*spelled(form, {"analysis_models": ["a/one"], "tools": []}), server=server)
            assert ended.status == 0, ended.stderr
        requests = [request for request in server.requests if request.role != "outer"]
    assert len(requests) == 2 * len(FORMS)
    assert not any({"tools", "stop_server_tools_when"} & request.body.keys() for request in requests)


def test_every_effort() -> None:
    """Each effort is accepted and sent as it is named."""
    seats = ", ".join(f'{{model = "a/{effort}", reasoning = {{effort = "{effort}"}}}}' for effort in EFFORTS)
    seen = run(*CONVENED, "-m", "o/outer", "x", config=f'panel = [{seats}]\nreasoning = {{effort = "max"}}')
    assert {body["model"]: body["reasoning"] for body in seen.panel} == {f"a/{it}": {"effort": it} for it in EFFORTS}
    assert seen.judge[0]["reasoning"] == {"effort": "max"}
    assert "reasoning" not in seen.outer[0]


WORDS = ", ".join(EFFORTS)
OUT_OF_RANGE = [
    ("analysis_models", [f"a/{n}" for n in range(9)], "1 to 8"),
    ("max_tool_calls", 0, "from 1 to 16"),
    ("max_tool_calls", 17, "from 1 to 16"),
    ("max_tool_calls", "many", "from 1 to 16"),
    ("max_completion_tokens", 0, "from 1"),
    ("temperature", -0.1, "from 0 to 2"),
    ("temperature", 2.1, "from 0 to 2"),
    ("reasoning", {"effort": "huge"}, WORDS),
    ("reasoning", {"max_tokens": 0}, "from 1"),
    ("model", "two words", "[provider:]slug"),
    ("preset", "general-slow", "general-high, general-budget, general-fast"),
]
NOT_AS_A_FLAG = [
    ("analysis_models", [], "1 to 8"),
    ("reasoning", {"effort": "low", "max_tokens": 5}, "effort or max_tokens"),
    ("tools", [{"type": "openrouter:web_search"}] * 9, "at most 8"),
    ("tools", "web", "at most 8"),
]


@pytest.mark.parametrize("form", FORMS)
def test_out_of_range(form: str) -> None:
    """What is out of its range is refused in every form: status 2, the range in one line, and nothing sent."""
    accepted = []
    with WireServer(default=deliberation()) as server:
        for field, value, told in [*OUT_OF_RANGE, *([] if form == "flags" else NOT_AS_A_FLAG)]:
            if (form == "plugin" and field not in OF_THE_PLUGIN) or (form == "preset" and field == "preset"):
                continue
            panel = {"analysis_models": ["a/one"]} if form == "preset" else {}
            ended = here(*spelled(form, {**panel, field: value}), server=server)
            lines = [line for line in ended.stderr.splitlines() if told in line]
            if ended.status != 2 or not lines or ended.stdout:
                accepted.append((field, value, ended))
        assert accepted == []
        assert server.requests == []


def test_reasoning_is_one_or_the_other() -> None:
    """`effort` or `max_tokens`, not both, as flags, too."""
    seen = run(*CONVENED, "-p", "a/one", "--reasoning-effort", "low", "--reasoning-max-tokens", "5", "x")
    assert (seen.status, seen.requests) == (2, [])
    assert "choose one" in seen.ended.stderr


def test_the_same_slug_several_times() -> None:
    """The same slug may stand several times: each is a call and a response of its own."""
    seen = run(*CONVENED, "-p", "a/one", "-p", "a/one", "SQLite?")
    assert seen.models("panel") == ["a/one", "a/one"]
    assert [row["model"] for row in seen.run["result"]["responses"]] == ["a/one", "a/one"]


def test_the_installed_command_refuses_so_too() -> None:
    """The process ends with status 2 and one line on standard error."""
    seen = run("ask", "--max-tool-calls", "17", "x", installed=True)
    assert (seen.status, seen.ended.stdout, seen.requests) == (2, "", [])
    assert seen.ended.stderr == "fusion: --max-tool-calls: expected a whole number from 1 to 16, found 17\n"
