"""Fetches pages that a model chose: every hop checked, connected to a checked address, cut off by clock and size.

Owns look-ups, connections, redirects, time and what was fetched before; the answer's bytes are read in `body`, and
what they say is nobody's business here. Whatever goes wrong becomes one `WebError`; nothing that a server sent is sent
anywhere again.
"""

import asyncio
import socket
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from threading import Thread
from typing import Any, NamedTuple, Self

import httpx

from fusion_cli import __version__
from fusion_cli.counts import count
from fusion_cli.web.body import MAX_BYTES, Page, read_page
from fusion_cli.web.guard import Target, WebError, check_address, check_url, is_exempt, redirected

_MAX_HEADER_BYTES = 64 * 1024
_MAX_FETCHES = 200  # what nine models may have, and some more
_MAX_REDIRECTS = 5
_MAX_CONNECTIONS_PER_HOST = 4
_MAX_ADDRESSES = 4
_CONNECT_S = 5.0
_SENT = {
    "User-Agent": f"fusion/{__version__}",
    "Accept": "text/html, application/xhtml+xml, text/plain, text/markdown, application/json, application/xml;q=0.9, "
    "application/pdf;q=0.9, */*;q=0.1",
    "Accept-Encoding": "gzip",
    "Connection": "close",
}

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class _Rules(NamedTuple):
    """What one fetch may ask for, on every hop."""

    allow_hosts: Collection[str]
    allowed_domains: tuple[str, ...]
    blocked_domains: tuple[str, ...]

    def check(self, url: str) -> Target:
        return check_url(url, **self._asdict())


async def look_up(host: str, port: int) -> Sequence[str]:
    """Return a host's addresses, as the operating system finds and sorts them.

    In a thread that nobody waits for: a hostile name server can hold it up for half a minute, in which the loop's own
    few threads would be missing elsewhere, and the program could not end.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[Any]] = loop.create_future()

    def tell(found: list[Any], problem: Exception | None) -> None:
        if answer.done():  # given up
            return
        if problem:
            answer.set_exception(problem)
        else:
            answer.set_result(found)

    def ask() -> None:
        found: list[Any] = []
        problem = None
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except Exception as error:  # noqa: BLE001 - raised again where somebody can read it
            problem = error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, found, problem)

    Thread(target=ask, name=f"look up {host[:40]}", daemon=True).start()
    return [str(entry[4][0]) for entry in await answer]


class Fetcher:
    """Fetch for one run; an async context manager.

    Args:
        allow_hosts: `host:port` of servers that may be anywhere, on this machine too (see `guard.check_url`), where
            the model asks for them itself: no page elsewhere leads there by a redirect, they alone to one another.
        max_fetches: How many pages the run may ask for; one that is known already does not count.
        timeout_s: What one page may take from look-up to last byte, redirects included; waiting for a turn aside.
        max_bytes: What is read of one page (see `body.read_page`).
        resolve: Finds the addresses of a name; asked once for each hop.
        tls: Whom to trust; None is what httpx trusts.
        transport: What carries the requests, which are addressed to checked addresses; None is the network.
    """

    def __init__(
        self,
        *,
        allow_hosts: Collection[str] = (),
        max_fetches: int = _MAX_FETCHES,
        timeout_s: float = 20.0,
        max_bytes: int = MAX_BYTES,
        resolve: Resolve = look_up,
        tls: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._allow_hosts = frozenset(allow_hosts)
        self._max_fetches = max_fetches
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
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
                raise WebError(
                    f"this run has fetched {count(self._max_fetches, 'page')} already, and may fetch no more"
                )
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
            async with self._turn(target.host, clock), self._response(target, rules) as response:
                location = _location(response)
                if location is None:
                    return await read_page(response, target.url, target.host, max_bytes=self._max_bytes)
            if not is_exempt(target, rules.allow_hosts):  # else any page could send requests to the user's own servers
                rules = rules._replace(allow_hosts=frozenset())
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
    async def _response(self, target: Target, rules: _Rules) -> AsyncIterator[httpx.Response]:
        """Ask the first checked address that can be connected to; the connection ends with the block."""
        network = await self._network()
        response = await self._ask(network, target, await self._addresses(target, rules))
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

    async def _addresses(self, target: Target, rules: _Rules) -> Sequence[str]:
        """Return where to connect, every address of the name being one that may be fetched from."""
        try:
            found = await self._resolve(target.host, target.port)
        except (OSError, ValueError):
            found = []
        if not found:
            raise WebError(f"there is no host named {target.host}")
        if not is_exempt(target, rules.allow_hosts):
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
