"""Request bodies, stream chunks and errors as they stand on the wire (specification, section 5).

Pure: dictionaries and bytes to the neutral vocabulary of `chat`, and back.
"""

import codecs
import json
import re
from collections.abc import Callable, Mapping
from io import StringIO
from typing import Any

from fusion_cli.api.failures import error_from_body
from fusion_cli.chat import ChatRequest, Citation, Completion, Delta, Message, OutputSchema, ToolCall, Usage
from fusion_cli.citations import MAX_CITATIONS, fit_citation
from fusion_cli.errors import ServerFailedError
from fusion_cli.terminal import one_line

MAX_TEXT_BYTES = 2_000_000
MAX_TOOL_CALLS = 64
_MAX_REFUSAL_CHARS = 2000
_MAX_NAME_CHARS = 200
# The text of a message whose JSON may end anywhere; a quote inside another string has a backslash before it.
_CUT_CONTENT = r'"content"\s*:\s*"((?:[^"\\]++|\\u[0-9a-fA-F]{4}|\\["\\/bfnrt])++)'


def request_body(request: ChatRequest) -> dict[str, Any]:
    """Return the JSON body of a streamed chat completion."""
    body: dict[str, Any] = {
        "model": request.model.slug,
        "messages": [_message(message) for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens": request.max_completion_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
    }
    if request.reasoning:
        halves = {"effort": request.reasoning.effort, "max_tokens": request.reasoning.max_tokens}
        body["reasoning"] = {key: value for key, value in halves.items() if value is not None}
    functions = [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in request.tools
    ]
    on_server = [
        {"type": tool.type, **({"parameters": tool.parameters} if tool.parameters else {})}
        for tool in request.server_tools
    ]
    body["tools"] = [*functions, *on_server] or None
    body["tool_choice"] = request.tool_choice if functions else None
    if on_server and request.max_tool_calls:
        body["max_tool_calls"] = request.max_tool_calls
        # Where a server knows both, this one counts: after it comes one more turn, of text.
        body["stop_server_tools_when"] = [{"type": "step_count_is", "step_count": request.max_tool_calls}]
    if isinstance(request.output_format, OutputSchema):
        schema = request.output_format
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": schema.name, "strict": True, "schema": schema.schema},
        }
    elif request.output_format:
        body["response_format"] = {"type": request.output_format}
    chosen = {key: value for key, value in body.items() if value is not None}
    others = {key: value for key, value in request.extra.items() if key not in chosen}
    return {key: _plain(value) for key, value in (chosen | others).items()}


def _plain(value: Any) -> Any:
    """Return `value` in the dictionaries and lists that JSON can be written from: a read-only mapping is neither."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def _message(message: Message) -> dict[str, Any]:
    shape: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        shape["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        shape["tool_call_id"] = message.tool_call_id
    return shape


class _Call:
    """A tool call whose fragments are still coming."""

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments = StringIO()


class Assembly:
    """Put a completion together from the chunks of a stream; no answer makes it larger than a few megabytes.

    Attributes:
        finish_reason: Why the server says that the answer ended, once it has.
        done: Whether `[DONE]` has come.
        seen: Whether anything could be read.
        shown: Whether text or thinking was passed on.
        skipped: How many events could not be read.
        contents: How many pieces of text, thinking, refusal or tool calls have come: the signs of life.
    """

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self.done = False
        self.seen = False
        self.shown = False
        self.skipped = 0
        self.contents = 0
        self._text = StringIO()
        self._size = 0
        self._thought_size = 0
        self._was_cut = False
        self._calls: dict[int, _Call] = {}
        self._citations: dict[str, Citation] = {}
        self._usage = Usage()
        self._model: str | None = None
        self._refusal = ""

    @property
    def text(self) -> str:
        """The text so far."""
        return self._text.getvalue()

    @property
    def ended(self) -> bool:
        """Whether the server has said that the answer is complete."""
        return self.done or self.finish_reason is not None

    @property
    def full(self) -> bool:
        """Whether the text has reached `MAX_TEXT_BYTES`, or was cut before; what follows is not read."""
        return self._was_cut or self._size >= MAX_TEXT_BYTES

    def read(self, events: list[bytes], on_delta: Callable[[Delta], None]) -> bool:
        """Take in the events of one network read, and report their text in one delta; say if there was content.

        Raises:
            ModelError: One of them is an error.
        """
        before = self.contents
        texts: list[str] = []
        thoughts: list[str] = []
        try:
            for data in events:
                if self.done or self.full:
                    break
                self._read_event(data, texts, thoughts)
        finally:
            if texts or thoughts:
                self.shown = True
                text = "".join(texts)
                self._text.write(text)
                on_delta(Delta(text, "".join(thoughts)))
        return self.contents != before

    def salvage(self, beginning: bytes, on_delta: Callable[[Delta], None]) -> None:
        """Take in the text of an event or a body of which there is only the beginning, as an answer that was cut."""
        said = codecs.getincrementaldecoder("utf-8")("replace").decode(beginning)  # half a character is left out
        found = re.search(_CUT_CONTENT, said)
        text = _without_halves(json.loads(f'"{found[1]}"', strict=False)) if found else ""
        self._was_cut = True
        if text := self._fitted(text):
            self.shown = True
            self.contents += 1
            self._text.write(text)
            on_delta(Delta(text))

    def _read_event(self, data: bytes, texts: list[str], thoughts: list[str]) -> None:
        if data == b"[DONE]":
            self.done = True
            return
        try:
            chunk = json.loads(data.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            chunk = None
        halves = b"\\ud" in data or b"\\uD" in data  # JSON can spell half a character
        if not isinstance(chunk, dict):
            self.skipped += 1
            return
        self.seen = True
        if chunk.get("error"):
            raise error_from_body(200, chunk)
        choices = chunk.get("choices")
        if choices and isinstance(choices, list) and isinstance(choices[0], dict):
            choice = choices[0]
            delta = choice.get("delta")
            if isinstance(delta, dict):
                text = delta.get("content")
                if text and isinstance(text, str):
                    self.contents += 1
                    texts.append(self._fitted(_without_halves(text) if halves else text))
                refusal = delta.get("refusal")
                if refusal and isinstance(refusal, str):
                    self.contents += 1
                    self._refusal = (self._refusal + refusal)[:_MAX_REFUSAL_CHARS]
                thought = delta.get("reasoning") or delta.get("reasoning_content")
                if thought and isinstance(thought, str):
                    self.contents += 1
                    room = MAX_TEXT_BYTES - self._thought_size
                    if room > 0:
                        thought, size = _beginning(_without_halves(thought) if halves else thought, room)
                        self._thought_size += size
                        thoughts.append(thought)
                calls = delta.get("tool_calls")
                if isinstance(calls, list):
                    self._read_calls(calls)
                annotations = delta.get("annotations")
                if isinstance(annotations, list):
                    self._read_annotations(annotations)
            reason = choice.get("finish_reason")
            if isinstance(reason, str):
                self.finish_reason = reason[:_MAX_NAME_CHARS]
        if chunk.get("usage"):
            self._usage = usage(chunk["usage"])
        if self._model is None and isinstance(model := chunk.get("model"), str):
            self._model = model[:_MAX_NAME_CHARS]

    def _read_calls(self, fragments: list[Any]) -> None:
        for fragment in fragments:
            if not isinstance(fragment, dict):
                continue
            index = fragment.get("index")
            if not isinstance(index, int):  # some servers leave it out: an id begins a call, the rest goes on with it
                index = len(self._calls) if fragment.get("id") or not self._calls else max(self._calls)
            if index not in self._calls and len(self._calls) >= MAX_TOOL_CALLS:
                continue
            call = self._calls.setdefault(index, _Call())
            function = fragment.get("function")
            parts = function if isinstance(function, dict) else {}
            call.id = call.id or self._part(fragment.get("id"))
            call.name = call.name or self._part(parts.get("name"))
            call.arguments.write(self._part(parts.get("arguments")))

    def _part(self, part: Any) -> str:
        """Return as much of a part of a tool call as there is room for."""
        if not part or not isinstance(part, str):
            return ""
        self.contents += 1
        return self._fitted(part)

    def _fitted(self, text: str) -> str:
        """Return as much of a text as there is room for, and take the room."""
        room = MAX_TEXT_BYTES - self._size
        if len(text) <= room and text.isascii():
            self._size += len(text)
            return text
        kept, size = _beginning(text, room)
        self._size += size
        return kept

    def _read_annotations(self, annotations: list[Any]) -> None:
        for annotation in annotations:
            if len(self._citations) >= MAX_CITATIONS:
                return
            found = _citation(annotation)
            if found:
                self._citations.setdefault(found.url, found)

    def completion(self, attempts: int) -> Completion:
        """Return the finished call."""
        return Completion(
            self.text,
            "length" if self.full else self.finish_reason,
            self._usage,
            tuple(
                ToolCall(call.id or f"call_{index}", call.name, call.arguments.getvalue())
                for index, call in sorted(self._calls.items())
            ),
            self._model,
            attempts,
            tuple(self._citations.values()),
            self._refusal,
            self.skipped,
        )


def _citation(annotation: Any) -> Citation | None:
    """Return the page that an annotation names, in either of its two shapes; None where it names none."""
    if not isinstance(annotation, dict) or annotation.get("type") != "url_citation":
        return None
    page = annotation.get("url_citation", annotation)
    return fit_citation(page) if isinstance(page, dict) else None


def _beginning(text: str, room: int) -> tuple[str, int]:
    """Return as much of `text` as fits into so many bytes of UTF-8, and how many it takes: all of them where it is cut.

    Bytes are what bounds memory: a character of Python's takes up to four of them, and one of JSON's twelve.
    """
    if text.isascii():
        return text[:room], min(len(text), room)
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) <= room:
        return text, len(encoded)
    return encoded[:room].decode("utf-8", "ignore"), room


def _without_halves(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def whole_body_as_event(body: bytes) -> list[bytes]:
    """Return a completion that came as one JSON body, as the events that a stream would have had.

    Raises:
        ServerFailedError: The body is neither a completion nor an error.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and value.get("error"):
        raise error_from_body(200, value)
    choices = value.get("choices") if isinstance(value, dict) else None
    if not (choices and isinstance(choices, list) and isinstance(choices[0], dict)):
        said = one_line(body[:400].decode("utf-8", "replace")) or "it is empty"
        raise ServerFailedError(
            f"the server's answer is not a chat completion: {said}",
            hint="Check the provider's base_url: it usually ends in /v1.",
        )
    choice = choices[0]
    choice["delta"] = choice.get("message")
    choice["finish_reason"] = choice.get("finish_reason") or "stop"
    return [json.dumps(value).encode(), b"[DONE]"]


def usage(value: Any) -> Usage:
    """Return the figures of a usage object; what is missing or no number is unknown."""
    if not isinstance(value, Mapping):
        return Usage()

    def number(source: Any, key: str) -> int | None:
        found = source.get(key) if isinstance(source, Mapping) else None
        return found if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 2**53 else None

    served = value.get("server_tool_use_details") or value.get("server_tool_use")
    cost = value.get("cost")
    known = isinstance(cost, int | float) and not isinstance(cost, bool) and 0 <= cost < 1e9
    return Usage(
        number(value, "prompt_tokens"),
        number(value, "completion_tokens"),
        number(value, "total_tokens"),
        number(value.get("completion_tokens_details"), "reasoning_tokens"),
        number(value.get("prompt_tokens_details"), "cached_tokens"),
        cost if known else None,
        number(served, "tool_calls_executed"),
        number(served, "web_search_requests"),
    )
