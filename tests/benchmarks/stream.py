"""One client reads one long stream, and says how much text it got and what that cost in CPU time.

A process of its own, so that the server's work is not counted: `python -m tests.benchmarks.stream httpx|fusion URL`.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

MODEL = "bench/stream"

Read = Callable[[], Awaitable[str]]


async def with_httpx(url: str) -> dict[str, Any]:
    """Read the stream as plainly as httpx allows."""
    async with httpx.AsyncClient(base_url=url, verify=False) as client:  # noqa: S501 - an http URL

        async def read() -> str:
            text = ""
            payload = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": "Go."}]}
            async with client.stream("POST", "chat/completions", json=payload) as response:
                async for line in response.aiter_lines():
                    if line.startswith("data: ") and line != "data: [DONE]":
                        for choice in json.loads(line[6:])["choices"]:
                            text += choice["delta"].get("content") or ""
            return text

        return await timed(read)


async def with_fusion(url: str) -> dict[str, Any]:
    """Read the stream with fusion's own client, deltas included."""
    from fusion_cli.api.client import ChatClient
    from fusion_cli.chat import ChatRequest, Delta, Endpoint, Message, ModelName

    model = ModelName("bench", MODEL)
    request = ChatRequest(model, (Message("user", "Go."),))
    deltas: list[Delta] = []
    async with ChatClient({model: Endpoint(url)}) as client:

        async def read() -> str:
            deltas.clear()
            return (await client.complete(request, deltas.append)).text

        figures = await timed(read)
    assert "".join(delta.text for delta in deltas) == figures["text"]
    return figures


async def timed(read: Read) -> dict[str, Any]:
    """Return the text and the CPU seconds of a second reading; the first one warms up."""
    await read()
    before = time.process_time()
    text = await read()
    return {"text": text, "cpu_s": time.process_time() - before}


if __name__ == "__main__":
    client, url = sys.argv[1:]
    figures = asyncio.run(with_fusion(url) if client == "fusion" else with_httpx(url))
    print(json.dumps({"chars": len(figures["text"]), "cpu_s": figures["cpu_s"]}))
