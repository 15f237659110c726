"""Promises of `web.fetch` on the real network stack: where it connects, whom it trusts, what it shares and limits.

Servers are on loopback, which the fetcher reaches only where the test allows host and port as a user would.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from threading import enumerate as enumerate_threads
from typing import Any

import httpx
import pytest

from fusion_cli import __version__
from fusion_cli.web.body import Page
from fusion_cli.web.fetch import Fetcher
from fusion_cli.web.guard import WebError
from tests.web.attacks import (
    HTML,
    MAPPED,
    PUBLIC,
    PUBLIC_V6,
    HostileServer,
    Names,
    Network,
    answer,
    attempt,
    moved,
    on,
    refused,
    through,
)

TLS = Path(__file__).parent / "tls"


def test_a_page_comes_as_it_was_sent() -> None:
    """URL, type, charset and bytes are the server's, and the request says who asks and nothing of whom."""

    async def test(server: HostileServer) -> None:
        url = f"http://good.example:{server.port}"
        async with on(server) as fetcher:
            page = await fetcher.fetch(f"{url}/a?b=c#d")
        assert page == Page(f"{url}/a?b=c", "text/html", "iso8859-15", HTML, False)
        [asked] = server.asked
        assert asked.path == "/a?b=c"
        headers = dict(asked.headers)
        assert headers.pop("accept").startswith("text/html, ")
        assert headers == {
            "host": f"good.example:{server.port}",
            "user-agent": f"fusion/{__version__}",
            "accept-encoding": "gzip",
            "connection": "close",
        }

    through(test, {"*": answer(kind='Text/HTML; x=y; charset="ISO-8859-15"')})


def test_a_name_is_looked_up_by_the_system() -> None:
    """Without a resolver of the test's, the operating system's is asked, and each address tried until one answers."""

    async def test(server: HostileServer) -> None:
        async with Fetcher(allow_hosts=[f"localhost:{server.port}"]) as fetcher:
            assert (await fetcher.fetch(f"http://localhost:{server.port}/")).body == HTML
            assert "port" in await refused(fetcher, f"http://localhost:{server.port + 1}/")
        async with on(server, resolve=Names({"good.example": [["127.0.0.2", "::1", "127.0.0.1"]]})) as fetcher:
            assert (await fetcher.fetch(f"http://good.example:{server.port}/")).body == HTML

    through(test)


def test_an_address_is_connected_to_as_it_is() -> None:
    """IPv6 and IPv4 addresses, from a name or from the URL itself, are what the request goes to."""
    for url, address in (
        ("http://good.example/", PUBLIC_V6),
        (f"http://[{PUBLIC_V6}]/", PUBLIC_V6),
        (f"http://{PUBLIC}/", PUBLIC),
        (f"http://[::ffff:{PUBLIC}]/", MAPPED),
    ):
        outcome = attempt(url, names={"good.example": [[PUBLIC_V6]]})
        assert outcome.page
        assert outcome.connected == [address]
        host = "good.example" if "good" in url else f"[{address}]" if ":" in address else address
        assert ("host", host) in outcome.asked[0].headers


@pytest.mark.parametrize("problem", [OSError("no such name"), UnicodeError("label too long"), None])
def test_a_name_that_leads_nowhere_is_told(problem: Exception | None) -> None:
    """Whatever a resolver raises, or an empty answer, means that there is no such host."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        if problem:
            raise problem
        return []

    async def test() -> None:
        async with Fetcher(resolve=resolve) as fetcher:
            assert await refused(fetcher, "http://good.example/") == "there is no host named good.example"

    asyncio.run(test())


def test_nothing_but_one_kind_of_error_comes_out() -> None:
    """A fault of our own, too, costs one page and reads like any other."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        raise ZeroDivisionError

    async def test() -> None:
        async with Fetcher(resolve=resolve) as fetcher:
            said = await refused(fetcher, "http://good.example/")
            assert said == "good.example could not be fetched (ZeroDivisionError)"
        assert await refused(fetcher, "http://good.example/b") == "the run is over"

    asyncio.run(test())


def test_a_closed_port_is_told() -> None:
    """Where nobody listens, the line says so and names no address."""

    async def test() -> None:
        async with HostileServer() as server:
            pass
        async with on(server) as fetcher:
            said = await refused(fetcher, f"http://good.example:{server.port}/")
        assert said == "good.example cannot be connected to"

    asyncio.run(test())


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would look names up itself, behind the checks."""

    async def test(server: HostileServer) -> None:
        async with HostileServer() as proxy:
            for kind in ("http", "https", "all"):
                monkeypatch.setenv(f"{kind}_proxy", f"http://127.0.0.1:{proxy.port}")
                monkeypatch.setenv(f"{kind}_proxy".upper(), f"http://127.0.0.1:{proxy.port}")
            # The double is a proxy that would be used, were the environment asked.
            async with httpx.AsyncClient(verify=False) as client:  # noqa: S501 - the quicker start
                await client.get("http://good.example/")
            assert proxy.connections == 1
            async with on(server) as fetcher:
                await fetcher.fetch(f"http://good.example:{server.port}/")
            async with on(server, timeout_s=0.15, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as fetcher:
                await refused(fetcher, f"https://good.example:{server.port}/")
            assert (proxy.connections, server.connections) == (1, 2)

    through(test)


def test_a_netrc_is_not_read(isolated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No password that the user keeps for a host is sent to it, on the first hop or the second."""
    lines = [f"machine {host} login me password secret" for host in ("good.example", "127.0.0.1")]
    (isolated / ".netrc").write_text("\n".join([*lines, "default login me password secret\n"]))
    (isolated / ".netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(isolated / ".netrc"))

    async def test(server: HostileServer) -> None:
        async with on(server) as fetcher:
            await fetcher.fetch(f"http://good.example:{server.port}/")
        assert server.paths == ["/", "/next"]
        assert not any("authorization" in dict(asked.headers) for asked in server.asked)

    wanted = 'WWW-Authenticate: Basic realm="x"'
    through(test, {"/": answer(b"", "Location: /next", wanted, status="302 Found"), "*": answer(HTML, wanted)})


def test_a_name_server_that_keeps_silent_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up that does not end costs its page; other threads find their place, and the run ends without it."""
    answered, real = Event(), socket.getaddrinfo

    def getaddrinfo(host: str, *args: Any, **options: Any) -> Any:
        if host.endswith("slow.example"):
            answered.wait(30)
            raise socket.gaierror
        return real(host, *args, **options)

    async def run() -> None:
        async with Fetcher(timeout_s=0.1) as fetcher:
            urls = [f"http://{number}.slow.example/" for number in range(40)]
            said = await asyncio.gather(*(refused(fetcher, url) for url in urls))
            assert said[0] == "0.slow.example was not done after 0.1 s"
            assert await asyncio.to_thread(lambda: "a thread is free") == "a thread is free"

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    begun = time.monotonic()
    asyncio.run(run())
    assert time.monotonic() - begun < 15
    answered.set()
    for thread in enumerate_threads():
        if thread.name.startswith("look up"):
            thread.join(5)


def test_a_page_is_fetched_once_a_run() -> None:
    """The same URL in another spelling, at the same time or later, costs no second request; nor does a failure."""

    async def test(server: HostileServer) -> None:
        url = f"good.example:{server.port}"
        async with on(server) as fetcher:
            pages = await asyncio.gather(
                *(fetcher.fetch(u) for u in (f"http://{url}/a", f"HTTP://GOOD.example.:{server.port}/x/../a#b"))
            )
            pages.append(await fetcher.fetch(f"http://{url}/a"))
            assert pages[0] is pages[1] is pages[2]
            assert await refused(fetcher, f"http://{url}/bad") == await refused(fetcher, f"http://{url}/bad")
        assert sorted(server.paths) == ["/a", "/bad"]

    through(test, {"*": answer(), "/bad": answer(status="500 Bad")})


def test_what_one_may_fetch_is_not_served_to_another() -> None:
    """A page that was reached through a domain which is blocked elsewhere does not come from memory there."""

    async def test() -> None:
        plays = {"/": moved("http://evil.example/page"), "/page": answer()}
        async with HostileServer(plays) as server:
            names = Names({"good.example": [[PUBLIC]], "evil.example": [[PUBLIC]]})
            async with Fetcher(resolve=names, transport=Network(server)) as fetcher:
                assert (await fetcher.fetch("http://good.example/")).url == "http://evil.example/page"
                with pytest.raises(WebError, match=r"evil\.example is blocked in this run"):
                    await fetcher.fetch("http://good.example/", blocked_domains=["evil.example"])

    asyncio.run(test())


def test_who_gives_up_takes_nothing_from_the_others() -> None:
    """One caller's cancellation is that caller's alone."""

    async def slowly(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        writer.write(answer())

    async def test(server: HostileServer) -> None:
        async with on(server) as fetcher:
            first, second = (asyncio.create_task(fetcher.fetch(f"http://good.example:{server.port}/")) for _ in "12")
            await asyncio.sleep(0.02)
            first.cancel()
            assert (await second).body == HTML
            with pytest.raises(asyncio.CancelledError):
                await first
        assert len(server.asked) == 1

    through(test, {"*": slowly})


def test_the_end_of_the_run_ends_its_fetches() -> None:
    """Leaving the block closes what is still open, and leaves no task behind."""
    arrived = asyncio.Event()

    async def never(writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await asyncio.sleep(60)

    async def test(server: HostileServer) -> None:
        async with on(server) as fetcher:
            task = asyncio.create_task(fetcher.fetch(f"http://good.example:{server.port}/"))
            await arrived.wait()
        with pytest.raises(asyncio.CancelledError):
            await task

    through(test, {"*": never})


def test_a_run_fetches_so_many_pages() -> None:
    """Failures count, pages that are known and URLs that were refused do not."""

    async def test(server: HostileServer) -> None:
        url = f"http://good.example:{server.port}"
        async with on(server, max_fetches=2) as fetcher:
            await fetcher.fetch(f"{url}/a")
            await fetcher.fetch(f"{url}/a")
            await refused(fetcher, "http://127.0.0.1/")
            await refused(fetcher, f"{url}/bad")
            said = await refused(fetcher, f"{url}/c")
            assert said == "this run has fetched 2 pages already, and may fetch no more"
            assert (await fetcher.fetch(f"{url}/a")).body == HTML
        assert server.paths == ["/a", "/bad"]

    through(test, {"*": answer(), "/bad": answer(status="404 Gone")})


def test_a_host_is_not_overrun() -> None:
    """Four connections to a host at a time, and the wait for one costs a page none of its time."""
    now, most = 0, 0

    async def busy(writer: asyncio.StreamWriter) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.08)
        now -= 1
        writer.write(answer())

    async def test(server: HostileServer) -> None:
        # The certificates are not to be loaded while the clock runs.
        async with on(server, timeout_s=0.3, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as fetcher:
            url = f"http://good.example:{server.port}"
            pages = await asyncio.gather(*(fetcher.fetch(f"{url}/{number}") for number in range(20)))
            assert [page.body for page in pages] == [HTML] * 20

    through(test, {"*": busy})
    assert most == 4


def authority() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the server's side of TLS, for good.example and also.example, and that of a client who trusts it.

    `tls/` holds a certificate for a hundred years, and the authority's, whose own key nobody has kept.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    return server, ssl.create_default_context(cafile=str(TLS / "ca.pem"))


def test_a_certificate_is_verified_for_the_name() -> None:
    """The connection goes to the checked address, and TLS is spoken with the name: shown, asked for and verified."""
    server_tls, client_tls = authority()
    shown: list[str | None] = []
    server_tls.sni_callback = lambda socket, name, context: shown.append(name)

    async def test(server: HostileServer) -> None:
        hosts = ("good.example", "also.example", "evil.example", "127.0.0.1")
        async with on(server, *hosts, tls=client_tls) as fetcher:
            good, also, evil, bare = (f"https://{host}:{server.port}/" for host in hosts)
            assert (await fetcher.fetch(good)).body == HTML
            assert (await fetcher.fetch(also)).url == also
            said = await refused(fetcher, evil)
            assert said.startswith("evil.example cannot be trusted: Hostname mismatch")
            assert "cannot be trusted: IP address mismatch" in await refused(fetcher, bare)
        async with on(server) as fetcher:
            said = await refused(fetcher, good)
            assert said == "good.example cannot be trusted: unable to get local issuer certificate"
        assert [asked.headers[0] for asked in server.asked] == [
            ("host", f"good.example:{server.port}"),
            ("host", f"also.example:{server.port}"),
        ]
        # Both of those names had a connection of their own, though the server would keep the first one open.
        assert server.connections == 2
        assert shown == ["good.example", "also.example", "evil.example", None, "good.example"]

    through(test, tls=server_tls)


def test_a_server_without_tls_is_told() -> None:
    """Asked for https, a server that waits for something else gets no request, and the connection is closed."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.good.example ESMTP\r\n")
        await reader.read()
        writer.close()

    async def test(server: HostileServer) -> None:
        async with on(server, timeout_s=0.15, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as fetcher:
            said = await refused(fetcher, f"https://good.example:{server.port}/")
        assert said == "good.example was not done after 0.15 s"
        assert (server.asked, server.connections) == ([], 1)
        async with await asyncio.start_server(greet, "127.0.0.1", 0) as greeter:
            server.port = greeter.sockets[0].getsockname()[1]
            async with on(server) as fetcher:
                said = await refused(fetcher, f"https://good.example:{server.port}/")
        assert said == "good.example cannot be trusted: no encrypted connection could be agreed on"

    through(test)
