"""What `pipeline.ask` promises: who is asked with what, what counts as fused, what degrades a run and what ends it."""

import asyncio
import json

import pytest

from fusion_cli import pipeline
from fusion_cli.chat import ChatRequest, Completion, ModelName, ToolCall
from fusion_cli.delivery import describe_error
from fusion_cli.errors import (
    KeyRejectedError,
    ModelError,
    ModelRejectedError,
    ModelUnreachableError,
    NoCreditsError,
    RateLimitError,
    ServerFailedError,
)
from fusion_cli.plan import Plan
from fusion_cli.results import Analysis, AskRun
from tests.story.scripted import JUDGE_REPLY, ScriptedModels, Seen, calls, panel_of_two, plan, says

CALL = ToolCall("call_1", "fusion", '{"prompt": "the panel\'s question"}')


def ask(models: ScriptedModels, what: Plan, seen: Seen | None = None) -> AskRun:
    """Run the story to its end."""
    with models:
        return asyncio.run(pipeline.ask(what, models, seen or Seen()))


def test_required_convenes_the_panel_without_a_first_turn() -> None:
    """With `required` nobody is paid to decide: panel, judge, answer, and nothing else."""
    models = panel_of_two().script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", says("the answer"))
    seen = Seen()
    run = ask(models, plan(), seen)
    assert (run.status, run.answer, run.fused, run.degraded, run.failure_reason) == (
        "ok",
        "the answer",
        True,
        False,
        None,
    )
    assert [role for role, _ in models.asked] == ["panel", "panel", "judge", "outer"]
    assert seen.types() == [
        "outer.decided",
        "in_progress",
        "panel.added",
        "panel.added",
        "panel.completed",
        "panel.completed",
        "analysis.in_progress",
        "analysis.completed",
        "answer.completed",
    ]


def test_panelists_are_asked_at_the_same_time() -> None:
    """The panel takes as long as its slowest member, not as long as all of them."""
    models = panel_of_two().script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", says("x"))
    ask(models, plan())
    assert models.at_once == 2


def test_outer_model_answers_directly() -> None:
    """With `auto` the outer model may answer alone, and the run says that the panel did not meet."""
    models = ScriptedModels().script("outer", "o", says("four"))
    seen = Seen()
    run = ask(models, plan(tool_choice="auto"), seen)
    assert (run.answer, run.fused, run.result) == ("four", False, None)
    [request] = models.requests("outer")
    assert [tool.name for tool in request.tools] == ["fusion"]
    assert request.tool_choice == "auto"
    assert seen.types() == ["outer.decided", "answer.completed"]


def test_outer_model_calls_the_tool() -> None:
    """The tool's prompt goes to the panel with the user's material, its result back with `tool_choice` none."""
    models = panel_of_two().script("judge", "j", says(JUDGE_REPLY))
    models.script("outer", "o", calls(CALL, text="Let me ask."), says("the answer"))
    run = ask(models, plan(tool_choice="auto"))
    assert run.fused
    assert run.answer == "the answer"
    assert models.requests("panel")[0].messages[-1].content == "the panel's question\n\nthe material"
    last = models.requests("outer")[1]
    assert last.tool_choice == "none"
    assert [tool.name for tool in last.tools] == ["fusion"]
    told = last.messages[-1]
    assert (told.role, told.tool_call_id) == ("tool", "call_1")
    result = json.loads(told.content)
    assert list(result) == ["status", "analysis", "responses"]
    assert result["responses"] == [{"model": "a", "content": "now"}, {"model": "b", "content": "later"}]


def test_inner_calls_never_carry_the_tool() -> None:
    """Panel and judge cannot start a deliberation: depth 1, no tools."""
    models = panel_of_two().script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", says("x"))
    ask(models, plan())
    inner = [*models.requests("panel"), *models.requests("judge")]
    assert [(request.fusion_depth, request.tools) for request in inner] == [(1, ())] * 3
    assert models.requests("outer")[0].fusion_depth == 0


def test_none_asks_the_outer_model_alone() -> None:
    """With `none` there is no tool and no panel."""
    models = ScriptedModels().script("outer", "o", says("alone"))
    run = ask(models, plan(tool_choice="none"))
    assert (run.answer, run.fused, run.result) == ("alone", False, None)
    assert models.requests("outer")[0].tools == ()


def test_second_call_in_a_turn_is_capped() -> None:
    """One deliberation a turn: the second call is refused with its typed reason, the first one is served."""
    second = ToolCall("call_2", "fusion", '{"prompt": "again"}')
    models = panel_of_two().script("judge", "j", says(JUDGE_REPLY))
    models.script("outer", "o", calls(CALL, second), says("the answer"))
    ask(models, plan(tool_choice="auto"))
    answers = {
        message.tool_call_id: json.loads(message.content)
        for message in models.requests("outer")[1].messages
        if message.role == "tool"
    }
    assert answers["call_1"]["status"] == "ok"
    assert answers["call_2"]["failure_reason"] == "fusion_invocation_capped"


@pytest.mark.parametrize(
    "call",
    [
        ToolCall("x", "web", "{}"),
        ToolCall("x", "fusion", "{broken"),
        ToolCall("x", "fusion", "[]"),
        ToolCall("x", "fusion", '{"prompt": " "}'),
        ToolCall("x", "fusion", "[" * 20_000),
    ],
    ids=["unknown tool", "broken arguments", "no object", "blank prompt", "deep nesting"],
)
def test_unusable_call_is_told_to_the_model(call: ToolCall) -> None:
    """An unknown tool or broken arguments come back as a tool error, and the model may answer."""
    models = ScriptedModels().script("outer", "o", calls(call), says("then so"))
    run = ask(models, plan(tool_choice="auto"))
    assert (run.answer, run.fused) == ("then so", False)
    told = models.requests("outer")[1].messages[-1]
    assert json.loads(told.content)["status"] == "error"


def test_endless_tool_loop_is_capped() -> None:
    """A model that only ever calls tools is asked three times, the last time without a choice, and then failed."""
    bad = ToolCall("x", "web", "{}")
    models = ScriptedModels().script("outer", "o", calls(bad), calls(bad), calls(bad))
    run = ask(models, plan(tool_choice="auto"))
    assert run.status == "error"
    assert models.requests("outer")[2].tool_choice == "none"


def test_failed_panelist_degrades() -> None:
    """A failed panelist leaves the run degraded, not dead; result and judge are told."""
    models = ScriptedModels().script("panel", "a", says("now")).script("judge", "j", says(_only_a()))
    models.script("panel", "b", ServerFailedError("HTTP 502: broken", status_code=502))
    models.script("outer", "o", says("the answer"))
    seen = Seen()
    run = ask(models, plan(), seen)
    assert (run.answer, run.fused, run.degraded) == ("the answer", True, True)
    assert run.result
    assert run.result.model_dump()["failed_models"] == [
        {"model": "b", "label": "b", "error": "HTTP 502: broken", "status_code": 502}
    ]
    assert "1 further respondent gave no response" in models.requests("judge")[0].messages[-1].content
    assert "panel.failed" in seen.types()


def _only_a() -> str:
    return json.dumps({**{key: [] for key in Analysis.model_fields}, "consensus": ["fine"]})


def test_bug_in_the_client_costs_one_panelist() -> None:
    """What should never be raised ends the call that raised it, not the panel."""

    def bug(_: ChatRequest) -> Completion:
        raise ZeroDivisionError("oops")

    models = ScriptedModels().script("panel", "a", says("now")).script("panel", "b", bug)
    models.script("judge", "j", says(_only_a())).script("outer", "o", says("x"))
    run = ask(models, plan())
    assert run.fused
    assert run.result
    assert run.result.failed_models
    assert run.result.failed_models[0].error == "internal error: ZeroDivisionError: oops"


@pytest.mark.parametrize("text", ["", " \n", "\t"])
def test_empty_response_is_a_failed_panelist(text: str) -> None:
    """Silence is not an answer, and is not fed to the judge as one."""
    models = ScriptedModels().script("panel", "a", says("now")).script("panel", "b", says(text))
    models.script("judge", "j", says(_only_a())).script("outer", "o", says("x"))
    run = ask(models, plan())
    assert run.result
    assert run.result.failed_models
    assert "without producing any text" in run.result.failed_models[0].error
    assert "Response B" not in models.requests("judge")[0].messages[-1].content


def test_all_panelists_failed() -> None:
    """Without a panel there is no judge; the outer model reads the error and may answer alone, said plainly."""
    models = ScriptedModels().script("outer", "o", says("alone"))
    models.script("panel", "a", ServerFailedError("broken")).script("panel", "b", RateLimitError("slow down"))
    run = ask(models, plan())
    assert (run.status, run.answer, run.fused, run.degraded) == ("ok", "alone", False, True)
    assert run.failure_reason == "rate_limited"
    assert models.requests("judge") == []
    assert json.loads(models.requests("outer")[0].messages[-1].content)["error"] == "all panel models failed"


@pytest.mark.parametrize(
    ("errors", "reason", "status"),
    [
        ([NoCreditsError("pay"), RateLimitError("slow")], "insufficient_credits", 5),
        ([KeyRejectedError("who"), KeyRejectedError("who")], "all_panels_failed", 4),
    ],
)
def test_outer_model_is_not_tried_where_it_would_fail_too(errors: list[ModelError], reason: str, status: int) -> None:
    """A key that is refused and an account that is empty end the run, with their own status."""
    models = ScriptedModels().script("panel", "a", errors[0]).script("panel", "b", errors[1])
    run = ask(models, plan())
    assert (run.status, run.answer, run.failure_reason) == ("error", None, reason)
    assert run.cause
    assert run.cause.exit_status == status


def test_credits_that_run_out_in_the_panel_stop_the_run() -> None:
    """A 402 stops before judge and outer model; what was answered is kept."""
    models = ScriptedModels().script("panel", "a", says("now")).script("panel", "b", NoCreditsError("pay"))
    run = ask(models, plan())
    assert (run.status, run.failure_reason) == ("error", "insufficient_credits")
    assert run.cause
    assert run.cause.exit_status == 5
    assert run.result
    assert [response.content for response in run.result.responses or ()] == ["now"]


@pytest.mark.parametrize(
    ("error", "status"),
    [(ServerFailedError("broken"), 1), (KeyRejectedError("who"), 4), (ModelUnreachableError("gone"), 6)],
)
def test_failed_outer_model_loses_nothing(error: ModelError, status: int) -> None:
    """An outer model that fails after the panel was paid for leaves responses and analysis in the result."""
    models = panel_of_two().script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", error)
    run = ask(models, plan())
    assert (run.status, run.answer, run.fused) == ("error", None, True)
    assert run.cause
    assert run.cause.exit_status == status
    assert run.result
    assert run.result.analysis
    assert len(run.result.responses or ()) == 2


def test_outer_server_without_tools_is_asked_in_plain_text() -> None:
    """A server that refuses the tool result does not cost the panel: the result is put into the prompt."""
    models = panel_of_two().script("judge", "j", says(JUDGE_REPLY))
    models.script("outer", "o", ModelRejectedError("HTTP 400: no tools", status_code=400), says("the answer"))
    run = ask(models, plan())
    assert run.answer == "the answer"
    plain = models.requests("outer")[1]
    assert plain.tools == ()
    assert "later" in plain.messages[-1].content


def test_local_models_read_the_result_as_text() -> None:
    """The embedded models ignore tools, so nothing of them is in their requests."""
    models = panel_of_two().script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", says("x"))
    ask(models, plan(provider="local"))
    assert [message.role for message in models.requests("outer")[0].messages] == ["system", "user"]


def test_usage_is_the_sum_of_all_calls() -> None:
    """Tokens and dollars are summed over panel, judge and outer model, and over each of them."""
    models = panel_of_two().script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", says("x"))
    one = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cost": 0.5}
    assert ask(models, plan()).usage.model_dump() == {
        **{key: 4 * value for key, value in one.items()},
        "by_role": {"panel": {key: 2 * value for key, value in one.items()}, "judge": one, "outer": one},
    }


def test_unknown_cost_is_null() -> None:
    """One call without a price makes the sum unknown: a part must not pass for the whole."""
    models = panel_of_two().script("judge", "j", says(JUDGE_REPLY, cost=None)).script("outer", "o", says("x"))
    usage = ask(models, plan()).usage
    assert usage.cost is None
    assert usage.total_tokens == 60


def test_cut_answer_is_degraded() -> None:
    """An answer that ends at a token limit is delivered, and said to be cut off."""
    models = panel_of_two().script("judge", "j", says(JUDGE_REPLY))
    models.script("outer", "o", says("half an ans", finish_reason="length"))
    run = ask(models, plan())
    assert (run.answer, run.degraded) == ("half an ans", True)
    assert "cut off" in run.warnings[-1]


def test_cut_direct_answer_is_degraded() -> None:
    """So is an answer that the outer model gave alone."""
    models = ScriptedModels().script("outer", "o", says("half an ans", finish_reason="length"))
    run = ask(models, plan(tool_choice="auto"))
    assert (run.answer, run.degraded) == ("half an ans", True)


def test_outer_model_without_tools_is_told_the_way_out() -> None:
    """A server that refuses the tool itself is an error that says what to choose instead, and whose it is."""
    models = ScriptedModels().script("outer", "o", ModelRejectedError("HTTP 404: no tool use", status_code=404))
    cause = ask(models, plan(tool_choice="auto")).cause
    assert isinstance(cause, ModelRejectedError)
    assert describe_error(cause) == [
        "fusion: o: HTTP 404: no tool use",
        "If this model knows no tools: --tool-choice required, or none.",
    ]


def test_cancelled_run_keeps_what_was_answered() -> None:
    """Cancelled while the judge reads, the run still holds every response, and says why it ended."""

    async def story() -> AskRun:
        models = panel_of_two().hang("judge", "j")
        task = asyncio.create_task(pipeline.ask(plan(), models, Seen()))
        await models.hanging.wait()
        task.cancel()
        return await task

    run = asyncio.run(story())
    assert (run.status, run.failure_reason, run.answer) == ("error", "cancelled", None)
    assert run.result
    assert [response.content for response in run.result.responses or ()] == ["now", "later"]
    assert run.calls[-1].error == "cancelled"


class BrokenCatalogue(ScriptedModels):
    """Models of which a mistake of ours keeps us from finding out what they can read."""

    async def context_tokens(self, model: ModelName) -> int | None:
        """Break."""
        raise ZeroDivisionError("oops")


def test_mistake_of_ours_costs_no_response() -> None:
    """Whatever breaks after the panel has answered, the run still holds its responses, and says whose fault it was."""
    models = BrokenCatalogue().script("panel", "a", says("now")).script("panel", "b", says("later"))
    run = ask(models, plan(provider="local"))
    assert (run.status, run.failure_reason) == ("error", "unexpected_error")
    assert run.error == "internal error: ZeroDivisionError: oops"
    assert "no analysis" in run.warnings[0]
    assert run.result
    assert len(run.result.responses or ()) == 2
