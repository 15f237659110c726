"""The story of a run, and its policy: who may fail, what degrades, what is not tried.

Sequential; it touches the world through two holes, `models` and `emit`, and knows no screen, wire or file. What only
the later acts need is imported when they begin: the first request waits for none of it.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fusion_cli import events, outcome, prompts
from fusion_cli.chat import ChatRequest, Completion, Delta, Message, ModelClient, ToolCall
from fusion_cli.errors import (
    REFUSED,
    CostLimitError,
    FusionError,
    KeyRejectedError,
    ModelError,
    ModelRejectedError,
    ModelUnreachableError,
    NoCreditsError,
    RateLimitError,
    internal_error,
)
from fusion_cli.fitting import context_named, is_too_long
from fusion_cli.record import Record, Turn

if TYPE_CHECKING:  # results bring pydantic (100 ms): imported while the first responses are awaited
    from collections.abc import Iterator

    from fusion_cli.earlier import Earlier
    from fusion_cli.events import Emit
    from fusion_cli.plan import Panelist, Plan
    from fusion_cli.results import AnalysisRun, AskRun

_CONSULT_ROUNDS = 3
# Of the time that is left, so that what follows still fits: a judge, or a judge and an answer.
_PANELS_SHARE, _PANELS_SHARE_BEFORE_ANSWER = 0.75, 0.6
_JUDGES_SHARE_BEFORE_ANSWER = 0.5


async def ask(plan: Plan, models: ModelClient, emit: Emit, earlier: Earlier | None = None) -> AskRun:
    """Let the outer model answer, with the panel's help where it wants that (or the user does).

    Never raises for a model's failure or for cancellation: the run that is returned says what happened, and holds
    everything that had been answered by then. What an earlier run brought is not asked for again.

    Raises:
        CostLimitError: The run would cost more than it may; nothing was sent.
        UsageError: Nobody knows what it would cost.
    """
    record = Record(plan, models, emit, earlier)
    await record.open(answers=True)
    answer = None
    with _noting_the_end(record):
        turn = await consult(record)
        if turn.call:
            await deliberate(record, turn.prompt, turn.told, answer_follows=True)
            if (answer := record.take_up_answer()) is None:
                from fusion_cli.synthesis import synthesize

                record.begin("answer")
                answer = await synthesize(record, turn, turn.call)
        else:
            answer = turn.text
    await record.settle()
    return outcome.ask_run(record, answer)


async def analyze(plan: Plan, models: ModelClient, emit: Emit, earlier: Earlier | None = None) -> AnalysisRun:
    """Convene the panel and the judge, without an outer model. Raises as little as `ask`."""
    record = Record(plan, models, emit, earlier)
    await record.open(answers=False)
    with _noting_the_end(record):
        if earlier and earlier.prompt:
            await deliberate(record, earlier.prompt, earlier.told)
        else:
            await deliberate(record, plan.prompt.text(), plan.prompt.question)
    await record.settle()
    return outcome.analysis_run(record)


async def judge_responses(plan: Plan, models: ModelClient, emit: Emit, earlier: Earlier, missing: int) -> AnalysisRun:
    """Have the judge compare responses that exist already; no panel is called.

    `missing` is how many panelists gave none and have no seat in the plan.
    """
    from fusion_cli.judging import judge

    record = Record(plan, models, emit, earlier)
    await record.open(answers=False)
    with _noting_the_end(record):
        record.prompt = plan.prompt.text()
        record.emit(events.FusionInProgress(record.prompt, plan.prompt.question))
        _take_up(record)
        record.begin("judge")
        await judge(record, plan.prompt.text(), missing + record.silent)
    await record.settle()
    return outcome.analysis_run(record)


@contextmanager
def _noting_the_end(record: Record) -> Iterator[None]:
    """Put what ends the story early on the record: whatever was answered by then is in the result all the same."""
    try:
        yield
    except asyncio.CancelledError:
        record.fail(FusionError("cancelled"), "cancelled")
    except (ModelError, CostLimitError) as error:
        record.fail(error)
    except Exception as bug:  # noqa: BLE001  # a mistake of ours must not cost what is paid for
        record.fail(internal_error(bug), "unexpected_error")


async def consult(record: Record) -> Turn:
    """Ask the outer model whether the panel is needed; where that is decided already, nobody is asked."""
    plan, earlier = record.plan, record.earlier
    prompt, told = plan.prompt.text(), plan.prompt.question
    messages = plan.conversation or prompts.question_messages(prompt, plan.system, plan.prompt.attachments)
    if earlier and not earlier.prompt and (answer := record.take_up_answer()):
        record.emit(events.OuterDecided(convene=False, forced=plan.tool_choice == "none"))
        return Turn(messages, text=answer)
    if plan.tool_choice == "required" or (earlier and earlier.prompt):
        if earlier and earlier.prompt:
            prompt, told = earlier.prompt, earlier.told
        record.emit(events.OuterDecided(convene=True, forced=True))
        call = prompts.forced_call(told)
        return Turn((*messages, Message("assistant", "", (call,))), call=call, prompt=prompt, told=told)

    record.begin("consult")
    offered = (prompts.FUSION_TOOL,) if plan.tool_choice == "auto" else ()
    if offered and (why := record.calls.purse.why_no_panel()):
        record.forgo_panel(why)
        offered = ()
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
            record.emit(events.OuterDecided(convene=False, forced=not offered))
            return Turn(messages, text=record.answered(completion))
        record.emit(events.OuterDiscarded())
        chosen, answers = _sort_calls(completion.tool_calls)
        messages = (*messages, Message("assistant", completion.text, completion.tool_calls), *answers)
        if chosen:
            record.emit(events.OuterDecided(convene=True, forced=False))
            call, question = chosen
            return Turn(messages, call=call, prompt=plan.prompt.in_words(question), told=question)
    raise AssertionError("the last round always returns")


def _sort_calls(calls: tuple[ToolCall, ...]) -> tuple[tuple[ToolCall, str] | None, list[Message]]:
    """Return the first usable call of the tool with its prompt, and the refusals of all other calls."""
    chosen: tuple[ToolCall, str] | None = None
    refusals = []
    for call in calls:
        if call.name != prompts.FUSION_TOOL.name:
            refusals.append(prompts.tool_answer(call, {"status": "error", "error": "there is no such tool"}))
        elif chosen:
            refusals.append(prompts.tool_answer(call, prompts.CAPPED))
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


async def deliberate(record: Record, prompt: str, told: str, *, answer_follows: bool = False) -> None:
    """Convene the panel and have its responses judged; what comes of it is on the record.

    Args:
        record: The run.
        prompt: What the panel is asked.
        told: The part of it that is the question, in the words of who asked for the panel.
        answer_follows: Whether time has to be left for an answer.

    Raises:
        ModelError: The account or the key gave out in the panel, and would for judge and outer model too.
        CostLimitError: Panel or judge cannot be paid for.
    """
    record.emit(events.FusionInProgress(prompt, told))  # decided, and not to be decided again, be it paid for or not
    record.begin("panel")
    record.prompt = prompt
    missing = _take_up(record)
    record.leave_time("panel", _PANELS_SHARE_BEFORE_ANSWER if answer_follows else _PANELS_SHARE)
    await convene_panel(record, missing, prompt)
    if not record.responses:
        reason, error = _why_all_failed(list(record.failures.values()))
        record.fail(error, reason)
        return
    for error in record.failures.values():
        if isinstance(error, NoCreditsError) and record.shares_account(error, record.plan.judge):
            raise error
    if record.take_up_analysis():
        return
    if answer_follows:
        record.leave_time("judge", _JUDGES_SHARE_BEFORE_ANSWER)
    from fusion_cli.judging import judge

    record.begin("judge")
    await judge(record, prompt, record.silent)


async def convene_panel(record: Record, missing: list[Panelist], prompt: str) -> None:
    """Ask all panelists at once that have not answered; one that fails is noted and disturbs nobody."""
    async with asyncio.TaskGroup() as group:
        for panelist in missing:
            group.create_task(_ask_panelist(record, panelist, prompt))


def _take_up(record: Record) -> list[Panelist]:
    """Put on the record what an earlier run's panel said; return those who have to be asked."""
    return [panelist for panelist in record.plan.panel if not record.take_up(panelist)]


async def _ask_panelist(record: Record, panelist: Panelist, prompt: str) -> None:
    plan, emit = record.plan, record.emit
    emit(events.PanelAdded(panelist.label, panelist.model.slug))
    tools = plan.tools_for(panelist.model)
    request = ChatRequest(
        panelist.model,
        prompts.question_messages(prompt, panelist.system, plan.prompt.attachments),
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

    def show(delta: Delta) -> None:
        if delta.step:
            emit(events.PanelToolCall(panelist.label, *delta.step))
        else:
            emit(events.PanelDelta(panelist.label, delta.text, delta.reasoning))

    async def answer(request: ChatRequest) -> tuple[Completion, float]:
        return await record.call(
            "panel",
            request,
            show,
            label=panelist.label,
        )

    try:
        try:
            completion, took = await answer(request)
        except ModelRejectedError as error:
            milder = _without_what_was_refused(request, error)
            if milder is None:
                raise
            less = "without web tools" if request.server_tools and not milder.server_tools else "for a shorter text"
            record.warn(f"{panelist.label} refused ({error}): asked again {less}")
            completion, took = await answer(milder)
    except ModelError as error:
        record.panelist_failed(panelist, error)
        return
    except asyncio.CancelledError:
        took = record.calls.panelist_took(panelist.label)
        if whole := record.calls.whole.get(panelist.label):
            record.panelist_answered(panelist, whole, took)
        else:
            interrupted = ModelError("interrupted", partial=record.calls.unfinished.get(panelist.label, ""))
            interrupted.duration_s = took
            record.panelist_failed(panelist, interrupted)
        raise
    record.panelist_answered(panelist, completion, took)
    quorum = plan.limits.quorum
    if quorum is not None and len(record.responses) >= quorum:
        record.close_panel_in(plan.limits.grace_s)


def _without_what_was_refused(request: ChatRequest, error: ModelRejectedError) -> ChatRequest | None:
    """Return a panelist's request without web tools, or in its model's context, where that is what was refused."""
    said, limit = str(error).lower(), request.max_completion_tokens
    if error.partial:
        return None
    is_long = is_too_long(said, error.status_code)
    context = context_named(said) if is_long else None
    if context and limit and limit > context // 2:
        return request._replace(max_completion_tokens=context // 2)
    # Functions are offered to whatever server there is, and its refusal may say nothing of them; OpenRouter's does.
    named = not request.model.has_server_tools or "tool" in said
    if request.server_tools and error.status_code in REFUSED and named and not is_long:
        return request._replace(server_tools=(), max_tool_calls=None)
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
    for kind in (KeyRejectedError, ModelUnreachableError):
        if all(isinstance(error, kind) for error in failures):
            return "all_panels_failed", failures[0]
    return "all_panels_failed", ModelError("all panel models failed")
