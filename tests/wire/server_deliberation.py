"""A server's standard behaviour: one callable that plays panel, judge and outer model, all of them happy.

Knows what each role is asked for on the wire, and nothing of the code that asks.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.wire.server_reply import Call, Reply, Request

ANSWER = "SQLite: one file, no server to run, and enough for a small web app. Move on when writers queue up."


def deliberation(latency_s: float = 0.0) -> Callable[[Request], Reply]:
    """Return the behaviour; each call takes `latency_s` to its first word, then ends at once."""

    def respond(request: Request) -> Reply:
        if request.role == "judge":
            names = labels(request.body.get("response_format")) or letters(request.texts) or ["model-a", "model-b"]
            return Reply(json.dumps(analysis(names)), delay_first_s=latency_s)
        if request.role == "panel":
            text = f"{request.model} says: SQLite is enough until many processes write at once."
            return Reply(text, delay_first_s=latency_s)
        if tool := wanted_tool(request):
            arguments = json.dumps({"prompt": last_user_text(request)}, ensure_ascii=False)
            return Reply(tool_calls=(Call(tool, arguments),), delay_first_s=latency_s)
        return Reply(ANSWER, delay_first_s=latency_s)

    return respond


def labels(schema: object) -> list[str]:
    """Return the strings of the first `enum` anywhere in a JSON Schema."""
    return next(_enums(schema), [])


def letters(texts: Iterable[str]) -> list[str]:
    """Return the letters that the judge's prompt says to use; the last one counts, as responses come before it."""
    named: list[str] = []
    for text in texts:
        named = re.findall(r"hold respondents' letters: ((?:\w+, )*\w+)", text) or named
    return named[-1].split(", ") if named else []


def _enums(node: object) -> Iterator[list[str]]:
    if isinstance(node, dict):
        if isinstance(node.get("enum"), list):
            yield [str(value) for value in node["enum"]]
        for value in node.values():
            yield from _enums(value)
    elif isinstance(node, list):
        for value in node:
            yield from _enums(value)


def analysis(names: list[str]) -> dict[str, Any]:
    """Return an analysis with every key of the contract filled, attributed to `names`."""
    first, last = names[0], names[-1]
    return {
        "consensus": ["SQLite is enough for a small web app."],
        "contradictions": [
            {
                "topic": "When to move on",
                "stances": [
                    {"model": first, "stance": "When writers queue up."},
                    {"model": last, "stance": "As soon as there is a second machine."},
                ],
            }
        ],
        "partial_coverage": [{"models": [first], "point": "Back-ups are a file copy."}],
        "unique_insights": [{"model": last, "insight": "Write-ahead logging lets readers go on during a write."}],
        "blind_spots": ["Nobody asked how the app is deployed."],
    }


def wanted_tool(request: Request) -> str | None:
    """Return the name of the tool that the outer model may call now, if it has one and no result yet."""
    tools = request.body.get("tools") or []
    answered = any(message.get("role") == "tool" for message in request.body.get("messages", []))
    if not tools or answered or request.body.get("tool_choice") == "none":
        return None
    return str(tools[0].get("function", {}).get("name", "fusion"))


def last_user_text(request: Request) -> str:
    """Return what the user said last, or an empty string."""
    texts = [message.get("content") for message in request.body.get("messages", []) if message["role"] == "user"]
    return texts[-1] if texts and isinstance(texts[-1], str) else ""
