"""The story of a run, and its policy: who may fail, what degrades, what is not tried.

Sequential; it touches the world through two holes, `models` and `emit`, and knows no screen, wire or file.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING

from fusion_cli import events, prompts
from fusion_cli.chat import ChatRequest, Citation, Completion, Delta, Message, ModelClient, ToolCall
from fusion_cli.errors import (
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
from fusion_cli.judging import judge
from fusion_cli.negotiation import REFUSED
from fusion_cli.record import Record
from fusion_cli.synthesis import CAPPED, Turn, answered, synthesize

if TYPE_CHECKING:  # results bring pydantic (100 ms): imported while the first responses are awaited
    from collections.abc import Iterator, Mapping

    from fusion_cli.events import Emit
    from fusion_cli.plan import Panelist, Plan
    from fusion_cli.results import AnalysisRun, AskRun

_CONSULT_ROUNDS = 3


async def ask(plan: Plan, models: ModelClient, emit: Emit) -> AskRun:
    """Let the outer model answer, with the panel's help where it wants that (or the user does).

    Never raises for a model's failure or for cancellation: the run that is returned says what happened, and holds
    everything that had been answered by then.

    Raises:
        CostLimitError: The run would cost more than it may; nothing was sent.
        UsageError: Nobody knows what it would cost.
    """
    record = Record(plan, models, emit)
    await record.purse.open(answers=True)
    answer = None
    with _noting_the_end(record):
        turn = await consult(record)
        if turn.call:
            await deliberate(record, turn.prompt)
            record.purse.start("answer", record.said)
            answer = await synthesize(record, turn, turn.call)
        else:
            answer = turn.text
    await record.settle()
    return record.ask_run(answer)


async def analyze(plan: Plan, models: ModelClient, emit: Emit) -> AnalysisRun:
    """Convene the panel and the judge, without an outer model. Raises as little as `ask`."""
    record = Record(plan, models, emit)
    await record.purse.open(answers=False)
    with _noting_the_end(record):
        await deliberate(record, plan.prompt.text())
    await record.settle()
    return record.analysis_run()


async def judge_responses(
    plan: Plan,
    models: ModelClient,
    emit: Emit,
    *,
    responses: dict[Panelist, str],
    missing: int,
    cited: Mapping[str, tuple[Citation, ...]] = MappingProxyType({}),
) -> AnalysisRun:
    """Have the judge compare responses that exist already; no panel is called.

    `cited` are the pages that each of them cites, by label.
    """
    record = Record(plan, models, emit)
    record.responses = responses
    record.cited.update(cited)
    await record.purse.open(answers=False, known=record.said)
    with _noting_the_end(record):
        record.purse.start("judge", record.said)
        await judge(record, plan.prompt.text(), missing)
    await record.settle()
    return record.analysis_run()


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
    """Ask the outer model whether the panel is needed; where the user has decided that, nobody is asked."""
    plan = record.plan
    prompt = plan.prompt.text()
    messages = plan.conversation or prompts.question_messages(prompt, plan.system)
    if plan.tool_choice == "required":
        record.emit(events.OuterDecided(convene=True, forced=True))
        call = prompts.forced_call(plan.prompt.question)
        return Turn((*messages, Message("assistant", "", (call,))), call=call, prompt=prompt)

    record.purse.start("consult")
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
            return Turn(messages, text=answered(record, completion))
        record.emit(events.OuterDiscarded())
        chosen, answers = _sort_calls(completion.tool_calls)
        messages = (*messages, Message("assistant", completion.text, completion.tool_calls), *answers)
        if chosen:
            record.emit(events.OuterDecided(convene=True, forced=False))
            call, question = chosen
            return Turn(messages, call=call, prompt=plan.prompt.in_words(question))
    raise AssertionError("the last round always returns")


def _sort_calls(calls: tuple[ToolCall, ...]) -> tuple[tuple[ToolCall, str] | None, list[Message]]:
    """Return the first usable call of the tool with its prompt, and the refusals of all other calls."""
    chosen: tuple[ToolCall, str] | None = None
    refusals = []
    for call in calls:
        if call.name != prompts.FUSION_TOOL.name:
            refusals.append(prompts.tool_answer(call, {"status": "error", "error": "there is no such tool"}))
        elif chosen:
            refusals.append(prompts.tool_answer(call, CAPPED))
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
        CostLimitError: Panel or judge cannot be paid for.
    """
    record.purse.start("panel")
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
    record.purse.start("judge", record.said)
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
    record.cited[panelist.label] = completion.citations
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
            completion.citations,
        )
    )


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
    if len({type(error) for error in failures}) == 1 and isinstance(
        failures[0], KeyRejectedError | ModelUnreachableError
    ):
        return "all_panels_failed", failures[0]
    return "all_panels_failed", ModelError("all panel models failed")
