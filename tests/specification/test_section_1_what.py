"""The specification, section 1: what a fusion is, and the ways to ask for one."""

from typing import Any

import pytest

from tests.specification.running import ASK, CONVENED, MODELS, PANEL, WEB, Rows, Script, Seen, run, untrue
from tests.wire.server import Call, Reply

FUSION = {"type": "openrouter:fusion"}
SECTIONS = ["consensus", "contradictions", "partial_coverage", "unique_insights", "blind_spots"]
WEB_TYPES = {"openrouter:web_search", "openrouter:web_fetch"}
CALLED = Reply(tool_calls=(Call("fusion", '{"prompt": "In its own words?"}'),))
OUTER_CALLS: list[Script] = [("o/outer", "outer", (CALLED, Reply("the answer")))]
ALONE: list[Script] = [("o/outer", "outer", (Reply("four"),))]


def met(seen: Seen) -> bool:
    """Say whether the panel was convened and an answer written."""
    return seen.status == 0 and seen.run["fused"] is True and bool(seen.run["answer"])


def names_of_functions(body: Any) -> list[str]:
    """Return what the functions are called that a model may call."""
    return [tool["function"]["name"] for tool in body.get("tools", []) if tool["type"] == "function"]


def web_types(body: Any) -> set[str]:
    """Return the server tools that a model has."""
    return {tool["type"] for tool in body.get("tools", []) if tool["type"] != "function"}


IN_WORDS = ("research", "critique from several fields", "compare and contrast", "being wrong is expensive")

CONVENED_BY_THE_MODEL: Rows = {
    "a calling model gets the user's request": lambda it: it.outer[0]["messages"][-1]["content"] == "SQLite?",
    "together with a callable tool, fusion": lambda it: names_of_functions(it.outer[0]) == ["fusion"],
    "it decides": lambda it: it.outer[0]["tool_choice"] == "auto",
    "on research, critique, comparison, anything where being wrong is expensive": lambda it: all(
        words in it.outer[0]["tools"][0]["function"]["description"].lower().replace("\n", " ") for words in IN_WORDS
    ),
    "short tactical prompts do not trigger it": lambda it: (
        "not use it for short tactical prompts" in it.outer[0]["tools"][0]["function"]["description"]
    ),
    "when it calls the tool, a panel answers the prompt": lambda it: (
        [message["content"] for body in it.panel for message in body["messages"]] == ["In its own words?"] * 2
    ),
    "each with web search and web fetch": lambda it: all(web_types(body) == WEB_TYPES for body in it.panel),
    "a judge reads all responses": lambda it: all(
        f"{slug} says" in it.judge[0]["messages"][-1]["content"] for slug in ("a/one", "b/two")
    ),
    "with search and fetch too": lambda it: web_types(it.judge[0]) == WEB_TYPES,
    "compares them, it does not merge them": lambda it: "do not merge" in it.judge[0]["messages"][-1]["content"],
    "into a structured analysis": lambda it: list(it.run["result"]["analysis"]) == SECTIONS,
    "the tool result goes back to the outer model": lambda it: it.told[0]["analysis"] == it.run["result"]["analysis"],
    "which writes the final answer": lambda it: it.run["answer"] == "the answer" and met(it),
    "the synthesis call gets no web tools": lambda it: not any(web_types(body) for body in it.outer),
}


def test_the_outer_model_convenes_the_panel() -> None:
    """Under auto the outer model is given the tool and calls it; panel, judge and answer follow, in a real process."""
    seen = run("ask", "--json", *MODELS, "SQLite?", script=OUTER_CALLS, installed=True)
    assert untrue(CONVENED_BY_THE_MODEL, seen) == []
    assert [request.role for request in seen.requests] == ["outer", "panel", "panel", "judge", "outer"]


@pytest.mark.parametrize("size", [1, 8])
def test_one_to_eight_in_parallel(size: int) -> None:
    """One to eight analysis models answer, and all are asked before any of them has answered."""
    slugs = [f"p/m{index}" for index in range(size)]
    slow: list[Script] = [(slug, "panel", (Reply("yes", delay_headers_s=0.2),)) for slug in slugs]
    seen = run(*CONVENED, "-p", ",".join(slugs), "-m", "o/outer", "SQLite?", script=slow)
    asked = [request for request in seen.requests if request.role == "panel"]
    assert met(seen)
    assert seen.models("panel") == slugs
    assert max(request.received_s for request in asked) < min(request.ended_s or 0.0 for request in asked)


TOOL_CHOICES: dict[str, tuple[list[str], Rows]] = {
    "auto, and the model answers itself": (
        ["--tool-choice", "auto"],
        {
            "it decides whether the request needs deliberation": lambda it: it.run["fused"] is False,
            "its words are the answer": lambda it: it.run["answer"] == "four",
            "nobody else is asked": lambda it: len(it.requests) == 1,
        },
    ),
    "required": (
        ["--tool-choice", "required"],
        {
            "forcing: tool_choice required": met,
            "nobody is paid to decide": lambda it: len(it.outer) == 1,
        },
    ),
    "none": (
        ["--tool-choice", "none"],
        {
            "there is no tool": lambda it: "tools" not in it.outer[0],
            "nobody else is asked": lambda it: len(it.requests) == 1,
        },
    ),
}


@pytest.mark.parametrize("name", TOOL_CHOICES)
def test_who_decides(name: str) -> None:
    """Auto leaves the decision to the outer model, required forces the panel, none forbids it."""
    flags, rows = TOOL_CHOICES[name]
    assert untrue(rows, run("ask", "--json", *MODELS, *flags, "SQLite?", script=ALONE)) == []


def test_one_deliberation_a_turn() -> None:
    """Whatever the outer model calls in its turn, the panel is asked once and each other call is refused."""
    both = Reply(tool_calls=tuple(Call("fusion", f'{{"prompt": "{n}?"}}', f"call_{n}") for n in range(3)))
    seen = run("ask", "--json", *MODELS, "x", script=[("o/outer", "outer", (both, CALLED, Reply("done")))])
    assert len(seen.panel) == 2
    assert len(seen.judge) == 1
    assert [told["status"] for told in seen.told] == ["ok", "error", "error", "error"]
    assert seen.run["answer"] == "done"


ALIASES: dict[str, tuple[list[str], dict[str, Any] | None]] = {
    "the alias as a flag": (["-m", "openrouter/fusion", *PANEL], None),
    "the alias in a request": ([*PANEL], {"model": "openrouter/fusion", "messages": ASK}),
    "tool_choice required in a request": (
        [*PANEL],
        {"model": "o/outer", "messages": ASK, "tools": [FUSION], "tool_choice": "required"},
    ),
    "the plugin, and the model calls": ([*PANEL], {"model": "o/outer", "messages": ASK, "plugins": [{"id": "fusion"}]}),
    "the tool, and the model calls": ([*PANEL], {"model": "o/outer", "messages": ASK, "tools": [FUSION]}),
}


@pytest.mark.parametrize("name", ALIASES)
def test_sugar_leads_to_the_same_pipeline(name: str) -> None:
    """Plugin, alias and required lead to the same panel, judge and answer."""
    flags, body = ALIASES[name]
    seen = run("ask", "--json", *flags, *(["SQLite?"] if body is None else []), body=body)
    rows: Rows = {
        "the panel met": met,
        "the same panel": lambda it: it.models("panel") == ["a/one", "b/two"],
        "the same tools": lambda it: all(body["tools"] == WEB for body in (*it.panel, *it.judge)),
        "the same result": lambda it: list(it.told[0]) == ["status", "analysis", "responses"],
        "forced ones are not decided by anybody": lambda it: len(it.outer) == (2 if "the model calls" in name else 1),
    }
    assert untrue(rows, seen) == []


def test_the_alias_picks_the_outer_model() -> None:
    """The alias stands for a model that answers, and is never sent itself."""
    seen = run("ask", "--json", body={"model": "openrouter/fusion", "messages": ASK})
    assert seen.models("outer") == ["~anthropic/claude-opus-latest"]
    assert not any("fusion" in model for model in seen.models())
