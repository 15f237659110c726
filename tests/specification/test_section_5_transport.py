"""The specification, section 5: where and how requests go, what streams and bodies look like, usage and catalogue."""

import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from fusion_cli.api.catalogue import parse
from fusion_cli.chat import Price
from fusion_cli.settings import load
from tests.e2e.command import CANARY, MODELS, start
from tests.specification.running import CONVENED, Rows, Script, Seen, here, judged, run, untrue
from tests.wire.server import Call, Fault, Reply, Request, WireServer, deliberation

TEXT = "SQLite, says \u00e9ven \u2028 this one: twelve characters a chunk."


def test_the_base_address() -> None:
    """Without configuration, requests go to https://openrouter.ai/api/v1 with the key of OPENROUTER_API_KEY."""
    provider = load(environ={"OPENROUTER_API_KEY": "sk-x"}).providers["openrouter"]
    assert (provider.base_url, provider.api_key) == ("https://openrouter.ai/api/v1", "sk-x")


def schemas(node: Any) -> Iterator[Any]:
    """Yield every schema of an object within a schema."""
    if isinstance(node, dict):
        if node.get("type") == "object":
            yield node
        for value in node.values():
            yield from schemas(value)
    elif isinstance(node, list):
        for value in node:
            yield from schemas(value)


SENT: Rows = {
    "the path": lambda it: all(request.path == "/api/v1/chat/completions" for request in it.requests),
    "Authorization: Bearer": lambda it: all(
        request.headers["authorization"] == f"Bearer {CANARY}" for request in it.requests
    ),
    "X-Title": lambda it: all(request.headers["x-title"] == "fusion" for request in it.requests),
    "a stream is asked for": lambda it: all(body["stream"] is True for body in it.bodies()),
    "and its usage": lambda it: all(body["stream_options"] == {"include_usage": True} for body in it.bodies()),
    "the key is in no body": lambda it: CANARY not in json.dumps(it.bodies()),
    "response_format: json_schema with name, strict and schema": lambda it: (
        it.judge[0]["response_format"].keys() == {"type", "json_schema"}
        and it.judge[0]["response_format"]["type"] == "json_schema"
        and it.judge[0]["response_format"]["json_schema"].keys() == {"name", "strict", "schema"}
        and it.judge[0]["response_format"]["json_schema"]["strict"] is True
    ),
    "additionalProperties: false": lambda it: (
        [each["additionalProperties"] for each in schemas(it.judge[0]["response_format"]["json_schema"]["schema"])]
        == [False] * 5
    ),
    "the others are not bound to a schema": lambda it: (
        not any("response_format" in body for body in it.bodies("panel", "outer"))
    ),
}


def test_what_is_sent() -> None:
    """Address, headers and body of every request of a run are those of chat completions."""
    assert untrue(SENT, run(*CONVENED, *MODELS, "x")) == []


def whole(text: str) -> bytes:
    """Return a body that is no stream."""
    message = {"role": "assistant", "content": text}
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()


STREAMS = {
    "comments": Reply(TEXT, comments=40),
    "without [DONE]": Reply(TEXT, done=False, keep_alive=False),
    "just closed": Reply(TEXT, done=False, chunked=False),
    "without usage": Reply(TEXT, usage=None),
    "reasoning and its details": Reply(TEXT, reasoning="hm, " * 9),
    "unknown keys and nulls": Reply(TEXT, unknown_fields=True, nulls=True, refusal=""),
    "white space before a body": Reply(body=b" \n" * 9000 + whole(TEXT), content_type="application/json"),
    "a body": Reply(body=whole(TEXT), content_type="application/json"),
}


def test_every_stream_is_read_alike() -> None:
    """However a server streams, or does not, the text that arrives is the text that it wrote."""
    slugs = [f"s/{index}" for index in range(len(STREAMS))]
    script: list[Script] = [(slug, "panel", (it,)) for slug, it in zip(slugs, STREAMS.values(), strict=True)]
    seen = run("analyze", "--json", "-p", ",".join(slugs), "-j", "z/judge", "x", script=script)
    read = {row["model"]: row["content"] for row in seen.run["responses"]}
    assert [name for name, slug in zip(STREAMS, slugs, strict=True) if read.get(slug) != TEXT] == []
    assert all(call["attempts"] == 1 for call in seen.run["calls"])


def test_fragments_of_calls_are_joined_by_index() -> None:
    """The fragments of two interleaved tool calls are put together by their index."""
    prompts = ("Which of the two is it, and why?", "And which one is it not, and why is that?")
    both = tuple(Call("fusion", json.dumps({"prompt": it}), f"call_{n}") for n, it in enumerate(prompts))
    script: list[Script] = [("o/outer", "outer", (Reply(tool_calls=both), Reply("done")))]
    seen = run("ask", "--json", "-p", "a/one", "-m", "o/outer", "x", script=script)
    [turn] = [message for message in seen.outer[1]["messages"] if message.get("tool_calls")]
    assert [json.loads(call["function"]["arguments"])["prompt"] for call in turn["tool_calls"]] == list(prompts)
    assert seen.panel[0]["messages"][-1]["content"] == prompts[0]


USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 20, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 30},
    "cost": 0.25,
}


def test_usage() -> None:
    """The usage chunk, whose `choices` are empty, is read with its details and cost; what is not told is null."""
    script: list[Script] = [
        ("*", "panel", (Reply("yes", usage=USAGE),)),
        ("*", "judge", (replace(judged(consensus=["They agree."]), usage=USAGE),)),
        ("o/outer", "outer", (Reply("the answer", usage=USAGE),)),
    ]
    seen = run(*CONVENED, "-p", "a/one", "-j", "z/judge", "-m", "o/outer", "x", script=script)
    flat = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150, "cost": 0.25}
    each = {**flat, "reasoning_tokens": 30, "cached_tokens": 20}
    assert [call["usage"] | each for call in seen.run["calls"]] == [call["usage"] for call in seen.run["calls"]]
    assert len(seen.run["calls"]) == 3
    assert {key: seen.run["usage"][key] for key in flat} == {key: value * 3 for key, value in flat.items()}


def test_cost_is_openrouters_own() -> None:
    """A server that tells no cost leaves it unknown, which is not 0."""
    told = {key: value for key, value in USAGE.items() if key != "cost"}
    script: list[Script] = [("o/outer", "outer", (Reply("four", usage=told),))]
    seen = run("ask", "--json", "--tool-choice", "none", "-m", "o/outer", "x", script=script)
    assert (seen.run["usage"]["total_tokens"], seen.run["usage"]["cost"]) == (150, None)


CATALOGUE: list[dict[str, Any]] = [
    {
        "id": "z/judge",
        "name": "Judge",
        "context_length": 30_000,
        "pricing": {"prompt": "0.000001", "completion": "0.000004", "request": "0"},
        "supported_parameters": [],
        "top_provider": {"context_length": 20_000, "max_completion_tokens": 8000, "is_moderated": False},
    },
    {"id": "openrouter/auto", "context_length": None, "pricing": {"prompt": "-1"}, "supported_parameters": []},
]


def test_the_catalogue() -> None:
    """`GET /models` is read without a key; an empty `supported_parameters` is unknown, and forbids nothing."""
    listed, router = parse(json.dumps({"data": CATALOGUE}).encode())
    assert (listed.slug, listed.context_tokens, listed.price) == ("z/judge", 20_000, Price(1e-6, 4e-6))
    assert (router.context_tokens, router.price, router.parameters) == (None, None, ())
    Path("long.txt").write_text("many words that a panel can read " * 4000)
    with WireServer(default=deliberation()) as server:
        server.models = CATALOGUE
        ended = here("analyze", "--json", "-p", "a/one", "-j", "z/judge", "-f", "long.txt", "x", server=server)
        seen = Seen(ended, server.requests)
    [asked] = seen.others
    assert (asked.method, asked.path, "authorization" in asked.headers) == ("GET", "/api/v1/models", False)
    assert seen.judge[0]["response_format"]["type"] == "json_schema"


def test_closing_the_connection_cancels() -> None:
    """A run that is ended closes the connection of every call that is under way."""

    def under_way(requests: list[Request]) -> bool:
        return len(requests) == 2

    with WireServer() as server:
        server.script("*", Reply("half of it, and then nothing", fault=Fault("stall", after=1)))
        process = start("ask", "--tool-choice", "required", *MODELS, "x", server=server)
        server.wait_for(under_way)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
        server.wait_for(lambda requests: all(request.client_closed for request in requests))
    assert process.returncode == 130
