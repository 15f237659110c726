"""The messages of an upstream request to a conversation in text: every role, earlier tool calls and their results.

What is no text is refused with its place. Nothing is reworded: the outer model reads the messages as they stand.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fusion_cli import values
from fusion_cli.body import ARRAY, OBJECT, TYPED, Body, given
from fusion_cli.chat import Message, Role, ToolCall
from fusion_cli.values import describe, shown

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",  # the newer name of the same, which few servers know
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}


def read_messages(body: Body, rows: Any) -> tuple[Message, ...]:
    """Return the conversation, which ends with the user's question.

    Raises:
        UsageError: It does not, or a message cannot be passed on.
    """
    if rows is None or rows == []:
        body.refuse("messages", "an array of messages", "nothing" if rows is None else "an empty one")
    messages = []
    unanswered: dict[str, None] = {}
    for index, row in enumerate(body.fit(ARRAY, rows, "messages")):
        where = f"messages[{index}]"
        message = _message(body, given(body.fit(OBJECT, row, where)), where)
        if message.tool_call_id is not None:
            if message.tool_call_id not in unanswered:
                found = describe(message.tool_call_id)
                body.refuse(f"{where}.tool_call_id", "the id of a call that was made just before", found)
            del unanswered[message.tool_call_id]
        elif unanswered:
            missing = describe(next(iter(unanswered)))
            body.refuse(where, f"the result of the tool call {missing}", f"a message of the role {message.role}")
        unanswered |= dict.fromkeys(call.id for call in message.tool_calls)
        messages.append(message)
    if messages[-1].role != "user":
        raise body.error(f"messages: the last message must be the user's, found one of the role {messages[-1].role}")
    if not messages[-1].content.strip():
        raise body.error(f"messages[{len(messages) - 1}].content: the question is empty")
    return tuple(messages)


def transcript(messages: Sequence[Message]) -> str:
    """Return a conversation as text, for who has not been part of it."""
    return "\n\n".join(map(_spoken, messages))


def _spoken(message: Message) -> str:
    calls = [f"[calls {call.name} with {call.arguments}]" for call in message.tool_calls]
    said = [message.content] if message.content or not calls else []
    return f"{message.role.capitalize()}: " + "\n".join([*said, *calls])


def _message(body: Body, row: dict[str, Any], where: str) -> Message:
    role = row.pop("role", None)
    if not isinstance(role, str) or role not in _ROLES:
        body.refuse(f"{where}.role", f"one of {', '.join(_ROLES)}", describe(role))
    calls: tuple[ToolCall, ...] = ()
    call_id = None
    refusal = ""
    if role == "assistant":
        refusal = _text(body, row.pop("refusal", ""), f"{where}.refusal")
        entries = body.fit(ARRAY, row.pop("tool_calls", []), f"{where}.tool_calls")
        calls = tuple(_call(body, entry, f"{where}.tool_calls[{index}]") for index, entry in enumerate(entries))
    elif role == "tool":
        call_id = body.fit(values.TEXT, row.pop("tool_call_id", None), f"{where}.tool_call_id")
    content = _text(body, row.pop("content", "" if calls or refusal else None), f"{where}.content")
    if refusal and content.strip():
        body.leave_out(["refusal"], "messages[]")
    elif refusal:
        content = refusal
    body.leave_out(row, "messages[]")
    return Message(_ROLES[role], content, calls, call_id)


def _call(body: Body, value: object, where: str) -> ToolCall:
    call = given(body.fit(OBJECT, value, where))
    function = given(body.fit(OBJECT, call.get("function"), f"{where}.function"))
    if call.get("type", "function") != "function":
        body.refuse(f"{where}.type", "function", describe(call["type"]))
    body.leave_out([key for key in call if key not in ("id", "type", "function")], "messages[].tool_calls[]")
    unknown = [key for key in function if key not in ("name", "arguments")]
    body.leave_out(unknown, "messages[].tool_calls[].function")
    arguments = function.get("arguments")
    if isinstance(arguments, str) and not arguments.strip():
        arguments = "{}"  # what a model means that writes nothing, and what every server reads
    return ToolCall(
        body.fit(values.TEXT, call.get("id"), f"{where}.id"),
        body.fit(values.TEXT, function.get("name"), f"{where}.function.name"),
        body.fit(values.TEXT, arguments, f"{where}.function.arguments"),
    )


def _text(body: Body, value: object, where: str) -> str:
    """Return a text, or the lines that its parts are."""
    if isinstance(value, str):
        if "\0" in value:
            body.refuse(where, "text", "a NUL character in it")
        return value
    if not isinstance(value, list):
        body.refuse(where, "text", describe(value))
    texts = []
    for index, entry in enumerate(value):
        part = given(body.fit(TYPED, entry, f"{where}[{index}]"))
        if part["type"] != "text":
            article = "an" if part["type"][:1] in "aeiou" else "a"
            body.refuse(where, "text", f"{article} {shown(part['type'])} part")
        text = part.get("text")
        if not isinstance(text, str):
            body.refuse(f"{where}[{index}].text", "text", describe(text))
        texts.append(_text(body, text, where))
        body.leave_out([key for key in part if key not in ("type", "text")], "messages[].content[]")
    return "\n".join(texts)
