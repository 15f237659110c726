"""What one run has so far: calls, responses, failures, warnings, and the public result made of them.

Kept apart from the story, so that whatever ends a run early, everything answered by then is in its result.
"""

from __future__ import annotations

import asyncio
import os
import string
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from fusion_cli import __version__, events
from fusion_cli.budget import Purse
from fusion_cli.calls import CallNote, Role, public_call, public_sources, settled, usage_of
from fusion_cli.errors import (
    CostLimitError,
    EmptyCompletionError,
    FusionError,
    InterruptError,
    KeyRejectedError,
    ModelError,
    NoCreditsError,
    RateLimitError,
)
from fusion_cli.prompts import new_fence

if TYPE_CHECKING:  # pydantic (100 ms) is imported while the first responses are awaited
    from collections.abc import Callable

    from fusion_cli.budget import Held
    from fusion_cli.chat import ChatRequest, Citation, Completion, Delta, ModelClient, ModelName, ToolStep
    from fusion_cli.events import Emit
    from fusion_cli.plan import Panelist, Plan
    from fusion_cli.results import Analysis, AnalysisRun, AskRun, Quote, SecondLook, Supported, ToolResult


class Record:
    """A run in progress: the steps of the story write here, the result is read from here."""

    def __init__(self, plan: Plan, models: ModelClient, emit: Emit) -> None:
        self.plan = plan
        self.emit = emit
        self.responses: dict[Panelist, str] = {}
        self.failures: dict[Panelist, ModelError] = {}
        self._readable: dict[Panelist, str] | None = None
        self.analysis: Analysis | None = None
        self.quotes: list[Quote] | None = None
        self.second_look: SecondLook | None = None
        self.prompt: str | None = None
        self.fence = new_fence()
        self.seed = int.from_bytes(os.urandom(4)) if plan.seed is None else plan.seed
        self.cause: FusionError | None = None
        self.models = models
        self.purse = Purse(plan, models)
        self.cited: dict[str, tuple[Citation, ...]] = {}
        self._failure_reason: str | None = None
        self._calls: list[CallNote] = []
        self._warnings: list[str] = []
        self._degraded = False
        for warning in plan.warnings:
            self.warn(warning)

    async def call(
        self,
        role: Role,
        request: ChatRequest,
        on_delta: Callable[[Delta], None],
        *,
        label: str | None = None,
        text_needed: bool = True,
        calls_suffice: bool = False,
    ) -> tuple[Completion, float]:
        """Put one request to its model and note what came of it; return it with its duration in seconds.

        Raises:
            ModelError: The call failed, or brought no text where text is needed.
            CostLimitError: It is the outer model's, and cannot be paid for.
        """
        held = self._admitted(role, request, label or request.model.slug)
        request = held.request
        started = time.monotonic()
        steps: list[ToolStep] = []

        def watch(delta: Delta) -> None:
            if delta.step and delta.step.status != "started":
                steps.append(delta.step)
            on_delta(delta)

        def note(completion: Completion | None, error: ModelError | None, problem: str | None) -> float:
            took = round(time.monotonic() - started, 3)
            attempts = completion.attempts if completion else error.attempts if error else 1
            usage = completion.usage if completion else error.usage if error else None
            refused = bool(error and error.status_code and not error.partial and error.usage is None)
            self.purse.note(held, usage, text=error.partial if error else "", is_free=refused)
            self._calls.append(
                CallNote(
                    role,
                    request.model,
                    request.model.slug,
                    completion.model if completion else None,
                    label or request.model.slug,
                    attempts,
                    took,
                    completion.finish_reason if completion else None,
                    usage,
                    tuple(tool.type.rpartition(":")[2] for tool in request.server_tools),
                    tuple(steps),
                    completion.citations if completion else (),
                    problem,
                    refused,
                )
            )
            return took

        try:
            completion = await self.models.complete(request, watch)
        except ModelError as error:
            error.provider, error.model = request.model
            error.duration_s = note(None, error, str(error))
            raise
        except asyncio.CancelledError:
            note(None, None, "cancelled")
            raise
        except Exception as bug:  # costs this call, and not what the others have answered
            failure = ModelError(f"internal error: {type(bug).__name__}: {bug}")
            failure.provider, failure.model = request.model
            failure.duration_s = note(None, failure, str(failure))
            raise failure from bug
        text_needed = text_needed and not (calls_suffice and completion.tool_calls)
        if text_needed and not completion.text.strip():
            empty = EmptyCompletionError(_why_empty(completion))
            empty.provider, empty.model = request.model
            empty.duration_s = note(completion, None, str(empty))
            raise empty
        return completion, note(completion, None, None)

    def _admitted(self, role: Role, request: ChatRequest, label: str) -> Held:
        """Return what may be sent under the limit of cost; a panelist or judge that is not paid for has failed."""
        try:
            held = self.purse.admit(request, label)
        except CostLimitError as error:
            if role == "outer":
                raise
            failure = ModelError(str(error))
            failure.provider, failure.model = request.model
            raise failure from error
        if held.less:
            self.warn(f"{label} gets {held.less}, as the run may cost no more")
        return held

    @property
    def said(self) -> dict[str, str]:
        """The responses by label."""
        return {panelist.label: text for panelist, text in self.responses.items()}

    async def settle(self) -> None:
        """Fill in what calls cost that were told without, where their models' prices are known; never fails."""
        if self._cancelled:
            return
        with suppress(Exception, asyncio.CancelledError):  # a run that is whole is not lost for its price
            self._calls = await settled(self._calls, self.models)

    def letters(self, *, reverse: bool = False) -> dict[str, Panelist]:
        """Return the panelists who have answered, by the letters that hide their names.

        The order is shuffled, as judges favour positions; the same seed gives the same order again.
        """
        import random  # 4 ms that the first request does not wait for

        answered = [panelist for panelist in self.plan.panel if panelist in self.responses]
        random.Random(self.seed).shuffle(answered)  # noqa: S311  # fairness, not a secret
        return dict(zip(string.ascii_uppercase, reversed(answered) if reverse else answered, strict=False))

    def lettered_responses(self, *, reverse: bool = False) -> dict[str, str]:
        """Return the responses by letter, as another model reads them: without analyses that they hold ready-made."""
        from fusion_cli.foreign import without_analyses

        if self._readable is None or self._readable.keys() != self.responses.keys():
            self._readable = without_analyses(self.responses)
            for panelist, text in self._readable.items():
                if text != self.responses[panelist]:
                    self.warn(f"the judge is not shown the ready-made analysis in the response of {panelist.label}")
        return {letter: self._readable[panelist] for letter, panelist in self.letters(reverse=reverse).items()}

    def sources(self) -> list[Citation]:
        """Return the pages that were cited, each once: the panel's in the order of its seats, then the others'."""
        others = [call.citations for call in self._calls if call.role != "panel" and call.error is None]
        cited = [self.cited.get(panelist.label, ()) for panelist in self.plan.panel]
        found: dict[str, Citation] = {}
        for page in (page for pages in (*cited, *others) for page in pages):
            found.setdefault(page.url, page)
        return list(found.values())

    def lettered_sources(self, *, reverse: bool = False) -> dict[str, list[tuple[int, Citation]]]:
        """Return which pages each response cites, by letter, with their numbers among all sources."""
        numbers = {page.url: number for number, page in enumerate(self.sources(), 1)}
        return {
            letter: [(numbers[page.url], page) for page in pages]
            for letter, panelist in self.letters(reverse=reverse).items()
            if (pages := self.cited.get(panelist.label))
        }

    @property
    def supported(self) -> Supported | None:
        """How many attributions hold; None when no quotes were asked for."""
        from fusion_cli.results import Supported

        return None if self.quotes is None else Supported.over(self.quotes)

    def warn(self, text: str, *, shown: bool = False) -> None:
        """Tell the user something that does not make the result worse; `shown` when another event tells it too."""
        self._warnings.append(text)
        if not shown:
            self.emit(events.Warned(text))

    def degrade(self, text: str) -> None:
        """Tell the user what makes the result worse than it was meant to be."""
        self._degraded = True
        self.warn(text)

    def fail(self, error: FusionError, failure_reason: str | None = None) -> None:
        """Note why there is no result, or no panel; the first reason stands, but for a cancellation."""
        self.cause = error
        if failure_reason == "cancelled":
            self._failure_reason = failure_reason
        self._failure_reason = self._failure_reason or failure_reason or _reason(error)

    def analysis_failed(self, failure_reason: str, error: str) -> None:
        """Note why there is no analysis."""
        self._failure_reason = failure_reason
        self.emit(events.AnalysisFailed(failure_reason, error))
        self.degrade(f"no analysis: {error}")

    def shares_account(self, error: FusionError, model: ModelName) -> bool:
        """Whether what failed (no credits, key refused) would fail a call to `model` too."""
        return isinstance(error, NoCreditsError | KeyRejectedError) and error.provider == model.provider

    def tool_result(self) -> ToolResult:
        """Return the fusion tool's result as it stands now (specification, section 3)."""
        from fusion_cli.results import ToolResult

        return ToolResult(**self._tool_result())

    def _tool_result(self) -> dict[str, Any]:
        from fusion_cli.results import FailedModel, Response

        seats = self.plan.panel
        responses = [
            Response(
                model=seat.model.slug,
                label=seat.label,
                content=self.responses[seat],
                sources=public_sources(self.cited.get(seat.label, ())) or None,
            )
            for seat in seats
            if seat in self.responses
        ]
        failed = [
            FailedModel(model=seat.model.slug, label=seat.label, error=str(error), status_code=error.status_code)
            for seat in seats
            if (error := self.failures.get(seat))
        ]
        shape: dict[str, Any] = {
            "status": "ok",
            "analysis": self.analysis,
            "responses": responses or None,
            "failed_models": failed or None,
        }
        if responses and not self._cancelled:
            return shape
        why = "cancelled" if self._cancelled else "all panel models failed"
        return {**shape, "status": "error", "error": why, "failure_reason": self._failure_reason}

    def ask_run(self, answer: str | None) -> AskRun:
        """Return the finished run of `ask`."""
        from fusion_cli.results import AskRun

        convened = any(call.role == "panel" for call in self._calls)
        cause = self.cause if answer is None else None
        return AskRun(
            status="ok" if answer is not None else "error",
            answer=answer,
            fused=bool(self.responses),
            model=self.plan.outer.slug,
            result=self.tool_result() if convened else None,
            prompt=self.prompt,
            failure_reason=self._failure_reason,
            error=str(cause) if cause else None,
            **self._common(),
        ).because(cause)

    def analysis_run(self) -> AnalysisRun:
        """Return the finished run of `analyze` or `judge`."""
        from fusion_cli.results import AnalysisRun

        shape = {**self._tool_result(), "failure_reason": self._failure_reason}
        if self.cause:
            shape["error"] = str(self.cause)
        return AnalysisRun(
            **shape, judge=self.plan.judge.slug, prompt=self.plan.prompt.text(), **self._common()
        ).because(self.cause)

    @property
    def _cancelled(self) -> bool:
        return self._failure_reason == "cancelled"

    def _common(self) -> dict[str, Any]:
        return {
            "degraded": self._degraded or bool(self.failures),
            "sources": public_sources(self.sources()),
            "supported": self.supported,
            "quotes": self.quotes,
            "second_look": self.second_look,
            "usage": usage_of(self._calls),
            "calls": [public_call(call) for call in self._calls],
            "warnings": self._warnings,
            "seed": self.seed,
            "version": __version__,
        }


def _why_empty(completion: Completion) -> str:
    if completion.refusal:
        return f"the model refused: {' '.join(completion.refusal.split())[:200]}"
    usual = completion.finish_reason in (None, "stop")
    return "Stream completed without producing any text" + ("" if usual else f" ({completion.finish_reason})")


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
    )


def analysis_run_without_calls(cause: FusionError) -> AnalysisRun:
    """Return the run of an `analyze` or `judge` that ended before anything was sent."""
    from fusion_cli.results import AnalysisRun

    reason = _reason_before_calls(cause)
    return AnalysisRun(
        status="error", error=str(cause), failure_reason=reason, judge=None, prompt=None, **_nothing_sent()
    )


def _reason_before_calls(cause: FusionError) -> str | None:
    if isinstance(cause, CostLimitError):
        return "cost_limit"
    return "cancelled" if isinstance(cause, InterruptError) else None


def _nothing_sent() -> dict[str, Any]:
    return {
        "degraded": False,
        "sources": [],
        "supported": None,
        "quotes": None,
        "second_look": None,
        "usage": usage_of(()),
        "calls": [],
        "warnings": [],
        "seed": None,
        "version": __version__,
    }


def _reason(error: FusionError) -> str:
    if isinstance(error, CostLimitError):
        return "cost_limit"
    if isinstance(error, NoCreditsError):
        return "insufficient_credits"
    if isinstance(error, RateLimitError):
        return "rate_limited"
    if isinstance(error, ModelError) and error.status_code == 404:
        return "invalid_model"
    return "unexpected_error"
