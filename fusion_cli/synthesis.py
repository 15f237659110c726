"""The outer model's last turn: the answer, written from the panel's responses and the judge's analysis.

Owns the forms in which the result reaches it, and what is done when it or its server will not have them. Knows neither
how the panel was convened nor whether the answer is good enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusion_cli import events, outcome, prompts
from fusion_cli.chat import ChatRequest, Message
from fusion_cli.errors import REFUSED, ModelRejectedError
from fusion_cli.fitting import SURELY_READ_TOKENS, estimated_tokens, fit_into
from fusion_cli.negotiation import Form

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusion_cli.chat import Completion, ToolCall
    from fusion_cli.record import Record, Turn


async def synthesize(record: Record, turn: Turn, call: ToolCall) -> str:
    """Have the outer model write the answer from the tool result, or alone where there is none.

    Raises:
        ModelError: There is no answer.
    """
    plan = record.plan
    if record.cause and record.shares_account(record.cause, plan.outer):
        raise record.cause
    result, sources = outcome.tool_result(record).for_outer_model(), prompts.numbered_sources(record.sources())
    if sources:
        result["sources"] = sources
    as_tool = ChatRequest(
        plan.outer,
        prompts.answer_messages(
            _result_after_its_call(turn.messages, prompts.tool_answer(call, result)), has_sources=bool(sources)
        ),
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

    pages: prompts.Cited = record.lettered_sources()

    def messages(responses: Mapping[str, str]) -> tuple[Message, ...]:
        return prompts.plain_answer_messages(
            record.fence,
            asked,
            responses,
            analysis,
            system,
            small_model=plan.outer.is_local,
            sources=pages,
            cut=record.letters_of_cut(),
            attachments=plan.prompt.attachments,
        )

    responses = record.lettered_responses()
    size = sum(estimated_tokens(message.content) for message in messages(responses))
    if plan.outer.is_local or size > SURELY_READ_TOKENS:
        context = await record.models.context_tokens(plan.outer)
        if context is not None:
            whole = Form(limit=as_tool.max_completion_tokens).within(context)
            pages = prompts.sources_within(whole.room, pages)
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
        refusals = (prompts.tool_answer(call, prompts.CAPPED) for call in completion.tool_calls)
        again = Message("assistant", completion.text, completion.tool_calls)
        completion = await ask_outer(request._replace(messages=(*request.messages, again, *refusals)), last=True)
    return record.answered(completion)


def _result_after_its_call(messages: tuple[Message, ...], result: Message) -> tuple[Message, ...]:
    """Return the conversation with the tool's result first among the answers to that turn's calls."""
    turn = next(index for index, message in reversed(list(enumerate(messages))) if message.tool_calls)
    return (*messages[: turn + 1], result, *messages[turn + 1 :])
