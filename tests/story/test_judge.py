"""What the judge promises: blind, structured, asked once more at most, and never the end of a run."""

import asyncio
import json

import pytest

from fusion_cli import pipeline
from fusion_cli.errors import ModelRejectedError
from fusion_cli.plan import Plan
from fusion_cli.results import AskRun
from tests.story.scripted import JUDGE_REPLY, ScriptedModels, Seen, panel_of_two, plan, says


def ask(models: ScriptedModels, what: Plan, seen: Seen | None = None) -> AskRun:
    """Run the story to its end."""
    with models:
        return asyncio.run(pipeline.ask(what, models, seen or Seen()))


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        (["no json", "still none"], "judge_not_valid_json"),
        (["{}", '{"consensus": []}'], "judge_schema_mismatch"),
        (["", ""], "judge_empty_completion"),
    ],
)
def test_failed_judge_leaves_the_analysis_out(replies: list[str], reason: str) -> None:
    """After one repair call the analysis is absent, the reason typed, and the answer written from the responses."""
    models = panel_of_two().script("judge", "j", *map(says, replies)).script("outer", "o", says("the answer"))
    run = ask(models, plan())
    assert (run.status, run.fused, run.degraded, run.failure_reason) == ("ok", True, True, reason)
    assert run.result
    assert "analysis" not in run.result.model_dump()
    assert run.result.status == "ok"
    assert "failure_reason" not in json.loads(models.requests("outer")[0].messages[-1].content)


def test_judge_repaired() -> None:
    """A judge that fails once and then replies well costs exactly two calls and degrades nothing."""
    models = panel_of_two().script("judge", "j", says("Sure! {"), says(JUDGE_REPLY)).script("outer", "o", says("x"))
    run = ask(models, plan())
    assert not run.degraded
    assert run.failure_reason is None
    assert [call.role for call in run.calls].count("judge") == 2
    assert "no JSON object" in models.requests("judge")[1].messages[-1].content


def test_judge_whose_server_refuses_schemas() -> None:
    """A server that knows no `json_schema` is asked again without one."""
    models = panel_of_two().script("outer", "o", says("x"))
    models.script("judge", "j", ModelRejectedError("HTTP 400: no schemas", status_code=400), says(JUDGE_REPLY))
    run = ask(models, plan())
    assert run.result
    assert run.result.analysis
    assert [request.output_format is None for request in models.requests("judge")] == [False, True]


def test_judge_is_blind_and_its_letters_are_mapped_back() -> None:
    """The judge sees letters at temperature 0; the analysis has the panel's names, in running text too."""
    models = ScriptedModels().script("panel", "x/secret", says("now")).script("panel", "y/hidden", says("later"))
    models.script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", says("x"))
    run = ask(models, plan("x/secret", "y/hidden"))
    [request] = models.requests("judge")
    assert request.temperature == 0
    assert "secret" not in str(request.messages)
    assert run.result
    assert run.result.analysis
    assert run.result.analysis.unique_insights[0].model_dump() == {
        "model": "y/hidden",
        "insight": "x/secret forgot the back-ups",
    }
