"""What the judge promises: blind, structured, asked once more at most, and never the end of a run."""

import asyncio
import json

import pytest

from fusion_cli import events, pipeline
from fusion_cli.chat import ModelName, OutputSchema, ServerTool
from fusion_cli.errors import ModelRejectedError, ModelUnreachableError
from fusion_cli.plan import Plan
from fusion_cli.results import AnalysisRun, AskRun
from tests.story.scripted import JUDGE_REPLY, ScriptedModels, Seen, panel_of_two, plan, says, unlimited_plan


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


def analyze(models: ScriptedModels, what: Plan, seen: Seen | None = None) -> AnalysisRun:
    """Run the story without an outer model to its end."""
    with models:
        return asyncio.run(pipeline.analyze(what, models, seen or Seen()))


def refused(what: str, status: int = 400) -> ModelRejectedError:
    """Return a server's refusal."""
    return ModelRejectedError(f"HTTP {status}: {what}", status_code=status)


def test_forms_are_given_up_one_by_one_and_stay_so() -> None:
    """Schema, any JSON, the prompt alone, then no temperature: what was refused once is not tried again in the run."""
    replies = [refused("no schemas", 404), refused("no json_object", 422), refused("no")]
    models = panel_of_two().script("judge", "j", *replies, says("not yet"), says(JUDGE_REPLY))
    run = analyze(models, plan(provider="lab"))
    assert run.analysis
    asked = [(request.output_format, request.temperature) for request in models.requests("judge")]
    assert isinstance(asked[0][0], OutputSchema)
    assert asked[1:] == [("json_object", 0.0), (None, 0.0), (None, None), (None, None)]
    assert not run.degraded


def test_judge_that_refuses_everything_is_an_upstream_error() -> None:
    """After the last form the refusal stands, as the judge's typed failure."""
    models = panel_of_two().script("judge", "j", *[refused("no")] * 6)
    run = analyze(models, plan(provider="lab"))
    last = models.requests("judge")[-1]
    assert (last.output_format, last.temperature, last.seed, last.max_completion_tokens) == (None, None, None, None)
    assert (run.failure_reason, run.analysis, run.status) == ("judge_upstream_error", None, "ok")


def test_web_tools_are_given_up_before_the_temperature() -> None:
    """A judge whose server has web tools gets them, and is asked without when nothing else is accepted."""
    models = panel_of_two().script("judge", "j", *[refused("no")] * 3, says(JUDGE_REPLY))
    tools = (ServerTool("openrouter:web_search"),)
    run = analyze(models, plan()._replace(tools=tools))
    assert run.analysis
    asked = models.requests("judge")
    assert [request.server_tools for request in asked] == [tools, tools, tools, ()]
    assert [request.max_tool_calls for request in asked] == [4, 4, 4, None]
    assert asked[-1].temperature == 0


QUOTING = """{"consensus": ["both agree"], "partial_coverage": [
  {"support": [{"model": "A", "quote": "right “now”"}], "point": "soon"}], "blind_spots": [],
  "contradictions": [{"topic": "when", "stances": [
    {"model": "A", "stance": "at once", "quote": "do it right \\"now\\""},
    {"model": "B", "stance": "later", "quote": "never ever in this life"}]}],
  "unique_insights": [{"model": "B", "insight": "rest first"}]}"""


def test_quotes_are_checked_against_the_responses() -> None:
    """Each attribution's quote is looked for in that panelist's response; which held is beside the analysis."""
    models = (
        ScriptedModels()
        .script("panel", "a", says('You should do it  right "now".'))
        .script("panel", "b", says("later"))
    )
    seen = Seen()
    run = analyze(models.script("judge", "j", says(QUOTING)), plan()._replace(quotes=True), seen)
    shape = run.model_dump()
    assert shape["supported"] == {"checked": 4, "held": 2}
    assert [(row["where"], row["model"], row["held"]) for row in shape["quotes"]] == [
        ("contradictions[0].stances[0]", "a", True),
        ("contradictions[0].stances[1]", "b", False),
        ("partial_coverage[0]", "a", True),
        ("unique_insights[0]", "b", False),
    ]
    assert "quote" not in str(shape["analysis"])
    assert "copied exactly" in models.requests("judge")[0].messages[-1].content
    told = seen.events[-1]
    assert isinstance(told, events.AnalysisCompleted)
    assert (told.analysis, told.supported, told.quotes) == (run.analysis, run.supported, run.quotes)


def test_without_quotes_none_are_asked_for_or_counted() -> None:
    """A judge is not made to quote, and `supported` is null, unless the user asks for that."""
    models = panel_of_two().script("judge", "j", says(JUDGE_REPLY))
    run = analyze(models, plan())
    assert (run.supported, run.quotes, run.second_look) == (None, None, None)
    assert "quote" not in models.requests("judge")[0].messages[-1].content


def test_second_look_reads_the_reverse() -> None:
    """The second judgement sees the opposite order; what only one pass found is marked, the agreement is a number."""
    models = panel_of_two()
    second = JUDGE_REPLY.replace('"A"', '"X"').replace('"B"', '"A"').replace('"X"', '"B"')
    second = second.replace("both agree", "the sky is green").replace("Response A", "Response B")
    models.script("judge", "j", says(JUDGE_REPLY), says(second))
    run = analyze(models, plan()._replace(second_look=True))
    first, reverse = (request.messages[-1].content for request in models.requests("judge"))
    assert first.index("now") < first.index("later")
    assert reverse.index("later") < reverse.index("now")
    assert run.second_look
    assert [point.where for point in run.second_look.points if not point.stable] == ["consensus[0]"]
    assert 0 < run.second_look.agreement < 1
    assert run.analysis
    assert run.analysis.consensus == ["both agree"]
    assert run.second_look.analysis.consensus == ["the sky is green"]
    assert run.second_look.analysis.unique_insights[0].model == "b"


@pytest.mark.parametrize("replies", [[JUDGE_REPLY, "", ""], ["", JUDGE_REPLY, ""]])
def test_one_look_of_two_is_an_analysis_and_degraded(replies: list[str]) -> None:
    """A look that fails takes nothing away from the other one, and it is said that there is no second."""
    models = panel_of_two().script("judge", "j", *map(says, replies))
    run = analyze(models, plan()._replace(second_look=True))
    assert run.analysis
    assert (run.second_look, run.degraded, run.failure_reason) == (None, True, None)
    assert "no second look" in run.warnings[-1]


PARAGRAPH = "A paragraph that says something or other.\n\n"


def with_long_response(times: int) -> ScriptedModels:
    """Return models of which one says a lot."""
    return ScriptedModels().script("panel", "a", says(PARAGRAPH * times)).script("panel", "b", says("short"))


def lengths(models: ScriptedModels) -> list[tuple[int, int | None]]:
    """Return how long a prompt the judge was sent each time, in characters, and its reply's limit."""
    return [(len(request.messages[-1].content), request.max_completion_tokens) for request in models.requests("judge")]


class UnknownContext(ScriptedModels):
    """Models whose servers keep to a context that nobody tells."""

    async def context_tokens(self, model: ModelName) -> int | None:
        """Say nothing."""
        return None


def test_long_responses_are_cut_to_the_judges_context() -> None:
    """Responses that do not fit are cut at a paragraph, each to its share; the cut is marked, and warned of."""
    models = with_long_response(3000)
    models.context = 20_000
    run = analyze(models.script("judge", "j", says(JUDGE_REPLY)), unlimited_plan())
    [request] = models.requests("judge")
    read = request.messages[-1].content
    assert "or other.\n\n[cut here:" in read
    assert "short" in read
    assert request.max_completion_tokens == 10_000
    assert run.warnings == ["the judge read the response of a cut to fit its context"]
    assert run.responses
    assert run.responses[0].content == PARAGRAPH * 3000


@pytest.mark.parametrize("context", [8000, 16_000])
@pytest.mark.parametrize("times", [1, 900])
def test_strict_server_is_fitted_after_one_refusal(context: int, times: int) -> None:
    """A judge whose context its refusal alone tells reads as much as it can, in the same strict form, at once."""
    models = UnknownContext().script("panel", "a", says(PARAGRAPH * times)).script("panel", "b", says("short"))
    models.context = context
    run = analyze(models.script("judge", "j", says(JUDGE_REPLY), says(JUDGE_REPLY)), unlimited_plan())
    assert run.analysis
    assert len(run.calls) == 4
    assert all(isinstance(request.output_format, OutputSchema) for request in models.requests("judge"))
    assert bool(run.warnings) == (times == 900)
    assert lengths(models)[1][1] == min(16_000, context // 2)


def test_refusal_without_a_number_is_met_step_by_step() -> None:
    """Where a server says no more than "too long", first the reply's limit is made modest, then the prompt halved."""
    too_long = refused("the prompt is too long", 413)
    models = with_long_response(900).script("judge", "j", too_long, too_long, too_long, says(JUDGE_REPLY))
    run = analyze(models, plan())
    assert run.analysis
    assert [limit for _, limit in lengths(models)] == [16_000, 4000, 4000, 4000]
    sizes = [size for size, _ in lengths(models)]
    assert sizes[0] == sizes[1] > 1.5 * sizes[2] > 2 * sizes[3]


def test_length_that_cannot_be_cut_is_an_upstream_error() -> None:
    """A judge too small for anything fails in its typed way, after a bounded number of calls, and nothing was cut."""
    models = panel_of_two().script("judge", "j", *[refused("the prompt is too long", 413)] * 2)
    run = analyze(models, plan())
    assert run.failure_reason == "judge_upstream_error"
    assert run.warnings == ["no analysis: the judge j: HTTP 413: the prompt is too long"]


@pytest.mark.parametrize("first", [True, False])
def test_cancelled_between_two_looks_keeps_the_one_that_is_done(*, first: bool) -> None:
    """An analysis that is paid for is in the result and on its way to the disk when the other look is interrupted."""
    seen = Seen()

    async def story() -> AnalysisRun:
        models = panel_of_two()
        if first:
            models.script("judge", "j", says(JUDGE_REPLY)).hang("judge", "j")
        else:
            models.hang("judge", "j").script("judge", "j", says(JUDGE_REPLY))
        task = asyncio.create_task(pipeline.analyze(plan()._replace(second_look=True), models, seen))
        await models.hanging.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        task.cancel()
        return await task

    run = asyncio.run(story())
    assert (run.failure_reason, run.second_look) == ("cancelled", None)
    assert run.analysis
    assert "analysis.completed" in seen.types()


def test_two_looks_share_what_the_server_refuses() -> None:
    """What one look has learnt of the judge's server, the other one need not learn again."""
    models = panel_of_two().script("judge", "j", *[refused("no")] * 2, says(JUDGE_REPLY), says(JUDGE_REPLY))
    run = analyze(models, plan(provider="lab")._replace(second_look=True))
    assert run.second_look
    assert [request.output_format == "json_object" for request in models.requests("judge")] == [
        False,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("what", "kept"),
    [
        ("temperature must be 1", {"output_format", "server_tools"}),
        ("No endpoints found that support tool use", {"output_format", "temperature"}),
    ],
)
def test_what_the_refusal_names_is_given_up_first(what: str, kept: set[str]) -> None:
    """A judge that takes no temperature, or no tools, keeps its schema: only what was refused goes."""
    models = panel_of_two().script("judge", "j", refused(what), says(JUDGE_REPLY))
    run = analyze(models, plan()._replace(tools=(ServerTool("openrouter:web_search"),)))
    assert run.analysis
    second = models.requests("judge")[1]
    assert {
        key for key in ("output_format", "server_tools", "temperature") if getattr(second, key) not in (None, ())
    } == kept


def test_broken_stream_with_a_whole_analysis_is_one() -> None:
    """A judge whose connection breaks after its last brace was paid, and is believed, without another call."""
    broken = ModelUnreachableError("the stream ended early")
    broken.partial = JUDGE_REPLY
    run = analyze(panel_of_two().script("judge", "j", broken), plan())
    assert run.analysis
    assert run.failure_reason is None


def test_broken_stream_in_mid_analysis_is_asked_again_once() -> None:
    """Half an analysis is no analysis; the one re-ask is for that, too."""
    broken = ModelUnreachableError("the stream ended early")
    broken.partial = JUDGE_REPLY[:60]
    models = panel_of_two().script("judge", "j", broken, says(JUDGE_REPLY))
    assert analyze(models, plan()).analysis


def test_cut_reply_is_asked_for_in_short() -> None:
    """A judge that ran into its limit is told so, rather than that it wrote no JSON; the failure names the limit."""
    cut = [says(JUDGE_REPLY[:80], finish_reason="length"), says(JUDGE_REPLY[:90], finish_reason="length")]
    models = panel_of_two().script("judge", "j", *cut)
    run = analyze(models, plan())
    assert "at most three points" in models.requests("judge")[1].messages[-1].content
    assert "its token limit cut the reply off" in run.warnings[-1]


def test_refusal_in_mid_stream_is_not_paid_for_again() -> None:
    """A refusal after text has come is the end: the same question in a milder form would cost the same again."""
    late = refused("moderated")
    late.partial = '{"consensus": ['
    run = analyze(panel_of_two().script("judge", "j", late), plan())
    assert run.failure_reason == "judge_upstream_error"
