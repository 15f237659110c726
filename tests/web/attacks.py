"""A world for one fetch: a server that sends any bytes it likes, names that lead where it wants, a network that counts.

The server runs in the test's own event loop on 127.0.0.1. Through the `Network`, every address of the world leads to
it, so that a public address can be connected to and a forbidden one would be seen.
"""

import asyncio
import gzip
import ssl
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx

from fusion_cli.web.fetch import Fetcher, Page
from fusion_cli.web.guard import WebError

PUBLIC = "93.184.215.14"
PUBLIC_V6 = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
HTML = b"<!doctype html><title>Good</title><p>Boxk\xc3\xa4mpfer"

Play = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


def answer(
    body: bytes = HTML, *headers: str, status: str = "200 OK", kind: str | None = "text/html", length: int | None = None
) -> bytes:
    """Return a response as it goes over the wire; `kind` and `length` lie as they are told to."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    if kind is not None:
        lines.append(f"Content-Type: {kind}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def moved(location: str, status: str = "302 Found") -> bytes:
    """Return a redirect."""
    return answer(b"", f"Location: {location}", status=status)


def packed(body: bytes) -> bytes:
    """Return a response that is compressed as was asked for."""
    return answer(gzip.compress(body), "Content-Encoding: gzip")


def for_ever(start: bytes, piece: bytes, pause_s: float = 0.0) -> Play:
    """Return a play that sends `start`, and then `piece` again and again until nobody listens."""

    async def play(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            await writer.drain()
            writer.write(piece)
            await asyncio.sleep(pause_s)

    return play


async def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection without a word."""
    writer.transport.abort()


class Asked(NamedTuple):
    """A request as it arrived."""

    path: str
    headers: list[tuple[str, str]]


class HostileServer:
    """Play what the test wrote for a path, `*` for every other; an async context manager.

    Args:
        plays: What to send; None plays the good page everywhere.
        tls: The server's side of TLS, or None for plain HTTP.
    """

    def __init__(self, plays: Mapping[str, Play] | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.plays = {"*": answer()} if plays is None else plays
        self.asked: list[Asked] = []
        self.connections = 0
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [asked.path for asked in self.asked]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until the client goes away: this server never closes first, whatever it was asked to."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                path = head[0].split(" ")[1]
                self.asked.append(
                    Asked(path, [(n.lower(), v) for n, _, v in (line.partition(": ") for line in head[1:-2])])
                )
                play = self.plays.get(path) or self.plays["*"]
                if isinstance(play, bytes):
                    writer.write(play)
                    await writer.drain()
                else:
                    await play(writer)
        except (OSError, EOFError, ssl.SSLError):
            pass
        finally:
            writer.transport.abort()


class Names:
    """A resolver whose answers are scripted: one list of addresses a look-up, the last one for ever."""

    def __init__(self, answers: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self._answers = answers
        self._used: dict[str, int] = defaultdict(int)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Answer one look-up; a host that is an address leads to itself, and an unknown one nowhere."""
        self.asked.append(host)
        answers = self._answers.get(host, [[host] if ":" in host or host[0].isdigit() else []])
        self._used[host] += 1
        return answers[min(self._used[host], len(answers)) - 1]


class Network(httpx.AsyncBaseTransport):
    """Lead every address to one server, and note which was connected to."""

    def __init__(self, server: HostileServer) -> None:
        self.connected: list[str] = []
        self._server = server
        self._real = httpx.AsyncHTTPTransport(verify=False, trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one request to the server, whatever it is addressed to."""
        self.connected.append(request.url.host)
        url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self._server.port)
        return await self._real.handle_async_request(
            httpx.Request(request.method, url, headers=request.headers, extensions=request.extensions)
        )

    async def aclose(self) -> None:
        """Close what is open."""
        await self._real.aclose()


class Outcome(NamedTuple):
    """What came of a fetch, and what the world saw of it.

    Attributes:
        page: What came back, or None.
        said: The error's line, or an empty string.
        paths: What the server was asked for.
        connected: The addresses that were connected to.
        looked_up: The names that were.
        asked: The requests whole.
    """

    page: Page | None
    said: str
    paths: list[str]
    connected: list[str]
    looked_up: list[str]
    asked: list[Asked]


def attempt(
    url: str,
    plays: Mapping[str, Play] | Play | None = None,
    names: Mapping[str, Sequence[Sequence[str]]] | None = None,
    *,
    timeout_s: float = 5.0,
    **lists: Any,
) -> Outcome:
    """Fetch one URL in a world of its own.

    Args:
        url: What the model asks for.
        plays: What the server does, for each path or always.
        names: Where names lead; `good.example` leads to a public address.
        timeout_s: The fetcher's clock.
        lists: The fetch's lists of domains.
    """
    if plays is not None and not isinstance(plays, Mapping):
        plays = {"*": plays}

    async def put() -> Outcome:
        resolver = Names({"good.example": [[PUBLIC]], "evil.example": [[PUBLIC]], **(names or {})})
        async with HostileServer(plays) as server:
            network = Network(server)
            page, said = None, ""
            async with Fetcher(resolve=resolver, transport=network, timeout_s=timeout_s) as fetcher:
                try:
                    page = await fetcher.fetch(url, **lists)
                except WebError as error:
                    said = str(error)
            assert page or (said and said.isprintable() and len(said) < 500)
            return Outcome(page, said, server.paths, network.connected, resolver.asked, server.asked)

    return asyncio.run(put())
