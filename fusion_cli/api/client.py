"""The one HTTP client of a run: streams chat completions from any number of providers.

Owns connections, retries and the translation of transport faults; knows no panel and no judge. A redirect is never
followed and a key goes to its own provider only.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from fusion_cli.api import catalogue, wire
from fusion_cli.api.connection import open_http
from fusion_cli.api.failures import error_from_body
from fusion_cli.api.retry import parse_retry_after_s, wait_before_retry_s
from fusion_cli.api.sse import EventDecoder, EventTooLargeError
from fusion_cli.chat import ChatRequest, Completion, Delta, Endpoint, ModelName, Price
from fusion_cli.errors import (
    KeyRejectedError,
    ModelError,
    ModelRejectedError,
    ModelUnreachableError,
    ServerFailedError,
)
from fusion_cli.terminal import one_line

DEPTH_HEADER = "x-openrouter-fusion-depth"
_MAX_ERROR_BYTES = 64 * 1024
_DRAIN_S = 0.1
_MAX_BODY_BYTES = 16 * 1024 * 1024
_TIMEOUT = httpx.Timeout(connect=15, read=300, write=60, pool=None)


class ChatClient:
    """A `ModelClient` over HTTP; an async context manager.

    Args:
        endpoints: Where each model of the run is served.
        transport: What carries the requests, for tests; None is the network.
        on_first_request: Called once, when the first request has been handed to the network.
        catalogue_s: How long a server may take to list its models.
    """

    def __init__(
        self,
        endpoints: Mapping[ModelName, Endpoint],
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        on_first_request: Callable[[], None] | None = None,
        catalogue_s: float = 10.0,
    ) -> None:
        self._endpoints = endpoints
        self._transport = transport
        self._on_first_request = on_first_request
        self._catalogue_s = catalogue_s
        self._catalogues: dict[str, asyncio.Task[Mapping[str, int]]] = {}
        self._http: httpx.AsyncClient

    async def __aenter__(self) -> Self:
        urls = [endpoint.base_url for endpoint in self._endpoints.values()]
        self._http = await open_http(urls, _TIMEOUT, self._transport)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asked = list(self._catalogues.values())
        for task in asked:
            task.cancel()  # a finished one does not mind
        await asyncio.gather(*asked, return_exceptions=True)
        await self._http.aclose()

    async def complete(self, request: ChatRequest, on_delta: Callable[[Delta], None]) -> Completion:
        """Stream one completion (see `chat.ModelClient`); tried again only while nothing has been shown."""
        endpoint = self._endpoints[request.model]
        headers = dict(endpoint.headers)
        if endpoint.api_key:
            headers["Authorization"] = f"Bearer {endpoint.api_key}"
        if request.fusion_depth:
            headers[DEPTH_HEADER] = str(request.fusion_depth)
        headers["Content-Type"] = "application/json"
        body = json.dumps(wire.request_body(request), ensure_ascii=False).encode("utf-8", "replace")
        url = f"{endpoint.base_url}/chat/completions"
        attempt = 0
        while True:
            attempt += 1
            assembly = wire.Assembly()
            try:
                await self._stream(url, headers, body, assembly, on_delta)
            except ModelError as error:
                error.attempts = attempt
                error.partial = assembly.text
                _hide(endpoint.api_key, error)
                if isinstance(error, KeyRejectedError):
                    error.hint = endpoint.key_hint
                wait_s = None if assembly.shown else wait_before_retry_s(error, attempt)
                if wait_s is None:
                    raise
                await asyncio.sleep(wait_s)
            else:
                return assembly.completion(attempt)

    async def context_tokens(self, model: ModelName) -> int | None:
        """Return how much the model can read and write in one call (see `chat.ModelClient`).

        A server's catalogue is asked once; whatever is wrong with it, its models' contexts are unknown then.
        """
        endpoint = self._endpoints[model]
        if endpoint.context_tokens is not None or not endpoint.has_catalogue:
            return endpoint.context_tokens
        asked = self._catalogues.get(endpoint.base_url)
        if asked is None:
            asked = self._catalogues[endpoint.base_url] = asyncio.create_task(self._catalogue(endpoint.base_url))
        # Shielded: a caller that gives up does not take the answer away from the others.
        return catalogue.find(await asyncio.shield(asked), model.slug)

    async def price(self, model: ModelName) -> Price | None:
        """Return what the model costs (see `chat.ModelClient`)."""
        return None

    async def _catalogue(self, base_url: str) -> Mapping[str, int]:
        """Return what the server tells of its models' contexts; empty when that cannot be had. No key is sent."""
        try:
            async with (
                asyncio.timeout(self._catalogue_s),
                self._http.stream("GET", f"{base_url}/models", headers={"Accept": "application/json"}) as response,
            ):
                if response.status_code != 200:
                    return {}
                body = await _read_at_most(response, _MAX_BODY_BYTES)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError):
            return {}
        return catalogue.context_lengths(body)

    async def _stream(
        self,
        url: str,
        headers: dict[str, str],
        body: bytes,
        assembly: wire.Assembly,
        on_delta: Callable[[Delta], None],
    ) -> None:
        """Carry out one attempt, its text going to `assembly` and `on_delta`."""
        try:
            async with self._http.stream(
                "POST", url, headers=headers, content=body, extensions={"trace": self._trace}
            ) as response:
                if response.status_code != 200:
                    raise await _http_error(response)
                if response.headers.get("content-type", "").startswith("application/json"):
                    whole = await _read_at_most(response, _MAX_BODY_BYTES)
                    assembly.read(wire.whole_body_as_event(whole), on_delta)
                    return
                decoder = EventDecoder()
                first = b""
                chunks = response.aiter_bytes()
                async for chunk in chunks:
                    first = first or chunk[:400]
                    events = decoder.feed(chunk)
                    if events:
                        assembly.read(events, on_delta)
                        if assembly.done or assembly.full:
                            await _drain(chunks)
                            return
                assembly.read(decoder.end(), on_delta)
        except httpx.LocalProtocolError:
            raise ModelRejectedError("the request cannot be sent: key or headers hold what no header can") from None
        except httpx.TimeoutException as error:
            if assembly.ended:
                return
            phase = "no connection" if isinstance(error, httpx.ConnectTimeout) else "the server fell silent"
            raise ModelUnreachableError(f"timed out: {phase}") from error
        except httpx.ConnectError as error:
            raise ModelUnreachableError(f"cannot connect to {httpx.URL(url).host}: {one_line(str(error))}") from error
        except httpx.HTTPError as error:
            if assembly.ended:
                return
            raise ModelUnreachableError(
                f"the connection broke: {one_line(str(error)) or type(error).__name__}"
            ) from error
        except EventTooLargeError as error:
            raise ServerFailedError("a single event of the stream is too large") from error
        if not assembly.ended:
            if not assembly.seen and first.strip() and not first.startswith(b":"):
                said = one_line(first.decode("utf-8", "replace"), 80)
                raise ServerFailedError(f"the server's answer is not an event stream: {said}")
            raise ModelUnreachableError("the stream ended early")

    async def _trace(self, name: str, info: Mapping[str, Any]) -> None:
        if self._on_first_request and name == "http11.send_request_body.complete":
            hook, self._on_first_request = self._on_first_request, None
            hook()


def _hide(api_key: str | None, error: ModelError) -> None:
    """Take the key out of what a server said about it."""
    if api_key:
        error.args = (str(error).replace(api_key, "[key]"),)


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
    body = (await _read_at_most(response, _MAX_ERROR_BYTES)).decode("utf-8", "replace")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = "it sent a web page" if "<html" in body[:2000].lower() else one_line(body)
    retry_after_s = parse_retry_after_s(response.headers.get("retry-after"))
    return error_from_body(response.status_code, value, retry_after_s)


async def _read_at_most(response: httpx.Response, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for chunk in response.aiter_bytes():
        parts.append(chunk)
        size += len(chunk)
        if size >= limit:
            break
    return b"".join(parts)[:limit]
