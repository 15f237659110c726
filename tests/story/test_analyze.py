"""What `pipeline.analyze` and `pipeline.judge_responses` promise, and the planning of who is asked."""

import asyncio

from fusion_cli import pipeline
from fusion_cli.errors import KeyRejectedError, ServerFailedError
from fusion_cli.plan import label_panel
from fusion_cli.saved import SavedResponses
from tests.story.scripted import JUDGE_REPLY, ScriptedModels, Seen, plan, says


def test_analysis_run_is_the_tool_result_with_our_keys_beside_it() -> None:
    """`analyze` prints the specification's result at the top level."""
    models = ScriptedModels().script("panel", "a", says("now")).script("panel", "b", says("later"))
    with models.script("judge", "j", says(JUDGE_REPLY)):
        run = asyncio.run(pipeline.analyze(plan(), models, Seen()))
    shape = run.model_dump()
    assert list(shape)[:3] == ["status", "analysis", "responses"]
    assert "error" not in shape
    assert "failed_models" not in shape
    assert shape["judge"] == "j"
    assert shape["prompt"] == "the question\n\nthe material"
    assert shape["usage"]["total_tokens"] == 45


def test_all_failed_is_an_error_result() -> None:
    """Without a response there is no judge call, and each model's reason is listed."""
    models = ScriptedModels().script("panel", "a", ServerFailedError("x")).script("panel", "b", ServerFailedError("y"))
    with models:
        run = asyncio.run(pipeline.analyze(plan(), models, Seen()))
    shape = run.model_dump()
    assert (shape["status"], shape["error"], shape["failure_reason"]) == (
        "error",
        "all panel models failed",
        "all_panels_failed",
    )
    assert [row["error"] for row in shape["failed_models"]] == ["x", "y"]
    assert run.cause
    assert run.cause.exit_status == 1


def test_judge_alone_costs_one_call() -> None:
    """Judging responses that exist asks the judge once and no panel."""
    models = ScriptedModels().script("judge", "j", says(JUDGE_REPLY))
    what = plan()
    saved = SavedResponses("q", dict(zip(what.panel, ["now", "later"], strict=True)), 0)
    with models:
        run = asyncio.run(pipeline.judge_responses(what, models, Seen(), saved.as_earlier(), 0))
    assert run.analysis
    assert len(run.calls) == 1


def test_judge_whose_key_is_refused_decides_the_status() -> None:
    """A refused key of the judge is status 4, not just a missing analysis; the responses are in the result."""
    models = ScriptedModels().script("panel", "a", says("now")).script("panel", "b", says("later"))
    with models.script("judge", "j", KeyRejectedError("who", status_code=401)):
        run = asyncio.run(pipeline.analyze(plan(), models, Seen()))
    assert run.failure_reason == "judge_upstream_error"
    assert run.cause
    assert run.cause.exit_status == 4
    assert len(run.responses or ()) == 2


def test_same_slug_twice_stays_apart() -> None:
    """Two panelists on one model have their own labels, and the slug beside them."""
    assert label_panel(["x", "y", "x"]) == ["x#1", "y", "x#2"]


def order_seen_by_judge(seed: int | None) -> tuple[list[str], int | None]:
    """Return the responses in the order in which the judge read them, and the seed on the record."""
    slugs = ["p", "q", "r", "s", "t"]
    models = ScriptedModels().script("judge", "j", says(JUDGE_REPLY))
    for slug in slugs:
        models.script("panel", slug, says(f"({slug})"))
    with models:
        run = asyncio.run(pipeline.analyze(plan(*slugs)._replace(seed=seed), models, Seen()))
    read = models.requests("judge")[0].messages[-1].content
    assert [response.model for response in run.responses or ()] == slugs
    return sorted(slugs, key=lambda slug: read.index(f"({slug})")), run.seed


def test_order_is_shuffled_by_the_seed() -> None:
    """A judge that favours a position favours no panelist: the order follows the seed, and can be had again."""
    orders = {tuple(order_seen_by_judge(seed)[0]) for seed in range(20)}
    assert len(orders) > 10
    drawn, seed = order_seen_by_judge(None)
    assert order_seen_by_judge(seed) == (drawn, seed)
