"""The story of a run, and its policy: who may fail, what degrades, what is not tried.

Sequential; it touches the world through two holes, `models` and `emit`, and knows no screen, wire or file.
"""

from __future__ import annotations

import asyncio
import json
import time
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
)
from fusion_cli.record import Record

if TYPE_CHECKING:  # results and analysis bring pydantic (100 ms): imported while the first responses are awaited
    from fusion_cli.events import Emit
    from fusion_cli.plan import Panelist, Plan
    from fusion_cli.results import Analysis, AnalysisRun, AskRun

_CONSULT_ROUNDS = 3
_REFUSED = {400, 404, 422}
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
    try:
        turn = await consult(record)
        if turn.call:
            await deliberate(record, turn.prompt)
            answer = await synthesize(record, turn, turn.call)
        else:
            answer = turn.text
    except asyncio.CancelledError:
        record.fail(FusionError("cancelled"), "cancelled")
    except ModelError as error:
        record.fail(error)
    return record.ask_run(answer)


async def analyze(plan: Plan, models: ModelClient, emit: Emit) -> AnalysisRun:
    """Convene the panel and the judge, without an outer model. Raises as little as `ask`."""
    record = Record(plan, models, emit)
    try:
        await deliberate(record, plan.prompt.text())
    except asyncio.CancelledError:
        record.fail(FusionError("cancelled"), "cancelled")
    except ModelError as error:
        record.fail(error)
    return record.analysis_run()


async def judge_responses(
    plan: Plan, models: ModelClient, emit: Emit, *, responses: dict[Panelist, str], missing: int
) -> AnalysisRun:
    """Have the judge compare responses that exist already; no panel is called."""
    record = Record(plan, models, emit)
    record.responses = responses
    try:
        record.analysis = await judge(record, plan.prompt.text(), missing)
    except asyncio.CancelledError:
        record.fail(FusionError("cancelled"), "cancelled")
    return record.analysis_run()


async def consult(record: Record) -> Turn:
    """Ask the outer model whether the panel is needed; where the user has decided that, nobody is asked."""
    plan = record.plan
    prompt = plan.prompt.text()
    messages = prompts.consult_messages(prompt)
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
        )
        try:
            completion, _ = await record.call(
                "outer", request, lambda delta: record.emit(events.OuterDelta(delta.text)), calls_suffice=not last
            )
        except ModelRejectedError as error:
            if offered and error.status_code in _REFUSED:
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
            return Turn(messages, call=call, prompt=plan.prompt.text(question))
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
    record.analysis = await judge(record, prompt, missing=len(record.failures))


async def convene_panel(record: Record, prompt: str) -> None:
    """Ask all panelists at once; one that fails is noted and disturbs nobody."""
    async with asyncio.TaskGroup() as group:
        for panelist in record.plan.panel:
            group.create_task(_ask_panelist(record, panelist, prompt))


async def _ask_panelist(record: Record, panelist: Panelist, prompt: str) -> None:
    plan, emit = record.plan, record.emit
    emit(events.PanelAdded(panelist.label, panelist.model.slug))
    request = ChatRequest(
        panelist.model,
        prompts.panel_messages(prompt, panelist.system),
        panelist.max_completion_tokens,
        panelist.temperature,
        plan.reasoning,
        plan.seed,
        fusion_depth=1,
    )
    try:
        completion, took = await record.call(
            "panel",
            request,
            lambda delta: emit(events.PanelDelta(panelist.label, delta.text, delta.reasoning)),
            label=panelist.label,
        )
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


def _why_all_failed(failures: list[ModelError]) -> tuple[str, ModelError]:
    """Return the specification's reason, and the failure that decides the exit status."""
    for error in failures:
        if isinstance(error, NoCreditsError):
            return "insufficient_credits", error
    for error in failures:
        if isinstance(error, RateLimitError):
            return "rate_limited", error
    if len({type(error) for error in failures}) == 1 and isinstance(
        failures[0], KeyRejectedError | ModelUnreachableError
    ):
        return "all_panels_failed", failures[0]
    return "all_panels_failed", ModelError("all panel models failed")


async def judge(record: Record, prompt: str, missing: int) -> Analysis | None:
    """Have the responses compared; without a usable analysis the run goes on, degraded, and says why.

    The judge reads letters for names. It is asked for JSON by schema, else by the prompt alone, at temperature 0 where
    its server allows one, and asked once more when its reply is no analysis.
    """
    from fusion_cli.analysis import AnalysisError, read_analysis

    plan = record.plan
    labels = {letter: panelist.label for letter, panelist in record.letters().items()}
    record.emit(events.AnalysisInProgress(plan.judge.slug, len(labels)))
    request = ChatRequest(
        plan.judge,
        prompts.judge_messages(record.fence, prompt, record.lettered_responses(), missing),
        plan.judge_max_completion_tokens,
        temperature=0.0,
        reasoning=plan.reasoning,
        seed=plan.seed,
        output_format=prompts.analysis_schema(list(labels), small_model=plan.judge.is_local),
        fusion_depth=1,
    )
    try:
        started = time.monotonic()
        request, reply = await _ask_judge(record, request)
        try:
            checked = read_analysis(reply, labels)
        except AnalysisError as problem:
            repair = (Message("assistant", reply[:4000] or "(empty)"), prompts.repair_message(str(problem)))
            request, reply = await _ask_judge(record, request._replace(messages=(*request.messages, *repair)))
            checked = read_analysis(reply, labels)
    except AnalysisError as problem:
        record.analysis_failed(problem.failure_reason, f"the judge {plan.judge.slug}: {problem}")
    except ModelError as error:
        record.analysis_failed("judge_upstream_error", f"the judge {plan.judge.slug}: {error}")
        if isinstance(error, NoCreditsError | KeyRejectedError):  # what comes next may need the same account
            record.cause = error
    else:
        for dropped in checked.dropped:
            record.warn(dropped)
        record.emit(events.AnalysisCompleted(checked.analysis, time.monotonic() - started))
        return checked.analysis
    return None


async def _ask_judge(record: Record, request: ChatRequest) -> tuple[ChatRequest, str]:
    """Return the judge's reply, and the request in the form that its server accepted."""
    while True:
        try:
            completion, _ = await record.call("judge", request, lambda delta: None, text_needed=False)
        except ModelRejectedError as error:
            if error.status_code not in _REFUSED or request.temperature is None:
                raise
            no_schema = request.output_format is None
            request = request._replace(output_format=None, temperature=None if no_schema else request.temperature)
        else:
            return request, completion.text


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
        (
            Message("system", prompts.ANSWER_FROM_RESULT),
            *_result_after_its_call(turn.messages, prompts.tool_answer(call, result)),
        ),
        plan.answer_max_completion_tokens,
        seed=plan.seed,
        tools=(prompts.FUSION_TOOL,),
        tool_choice="none",
    )
    as_text = as_tool._replace(
        messages=prompts.plain_answer_messages(
            record.fence, turn.prompt, record.lettered_responses(), result.get("analysis")
        ),
        tools=(),
        tool_choice=None,
    )

    async def write(request: ChatRequest) -> str:
        completion, _ = await record.call("outer", request, lambda delta: record.emit(events.AnswerDelta(delta.text)))
        return _answered(record, completion)

    if plan.outer.is_local:
        return await write(as_text)
    try:
        return await write(as_tool)
    except ModelRejectedError as error:  # a server without tools must not cost a panel that is paid for
        if error.status_code not in _REFUSED or error.partial:
            raise
        record.warn(f"{plan.outer.slug} refused the tool result ({error}): asked again in plain text")
        return await write(as_text)


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
