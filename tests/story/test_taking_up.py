"""A run that takes up what an earlier one brought asks for what is missing, and for nothing else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fusion_cli import events, pipeline
from fusion_cli.chat import Usage
from fusion_cli.earlier import Earlier
from fusion_cli.errors import ServerFailedError
from fusion_cli.results import Analysis
from tests.story.scripted import JUDGE_REPLY, ScriptedModels, Seen, plan, says

if TYPE_CHECKING:
    from fusion_cli.results import AskRun

EMPTY = Analysis(consensus=["both"], contradictions=[], partial_coverage=[], unique_insights=[], blind_spots=[])
ANALYSIS = events.AnalysisCompleted(EMPTY, 1.0)


def said(label: str, text: str) -> events.PanelCompleted:
    """Return a response of the earlier run."""
    return events.PanelCompleted(label, label, text, 1.0, Usage(1, 1, 2), truncated=False)


def earlier(*labels: str, analysis: bool = False, answer: str | None = None) -> Earlier:
    """Return an earlier run in which these panelists have answered."""
    responses = {label: said(label, f"{label} says") for label in labels}
    return Earlier(
        "r1", "the panel's prompt", "the question in it", responses, {}, ANALYSIS if analysis else None, answer=answer
    )


def ask(models: ScriptedModels, before: Earlier, seen: Seen | None = None) -> AskRun:
    """Run `pipeline.ask`; every script must be used up."""
    with models:
        return asyncio.run(pipeline.ask(plan(tool_choice="auto"), models, seen or Seen(), before))


def test_only_the_missing_panelist_is_asked() -> None:
    """Who has answered is not asked again; the one that failed is, with the same prompt, and the outer model knows."""
    models = ScriptedModels().script("panel", "b", says("later")).script("judge", "j", says(JUDGE_REPLY))
    seen = Seen()
    run = ask(models.script("outer", "o", says("the answer")), earlier("a", analysis=True), seen)
    assert run.answer == "the answer"
    assert run.parent == "r1"
    assert run.fused
    assert run.prompt == "the panel's prompt"
    assert [request.messages[-1].content for request in models.requests("panel")] == ["the panel's prompt"]
    assert '"prompt": "the question in it"' in models.requests("outer")[0].messages[-2].tool_calls[0].arguments
    assert run.result
    assert [row.content for row in run.result.responses or ()] == ["a says", "later"]
    assert [call.label for call in run.calls] == ["b", "j", "o"]
    taken = [event for event in seen.events if isinstance(event, events.PanelCompleted)]
    assert [(event.label, event.from_run) for event in taken] == [("a", "r1"), ("b", None)]


def test_an_analysis_stands_when_no_response_is_new() -> None:
    """With all responses and their analysis at hand, the answer is one call."""
    models = ScriptedModels().script("outer", "o", says("the answer"))
    run = ask(models, earlier("a", "b", analysis=True))
    assert run.result
    assert run.result.analysis == EMPTY
    assert [call.role for call in run.calls] == ["outer"]


def test_an_analysis_stands_when_the_missing_one_fails_again() -> None:
    """A panelist that fails a second time leaves the responses as they were, and so their analysis."""
    models = ScriptedModels().script("panel", "b", ServerFailedError("no", status_code=500))
    run = ask(models.script("outer", "o", says("the answer")), earlier("a", analysis=True))
    assert run.degraded
    assert [call.role for call in run.calls] == ["panel", "outer"]


def test_an_answer_stands_when_the_missing_one_fails_again() -> None:
    """Nothing that it was written from is new, so the answer is not paid for a second time."""
    models = ScriptedModels().script("panel", "b", ServerFailedError("no", status_code=500))
    run = ask(models, earlier("a", analysis=True, answer="four"))
    assert (run.answer, run.degraded, [call.role for call in run.calls]) == ("four", True, ["panel"])


def test_a_missing_analysis_is_made() -> None:
    """A run whose judge failed needs the judge and the answer."""
    models = ScriptedModels().script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", says("the answer"))
    assert [call.role for call in ask(models, earlier("a", "b")).calls] == ["judge", "outer"]


def test_a_complete_run_costs_nothing() -> None:
    """Where nothing is missing the answer stands, and nobody is asked."""
    seen = Seen()
    run = ask(ScriptedModels(), earlier("a", "b", analysis=True, answer="as it was"), seen)
    assert (run.status, run.answer, run.calls) == ("ok", "as it was", [])
    assert run.usage.cost == 0
    assert seen.types()[-1] == "answer.completed"


def test_an_answer_of_fewer_responses_is_written_anew() -> None:
    """An answer does not stand when a response has come in that it was not written from."""
    models = ScriptedModels().script("panel", "b", says("later")).script("judge", "j", says(JUDGE_REPLY))
    run = ask(models.script("outer", "o", says("better")), earlier("a", analysis=True, answer="as it was"))
    assert run.answer == "better"


def test_a_direct_answer_stands() -> None:
    """A run whose outer model answered alone is complete as well."""
    run = ask(ScriptedModels(), Earlier("r1", answer="four"))
    assert (run.answer, run.fused, run.calls) == ("four", False, [])


def test_another_writer_is_one_call() -> None:
    """With the panel closed, those that failed are not asked again, and a missing analysis is not made."""
    failed = {"b": events.PanelFailed("b", "b", "HTTP 500", 500, "half a", 1.0)}
    before = earlier("a")._replace(failures=failed, is_judged=True)
    models = ScriptedModels().script("outer", "o", says("another answer"))
    run = ask(models, before)
    assert run.answer == "another answer"
    assert run.degraded
    assert [call.role for call in run.calls] == ["outer"]
    assert run.result
    assert [(row.model, row.error, row.content) for row in run.result.failed_models or ()] == [
        ("b", "HTTP 500", "half a")
    ]


def test_nothing_earlier_is_a_run_from_the_start() -> None:
    """A run that was killed before its panel was convened is asked whole."""
    models = ScriptedModels().script("outer", "o", says("four"))
    assert ask(models, Earlier("r1")).answer == "four"


def test_an_analysis_alone_is_of_what_the_outer_model_asked() -> None:
    """`analyze` goes on with the panel's own prompt, and its journal has the words that called for that."""
    models = ScriptedModels().script("panel", "b", says("later")).script("judge", "j", says(JUDGE_REPLY))
    seen = Seen()
    with models:
        asyncio.run(pipeline.analyze(plan(), models, seen, earlier("a")))
    [begun] = [event for event in seen.events if isinstance(event, events.FusionInProgress)]
    assert begun == events.FusionInProgress("the panel's prompt", "the question in it")
