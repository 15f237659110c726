"""Eight panelists of one process ask one server, and say what they got and how much memory that took at most.

A process of its own, so that the server's memory is not counted: `python -m tests.wire.memory URL`. Linux only.
"""

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

from fusion_cli.api.client import ChatClient
from fusion_cli.chat import ChatRequest, Delta, Endpoint, Message, ModelName
from fusion_cli.errors import ModelError


async def ask(url: str) -> list[dict[str, Any]]:
    """Put one question to eight models at once; return a row of facts about each."""
    models = [ModelName("lab", f"m/{seat}") for seat in range(8)]

    async def one(client: ChatClient, model: ModelName) -> dict[str, Any]:
        thought = 0

        def count(delta: Delta) -> None:
            nonlocal thought
            thought += len(delta.reasoning)

        try:
            completion = await client.complete(ChatRequest(model, (Message("user", "Which?"),), timeout_s=60), count)
        except ModelError as error:
            return {"error": str(error), "partial": len(error.partial)}
        arguments = sum(len(call.arguments) for call in completion.tool_calls)
        facts = {"truncated": completion.truncated, "thought": thought, "arguments": arguments}
        return {"chars": len(completion.text), "start": completion.text[:9], **facts}

    async with ChatClient(dict.fromkeys(models, Endpoint(url))) as client:
        return await asyncio.gather(*(one(client, model) for model in models))


if __name__ == "__main__":
    rows = asyncio.run(ask(sys.argv[1]))
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(json.dumps({"rows": rows, "peak_mib": int(peak) / 1024}))
