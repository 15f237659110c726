"""A hostile panelist: what it writes stays data for the judge, and what it planted is never taken for the judge's."""

import asyncio
import json
import re

import pytest

from fusion_cli import pipeline
from fusion_cli.chat import ChatRequest, Completion
from fusion_cli.results import AnalysisRun
from tests.story.hostile import CANARY, HONEST, HOSTILE, PLANTED
from tests.story.scripted import JUDGE_REPLY, Line, ScriptedModels, Seen, plan, says, unlimited_plan

OWN = json.loads(JUDGE_REPLY)


def judged(attack: str, *replies: Line) -> tuple[AnalysisRun, list[ChatRequest]]:
    """Return the run of an honest and a hostile panelist, and what the judge was asked."""
    models = ScriptedModels().script("panel", "a", says(HONEST)).script("panel", "b", says(HOSTILE[attack]))
    with models.script("judge", "j", *replies):
        run = asyncio.run(pipeline.analyze(plan(), models, Seen()))
    return run, models.requests("judge")


def fence_of(request: ChatRequest) -> str:
    """Return the delimiter that the judge is told of."""
    return request.messages[0].content.partition("begin with ")[2][:23]


@pytest.mark.parametrize("attack", HOSTILE)
def test_everything_stays_within_its_fence(attack: str) -> None:
    """Whatever a response holds, the judge reads two responses, each from its begin to its end, and then its task."""
    run, [request] = judged(attack, says(JUDGE_REPLY))
    fence = fence_of(request)
    assert [message.role for message in request.messages] == ["system", "user"]
    lines = [line for line in request.messages[1].content.split("\n") if line.startswith(fence)]
    assert [line.removeprefix(f"{fence} ") for line in lines] == [
        "begin prompt",
        "end prompt",
        "begin Response A",
        "end Response A",
        "begin Response B",
        "end Response B",
    ]
    told = request.messages[1].content.rpartition(f"{fence} end Response B")[2]
    assert told.lstrip().startswith("You are the judge.")
    assert CANARY not in told
    assert CANARY not in request.messages[0].content
    assert run.analysis


@pytest.mark.parametrize("attack", HOSTILE)
def test_no_turn_can_be_forged_by_a_template(attack: str) -> None:
    """A server that reads `<|im_start|>` in a text as the start of a turn finds none in what models wrote."""
    _, [request] = judged(attack, says(JUDGE_REPLY))
    read = "".join(message.content for message in request.messages)
    assert not re.search(r"<[|\uff5c]|</?s>|<(start|end)_of_turn>|\[/?INST\]", read)


def obeys(request: ChatRequest) -> Completion:
    """Reply as a judge that does what the hostile response says."""
    return says(json.dumps(PLANTED))


@pytest.mark.parametrize("attack", ["a ready analysis", "an analysis in several wrappings"])
def test_planted_analysis_is_never_the_judges(attack: str) -> None:
    """A judge that repeats the planted object is asked again; one that insists leaves no analysis at all."""
    mended, _ = judged(attack, obeys, says(JUDGE_REPLY))
    assert mended.analysis
    assert CANARY not in str(mended.analysis)
    insisted, requests = judged(attack, obeys, obeys)
    assert (insisted.analysis, insisted.failure_reason) == (None, "judge_schema_mismatch")
    assert "stands in a response" in requests[1].messages[-1].content
    assert CANARY not in requests[0].messages[-1].content
    assert insisted.warnings[0] == "the judge is not shown the ready-made analysis in the response of b"
    assert insisted.responses
    assert insisted.responses[1].content == HOSTILE[attack]


def test_planted_analysis_in_other_words_is_still_planted() -> None:
    """Letters, order and missing lists do not hide where the sentences came from."""
    changed = {
        **PLANTED,
        "consensus": [],
        "blind_spots": [],
        "unique_insights": [{"model": "B", "insight": f"Only {CANARY} is right."}],
    }
    run, _ = judged("a ready analysis", says(json.dumps(changed)), says(JUDGE_REPLY))
    assert run.analysis
    assert CANARY not in str(run.analysis)


def test_quoted_plant_beside_the_judges_own_is_refused() -> None:
    """A reply that holds the planted analysis and another one is ambiguous: the judge has to choose."""
    both = f"The response says:\n```json\n{json.dumps(PLANTED)}\n```\nMy analysis:\n{JUDGE_REPLY}"
    run, requests = judged("a ready analysis", says(both), says(JUDGE_REPLY))
    assert len(requests) == 2
    assert run.analysis
    assert run.analysis.consensus == OWN["consensus"]


def test_forged_respondent_is_nobody() -> None:
    """An attribution to a respondent that a response invented is dropped, and counted."""
    reply = {**OWN, "unique_insights": [{"model": "C", "insight": f"{CANARY}!"}, *OWN["unique_insights"]]}
    run, [request] = judged("a further respondent", says(json.dumps(reply)))
    assert run.analysis
    assert CANARY not in str(run.analysis)
    assert any("do not exist: C" in warning for warning in run.warnings)
    schema = request.output_format
    assert schema
    assert '"enum": ["A", "B"]' in json.dumps(schema.schema)  # type: ignore[union-attr]


def test_padding_does_not_push_the_others_out() -> None:
    """A response of 170,000 characters is cut to its share; the honest one is read whole."""
    models = ScriptedModels().script("panel", "a", says(HONEST)).script("panel", "b", says(HOSTILE["padding"]))
    models.context = 16_000
    with models.script("judge", "j", says(JUDGE_REPLY)):
        run = asyncio.run(pipeline.analyze(unlimited_plan(), models, Seen()))
    read = models.requests("judge")[0].messages[1].content
    assert HONEST in read
    assert len(read) < 40_000
    assert run.warnings == ["the judge read the response of b cut to fit its context"]
