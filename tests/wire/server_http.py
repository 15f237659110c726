"""One connection of the test server: HTTP/1.1 read from a socket, and a reply's steps carried out on it.

Knows nothing of chat completions. A client that goes away is noticed at once, even while nothing is sent.
"""

import asyncio
import contextlib
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator

from tests.wire.server_encode import Step
from tests.wire.server_reply import Request

SETTLE_S = 0.02  # lets the client read what was sent before a RST makes the rest of it moot


class Connection:
    """A client's connection, for as long as it lasts."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self._reader = reader
        self._writer = writer
        self._number = number
        self._buffer = bytearray()
        self._received_s = 0.0
        self._gone = asyncio.Event()

    async def serve(self, answer: Callable[[Request], Iterator[Step]], changed: Callable[[], None]) -> None:
        """Answer requests until either side closes, calling `changed` after each reply."""
        try:
            while request := await self._read_request():
                plan = answer(request)
                try:
                    goes_on = await self._carry_out(plan, request)
                finally:
                    changed()
                if not goes_on or request.headers.get("connection", "").lower() == "close":
                    break
        finally:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()

    async def _read_request(self) -> Request | None:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if not await self._fill():
                return None
        head = bytes(self._buffer[:end])
        request_line, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = request_line.split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
        size = int(headers.get("content-length", "0"))
        while len(self._buffer) < end + 4 + size:
            if not await self._fill():
                return None
        body = bytes(self._buffer[end + 4 : end + 4 + size])
        del self._buffer[: end + 4 + size]
        try:
            parsed = json.loads(body)
        except ValueError:
            parsed = None
        return Request(self._number, head, method, path, headers, body, parsed, self._received_s)

    async def _fill(self) -> bool:
        try:
            data = await self._reader.read(1 << 16)
        except ConnectionError:
            data = b""
        if not data:
            self._gone.set()
            return False
        if not self._buffer:
            self._received_s = time.monotonic()
        self._buffer += data
        return True

    async def _watch(self) -> None:
        while await self._fill():
            pass

    async def _carry_out(self, plan: Iterator[Step], request: Request) -> bool:
        watcher = asyncio.create_task(self._watch())
        try:
            for step in plan:
                if step == "complete":
                    request.end("complete")
                    continue
                await asyncio.sleep(0)  # a chance for the watcher, and for the other connections
                if step == "stall":
                    await self._gone.wait()
                elif isinstance(step, int | float):
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._gone.wait(), step)
                if self._gone.is_set():
                    request.end("client_closed")
                    return False
                if isinstance(step, bytes):
                    self._writer.write(step)
                    await self._writer.drain()
                elif step in ("close", "reset"):
                    request.end("cut")
                    if step == "reset":
                        await self._reset()
                    return False
        except ConnectionError:
            request.end("client_closed")
            return False
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
        return True

    async def _reset(self) -> None:
        await asyncio.sleep(SETTLE_S)
        linger = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._writer.transport.abort()
