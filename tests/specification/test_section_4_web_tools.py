"""The specification, section 4: web tools on the inner calls, their parameters, and the citations that come back."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.specification.running import (
    ASK,
    CONVENED,
    MODELS,
    WEB,
    Rows,
    Script,
    Seen,
    here,
    judged,
    run,
    untrue,
)
from tests.wire.server import Reply, WireServer, deliberation, document

SEARCH = {
    "engine": "exa",
    "max_results": 25,
    "max_total_results": 50,
    "search_context_size": "low",
    "allowed_domains": ["sqlite.org"],
    "excluded_domains": ["example.com"],
    "user_location": {"type": "approximate", "country": "DE", "city": None},
}
FETCH = {
    "engine": "native",
    "max_uses": 3,
    "max_content_tokens": 5000,
    "allowed_domains": ["sqlite.org"],
    "blocked_domains": ["example.com"],
}
TOOLS = [
    {"type": "openrouter:web_search", "parameters": SEARCH},
    {"type": "openrouter:web_fetch", "parameters": FETCH},
]
PARAMETERS = {"analysis_models": ["a/one", "b/two"], "model": "z/judge", "tools": TOOLS, "max_tool_calls": 16}
REQUEST = {
    "model": "o/outer",
    "messages": ASK,
    "tools": [{"type": "openrouter:fusion", "parameters": PARAMETERS}],
    "max_tool_calls": 30,
    "stop_server_tools_when": [{"type": "max_cost", "max_cost": 1}],
}
PASSED_THROUGH: Rows = {
    "panel and judge get both": lambda it: len([*it.panel, *it.judge]) == 3 and all("tools" in b for b in it.panel),
    "with every parameter as it stands": lambda it: all(body["tools"] == TOOLS for body in (*it.panel, *it.judge)),
    "the outer synthesis gets neither": lambda it: all(
        [tool["type"] for tool in body["tools"]] == ["function"] for body in it.outer
    ),
    "stop_server_tools_when ends their steps": lambda it: all(
        body["stop_server_tools_when"] == [{"type": "step_count_is", "step_count": 16}]
        for body in (*it.panel, *it.judge)
    ),
    "max_tool_calls bounds them, too": lambda it: (
        [body["max_tool_calls"] for body in (*it.panel, *it.judge)] == [16, 16, 16]
    ),
    "a request's own bounds of server tools hold nowhere": lambda it: (
        not any({"max_tool_calls", "stop_server_tools_when"} & body.keys() for body in it.outer)
    ),
    "and that is said": lambda it: all(
        f"the request's {key} cannot be honoured here and was left out" in it.run["warnings"]
        for key in ("max_tool_calls", "stop_server_tools_when")
    ),
}


def test_parameters_are_passed_through() -> None:
    """What a request says of the web tools reaches panel and judge word for word, and the outer model not at all."""
    assert untrue(PASSED_THROUGH, run("ask", "--json", body=REQUEST)) == []


def test_the_two_tools_by_default() -> None:
    """Without a word about them, panel and judge get both tools without parameters."""
    seen = run("analyze", "--json", "-p", "a/one", "-j", "z/judge", "x")
    assert [body["tools"] for body in (*seen.panel, *seen.judge)] == [WEB, WEB]


def citation(url: str, title: str | None = None, content: str | None = None) -> dict[str, Any]:
    """Return an annotation; only what is given is in it."""
    said = {"url": url, "title": title, "content": content, "start_index": 0, "end_index": 5}
    return {
        "type": "url_citation",
        "url_citation": {key: value for key, value in said.items() if value is not None},
    }


def test_citations() -> None:
    """Annotations in a stream, on a whole message, and the judge's become the run's sources, each page once."""
    one, two, three = (f"https://{name}.example/" for name in ("one", "two", "three"))
    message = {"role": "assistant", "content": "later", "annotations": [citation(two, "Two", "a passage")]}
    whole = document({"model": "b/two", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
    judge = replace(judged(consensus=["They agree."]), annotations=(citation(one, "One"), citation(three, "Three")))
    other = {"type": "file_citation", "file": {"name": "x"}}
    script: list[Script] = [
        ("a/one", "panel", (Reply("now", annotations=(citation(one, "One"), other)),)),
        ("b/two", "panel", (whole,)),
        ("z/judge", "judge", (judge,)),
    ]
    seen = run(*CONVENED, *MODELS, "x", script=script)
    named = {row["url"]: row["title"] for row in seen.run["sources"]}
    assert named == {one: "One", two: "Two", three: "Three"}
    assert len(seen.run["sources"]) == 3


def test_other_servers_are_sent_no_server_tools() -> None:
    """A server other than OpenRouter has no such tools, and is sent none."""

    def has_server_tools(body: Any) -> bool:
        return any(str(tool["type"]).startswith("openrouter:") for tool in body.get("tools", []))

    with WireServer(default=deliberation()) as server:
        Path("own.toml").write_text(f'[providers.lab]\nbase_url = "{server.url}"\n', "utf-8")
        flags = ("-p", "lab:x,a/one", "-j", "lab:j", "-m", "lab:o")
        seen = Seen(here("--config", "own.toml", *CONVENED, *flags, "x", server=server), server.requests)
    assert seen.status == 0, seen.ended.stderr
    assert [body["model"] for body in seen.bodies() if has_server_tools(body)] == ["a/one"]
    assert not any("stop_server_tools_when" in body for body in seen.bodies() if body["model"] != "a/one")


ONLY_OPENROUTERS = {"max_tool_calls", "stop_server_tools_when"}


def functions(body: Any) -> list[Any]:
    """Return the tools of a body: a function's name, anything else as it stands."""
    return [tool["function"]["name"] if tool["type"] == "function" else tool for tool in body.get("tools", [])]


def test_other_servers_are_sent_functions() -> None:
    """A server other than OpenRouter is offered functions that are run here; without a search, fetch alone."""
    with WireServer(default=deliberation()) as server:
        Path("own.toml").write_text(f'[providers.lab]\nbase_url = "{server.url}"\n', "utf-8")
        flags = ("-p", "lab:x", "-p", "lab:y", "-j", "lab:j", "-m", "lab:o", "--max-tool-calls", "3")
        seen = Seen(here("--config", "own.toml", *CONVENED, *flags, "x", server=server), server.requests)
    assert seen.status == 0, seen.ended.stderr
    assert [functions(body) for body in (*seen.panel, *seen.judge)] == [["web_fetch"]] * 3
    assert [functions(body) for body in seen.outer] == [["fusion"]]
    assert [body["model"] for body in seen.bodies() if ONLY_OPENROUTERS & body.keys()] == []


def test_in_a_mixed_panel_each_server_is_sent_its_own() -> None:
    """OpenRouter's panelist runs its tools on the server, within the bound; the other one is offered a function."""
    with WireServer(default=deliberation()) as server:
        Path("own.toml").write_text(f'[providers.lab]\nbase_url = "{server.url}"\n', "utf-8")
        flags = ("-p", "lab:x", "-p", "a/one", "-j", "z/judge", "-m", "o/outer", "--max-tool-calls", "3")
        seen = Seen(here("--config", "own.toml", *CONVENED, *flags, "x", server=server), server.requests)
    assert seen.status == 0, seen.ended.stderr
    sent = {body["model"]: (functions(body), body.get("max_tool_calls")) for body in seen.bodies()}
    assert sent == {"x": (["web_fetch"], None), "a/one": (WEB, 3), "z/judge": (WEB, 3), "o/outer": (["fusion"], None)}
