"""The public result of a run, made of its record: what `--json` prints.

Reads the record and changes nothing; knows no stream and no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fusion_cli import __version__
from fusion_cli.errors import CostLimitError, FusionError, InterruptError

if TYPE_CHECKING:  # pydantic (100 ms) is imported while the first responses are awaited
    from collections.abc import Sequence

    from fusion_cli.chat import Citation
    from fusion_cli.events import CallCompleted
    from fusion_cli.record import Record
    from fusion_cli.results import AnalysisRun, AskRun, Call, Source, ToolResult


def tool_result(record: Record) -> ToolResult:
    """Return the fusion tool's result as it stands now (specification, section 3)."""
    from fusion_cli.results import ToolResult

    return ToolResult(**_tool_result(record))


def _tool_result(record: Record) -> dict[str, Any]:
    from fusion_cli.results import FailedModel, Response

    seats = record.plan.panel
    responses = [
        Response(
            model=seat.model.slug,
            label=seat.label,
            content=record.responses[seat],
            truncated=seat.label in record.truncated or None,
            sources=_sources(record.cited.get(seat.label, ())) or None,
        )
        for seat in seats
        if seat in record.responses
    ]
    failed = [
        FailedModel(
            model=seat.model.slug,
            label=seat.label,
            error=str(error),
            status_code=error.status_code,
            partial=bool(error.partial) or None,
            content=error.partial or None,
        )
        for seat in seats
        if (error := record.failures.get(seat))
    ]
    shape: dict[str, Any] = {
        "status": "ok",
        "analysis": record.analysis,
        "responses": responses or None,
        "failed_models": failed or None,
    }
    is_cancelled = record.failure_reason == "cancelled"
    if responses and not is_cancelled:
        return shape
    why = "cancelled" if is_cancelled else "all panel models failed"
    return {**shape, "status": "error", "error": why, "failure_reason": record.failure_reason}


def ask_run(record: Record, answer: str | None) -> AskRun:
    """Return the finished run of `ask`."""
    from fusion_cli.results import AskRun

    cause = record.cause if answer is None else None
    return AskRun(
        status="ok" if answer is not None else "error",
        answer=answer,
        fused=bool(record.responses),
        model=record.plan.outer.slug,
        result=None if record.prompt is None else tool_result(record),
        prompt=record.prompt,
        failure_reason=record.failure_reason,
        error=str(cause) if cause else None,
        **_common(record),
    ).because(cause)


def analysis_run(record: Record) -> AnalysisRun:
    """Return the finished run of `analyze` or `judge`."""
    from fusion_cli.results import AnalysisRun

    shape = {**_tool_result(record), "failure_reason": record.failure_reason}
    if record.cause:
        shape["error"] = str(record.cause)
    plan = record.plan
    return AnalysisRun(**shape, judge=plan.judge.slug, prompt=plan.prompt.text(), **_common(record)).because(
        record.cause
    )


def _common(record: Record) -> dict[str, Any]:
    from fusion_cli.chat import Usage
    from fusion_cli.results import RunUsage

    notes = record.calls.notes
    billed = [(call.role, call.usage or Usage()) for call in notes if not call.refused]
    return {
        "run": None,
        "parent": (record.earlier.run or record.earlier.file or None) if record.earlier else None,
        "degraded": record.is_degraded or bool(record.failures),
        "sources": _sources(record.sources()),
        "supported": record.supported,
        "quotes": record.quotes,
        "second_look": record.second_look,
        "usage": RunUsage.over_calls(billed),
        "calls": [_public(call) for call in notes],
        "warnings": record.warnings,
        "seed": record.seed,
        "version": __version__,
    }


def ask_run_without_calls(cause: FusionError) -> AskRun:
    """Return the run of an `ask` that ended before anything was sent."""
    from fusion_cli.results import AskRun

    return AskRun(
        status="error",
        answer=None,
        fused=False,
        model=None,
        result=None,
        prompt=None,
        failure_reason=_reason_before_calls(cause),
        error=str(cause),
        **_nothing_sent(),
    ).because(cause)


def analysis_run_without_calls(cause: FusionError) -> AnalysisRun:
    """Return the run of an `analyze` or `judge` that ended before anything was sent."""
    from fusion_cli.results import AnalysisRun

    reason = _reason_before_calls(cause)
    return AnalysisRun(
        status="error", error=str(cause), failure_reason=reason, judge=None, prompt=None, **_nothing_sent()
    ).because(cause)


def run_without_calls(command: str, cause: FusionError, parent: str | None) -> AskRun | AnalysisRun:
    """Return the run of a command that had begun, and ended before anything was sent; `parent` is what it takes up."""
    ended = ask_run_without_calls if command == "ask" else analysis_run_without_calls
    return ended(cause).model_copy(update={"parent": parent})


def _reason_before_calls(cause: FusionError) -> str | None:
    if isinstance(cause, CostLimitError):
        return "cost_limit"
    return "cancelled" if isinstance(cause, InterruptError) else None


def _nothing_sent() -> dict[str, Any]:
    from fusion_cli.results import RunUsage

    return {
        "run": None,
        "parent": None,
        "degraded": False,
        "sources": [],
        "supported": None,
        "quotes": None,
        "second_look": None,
        "usage": RunUsage.over_calls(()),
        "calls": [],
        "warnings": [],
        "seed": None,
        "version": __version__,
    }


def _sources(pages: Sequence[Citation]) -> list[Source]:
    from fusion_cli.results import Source

    return [Source(**page._asdict()) for page in pages]


def _public(call: CallCompleted) -> Call:
    from fusion_cli.results import Call, CallUsage, ToolUse

    fields = {key: value for key, value in call._asdict().items() if key in Call.model_fields}
    return Call(
        **{
            **fields,
            "tools": list(call.tools),
            "usage": CallUsage(**call.usage._asdict()) if call.usage else None,
            "tool_calls": [ToolUse(tool=step.tool, input=step.input, error=step.error or None) for step in call.steps],
            "sources": _sources(call.citations),
        }
    )
