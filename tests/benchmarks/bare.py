"""The rival: what a sensible person writes with httpx in an afternoon. Panel, judge, answer; no retries, no view.

Knows nothing of fusion's code, and takes its server and key from the same two environment variables.
"""

import asyncio
import json
import os
import sys
from typing import Any

import httpx

PANEL = ["openai/gpt-5", "anthropic/claude-opus-4.8", "google/gemini-3-pro"]
JUDGE = OUTER = "openai/gpt-5"
INNER = {"x-openrouter-fusion-depth": "1"}
TOOL = {"type": "function", "function": {"name": "fusion", "parameters": {"type": "object"}}}


def closed(**keys: Any) -> dict[str, Any]:
    """Return a JSON Schema of an object with exactly these keys."""
    return {"type": "object", "properties": keys, "required": [*keys], "additionalProperties": False}


def array(items: Any) -> dict[str, Any]:
    """Return a JSON Schema of a list."""
    return {"type": "array", "items": items}


TEXT, MODEL = {"type": "string"}, {"type": "string", "enum": PANEL}
ANALYSIS = closed(
    consensus=array(TEXT),
    contradictions=array(closed(topic=TEXT, stances=array(closed(model=MODEL, stance=TEXT)))),
    partial_coverage=array(closed(models=array(MODEL), point=TEXT)),
    unique_insights=array(closed(model=MODEL, insight=TEXT)),
    blind_spots=array(TEXT),
)
FORMAT = {"type": "json_schema", "json_schema": {"name": "analysis", "strict": True, "schema": ANALYSIS}}


async def complete(client: httpx.AsyncClient, model: str, messages: list[Any], depth: Any, **more: Any) -> str:
    """Return the text of one streamed completion."""
    text = ""
    payload = {"model": model, "messages": messages, "stream": True, **more}
    async with client.stream("POST", "chat/completions", json=payload, headers=depth) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if line.startswith("data: ") and line != "data: [DONE]":
                for choice in json.loads(line[6:])["choices"]:
                    text += choice["delta"].get("content") or ""
    return text


async def ask(prompt: str) -> str:
    """Return the outer model's answer, written from three responses and their analysis."""
    user = {"role": "user", "content": prompt}
    key = {"Authorization": f"Bearer {os.environ['OPENROUTER_API_KEY']}"}
    async with httpx.AsyncClient(base_url=os.environ["OPENROUTER_BASE_URL"], headers=key, timeout=120) as client:
        texts = await asyncio.gather(*(complete(client, slug, [user], INNER) for slug in PANEL))
        responses = [{"model": slug, "content": text} for slug, text in zip(PANEL, texts, strict=True)]
        task = "You are the judge: compare these responses.\n" + json.dumps({"prompt": prompt, "responses": responses})
        brief = {"role": "user", "content": task}
        analysis = json.loads(await complete(client, JUDGE, [brief], INNER, response_format=FORMAT, temperature=0))
        result = json.dumps({"status": "ok", "analysis": analysis, "responses": responses})
        function = {"name": "fusion", "arguments": json.dumps({"prompt": prompt})}
        call = {"role": "assistant", "tool_calls": [{"id": "call_0", "type": "function", "function": function}]}
        told = {"role": "tool", "tool_call_id": "call_0", "content": result}
        return await complete(client, OUTER, [user, call, told], {}, tools=[TOOL], tool_choice="none")


if __name__ == "__main__":
    print(asyncio.run(ask(sys.argv[1])))
