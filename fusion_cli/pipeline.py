"""The story of a run, and its policy: who may fail, what degrades, what is not tried.

Sequential; it touches the world through two holes, `models` and `emit`, and knows no screen, wire or file.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from fusion_cli import events, prompts
from fusion_cli.chat import ChatRequest, Completion, Message, ModelClient, ToolCall
from fusion_cli.errors import (
    FusionError,
    KeyRejectedError,
    ModelError,
    ModelRejectedError,
    ModelUnreachableError,
    NoCreditsError,
    RateLimitError,
    internal_error,
)
from fusion_cli.fitting import context_named, estimated_tokens, fit_into, is_too_long
from fusion_cli.judging import SURELY_READ_TOKENS, judge
from fusion_cli.negotiation import REFUSED, Form
from fusion_cli.record import Record

if TYPE_CHECKING:  # results bring pydantic (100 ms): imported while the first responses are awaited
    from collections.abc import Iterator, Mapping

    from fusion_cli.events import Emit
    from fusion_cli.plan import Panelist, Plan
    from fusion_cli.results import AnalysisRun, AskRun

_CONSULT_ROUNDS = 3
_CAPPED = {
    "status": "error",
    "error": "the panel can be convened once a turn",
    "failure_reason": "fusion_invocation_capped",
}


class Turn(NamedTuple):
    """The outer model's first turn: an answer, or the call that convenes the panel."""

    messages: tuple[Message, ...]
    text: str = ""
    call: ToolCall | None = None
    prompt: str = ""


async def ask(plan: Plan, models: ModelClient, emit: Emit) -> AskRun:
    """Let the outer model answer, with the panel's help where it wants that (or the user does).

    Never raises for a model's failure or for cancellation: the run that is returned says what happened, and holds
    everything that had been answered by then.
    """
    record = Record(plan, models, emit)
    answer = None
    with _noting_the_end(record):
        turn = await consult(record)
        if turn.call:
            await deliberate(record, turn.prompt)
            answer = await synthesize(record, turn, turn.call)
        else:
            answer = turn.text
    return record.ask_run(answer)


async def analyze(plan: Plan, models: ModelClient, emit: Emit) -> AnalysisRun:
    """Convene the panel and the judge, without an outer model. Raises as little as `ask`."""
    record = Record(plan, models, emit)
    with _noting_the_end(record):
        await deliberate(record, plan.prompt.text())
    return record.analysis_run()


async def judge_responses(
    plan: Plan, models: ModelClient, emit: Emit, *, responses: dict[Panelist, str], missing: int
) -> AnalysisRun:
    """Have the judge compare responses that exist already; no panel is called."""
    record = Record(plan, models, emit)
    record.responses = responses
    with _noting_the_end(record):
        await judge(record, plan.prompt.text(), missing)
    return record.analysis_run()


@contextmanager
def _noting_the_end(record: Record) -> Iterator[None]:
    """Put what ends the story early on the record: whatever was answered by then is in the result all the same."""
    try:
        yield
    except asyncio.CancelledError:
        record.fail(FusionError("cancelled"), "cancelled")
    except ModelError as error:
        record.fail(error)
    except Exception as bug:  # noqa: BLE001  # a mistake of ours must not cost what is paid for
        record.fail(internal_error(bug), "unexpected_error")


async def consult(record: Record) -> Turn:
    """Ask the outer model whether the panel is needed; where the user has decided that, nobody is asked."""
    plan = record.plan
    prompt = plan.prompt.text()
    messages = plan.conversation or prompts.question_messages(prompt, plan.system)
    if plan.tool_choice == "required":
        record.emit(events.OuterDecided(convene=True, forced=True))
        call = prompts.forced_call(plan.prompt.question)
        return Turn((*messages, Message("assistant", "", (call,))), call=call, prompt=prompt)

    offered = (prompts.FUSION_TOOL,) if plan.tool_choice == "auto" else ()
    for round_ in range(1, _CONSULT_ROUNDS + 1):
        last = round_ == _CONSULT_ROUNDS
        request = ChatRequest(
            plan.outer,
            messages,
            plan.answer_max_completion_tokens,
            seed=plan.seed,
            tools=offered,
            tool_choice=("none" if last else "auto") if offered else None,
            extra=plan.outer_extra,
        )
        try:
            completion, _ = await record.call(
                "outer", request, lambda delta: record.emit(events.OuterDelta(delta.text)), calls_suffice=not last
            )
        except ModelRejectedError as error:
            if offered and error.status_code in REFUSED:
                error.hint = "If this model knows no tools: --tool-choice required, or none."
            raise
        if not completion.tool_calls or last:
            record.emit(events.OuterDecided(convene=False, forced=plan.tool_choice == "none"))
            return Turn(messages, text=_answered(record, completion))
        record.emit(events.OuterDiscarded())
        chosen, answers = _sort_calls(completion.tool_calls)
        messages = (*messages, Message("assistant", completion.text, completion.tool_calls), *answers)
        if chosen:
            record.emit(events.OuterDecided(convene=True, forced=False))
            call, question = chosen
            # A conversation's own words for the panel stand for it, as upstream; files that were added do not.
            return Turn(messages, call=call, prompt=question if plan.conversation else plan.prompt.text(question))
    raise AssertionError("the last round always returns")


def _sort_calls(calls: tuple[ToolCall, ...]) -> tuple[tuple[ToolCall, str] | None, list[Message]]:
    """Return the first usable call of the tool with its prompt, and the refusals of all other calls."""
    chosen: tuple[ToolCall, str] | None = None
    refusals = []
    for call in calls:
        if call.name != prompts.FUSION_TOOL.name:
            refusals.append(prompts.tool_answer(call, {"status": "error", "error": "there is no such tool"}))
        elif chosen:
            refusals.append(prompts.tool_answer(call, _CAPPED))
        elif question := _question(call.arguments):
            chosen = (call, question)
        else:
            problem = 'the arguments must be {"prompt": "..."} with a question'
            refusals.append(prompts.tool_answer(call, {"status": "error", "error": problem}))
    return chosen, refusals


def _question(arguments: str) -> str:
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return ""
    prompt = value.get("prompt") if isinstance(value, dict) else None
    return prompt if isinstance(prompt, str) and prompt.strip() else ""


async def deliberate(record: Record, prompt: str) -> None:
    """Convene the panel and have its responses judged; what comes of it is on the record.

    Raises:
        ModelError: The account or the key gave out in the panel, and would for judge and outer model too.
    """
    record.prompt = prompt
    record.emit(events.FusionInProgress(prompt))
    await convene_panel(record, prompt)
    if not record.responses:
        reason, error = _why_all_failed(list(record.failures.values()))
        record.fail(error, reason)
        return
    for error in record.failures.values():
        if isinstance(error, NoCreditsError) and record.shares_account(error, record.plan.judge):
            raise error
    await judge(record, prompt, missing=len(record.failures))


async def convene_panel(record: Record, prompt: str) -> None:
    """Ask all panelists at once; one that fails is noted and disturbs nobody."""
    async with asyncio.TaskGroup() as group:
        for panelist in record.plan.panel:
            group.create_task(_ask_panelist(record, panelist, prompt))


async def _ask_panelist(record: Record, panelist: Panelist, prompt: str) -> None:
    plan, emit = record.plan, record.emit
    emit(events.PanelAdded(panelist.label, panelist.model.slug))
    tools = plan.tools_for(panelist.model)
    request = ChatRequest(
        panelist.model,
        prompts.question_messages(prompt, panelist.system),
        panelist.max_completion_tokens,
        panelist.temperature,
        panelist.reasoning,
        # Each seat its own: a model that sits several times would otherwise say the same thing several times.
        None if plan.seed is None else plan.seed + plan.panel.index(panelist),
        server_tools=tools,
        max_tool_calls=plan.max_tool_calls if tools else None,
        fusion_depth=1,
        extra=plan.extra_for(panelist.model),
    )

    async def answer(request: ChatRequest) -> tuple[Completion, float]:
        return await record.call(
            "panel",
            request,
            lambda delta: emit(events.PanelDelta(panelist.label, delta.text, delta.reasoning)),
            label=panelist.label,
        )

    try:
        try:
            completion, took = await answer(request)
        except ModelRejectedError as error:
            milder = _without_what_was_refused(request, error)
            if milder is None:
                raise
            record.warn(f"{panelist.label} refused ({error}): asked again with less")
            completion, took = await answer(milder)
    except ModelError as error:
        record.failures[panelist] = error
        emit(
            events.PanelFailed(
                panelist.label,
                panelist.model.slug,
                str(error),
                error.status_code,
                error.partial,
                error.duration_s,
            )
        )
        return
    record.responses[panelist] = completion.text
    if completion.truncated:
        record.warn(f"the response of {panelist.label} was cut off by its token limit", shown=True)
    emit(
        events.PanelCompleted(
            panelist.label,
            panelist.model.slug,
            completion.text,
            took,
            completion.usage,
            completion.truncated,
        )
    )


def _without_what_was_refused(request: ChatRequest, error: ModelRejectedError) -> ChatRequest | None:
    """Return a panelist's request without web tools, or in its model's context, where that is what was refused."""
    said, limit = str(error).lower(), request.max_completion_tokens
    if error.partial:
        return None
    if request.server_tools and error.status_code in REFUSED and "tool" in said:
        return request._replace(server_tools=(), max_tool_calls=None)
    context = context_named(said) if is_too_long(said, error.status_code) else None
    if context and limit and limit > context // 2:
        return request._replace(max_completion_tokens=context // 2)
    return None


def _why_all_failed(failures: list[ModelError]) -> tuple[str, ModelError]:
    """Return the specification's reason, and the failure that decides the exit status."""
    for error in failures:
        if isinstance(error, NoCreditsError):
            return "insufficient_credits", error
    for error in failures:
        if isinstance(error, RateLimitError):
            return "rate_limited", error
    if all(error.status_code == 404 for error in failures):
        return "invalid_model", failures[0]
    if len({type(error) for error in failures}) == 1 and isinstance(
        failures[0], KeyRejectedError | ModelUnreachableError
    ):
        return "all_panels_failed", failures[0]
    return "all_panels_failed", ModelError("all panel models failed")


async def synthesize(record: Record, turn: Turn, call: ToolCall) -> str:
    """Have the outer model write the answer from the tool result, or alone where there is none.

    Raises:
        ModelError: There is no answer.
    """
    plan = record.plan
    if record.cause and record.shares_account(record.cause, plan.outer):
        raise record.cause
    result = record.tool_result().for_outer_model()
    as_tool = ChatRequest(
        plan.outer,
        prompts.answer_messages(_result_after_its_call(turn.messages, prompts.tool_answer(call, result))),
        plan.answer_max_completion_tokens,
        seed=plan.seed,
        tools=(prompts.FUSION_TOOL,),
        tool_choice="none",
        extra=plan.outer_extra,
    )
    if plan.outer.is_local:
        return await _write(record, await _as_text(record, turn, as_tool))
    try:
        return await _write(record, as_tool)
    except ModelRejectedError as error:  # a server without tools must not cost a panel that is paid for
        if error.status_code not in REFUSED or error.partial:
            raise
        record.warn(f"{plan.outer.slug} refused the tool result ({error}): asked again in plain text")
        return await _write(record, await _as_text(record, turn, as_tool))


async def _as_text(record: Record, turn: Turn, as_tool: ChatRequest) -> ChatRequest:
    """Return the request for a model that knows no tools, the responses cut where they are too long for it."""
    plan = record.plan
    analysis = record.analysis.model_dump() if record.analysis else None
    asked, system = turn.prompt, plan.system
    if plan.conversation:
        first = plan.conversation[0]
        asked, system = plan.prompt.text(), first.content if first.role == "system" else None

    def messages(responses: Mapping[str, str]) -> tuple[Message, ...]:
        return prompts.plain_answer_messages(
            record.fence, asked, responses, analysis, system, small_model=plan.outer.is_local
        )

    responses = record.lettered_responses()
    size = sum(estimated_tokens(message.content) for message in messages(responses))
    if plan.outer.is_local or size > SURELY_READ_TOKENS:
        context = await record.models.context_tokens(plan.outer)
        if context is not None:
            whole = Form(limit=as_tool.max_completion_tokens).within(context)
            responses = fit_into(whole.room or 0, responses, messages)
    return as_tool._replace(messages=messages(responses), tools=(), tool_choice=None)


async def _write(record: Record, request: ChatRequest) -> str:
    """Return the answer; a model that calls the tool once more, which it may not, is told so once."""

    async def ask_outer(request: ChatRequest, *, last: bool) -> Completion:
        completion, _ = await record.call(
            "outer",
            request,
            lambda delta: record.emit(events.AnswerDelta(delta.text)),
            calls_suffice=not last,
        )
        return completion

    completion = await ask_outer(request, last=False)
    if not completion.text.strip():
        record.warn(f"{request.model.slug} called a tool once more and was refused (fusion_invocation_capped)")
        refusals = (prompts.tool_answer(call, _CAPPED) for call in completion.tool_calls)
        again = Message("assistant", completion.text, completion.tool_calls)
        completion = await ask_outer(request._replace(messages=(*request.messages, again, *refusals)), last=True)
    return _answered(record, completion)


def _answered(record: Record, completion: Completion) -> str:
    """Return the final answer, after telling of it and of what it lacks."""
    if completion.truncated:
        record.degrade("the answer was cut off by its token limit")
    record.emit(events.AnswerCompleted(completion.text))
    return completion.text


def _result_after_its_call(messages: tuple[Message, ...], result: Message) -> tuple[Message, ...]:
    """Return the conversation with the tool's result first among the answers to that turn's calls."""
    turn = next(index for index, message in reversed(list(enumerate(messages))) if message.tool_calls)
    return (*messages[: turn + 1], result, *messages[turn + 1 :])
