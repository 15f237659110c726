"""How long a run may take: the deadline over all phases, a panel that closes, and what is kept of who was too slow."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest

from fusion_cli import events, pipeline
from fusion_cli.chat import ChatRequest, Completion, Delta, ModelName, Price, Retry, Usage
from fusion_cli.errors import ModelError, ModelTimeoutError, ModelUnreachableError, OutOfTimeError, ServerFailedError
from fusion_cli.plan import Limits
from tests.story.scripted import JUDGE_REPLY, ScriptedModels, Seen, plan, says

if TYPE_CHECKING:
    from collections.abc import Callable

    from fusion_cli.plan import Plan
    from fusion_cli.results import AnalysisRun, AskRun


class Dripping(ScriptedModels):
    """Models of which one writes a little and then nothing more."""

    def __init__(self, slug: str, role: str = "panel") -> None:
        super().__init__()
        self._slug = slug
        self.script(role, slug, lambda _: says("never"))

    async def complete(self, request: ChatRequest, on_delta: Callable[[Delta], None]) -> Completion:
        """Write half a sentence and hang, where it is that one's turn."""
        if request.model.slug == self._slug:
            on_delta(Delta("half a"))
            on_delta(Delta(" sentence"))
            await asyncio.Event().wait()
        return await super().complete(request, on_delta)


def ask(models: ScriptedModels, what: Plan, seen: Seen | None = None) -> AskRun:
    """Run `pipeline.ask`; scripts may stay unused."""
    return asyncio.run(pipeline.ask(what, models, seen or Seen()))


def limited(
    *slugs: str,
    timeout_s: float | None = None,
    idle_timeout_s: float | None = None,
    deadline_s: float | None = None,
    quorum: int | None = None,
    grace_s: float = 0.0,
) -> Plan:
    """Return a plan with these limits and no others."""
    return plan(*slugs)._replace(limits=Limits(timeout_s, idle_timeout_s, deadline_s, quorum, grace_s))


def test_panel_closes_when_enough_have_answered() -> None:
    """Once a quorum is in, a straggler has the grace period, and is then a failed panelist with what it wrote."""
    models = Dripping("c").script("panel", "a", says("now")).script("panel", "b", says("later"))
    models.script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", says("the answer"))
    seen = Seen()
    run = ask(models, limited("a", "b", "c", quorum=2, grace_s=0.05), seen)
    assert run.answer == "the answer"
    assert run.degraded
    assert run.result
    [failed] = run.result.failed_models or []
    assert re.fullmatch(r"dropped at [0-9]\.[0-9] s: 2 of 3 had answered", failed.error)
    assert re.fullmatch(r"2 of 3 answered, c dropped at [0-9]\.[0-9] s", run.result.headcount)
    assert (failed.partial, failed.content) == (True, "half a sentence")
    [told] = [event for event in seen.events if isinstance(event, events.PanelFailed)]
    assert told.partial == "half a sentence"
    assert [call.error for call in run.calls if call.label == "c"] == [failed.error]


def test_judge_reads_a_broken_response_as_cut_off() -> None:
    """What a dropped panelist had written is judged, labelled as incomplete, and is no response."""
    models = Dripping("c").script("panel", "a", says("now")).script("panel", "b", says("later"))
    models.script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", says("the answer"))
    run = ask(models, limited("a", "b", "c", quorum=2, grace_s=0.0))
    told = models.requests("judge")[0].messages[-1].content
    assert "(cut off before its end)\nhalf a sentence\n" in told
    assert "Cut off before the end, through no fault of the respondent: " in told
    assert "gave no response" not in told
    assert run.result
    assert [row.model for row in run.result.responses or ()] == ["a", "b"]


def test_deadline_leaves_time_for_judge_and_answer() -> None:
    """The panel closes early enough that the judge and the answer still fit into the deadline."""
    models = Dripping("b").script("panel", "a", says("now"))
    models.script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", says("the answer"))
    run = ask(models, limited("a", "b", deadline_s=0.4))
    assert run.answer == "the answer"
    assert run.result
    [failed] = run.result.failed_models or []
    assert failed.error.endswith(" s: the deadline of 0.4 s leaves no more to the panel")
    assert failed.error.startswith("dropped at 0.")


def test_judge_that_takes_too_long_costs_the_analysis_alone() -> None:
    """At its share of the deadline the judge is given up, and the answer is written from the responses."""
    models = Dripping("j", "judge").script("panel", "a", says("now")).script("panel", "b", says("later"))
    models.script("outer", "o", says("the answer"))
    run = ask(models, limited(deadline_s=0.4))
    assert run.answer == "the answer"
    assert run.failure_reason == "judge_upstream_error"
    assert run.warnings == ["no analysis: the judge j: the deadline of 0.4 s leaves no more to the judge"]


def test_passed_deadline_without_an_answer_is_status_6() -> None:
    """An answer that does not come in time ends the run with its own status; the panel's work is in the result."""
    models = Dripping("o", "outer").script("panel", "a", says("now")).script("panel", "b", says("later"))
    models.script("judge", "j", says(JUDGE_REPLY))
    run = ask(models, limited(deadline_s=0.3))
    assert run.answer is None
    assert run.cause
    assert run.cause.exit_status == 6
    assert run.error == "the deadline of 0.3 s has passed"
    assert run.result
    assert run.result.analysis


def test_prices_are_waited_for_until_the_deadline() -> None:
    """A price that never comes holds up no run that has a limit of cost: nobody is asked, and nothing is told."""

    class Priceless(ScriptedModels):
        async def price(self, model: ModelName) -> Price | None:
            await asyncio.Event().wait()
            raise AssertionError("nobody sets it")

    models, seen, what = Priceless(), Seen(), limited(deadline_s=0.1)._replace(max_cost=1.0)
    with pytest.raises(OutOfTimeError, match=r"^the deadline of 0\.1 s has passed$") as ended:
        asyncio.run(asyncio.wait_for(pipeline.ask(what, models, seen), 30))
    assert ended.value.exit_status == 6
    assert "--max-cost" in ended.value.hint
    assert (models.asked, seen.events) == ([], [])


def test_all_out_of_time_is_status_6() -> None:
    """Without a single response, `analyze` says that time was the reason."""
    run = asyncio.run(pipeline.analyze(limited("c", deadline_s=0.1), Dripping("c"), Seen()))
    assert run.cause
    assert run.cause.exit_status == 6
    assert [row.content for row in run.failed_models or ()] == ["half a sentence"]


def test_all_lost_to_time_or_network_is_status_6() -> None:
    """One silent, one unreachable, one dropped at the deadline: the reasons differ, the status is theirs."""
    models = Dripping("a").script("panel", "b", ModelTimeoutError("silent for 1 s"))
    models.script("panel", "c", ModelUnreachableError("cannot connect"))
    run = asyncio.run(pipeline.analyze(limited("a", "b", "c", deadline_s=0.1), models, Seen()))
    assert run.failure_reason == "all_panels_failed"
    assert run.cause
    assert run.cause.exit_status == 6


def test_calls_have_the_clocks_of_the_plan() -> None:
    """Every call is told how long it may be silent."""
    models = ScriptedModels().script("panel", "a", says("now")).script("panel", "b", says("later"))
    models.script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", says("the answer"))
    ask(models, limited(timeout_s=7.0, idle_timeout_s=3.0))
    assert {(request.timeout_s, request.idle_timeout_s) for _, request in models.asked} == {(7.0, 3.0)}
    assert len(models.asked) == 4


def test_interrupted_panelist_keeps_what_it_wrote() -> None:
    """A run that is cancelled in the panel holds the beginning of every unfinished response, and says when it ended."""
    models, seen = Dripping("b").script("panel", "a", says("now")), Seen()

    async def story() -> AskRun:
        task = asyncio.create_task(pipeline.ask(limited("a", "b"), models, seen))
        await asyncio.sleep(0.05)
        task.cancel()
        return await task

    run = asyncio.run(story())
    assert run.failure_reason == "cancelled"
    assert run.result
    assert [row.content for row in run.result.responses or ()] == ["now"]
    assert [(row.error, row.content) for row in run.result.failed_models or ()] == [("interrupted", "half a sentence")]
    [call] = [call for call in run.calls if call.label == "b"]
    assert [event.duration_s for event in seen.events if isinstance(event, events.PanelFailed)] == [call.duration_s]
    assert call.duration_s > 0


class Lingering(ScriptedModels):
    """Models that say that they are done, and whose servers then keep the connection open."""

    async def complete(self, request: ChatRequest, on_delta: Callable[[Delta], None]) -> Completion:
        """Write, end, and hang."""
        completion = await super().complete(request, on_delta)
        on_delta(Delta("", ended=completion._replace(usage=Usage())))
        await asyncio.Event().wait()
        raise AssertionError("nobody waits for ever")


@pytest.mark.parametrize("limits", [limited("a", quorum=1), limited("a", deadline_s=0.3)])
def test_whole_answers_are_not_lost_to_what_may_follow(limits: Plan) -> None:
    """A response that had ended when its time was over is one, and only its cost is unknown."""
    models = Lingering().script("panel", "a", says("now")).script("judge", "j", says(JUDGE_REPLY))
    run = asyncio.run(pipeline.analyze(limits._replace(limits=limits.limits._replace(deadline_s=0.3)), models, Seen()))
    assert [row.content for row in run.responses or ()] == ["now"]
    assert run.analysis
    assert run.usage.cost is None


def test_a_response_that_had_ended_outlives_an_interruption() -> None:
    """Ctrl-C while only the cost of a response is awaited keeps the response as what it is."""
    models = Lingering().script("panel", "a", says("now"))

    async def story() -> AnalysisRun:
        task = asyncio.create_task(pipeline.analyze(limited("a"), models, Seen()))
        await asyncio.sleep(0.05)
        task.cancel()
        return await task

    run = asyncio.run(story())
    assert run.failure_reason == "cancelled"
    assert [row.content for row in run.responses or ()] == ["now"]
    assert run.failed_models is None


class Retrying(ScriptedModels):
    """Models that announce a retry before they answer."""

    async def complete(self, request: ChatRequest, on_delta: Callable[[Delta], None]) -> Completion:
        """Say that it is tried again, then answer."""
        on_delta(Delta("", retry=Retry(2, 1.5, "HTTP 429: slow down", 429)))
        return (await super().complete(request, on_delta))._replace(attempts=2)


def test_each_attempt_is_an_event() -> None:
    """Who is tried again, when and why is told as it happens, and is no text."""
    models = Retrying().script("panel", "a", says("now")).script("judge", "j", says(JUDGE_REPLY))
    seen = Seen()
    run = asyncio.run(pipeline.analyze(plan("a"), models, seen))
    told = [event for event in seen.events if isinstance(event, events.CallRetried)]
    assert told[0] == events.CallRetried("panel", "a", 2, 1.5, "HTTP 429: slow down", 429)
    assert [event.role for event in told] == ["panel", "judge"]
    assert run.responses
    assert run.responses[0].content == "now"
    assert [call.attempts for call in run.calls] == [2, 2]


def test_filtered_text_is_no_response() -> None:
    """A response that the provider's filter stopped is a failed panelist, whatever stands in it."""
    models = ScriptedModels().script("panel", "a", says("I", finish_reason="content_filter"))
    models.script("panel", "b", says("later")).script("judge", "j", says(JUDGE_REPLY))
    run = asyncio.run(pipeline.analyze(plan(), models, Seen()))
    assert [(row.model, row.error) for row in run.failed_models or ()] == [
        ("a", "the provider's content filter stopped it")
    ]


def test_broken_events_are_counted() -> None:
    """Events of a stream that could not be read cost nothing but a warning."""
    models = ScriptedModels().script("panel", "a", says("now")._replace(skipped=3))
    models.script("judge", "j", says(JUDGE_REPLY))
    run = asyncio.run(pipeline.analyze(plan("a"), models, Seen()))
    assert run.warnings[0] == "a: 3 broken events of the stream skipped"


def test_partial_text_alone_is_not_judged() -> None:
    """Where nobody got to the end, the panel has failed: the beginnings are kept, and no judge is paid."""
    broken = ServerFailedError("the stream broke", partial="half a")
    models = ScriptedModels().script("panel", "a", broken).script("panel", "b", ModelError("no"))
    with models:
        run = asyncio.run(pipeline.analyze(plan(), models, Seen()))
    assert run.failure_reason == "all_panels_failed"
    assert [row.content for row in run.failed_models or ()] == ["half a", None]
