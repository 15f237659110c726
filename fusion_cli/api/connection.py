"""Opens the HTTP client for a set of servers: no redirects, no cookies, and no proxy between us and plain http.

Knows no request. Whoever opens it closes it.
"""

import asyncio
from collections.abc import Iterable
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from fusion_cli import __version__
from fusion_cli.errors import ConfigError
from fusion_cli.terminal import one_line


async def open_http(
    base_urls: Iterable[str], patience: httpx.Timeout, transport: httpx.AsyncBaseTransport | None = None
) -> httpx.AsyncClient:
    """Return a client for these servers.

    Args:
        base_urls: Where they are.
        patience: What holds for each request.
        transport: What carries the requests, for tests; None is the network.

    Raises:
        ConfigError: The network cannot be used as the environment says.
    """
    urls = [httpx.URL(base_url) for base_url in base_urls]
    loading = None
    if any(url.scheme == "https" for url in urls) and not transport:
        # Reading the certificates takes 30 ms: in a thread, while what a connection needs is imported here.
        loading = asyncio.get_running_loop().run_in_executor(None, httpx.create_ssl_context)
        import anyio.lowlevel
        import httpcore  # noqa: F401

        await anyio.lowlevel.checkpoint()  # imports the part of it that is for asyncio
    try:
        return httpx.AsyncClient(
            verify=await loading if loading else False,
            transport=transport,
            timeout=patience,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            # Plain http is for this machine: a proxy from the environment would read the key.
            mounts=None
            if transport
            else {f"all://{url.netloc.decode()}": None for url in urls if url.scheme == "http"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={"User-Agent": f"fusion/{__version__}", "Accept-Encoding": "identity"},
        )
    except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
        raise ConfigError(
            f"the network cannot be used as the environment says: {one_line(str(error))}",
            hint="Check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR.",
        ) from error
