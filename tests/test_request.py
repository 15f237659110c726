"""An upstream request body: what of it is honoured, and that nothing of it goes without a word."""

import contextlib
import json
from typing import Any

import pytest
from openrouter.components import ChatRequest as UpstreamRequest

from fusion_cli.chat import Message, ModelName, Reasoning, ServerTool, ToolCall
from fusion_cli.choices import Choices, Seat
from fusion_cli.errors import UsageError
from fusion_cli.plan import Plan, Prompt
from fusion_cli.request import Request, read_request

ASK = [{"role": "user", "content": "SQLite?"}]
FUSION = {"type": "openrouter:fusion"}
ALONE = "the request does not attach the fusion tool: the outer model answers alone"
PANEL = (Seat("a/b"), Seat("c/d:free"))


def read(**body: Any) -> Request:
    """Read a body that asks one question and attaches the tool, unless told otherwise."""
    return read_request(json.dumps({"messages": ASK, "tools": [FUSION], **body}), "body.json")


def plan(provider: str = "openrouter", **more: Any) -> Plan:
    """Return a plan whose outer model has this provider."""
    model = ModelName(provider, "o")
    return Plan(Prompt("SQLite?"), (), model, model, **more)


def test_least_request() -> None:
    """A question with the tool attached asks for nothing else, and warns of nothing."""
    request = read()
    said = (Message("user", "SQLite?"),)
    assert request == Request(Choices(), Prompt("SQLite?"), said, {}, None, (), attached=True)


@pytest.mark.parametrize("model", ["openrouter/fusion", "openrouter/fusion-flash", "openrouter:openrouter/fusion"])
def test_alias_convenes_the_panel(model: str) -> None:
    """An alias needs no tool, and forces the panel."""
    request = read(model=model, tools=None)
    assert request.choices == Choices(model=model, tool_choice="required")
    assert request.warnings == ()


@pytest.mark.parametrize(
    ("flags", "chosen"),
    [
        (Choices(), Choices(model="openrouter/fusion-flash", tool_choice="required")),
        (Choices(model="m"), Choices(model="m", preset="general-fast", tool_choice="required")),
        (Choices(model="m", preset="mine"), Choices(model="m", preset="mine", tool_choice="required")),
        (Choices(model="openrouter/fusion"), Choices(model="openrouter/fusion", tool_choice="required")),
        (Choices(model="m", tool_choice="none"), Choices(model="m", preset="general-fast", tool_choice="none")),
    ],
)
def test_flag_over_the_alias(flags: Choices, chosen: Choices) -> None:
    """A flag that names another outer model leaves the alias its panel and its judge, and the panel meets."""
    assert read(model="openrouter/fusion-flash", tools=None).under(flags) == chosen


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_alias_against_the_tool_choice(choice: str) -> None:
    """A tool choice that an alias overrules is named."""
    request = read(model="openrouter/fusion", tool_choice=choice)
    assert request.choices.tool_choice == "required"
    [line] = request.warnings
    assert f"tool_choice {choice} has no effect" in line


def test_tool_parameters() -> None:
    """Every parameter of the tool has its place; a colon in a slug stays in it."""
    parameters = {
        "analysis_models": ["a/b", "c/d:free"],
        "model": "j/k",
        "max_tool_calls": 2,
        "max_completion_tokens": 99,
        "reasoning": {"effort": "low", "max_tokens": None},
        "temperature": 1,
        "tools": [],
        "preset": "general-fast",
    }
    request = read(model="x/y:free", tools=[{**FUSION, "parameters": parameters}], tool_choice="required", seed=7)
    assert request.choices == Choices(
        panel=PANEL,
        judge="j/k",
        model="x/y:free",
        preset="general-fast",
        tool_choice="required",
        max_tool_calls=2,
        max_completion_tokens=99,
        temperature=1.0,
        reasoning=Reasoning("low"),
        seed=7,
        tools=(),
    )
    assert request.warnings == ()


def test_web_tools_of_the_inner_calls() -> None:
    """The tools of panel and judge keep their parameters."""
    web = {"type": "openrouter:web_search", "parameters": {"max_results": 3}}
    request = read(tools=[{**FUSION, "parameters": {"tools": [web], "reasoning": {"effort": None}}}])
    assert request.choices == Choices(tools=(ServerTool("openrouter:web_search", {"max_results": 3}),))


def test_plugin_without_the_alias() -> None:
    """The plugin's model is the judge alone where the request names another outer model."""
    plugin = {"id": "fusion", "analysis_models": ["a/b", "c/d:free"], "model": "j/k", "max_tool_calls": 3}
    request = read(model="o/o", tools=None, plugins=[plugin])
    assert request.choices == Choices(panel=PANEL, judge="j/k", model="o/o", max_tool_calls=3)
    assert request.outer_extra == {}


@pytest.mark.parametrize(
    ("alias", "preset"), [("openrouter/fusion", "general-high"), ("openrouter/fusion-flash", "general-fast")]
)
def test_plugin_with_the_alias(alias: str, preset: str) -> None:
    """With an alias the plugin's model judges and answers, before the alias' panel where it names none."""
    request = read(model=alias, tools=None, plugins=[{"id": "fusion", "model": "j/k"}])
    assert request.choices == Choices(judge="j/k", model="j/k", preset=preset, tool_choice="required")
    own = read(model=alias, tools=None, plugins=[{"id": "fusion", "model": "j/k", "analysis_models": ["a/b"]}])
    assert own.choices.preset is None
    named = read(model=alias, tools=None, plugins=[{"id": "fusion", "model": "j/k", "preset": "mine"}])
    assert named.choices.preset == "mine"


def test_tool_with_the_alias_names_the_judge_alone() -> None:
    """The tool's model is the judge, whoever answers."""
    request = read(model="openrouter/fusion", tools=[{**FUSION, "parameters": {"model": "j/k"}}])
    assert request.choices == Choices(judge="j/k", model="openrouter/fusion", tool_choice="required")


def test_disabled_plugin_attaches_nothing() -> None:
    """What stands in a disabled plugin does nothing."""
    request = read(tools=None, plugins=[{"id": "fusion", "enabled": False, "max_tool_calls": "many"}])
    assert request.choices == Choices(tool_choice="none")
    assert request.applied_to(plan(tool_choice="none")).warnings == (ALONE,)


def test_disabled_plugin_beside_the_alias() -> None:
    """An alias cannot be disabled, which is said."""
    request = read(model="openrouter/fusion", tools=None, plugins=[{"id": "fusion", "enabled": False}])
    assert request.choices.tool_choice == "required"
    assert "plugins[].enabled has no effect" in request.warnings[0]


@pytest.mark.parametrize("plugin", [{"id": "fusion"}, {"id": "fusion", "model": "j/k"}])
def test_attached_twice_alike(plugin: dict[str, Any]) -> None:
    """Tool and plugin may both stand there where they agree, or where one says nothing."""
    request = read(model="o/o", tools=[FUSION, {**FUSION, "parameters": {"model": "j/k"}}], plugins=[plugin])
    assert request.choices == Choices(judge="j/k", model="o/o")


@pytest.mark.parametrize(
    "choice",
    [
        "required",
        {"type": "openrouter:fusion"},
        {"type": "function", "function": {"name": "fusion"}},
        {"type": "function", "function": {"name": "openrouter:fusion"}},
    ],
)
def test_forced_by_the_tool_choice(choice: Any) -> None:
    """Each way to name the fusion tool forces it."""
    assert read(tool_choice=choice).choices.tool_choice == "required"


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_tool_choice_is_kept(choice: str) -> None:
    """With the tool attached, auto and none mean what they say."""
    assert read(tool_choice=choice).choices == Choices(tool_choice=choice)  # type: ignore[arg-type]  # it is one


@pytest.mark.parametrize("choice", [None, "auto", "none"])
def test_nothing_attached(choice: str | None) -> None:
    """Without the tool the outer model answers alone, and that is said unless somebody convenes the panel after all."""
    request = read(tools=[], tool_choice=choice)
    assert request.choices.tool_choice == "none"
    assert request.applied_to(plan(tool_choice="none")).warnings == (ALONE,)
    assert request.applied_to(plan(tool_choice="required")).warnings == ()


def test_conversation_is_kept_and_told_to_the_panel() -> None:
    """The outer model gets every message; the panel the last one, with the others fenced below it."""
    call = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"q": 1}'}}
    request = read(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Use"}, {"type": "text", "text": "metres."}]},
            {"role": "user", "content": "Hello "},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "found"},
            {"role": "assistant", "content": "Hi."},
            {"role": "user", "content": " And SQLite?\n"},
        ]
    )
    assert request.conversation == (
        Message("system", "Be brief."),
        Message("system", "Use\nmetres."),
        Message("user", "Hello "),
        Message("assistant", "", (ToolCall("c1", "look_up", '{"q": 1}'),)),
        Message("tool", "found", tool_call_id="c1"),
        Message("assistant", "Hi."),
        Message("user", " And SQLite?\n"),
    )
    assert request.prompt.question == "And SQLite?"
    first, *told, last = request.prompt.background.splitlines()
    assert first.endswith("begin the conversation so far")
    assert last.endswith("end the conversation so far")
    assert "\n".join(told) == (
        "System: Be brief.\n\nSystem: Use\nmetres.\n\nUser: Hello \n\n"
        'Assistant: [calls look_up with {"q": 1}]\n\nTool: found\n\nAssistant: Hi.'
    )


def test_message_leftovers_are_named_once_each() -> None:
    """What a message says beside its text is named once, however often it stands there."""
    part = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
    user = {"role": "user", "name": "Ann", "content": [part]}
    told: dict[str, Any] = {
        "role": "assistant",
        "content": "y",
        "reasoning": "hm",
        "reasoning_details": [],
        "refusal": None,
    }
    assert read(messages=[user, told, user, told, user]).warnings == (
        "the request's messages[].content[].cache_control is not known here and was left out",
        "the request's messages[].name is not known here and was left out",
        "the request's messages[].reasoning is not known here and was left out",
        "the request's messages[].reasoning_details is not known here and was left out",
    )


PASSED_ON = {
    "temperature": 1,
    "top_p": 0.5,
    "top_k": 4,
    "min_p": 0.1,
    "frequency_penalty": -2,
    "presence_penalty": 2.0,
    "repetition_penalty": 1.1,
    "logit_bias": {"50256": -100},
    "stop": ["\n"],
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    "reasoning_effort": "low",
    "verbosity": "low",
    "prediction": {"type": "content", "content": "x"},
    "user": "u",
    "service_tier": "flex",
    "metadata": {"a": "b"},
    "prompt_cache_key": "k",
}
OPENROUTER_ONLY = {
    "top_a": 0.2,
    "reasoning": {"effort": "high", "summary": "concise"},
    "provider": {"order": ["p"]},
    "models": ["f/g"],
    "plugins": [{"id": "response-healing"}],
    "route": "fallback",
    "transforms": ["middle-out"],
    "session_id": "s",
    "trace": {"trace_id": "t"},
    "cache_control": {"type": "ephemeral"},
    "prompt_cache_options": {"ttl": "1h"},
}


def test_sampling_parameters_pass_verbatim() -> None:
    """What shapes the outer model's output goes on as it stands, for OpenRouter all of it."""
    request = read(model="o/o", **PASSED_ON, **OPENROUTER_ONLY)
    assert request.choices == Choices(model="o/o")
    assert request.warnings == ()
    assert request.applied_to(plan()).outer_extra == {**PASSED_ON, **OPENROUTER_ONLY}
    assert type(request.outer_extra["temperature"]) is int


def test_another_server_is_not_told_what_only_openrouter_knows() -> None:
    """Elsewhere these fields are left out, with one warning that names them and the model."""
    applied = read(model="lab:o", **PASSED_ON, **OPENROUTER_ONLY).applied_to(plan("lab", warnings=("before",)))
    assert applied.outer_extra == PASSED_ON
    assert applied.warnings == ("before", f"only OpenRouter knows {', '.join(OPENROUTER_ONLY)}: left out for lab:o")


def test_plugins_that_are_not_ours_pass() -> None:
    """The fusion plugin stays here, the others go on."""
    off = {"id": "web", "enabled": False}
    request = read(tools=None, plugins=[{"id": "fusion"}, {"id": "file-parser", "pdf": {}}, off])
    assert request.outer_extra == {"plugins": [{"id": "file-parser", "pdf": {}}, off]}
    assert (request.choices, request.warnings) == (Choices(), ())


@pytest.mark.parametrize("name", ["web", "web-fetch"])
def test_web_plugins_are_left_out(name: str) -> None:
    """The answer is written without web tools, as upstream's is: a plugin that brings them is named and left out."""
    plugins: list[dict[str, Any]] = [{"id": name, "max_results": 2}, {"id": "response-healing"}, {"id": name}]
    request = read(plugins=plugins)
    assert request.outer_extra == {"plugins": [{"id": "response-healing"}]}
    assert request.warnings == (f"the request's plugin {name} is not given to the outer model",)
    assert read(plugins=plugins[:1]).outer_extra == {}


def test_first_of_the_fallbacks_is_the_model() -> None:
    """Where no model is named, the first of several is asked first."""
    request = read(models=["a/b", "c/d"])
    assert request.choices.model == "a/b"
    assert request.outer_extra == {"models": ["a/b", "c/d"]}


@pytest.mark.parametrize(
    "limits", [{"max_tokens": 9}, {"max_completion_tokens": 9}, {"max_tokens": 9, "max_completion_tokens": 9}]
)
def test_answer_limit(limits: dict[str, int]) -> None:
    """Either name of the limit is the answer's, and only where one is given."""
    request = read(**limits)
    assert request.applied_to(plan()).answer_max_completion_tokens == 9
    assert request.choices == Choices()
    assert read().applied_to(plan(answer_max_completion_tokens=3)).answer_max_completion_tokens == 3


def test_plan_gets_the_conversation() -> None:
    """The plan holds the messages for the outer model."""
    assert read().applied_to(plan()).conversation == (Message("user", "SQLite?"),)


def test_what_every_run_does_needs_no_word() -> None:
    """Streaming, usage, one answer and nulls are true of every run."""
    quiet = {"stream": True, "stream_options": {"include_usage": True}, "usage": {"include": True}, "n": 1}
    nothing = {"logprobs": False, "modalities": ["text"], "parallel_tool_calls": False, "temperature": None, "x": None}
    assert read(**quiet, **nothing) == read()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"logprobs": True}, "the request's logprobs cannot be honoured here and was left out"),
        ({"top_logprobs": 2}, "the request's top_logprobs cannot be honoured here and was left out"),
        ({"debug": {}}, "the request's debug cannot be honoured here and was left out"),
        ({"max_tool_calls": 3}, "the request's max_tool_calls cannot be honoured here and was left out"),
        (
            {"stop_server_tools_when": []},
            "the request's stop_server_tools_when cannot be honoured here and was left out",
        ),
        ({"xyz": 1}, 'the request\'s field "xyz" is not known here and was left out'),
        (
            {"tools": [FUSION, {"type": "openrouter:datetime"}]},
            "the request's tool openrouter:datetime is not given to the outer model",
        ),
        (
            {"tools": [{**FUSION, "parameters": {"cache_control": {}}}]},
            "the request's tools[0].parameters.cache_control is not known here and was left out",
        ),
        (
            {"plugins": [{"id": "fusion", "temperature": 1}]},
            "the request's plugins[0].temperature is not known here and was left out",
        ),
    ],
)
def test_what_cannot_be_honoured_is_named(body: dict[str, Any], said: str) -> None:
    """Nothing is dropped in silence: one line names it."""
    assert read(**body).warnings == (said,)


def test_warnings_are_few() -> None:
    """Of what is unknown twenty are named and the others counted; what changes the run is told in any case."""
    junk = {f"x{number}": 1 for number in range(300)}
    message = {"role": "user", "content": "SQLite?", **junk}
    tools = [{"type": f"openrouter:x{number}"} for number in range(300)]
    body = {"model": "openrouter/fusion", "messages": [message], "tools": tools, "tool_choice": "none", "debug": {}}
    overlooked, overruled, *named, rest = read(**junk, **body).warnings
    assert overlooked == "the request's debug cannot be honoured here and was left out"
    assert overruled.startswith("the request's tool_choice none has no effect")
    assert len(named) == 20
    assert rest == "and 880 more of the request's fields and tools were left out"
    assert len(read(**dict.fromkeys(list(junk)[:20], 1)).warnings) == 20


def test_every_field_of_the_sdk_is_known() -> None:
    """Of the fields that upstream's own SDK sends, none is unknown here but a tool list that is loaded later."""
    unknown = []
    for name, field in UpstreamRequest.model_fields.items():
        body = {"messages": ASK, "tools": [FUSION], field.alias or name: 10**20}
        with contextlib.suppress(UsageError):  # a value that does not fit is that of a field which is known
            unknown += [name for line in read_request(json.dumps(body), "b").warnings if "is not known" in line]
    assert unknown == ["deferred_tools"]
