"""The judge's discipline: blind, structured, asked again once at most, checked, and never the end of a run.

Owns what is asked of the judge and what is believed of its reply. Knows no panel and no outer model, and like the
story it touches the world through the record alone.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from fusion_cli import events, prompts
from fusion_cli.chat import ChatRequest, Message
from fusion_cli.errors import KeyRejectedError, ModelError, ModelRejectedError, NoCreditsError
from fusion_cli.fitting import estimated_tokens, fit, is_too_long

if TYPE_CHECKING:  # results and analysis bring pydantic (100 ms): imported while the first responses are awaited
    from fusion_cli.analysis import Checked
    from fusion_cli.record import Record
    from fusion_cli.results import Analysis

REFUSED = {400, 404, 422}

# Every hosted judge of today reads more than this, so a catalogue is asked only about longer prompts.
_SURELY_READ_TOKENS = 24_000
_LEAST_SHARE_TOKENS = 100
_QUOTED_CHARS = 4000


async def judge(record: Record, prompt: str, missing: int) -> Analysis | None:
    """Have the responses compared; without a usable analysis the run goes on, degraded, and says why.

    Args:
        record: Holds the responses, and gets whatever comes of them.
        prompt: What the panel was asked.
        missing: How many panelists gave no response.
    """
    from fusion_cli.analysis import AnalysisError
    from fusion_cli.quotes import check_quotes
    from fusion_cli.results import Supported
    from fusion_cli.second_look import compare

    slug = record.plan.judge.slug
    record.emit(events.AnalysisInProgress(slug, len(record.responses)))
    started = time.monotonic()
    sitting = _Sitting(record, prompt, missing)
    await sitting.fit_to_context()
    orders = (False, True) if record.plan.second_look and len(record.responses) > 1 else (False,)
    looks = await asyncio.gather(*(sitting.look(reverse=reverse) for reverse in orders), return_exceptions=True)
    for panelist in record.cut:
        record.warn(f"the judge read the response of {panelist.label} cut to fit its context")
    failures = [look for look in looks if isinstance(look, BaseException)]
    for failure in failures:
        if not isinstance(failure, AnalysisError | ModelError):
            raise failure
    found = [look for look in looks if not isinstance(look, BaseException)]
    if not found:
        problem = failures[0]
        reason = problem.failure_reason if isinstance(problem, AnalysisError) else "judge_upstream_error"
        record.analysis_failed(reason, f"the judge {slug}: {problem}")
        if isinstance(problem, NoCreditsError | KeyRejectedError):  # what comes next may need the same account
            record.cause = problem
        return None

    checked = found[0]
    for dropped in checked.dropped:
        record.warn(dropped)
    if record.plan.quotes:
        said = {panelist.label: text for panelist, text in record.responses.items()}
        record.quotes = check_quotes(checked.quotes, said)
    if len(found) > 1:
        record.second_look = compare(checked.analysis, found[1].analysis)
    elif record.plan.second_look:
        why = f"the judge {slug}: {failures[0]}" if failures else "one response has only one order"
        record.degrade(f"no second look: {why}")
    supported = None if record.quotes is None else Supported.over(record.quotes)
    took = time.monotonic() - started
    record.emit(events.AnalysisCompleted(checked.analysis, took, supported, record.second_look))
    return checked.analysis


class _Sitting:
    """One judge over one set of responses; what its server refused once is not tried again.

    Args:
        record: The run.
        prompt: What the panel was asked.
        missing: How many panelists gave no response.
    """

    def __init__(self, record: Record, prompt: str, missing: int) -> None:
        self._record = record
        self._prompt = prompt
        self._missing = missing
        self._form = 0
        self._budget: int | None = None

    async def fit_to_context(self) -> None:
        """Cut the responses to their shares where the judge is known to read less than them."""
        record, plan = self._record, self._record.plan
        needed = sum(estimated_tokens(message.content) for message in self._messages(reverse=False))
        if needed < _SURELY_READ_TOKENS and not plan.judge.is_local:
            return
        context = await record.models.context_tokens(plan.judge)
        if context is None:
            return
        room = context - min(plan.judge_max_completion_tokens or 0, context // 2)
        if needed > room:
            self._cut(room - (needed - self._size()))

    def _size(self) -> int:
        return sum(estimated_tokens(text) for text in self._record.lettered_responses().values())

    def _cut(self, budget: int) -> None:
        """Cut the responses to so many tokens in all."""
        self._budget = budget
        responses = {panelist.label: text for panelist, text in self._record.responses.items()}
        fitted = fit(responses, budget)
        self._record.cut = {
            panelist: fitted[panelist.label]
            for panelist, text in self._record.responses.items()
            if fitted[panelist.label] != text
        }

    async def look(self, *, reverse: bool) -> Checked:
        """Return one judgement, asked for a second time when the first reply is no analysis.

        Raises:
            AnalysisError: Neither reply is an analysis.
            ModelError: The judge cannot be asked.
        """
        from fusion_cli.analysis import AnalysisError, read_analysis

        letters = self._record.letters(reverse=reverse)
        labels = {letter: panelist.label for letter, panelist in letters.items()}
        reply = await self._reply(reverse=reverse)
        try:
            return read_analysis(reply, labels, self._record.responses.values())
        except AnalysisError as problem:
            repair = (Message("assistant", reply[:_QUOTED_CHARS] or "(empty)"), prompts.repair_message(str(problem)))
        reply = await self._reply(*repair, reverse=reverse)
        return read_analysis(reply, labels, self._record.responses.values())

    async def _reply(self, *repair: Message, reverse: bool) -> str:
        """Return the judge's reply, in the strictest form that its server accepts."""
        while True:
            form, budget = self._form, self._budget
            forms = self._forms(repair, reverse=reverse)
            try:
                completion, _ = await self._record.call("judge", forms[form], lambda delta: None, text_needed=False)
            except ModelRejectedError as error:
                if is_too_long(str(error), error.status_code):
                    if self._budget == budget:  # nobody has cut since
                        left = (self._size() if budget is None else budget) // 2
                        if left < _LEAST_SHARE_TOKENS * len(self._record.responses):
                            raise
                        self._cut(left)
                    continue
                if error.status_code not in REFUSED or form + 1 == len(forms):
                    raise
                self._form = max(self._form, form + 1)
            else:
                return completion.text

    def _messages(self, *, reverse: bool) -> tuple[Message, ...]:
        record = self._record
        return prompts.judge_messages(
            record.fence,
            self._prompt,
            record.lettered_responses(reverse=reverse),
            self._missing,
            quotes=record.plan.quotes,
        )

    def _forms(self, repair: tuple[Message, ...], *, reverse: bool) -> list[ChatRequest]:
        """Return the request in all its forms: by schema, as any JSON, by the prompt alone, with nothing but it."""
        plan = self._record.plan
        schema = prompts.analysis_schema(
            list(self._record.letters(reverse=reverse)), small_model=plan.judge.is_local, quotes=plan.quotes
        )
        tools = plan.tools_for(plan.judge)
        strict = ChatRequest(
            plan.judge,
            (*self._messages(reverse=reverse), *repair),
            plan.judge_max_completion_tokens,
            temperature=0.0,
            reasoning=plan.reasoning,
            seed=plan.seed,
            output_format=schema,
            server_tools=tools,
            max_tool_calls=plan.max_tool_calls if tools else None,
            fusion_depth=1,
        )
        loose = strict._replace(output_format=None)
        forms = [strict, strict._replace(output_format="json_object"), loose]
        if tools:
            loose = loose._replace(server_tools=(), max_tool_calls=None)
            forms.append(loose)
        return [*forms, loose._replace(temperature=None)]
