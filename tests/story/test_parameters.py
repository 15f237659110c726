"""What a plan's parameters do to each call: who is told what, who gets which tools, and what nobody else sees."""

import asyncio
import json

import pytest

from fusion_cli import pipeline
from fusion_cli.chat import Message, ModelName, Reasoning, ServerTool, ToolCall
from fusion_cli.errors import ModelError, ModelRejectedError, RateLimitError, ServerFailedError
from fusion_cli.plan import Panelist, Plan, Prompt, label_panel
from fusion_cli.results import AskRun
from tests.story.scripted import JUDGE_REPLY, ScriptedModels, Seen, calls, panel_of_two, plan, says

SEARCH = ServerTool("openrouter:web_search", {"max_results": 3})
CALL = ToolCall("call_1", "fusion", '{"prompt": "the panel\'s question"}')
CONVERSATION = (
    Message("system", "Be brief."),
    Message("user", "one"),
    Message("assistant", "first"),
    Message("user", "two"),
)


def ask(models: ScriptedModels, what: Plan) -> AskRun:
    """Run the story to its end."""
    with models:
        return asyncio.run(pipeline.ask(what, models, Seen()))


def whole() -> ScriptedModels:
    """Return models whose panel, judge and outer model (from its second turn on) answer."""
    return panel_of_two().script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", says("the answer"))


def seats(*personas: Panelist) -> Plan:
    """Return a plan with these panelists."""
    return plan()._replace(panel=personas)


def test_each_seat_has_its_own_parameters() -> None:
    """Two panelists on one model are asked each in its own way, and stay apart by their labels in the result."""
    model = ModelName("openrouter", "m")
    what = seats(
        Panelist("sceptic", model, "Doubt it.", 0.2, 50, Reasoning("high")),
        Panelist("optimist", model, "Like it.", 1.5, 90, Reasoning(max_tokens=7)),
    )
    models = ScriptedModels().script("panel", "m", says("no"), says("yes"))
    run = ask(models.script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", says("x")), what)
    told = [
        (
            request.messages[0].content,
            request.temperature,
            request.max_completion_tokens,
            request.reasoning,
        )
        for request in models.requests("panel")
    ]
    assert told == [
        ("Doubt it.", 0.2, 50, Reasoning("high")),
        ("Like it.", 1.5, 90, Reasoning(max_tokens=7)),
    ]
    assert "Doubt" not in str(models.requests("judge")[0].messages)
    assert run.result
    assert [(row.model, row.label) for row in run.result.responses or ()] == [("m", "sceptic"), ("m", "optimist")]
    assert run.result.analysis
    assert {stance.model for stance in run.result.analysis.contradictions[0].stances} == {"sceptic", "optimist"}
    read = json.loads(models.requests("outer")[0].messages[-1].content)
    assert [row["model"] for row in read["responses"]] == ["sceptic", "optimist"]
    assert all(set(row) == {"model", "content"} for row in read["responses"])


def test_one_model_three_times_reads_correctly_everywhere() -> None:
    """Self-fusion: `slug#1` to `slug#3` in events, attributions and rows, the slug itself beside them."""
    model = ModelName("openrouter", "m")
    what = seats(*(Panelist(label, model) for label in label_panel(["m", "m", "m"])))
    models = ScriptedModels().script("panel", "m", says("1"), ServerFailedError("broken", status_code=500), says("3"))
    models.script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", says("x"))
    seen = Seen()
    with models:
        run = asyncio.run(pipeline.ask(what, models, seen))
    assert [getattr(event, "label", None) for event in seen.events if event.type == "panel.added"] == [
        "m#1",
        "m#2",
        "m#3",
    ]
    assert run.result
    shape = run.result.model_dump()
    assert [(row["model"], row["label"], row["content"]) for row in shape["responses"]] == [
        ("m", "m#1", "1"),
        ("m", "m#3", "3"),
    ]
    assert [(row["model"], row["label"]) for row in shape["failed_models"]] == [("m", "m#2")]
    assert {stance["model"] for stance in shape["analysis"]["contradictions"][0]["stances"]} == {"m#1", "m#3"}
    assert [call.label for call in run.calls if call.role == "panel"] == ["m#1", "m#2", "m#3"]


def test_system_text_is_for_panel_and_outer_model() -> None:
    """The outer model is told the user's own words in both turns, in one system message; the judge is not."""
    models = panel_of_two().script("judge", "j", says(JUDGE_REPLY))
    ask(models.script("outer", "o", calls(CALL), says("x")), plan(tool_choice="auto")._replace(system="In French."))
    first, second = models.requests("outer")
    assert first.messages[0] == Message("system", "In French.")
    assert second.messages[0].content.startswith("In French.\n\nThe `fusion` tool")
    assert [message.role for message in second.messages].count("system") == 1
    assert "French" not in str(models.requests("judge")[0].messages)


def test_plain_answer_heeds_the_system_text() -> None:
    """An outer model that knows no tools is told the user's words as well."""
    models = ScriptedModels().script("panel", "a", says("now")).script("panel", "b", says("later"))
    models.script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", says("x"))
    ask(models, plan(provider="local")._replace(system="In French."))
    assert models.requests("outer")[0].messages[-1].content.endswith("In French.")


def test_conversation_goes_to_the_outer_model_as_it_is() -> None:
    """An upstream request's messages reach the outer model unchanged, its sampling parameters nobody else."""
    models = panel_of_two().script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", calls(CALL), says("x"))
    what = plan(tool_choice="auto")._replace(conversation=CONVERSATION, outer_extra={"top_p": 0.5})
    what = what._replace(prompt=Prompt("the question", background="what was said"))
    run = ask(models, what)
    first, second = models.requests("outer")
    assert first.messages == CONVERSATION
    assert second.messages[1:4] == CONVERSATION[1:]
    assert second.messages[0].content.startswith("Be brief.\n\n")
    assert [dict(request.extra) for request in (first, second)] == [{"top_p": 0.5}] * 2
    assert all(not request.extra for request in (*models.requests("panel"), *models.requests("judge")))
    assert run.prompt == "the panel's question"


def test_plain_answer_keeps_the_conversations_system_message() -> None:
    """Asked again in plain text, a model whose server refuses tool results still hears what the caller told it."""
    models = panel_of_two().script("judge", "j", says(JUDGE_REPLY))
    models.script("outer", "o", ModelRejectedError("HTTP 400: no tools", status_code=400), says("x"))
    ask(models, plan()._replace(conversation=CONVERSATION))
    read = models.requests("outer")[1].messages[-1].content
    assert read.endswith("Be brief.")
    assert "120 words" not in read


def test_forced_panel_gets_the_conversation_as_material() -> None:
    """Without the outer model's own words for it, the panel is asked the last question, with what was said before."""
    models = whole()
    ask(models, plan()._replace(conversation=CONVERSATION))
    assert models.requests("panel")[0].messages[-1].content == "the question\n\nthe material"
    assert models.requests("outer")[0].messages[1:4] == CONVERSATION[1:]


def test_web_tools_are_for_panel_and_judge_alone() -> None:
    """Panel and judge get the server tools with their limit of steps; the outer model never does, nor a local one."""
    models = panel_of_two().script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", calls(CALL), says("x"))
    ask(models, plan(tool_choice="auto")._replace(tools=(SEARCH,), max_tool_calls=2))
    inner = [*models.requests("panel"), *models.requests("judge")]
    assert {(request.server_tools[0].type, request.max_tool_calls) for request in inner} == {(SEARCH.type, 2)}
    assert all(not request.server_tools for request in models.requests("outer"))

    elsewhere = whole()
    ask(elsewhere, plan(provider="lab")._replace(tools=(SEARCH,)))
    assert all(not request.server_tools and request.max_tool_calls is None for _, request in elsewhere.asked)


def test_privacy_is_asked_of_every_inner_call() -> None:
    """What holds for panel and judge is in each of their calls, whatever else is given up, and where it is known."""
    refusal = ModelRejectedError("HTTP 404: No endpoints found that support tool use", status_code=404)
    models = ScriptedModels().script("panel", "a", refusal, says("now")).script("panel", "b", says("later"))
    models.script("judge", "j", refusal, says("no json"), says(JUDGE_REPLY)).script("outer", "o", says("x"))
    private = {"provider": {"zdr": True}}
    ask(models, plan()._replace(tools=(SEARCH,), inner_extra=private))
    inner = [*models.requests("panel"), *models.requests("judge")]
    assert [dict(request.extra) for request in inner] == [private] * 6
    assert not models.requests("outer")[0].extra

    elsewhere = whole()
    ask(elsewhere, plan(provider="lab")._replace(inner_extra=private))
    assert all(not request.extra for _, request in elsewhere.asked)


def test_panelist_without_tools_is_asked_without() -> None:
    """A model that cannot use tools is a panelist all the same, and the user is told."""
    refusal = ModelRejectedError("HTTP 404: No endpoints found that support tool use", status_code=404)
    models = ScriptedModels().script("panel", "a", refusal, says("now")).script("panel", "b", says("later"))
    models.script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", says("x"))
    run = ask(models, plan()._replace(tools=(SEARCH,)))
    assert [bool(request.server_tools) for request in models.requests("panel")] == [True, True, False]
    assert not run.degraded
    assert any("asked again without web tools" in warning for warning in run.warnings)


def test_panelist_in_a_small_context_is_asked_for_less() -> None:
    """A model whose context the limit alone would fill is asked again with half of it as its limit."""
    said = "HTTP 400: maximum context length is 8192 tokens, but you requested 16010"
    models = ScriptedModels().script("panel", "a", ModelRejectedError(said, status_code=400), says("now"))
    models.script("panel", "b", says("later")).script("judge", "j", says(JUDGE_REPLY))
    run = ask(models.script("outer", "o", says("x")), plan())
    assert [request.max_completion_tokens for request in models.requests("panel")] == [16_000, 16_000, 4096]
    assert not run.degraded


def test_every_seat_has_a_seed_of_its_own() -> None:
    """One model three times is three samples, not one said three times; judge and outer model get the seed itself."""
    model = ModelName("openrouter", "m")
    what = seats(*(Panelist(label, model) for label in label_panel(["m", "m", "m"])))._replace(seed=7)
    models = ScriptedModels().script("panel", "m", says("1"), says("2"), says("3"))
    ask(models.script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", says("x")), what)
    assert [request.seed for request in models.requests("panel")] == [7, 8, 9]
    assert {request.seed for request in (*models.requests("judge"), *models.requests("outer"))} == {7}


def test_no_inner_call_can_start_a_fusion() -> None:
    """Panel, judge and the judge's second asking carry the depth and no function tool; the outer model has depth 0."""
    models = panel_of_two().script("judge", "j", says("no json"), says(JUDGE_REPLY), says(JUDGE_REPLY))
    models.script("outer", "o", calls(CALL), says("x"))
    ask(models, plan(tool_choice="auto")._replace(second_look=True, tools=(SEARCH,)))
    inner = [request for role, request in models.asked if role != "outer"]
    assert len(inner) == 5
    assert {(request.fusion_depth, request.tools) for request in inner} == {(1, ())}
    assert {request.fusion_depth for request in models.requests("outer")} == {0}


def test_second_call_after_the_result_is_refused() -> None:
    """A model that calls the tool again where it may not is told so once, and then writes the answer."""
    models = (
        panel_of_two().script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", calls(CALL), says("the answer"))
    )
    run = ask(models, plan())
    assert run.answer == "the answer"
    told = json.loads(models.requests("outer")[1].messages[-1].content)
    assert told["failure_reason"] == "fusion_invocation_capped"
    assert "fusion_invocation_capped" in run.warnings[-1]
    assert len(models.requests("panel")) == 2


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        ([ModelRejectedError("x", status_code=404)] * 2, "invalid_model"),
        ([ModelRejectedError("x", status_code=404), RateLimitError("y", status_code=429)], "rate_limited"),
        ([ModelRejectedError("x", status_code=404), ServerFailedError("y", status_code=500)], "all_panels_failed"),
    ],
)
def test_why_no_panelist_answered(errors: list[ModelError], reason: str) -> None:
    """The typed reason of a panel that failed as a whole is the one that the specification ranks first."""
    models = ScriptedModels()
    for slug, error in zip("ab", errors, strict=True):
        models.script("panel", slug, error)
    with models:
        run = asyncio.run(pipeline.analyze(plan(), models, Seen()))
    assert (run.status, run.failure_reason) == ("error", reason)


def test_warnings_of_the_plan_are_told() -> None:
    """What the plan could not honour is in the run's warnings, and shown."""
    seen = Seen()
    models = whole()
    with models:
        run = asyncio.run(pipeline.ask(plan()._replace(warnings=("that was left out",)), models, seen))
    assert run.warnings == ["that was left out"]
    assert seen.types()[0] == "warning"
    assert not run.degraded
