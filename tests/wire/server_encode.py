"""From a reply to the bytes of OpenRouter's chat completions: pure, and without a socket.

A reply becomes a sequence of steps. Bytes are to be sent, a float is a wait in seconds, and a word is
something that only the connection can do: `server_http` takes the steps as they come.
"""

import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from itertools import chain
from typing import Any, Literal

from tests.wire.server_reply import Fault, Reply, Request

Step = bytes | float | Literal["close", "reset", "stall", "complete"]

COMMENT = ": OPENROUTER PROCESSING"
BLOCK_BYTES = 1 << 16
TOOL_FRAGMENT_CHARS = 7
CREATED = 1_790_000_000


def steps(reply: Reply, request: Request) -> Iterator[Step]:
    """Yield the steps of a whole HTTP response."""
    if reply.raw is not None:
        yield reply.raw
        yield "complete"
        yield "close"
        return
    if reply.steps is not None:
        yield from reply.steps()
        yield "complete"
        yield "close"
        return
    if reply.delay_headers_s:
        yield reply.delay_headers_s
    if reply.fault and reply.fault.after is None:
        yield _silence(reply.fault)
        return
    if request.streams and reply.body is None:
        yield from _stream(reply, request)
    else:
        yield from _document(reply, request)


def _stream(reply: Reply, request: Request) -> Iterator[Step]:
    framing = "Transfer-Encoding: chunked" if reply.chunked else "Connection: close"
    yield _head(reply, reply.content_type or "text/event-stream", framing, "Cache-Control: no-cache")
    body: Iterable[Step] = events(reply, request)
    if reply.gzip:
        body = _compressed(body)
    for step in body:
        if not isinstance(step, bytes):
            yield step
            continue
        size = reply.packet_bytes or len(step)
        for at in range(0, len(step), size):
            piece = step[at : at + size]
            yield b"%x\r\n%b\r\n" % (len(piece), piece) if reply.chunked else piece
    if reply.chunked:
        yield b"0\r\n\r\n"
    if not reply.chunked or not reply.keep_alive:
        yield "close"


def _document(reply: Reply, request: Request) -> Iterator[Step]:
    fault = reply.fault
    if reply.delay_first_s:
        yield reply.delay_first_s
    body = reply.body
    if body is None:
        document = _error_chunk(reply, request, fault) if fault and fault.kind == "error" else None
        body = b" " * reply.leading_space + _dumps(document or completion(reply, request))
    if reply.gzip:
        packer = zlib.compressobj(wbits=31)
        body = packer.compress(body) + packer.flush()
    yield _head(reply, reply.content_type or "application/json", f"Content-Length: {len(body)}")
    while fault and fault.kind == "comments":
        yield b" "
        yield fault.every_s
    cut = fault is not None and fault.kind in ("close", "reset", "stall", "end")
    end = len(body) // 2 if cut else len(body)
    size = reply.packet_bytes or BLOCK_BYTES
    for at in range(0, end, size):
        yield body[at : min(at + size, end)]
    if fault and cut:
        yield _silence(fault)
    yield "complete"
    if not reply.keep_alive:
        yield "close"


def _silence(fault: Fault) -> Literal["close", "reset", "stall"]:
    return fault.kind if fault.kind in ("reset", "stall") else "close"


def _head(reply: Reply, content_type: str, *lines: str) -> bytes:
    try:
        phrase = HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = "Unknown"
    head = [f"HTTP/1.1 {reply.status} {phrase}", f"Content-Type: {content_type}", *lines]
    if reply.gzip:
        head.append("Content-Encoding: gzip")
    if not reply.keep_alive and "Connection: close" not in head:
        head.append("Connection: close")
    head.extend(f"{name}: {value}" for name, value in reply.headers.items())
    return "\r\n".join([*head, "", ""]).encode("latin-1", "surrogateescape")


def _compressed(body: Iterable[Step]) -> Iterator[Step]:
    packer = zlib.compressobj(wbits=31)
    for step in body:
        if isinstance(step, bytes):
            yield packer.compress(step) + packer.flush(zlib.Z_SYNC_FLUSH)
        elif step == "complete":
            yield packer.flush()
            yield step
        else:
            yield step


def events(reply: Reply, request: Request) -> Iterator[Step]:
    """Yield the body of a stream: its events, comments, waits and faults."""
    end = reply.line_end.encode()
    comment = COMMENT.encode() + end + end
    if reply.bom:
        yield "\ufeff".encode()
    for _ in range(reply.comments):
        yield comment
    if reply.delay_first_s:
        yield reply.delay_first_s
    if reply.nulls:
        yield _event(reply, {**_chunk(reply, request, {}), "choices": []})
    yield _event(reply, _chunk(reply, request, {"role": "assistant", "content": ""}))
    for number, delta in enumerate(chain(_deltas(reply), [None])):
        if reply.fault and reply.fault.after == number:
            yield from _broken(reply, request, reply.fault, comment)
            return
        if delta is not None:
            if number and reply.delay_chunk_s:
                yield reply.delay_chunk_s
            yield _event(reply, _chunk(reply, request, delta))
    if reply.finish_reason is not None:
        yield _event(reply, _chunk(reply, request, {"content": ""}, _finish_reason(reply)))
    if reply.usage is not None:
        yield _event(reply, {**_chunk(reply, request, {}), "choices": [], "usage": _usage(reply, request)})
    if reply.done:
        yield _data(reply, b"[DONE]")
    if reply.late:
        yield reply.late
    yield "complete"


def _broken(reply: Reply, request: Request, fault: Fault, comment: bytes) -> Iterator[Step]:
    while fault.kind == "comments":
        yield comment
        yield fault.every_s
    if fault.kind == "error":
        yield _event(reply, _error_chunk(reply, request, fault))
    if fault.kind in ("error", "end"):
        yield "complete"
    else:
        yield _silence(fault)


def _error_chunk(reply: Reply, request: Request, fault: Fault) -> dict[str, Any]:
    error = {"code": fault.code, "message": fault.message}
    return {**_chunk(reply, request, {"content": ""}, "error"), "error": error}


def _deltas(reply: Reply) -> Iterator[dict[str, Any]]:
    for piece in _pieces(reply.reasoning, reply.chunk_chars):
        details = [{"type": "reasoning.text", "text": piece, "format": "unknown", "index": 0}]
        yield {"content": "", "reasoning": piece, "reasoning_details": details}
    for piece in _pieces(reply.text, reply.chunk_chars):
        yield {"content": piece}
    if reply.refusal is not None:
        yield {"content": None, "refusal": reply.refusal}
    if reply.annotations:
        yield {"content": "", "annotations": list(reply.annotations)}
    fragments = [list(_pieces(call.arguments, TOOL_FRAGMENT_CHARS)) for call in reply.tool_calls]
    for index, call in enumerate(reply.tool_calls):
        opening = {"name": call.name, "arguments": ""}
        yield {"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": opening}]}
    for turn in range(max(map(len, fragments), default=0)):  # interleaved, so that only the index can join them
        for index, pieces in enumerate(fragments):
            if turn < len(pieces):
                yield {"tool_calls": [{"index": index, "function": {"arguments": pieces[turn]}}]}


def _pieces(text: str, size: int) -> Iterator[str]:
    for at in range(0, len(text), size):
        yield text[at : at + size]


def _finish_reason(reply: Reply) -> str | None:
    if reply.finish_reason != "auto":
        return reply.finish_reason
    return "tool_calls" if reply.tool_calls else "stop"


def _envelope(reply: Reply, request: Request, kind: str) -> dict[str, Any]:
    return {
        "id": f"gen-{CREATED}-canned",
        "provider": "Canned",
        "model": reply.model or request.model,
        "object": kind,
        "created": CREATED,
    }


def _chunk(
    reply: Reply, request: Request, delta: Mapping[str, Any], finish_reason: str | None = None
) -> dict[str, Any]:
    inner = dict(delta)
    if reply.nulls:
        inner = {
            **dict.fromkeys(("content", "reasoning", "reasoning_details", "refusal", "tool_calls")),
            **inner,
        }
    if reply.unknown_fields:
        inner["x_future"] = ["?"]
    choice = {
        "index": 0,
        "delta": inner,
        "finish_reason": finish_reason,
        "native_finish_reason": finish_reason,
        "logprobs": None,
    }
    chunk = {**_envelope(reply, request, "chat.completion.chunk"), "choices": [choice]}
    if reply.nulls:
        chunk.update(usage=None, error=None, service_tier=None)
    if reply.unknown_fields:
        chunk["x_future"] = {"data": "[DONE]"}
    return chunk


def completion(reply: Reply, request: Request) -> dict[str, Any]:
    """Return a non-streamed completion."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": reply.refusal}
    if reply.reasoning or reply.nulls:
        message["reasoning"] = reply.reasoning or None
    if reply.annotations:
        message["annotations"] = list(reply.annotations)
    if reply.tool_calls:
        message["content"] = reply.text or None
        message["tool_calls"] = [
            {
                "index": index,
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for index, call in enumerate(reply.tool_calls)
        ]
    reason = _finish_reason(reply)
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": reason,
        "native_finish_reason": reason,
        "logprobs": None,
    }
    result = {
        **_envelope(reply, request, "chat.completion"),
        "system_fingerprint": None,
        "choices": [choice],
    }
    if reply.unknown_fields:
        result["x_future"] = {"data": "[DONE]"}
    if reply.usage is not None:
        result["usage"] = _usage(reply, request)
    return result


def _usage(reply: Reply, request: Request) -> Mapping[str, Any]:
    if reply.usage != "auto":
        return reply.usage or {}
    prompt = sum(len(str(m.get("content") or "").split()) for m in request.body.get("messages", []))
    reasoning = len(reply.reasoning.split())
    said = len(reply.text.split()) + reasoning + sum(len(c.arguments.split()) for c in reply.tool_calls)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": said,
        "total_tokens": prompt + said,
        "cost": round(prompt * 1e-6 + said * 4e-6, 9),
        "is_byok": False,
        "prompt_tokens_details": {"cached_tokens": 0},
        "cost_details": {"upstream_inference_cost": None},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def _event(reply: Reply, payload: Mapping[str, Any]) -> bytes:
    return _data(reply, _dumps(payload, indent=0 if reply.multi_line else None))


def _data(reply: Reply, payload: bytes) -> bytes:
    end = reply.line_end.encode()
    prefix = b"data: " if reply.space_after_data else b"data:"
    lines = [prefix + line for line in payload.split(b"\n")]
    if reply.unknown_fields:
        lines = [b"event: message", b"id: 7", b"retry: 3000", b"x-future: yes", b"nameless", *lines]
    return end.join([*lines, b"", b""])


def _dumps(value: object, indent: int | None = None) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), indent=indent)
    text = re.sub("[\ud800-\udc7f\udd00-\udfff]", lambda m: f"\\u{ord(m[0]):04x}", text)
    return text.encode("utf-8", "surrogateescape")
