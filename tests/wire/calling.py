"""Puts requests to the test server through a real client, and asks what its errors look like."""

import asyncio
import re
import traceback
from collections.abc import Callable
from typing import Any

from fusion_cli.api.client import ChatClient
from fusion_cli.chat import ChatRequest, Completion, Delta, Endpoint, Message, ModelName
from fusion_cli.errors import ModelError
from tests.wire.server import WireServer

MODEL = ModelName("lab", "openai/gpt-5")
REQUEST = ChatRequest(MODEL, (Message("user", "Which DB?"),))
KEY = "sk-canary-0123456789"


def put(
    server: WireServer,
    *requests: ChatRequest,
    on_delta: Callable[[Delta], None] = lambda delta: None,
    **client: Any,
) -> list[Completion | BaseException]:
    """Put the requests to a server all at once through one client; return completions and errors, in their order."""

    async def ask() -> list[Completion | BaseException]:
        models = {request.model for request in requests}
        async with ChatClient(dict.fromkeys(models, Endpoint(server.url, KEY)), **client) as asked:
            calls = [asked.complete(request, on_delta) for request in requests]
            return await asyncio.gather(*calls, return_exceptions=True)

    return asyncio.run(ask())


def failed(
    server: WireServer, kind: type[ModelError], match: str = "", request: ChatRequest = REQUEST, **client: Any
) -> ModelError:
    """Return the error of a call that must fail with exactly this kind, on one printable line without the key."""
    (error,) = put(server, request, **client)
    assert isinstance(error, ModelError), error
    assert type(error) is kind
    assert re.search(match, str(error)), error
    assert str(error).isprintable()
    assert KEY not in "".join(traceback.format_exception(error))
    assert KEY not in f"{error!r} {vars(error)!r}"
    return error
