"""One attempt at one chat completion: a POST, its stream decoded, its clocks, and what faults of the network mean.

Knows no retry and no key. Only content sets the clocks: a server that sends comments for ever is as silent as one
that sends nothing.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from math import inf
from typing import Any, NamedTuple

import httpx

from fusion_cli.api import wire
from fusion_cli.api.bodies import pieces, read_at_most
from fusion_cli.api.failures import error_from_body
from fusion_cli.api.retry import parse_retry_after_s
from fusion_cli.api.sse import MAX_EVENT_BYTES, EventDecoder, EventTooLargeError
from fusion_cli.chat import Delta
from fusion_cli.counts import count
from fusion_cli.errors import (
    ModelError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnreachableError,
    ServerFailedError,
    UnusableAnswerError,
)
from fusion_cli.terminal import one_line

_MAX_ERROR_BYTES = 64 * 1024
_ERROR_BODY_S = 5.0
_PIECE_BYTES = 256 * 1024
_DRAIN_S = 0.1
_SLACK = 0.02
_AFTER_END_S = 3.0  # for the figures that may follow an answer


class Attempt(NamedTuple):
    """What is sent, and how long its answer may take.

    Attributes:
        deadline: When the first content must have come, on the loop's clock.
        timeout_s: How long that was from the start of the call.
        idle_timeout_s: How long the server may be silent after that.
        on_accepted: Called when the server has begun to answer.
        trace: Told of every step of the connection, as httpcore does it.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes
    deadline: float | None
    timeout_s: float | None
    idle_timeout_s: float | None
    on_accepted: Callable[[], None]
    trace: Callable[[str, Mapping[str, Any]], Awaitable[None]]

    def __repr__(self) -> str:
        """Say where it goes; the key among the headers is never shown."""
        return f"Attempt({self.url!r})"


async def carry_out(
    http: httpx.AsyncClient, attempt: Attempt, assembly: wire.Assembly, on_delta: Callable[[Delta], None]
) -> None:
    """Make the attempt, its text going to `assembly` and `on_delta`.

    Raises:
        ModelError: It failed; an answer that was complete when its connection broke did not.
    """
    try:
        async with asyncio.timeout_at(attempt.deadline) as clock:
            await _receive(http, attempt, assembly, on_delta, clock)
    except TimeoutError:
        if not assembly.ended:
            if assembly.contents:
                silent = ModelTimeoutError(f"silent for {attempt.idle_timeout_s:g} s")
                silent.limit = "idle_timeout"
                raise silent from None
            raise ModelTimeoutError(f"no content within {attempt.timeout_s:g} s") from None
    except httpx.LocalProtocolError:
        raise ModelRejectedError("the request cannot be sent: key or headers hold what no header can") from None
    except httpx.TimeoutException as error:
        if not assembly.ended:
            phase = "no connection" if isinstance(error, httpx.ConnectTimeout) else "the server fell silent"
            raise ModelUnreachableError(f"timed out: {phase}") from error
    except httpx.ConnectError as error:
        where = httpx.URL(attempt.url).netloc.decode("ascii")
        raise ModelUnreachableError(f"cannot connect to {where}: {one_line(str(error))}") from error
    except httpx.HTTPError as error:
        if not assembly.ended:
            said = one_line(str(error)) or type(error).__name__
            raise ModelUnreachableError(f"the connection broke: {said}") from None  # it may quote what was sent
    except ServerFailedError:
        if not assembly.ended or assembly.finish_reason == "error":
            raise
    _check(assembly)


async def _in_pieces(body: bytes) -> AsyncIterator[bytes]:
    """Yield a body in pieces: of one that is written at once, the connection keeps a copy until all of it is sent."""
    for start in range(0, len(body), _PIECE_BYTES):
        yield body[start : start + _PIECE_BYTES]


async def _receive(
    http: httpx.AsyncClient,
    attempt: Attempt,
    assembly: wire.Assembly,
    on_delta: Callable[[Delta], None],
    clock: asyncio.Timeout,
) -> None:
    headers, content = attempt.headers, attempt.body
    is_large = len(content) > _PIECE_BYTES
    if is_large:
        headers = {**headers, "Content-Length": str(len(content))}
    async with http.stream(
        "POST",
        attempt.url,
        headers=headers,
        content=_in_pieces(content) if is_large else content,
        extensions={"trace": attempt.trace},
    ) as response:
        if response.status_code != 200:
            raise await _http_error(response)
        attempt.on_accepted()
        if response.headers.get("content-type", "").startswith("application/json"):
            whole = await read_at_most(response, MAX_EVENT_BYTES + 1)
            if len(whole) > MAX_EVENT_BYTES:
                _salvage(EventTooLargeError([], whole), assembly, on_delta)
            else:
                assembly.read(wire.whole_body_as_event(whole), on_delta)
            return
        rewind_at = -inf
        first = b""
        decoder = EventDecoder()
        now = asyncio.get_running_loop().time
        try:
            chunks = pieces(response)
            async for chunk in chunks:
                first = first or chunk[:400]
                events = decoder.feed(chunk)
                if not events:
                    continue
                had_ended = assembly.ended
                if assembly.read(events, on_delta) and now() > rewind_at:
                    idle_s = inf if attempt.idle_timeout_s is None else attempt.idle_timeout_s
                    # Not for every word: a clock that runs a little longer need not be set again for as long.
                    rewind_at = now() + idle_s * _SLACK
                    clock.reschedule(None if idle_s == inf else rewind_at + idle_s)
                if assembly.ended and not had_ended:
                    on_delta(Delta("", ended=assembly.completion(1)))
                if assembly.full:
                    return
                if assembly.done:
                    await _drain(chunks)
                    return
                if assembly.ended and not had_ended:
                    clock.reschedule(now() + min(_AFTER_END_S, attempt.idle_timeout_s or _AFTER_END_S))
            assembly.read(decoder.end(), on_delta)
        except EventTooLargeError as error:
            _salvage(error, assembly, on_delta)
            return
    if not assembly.ended and not assembly.seen and first.strip() and not first.startswith(b":"):
        said = one_line(first.decode("utf-8", "replace"), 80)
        raise ServerFailedError(f"the server's answer is not an event stream: {said}")


def _salvage(error: EventTooLargeError, assembly: wire.Assembly, on_delta: Callable[[Delta], None]) -> None:
    """Take what can be had of an answer that is too large."""
    assembly.read(error.events, on_delta)
    if assembly.ended:
        return
    assembly.salvage(error.beginning, on_delta)
    if not assembly.text:
        raise UnusableAnswerError(f"a single event of the stream has more than {MAX_EVENT_BYTES:,} bytes, and no text")


def _check(assembly: wire.Assembly) -> None:
    """Raise where a stream that ended is no answer."""
    if assembly.finish_reason == "error":
        raise ServerFailedError("the server ended the answer with an error that it does not name")
    if not assembly.ended and not assembly.full:
        raise ModelUnreachableError("the stream ended early")
    if assembly.skipped and not assembly.seen:
        raise ServerFailedError(f"nothing of the stream can be read: {count(assembly.skipped, 'broken event')}")


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read the little that may follow the end, so that the connection can be used again."""
    with contextlib.suppress(TimeoutError, httpx.StreamError):
        async with asyncio.timeout(_DRAIN_S):
            async for _ in chunks:
                pass


async def _http_error(response: httpx.Response) -> ModelError:
    if response.is_redirect:
        return ModelRejectedError(
            f"HTTP {response.status_code}: the server redirects elsewhere, which is not followed",
            hint="Check the provider's base_url.",
            status_code=response.status_code,
        )
    body = b""
    # The status says enough: neither a body that drips nor one that breaks off changes what it means.
    with contextlib.suppress(TimeoutError, httpx.HTTPError, ServerFailedError):
        async with asyncio.timeout(_ERROR_BODY_S):
            body = await read_at_most(response, _MAX_ERROR_BYTES)
    text = body.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = "it sent a web page" if "<html" in text[:2000].lower() else one_line(text)
    retry_after_s = parse_retry_after_s(response.headers.get("retry-after"))
    return error_from_body(response.status_code, value, retry_after_s)
