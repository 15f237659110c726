"""What one run has so far: responses, failures, analysis, warnings, and the calls that brought them.

Kept apart from the story, so that whatever ends a run early, everything answered by then is in its result.
"""

from __future__ import annotations

import asyncio
import os
import string
from typing import TYPE_CHECKING, NamedTuple

from fusion_cli import events
from fusion_cli.calls import Calls, Role
from fusion_cli.errors import (
    DROPPED,
    CostLimitError,
    FusionError,
    KeyRejectedError,
    ModelError,
    NoCreditsError,
    OutOfTimeError,
    RateLimitError,
)
from fusion_cli.prompts import new_fence

if TYPE_CHECKING:  # pydantic (100 ms) is imported while the first responses are awaited
    from collections.abc import Callable

    from fusion_cli.chat import ChatRequest, Citation, Completion, Delta, Message, ModelClient, ModelName, ToolCall
    from fusion_cli.costs import Phase
    from fusion_cli.earlier import Earlier
    from fusion_cli.events import Emit
    from fusion_cli.plan import Panelist, Plan
    from fusion_cli.results import Analysis, Quote, SecondLook, Supported

_SHORT_S = 9.95  # below that, tenths of a second are told


class Turn(NamedTuple):
    """The outer model's first turn: an answer, or the call that convenes the panel.

    Attributes:
        prompt: What the panel is asked, material and all.
        told: The question in it, as the call has it.
    """

    messages: tuple[Message, ...]
    text: str = ""
    call: ToolCall | None = None
    prompt: str = ""
    told: str = ""


class Record:
    """A run in progress: the steps of the story write here, the result is read from here.

    Args:
        plan: What to do.
        models: Whom to ask.
        emit: Told of what happens.
        earlier: What is taken up from another run.

    Attributes:
        responses: What each panelist said.
        truncated: The labels of those whose token limit cut them off.
        failures: Why the others said nothing, or nothing whole.
        prompt: What the panel was asked; None when it was not convened.
        cited: The pages that each response cites, by label.
        cause: Why there is no result.
    """

    def __init__(self, plan: Plan, models: ModelClient, emit: Emit, earlier: Earlier | None = None) -> None:
        self.plan = plan
        self.emit = emit
        self.earlier = earlier
        self.models = models
        self.responses: dict[Panelist, str] = {}
        self.truncated: set[str] = set()
        self.failures: dict[Panelist, ModelError] = {}
        self._readable: dict[Panelist, str] | None = None
        self.analysis: Analysis | None = None
        self.quotes: list[Quote] | None = None
        self.second_look: SecondLook | None = None
        self.prompt: str | None = None
        self.fence = new_fence()
        self.seed = int.from_bytes(os.urandom(4)) if plan.seed is None else plan.seed
        self.cause: FusionError | None = None
        self.cited: dict[str, tuple[Citation, ...]] = {}
        self.failure_reason: str | None = None
        self.warnings: list[str] = []
        self.is_degraded = False
        self.calls = Calls(plan, models, emit, self.warn)
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        limit = plan.limits.deadline_s
        self._deadline = None if limit is None else self._started - plan.waited_s + limit
        for role in self.calls.phases:
            self.leave_time(role, 1.0)

    async def open(self, *, answers: bool) -> None:
        """Begin, unless the run would cost too much: of one that is refused nothing is told that could be kept.

        Raises:
            UnreachableError: A price could not be asked for.
            UsageError: A price is unknown.
            CostLimitError: What has to be there at the least is over the limit.
            OutOfTimeError: The deadline has passed before the prices were there.
        """
        try:
            async with self.calls.phases["outer"].bounded():  # which has until the deadline, whoever is asked first
                await self.calls.purse.open(answers=answers, earlier=self.earlier)
        except OutOfTimeError as error:
            error.hint = "The prices that --max-cost needs had not come by then: no model was asked."
            raise
        for warning in self.plan.warnings:
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
        """Put one request to its model (see `Calls.make`).

        Raises:
            ModelError: The call failed, ran out of time, or brought no text where text is needed.
        """
        return await self.calls.make(
            role,
            request,
            on_delta,
            label=label or request.model.slug,
            text_needed=text_needed,
            calls_suffice=calls_suffice,
        )

    @property
    def elapsed_s(self) -> float:
        """How long the run has taken."""
        return self._loop.time() - self._started

    async def settle(self) -> None:
        """Fill in what calls cost, where only their models' price lists tell; a run that is over does not wait."""
        if self.failure_reason != "cancelled":
            async with asyncio.timeout_at(self._deadline):
                await self.calls.settle()

    def leave_time(self, role: Role, share: float) -> None:
        """Let a role have at most this share of what is left until the deadline."""
        if self._deadline is not None:
            now = self._loop.time()
            self.calls.phases[role].end_at(now + (self._deadline - now) * share, lambda: self._why_out_of_time(role))

    def close_panel_in(self, grace_s: float) -> None:
        """Give the panelists that have not answered so many more seconds."""
        self.calls.phases["panel"].end_at(
            self._loop.time() + grace_s,
            lambda: f"{self._dropped_now}: {len(self.responses)} of {len(self.plan.panel)} had answered",
        )

    @property
    def _dropped_now(self) -> str:
        return f"{DROPPED}{self.elapsed_s:.{1 if self.elapsed_s < _SHORT_S else 0}f} s"

    def _why_out_of_time(self, role: Role) -> str:
        limit = f"the deadline of {self.plan.limits.deadline_s:g} s"
        if role == "panel":
            return f"{self._dropped_now}: {limit} leaves no more to the panel"
        return f"{limit} leaves no more to the judge" if role == "judge" else f"{limit} has passed"

    def begin(self, phase: Phase) -> None:
        """Let a part of the run begin.

        Raises:
            CostLimitError: What may still be spent does not pay for it.
        """
        known = self.earlier.texts() if self.earlier else {}
        self.calls.purse.start(phase, known | {seat.label: text for seat, text in self.said().items()})

    @property
    def silent(self) -> int:
        """How many panelists said nothing at all."""
        return len(self.failures) - (len(self.said()) - len(self.responses))

    def panelist_answered(self, panelist: Panelist, completion: Completion, took: float) -> None:
        """Note a response."""
        truncated = completion.truncated
        if truncated:
            self.warn(f"the response of {panelist.label} was cut off by its token limit", shown=True)
        slug, text = panelist.model.slug, completion.text
        self._note_response(
            panelist,
            events.PanelCompleted(panelist.label, slug, text, took, completion.usage, truncated, completion.citations),
        )

    def _note_response(self, panelist: Panelist, event: events.PanelCompleted) -> None:
        self.responses[panelist] = event.content
        self.cited[panelist.label] = event.citations
        if event.truncated:
            self.truncated.add(panelist.label)
        self.emit(event)

    def panelist_failed(self, panelist: Panelist, error: ModelError, from_run: str | None = None) -> None:
        """Note why a panelist gave no response."""
        self.failures[panelist] = error
        label, slug = panelist.label, panelist.model.slug
        self.emit(
            events.PanelFailed(label, slug, str(error), error.status_code, error.partial, error.duration_s, from_run)
        )

    def take_up(self, panelist: Panelist) -> bool:
        """Note what a panelist said in an earlier run; tell whether it need not be asked."""
        if self.earlier is None:
            return False
        if said := self.earlier.responses.get(panelist.label):
            self._note_response(panelist, said._replace(from_run=self.earlier.run))
            return True
        if failed := self.earlier.failures.get(panelist.label):
            error = ModelError(failed.error, status_code=failed.status_code, partial=failed.partial)
            self.panelist_failed(panelist, error, self.earlier.run)
            return True
        return False

    def take_up_analysis(self) -> bool:
        """Note the analysis of an earlier run, where it is one of these responses; tell whether the judge is done."""
        earlier = self.earlier
        if earlier is None:
            return False
        found = earlier.analysis
        if found and {seat.label for seat in self.responses} == set(earlier.responses):
            self.analysis, self.second_look = found.analysis, found.second_look
            self.quotes = None if found.quotes is None else list(found.quotes)
            self.emit(found._replace(from_run=earlier.run))
            return True
        if earlier.is_judged:
            self.degrade("no analysis: the run that is taken up has none")
        return earlier.is_judged

    def take_up_answer(self) -> str | None:
        """Return the answer of an earlier run, where nothing that it was written from is new."""
        earlier = self.earlier
        if earlier is None or earlier.answer is None:
            return None
        found = earlier.analysis and earlier.analysis.analysis
        if {seat.label for seat in self.responses} != set(earlier.responses) or self.analysis != found:
            return None
        self.emit(events.AnswerDelta(earlier.answer))
        self.emit(events.AnswerCompleted(earlier.answer))
        return earlier.answer

    def answered(self, completion: Completion) -> str:
        """Return the final answer, after telling of it and of what it lacks."""
        if completion.truncated:
            self.degrade("the answer was cut off by its token limit")
        self.emit(events.AnswerCompleted(completion.text))
        return completion.text

    def said(self) -> dict[Panelist, str]:
        """Return what each panelist said, if only the beginning of it, in the order of the seats."""
        texts = {seat: error.partial for seat, error in self.failures.items() if error.partial.strip()}
        texts |= self.responses
        return {seat: texts[seat] for seat in self.plan.panel if seat in texts}

    def letters(self, *, reverse: bool = False) -> dict[str, Panelist]:
        """Return the panelists who have said something, by the letters that hide their names.

        The order is shuffled, as judges favour positions; the same seed gives the same order again.
        """
        import random  # 4 ms that the first request does not wait for

        answered = list(self.said())
        random.Random(self.seed).shuffle(answered)  # noqa: S311  # fairness, not a secret
        return dict(zip(string.ascii_uppercase, reversed(answered) if reverse else answered, strict=False))

    def lettered_responses(self, *, reverse: bool = False) -> dict[str, str]:
        """Return the responses by letter, as another model reads them: without analyses that they hold ready-made."""
        from fusion_cli.foreign import without_analyses

        said = self.said()
        if self._readable is None or self._readable.keys() != said.keys():
            self._readable = without_analyses(said)
            for panelist, text in self._readable.items():
                if text != said[panelist]:
                    self.warn(f"the judge is not shown the ready-made analysis in the response of {panelist.label}")
        return {letter: self._readable[panelist] for letter, panelist in self.letters(reverse=reverse).items()}

    def letters_of_cut(self, *, reverse: bool = False) -> frozenset[str]:
        """Return the letters of the responses that ended before their authors did."""
        return frozenset(
            letter
            for letter, seat in self.letters(reverse=reverse).items()
            if seat not in self.responses or seat.label in self.truncated
        )

    def sources(self) -> list[Citation]:
        """Return the pages that were cited, each once: the panel's in the order of its seats, then the others'."""
        others = [call.citations for call in self.calls.notes if call.role != "panel" and call.error is None]
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
        self.warnings.append(text)
        if not shown:
            self.emit(events.Warned(text))

    def forgo_panel(self, why: str) -> None:
        """Note that no panel is offered to the outer model, as none could be paid for."""
        self.failure_reason = "cost_limit"
        self.warn(f"{self.plan.outer.slug} answers alone: {why}")

    def degrade(self, text: str) -> None:
        """Tell the user what makes the result worse than it was meant to be."""
        self.is_degraded = True
        self.warn(text)

    def fail(self, error: FusionError, failure_reason: str | None = None) -> None:
        """Note why there is no result, or no panel; the first reason stands, but for a cancellation."""
        self.cause = error
        if failure_reason == "cancelled":
            self.failure_reason = failure_reason
        self.failure_reason = self.failure_reason or failure_reason or _reason(error)

    def analysis_failed(self, failure_reason: str, error: str) -> None:
        """Note why there is no analysis."""
        self.failure_reason = failure_reason
        self.emit(events.AnalysisFailed(failure_reason, error))
        self.degrade(f"no analysis: {error}")

    def shares_account(self, error: FusionError, model: ModelName) -> bool:
        """Whether what failed (no credits, key refused) would fail a call to `model` too."""
        return isinstance(error, NoCreditsError | KeyRejectedError) and error.provider == model.provider


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
