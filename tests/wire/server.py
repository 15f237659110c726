"""A real HTTP server that speaks OpenRouter's chat completions, and misbehaves on demand.

It runs in a thread of its own on 127.0.0.1 and records every request. What it says is scripted per model and
role; `python -m tests.wire.server --latency 0.1` serves the standard deliberation by hand.
"""

import argparse
import asyncio
import signal
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from tests.wire.server_deliberation import deliberation
from tests.wire.server_encode import Step, steps
from tests.wire.server_http import Connection
from tests.wire.server_reply import Call, Fault, Reply, Request, Role, document, failure, html, redirect

__all__ = [
    "Call",
    "Fault",
    "Reply",
    "Request",
    "Responder",
    "WireServer",
    "deliberation",
    "document",
    "failure",
    "html",
    "redirect",
]

Responder = Callable[[Request], Reply]

PREFIX = "/api/v1"
CHAT = f"{PREFIX}/chat/completions"
STOP_S = 10.0


class WireServer:
    """Serve on a free port for as long as the `with` block lasts.

    A request that no script and no `default` answers gets a 400, and the block then ends with an
    AssertionError: a test must know whom it asks.

    Args:
        default: Answers whatever has no script; `deliberation()` plays all roles.
        api_key: When given, any other key gets OpenRouter's 401.
        port: 0 takes a free one.
    """

    def __init__(self, default: Responder | None = None, *, api_key: str | None = None, port: int = 0) -> None:
        self.default = default
        self.models: list[dict[str, Any]] = [_model("openai/gpt-5"), _model("anthropic/claude-opus-4.8")]
        self._api_key = api_key
        self._port = port
        self._scripts: dict[tuple[str, Role | None], list[Reply | Responder]] = {}
        self._used: dict[tuple[str, Role | None], int] = defaultdict(int)
        self._requests: list[Request] = []
        self._problems: list[Exception] = []
        self._changed = threading.Condition()
        self._started = threading.Event()

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """The base URL that a client is configured with."""
        return self.origin + PREFIX

    def script(self, target: str, *replies: Reply | Responder, role: Role | None = None) -> None:
        """Answer requests for `target` with the replies in order, the last one for ever.

        A second script for the same target and role replaces the first. The most precise one wins: model and
        role, model, `"*"` and role, `"*"`, then `default`.

        Args:
            target: A model's slug, `"*"` for every model, or a path such as `/api/v1/models`.
            replies: Replies, or callables that make one from the request.
            role: Only what this role is asked: panel, judge or outer.
        """
        assert replies, "a script needs a reply"
        with self._changed:
            self._scripts[target, role] = list(replies)
            self._used.pop((target, role), None)

    @property
    def requests(self) -> list[Request]:
        """Every request so far, in order of arrival, whatever its path."""
        with self._changed:
            return list(self._requests)

    def calls(self, role: Role | None = None, model: str | None = None) -> list[Request]:
        """Return the chat completions asked for so far, of one role or model if given."""
        chats = [request for request in self.requests if request.path == CHAT]
        return [r for r in chats if role in (None, r.role) and model in (None, r.model)]

    def forget(self) -> None:
        """Forget every request so far; what is under way goes on."""
        with self._changed:
            self._requests.clear()

    def wait_for(self, true_of: Callable[[list[Request]], bool], timeout_s: float = 5.0) -> list[Request]:
        """Wait until the requests satisfy `true_of`, and return them.

        Raises:
            AssertionError: They did not, within `timeout_s`.
        """
        with self._changed:
            happened = self._changed.wait_for(lambda: true_of(list(self._requests)), timeout_s)
            assert happened, f"not within {timeout_s} s: {[(r.path, r.model, r.outcome) for r in self._requests]}"
            return list(self._requests)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", self._port), backlog=128)
        self._port = self._listener.getsockname()[1]
        # Each connection inherits it; without, every call on a used one waits 40 ms for an acknowledgement.
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="wire-server", daemon=True)
        self._thread.start()
        self._started.wait(STOP_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_S)
        assert not self._thread.is_alive(), "the wire server did not stop"
        if error is None and self._problems:
            raise AssertionError(f"the wire server could not answer: {self._problems[0]}") from self._problems[0]

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()
        writers: set[asyncio.StreamWriter] = set()
        connections = 0

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            writers.add(writer)
            task = asyncio.create_task(self._serve(Connection(reader, writer, connections)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            task.add_done_callback(lambda _: writers.discard(writer) if writer.is_closing() else None)

        server = await asyncio.start_server(accept, sock=self._listener)
        self._started.set()
        await self._stop.wait()
        for _ in range(5):  # asyncio takes some turns to hand over what it has accepted, and loses it once closed
            await asyncio.sleep(0)
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:  # of connections that came too late to be served
            writer.transport.abort()
        await asyncio.sleep(0)
        await server.wait_closed()

    async def _serve(self, connection: Connection) -> None:
        try:
            await connection.serve(self._answer, self._notify)
        except Exception as problem:  # noqa: BLE001 - told to the test when its block ends
            self._problems.append(problem)

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _answer(self, request: Request) -> Iterator[Step]:
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()
        try:
            reply = self._reply(request)
        except Exception as problem:  # noqa: BLE001 - told to the test when its block ends
            self._problems.append(problem)
            reply = failure(400, f"the test server could not answer: {problem}")
        return steps(reply, request)

    def _reply(self, request: Request) -> Reply:
        if scripted := self._next((request.path, None)):
            return _made(scripted, request)
        if request.path == f"{PREFIX}/models":
            return document({"data": self.models})
        if request.path != CHAT:
            return failure(404, "Not Found")
        if self._api_key and request.headers.get("authorization") != f"Bearer {self._api_key}":
            return failure(401, "No auth credentials found")
        if request.method != "POST" or not isinstance(request.body, dict) or not request.body.get("messages"):
            return failure(400, "Input required: specify messages")
        for key in ((request.model, request.role), (request.model, None), ("*", request.role), ("*", None)):
            if scripted := self._next(key):
                return _made(scripted, request)
        if self.default is None:
            raise LookupError(f"no script for model {request.model!r} as {request.role}")
        return self.default(request)

    def _next(self, key: tuple[str, Role | None]) -> Reply | Responder | None:
        with self._changed:
            replies = self._scripts.get(key)
            if not replies:
                return None
            used = self._used[key]
            self._used[key] += 1
            return replies[min(used, len(replies) - 1)]


def _made(scripted: Reply | Responder, request: Request) -> Reply:
    return scripted if isinstance(scripted, Reply) else scripted(request)


def _model(slug: str) -> dict[str, Any]:
    return {
        "id": slug,
        "canonical_slug": slug,
        "name": slug,
        "created": 1_780_000_000,
        "context_length": 200_000,
        "pricing": {"prompt": "0.000001", "completion": "0.000004", "request": "0", "image": "0"},
        "supported_parameters": ["max_tokens", "reasoning", "response_format", "structured_outputs", "tools"],
        "top_provider": {"context_length": 200_000, "max_completion_tokens": 64_000, "is_moderated": False},
        "per_request_limits": None,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the standard deliberation until SIGINT or SIGTERM; the URL is the first line of stdout."""
    parser = argparse.ArgumentParser(prog="python -m tests.wire.server", description=main.__doc__)
    parser.add_argument("--latency", type=float, default=0.0, metavar="S", help="seconds before a call's first word")
    parser.add_argument("--port", type=int, default=0, help="the port to listen on; 0, the default, takes a free one")
    parser.add_argument("--api-key", help="refuse any other key with 401")
    options = parser.parse_args(arguments)
    endings = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, endings)
    with WireServer(deliberation(options.latency), api_key=options.api_key, port=options.port) as server:
        print(server.url, flush=True)
        signal.sigwait(endings)


if __name__ == "__main__":
    main()
