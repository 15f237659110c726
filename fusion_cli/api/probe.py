"""Sounds a server out with one small request: is it there, does it take the key, which models does it serve.

`GET /key` on OpenRouter, `GET /models` elsewhere (specification, section 5). Nothing that a server wrote is passed on
but names of models and an amount, so that no answer can repeat a key.
"""

import asyncio
import json
import time
from math import isfinite
from typing import Any, NamedTuple

import httpx

from fusion_cli.api.connection import open_http
from fusion_cli.chat import Endpoint
from fusion_cli.terminal import one_line

PATIENCE_S = 15.0
_MAX_BYTES = 16 * 1024 * 1024


class Sounding(NamedTuple):
    """What came of asking a server.

    Attributes:
        status: The HTTP status; None when the server was not reached.
        took_s: How long it took, in seconds.
        trouble: Why it was not reached, in a few words; empty when it was.
        models: The slugs that it serves, where it was asked and told; may be any text.
        left: How many dollars the key may still spend; None is no limit, or nobody knows.
    """

    status: int | None
    took_s: float
    trouble: str = ""
    models: tuple[str, ...] = ()
    left: float | None = None

    @property
    def is_refused(self) -> bool:
        """Whether the server does not take the key, or wants one."""
        return self.status in (401, 403)

    @property
    def is_accepted(self) -> bool:
        """Whether the server answered as it should."""
        return self.status == 200


async def sound_out(
    endpoint: Endpoint,
    *,
    asks_for_key: bool,
    patience_s: float = PATIENCE_S,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Sounding:
    """Ask a server once, and return what came of it; whatever it does is an answer, too.

    Args:
        endpoint: Where it is, and the key to send.
        asks_for_key: Whether to ask what the key may do, as OpenRouter tells, and not for the models.
        patience_s: How long the whole may take, in seconds.
        transport: What carries the request, for tests; None is the network.

    Raises:
        ConfigError: The network cannot be used as the environment says.
    """
    headers = {**dict(endpoint.headers), "Accept": "application/json"}
    if endpoint.api_key:
        headers["Authorization"] = f"Bearer {endpoint.api_key}"
    url = f"{endpoint.base_url}/{'key' if asks_for_key else 'models'}"
    started = time.monotonic()
    status, body, trouble = None, b"", ""
    try:
        async with asyncio.timeout(patience_s), await open_http([url], httpx.Timeout(patience_s), transport) as http:
            started = time.monotonic()  # without the certificates, which are ours
            async with http.stream("GET", url, headers=headers) as response:
                body = await _read(response) if response.status_code == 200 else b""
                status = response.status_code
    except (TimeoutError, httpx.TimeoutException):
        trouble = f"no answer within {patience_s:g} s"
    except httpx.ConnectError as error:
        trouble = f"cannot connect to {httpx.URL(url).netloc.decode('ascii')}: {one_line(str(error), 100)}"
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError):
        trouble = "its answer is not HTTP, or broke off"
    told = _object(body)
    left = _amount(told.get("data")) if asks_for_key else None
    models = () if asks_for_key else _slugs(told.get("data"))
    return Sounding(None if trouble else status, time.monotonic() - started, trouble, models, left)


async def _read(response: httpx.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for chunk in response.aiter_raw():  # as it came: nothing was asked for that would have to be unpacked
        parts.append(chunk)
        size += len(chunk)
        if size > _MAX_BYTES:
            break
    return b"".join(parts)


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _slugs(entries: Any) -> tuple[str, ...]:
    if not isinstance(entries, list):
        return ()
    slugs = (entry.get("id") for entry in entries if isinstance(entry, dict))
    return tuple(slug for slug in slugs if isinstance(slug, str) and slug)


def _amount(data: Any) -> float | None:
    left = data.get("limit_remaining") if isinstance(data, dict) else None
    if isinstance(left, bool) or not isinstance(left, int | float):
        return None
    try:
        return float(left) if isfinite(left) else None
    except OverflowError:
        return None
