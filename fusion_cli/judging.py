"""The judge's discipline: blind, structured, asked again once at most, checked, and never the end of a run.

Owns what is asked of the judge and what is believed of its reply. Knows no panel and no outer model, and like the
story it touches the world through the record alone.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from fusion_cli import events, prompts
from fusion_cli.chat import ChatRequest, Message
from fusion_cli.errors import KeyRejectedError, ModelError, ModelRejectedError, NoCreditsError
from fusion_cli.fitting import LEAST_TOKENS, SURELY_READ_TOKENS, estimated_tokens, fit_into
from fusion_cli.negotiation import Form, given_way

if TYPE_CHECKING:  # results and analysis bring pydantic (100 ms): imported while the first responses are awaited
    from collections.abc import Mapping

    from fusion_cli.analysis import Checked
    from fusion_cli.chat import Delta
    from fusion_cli.record import Record

_QUOTED_CHARS = 4000


async def judge(record: Record, prompt: str, missing: int) -> None:
    """Have the responses compared; without a usable analysis the run goes on, degraded, and says why.

    A second look is taken at the same time as the first; either of them is an analysis.

    Args:
        record: Holds the responses, and gets the analysis and what was found out about it.
        prompt: What the panel was asked.
        missing: How many panelists gave no response.
    """
    plan = record.plan
    record.emit(events.AnalysisInProgress(plan.judge.slug, len(record.said())))
    started = time.monotonic()
    sitting = _Sitting(record, prompt, missing)
    orders = (False, True) if plan.second_look and len(record.said()) > 1 else (False,)
    looks = [asyncio.ensure_future(sitting.look(reverse=reverse)) for reverse in orders]
    try:
        await asyncio.wait(looks)
    except asyncio.CancelledError:
        for look in looks:
            look.cancel()
        await asyncio.gather(*looks, return_exceptions=True)
        if done := [look.result() for look in looks if not look.cancelled() and not look.exception()]:
            _accept(record, done[:1], time.monotonic() - started)
        raise
    failures = [failure for look in looks if (failure := look.exception())]
    for failure in failures:
        if not isinstance(failure, Exception):
            raise failure
    found = [look.result() for look in looks if not look.exception()]
    if not found:
        _give_up(record, failures[0])
        return
    _accept(record, found, time.monotonic() - started)
    if plan.second_look and len(found) < 2:
        why = f"the judge {plan.judge.slug}: {failures[0]}" if failures else "one response has only one order"
        record.degrade(f"no second look: {why}")


def _give_up(record: Record, problem: BaseException) -> None:
    from fusion_cli.analysis import AnalysisError

    reason, said = "unexpected_error", f"internal error: {type(problem).__name__}: {problem}"
    if isinstance(problem, AnalysisError):
        reason, said = problem.failure_reason, str(problem)
    elif isinstance(problem, ModelError):
        reason, said = "judge_upstream_error", str(problem)
    record.analysis_failed(reason, f"the judge {record.plan.judge.slug}: {said}")
    if isinstance(problem, NoCreditsError | KeyRejectedError):  # what comes next may need the same account
        record.cause = problem


def _accept(record: Record, looks: list[_Look], took: float) -> None:
    """Put the first look on the record, with what the others and its quotes say about it."""
    checked, warnings = looks[0]
    for warning in (*warnings, *checked.dropped):
        record.warn(warning)
    record.analysis = checked.analysis
    try:
        if record.plan.quotes:
            from fusion_cli.quotes import check_quotes

            said = {panelist.label: text for panelist, text in record.said().items()}
            record.quotes = check_quotes(checked.quotes, said)
        if len(looks) > 1:
            from fusion_cli.second_look import compare

            record.second_look = compare(checked.analysis, looks[1].checked.analysis)
    except Exception as bug:  # noqa: BLE001  # costs the check, and not the analysis that it checks
        record.degrade(f"the analysis could not be checked: internal error: {type(bug).__name__}: {bug}")
    record.emit(events.AnalysisCompleted(checked.analysis, took, record.supported, record.second_look, record.quotes))


class _Look(NamedTuple):
    """One judgement, and what has to be said about how it came to be."""

    checked: Checked
    warnings: list[str]


class _Reply(NamedTuple):
    """What the judge wrote, whether its limit cut that off, and the letters of responses that it read cut."""

    text: str
    was_cut: bool
    read_cut: tuple[str, ...] = ()
    form: Form | None = None


def _size(messages: tuple[Message, ...]) -> int:
    return sum(estimated_tokens(message.content) for message in messages)


class _Sitting:
    """One judge over one set of responses.

    Args:
        record: The run.
        prompt: What the panel was asked.
        missing: How many panelists gave no response.
    """

    def __init__(self, record: Record, prompt: str, missing: int) -> None:
        from fusion_cli.foreign import Foreign

        plan = record.plan
        self._record = record
        self._prompt = prompt
        self._missing = missing
        self._foreign = Foreign(list(record.said().values()), prompts.JUDGE_TASK, record.fence)
        self._form = Form(
            tools=bool(plan.tools_for(plan.judge)),
            limit=plan.judge_max_completion_tokens,
            attached=bool(plan.judge_attachments),
        )
        self._settling = asyncio.Lock()
        self._is_settled = False

    async def look(self, *, reverse: bool) -> _Look:
        """Return one judgement, asked for a second time when the first reply is no analysis.

        Raises:
            AnalysisError: Neither reply is an analysis.
            ModelError: The judge cannot be asked.
        """
        from fusion_cli.analysis import AnalysisError

        again: tuple[Message, ...] = ()
        try:
            reply = await self._reply(reverse=reverse)
        except ModelError as error:
            if not error.retryable or not error.partial:
                raise
            reply = _Reply(error.partial, was_cut=False)  # the end that got lost may not have mattered
        try:
            return self._read(reply, reverse=reverse)
        except AnalysisError as problem:
            quoted = prompts.harmless(reply.text[:_QUOTED_CHARS]) or "(empty)"
            again = (Message("assistant", quoted), prompts.repair_message(str(problem), was_cut=reply.was_cut))
        return self._read(await self._reply(*again, reverse=reverse), reverse=reverse)

    def _read(self, reply: _Reply, *, reverse: bool) -> _Look:
        from fusion_cli.analysis import AnalysisError, read_analysis

        labels = {letter: seat.label for letter, seat in self._record.letters(reverse=reverse).items()}
        try:
            checked = read_analysis(reply.text, labels, self._foreign)
        except AnalysisError as problem:
            if not reply.was_cut:
                raise
            raise AnalysisError(problem.failure_reason, f"{problem}; its token limit cut the reply off") from None
        cut = [f"the judge read the response of {labels[letter]} cut to fit its context" for letter in reply.read_cut]
        return _Look(checked, [*self._what_it_lacked(reply.form), *cut])

    def _what_it_lacked(self, form: Form | None) -> list[str]:
        """Return what the user should know of the form that the judge's server accepted, a line each."""
        plan = self._record.plan
        lacks = []
        if form and not form.tools and plan.tools_for(plan.judge):
            lacks.append("web tools")
        if form and not form.attached and plan.judge_attachments:
            lacks.append("images or PDFs")
        if form and not form.cold:
            lacks.append("temperature 0")
        if form and not form.tuned and (plan.reasoning or plan.seed is not None):
            lacks.append("the reasoning and seed that were asked for")
        return (
            [f"the server of the judge {plan.judge.slug} refused {', '.join(lacks)}: it judged without"]
            if lacks
            else []
        )

    async def _reply(self, *again: Message, reverse: bool) -> _Reply:
        """Return the judge's reply, in the strictest form that its server accepts."""
        await self._settle_context()
        responses = self._record.lettered_responses(reverse=reverse)
        while True:
            form = self._form
            pages = prompts.sources_within(form.room, self._record.lettered_sources(reverse=reverse))
            prompt = partial(self._messages, sources=pages, reverse=reverse, attached=form.attached)
            read = responses if form.room is None else fit_into(form.room, responses, prompt)
            messages = (*prompt(read), *again)
            try:
                completion, _ = await self._record.call(
                    "judge", self._request(form, messages, is_repair=bool(again)), self._show, text_needed=False
                )
            except ModelRejectedError as error:
                if error.partial:  # paid for: the same again would be, too
                    raise
                if self._form != form:  # the other look has learnt something meanwhile
                    continue
                least = _size(prompt(dict.fromkeys(read, ""))) + LEAST_TOKENS * len(read)
                milder = given_way(form, error, sent=_size(messages), least=least)
                if milder is None:
                    raise
                self._form = milder
            else:
                cut = tuple(letter for letter, text in read.items() if text != responses[letter])
                return _Reply(completion.text, completion.truncated, cut, form)

    async def _settle_context(self) -> None:
        """Find out what the judge can read, where that may matter, before the first call."""
        async with self._settling:
            if self._is_settled:
                return
            self._is_settled = True
            judge = self._record.plan.judge
            whole = self._messages(self._record.lettered_responses(), self._record.lettered_sources())
            if judge.is_local or _size(whole) > SURELY_READ_TOKENS:
                context = await self._record.models.context_tokens(judge)
                if context is not None:
                    self._form = self._form.within(context)

    def _show(self, delta: Delta) -> None:
        if delta.step:
            self._record.emit(events.AnalysisToolCall(*delta.step))
        elif delta.text or delta.reasoning:
            self._record.emit(events.AnalysisDelta(len(delta.text), len(delta.reasoning)))

    def _messages(
        self, responses: Mapping[str, str], sources: prompts.Cited, *, reverse: bool = False, attached: bool = False
    ) -> tuple[Message, ...]:
        record = self._record
        return prompts.judge_messages(
            record.fence,
            self._prompt,
            responses,
            self._missing,
            quotes=record.plan.quotes,
            sources=sources,
            cut=record.letters_of_cut(reverse=reverse),
            attachments=record.plan.judge_attachments if attached else (),
        )

    def _request(self, form: Form, messages: tuple[Message, ...], *, is_repair: bool) -> ChatRequest:
        plan = self._record.plan
        # Who is only to write its reply anew looks nothing up again.
        tools = plan.tools_for(plan.judge) if form.tools and not is_repair else ()
        letters = list(self._record.letters())
        schema = prompts.analysis_schema(letters, small_model=plan.judge.is_local, quotes=plan.quotes)
        return ChatRequest(
            plan.judge,
            messages,
            form.limit,
            temperature=0.0 if form.cold else None,
            reasoning=plan.reasoning if form.tuned else None,
            seed=plan.seed if form.tuned else None,
            output_format=(schema, "json_object", None)[form.output],
            server_tools=tools,
            max_tool_calls=plan.max_tool_calls if tools else None,
            fusion_depth=1,
            extra=plan.extra_for(plan.judge),
        )
