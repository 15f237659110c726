"""The specification, section 3: every failure reason, reached and in its place, and what real runs show."""

import asyncio
import json
from typing import Any

import pytest

from fusion_cli import pipeline
from tests.specification.running import CONVENED, MODELS, Rows, Script, judged, run, untrue
from tests.story.scripted import JUDGE_REPLY, panel_of_two, plan, says
from tests.wire.server import Call, Reply, failure

KEYS = ("consensus", "contradictions", "partial_coverage", "unique_insights", "blind_spots")
BROKEN, NO_CREDITS = failure(500, "broken", retry_after=0), failure(402, "pay")
SLOW_DOWN, NO_SUCH_MODEL = failure(429, "slow", retry_after=3600), failure(404, "no such model")

# Two panelists' replies, and the reason.
ALL_FAILED = {
    "all_panels_failed": (BROKEN, BROKEN, "all_panels_failed"),
    "one failed otherwise": (BROKEN, NO_SUCH_MODEL, "all_panels_failed"),
    "insufficient_credits: all failed, one for credits": (BROKEN, NO_CREDITS, "insufficient_credits"),
    "rate_limited: all failed, one rate limited": (BROKEN, SLOW_DOWN, "rate_limited"),
    "credits win over rate limit": (SLOW_DOWN, NO_CREDITS, "insufficient_credits"),
    "invalid_model": (NO_SUCH_MODEL, NO_SUCH_MODEL, "invalid_model"),
}


@pytest.mark.parametrize("statement", ALL_FAILED)
def test_why_all_failed(statement: str) -> None:
    """The reason is in the result, on the record, and in what the outer model reads, where one is asked."""
    first, second, reason = ALL_FAILED[statement]
    seen = run(*CONVENED, *MODELS, "x", script=[("a/one", "panel", (first,)), ("b/two", "panel", (second,))])
    assert (seen.run["result"]["failure_reason"], seen.run["failure_reason"]) == (reason, reason)
    assert seen.run["result"]["status"] == "error"
    assert all(told["failure_reason"] == reason for told in (seen.told if seen.outer else []))
    assert seen.outer or reason == "insufficient_credits"


def test_a_wrong_outer_model_is_invalid() -> None:
    """`invalid_model` is the reason, too, where the outer model does not exist."""
    seen = run("ask", "--json", *MODELS, "x", script=[("o/outer", "outer", (NO_SUCH_MODEL,))])
    assert (seen.status, seen.run["failure_reason"], seen.run["answer"]) == (1, "invalid_model", None)


@pytest.mark.parametrize("when", ["in the same turn", "when it should write"])
def test_a_second_call_is_capped(when: str) -> None:
    """`fusion_invocation_capped` is what the outer model reads of a second call in one turn; the run goes on."""
    one, two = (Call("fusion", '{"prompt": "p?"}', name) for name in ("call_1", "call_2"))
    first = Reply(tool_calls=(one, two)) if when == "in the same turn" else Reply(tool_calls=(one,))
    more = () if when == "in the same turn" else (Reply(tool_calls=(two,)),)
    script: list[Script] = [("o/outer", "outer", (first, *more, Reply("the answer")))]
    seen = run("ask", "--json", *MODELS, "x", script=script)
    assert [told.get("failure_reason") for told in seen.told] == [None, "fusion_invocation_capped"]
    assert seen.told[1]["status"] == "error"
    assert (seen.run["answer"], seen.run["failure_reason"], len(seen.panel)) == ("the answer", None, 2)


def test_cancelled() -> None:
    """A run that is cancelled holds what was answered, and `cancelled` as its reason, in result and record."""

    async def story() -> Any:
        models = panel_of_two().script("judge", "j", says(JUDGE_REPLY))
        loop = asyncio.get_running_loop()

        def cancel_at_the_judge(event: object) -> None:
            if getattr(event, "type", "") == "analysis.in_progress":
                loop.call_soon(lambda: loop.call_soon(task.cancel))

        task = asyncio.create_task(pipeline.ask(plan(), models, cancel_at_the_judge))
        return (await task).model_dump()

    seen = asyncio.run(story())
    assert (seen["failure_reason"], seen["result"]["failure_reason"]) == ("cancelled", "cancelled")
    assert len(seen["result"]["responses"]) == 2


def test_unexpected_error() -> None:
    """What has no reason of its own is `unexpected_error`: an outer model that fails costs the answer alone."""
    seen = run(*CONVENED, *MODELS, "x", script=[("o/outer", "outer", (BROKEN,))])
    assert (seen.status, seen.run["status"], seen.run["failure_reason"]) == (1, "error", "unexpected_error")
    assert seen.run["result"]["status"] == "ok"
    assert "failure_reason" not in seen.run["result"]


WHOLE: dict[str, list[Any]] = {
    "consensus": ["They agree on SQLite."],
    "contradictions": [
        {"topic": "When", "stances": [{"model": "A", "stance": "now"}, {"model": "B", "stance": "not"}]}
    ],
    "partial_coverage": [{"models": ["A"], "point": "Back-ups are a file copy."}],
    "unique_insights": [{"model": "B", "insight": "Readers go on during a write."}],
    "blind_spots": ["Nobody asked how the app is deployed."],
}
BARE = {
    **WHOLE,
    "partial_coverage": ["A: Back-ups are a file copy."],
    "unique_insights": ["B: Readers go on during a write."],
}
INVENTED = {
    **WHOLE,
    "unique_insights": [*WHOLE["unique_insights"], {"model": "gpt-7-ultra", "insight": "It was never on this panel."}],
}
JUDGES_WRITE = {
    "bare strings where objects belong": json.dumps(BARE),
    "fence their JSON": f"```json\n{json.dumps(WHOLE)}\n```",
    "put prose around it": f"Here is my comparison {{of two}}:\n\n{json.dumps(WHOLE)}\n\nI hope that this helps.",
    "invent model names": json.dumps(INVENTED),
}


@pytest.mark.parametrize("statement", JUDGES_WRITE)
def test_what_judges_write(statement: str) -> None:
    """A sloppy reply becomes the same analysis as a clean one, in one call, and names nobody who was not asked."""
    script: list[Script] = [("z/judge", "judge", (Reply(JUDGES_WRITE[statement]),))]
    seen = run(*CONVENED, *MODELS, "x", script=script)
    analysis = seen.run["result"]["analysis"]
    sizes = {key: len(analysis[key]) for key in KEYS}
    assert sizes == dict.fromkeys(KEYS, 1)
    assert {analysis["unique_insights"][0]["model"], *analysis["partial_coverage"][0]["models"]} == {"a/one", "b/two"}
    assert analysis["unique_insights"][0]["insight"] == "Readers go on during a write."
    assert len(seen.judge) == 1
    assert "gpt-7-ultra" not in json.dumps(analysis)
    assert ("do not exist: gpt-7-ultra" in " ".join(seen.run["warnings"])) is (statement == "invent model names")


def test_a_heading_is_no_analysis() -> None:
    """A schema-valid analysis whose only content is a stray Markdown heading is asked for again, and then none."""
    script: list[Script] = [("z/judge", "judge", (judged(consensus=["## Consensus"]),))]
    seen = run(*CONVENED, *MODELS, "x", script=script)
    assert len(seen.judge) == 2
    assert "analysis" not in seen.run["result"]
    assert seen.run["failure_reason"] == "judge_schema_mismatch"


def test_panelists_starved_by_a_low_limit() -> None:
    """A panelist that spent its limit on thinking is a failed one, with the reason; one that was cut off is named."""
    script: list[Script] = [
        ("a/one", "panel", (Reply("", reasoning="hm", finish_reason="length"),)),
        ("b/two", "panel", (Reply("half of", finish_reason="length"),)),
        ("z/judge", "judge", (judged(consensus=["SQLite will do."]),)),
    ]
    seen = run(*CONVENED, *MODELS, "--max-completion-tokens", "5", "x", script=script)
    [failed] = seen.run["result"]["failed_models"]
    assert failed["model"] == "a/one"
    assert "the model only thought and reached its token limit" in failed["error"]
    assert seen.run["warnings"] == ["the response of b/two was cut off by its token limit"]


UNDER_AUTO: Rows = {
    "the outer model never calls the tool": lambda it: it.run["fused"] is False,
    "and the user is told so": lambda it: "The panel did not meet" in it.ended.stderr,
    "with what to do": lambda it: "--tool-choice required" in it.ended.stderr,
}


def test_the_user_is_told_that_the_panel_did_not_meet() -> None:
    """Under auto, an outer model that answers alone is named on standard error, with the way to convene the panel."""
    seen = run("ask", "--json", *MODELS, "x", script=[("o/outer", "outer", (Reply("four"),))])
    assert untrue(UNDER_AUTO, seen) == []


@pytest.mark.parametrize(("choice", "turns"), [("required", ["none"]), ("auto", ["auto", "none"])])
def test_the_first_turn_alone_is_forced(choice: str, turns: list[str]) -> None:
    """The first turn alone can be forced, and the answer is written with `tool_choice: "none"`."""
    seen = run("ask", "--json", "--tool-choice", choice, *MODELS, "x")
    assert [body["tool_choice"] for body in seen.outer] == turns
    assert seen.run["fused"] is True
