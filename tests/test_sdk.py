"""The official SDK as oracle: what we print and send is what upstream's own types hold, with nothing dropped."""

import asyncio
from typing import Any

import pytest
from openrouter.components import ChatRequest as UpstreamRequest
from openrouter.components import FusionAnalysisResult, OutputFusionServerToolItem

from fusion_cli import pipeline, prompts
from fusion_cli.api import wire
from fusion_cli.chat import (
    ChatRequest,
    Citation,
    Message,
    ModelName,
    Reasoning,
    ServerTool,
    ToolCall,
)
from fusion_cli.errors import ModelError, RateLimitError, ServerFailedError
from fusion_cli.results import AskRun
from tests.story.scripted import JUDGE_REPLY, ScriptedModels, Seen, plan, says

MODEL = ModelName("openrouter", "x/y")
QUESTION = (Message("system", "Be brief."), Message("user", "Why?"))
CALLED = (
    *QUESTION,
    Message("assistant", "", (ToolCall("call_1", "fusion", '{"prompt": "p"}'),)),
    Message("tool", '{"status": "ok"}', tool_call_id="call_1"),
)
TOOLS = (ServerTool("openrouter:web_search", {"max_results": 3}), ServerTool("openrouter:web_fetch"))

# Upstream documents them; the SDK's chat request does not know them yet.
NOT_IN_THE_SDK = {"reasoning.max_tokens", "max_tool_calls"}


def lost(sent: Any, kept: Any, path: str = "") -> list[str]:
    """Return the places of what was sent and is not kept."""
    if isinstance(sent, dict) and isinstance(kept, dict):
        return [
            place
            for key, value in sent.items()
            for place in (
                lost(value, kept[key], f"{path}.{key}".lstrip(".")) if key in kept else [f"{path}.{key}".lstrip(".")]
            )
        ]
    if isinstance(sent, list) and isinstance(kept, list) and len(sent) == len(kept):
        return [
            place
            for index, pair in enumerate(zip(sent, kept, strict=True))
            for place in lost(*pair, f"{path}[{index}]")
        ]
    return [] if sent == kept else [path]


def run_of(*lines: str | ModelError, judge: str = JUDGE_REPLY) -> AskRun:
    """Return the run of a panel that says this."""
    models = ScriptedModels().script("outer", "o", says("x"))
    slugs = [f"vendor/m{index}" for index in range(len(lines))]
    for slug, line in zip(slugs, lines, strict=True):
        models.script("panel", slug, says(line) if isinstance(line, str) else line)
    if any(isinstance(line, str) for line in lines):
        models.script("judge", "j", says(judge), *([] if judge == JUDGE_REPLY else [says(judge)]))
    with models:
        return asyncio.run(pipeline.ask(plan(*slugs), models, Seen()))


def as_item(result: dict[str, Any]) -> dict[str, Any]:
    """Return a tool result as upstream's Responses API wraps it."""
    status = {"ok": "completed", "error": "incomplete"}[result["status"]]
    return {**result, "type": "openrouter:fusion", "status": status}


def test_analysis_is_upstreams() -> None:
    """Our analysis validates as `FusionAnalysisResult` and dumps back unchanged."""
    result = run_of("now", "later").result
    assert result
    analysis = result.for_outer_model()["analysis"]
    assert FusionAnalysisResult.model_validate(analysis).model_dump() == analysis
    assert analysis["contradictions"][0]["stances"]


@pytest.mark.parametrize(
    ("lines", "judge"),
    [
        (("now", "later"), JUDGE_REPLY),
        (("now", "later", RateLimitError("slow down", status_code=429)), JUDGE_REPLY),
        (("now", ServerFailedError("no status")), "no json"),
        ((ServerFailedError("x", status_code=500), RateLimitError("y", status_code=429)), JUDGE_REPLY),
    ],
)
def test_result_is_upstreams(lines: tuple[str | ModelError, ...], judge: str) -> None:
    """Whole, degraded, without an analysis or failed: our result is an `OutputFusionServerToolItem`, unchanged."""
    result = run_of(*lines, judge=judge).result
    assert result
    item = as_item(result.for_outer_model())
    assert OutputFusionServerToolItem.model_validate(item).model_dump(mode="json") == item


def test_sources_are_upstreams() -> None:
    """The run's sources are the item's: url and title."""
    cited = says("now")._replace(citations=(Citation("https://a.example/x", "A"),))
    models = ScriptedModels().script("panel", "a", cited).script("panel", "b", cited)
    with models.script("judge", "j", says(JUDGE_REPLY)):
        shape = asyncio.run(pipeline.analyze(plan(), models, Seen())).model_dump()
    assert shape["sources"] == [{"url": "https://a.example/x", "title": "A"}]
    item = {"type": "openrouter:fusion", "status": "completed", "sources": shape["sources"]}
    assert OutputFusionServerToolItem.model_validate(item).model_dump(mode="json") == item


@pytest.mark.parametrize(
    "request_",
    [
        ChatRequest(MODEL, QUESTION, 100, 0.5, Reasoning("low"), 7, server_tools=TOOLS, max_tool_calls=4),
        ChatRequest(MODEL, QUESTION, reasoning=Reasoning(max_tokens=50)),
        ChatRequest(MODEL, QUESTION, output_format=prompts.analysis_schema(["A", "B"], small_model=False)),
        ChatRequest(MODEL, QUESTION, output_format=prompts.analysis_schema(["A"], small_model=True, quotes=True)),
        ChatRequest(MODEL, QUESTION, 100, 0.0, output_format="json_object", server_tools=TOOLS, max_tool_calls=16),
        ChatRequest(MODEL, QUESTION, tools=(prompts.FUSION_TOOL,), tool_choice="auto"),
        ChatRequest(
            MODEL, CALLED, tools=(prompts.FUSION_TOOL,), tool_choice="none", extra={"top_p": 0.5, "stop": ["x"]}
        ),
    ],
    ids=["panel", "thinking", "judge", "quotes", "any JSON", "consult", "answer"],
)
def test_body_is_upstreams(request_: ChatRequest) -> None:
    """Every kind of body that we send validates as a `ChatRequest`, and nothing in it is unknown there."""
    body = wire.request_body(request_)
    kept = UpstreamRequest.model_validate(body).model_dump(mode="json", by_alias=True)
    assert set(lost(body, kept)) <= NOT_IN_THE_SDK


def test_the_oracle_sees_what_is_lost() -> None:
    """An unknown key is found, wherever it stands: the SDK itself drops it without a word."""
    body = {**wire.request_body(ChatRequest(MODEL, QUESTION)), "max_tokenz": 5}
    body["messages"][0]["colour"] = "red"
    kept = UpstreamRequest.model_validate(body).model_dump(mode="json", by_alias=True)
    assert set(lost(body, kept)) == {"max_tokenz", "messages[0].colour"}
