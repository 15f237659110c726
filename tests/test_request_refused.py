"""An upstream request body that cannot be run here: one error that names the file, the place and what was expected."""

import json
import sys
from typing import Any

import pytest

from fusion_cli.errors import UsageError
from fusion_cli.request import read_request

FUSION = {"type": "openrouter:fusion"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def user(content: Any) -> dict[str, Any]:
    """Return the user's message."""
    return {"role": "user", "content": content}


def parameters(**given: Any) -> dict[str, Any]:
    """Return a body with these parameters of the tool."""
    return {"tools": [{**FUSION, "parameters": given}]}


def plugin(**given: Any) -> dict[str, Any]:
    """Return a body with this fusion plugin."""
    return {"plugins": [{"id": "fusion", **given}]}


MESSAGES: list[tuple[Any, str]] = [
    ([], "messages: expected an array of messages, found an empty one"),
    (None, "messages: expected an array of messages, found nothing"),
    ("hi", 'messages: expected an array, found "hi"'),
    (["hi"], 'messages[0]: expected an object, found "hi"'),
    (
        [user("a"), user("b"), user([{"type": "image_url", "image_url": {"url": "x"}}])],
        "messages[2].content: expected text, found an image_url part",
    ),
    ([user({})], "messages[0].content: expected text, found an object"),
    ([user([{"type": "table"}])], "messages[0].content: expected text, found a table part"),
    ([user([{"type": "file"}])], "messages[0].content: expected text, found a file part"),
    ([user([{"type": "text"}])], "messages[0].content[0].text: expected text, found null"),
    ([user(["x"])], 'messages[0].content[0]: expected an object with a type, found "x"'),
    ([user(7)], "messages[0].content: expected text, found 7"),
    ([user(None)], "messages[0].content: expected text, found null"),
    ([user("a\0b")], "messages[0].content: expected text, found a NUL character in it"),
    ([user(" \n")], "messages[0].content: the question is empty"),
    ([user([])], "messages[0].content: the question is empty"),
    (
        [{"role": "robot", "content": "x"}],
        "messages[0].role: expected one of system, developer, user, assistant, tool,",
    ),
    ([user("a"), {"role": "assistant"}], "messages[1].content: expected text, found null"),
    (
        [user("a"), {"role": "assistant", "content": "b"}],
        "messages: the last message must be the user's, found one of the role assistant",
    ),
    (
        [
            user("a"),
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "r"},
        ],
        "messages: the last message must be the user's, found one of the role tool",
    ),
    (
        [user("a"), {"role": "assistant", "tool_calls": [CALL]}, user("b")],
        'messages[2]: expected the result of the tool call "c1", found a message of the role user',
    ),
    (
        [user("a"), {"role": "tool", "tool_call_id": "c1", "content": "r"}, user("b")],
        'messages[1].tool_call_id: expected the id of a call that was made just before, found "c1"',
    ),
    (
        [user("a"), {"role": "assistant", "tool_calls": [{**CALL, "type": "custom"}]}, user("b")],
        'messages[1].tool_calls[0].type: expected function, found "custom"',
    ),
    (
        [user("a"), {"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "f"}}]}, user("b")],
        "messages[1].tool_calls[0].function.arguments: expected text, found null",
    ),
]

FIELDS: list[tuple[dict[str, Any], str]] = [
    (
        parameters(max_tool_calls=17),
        "tools[0].parameters.max_tool_calls: expected a whole number from 1 to 16, found 17",
    ),
    (parameters(max_completion_tokens=0), "tools[0].parameters.max_completion_tokens: expected a whole number from 1,"),
    (parameters(temperature=2.1), "tools[0].parameters.temperature: expected a number from 0 to 2, found 2.1"),
    (
        parameters(reasoning={"effort": "some"}),
        "tools[0].parameters.reasoning.effort: expected one of max, xhigh, high, medium, low, minimal, none, found",
    ),
    (parameters(reasoning={"effort": "low", "max_tokens": 9}), "tools[0].parameters.reasoning: expected an object wi"),
    (parameters(temperature={}), "tools[0].parameters.temperature: expected a number from 0 to 2, found an object"),
    (parameters(tools=[7]), "tools[0].parameters.tools[0]: expected an object of type and parameters, found 7"),
    (
        parameters(tools=[{"type": "openrouter:x", "parameters": []}]),
        "tools[0].parameters.tools[0].parameters: expected an object, found an array",
    ),
    ({"seed": "a table"}, 'seed: expected a whole number from 0, found "a table"'),
    (parameters(analysis_models=[]), "tools[0].parameters.analysis_models: expected an array of 1 to 8 model slugs,"),
    (parameters(analysis_models=["a"] * 9), "tools[0].parameters.analysis_models: expected an array of 1 to 8 model"),
    (parameters(analysis_models=[{"model": "a"}]), "tools[0].parameters.analysis_models[0]: expected [provider:]slug"),
    (parameters(tools=[FUSION]), "tools[0].parameters.tools[0].type: expected a server tool,"),
    (plugin(max_tool_calls=0), "plugins[0].max_tool_calls: expected a whole number from 1 to 16, found 0"),
    (plugin(enabled="no"), 'plugins[0].enabled: expected true or false, found "no"'),
    ({"plugins": [{}]}, "plugins: expected an array of plugins, each an object with an id, found an array"),
    (
        {**parameters(model="a"), **plugin(model="b")},
        "plugins[0]: expected the same parameters as in tools[0].parameters, or none, found other ones",
    ),
    (
        {"tools": [FUSION, {"type": "function", "function": {"name": "f"}}]},
        "tools[1]: function tools cannot be run here",
    ),
    ({"tools": [{"type": "shell"}]}, 'tools[0].type: expected openrouter:fusion, found "shell"'),
    ({"tools": {}}, "tools: expected an array, found an object"),
    ({"tool_choice": "any"}, 'tool_choice: expected auto, required or none, found "any"'),
    (
        {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        'tool_choice: expected auto, required, none or the fusion tool, found "f"',
    ),
    ({"tool_choice": {"type": "x:y"}}, 'tool_choice: expected auto, required, none or the fusion tool, found "x:y"'),
    ({"tools": [], "tool_choice": "required"}, "tool_choice: expected auto or none, as no fusion tool is attached,"),
    ({"model": ""}, 'model: expected [provider:]slug (no white space, at most 200 characters), found ""'),
    ({"models": ["a", "openrouter/fusion"]}, "models[1]: expected a model that is no fusion, found"),
    ({"models": "a"}, 'models: expected an array of model slugs, found "a"'),
    (
        {"max_tokens": 8, "max_completion_tokens": 9},
        "max_tokens: expected 9, as max_completion_tokens says, or nothing, found 8",
    ),
    ({"max_tokens": 1.5}, "max_tokens: expected a whole number from 1, found 1.5"),
    ({"seed": -1}, "seed: expected a whole number from 0, found -1"),
    ({"temperature": True}, "temperature: expected a number from 0 to 2, found true"),
    ({"top_p": 1.1}, "top_p: expected a number from 0 to 1, found 1.1"),
    ({"stop": ["a"] * 5}, "stop: expected text, or an array of at most 4, found an array"),
    ({"logit_bias": {"1": "x"}}, "logit_bias: expected an object of numbers, found an object"),
    ({"response_format": {}}, "response_format: expected an object with a type, found an object"),
    ({"n": 2}, "n: expected 1: there is one answer, found 2"),
    ({"modalities": ["text", "image"]}, 'modalities: expected ["text"]: there is no other answer, found an array'),
    ({"image_config": {}}, "image_config: expected nothing: there are no images, found an object"),
    ({"audio": {}}, "audio: expected nothing: there is no audio, found an object"),
]

TEXTS: list[tuple[str, str]] = [
    ("", "not JSON: Expecting value: line 1 column 1 (char 0)"),
    ("{,}", "not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    ("[]", "expected a request, which is a JSON object, found an array"),
    ('{"a": 1, "a": 2}', '"a" stands twice in one object'),
    ('{"a": NaN}', "it holds a number or a character that JSON cannot carry"),
    ('{"a": 1e999}', "it holds a number or a character that JSON cannot carry"),
    ('{"a": ' + "9" * 5000 + "}", "it holds a number or a character that JSON cannot carry"),
    ('{"a": "\\ud800"}', "it holds a number or a character that JSON cannot carry"),
    ("[" * 100_000, "it is nested too deeply"),
    ('{"a": ' + "[" * 300 + "]" * 300 + "}", "it is nested too deeply"),
]


def refusal(text: str, name: str = "body.json") -> str:
    """Return what the error says."""
    with pytest.raises(UsageError) as caught:
        read_request(text, name)
    return str(caught.value)


@pytest.mark.parametrize(("messages", "said"), MESSAGES)
def test_messages_that_cannot_be_passed_on(messages: Any, said: str) -> None:
    """A message that is no text, or stands where it cannot, is named by its place."""
    assert refusal(json.dumps({"messages": messages, "tools": [FUSION]})).startswith(f"body.json: {said}")


@pytest.mark.parametrize(("fields", "said"), FIELDS)
def test_fields_that_do_not_fit(fields: dict[str, Any], said: str) -> None:
    """A value out of its range is named by its place, with what was expected and what was found."""
    body = {"messages": [user("q")], "tools": [FUSION], **fields}
    assert refusal(json.dumps(body)).startswith(f"body.json: {said}")


@pytest.mark.parametrize(("text", "said"), TEXTS, ids=range(len(TEXTS)))
def test_text_that_is_no_request(text: str, said: str) -> None:
    """Whatever the text is, it ends in one clear error."""
    assert refusal(text) == f"body.json: {said}"


def test_depth_that_is_taken_can_be_sent() -> None:
    """What passes is shallow enough for whatever writes it again."""
    schema: dict[str, Any] = {}
    for _ in range(90):
        schema = {"x": schema}
    body = {"messages": [user("q")], "response_format": {"type": "json_schema", "json_schema": schema}}
    request = read_request(json.dumps(body), "body.json")
    assert sys.getrecursionlimit() > 300
    assert json.loads(json.dumps(request.outer_extra["response_format"])) == body["response_format"]


def test_standard_input_has_a_name() -> None:
    """What was piped in is not called a dash, and a hostile file name is shown in one clean line."""
    assert refusal("x", "-").startswith("standard input: not JSON")
    assert refusal("x", "a\n\x1b[31mb.json").startswith("a b.json: not JSON")
