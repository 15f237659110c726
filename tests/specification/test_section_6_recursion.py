"""The specification, section 6: inner calls say how deep they are, and no fusion can start another one."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.specification.running import ASK, CONVENED, MODELS, Rows, here, run, untrue
from tests.wire.server import WireServer, deliberation

HEADER = "x-openrouter-fusion-depth"
FUSION: dict[str, Any] = {"type": "openrouter:fusion"}
SLUGS = ("openrouter/fusion", "openrouter/fusion-flash", "openrouter:openrouter/fusion", "OpenRouter/Fusion:online")

REQUEST = {
    "model": "o/outer",
    "messages": ASK,
    "tools": [{**FUSION, "parameters": {"analysis_models": ["a/one", "b/two"]}}],
    "plugins": [{"id": "fusion"}, {"id": "response-healing"}],
}
INNER: Rows = {
    "panel and judge carry the header, 1": lambda it: (
        [request.headers.get(HEADER) for request in it.requests if request.role != "outer"] == ["1"] * 3
    ),
    "the value is an integer, written once": lambda it: all(
        request.head.lower().count(HEADER.encode()) == 1 for request in it.requests if request.role != "outer"
    ),
    "outer calls carry none": lambda it: (
        [request.headers.get(HEADER) for request in it.requests if request.role == "outer"] == [None] * 2
    ),
    "inner calls never carry the fusion tool": lambda it: (
        "fusion" not in json.dumps([body.get("tools") for body in (*it.panel, *it.judge)])
    ),
    "nor the plugin": lambda it: not any("plugins" in body for body in (*it.panel, *it.judge)),
    "the outer model's plugins hold it neither": lambda it: all(
        body["plugins"] == [{"id": "response-healing"}] for body in it.outer
    ),
    "nobody is asked as a fusion": lambda it: not any("fusion" in body["model"] for body in it.bodies()),
}


def test_inner_calls() -> None:
    """Panel and judge are told depth 1 and get no fusion; the outer model's calls have no such header."""
    assert untrue(INNER, run("ask", "--json", body=REQUEST)) == []


@pytest.mark.parametrize("command", ["analyze", "judge"])
def test_the_other_commands_inner_calls(command: str) -> None:
    """Without an outer model every call is an inner one."""
    Path("a.txt").write_text("yes")
    flags = {
        "analyze": (*MODELS[:-2], "SQLite?"),
        "judge": ("--prompt", "SQLite?", "--response", "ann=a.txt", "-j", "z/judge"),
    }
    seen = run(command, "--json", *flags[command])
    assert seen.requests
    assert {request.headers[HEADER] for request in seen.requests} == {"1"}


def ways(slug: str) -> dict[str, tuple[list[str], str | None, dict[str, Any] | None]]:
    """Return every way to make a slug a panelist or the judge: arguments, config file, request."""
    seat, judge = {"analysis_models": ["a/one", slug]}, {"analysis_models": ["a/one"], "model": slug}
    asked = {"model": "o/outer", "messages": ASK}
    own = f'[presets.own]\npanel = ["a/one", "{slug}"]\n'
    judged = f'[presets.own]\npanel = ["a/one"]\njudge = "{slug}"\n'
    return {
        "flag, panelist": ([*CONVENED, "-p", "a/one", "-p", slug, "-m", "o/outer", "x"], None, None),
        "flag, judge": ([*CONVENED, "-p", "a/one", "-j", slug, "-m", "o/outer", "x"], None, None),
        "flag of analyze": (["analyze", "-p", "a/one", "-j", slug, "x"], None, None),
        "flag of judge": (["judge", "--prompt", "x", "--response", "ann=a.txt", "-j", slug], None, None),
        "file, panelist": ([*CONVENED, "x"], f'panel = ["a/one", "{slug}"]', None),
        "file, judge": ([*CONVENED, "x"], f'panel = ["a/one"]\njudge = "{slug}"', None),
        "preset, panelist": ([*CONVENED, "--preset", "own", "x"], own, None),
        "preset, judge": ([*CONVENED, "--preset", "own", "x"], judged, None),
        "preset in the file": ([*CONVENED, "x"], f'preset = "own"\n{own}', None),
        "tool, panelist": (["ask"], None, {**asked, "tools": [{**FUSION, "parameters": seat}]}),
        "tool, judge": (["ask"], None, {**asked, "tools": [{**FUSION, "parameters": judge}]}),
        "plugin, panelist": (["ask"], None, {**asked, "plugins": [{"id": "fusion", **seat}]}),
        "plugin, judge": (["ask"], None, {**asked, "plugins": [{"id": "fusion", **judge}]}),
        "the tool among the web tools": (
            ["ask"],
            None,
            {**asked, "tools": [{**FUSION, "parameters": {"tools": [FUSION]}}]},
        ),
    }


@pytest.mark.parametrize("slug", SLUGS)
def test_a_fusion_is_no_panelist_and_no_judge(slug: str) -> None:
    """A fusion slug is refused with status 2 wherever it is named, before anything is spent."""
    Path("a.txt").write_text("yes")
    accepted = []
    with WireServer(default=deliberation()) as server:
        for way, (arguments, config, body) in ways(slug).items():
            said = []
            if config is not None:
                Path("own.toml").write_text(config)
                said = ["--config", "own.toml"]
            if body is not None:
                Path("body.json").write_text(json.dumps(body))
                arguments = [*arguments, "--request", "body.json"]
            ended = here(*said, *arguments, server=server)
            if ended.status != 2 or "fusion" not in ended.stderr or ended.stdout:
                accepted.append((way, ended))
        assert accepted == []
        assert server.requests == []


NESTED = {
    "ask": ["ask", *MODELS, "x"],
    "ask, answering alone": ["ask", "--tool-choice", "none", "-m", "o/outer", "x"],
    "analyze": ["analyze", *MODELS[:-2], "x"],
    "judge": ["judge", "--prompt", "x", "--response", "ann=a.txt", "-j", "z/judge"],
}


@pytest.mark.parametrize("command", NESTED)
def test_a_run_inside_an_inner_call_is_refused(command: str) -> None:
    """With FUSION_DEPTH in the environment nothing runs: status 2, and nothing sent."""
    Path("a.txt").write_text("yes")
    seen = run(*NESTED[command], env={"FUSION_DEPTH": "1"}, installed=command == "ask")
    assert (seen.status, seen.ended.stdout, seen.requests) == (2, "", [])
    assert "FUSION_DEPTH" in seen.ended.stderr


def test_depth_nought_is_a_top_level_run() -> None:
    """FUSION_DEPTH=0 is what a top-level run has, and it runs."""
    assert run("ask", "--tool-choice", "none", "-m", "o/outer", "x", env={"FUSION_DEPTH": "0"}).status == 0
