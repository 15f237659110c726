"""Promises of `api.wire.request_body`: what a request says and leaves out, to the letter."""

import json
from types import MappingProxyType
from typing import Any

import pytest

from fusion_cli.api import wire
from fusion_cli.chat import (
    ChatRequest,
    FunctionTool,
    Message,
    ModelName,
    OutputSchema,
    Reasoning,
    ServerTool,
    ToolCall,
)

MODEL = ModelName("openrouter", "openai/gpt-5")
ASK = (Message("user", "Which?"),)
PLAIN = {
    "model": "openai/gpt-5",
    "messages": [{"role": "user", "content": "Which?"}],
    "stream": True,
    "stream_options": {"include_usage": True},
}
SEARCH = ServerTool("openrouter:web_search", MappingProxyType({"max_results": 5, "allowed_domains": ("a.test",)}))
FETCH = ServerTool("openrouter:web_fetch")
FUSION = FunctionTool("fusion", "Convene.", {"type": "object"})
SENT_FUSION = {
    "type": "function",
    "function": {"name": "fusion", "description": "Convene.", "parameters": {"type": "object"}},
}
SENT_SEARCH = {"type": "openrouter:web_search", "parameters": {"max_results": 5, "allowed_domains": ["a.test"]}}


def sent(**fields: Any) -> dict[str, Any]:
    """Return what a request with these fields says beyond a plain one, as it is after a way through JSON."""
    body = json.loads(json.dumps(wire.request_body(ChatRequest(MODEL, ASK, **fields))))
    assert {key: body.pop(key) for key in PLAIN} == PLAIN
    assert isinstance(body, dict)
    return body


class TestRequest:
    """The body of a request."""

    def test_what_nobody_set_is_absent(self) -> None:
        """A plain request holds these keys and no null."""
        assert wire.request_body(ChatRequest(MODEL, ASK, fusion_depth=1)) == {
            "model": "openai/gpt-5",
            "messages": [{"role": "user", "content": "Which?"}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    def test_what_was_set_is_there(self) -> None:
        """Limits, tools and schema stand where the specification has them; zeros are not nothing."""
        tool = FunctionTool("fusion", "Convene.", {"type": "object"})
        request = ChatRequest(
            MODEL,
            ASK,
            max_completion_tokens=16,
            temperature=0.0,
            seed=0,
            tools=(tool,),
            tool_choice="none",
            output_format=OutputSchema("analysis", {"type": "object", "additionalProperties": False}),
        )
        body = wire.request_body(request)
        assert (body["max_completion_tokens"], body["temperature"], body["seed"]) == (16, 0.0, 0)
        assert body["tools"] == [
            {
                "type": "function",
                "function": {"name": "fusion", "description": "Convene.", "parameters": {"type": "object"}},
            }
        ]
        assert body["tool_choice"] == "none"
        assert body["response_format"] == {
            "type": "json_schema",
            "json_schema": {
                "name": "analysis",
                "strict": True,
                "schema": {"type": "object", "additionalProperties": False},
            },
        }

    def test_a_tool_choice_without_tools_is_not_sent(self) -> None:
        """Servers refuse the one without the other."""
        assert "tool_choice" not in wire.request_body(ChatRequest(MODEL, ASK, tool_choice="auto"))

    @pytest.mark.parametrize(
        ("reasoning", "sent"),
        [
            (Reasoning(effort="low"), {"effort": "low"}),
            (Reasoning(max_tokens=0), {"max_tokens": 0}),
            (None, None),
        ],
    )
    def test_reasoning_is_an_effort_or_a_number(self, reasoning: Reasoning | None, sent: object) -> None:
        """Only the half that was chosen is sent."""
        assert wire.request_body(ChatRequest(MODEL, ASK, reasoning=reasoning)).get("reasoning") == sent

    def test_a_tool_call_and_its_result_are_messages(self) -> None:
        """The call stands in the assistant's message, the result names the call; arguments stay text."""
        call = ToolCall("call_1", "fusion", '{"prompt": ')
        messages = (Message("assistant", "", (call,)), Message("tool", "{}", tool_call_id="call_1"))
        assert wire.request_body(ChatRequest(MODEL, messages))["messages"] == [
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "fusion", "arguments": '{"prompt": '}}
                ],
            },
            {"role": "tool", "content": "{}", "tool_call_id": "call_1"},
        ]


class TestServerTools:
    """Tools that the server runs."""

    def test_they_need_no_choice(self) -> None:
        """Alone they bring neither a tool choice nor, where nobody set one, a limit; no parameters is no key."""
        assert sent(server_tools=(SEARCH, FETCH), tool_choice="auto") == {
            "tools": [SENT_SEARCH, {"type": "openrouter:web_fetch"}]
        }

    def test_they_stand_behind_the_functions(self) -> None:
        """Both kinds share the list; the choice is the functions', the limit the server's."""
        assert sent(tools=(FUSION,), tool_choice="auto", server_tools=(FETCH,), max_tool_calls=8) == {
            "tools": [SENT_FUSION, {"type": "openrouter:web_fetch"}],
            "tool_choice": "auto",
            "max_tool_calls": 8,
            "stop_server_tools_when": [{"type": "step_count_is", "step_count": 8}],
        }

    def test_a_limit_without_them_is_not_sent(self) -> None:
        """A server that knows no such tools must not be given their limit."""
        assert sent(max_tool_calls=8) == {}
        assert "stop_server_tools_when" not in sent(tools=(FUSION,), max_tool_calls=8)


class TestOutputFormat:
    """How the text has to look."""

    def test_any_json_object(self) -> None:
        """The weaker wish is sent without a schema."""
        assert sent(output_format="json_object") == {"response_format": {"type": "json_object"}}

    def test_a_schema_that_cannot_be_changed(self) -> None:
        """Read-only mappings, nested in tuples too, are written like any other."""
        frozen = MappingProxyType({"enum": ("A", MappingProxyType({"x": 1}))})
        body = sent(output_format=OutputSchema("analysis", frozen))
        assert body["response_format"]["json_schema"]["schema"] == {"enum": ["A", {"x": 1}]}


class TestExtra:
    """What else the caller wants on the wire."""

    def test_it_is_sent_as_it_stands(self) -> None:
        """Whatever a provider knows goes into the body, read-only mappings and nulls included."""
        extra = MappingProxyType({"provider": MappingProxyType({"order": ("a", "b")}), "top_p": 0, "user": None})
        assert sent(extra=extra) == {"provider": {"order": ["a", "b"]}, "top_p": 0, "user": None}

    def test_it_replaces_nothing(self) -> None:
        """What the request says itself stands; only what it leaves out can be given this way."""
        mine = {"model": "x", "messages": [], "stream": False, "stream_options": {}, "temperature": 2, "seed": 3}
        assert sent(extra=mine, temperature=0.0) == {"temperature": 0.0, "seed": 3}
        assert sent(extra={"tools": [], "tool_choice": "none"}, server_tools=(FETCH,)) == {
            "tools": [{"type": "openrouter:web_fetch"}],
            "tool_choice": "none",
        }
