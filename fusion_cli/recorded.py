"""The result of a recorded run: as `--json` printed it, or made of its pieces where the run did not end.

Reads what `run_files` has read; opens nothing.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from fusion_cli import __version__
from fusion_cli.chat import Usage
from fusion_cli.results import (
    AnalysisRun,
    AskRun,
    FailedModel,
    Response,
    RunUsage,
    Source,
    Supported,
    ToolResult,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fusion_cli.run_files import SavedRun

UNFINISHED = "unfinished"


def result_of(saved: SavedRun) -> AskRun | AnalysisRun:
    """Return a run's result; one that cannot be read is made of its pieces, too."""
    return _printed(saved) or _made(saved)


def object_of(saved: SavedRun) -> dict[str, Any]:
    """Return what `--json` printed, or would have."""
    return saved.result if saved.result and _printed(saved) else _made(saved).model_dump()


def _printed(saved: SavedRun) -> AskRun | AnalysisRun | None:
    if saved.result is None:
        return None
    shape = AskRun if saved.summary.command == "ask" else AnalysisRun
    with suppress(ValueError):  # pydantic's are ValueErrors; a number may be none
        json.dumps(saved.result, allow_nan=False)
        return shape.model_validate(saved.result)
    return None


def _made(saved: SavedRun) -> AskRun | AnalysisRun:
    return _ask_run(saved) if saved.summary.command == "ask" else _analysis_run(saved)


def _ask_run(saved: SavedRun) -> AskRun:
    is_answered = saved.answer is not None
    return AskRun(
        status="ok" if is_answered else "error",
        answer=saved.answer,
        fused=bool(saved.responses),
        model=saved.plan.outer.slug,
        result=ToolResult(**_tool_result(saved)) if saved.prompt is not None else None,
        prompt=saved.prompt,
        failure_reason=None if is_answered else _reason(saved),
        error=None if is_answered else _why(saved),
        **_common(saved),
    )


def _analysis_run(saved: SavedRun) -> AnalysisRun:
    return AnalysisRun(
        **_tool_result(saved), judge=saved.plan.judge.slug, prompt=saved.plan.prompt.text(), **_common(saved)
    )


def _tool_result(saved: SavedRun) -> dict[str, Any]:
    """Return what the panel and the judge brought; it is no error only where the judge was done."""
    responses, failed = [], []
    for seat in saved.plan.panel:
        if said := saved.responses.get(seat.label):
            responses.append(
                Response(
                    model=said.model,
                    label=said.label,
                    content=said.content,
                    truncated=said.truncated or None,
                    sources=[Source(**page._asdict()) for page in said.citations] or None,
                )
            )
            continue
        failure = saved.failures.get(seat.label)
        partial = failure.partial if failure else saved.partial.get(seat.label)
        failed.append(
            FailedModel(
                model=seat.model.slug,
                label=seat.label,
                error=failure.error if failure else UNFINISHED,
                status_code=failure.status_code if failure else None,
                partial=bool(partial) or None,
                content=partial or None,
            )
        )
    shape = {
        "analysis": saved.analysis.analysis if saved.analysis else None,
        "responses": responses or None,
        "failed_models": failed or None,
    }
    if saved.analysis and responses:
        return {**shape, "status": "ok"}
    return {**shape, "status": "error", "error": _why(saved), "failure_reason": _reason(saved)}


def _why(saved: SavedRun) -> str:
    return "the run is under way" if _is_running(saved) else "the run did not end"


def _reason(saved: SavedRun) -> str | None:
    return None if _is_running(saved) else "cancelled"


def _is_running(saved: SavedRun) -> bool:
    return saved.summary.status == "running"


def _calls(saved: SavedRun) -> Iterator[tuple[str, Usage]]:
    """Yield who may have been called, and what that took: only of responses it is known."""
    if saved.prompt is not None:
        for seat in saved.plan.panel:
            said = saved.responses.get(seat.label)
            if said is None or said.from_run is None:
                yield "panel", said.usage if said else Usage()
        yield "judge", Usage()
    if saved.summary.command == "ask":
        yield "outer", Usage()


def _common(saved: SavedRun) -> dict[str, Any]:
    """Return what is known beside the result; calls are not."""
    found = saved.analysis
    seats = (saved.responses.get(seat.label) for seat in saved.plan.panel)
    pages = {page.url: page for said in seats if said for page in said.citations}
    return {
        "run": saved.summary.run,
        "parent": saved.summary.parent,
        "degraded": True,
        "sources": [Source(**page._asdict()) for page in pages.values()],
        "supported": Supported.over(found.quotes) if found and found.quotes is not None else None,
        "quotes": list(found.quotes) if found and found.quotes is not None else None,
        "second_look": found.second_look if found else None,
        "usage": RunUsage.over_calls(_calls(saved)),
        "calls": [],
        "warnings": [*saved.warnings, f"{_why(saved)}: what it took is not known"],
        "seed": saved.plan.seed,
        "version": __version__,
    }
