"""What a request asked for of every call holds however its run is taken up: judged again, resumed, written from."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import fusion
from tests.wire.server import Request, WireServer, deliberation

PRIVATE = {"data_collection": "deny", "zdr": True}
BODY = {
    "model": "x/outer",
    "messages": [{"role": "user", "content": "Which?"}],
    "tools": [{"type": "openrouter:fusion", "parameters": {"analysis_models": ["x/one"], "model": "x/judge"}}],
    "tool_choice": "required",
    "provider": PRIVATE,
}
ALL_OF_LAB = ("-p", "lab:one", "-j", "lab:judge", "-m", "lab:outer")


def asked_of(server: WireServer, *arguments: str) -> list[Request]:
    """Run a command that succeeds, and return the calls that it made."""
    before = len(server.calls())
    ended = fusion(*arguments, server=server)
    assert ended.status == 0, ended.stderr
    return server.calls()[before:]


def made(server: WireServer, *flags: str) -> None:
    """Make the run of the request, with another provider configured."""
    Path("body.json").write_text(json.dumps(BODY))
    fusion("config", "set", "providers.lab.base_url", server.url)
    asked_of(server, "ask", "--request", "body.json", *flags)


@pytest.mark.parametrize("flags", [(), ("-m", "lab:outer"), ALL_OF_LAB])
def test_who_judges_or_writes_later_is_told(flags: tuple[str, ...]) -> None:
    """Another judge, whoever resumes or writes from its run, and another writer have the request's privacy."""
    ways: list[tuple[str, ...]] = [
        ("ask", "--from", "last", "-m", "y/writer"),
        ("judge", "last", "-j", "y/judge"),
        ("ask", "--from", "last", "-m", "y/writer"),
        ("judge", "last", "-j", "y/judge"),
        ("ask", "--resume", "last"),
        ("ask", "-c", "And now?", "-p", "y/two", "-j", "y/judge", "-m", "y/writer", "--tool-choice", "required"),
    ]
    with WireServer(default=deliberation(latency_s=0)) as server:
        made(server, *flags)
        seen = [request for way in ways for request in asked_of(server, *way)]
    assert [request.role for request in seen] == [
        "outer",
        "judge",
        "outer",
        "judge",
        "outer",
        "panel",
        "judge",
        "outer",
    ]
    assert [request.body.get("provider") for request in seen] == [PRIVATE] * len(seen)


def test_a_file_that_a_run_printed_is_judged_as_privately() -> None:
    """What --json printed names its run, whose privacy holds for its judge, too."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        made(server)
        Path("run.json").write_text(fusion("runs", "show", "last", "--json").stdout)
        [judged] = asked_of(server, "judge", "run.json", "-j", "y/judge")
    assert judged.body["provider"] == PRIVATE


def body_of_judge(server: WireServer, *flags: str) -> Any:
    """Judge the last run once more, and return what its judge was sent."""
    [judged] = asked_of(server, "judge", "last", "-j", "z/judge", "--no-save", *flags)
    return judged.body


def test_a_run_without_web_tools_is_judged_without_them() -> None:
    """The judge of responses has web tools where the run had them; a flag wins."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        asked_of(server, "analyze", "-p", "x/one", "-j", "z/judge", "--no-web", "x")
        assert "tools" not in body_of_judge(server)
        assert body_of_judge(server, "--web")["tools"]
        asked_of(server, "analyze", "-p", "x/one", "-j", "z/judge", "x")
        assert body_of_judge(server)["tools"]
