"""What `--max-cost` promises of a run: refused at once, stopped in time with everything kept, or held to its limit."""

import asyncio
import json
from collections.abc import Callable

import pytest

from fusion_cli import pipeline
from fusion_cli.chat import ChatRequest, Completion, Delta, ModelName, Price, ServerTool, ToolCall, Usage
from fusion_cli.commands.ask import whether_the_panel_met
from fusion_cli.costs import estimate
from fusion_cli.errors import CostLimitError, ModelRejectedError, UnreachableError, UsageError
from fusion_cli.outcome import ask_run_without_calls
from fusion_cli.plan import WEB_FETCH, Limits, Plan
from fusion_cli.results import AskRun
from fusion_cli.saved import SavedResponses
from tests.story.scripted import JUDGE_REPLY, ScriptedModels, Seen, calls, plan, says

PRICE = Price(1e-6, 4e-6)
CALL = ToolCall("call_1", "fusion", json.dumps({"prompt": "which?"}))


def priced(models: ScriptedModels | None = None) -> ScriptedModels:
    """Return models whose prices are known."""
    models = models or ScriptedModels()
    models.prices = dict.fromkeys("abjo", PRICE)
    return models


def asked(models: ScriptedModels, max_cost: float, what: Plan | None = None) -> AskRun:
    """Return an `ask` run that may cost so much."""
    with models:
        return asyncio.run(pipeline.ask((what or plan())._replace(max_cost=max_cost), models, Seen()))


def panel(models: ScriptedModels, cost: float) -> ScriptedModels:
    """Have the panel answer at this cost each."""
    return models.script("panel", "a", says("now", cost=cost)).script("panel", "b", says("later", cost=cost))


def test_refused_at_once() -> None:
    """A run whose low end is over the limit sends nothing; its object and status say why."""
    models = priced()
    with pytest.raises(CostLimitError, match="at least") as refused:
        asked(models, 0.001)
    assert models.asked == []
    assert ask_run_without_calls(refused.value).failure_reason == "cost_limit"


def test_a_refused_run_leaves_nothing_to_keep() -> None:
    """Whatever its plan warns of, a run that is refused tells of nothing, so that no journal of it begins."""
    seen = Seen()
    with pytest.raises(CostLimitError):
        asyncio.run(pipeline.analyze(plan()._replace(max_cost=0.001, warnings=("in vain",)), priced(), seen))
    assert seen.events == []


def test_unknown_prices_are_a_usage_error() -> None:
    """Without prices a limit means nothing: refused, unless that is allowed."""
    with pytest.raises(UsageError, match="unknown"):
        asked(ScriptedModels(), 1.0)
    models = panel(ScriptedModels(), 0.1).script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", says("x"))
    assert asked(models, 2.0, plan()._replace(allow_unknown_cost=True)).answer == "x"


def test_prices_that_could_not_be_asked_for_are_the_networks_fault() -> None:
    """The error says what could not be had, once, and the status is the network's; without a limit nobody minds."""

    class Cut(ScriptedModels):
        async def price(self, model: ModelName) -> Price | None:
            raise UnreachableError("the model list of openrouter could not be fetched: no route")

    with pytest.raises(UnreachableError, match=r"cannot be kept, as the model list .* fetched: no route$") as refused:
        asked(Cut(), 1.0)
    assert "--allow-unknown-cost" in refused.value.hint
    models = panel(Cut(), 0.1).script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", says("x", cost=None))
    assert asked(models, 2.0, plan()._replace(allow_unknown_cost=True)).answer == "x"


@pytest.mark.parametrize(
    ("spent_on", "said"),
    [("panel", "the judge and the answer need about"), ("judge", "the answer needs about")],
)
def test_the_next_phase_is_not_started(spent_on: str, said: str) -> None:
    """What was answered is in the run, nothing more is asked, and the status is 5 with the way to go on."""
    models = panel(priced(), 0.25 if spent_on == "panel" else 0.01)
    if spent_on == "judge":
        models.script("judge", "j", says(JUDGE_REPLY, cost=0.5))
    run = asked(models, 0.5)
    assert (run.status, run.answer, run.failure_reason) == ("error", None, "cost_limit")
    assert isinstance(run.cause, CostLimitError)
    assert run.cause.exit_status == 5
    assert "--resume" in run.cause.hint
    assert said in (run.error or "")
    assert run.result
    assert [response.content for response in run.result.responses or ()] == ["now", "later"]
    assert bool(run.result.analysis) is (spent_on == "judge")


def test_analyze_stops_before_the_judge() -> None:
    """The responses are its result, with the error beside them."""
    models = panel(priced(), 0.25)
    with models:
        run = asyncio.run(pipeline.analyze(plan()._replace(max_cost=0.5), models, Seen()))
    assert isinstance(run.cause, CostLimitError)
    assert len(run.responses or ()) == 2
    assert run.failure_reason == "cost_limit"
    assert "the judge needs about" in (run.error or "")


def test_judge_alone_is_held_to_it() -> None:
    """Responses that exist cost nothing; judging them does."""
    what = plan()
    saved = SavedResponses("q", dict(zip(what.panel, ["now", "later"], strict=True)), 0)

    def judged(max_cost: float, models: ScriptedModels) -> list[ChatRequest]:
        with models:
            limited = what._replace(max_cost=max_cost, tool_choice="none")
            asyncio.run(pipeline.judge_responses(limited, models, Seen(), saved.as_earlier(), 0))
        return models.requests("judge")

    with pytest.raises(CostLimitError):
        judged(0.0001, priced())
    (request,) = judged(0.02, priced().script("judge", "j", says(JUDGE_REPLY)))
    assert 400 < (request.max_completion_tokens or 0) < 16_000


def test_the_panel_that_was_not_counted_on() -> None:
    """Where the outer model's turn takes all that there is, the panel that it wants is what ends."""
    models = priced().script("outer", "o", calls(CALL))
    run = asked(models, 0.5, plan(tool_choice="auto"))
    assert (run.answer, run.result) == (None, None)
    assert "the panel, the judge and the answer need about" in (run.error or "")


def test_a_panel_that_could_never_be_paid_for_is_not_offered() -> None:
    """The outer model answers alone, and the user reads why: nobody pays for a turn that leads nowhere."""
    what = plan(tool_choice="auto")
    least = estimate(what, dict.fromkeys(what.models, PRICE), answers=True).least
    models = priced().script("outer", "o", says("four", cost=0.0001))
    run = asked(models, least + 0.0002, what)
    assert (run.status, run.answer, run.fused, run.failure_reason) == ("ok", "four", False, "cost_limit")
    assert models.requests("outer")[0].tools == ()
    assert run.warnings[0].startswith("o answers alone: the panel, the judge and the answer need about $0.0")
    assert "raise --max-cost" in whether_the_panel_met(run, what)
    richer = priced().script("outer", "o", says("four", cost=0.0001))
    run = asked(richer, 0.5, what)
    assert richer.requests("outer")[0].tools
    assert run.failure_reason is None


def test_whoever_writes_as_long_as_it_may_stays_within() -> None:
    """Replies are held to what is left, so that the run ends whole and has cost no more than it may."""

    def long(text: str) -> object:
        def write(request: ChatRequest) -> Completion:
            tokens = request.max_completion_tokens or 100_000
            read = sum(len(message.content) for message in request.messages) // 4
            return Completion((text or "word" * tokens), "length", Usage(read, tokens, read + tokens))

        return write

    models = priced()
    for role, slug, text in (("panel", "a", ""), ("panel", "b", ""), ("judge", "j", JUDGE_REPLY), ("outer", "o", "")):
        models.script(role, slug, long(text))  # type: ignore[arg-type]
    run = asked(models, 0.1)
    assert run.answer
    assert run.usage.cost is not None
    assert 0.02 < run.usage.cost <= 0.1
    assert any(warning.startswith("the panelist a gets a reply of at most") for warning in run.warnings)
    assert any(warning.startswith("the answer by o gets a reply of at most") for warning in run.warnings)
    assert all((request.max_completion_tokens or 10**6) < 16_000 for request in models.requests("panel"))


def test_a_second_try_that_is_not_paid_for() -> None:
    """A judge that cannot be asked again costs the analysis, and not the answer that is still paid for."""
    models = priced().script("panel", "a", says("now", cost=0.01)).script("panel", "b", says("later", cost=0.01))
    models.script("judge", "j", says("no json", cost=0.9765)).script("outer", "o", says("x"))
    run = asked(models, 1.0)
    assert run.answer == "x"
    assert run.result
    assert run.result.analysis is None
    assert any("the judge j needs about" in warning and "not asked" in warning for warning in run.warnings)


def test_a_refused_call_costs_nothing() -> None:
    """What a server turns down is not counted, and the milder request has its room."""
    refused = ModelRejectedError("HTTP 404: no endpoints support tool use", status_code=404)
    what = plan()._replace(tools=(ServerTool(WEB_FETCH),), max_tool_calls=1)
    models = (
        priced().script("panel", "a", refused, says("now", cost=0.01)).script("panel", "b", says("later", cost=0.01))
    )
    models.script("judge", "j", says(JUDGE_REPLY, cost=0.01)).script("outer", "o", says("x", cost=0.01))
    run = asked(models, 0.2, what)
    assert run.answer == "x"
    assert run.usage.cost == pytest.approx(0.04)
    first, again = (request for request in models.requests("panel") if request.model.slug == "a")
    assert first.server_tools
    assert (again.max_completion_tokens or 0) >= (first.max_completion_tokens or 0)


def test_without_a_limit_requests_are_as_they_were() -> None:
    """No limit, no price asked for before the run, no reply cut."""
    models = panel(ScriptedModels(), 0.5).script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", says("x"))
    with models:
        run = asyncio.run(pipeline.ask(plan(), models, Seen()))
    assert run.answer == "x"
    assert models.requests("outer")[0].max_completion_tokens is None
    assert {request.max_completion_tokens for request in models.requests("panel")} == {16_000}


def test_thinking_that_was_cut_off_is_paid_for() -> None:
    """Of a panelist that was dropped while it thought nobody says the cost: it is counted by what had come."""

    class Thinking(ScriptedModels):
        async def complete(self, request: ChatRequest, on_delta: Callable[[Delta], None]) -> Completion:
            if request.model.slug == "b":
                on_delta(Delta("", "hm " * 1_000_000))
                await asyncio.Event().wait()
            return await super().complete(request, on_delta)

    models = priced(Thinking()).script("panel", "a", says("now", cost=0.1))
    run = asked(models, 1.0, plan()._replace(limits=Limits(quorum=1, grace_s=0.05)))
    assert run.failure_reason == "cost_limit"
    assert run.result
    assert [row.content for row in run.result.responses or ()] == ["now"]
