"""`fusion ask --request`: what users of the API send, run here; on the wire it is what they asked for."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import Ended, fusion
from tests.wire.server import Call, Reply, Request, WireServer, deliberation

ASK = [{"role": "user", "content": "SQLite?"}]
PARAMETERS = {
    "analysis_models": ["a/one", "b/two:free"],
    "model": "z/judge",
    "max_tool_calls": 2,
    "max_completion_tokens": 99,
    "reasoning": {"effort": "low"},
    "temperature": 0.7,
    "tools": [{"type": "openrouter:web_fetch", "parameters": {"max_uses": 3}}],
}
TOOL = {"type": "openrouter:fusion", "parameters": PARAMETERS}


class Seen:
    """One run of a request: how the command ended, and what each role was asked."""

    def __init__(self, ended: Ended, calls: list[Request]) -> None:
        self.ended = ended
        self.run: Any = ended.json() if ended.stdout else None
        self.all = [call.body for call in calls]
        self.panel, self.judge, self.outer = (
            [call.body for call in calls if call.role == role] for role in ("panel", "judge", "outer")
        )


def run(body: Any, *flags: str, replies: tuple[Reply, ...] = (), stdin: bool = False) -> Seen:
    """Run a request body with the installed command; `replies` are the outer model's."""
    Path("body.json").write_text(json.dumps(body))
    with WireServer(default=deliberation(latency_s=0)) as server:
        if replies:
            server.script("*", *replies, role="outer")
        if stdin:
            ended = fusion("ask", "--json", "--request", "-", *flags, server=server, stdin=json.dumps(body).encode())
        else:
            ended = fusion("ask", "--json", "--request", "body.json", *flags, server=server)
        return Seen(ended, server.calls())


def test_alias() -> None:
    """The alias convenes the quality panel at once, and the preset's judge writes the answer."""
    seen = run({"model": "openrouter/fusion", "messages": ASK})
    assert seen.ended.status == 0
    assert seen.run["fused"] is True
    assert len(seen.panel) == 3
    assert [body["model"] for body in (*seen.judge, *seen.outer)] == ["~anthropic/claude-opus-latest"] * 2
    assert seen.run["warnings"] == []


def test_tool_with_parameters() -> None:
    """Each parameter reaches the calls that it is for, and no other."""
    body = {"model": "o/o", "messages": ASK, "tools": [TOOL], "tool_choice": "required", "seed": 7}
    seen = run(body)
    inner = [*seen.panel, *seen.judge]
    assert sorted(body["model"] for body in seen.panel) == ["a/one", "b/two:free"]
    assert [body["model"] for body in (*seen.judge, *seen.outer)] == ["z/judge", "o/o"]
    assert [body["temperature"] for body in inner] == [0.7, 0.7, 0.0]
    assert all(body["max_completion_tokens"] == 99 for body in inner)
    assert all(body["reasoning"] == {"effort": "low"} for body in inner)
    assert all(body["tools"] == PARAMETERS["tools"] for body in inner)
    steps = [{"type": "step_count_is", "step_count": 2}]
    assert all(body["stop_server_tools_when"] == steps for body in inner)
    assert all(body["seed"] == 7 for body in (*seen.judge, *seen.outer))
    assert min(body["seed"] for body in seen.panel) == 7
    assert not {"temperature", "max_completion_tokens", "reasoning", "stop_server_tools_when"} & seen.outer[0].keys()


def test_plugin_beside_the_alias() -> None:
    """With the alias, the plugin's model compares and answers."""
    plugin = {"id": "fusion", "analysis_models": ["a/one"], "model": "z/both", "tools": []}
    seen = run({"model": "openrouter/fusion", "messages": ASK, "plugins": [plugin, {"id": "response-healing"}]})
    assert [body["model"] for body in seen.all] == ["a/one", "z/both", "z/both"]
    assert seen.outer[0]["plugins"] == [{"id": "response-healing"}]
    assert not any("plugins" in body or "tools" in body for body in (*seen.panel, *seen.judge))


def test_plugin_keeps_the_aliases_panel() -> None:
    """A plugin that names no panel keeps the alias' own."""
    seen = run({"model": "openrouter/fusion-flash", "messages": ASK, "plugins": [{"id": "fusion", "model": "z/both"}]})
    assert "deepseek/deepseek-v3.2" in [body["model"] for body in seen.panel]
    assert [body["model"] for body in (*seen.judge, *seen.outer)] == ["z/both"] * 2


def test_outer_model_decides() -> None:
    """Under auto the outer model's own words are what the panel is asked, without the conversation."""
    body = {"model": "o/o", "messages": [{"role": "system", "content": "Be brief."}, *ASK], "tools": [TOOL]}
    called = Reply(tool_calls=(Call("fusion", '{"prompt": "In its own words?"}'),))
    seen = run(body, replies=(called, Reply("the answer")))
    assert seen.run["answer"] == "the answer"
    assert [message["content"] for body in seen.panel for message in body["messages"]] == ["In its own words?"] * 2
    assert [body["tool_choice"] for body in seen.outer] == ["auto", "none"]
    assert seen.outer[0]["messages"] == body["messages"]


def test_outer_model_answers_directly() -> None:
    """Under auto it may answer alone."""
    seen = run({"model": "o/o", "messages": ASK, "tools": [TOOL]}, replies=(Reply("four"),))
    assert (seen.run["answer"], seen.run["fused"]) == ("four", False)
    assert len(seen.all) == 1


@pytest.mark.parametrize("choice", ["auto", "required"])
def test_sampling_parameters_are_the_outer_models(choice: str) -> None:
    """They reach every outer call as they stand, and never panel or judge."""
    sampling = {
        "temperature": 1,
        "top_p": 0.5,
        "stop": ["END"],
        "logit_bias": {"50256": -100},
        "frequency_penalty": 0.25,
        "response_format": {"type": "json_object"},
        "reasoning": {"effort": "high", "summary": "concise"},
        "provider": {"order": ["x"], "allow_fallbacks": False},
        "models": ["f/g"],
        "user": "u",
    }
    bare = {"type": "openrouter:fusion", "parameters": {"analysis_models": ["a/one"], "model": "z/judge"}}
    seen = run({"model": "o/o", "messages": ASK, "tools": [bare], "tool_choice": choice, "max_tokens": 50, **sampling})
    assert seen.run["fused"] is True
    assert len(seen.outer) == (2 if choice == "auto" else 1)
    for body in seen.outer:
        assert {key: body[key] for key in sampling} == sampling
        assert body["max_completion_tokens"] == 50
    for body in (*seen.panel, *seen.judge):
        assert not sampling.keys() - {"temperature", "response_format"} & body.keys()
        assert body["max_completion_tokens"] == 16_000
    assert "temperature" not in seen.panel[0]
    assert seen.judge[0]["temperature"] == 0.0
    assert seen.judge[0]["response_format"] != sampling["response_format"]


def test_conversation_reaches_the_outer_model_verbatim() -> None:
    """The outer model reads every earlier turn as it stands; the panel reads the question with a transcript."""
    call = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"q": 1}'}}
    earlier = [
        {"role": "user", "content": " Which\ndatabase? "},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "found"},
        {"role": "assistant", "content": "SQLite."},
        {"role": "user", "content": "Why?"},
    ]
    system = {"role": "system", "content": "Be brief."}
    body = {"model": "o/o", "messages": [system, *earlier], "tools": [TOOL], "tool_choice": "required"}
    seen = run(body)
    [outer] = seen.outer
    assert outer["messages"][0]["content"].startswith("Be brief.")
    assert outer["messages"][1:6] == earlier
    [message] = seen.panel[0]["messages"]
    assert message["content"].startswith("Why?\n\n=====[")
    assert "\nSystem: Be brief.\n\nUser:  Which\ndatabase? \n\nAssistant: [calls look_up" in message["content"]


def test_from_standard_input() -> None:
    """A dash reads the request from standard input."""
    seen = run({"model": "o/o", "messages": ASK, "tools": [TOOL], "tool_choice": "required"}, stdin=True)
    assert seen.run["fused"] is True
    assert seen.run["prompt"] == "SQLite?"


def test_flags_win_over_the_body() -> None:
    """What a flag says replaces what the body says of the same; the rest of the body stays."""
    body = {"model": "o/o", "messages": ASK, "tools": [TOOL], "tool_choice": "none", "seed": 7}
    flags = ("-m", "mine/outer", "-j", "mine/judge", "-p", "mine/panelist", "--tool-choice", "required")
    seen = run(body, *flags, "--seed", "8", "--temperature", "0.1", "--no-web")
    assert [body["model"] for body in seen.all] == ["mine/panelist", "mine/judge", "mine/outer"]
    assert all(body["seed"] == 8 for body in seen.all)
    assert seen.panel[0]["temperature"] == 0.1
    assert seen.panel[0]["max_completion_tokens"] == 99
    assert "tools" not in seen.panel[0]


def test_a_flags_model_answers_with_the_alias_panel() -> None:
    """`-m` over an alias in the body leaves the alias its panel and judge, which meet at once."""
    seen = run({"model": "openrouter/fusion-flash", "messages": ASK}, "-m", "mine/outer")
    assert len(seen.panel) == 3
    assert [body["model"] for body in (*seen.judge, *seen.outer)] == ["~anthropic/claude-sonnet-latest", "mine/outer"]


def test_a_configured_alias_and_a_body_without_the_tool() -> None:
    """The body decides that nobody meets; of the configured alias there is who answers."""
    fusion("config", "set", "model", "openrouter/fusion")
    seen = run({"messages": ASK, "plugins": [{"id": "web"}]}, replies=(Reply("four"),))
    assert (seen.run["answer"], seen.run["fused"]) == ("four", False)
    assert [body["model"] for body in seen.all] == ["~anthropic/claude-opus-latest"]
    assert "plugins" not in seen.outer[0]
    assert "the request's plugin web is not given to the outer model" in seen.run["warnings"]


def test_nothing_attached() -> None:
    """Without the fusion tool the outer model answers alone, and both the run and standard error say why."""
    seen = run({"model": "o/o", "messages": ASK}, replies=(Reply("four"),))
    assert (seen.run["answer"], seen.run["fused"], seen.ended.status) == ("four", False, 0)
    said = "the request does not attach the fusion tool: the outer model answers alone"
    assert seen.run["warnings"] == [said]
    assert said in seen.ended.stderr
    assert "tools" not in seen.outer[0]


def test_nothing_attached_and_a_flag_convenes() -> None:
    """`--tool-choice required` convenes the panel for any request."""
    seen = run({"model": "o/o", "messages": ASK}, "--tool-choice", "required", "-p", "a/one")
    assert seen.run["fused"] is True
    assert not [line for line in seen.run["warnings"] if "request" in line]


def test_warnings_name_what_is_left_out() -> None:
    """What cannot be honoured is on the run's record and on standard error, and costs nothing else."""
    body = {"model": "o/o", "messages": ASK, "tools": [TOOL, {"type": "openrouter:datetime"}], "logprobs": True}
    seen = run(body, replies=(Reply("four"),))
    assert seen.run["warnings"] == [
        "the request's logprobs cannot be honoured here and was left out",
        "the request's tool openrouter:datetime is not given to the outer model",
    ]
    assert "openrouter:datetime is not given" in seen.ended.stderr
    assert "logprobs" not in seen.outer[0]


def test_another_server_gets_what_it_can_know() -> None:
    """A body's fields that are OpenRouter's own are not sent elsewhere, and named."""
    with WireServer() as lab:
        lab.script("x", Reply("ok"))
        fusion("config", "set", "providers.lab.base_url", lab.url)
        body = {"model": "lab:x", "messages": ASK, "top_p": 0.5, "provider": {"order": ["y"]}}
        Path("body.json").write_text(json.dumps(body))
        ended = fusion("ask", "--json", "--request", "body.json", "-p", "lab:x")
        [request] = lab.requests
    assert ended.status == 0, ended.stderr
    assert request.body["top_p"] == 0.5
    assert "provider" not in request.body
    assert "only OpenRouter knows provider: left out for lab:x" in ended.json()["warnings"]


def test_privacy_reaches_every_call() -> None:
    """What servers may keep is said to panel, judge and outer model; which of them to try first, to the last alone."""
    routing = {"data_collection": "deny", "zdr": True, "order": ["x"]}
    bare = {"type": "openrouter:fusion", "parameters": {"analysis_models": ["a/one"], "model": "z/judge"}}
    seen = run({"model": "o/o", "messages": ASK, "tools": [bare], "tool_choice": "required", "provider": routing})
    private = {"data_collection": "deny", "zdr": True}
    assert [body["provider"] for body in seen.all] == [private, private, routing]
    assert seen.run["warnings"][0] == "the request's provider.order is not given to panel and judge"


def test_a_flags_model_answers_without_the_bodys_fallbacks() -> None:
    """`-m` over several models in the body is asked alone."""
    seen = run({"models": ["a/b", "c/d"], "messages": ASK}, "-m", "x/y", replies=(Reply("four"),))
    assert (seen.outer[0]["model"], "models" in seen.outer[0]) == ("x/y", False)
    assert any("the request's models are left out" in line for line in seen.run["warnings"])


def test_web_keeps_the_bodys_tools() -> None:
    """`--web` takes nothing away from the tools that the body allows, nor from those of the config file."""
    body = {"model": "o/o", "messages": ASK, "tools": [TOOL], "tool_choice": "required"}
    assert run(body, "--web").panel[0]["tools"] == PARAMETERS["tools"]
    fusion("config", "set", "tools", '[{type = "openrouter:web_search", parameters = {allowed_domains = ["x.org"]}}]')
    bare = {"model": "o/o", "messages": ASK, "tools": [{"type": "openrouter:fusion"}], "tool_choice": "required"}
    allowed = [{"type": "openrouter:web_search", "parameters": {"allowed_domains": ["x.org"]}}]
    assert run(bare, "--web", "-p", "a/one").panel[0]["tools"] == allowed


def test_what_lies_on_standard_input_is_not_part_of_a_request_in_a_file() -> None:
    """It is left there, and that is said; an empty one is not mentioned."""
    Path("body.json").write_text(json.dumps({"model": "o/o", "messages": ASK}))
    with WireServer() as server:
        server.script("o/o", Reply("four"))
        told = fusion("ask", "--request", "body.json", server=server, stdin=b"a list")
        quiet = fusion("ask", "--request", "body.json", server=server, stdin=b"")
        assert "a list" not in str([request.body for request in server.requests])
    said = "input   standard input is not read with --request FILE"
    assert (told.status, quiet.status) == (0, 0)
    assert said in told.stderr.splitlines()
    assert said not in quiet.stderr


def test_what_has_no_effect_without_a_panel_is_named() -> None:
    """Flags for a panel that will not meet are one warning."""
    flags = ("-j", "mine/judge", "--quotes", "--web", "--temperature", "1")
    seen = run({"model": "o/o", "messages": ASK}, *flags, replies=(Reply("four"),))
    said = "the panel will not meet (tool choice: none), so these have no effect: judge, temperature, quotes, web"
    assert said in seen.run["warnings"]
    assert said in seen.ended.stderr


@pytest.mark.parametrize(
    ("body", "flags", "said"),
    [
        ({"messages": ASK, "tools": [{"type": "function", "function": {"name": "f"}}]}, (), "cannot be run here"),
        ({"messages": ASK, "n": 2}, (), "body.json: n: expected 1"),
        ({"messages": ASK, "model": "openrouter/fusion"}, ("--tool-choice", "none"), "choose one"),
        (
            {"messages": ASK, "tools": [{"type": "openrouter:fusion", "parameters": {"model": "openrouter/fusion"}}]},
            (),
            "cannot start another one",
        ),
        ({"messages": ASK}, ("another question",), "--request"),
        ([], (), "body.json: expected a request"),
    ],
)
def test_what_cannot_be_run_is_status_2(body: Any, flags: tuple[str, ...], said: str) -> None:
    """One line says what is wrong, before anything is sent."""
    seen = run(body, *flags)
    assert (seen.ended.status, seen.ended.stdout, seen.all) == (2, "", [])
    [line] = [line for line in seen.ended.stderr.splitlines() if said in line]
    assert line.startswith("fusion: ")
