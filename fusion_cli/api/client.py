"""The one HTTP client of a run: streams chat completions from any number of providers.

Owns connections, retries and the translation of transport faults; knows no panel and no judge. A redirect is never
followed and a key goes to its own provider only.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from fusion_cli.api import wire
from fusion_cli.api.attempt import Attempt, carry_out
from fusion_cli.api.connection import open_http
from fusion_cli.api.failures import is_unknown_model
from fusion_cli.api.model_lists import ModelLists
from fusion_cli.api.redaction import without_key, without_whole_key
from fusion_cli.api.retry import Line, Patience, WaitingBudget
from fusion_cli.chat import ChatRequest, Completion, Delta, Endpoint, ModelName, Price, Retry
from fusion_cli.counts import count
from fusion_cli.errors import KeyRejectedError, ModelError, UnreachableError
from fusion_cli.fitting import estimated_tokens
from fusion_cli.terminal import one_line

_HINT_S = 3.0
DEPTH_HEADER = "x-openrouter-fusion-depth"
_TIMEOUT = httpx.Timeout(connect=15, read=None, write=60, pool=None)  # silence has clocks of its own


class ChatClient:
    """A `ModelClient` over HTTP; an async context manager.

    Args:
        endpoints: Where each model of the run is served.
        transport: What carries the requests, for tests; None is the network.
        on_first_request: Called once, when the first request has been handed to the network.
        cache_dir: Where model lists are kept between runs; None keeps none.
        catalogue_s: How long a server may take to list its models.
        waiting_budget: How long each call waits for rate limits.
    """

    def __init__(
        self,
        endpoints: Mapping[ModelName, Endpoint],
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        on_first_request: Callable[[], None] | None = None,
        cache_dir: Path | None = None,
        catalogue_s: float = 10.0,
        waiting_budget: WaitingBudget = WaitingBudget(),  # noqa: B008 - it is frozen
    ) -> None:
        self._endpoints = endpoints
        self._transport = transport
        self._on_first_request = on_first_request
        self._catalogue_s = catalogue_s
        self._budget = waiting_budget
        self._lines: dict[tuple[str, str | None], Line] = {}
        self._cache_dir = cache_dir
        self._http: httpx.AsyncClient
        self._lists: ModelLists

    async def __aenter__(self) -> Self:
        urls = [endpoint.base_url for endpoint in self._endpoints.values()]
        self._http = await open_http(urls, _TIMEOUT, self._transport)
        self._lists = ModelLists(self._http, self._cache_dir, self._catalogue_s)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._lists.close()
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
        now = asyncio.get_running_loop().time
        deadline = inf if request.timeout_s is None else now() + request.timeout_s
        line = self._lines.setdefault((endpoint.base_url, endpoint.api_key), Line())
        patience = Patience(self._budget, line)
        attempt = Attempt(
            f"{endpoint.base_url}/chat/completions",
            headers,
            body,
            None if request.timeout_s is None else deadline,
            request.timeout_s,
            request.idle_timeout_s,
            patience.accepted,
            self._trace,
        )
        try:
            while True:
                assembly = wire.Assembly()
                try:
                    await carry_out(self._http, attempt, assembly, on_delta)
                    return assembly.completion(patience.attempt)
                except ModelError as error:
                    await self._explain(error, request, attempt, assembly.text)
                    error.attempts = patience.attempt
                    wait_s = None if assembly.shown else patience.wait_before_retry_s(error)
                    if wait_s is None or now() + wait_s >= deadline:
                        raise
                    on_delta(Delta("", retry=Retry(patience.attempt, wait_s, str(error), error.status_code)))
                    try:
                        async with asyncio.timeout_at(attempt.deadline):
                            await patience.wait(error, wait_s)
                    except TimeoutError:
                        raise error from None
        finally:
            patience.leave()
            line.freed.set()

    async def context_tokens(self, model: ModelName) -> int | None:
        """Return how much the model can read and write in one call (see `chat.ModelClient`).

        A server's catalogue is asked once; whatever is wrong with it, its models' contexts are unknown then.
        """
        endpoint = self._endpoints[model]
        if endpoint.context_tokens is not None or not endpoint.has_catalogue:
            return endpoint.context_tokens
        listed = await self._lists.of(endpoint.base_url)
        return listed.context_tokens(model.slug) if listed else None

    async def price(self, model: ModelName) -> Price | None:
        """Return what the model costs (see `chat.ModelClient`), as its server's list has it.

        Raises:
            UnreachableError: The list could not be fetched, and none is kept.
        """
        endpoint = self._endpoints[model]
        if endpoint.is_free:
            return Price(0.0, 0.0)
        listed = await self._lists.of(endpoint.base_url)
        if listed is None and (endpoint.has_catalogue or endpoint.base_url not in self._lists.refused):
            why = self._lists.failures.get(endpoint.base_url, "")
            raise UnreachableError(f"the model list of {model.provider} could not be fetched: {why}")
        return listed.price(model.slug) if listed else None

    async def input_modalities(self, model: ModelName) -> tuple[str, ...] | None:
        """Return what the model reads, as its server's catalogue has it; None when there is none, or not that in it."""
        endpoint = self._endpoints[model]
        listed = await self._lists.of(endpoint.base_url) if endpoint.has_catalogue else None
        return listed.input_modalities(model.slug) if listed else None

    @property
    def lists(self) -> ModelLists:
        """The model lists of the servers."""
        return self._lists

    @property
    def notices(self) -> list[str]:
        """What the user may want to know of the model lists that are kept on disk, a line each."""
        return self._lists.notices

    async def _explain(self, error: ModelError, request: ChatRequest, attempt: Attempt, partial: str) -> None:
        """Add to an error what only we know of its call, and take out what nobody may see."""
        endpoint = self._endpoints[request.model]
        key, slug, said = endpoint.api_key, request.model.slug, str(error)
        if error.status_code == 413:
            tokens = sum(estimated_tokens(message.content) for message in request.messages)
            size = f"HTTP 413 for a prompt of about {count(tokens, 'token')} ({len(attempt.body):,} bytes)"
            said = said.replace("HTTP 413", size, 1)
        if is_unknown_model(error):
            said = said if slug in said else f"{said} ({slug})"
            if endpoint.has_catalogue and (meant := await self._meant(endpoint.base_url, slug)):
                said = f"{said}; did you mean {', '.join(meant)}?"
        error.args = (without_key(said, key),)
        error.hint = endpoint.key_hint if isinstance(error, KeyRejectedError) else without_key(error.hint, key)
        error.partial = without_whole_key(partial, key)

    async def _meant(self, base_url: str, slug: str) -> list[str]:
        """Return the slugs that are like one that is not there; none where the list does not come at once."""
        from fusion_cli.api.catalogue import near

        try:
            async with asyncio.timeout(_HINT_S):
                listed = await self._lists.of(base_url)
        except TimeoutError:
            return []
        return [one_line(it) for it in near(listed.models, slug)] if listed else []

    async def _trace(self, name: str, info: Mapping[str, Any]) -> None:
        if self._on_first_request and name == "http11.send_request_body.complete":
            hook, self._on_first_request = self._on_first_request, None
            hook()
