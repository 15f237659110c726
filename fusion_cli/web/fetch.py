"""Fetches pages that a model chose: every hop checked, connected to a checked address, cut off by clock and size.

Owns look-ups, connections, redirects, limits and what was fetched before; knows nothing of what a page says and
executes nothing of it. Whatever goes wrong becomes one `WebError`; nothing that a server sent is sent anywhere again.
"""

import asyncio
import codecs
import re
import socket
import ssl
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, NamedTuple, Self

import httpx

from fusion_cli import __version__
from fusion_cli.web.guard import Target, WebError, check_address, check_url, is_exempt, redirected

MAX_BYTES = 5_000_000
_MAX_HEADER_BYTES = 64 * 1024
_MAX_REDIRECTS = 5
_MAX_CONNECTIONS_PER_HOST = 4
_MAX_ADDRESSES = 4
_CONNECT_S = 5.0
_MAX_PIECES = 50_000  # a body of single bytes costs far more time to take apart than to send
_SNIFFED_BYTES = 512
_PDF = "application/pdf"
_TOO_LARGE = f"the PDF is larger than {MAX_BYTES // 1_000_000} MB"
# What reads as text. XML is also text/xml (RFC 7303), as which most feeds are served; XHTML ends in +xml.
_TEXTS = re.compile(r"text/(html|plain|markdown|csv|xml)|application/(json|xml)|.*\+(json|xml)")
_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,60}")
_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([a-z0-9_.:-]{1,40})""", re.IGNORECASE)
# What Python calls the encodings of pages; among those that it knows besides are escapes, Punycode and the like.
_ENCODINGS = re.compile(r"(utf-(8|16|32)|ascii|iso8859|cp\d|koi8|mac-|gb|big5|euc_|shift_jis|iso2022|tis-620).*")
_SENT = {
    "User-Agent": f"fusion/{__version__}",
    "Accept": "text/html, application/xhtml+xml, text/plain, text/markdown, application/json, application/xml;q=0.9, "
    "application/pdf;q=0.9, */*;q=0.1",
    "Accept-Encoding": "gzip",
    "Connection": "close",
}

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class Page(NamedTuple):
    """What a server sent, decompressed and otherwise as it came.

    Attributes:
        url: Where it was in the end, after redirects.
        content_type: In lower case, without parameters; sniffed if the server named none.
        charset: Python's name of an encoding for text, as the server says; None if it does not, or names no such one.
        body: At most `MAX_BYTES`; nothing says that it is what `content_type` claims.
        truncated: Whether the body was longer.
    """

    url: str
    content_type: str
    charset: str | None
    body: bytes
    truncated: bool


class _Rules(NamedTuple):
    """What one fetch may ask for, on every hop."""

    allow_hosts: Collection[str]
    allowed_domains: tuple[str, ...]
    blocked_domains: tuple[str, ...]

    def check(self, url: str) -> Target:
        return check_url(url, **self._asdict())


async def look_up(host: str, port: int) -> Sequence[str]:
    """Return a host's addresses, as the operating system finds and sorts them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Fetcher:
    """Fetch for one run; an async context manager.

    Args:
        allow_hosts: `host:port` of servers that may be anywhere, on this machine too (see `guard.check_url`).
        max_fetches: How many pages the run may ask for; one that is known already does not count.
        timeout_s: What one page may take from look-up to last byte, redirects included; waiting for a turn aside.
        resolve: Finds the addresses of a name; asked once for each hop.
        tls: Whom to trust; None is what httpx trusts.
        transport: What carries the requests, which are addressed to checked addresses; None is the network.
    """

    def __init__(
        self,
        *,
        allow_hosts: Collection[str] = (),
        max_fetches: int = 40,
        timeout_s: float = 20.0,
        resolve: Resolve = look_up,
        tls: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._allow_hosts = frozenset(allow_hosts)
        self._max_fetches = max_fetches
        self._timeout_s = timeout_s
        self._resolve = resolve
        self._tls = tls
        self._transport = transport
        self._starting = asyncio.Lock()
        self._turns: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(_MAX_CONNECTIONS_PER_HOST))
        self._fetches: dict[tuple[str, _Rules], asyncio.Task[Page | WebError]] = {}
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        self._closed = True
        asked = list(self._fetches.values())
        for task in asked:
            task.cancel()  # a finished one does not mind
        await asyncio.gather(*asked, return_exceptions=True)
        if self._transport:
            await self._transport.aclose()

    async def fetch(
        self, url: str, *, allowed_domains: Sequence[str] = (), blocked_domains: Sequence[str] = ()
    ) -> Page:
        """Return the page at `url`, fetched once a run whatever came of it.

        Args:
            url: What the model wrote.
            allowed_domains: Unless empty, only these and their subdomains, on every hop.
            blocked_domains: Not these, nor their subdomains, on any hop.

        Raises:
            WebError: There is no page; one line says why. Nothing else is raised, cancellation aside.
        """
        rules = _Rules(self._allow_hosts, tuple(allowed_domains), tuple(blocked_domains))
        target = rules.check(url)
        task = self._fetches.get((target.url, rules))
        if self._closed:
            raise WebError("the run is over")
        if task is None:
            if len(self._fetches) >= self._max_fetches:
                raise WebError(f"this run has fetched {self._max_fetches} pages already, and may fetch no more")
            task = self._fetches[target.url, rules] = asyncio.create_task(self._outcome(target, rules))
        # Shielded: a caller that gives up does not take the page away from the others.
        outcome = await asyncio.shield(task)
        if isinstance(outcome, WebError):
            raise WebError(str(outcome))
        return outcome

    async def _outcome(self, target: Target, rules: _Rules) -> Page | WebError:
        """Return the page or why there is none, as a new error: one that was raised keeps what it passed alive."""
        try:
            async with asyncio.timeout(self._timeout_s) as clock:
                return await self._follow(target, rules, clock)
        except WebError as error:
            return WebError(str(error))
        except TimeoutError:
            return WebError(f"{target.host} was not done after {self._timeout_s:g} s")
        except Exception as error:  # noqa: BLE001 - whatever a hostile page finds to break costs that page alone
            return WebError(f"{target.host} could not be fetched ({type(error).__name__})")

    async def _follow(self, target: Target, rules: _Rules, clock: asyncio.Timeout) -> Page:
        for _ in range(1 + _MAX_REDIRECTS):
            async with self._turn(target.host, clock), self._response(target) as response:
                location = _location(response)
                if location is None:
                    return await _page(response, target)
            try:
                target = rules.check(redirected(target, location))
            except WebError as error:
                raise WebError(f"{target.host} redirects elsewhere, which is refused: {error}") from None
        raise WebError(f"the page redirects more than {_MAX_REDIRECTS} times")

    @asynccontextmanager
    async def _turn(self, host: str, clock: asyncio.Timeout) -> AsyncIterator[None]:
        """Wait, the clock standing still, until a connection to `host` may be opened."""
        now = asyncio.get_running_loop().time
        left = (clock.when() or now()) - now()
        clock.reschedule(None)
        async with self._turns[host]:
            clock.reschedule(now() + left)
            yield

    @asynccontextmanager
    async def _response(self, target: Target) -> AsyncIterator[httpx.Response]:
        """Ask the first checked address that can be connected to; the connection ends with the block."""
        network = await self._network()
        response = await self._ask(network, target, await self._addresses(target))
        try:
            if sum(len(name) + len(value) + 4 for name, value in response.headers.raw) > _MAX_HEADER_BYTES:
                raise WebError(f"{target.host} sends too many headers")
            yield response
        finally:
            await response.aclose()

    async def _network(self) -> httpx.AsyncBaseTransport:
        """Return the transport, made when first needed.

        Bare, without a client around it: so there are no cookies, no redirects and nothing from the environment. No
        connection is used twice, for it would have been verified for another name at the same address.
        """
        async with self._starting:
            if self._transport is None:
                try:
                    if self._tls is None:
                        self._tls = await asyncio.to_thread(httpx.create_ssl_context)
                except (OSError, ValueError):
                    raise WebError("nothing can be fetched: the certificates to trust cannot be loaded") from None
                limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
                self._transport = httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False, limits=limits)
        return self._transport

    async def _addresses(self, target: Target) -> Sequence[str]:
        """Return where to connect, every address of the name being one that may be fetched from."""
        try:
            found = await self._resolve(target.host, target.port)
        except (OSError, ValueError):
            found = []
        if not found:
            raise WebError(f"there is no host named {target.host}")
        if not is_exempt(target, self._allow_hosts):
            try:
                for address in found:
                    check_address(address)
            except WebError:  # not told which: the model could ask through us what the local network looks like
                raise WebError(f"{target.host} leads to an address that is not public") from None
        return list(dict.fromkeys(found))[:_MAX_ADDRESSES]

    async def _ask(self, network: httpx.AsyncBaseTransport, target: Target, addresses: Sequence[str]) -> httpx.Response:
        url = httpx.URL(target.url)
        opened: list[Any] = []

        async def note(event: str, details: dict[str, Any]) -> None:
            if event == "connection.connect_tcp.complete":
                opened.append(details["return_value"])

        for address in addresses:
            request = httpx.Request(
                "GET",
                url.copy_with(host=address),
                headers={"Host": url.netloc.decode("ascii"), **_SENT},
                # The certificate is verified for the name. Reading has no limit of its own: the clock has.
                extensions={"sni_hostname": target.host, "timeout": {"connect": _CONNECT_S}, "trace": note},
            )
            try:
                return await network.handle_async_request(request)
            except asyncio.CancelledError:
                for stream in opened:  # the client forgets a connection that is cancelled while TLS is agreed on
                    await stream.aclose()
                raise
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if distrusted := _distrusted(error):
                    raise WebError(f"{target.host} cannot be trusted: {distrusted}") from None
            except httpx.RemoteProtocolError:
                raise WebError(f"{target.host} does not answer in HTTP as it should") from None
            except httpx.HTTPError:
                raise WebError(f"{target.host} broke the connection off") from None
        raise WebError(f"{target.host} cannot be connected to")


def _distrusted(error: BaseException | None) -> str | None:
    """Return why TLS could not be spoken with a server, if that is what lies under an error."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message.rstrip(".")
        if isinstance(error, ssl.SSLError):
            return "no encrypted connection could be agreed on"
        error = error.__cause__ or error.__context__
    return None


def _location(response: httpx.Response) -> str | None:
    """Return where a redirect leads, or None for the page itself.

    Raises:
        WebError: It is neither.
    """
    status = response.status_code
    locations = response.headers.get_list("location")
    if status in (301, 302, 303, 307, 308) and locations:
        return locations[0]
    if status != 200:
        phrase = f" ({HTTPStatus(status).phrase})" if status in set(HTTPStatus) else ""
        raise WebError(f"the server answers with status {status}{phrase} instead of a page")
    return None


async def _page(response: httpx.Response, target: Target) -> Page:
    """Read the body, as far as it is wanted."""
    kind, charset = _content_type(response.headers.get_list("content-type"))
    unpacker = _Unpacker(response.headers.get("content-encoding", ""))
    length = response.headers.get("content-length", "")
    if kind == _PDF and length.isdecimal() and (len(length) > 15 or int(length) > MAX_BYTES):
        raise WebError(_TOO_LARGE)
    body = bytearray()
    sent = pieces = 0
    truncated = False
    try:
        async for piece in response.aiter_raw():
            sent += len(piece)
            body += unpacker.feed(piece, MAX_BYTES + 1 - len(body))
            if kind is None and len(body) >= _SNIFFED_BYTES:
                kind = _sniffed(body)
            pieces += 1
            truncated = max(sent, len(body)) > MAX_BYTES or pieces > _MAX_PIECES
            if unpacker.ended or truncated:
                break
            if pieces % 100 == 0:  # what has arrived already is read without a pause, in which others could run
                await asyncio.sleep(0)
    except (httpx.HTTPError, httpx.StreamError):
        raise WebError(f"{target.host} broke the connection off before the page was whole") from None
    if sent and unpacker.compressed and not unpacker.ended and not truncated:
        raise WebError("the page is compressed, and ends before its end")
    kind = kind or _sniffed(body)
    if truncated and kind == _PDF:
        raise WebError(_TOO_LARGE)
    return Page(target.url, kind, charset, bytes(body[:MAX_BYTES]), truncated)


def _content_type(values: Sequence[str]) -> tuple[str | None, str | None]:
    """Return type and charset as a server names them, each None if it does not.

    Raises:
        WebError: Nobody here can read such a thing.
    """
    value = values[0] if values else ""
    kind = value.partition(";")[0].strip().lower()
    if kind and not _TYPE.fullmatch(kind):
        raise WebError("it is not a page that can be read, nor is its type")
    if kind and kind != _PDF and not _TEXTS.fullmatch(kind):
        raise WebError(f"it is not a page that can be read, but {kind}")
    named = _CHARSET.search(value)
    try:
        charset = codecs.lookup(named[1]).name if named else ""
    except (LookupError, ValueError):
        charset = ""
    return kind or None, charset if _ENCODINGS.fullmatch(charset) else None


def _sniffed(body: bytes | bytearray) -> str:
    """Return the type of a body whose server names none.

    Raises:
        WebError: It is not text.
    """
    start = bytes(body[:_SNIFFED_BYTES]).removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if start.startswith(b"%pdf-"):
        return _PDF
    if re.match(rb"<(!doctype html|html|head|body|title|meta|!--)", start):
        return "text/html"
    if start.startswith(b"<?xml"):
        return "application/xml"
    if re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", start):
        raise WebError("it is not a page that can be read, but something binary without a type")
    return "text/plain"


class _Unpacker:
    """Undo a body's compression, never making more of it than is asked for."""

    def __init__(self, encoding: str) -> None:
        encoding = encoding.strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise WebError("the page is compressed in a way that was not asked for")
        self.compressed = encoding not in ("", "identity")
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | (16 if "gzip" in encoding else 0))
        # Some servers send deflate bare, which shows in the first two bytes.
        self._maybe_bare = encoding == "deflate"
        self._head = b""

    @property
    def ended(self) -> bool:
        """Whether a compressed body has come to its end; what follows is nobody's."""
        return self._stream.eof

    def feed(self, piece: bytes, room: int) -> bytes:
        """Return what `piece` adds: at most `room` bytes (1 or more), and nothing may be fed once that many came."""
        if not self.compressed:
            return piece[:room]
        if self._maybe_bare:
            piece = self._head = self._head + piece
            if len(piece) < 2:
                return b""
            self._maybe_bare = False
            if piece[0] & 15 != 8 or int.from_bytes(piece[:2], "big") % 31:
                self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            return self._stream.decompress(piece, room)
        except zlib.error:
            raise WebError("the page is compressed, and cannot be decompressed") from None
