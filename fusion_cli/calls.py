"""One run's calls to models: each within its phase's time and the run's money, and with a note of what came of it.

Knows no prompt and no policy: what a failed call means is the story's business.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from io import StringIO
from typing import TYPE_CHECKING, Literal

from fusion_cli import events
from fusion_cli.counts import count
from fusion_cli.errors import CostLimitError, EmptyCompletionError, ModelError, OutOfTimeError
from fusion_cli.phases import Phase
from fusion_cli.spending import Unlimited

if TYPE_CHECKING:
    from collections.abc import Callable

    from fusion_cli.budget import Purse
    from fusion_cli.chat import ChatRequest, Completion, Delta, ModelClient, ModelName, ToolStep
    from fusion_cli.events import CallCompleted, Emit
    from fusion_cli.plan import Plan
    from fusion_cli.spending import Held

Role = Literal["outer", "panel", "judge"]


class Calls:
    """Make calls and note them.

    Args:
        plan: How long a call may be silent, and what the run may cost.
        models: Whom to ask.
        emit: Told of attempts that are made again.
        warn: Told of what the user should know.

    Attributes:
        notes: Every call that has ended, in that order.
        phases: Each role's time.
        purse: What is spent.
        unfinished: What cancelled calls had written, by label.
        whole: The same of those that had ended, and only waited for what may follow an answer.
    """

    def __init__(self, plan: Plan, models: ModelClient, emit: Emit, warn: Callable[[str], None]) -> None:
        self._models = models
        self._limits = plan.limits
        self._emit = emit
        self._warn = warn
        self.notes: list[CallCompleted] = []
        self._asked: list[ModelName] = []
        self.phases: dict[Role, Phase] = {"outer": Phase(), "panel": Phase(), "judge": Phase()}
        self.unfinished: dict[str, str] = {}
        self.whole: dict[str, Completion] = {}
        self.purse = _purse(plan, models)

    async def make(
        self,
        role: Role,
        request: ChatRequest,
        on_delta: Callable[[Delta], None],
        *,
        label: str,
        text_needed: bool,
        calls_suffice: bool,
    ) -> tuple[Completion, float]:
        """Put one request to its model and note what came of it; return it with its duration in seconds.

        Raises:
            ModelError: The call failed, ran out of its phase's time, or brought no text where text is needed.
            CostLimitError: It is the outer model's, and cannot be paid for.
        """
        held = self._admitted(role, request, label)
        request = held.request._replace(timeout_s=self._limits.timeout_s, idle_timeout_s=self._limits.idle_timeout_s)
        under_way = _UnderWay(role, request, label, held)

        def watch(delta: Delta) -> None:
            under_way.watch(delta)
            if delta.retry:
                self._emit(events.CallRetried(role, label, *delta.retry))
            elif not delta.ended:
                on_delta(delta)

        try:
            async with self.phases[role].bounded():
                completion = await self._models.complete(request, watch)
        except OutOfTimeError as error:
            if under_way.whole is None:
                error.partial, error.attempts = under_way.text, under_way.attempts
                self._note(under_way, None, error)
                raise
            completion = under_way.whole
        except ModelError as error:
            self._note(under_way, None, error)
            raise
        except asyncio.CancelledError:
            if under_way.whole:
                self.whole[label] = under_way.whole
            else:
                self.unfinished[label] = under_way.text
            self._note(under_way, under_way.whole, None)
            raise
        except Exception as bug:  # costs this call, and not what the others have answered
            failure = ModelError(f"internal error: {type(bug).__name__}: {bug}", hint="Please report this.")
            self._note(under_way, None, failure)
            raise failure from bug
        if completion.skipped:
            self._warn(f"{label}: {count(completion.skipped, 'broken event')} of the stream skipped")
        text_needed = text_needed and not (calls_suffice and completion.tool_calls)
        if text_needed and (why := under_way.why_no_answer(completion)):
            empty = EmptyCompletionError(why)
            self._note(under_way, completion, empty)
            raise empty
        return completion, self._note(under_way, completion, None)

    async def settle(self) -> None:
        """Fill in what calls cost that were told without, where their models' prices are known; never fails."""
        from fusion_cli.budget import costs_of

        with suppress(Exception, asyncio.CancelledError):  # a run that is whole is not lost for its price
            costs = await costs_of([*zip(self._asked, (note.usage for note in self.notes), strict=True)], self._models)
            before = self.notes
            self.notes = [
                note._replace(usage=note.usage and note.usage._replace(cost=cost))
                for note, cost in zip(self.notes, costs, strict=True)
            ]
            if self.notes != before:
                self._emit(events.CallsSettled(tuple(note.usage and note.usage.cost for note in self.notes)))

    def panelist_took(self, label: str) -> float:
        """Return how long a panelist's last call took that has ended, in seconds; 0 where it made none."""
        own = (note.duration_s for note in reversed(self.notes) if (note.role, note.label) == ("panel", label))
        return next(own, 0.0)

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
            self._warn(f"{held.less}, as the run may cost no more")
        return held

    def _note(self, under_way: _UnderWay, completion: Completion | None, error: ModelError | None) -> float:
        """Note a call that has ended, be it by cancellation; return how long it took, in seconds."""
        note = under_way.note(completion, error)
        self.notes.append(note)
        self._asked.append(under_way.request.model)
        self._emit(note)
        self.purse.note(
            under_way.held,
            note.usage,
            text=under_way.aside + under_way.text,
            is_free=note.refused,
            has_read=bool(note.steps) and completion is None,
        )
        if error:
            error.provider, error.model = under_way.request.model
            error.duration_s = note.duration_s
        return note.duration_s


def _purse(plan: Plan, models: ModelClient) -> Purse | Unlimited:
    if plan.max_cost is None:
        return Unlimited()
    from fusion_cli.budget import Purse

    return Purse(plan, models)


class _UnderWay:
    """What is known of a call while it is awaited."""

    def __init__(self, role: Role, request: ChatRequest, label: str, held: Held) -> None:
        self.held = held
        self.role = role
        self.request = request
        self.label = label
        self.attempts = 1
        self._started = time.monotonic()
        self.whole: Completion | None = None
        self._text = StringIO()
        self._aside = StringIO()
        self._steps: list[ToolStep] = []
        self._has_thought = False

    @property
    def text(self) -> str:
        """What has been written since the last tool call."""
        return self._text.getvalue()

    @property
    def aside(self) -> str:
        """What is paid for and no part of the response: thinking, and what was written before a tool call."""
        return self._aside.getvalue()

    def watch(self, delta: Delta) -> None:
        """Take note of what arrives."""
        if delta.retry:
            self.attempts = delta.retry.attempt
        elif delta.ended:
            is_answer = delta.ended.text.strip() and not delta.ended.tool_calls
            self.whole = delta.ended._replace(attempts=self.attempts) if is_answer else None
        elif delta.step:
            self.whole = None
            self._aside.write(self.text)
            self._text = StringIO()  # what was written before a tool call is no part of the response
            if delta.step.status != "started":
                self._steps.append(delta.step)
        else:
            if delta.text:
                self._text.write(delta.text)
            if delta.reasoning:
                self._has_thought = True
                self._aside.write(delta.reasoning)

    def why_no_answer(self, completion: Completion) -> str:
        """Return why a finished completion is no answer; nothing where it is one."""
        if completion.finish_reason == "content_filter":
            return "the provider's content filter stopped it"
        if completion.text.strip():
            return ""
        if completion.refusal:
            return f"the model refused: {' '.join(completion.refusal.split())[:200]}"
        if self._has_thought:
            cut = " and reached its token limit: raise --max-completion-tokens" if completion.truncated else ""
            return f"Stream completed without producing any text: the model only thought{cut}"
        usual = completion.finish_reason in (None, "stop")
        return "Stream completed without producing any text" + ("" if usual else f" ({completion.finish_reason})")

    def note(self, completion: Completion | None, error: ModelError | None) -> CallCompleted:
        """Return the note of the call, which has ended now; without either of the two it was cancelled."""
        attempts = completion.attempts if completion else error.attempts if error else self.attempts
        return events.CallCompleted(
            self.role,
            self.request.model.slug,
            completion.model if completion else None,
            self.label,
            attempts,
            round(time.monotonic() - self._started, 3),
            completion.finish_reason if completion else None,
            completion.usage if completion else error.usage if error else None,
            tuple(tool.type.rpartition(":")[2] for tool in self.request.server_tools),
            tuple(self._steps),
            completion.citations if completion else (),
            str(error) if error else None if completion else "cancelled",
            refused=bool(
                error and error.status_code and not error.partial and error.usage is None and completion is None
            ),
        )
