"""A world for one fetch: a server that sends any bytes it likes, names that lead where it wants, a network that counts.

Servers run in the test's own event loop on 127.0.0.1. Through the `Network`, the public addresses lead to one of them
and all others to a second, the trap: to connect to a forbidden address works, and is seen. The table of attacks, too.
"""

import asyncio
import gzip
import ssl
import zlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from ipaddress import ip_address
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx

from fusion_cli.web.body import MAX_BYTES, Page
from fusion_cli.web.fetch import Fetcher
from fusion_cli.web.guard import WebError

PUBLIC = "93.184.215.14"
PUBLIC_V6 = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
MAPPED = str(ip_address(f"::ffff:{PUBLIC}"))  # spelled as this Python does
LOOPBACK = [["127.0.0.1"]]
GOOD = "http://good.example/"
HTML = b"<!doctype html><title>Good</title><p>Boxk\xc3\xa4mpfer"

ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
ENDLESS_PDF = ENDLESS.replace(b"text/html", b"application/pdf")
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"

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
    """Lead the public addresses to a server, everything else into a trap, and note what was connected to.

    Args:
        server: What the public addresses lead to.
        trap: What any other address or name leads to; without one it cannot be connected to.
    """

    def __init__(self, server: HostileServer, trap: HostileServer | None = None) -> None:
        self.connected: list[str] = []
        self._server = server
        self._trap = trap
        self._real = httpx.AsyncHTTPTransport(verify=False, trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one request to where its address leads."""
        host = request.url.host
        self.connected.append(host)
        end = self._server if host in (PUBLIC, PUBLIC_V6, MAPPED) else self._trap
        if end is None:
            raise httpx.ConnectError(f"nothing is at {host}")
        url = request.url.copy_with(scheme="http", host="127.0.0.1", port=end.port)
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
        trapped: How many connections led elsewhere than to a public address.
    """

    page: Page | None
    said: str
    paths: list[str]
    connected: list[str]
    looked_up: list[str]
    asked: list[Asked]
    trapped: int


def attempt(
    url: str,
    plays: Mapping[str, Play] | Play | None = None,
    names: Mapping[str, Sequence[Sequence[str]]] | None = None,
    *,
    allow_hosts: Sequence[str] = (),
    timeout_s: float = 5.0,
    max_bytes: int = MAX_BYTES,
    **lists: Any,
) -> Outcome:
    """Fetch one URL in a world of its own, and see that the trap stays empty unless the user opened a host.

    Args:
        url: What the model asks for.
        plays: What the server does, for each path or always.
        names: Where names lead; `good.example` leads to a public address.
        allow_hosts: What the user opened.
        timeout_s: The fetcher's clock.
        max_bytes: The fetcher's limit.
        lists: The fetch's lists of domains.
    """
    if plays is not None and not isinstance(plays, Mapping):
        plays = {"*": plays}

    async def put() -> Outcome:
        resolver = Names({"good.example": [[PUBLIC]], "evil.example": [[PUBLIC]], **(names or {})})
        async with asyncio.timeout(30), HostileServer(plays) as server, HostileServer() as trap:
            network = Network(server, trap)
            page, said = None, ""
            async with Fetcher(
                allow_hosts=allow_hosts,
                resolve=resolver,
                transport=network,
                timeout_s=timeout_s,
                max_bytes=max_bytes,
            ) as fetcher:
                try:
                    page = await fetcher.fetch(url, **lists)
                except WebError as error:
                    said = str(error)
            assert page or (said and said.isprintable() and len(said) < 500)
            assert allow_hosts or not trap.connections, f"somebody knocked at {network.connected}"
            return Outcome(page, said, server.paths, network.connected, resolver.asked, server.asked, trap.connections)

    return asyncio.run(put())


def bomb(encoding: str, megabytes: int = 30, kind: str = "text/html") -> bytes:
    """Return a response of a few kilobytes that holds so many megabytes of nothing."""
    bits = {"gzip": 31, "deflate": 15, "bare deflate": -15}[encoding]
    packer = zlib.compressobj(1, wbits=bits)
    body = b"".join(packer.compress(bytes(1_000_000)) for _ in range(megabytes)) + packer.flush()
    return answer(body, f"Content-Encoding: {encoding.split()[-1]}", kind=kind)


def on(server: HostileServer, *hosts: str, **options: Any) -> Fetcher:
    """Return a fetcher on the real network for which `hosts` are on the server; `good.example` by default."""
    hosts = hosts or ("good.example",)
    options.setdefault("resolve", Names(dict.fromkeys(hosts, LOOPBACK)))
    return Fetcher(allow_hosts=[f"{host}:{server.port}" for host in hosts], **options)


def through(test: Callable[[HostileServer], Awaitable[None]], plays: dict[str, Play] | None = None, **tls: Any) -> None:
    """Run a test with a server in one event loop, which ends should nothing happen there."""

    async def run() -> None:
        async with asyncio.timeout(30), HostileServer(plays, **tls) as server:
            await test(server)

    asyncio.run(run())


async def refused(fetcher: Fetcher, url: str) -> str:
    """Return the line of a fetch that must fail."""
    try:
        page = await fetcher.fetch(url)
    except WebError as error:
        return str(error)
    raise AssertionError(f"a page came: {page.url}")


class Attack(NamedTuple):
    """A row of the table.

    Attributes:
        url: What the model asks for.
        said: What the model reads, from its beginning on; empty if it gets the beginning of the page.
        plays: What the server does.
        names: Where names lead.
        requests: How many may reach the public server; the trap sees none.
        timeout_s: The fetcher's clock.
    """

    url: str
    said: str
    plays: Play | Mapping[str, Play] | None = None
    names: Mapping[str, Sequence[Sequence[str]]] | None = None
    requests: int = 0
    timeout_s: float = 5.0


_LOOPBACK = "127.0.0.1 is not a public address (loopback)"
_TWO_READINGS = "the URL holds white space, a backslash or an invisible character"
_PASSWORD = "the URL holds a user name or password, which is never sent"
_ELSEWHERE = "good.example redirects elsewhere, which is refused: "
_REBOUND = "good.example leads to an address that is not public"
_LATE = "good.example was not done after 0.15 s"

ATTACKS = {
    "loopback": Attack("http://127.0.0.1/", _LOOPBACK),
    "mapped IPv6": Attack(
        "http://[::ffff:127.0.0.1]/", f"{ip_address('::ffff:7f00:1')} is not a public address (loopback)"
    ),
    "decimal host": Attack("http://2130706433/", _LOOPBACK),
    "octal host": Attack("http://0177.0.0.1/", _LOOPBACK),
    "hexadecimal host": Attack("http://0x7f000001/", _LOOPBACK),
    "short host": Attack("http://127.1/", _LOOPBACK),
    "metadata address": Attack(
        "http://169.254.169.254/latest/meta-data/", "169.254.169.254 is not a public address (a cloud's metadata)"
    ),
    "metadata name": Attack(
        "http://metadata.google.internal/", "metadata.google.internal is not the name of a public host"
    ),
    "userinfo that looks like the host": Attack("http://example.com@127.0.0.1/", _PASSWORD),
    "password that looks like a port": Attack("http://example.com:80@127.0.0.1/", _PASSWORD),
    "host behind a fragment": Attack("http://127.0.0.1#@example.com/", _LOOPBACK),
    "host behind a query": Attack("http://127.0.0.1?@example.com/", _LOOPBACK),
    "backslash before the @": Attack("http://127.0.0.1\\@example.com/", _TWO_READINGS),
    "backslash after the host": Attack("http://example.com\\@127.0.0.1/", _TWO_READINGS),
    "backslashes for slashes": Attack("http:\\\\127.0.0.1/", _TWO_READINGS),
    "name of a private address": Attack(GOOD, _REBOUND, names={"good.example": [["10.0.0.1"]]}),
    "name of a mapped address": Attack(GOOD, _REBOUND, names={"good.example": [["::ffff:169.254.169.254"]]}),
    "one private address among public ones": Attack(GOOD, _REBOUND, names={"good.example": [[PUBLIC, "127.0.0.1"]]}),
    "rebinding from hop to hop": Attack(
        GOOD, _REBOUND, moved("/again"), {"good.example": [[PUBLIC], ["127.0.0.1"]]}, requests=1
    ),
    "redirect to the metadata address": Attack(
        GOOD, f"{_ELSEWHERE}169.254.169.254 is not", moved("http://169.254.169.254/latest/meta-data/"), requests=1
    ),
    "redirect to loopback in decimal": Attack(GOOD, _ELSEWHERE + _LOOPBACK, moved("http://2130706433/"), requests=1),
    "redirect to a private name": Attack(
        GOOD,
        "evil.example leads to an address that is not public",
        moved("http://evil.example/"),
        {"evil.example": [["192.168.0.1"]]},
        requests=1,
    ),
    "redirect without end": Attack(GOOD, "the page redirects more than 5 times", moved("/"), requests=6),
    "bomb": Attack(GOOD, "", bomb("gzip"), requests=1),
    "bomb of a PDF": Attack(GOOD, "the PDF is larger than 1 MB", bomb("gzip", kind="application/pdf"), requests=1),
    "endless body": Attack(GOOD, "", for_ever(ENDLESS, b"x" * 60_000), requests=1),
    "endless PDF": Attack(GOOD, "the PDF is larger than 1 MB", for_ever(ENDLESS_PDF, b"x" * 60_000), requests=1),
    "slow drip": Attack(GOOD, _LATE, for_ever(ENDLESS, b"x", pause_s=0.02), requests=1, timeout_s=0.15),
    "silence": Attack(GOOD, _LATE, for_ever(b"", b"", pause_s=0.02), requests=1, timeout_s=0.15),
    "huge header": Attack(
        GOOD, "good.example does not answer in HTTP", for_ever(ENDLESS[:17] + b"A: ", b"b" * 10_000), requests=1
    ),
    "many headers": Attack(
        GOOD, "good.example sends too many headers", answer(HTML, *["X: " + "y" * 1000] * 70), requests=1
    ),
}
