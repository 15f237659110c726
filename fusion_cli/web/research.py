"""Web search and fetch for models whose server has neither: offered as functions, run here, in a bounded loop.

A `ModelClient` around another one; whoever asks sees one completion, with all its turns' usage and the pages that were
read. Owns which turns are made and in what form; what a tool does is `desk`'s business.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from fusion_cli.chat import Message, Usage
from fusion_cli.errors import REFUSED, ModelError, ModelRejectedError, ServerFailedError
from fusion_cli.fitting import is_too_long
from fusion_cli.web.desk import LEAST_TOKENS, ROOM_TOKENS, Desk, written_calls

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fusion_cli.chat import ChatRequest, Completion, Delta, ModelClient, ModelName, Price
    from fusion_cli.web.desk import Web

LAST_TURN = "You have used all your steps with tools. Answer now, from what you have."
_FORM = "format|schema|grammar|structured|json"


class _Manner(NamedTuple):
    """How a turn is put; each field gives way when a server refuses it.

    Attributes:
        is_last: Whether no tool may be called any more.
        room: How many tokens all that was read may take.
        history: Of a last turn: 0 replays calls and answers without tools, 1 with the tools declared and the choice
            "none", 2 tells them as the user's text.
        output: Of a last turn: 0 asks for the format that is wanted, 1 for any JSON where that is a schema, 2 for none.
    """

    is_last: bool
    room: int = ROOM_TOKENS
    history: int = 0
    output: int = 0


class ResearchingModels:
    """Models that can look things up, whatever their server can.

    Args:
        models: Makes each turn's call.
        web: Carries the tool calls out.
    """

    def __init__(self, models: ModelClient, web: Web) -> None:
        self._models = models
        self._web = web

    async def context_tokens(self, model: ModelName) -> int | None:
        """Return how much the model can read and write in one call (see `chat.ModelClient`)."""
        return await self._models.context_tokens(model)

    async def price(self, model: ModelName) -> Price | None:
        """Return what the model costs (see `chat.ModelClient`)."""
        return await self._models.price(model)

    async def complete(self, request: ChatRequest, on_delta: Callable[[Delta], None]) -> Completion:
        """Return the completion after as many steps with tools as the model wants and may take.

        Once something was read, a refusal costs the tools, the format or a part of what was read, in this order of
        what its words name, and the answer only when nothing is left to give up.

        Raises:
            ModelError: A turn failed; `usage` is what those before it took.
        """
        if request.model.has_server_tools or not request.server_tools:
            return await self._models.complete(request, on_delta)
        desk = Desk(self._web, request, on_delta)
        manner = _Manner(is_last=False)
        done: list[Completion] = []
        while True:
            if len(done) >= (request.max_tool_calls or 0):
                manner = manner._replace(is_last=True)
            try:
                completion = await self._models.complete(self._turn(request, desk, manner), on_delta)
            except ModelError as error:
                milder = None if error.partial else self._milder(request, desk, manner, error)
                if milder is None:
                    _note_what_was_paid(error, done)
                    raise
                manner = milder
                continue
            if not completion.tool_calls and (written := written_calls(completion.text, desk.tools)):
                # Small models write a call as text. It is one, or in a last turn no answer.
                completion = completion._replace(text="", tool_calls=written)
            done.append(completion)
            if manner.is_last or not completion.tool_calls:
                return _whole(done, desk)
            await desk.carry_out(completion)

    def _turn(self, request: ChatRequest, desk: Desk, manner: _Manner) -> ChatRequest:
        """Return one turn's request."""
        told = desk.messages(manner.room)
        offers = not manner.is_last or manner.history == 1
        if manner.is_last and told:
            if manner.history == 2:
                told = [_as_text(told)]
            # Within the last answer: several servers refuse a user's word behind a tool's.
            told[-1] = told[-1]._replace(content=f"{told[-1].content}\n\n{LAST_TURN}")
        # A format beside tools is refused by some servers, and lets no call through on others.
        output = request.output_format if manner.is_last and manner.output < 2 else None
        if output and manner.output:
            output = "json_object"
        return request._replace(
            messages=(*request.messages, *told),
            server_tools=(),
            max_tool_calls=None,
            tools=desk.tools if offers else (),
            tool_choice=("none" if manner.is_last else "auto") if offers else None,
            output_format=output,
        )

    @staticmethod
    def _milder(request: ChatRequest, desk: Desk, manner: _Manner, error: ModelError) -> _Manner | None:
        """Return how to put the turn after a refusal; None when that is the caller's to decide."""
        said = str(error).lower()
        if isinstance(error, ServerFailedError) and desk.has_told and manner.history < 2:
            return manner._replace(is_last=True, history=2)  # llama.cpp fails so over what a model wrote as a call
        if not isinstance(error, ModelRejectedError):
            return None
        if is_too_long(said, error.status_code):
            room = min(manner.room, desk.size) // 2
            return manner._replace(room=room) if desk.has_told and room >= LEAST_TOKENS // 4 else None
        if error.status_code not in REFUSED:
            return None
        if not desk.has_told:
            return None
        if not manner.is_last:
            return manner._replace(is_last=True)
        if request.output_format and manner.output < 2 and re.search(_FORM, said):
            return manner._replace(output=manner.output + 1)
        return manner._replace(history=manner.history + 1) if manner.history < 2 else None


def _as_text(told: Sequence[Message]) -> Message:
    """Return calls and their answers as one message of the user's, for servers that refuse them as what they are."""
    parts = []
    for message in told:
        if message.role == "assistant":
            parts += [f"You called {call.name} with {call.arguments}" for call in message.tool_calls]
        else:
            parts.append(f"It answered:\n{message.content}")
    return Message("user", "\n\n".join(parts))


def _note_what_was_paid(error: ModelError, done: Sequence[Completion]) -> None:
    """Put on a failure what the turns before it took; what a broken turn took nobody knows."""
    if done:
        was_refused = error.status_code and not error.partial
        error.usage = _sum([completion.usage for completion in done]) if was_refused else Usage()
        error.attempts += sum(completion.attempts - 1 for completion in done)


def _whole(turns: Sequence[Completion], desk: Desk) -> Completion:
    """Return the last turn's completion as that of all turns."""
    cited = dict(desk.cited)
    for page in (page for turn in turns for page in turn.citations):
        cited.setdefault(page.url, page)
    return turns[-1]._replace(
        usage=_sum([turn.usage for turn in turns]),
        attempts=1 + sum(turn.attempts - 1 for turn in turns),
        citations=tuple(cited.values()),
        tool_calls=(),
    )


def _sum(usages: Sequence[Usage]) -> Usage:
    """Return what all turns took; what one of them does not tell is unknown of all."""
    return Usage(*(None if None in values else sum(values) for values in zip(*usages, strict=True)))
