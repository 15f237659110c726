"""Runs that are taken up as their users do it: interrupted, resumed, continued, written from, judged again."""

import json
import signal
from pathlib import Path

import platformdirs
import pytest

from tests.e2e.command import MODELS, fusion, start
from tests.wire.server import Fault, Reply, WireServer, deliberation, failure

REQUIRED = (*MODELS, "--tool-choice", "required")


def journals() -> list[Path]:
    """Return this test's runs, the oldest first."""
    return sorted((platformdirs.user_data_path("fusion", appauthor=False) / "runs").glob("*.jsonl"))


def test_interrupted_run_goes_on_where_it_was() -> None:
    """After Ctrl-C in the panel, `--resume` asks the unfinished panelist, the judge and the outer model alone."""
    with WireServer(default=deliberation()) as server:
        server.script("anthropic/claude-opus-4.8", Reply("half a sentence", fault=Fault("stall", after=1)))
        process = start("ask", *REQUIRED, "--json", "Which?", server=server)
        assert process.stderr
        while b"answered in" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=10)
        first = json.loads(stdout)
        server.script("anthropic/claude-opus-4.8", Reply("whole"))
        before = len(server.requests)
        resumed = fusion("ask", "--resume", first["run"], "--json", server=server)
        asked = [(request.role, request.model) for request in server.requests[before:]]
    assert process.returncode == 130
    assert first["result"]["failed_models"][0]["content"] == "half a senten"[:12]
    assert f"fusion ask --resume {first['run']}" in stderr.decode()
    assert asked == [("panel", "anthropic/claude-opus-4.8"), ("judge", "z/judge"), ("outer", "openai/gpt-5")]
    shape = resumed.json()
    assert (shape["parent"], shape["fused"], shape["degraded"]) == (first["run"], True, False)
    assert [row["content"] for row in shape["result"]["responses"]][1] == "whole"


def test_failed_answer_is_resumed_by_one_call() -> None:
    """An outer model that failed after the panel was paid for is asked again alone, and the run says how."""
    with WireServer(default=deliberation()) as server:
        server.script("openai/gpt-5", failure(400, "no"), role="outer")
        failed = fusion("ask", *REQUIRED, "x", server=server)
        server.script("openai/gpt-5", Reply("at last"), role="outer")
        before = len(server.requests)
        [line] = [line for line in failed.stderr.splitlines() if line.startswith("To go on: fusion ")]
        resumed = fusion(*line.removeprefix("To go on: fusion ").split(), server=server)
        asked = len(server.requests) - before
    assert (failed.status, resumed.status, asked) == (1, 0, 1)
    assert resumed.stdout == "at last\n"


def test_another_writer_and_another_judge_cost_one_call_each() -> None:
    """`ask --from` and `judge RUN` make a new run each, which names the one that it comes from."""
    with WireServer(default=deliberation()) as server:
        first = fusion("ask", *REQUIRED, "--json", "x", server=server).json()
        before = len(server.requests)
        written = fusion("ask", "--from", "last", "-m", "y/writer", "--json", server=server).json()
        judged = fusion("judge", first["run"][:-3], "-j", "y/judge", "--json", server=server).json()
        asked = [(request.role, request.model) for request in server.requests[before:]]
    assert asked == [("outer", "y/writer"), ("judge", "y/judge")]
    assert (written["parent"], judged["parent"]) == (first["run"], first["run"])
    assert written["result"]["analysis"] == first["result"]["analysis"]
    assert len({first["run"], written["run"], judged["run"]}) == 3


def test_conversation_goes_on() -> None:
    """`-c` asks the same people; the outer model has the turns before, and the panel reads them as material."""
    with WireServer(default=deliberation()) as server:
        server.script("openai/gpt-5", Reply("SQLite."), role="outer")
        fusion("ask", *REQUIRED, "Which database?", server=server, stdin=b"We have 3 users.")
        before = len(server.requests)
        ended = fusion("ask", "-c", "And for 3,000?", server=server)
        asked = server.requests[before:]
        fusion("ask", "--continue", journals()[-1].stem, "And for 3,000,000?", server=server)
        third = server.calls(role="outer")[-1].body["messages"]
    assert ended.status == 0
    assert [request.model for request in asked] == [
        "openai/gpt-5",
        "anthropic/claude-opus-4.8",
        "z/judge",
        "openai/gpt-5",
    ]
    panel = asked[0].texts[-1]
    assert panel.startswith("And for 3,000?\n")
    assert "We have 3 users." in panel
    assert "Assistant: SQLite." in panel
    turns = [(turn["role"], turn["content"]) for turn in third if turn["role"] in ("user", "assistant")]
    assert [role for role, _ in turns] == ["user", "assistant", "user", "assistant", "user", "assistant"]
    assert turns[1] == ("assistant", "SQLite.")
    assert turns[2] == ("user", "And for 3,000?")
    assert turns[4] == ("user", "And for 3,000,000?")


def test_files_of_a_continued_question_reach_the_panel(tmp_path: Path) -> None:
    """What is attached to a later question is material for the panel, though the outer model puts the question."""
    (tmp_path / "notes.txt").write_text("the numbers are 7 and 9")
    with WireServer(default=deliberation()) as server:
        fusion("ask", *MODELS, "Which database?", server=server)
        fusion("ask", "-c", "-f", str(tmp_path / "notes.txt"), "And now?", server=server)
        panel = server.calls(role="panel")[-1].texts[-1]
        outer = server.calls(role="outer")[-1].texts
    assert "the numbers are 7 and 9" in panel
    assert any("the numbers are 7 and 9" in text for text in outer)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ask", "--resume", "last"), "there is no run yet"),
        (("ask", "--resume", "20990101"), "there is no run 20990101"),
        (("ask", "--resume", "last", "--from", "last"), "--resume and --from say in two ways what to ask"),
        (("ask", "--resume", "last", "x"), "--resume has its question in it"),
        (("ask", "-c", "x"), "there is no run yet"),
        (("analyze", "--resume", "nowhere"), "there is no run nowhere"),
        (("judge", "last", "-j", "z/judge"), "there is no run yet"),
    ],
)
def test_runs_that_do_not_exist_are_named(arguments: tuple[str, ...], said: str) -> None:
    """What cannot be taken up is one line and status 2, before anything is sent."""
    with WireServer() as server:
        ended = fusion(*arguments, server=server)
        assert server.requests == []
    assert ended.status == 2
    assert ended.stderr.startswith(f"fusion: {said}")


def test_a_resumed_run_is_not_changed() -> None:
    """Flags that would make another run of it are refused, with the way to what was meant."""
    with WireServer(default=deliberation()) as server:
        fusion("ask", *REQUIRED, "x", server=server)
        before = len(server.requests)
        ended = fusion("ask", "--resume", "last", "-j", "y/judge", "--no-web", server=server)
        assert len(server.requests) == before
    assert ended.status == 2
    assert "--resume takes the run as it was asked: --judge, --no-web cannot be changed" in ended.stderr
    assert "fusion judge RUN -j MODEL" in ended.stderr


def test_a_run_without_an_answer_cannot_be_continued() -> None:
    """A conversation goes on from an answer; where there is none, the way to get it is said."""
    with WireServer(default=deliberation()) as server:
        server.script("openai/gpt-5", failure(400, "no"), role="outer")
        fusion("ask", *REQUIRED, "x", server=server)
        ended = fusion("ask", "-c", "y", server=server)
    assert ended.status == 2
    assert f"To go on with it: fusion ask --resume {journals()[-1].stem}" in ended.stderr


def test_a_request_is_continued_with_its_own_people(tmp_path: Path) -> None:
    """`-c` after `--request` asks the body's panel, judge and outer model, who still has its system message."""
    parameters = {"analysis_models": ["a/one", "b/two"], "model": "z/judge"}
    body = {
        "model": "x/outer",
        "messages": [{"role": "system", "content": "In rhymes."}, {"role": "user", "content": "Which?"}],
        "tools": [{"type": "openrouter:fusion", "parameters": parameters}],
        "tool_choice": "required",
    }
    (tmp_path / "body.json").write_text(json.dumps(body))
    with WireServer(default=deliberation()) as server:
        fusion("ask", "--request", str(tmp_path / "body.json"), "--system", "Be brief.", server=server)
        fusion("ask", "-c", "And now?", server=server)
        before = len(server.requests)
        fusion("ask", "-c", "--system", "Be kind.", "And then?", server=server)
        asked = server.requests[before:]
    assert sorted(request.model for request in asked) == ["a/one", "b/two", "x/outer", "z/judge"]
    [first, *turns] = asked[-1].body["messages"]
    assert first["content"].startswith("Be kind.\n\nIn rhymes.\n\n")
    assert "Be brief." not in first["content"]
    assert [turn["content"] for turn in turns if turn["role"] == "user"] == ["Which?", "And now?", "And then?"]


def test_a_run_without_a_panel_can_be_analyzed_where_it_could_have_had_one() -> None:
    """`analyze --resume` convenes the panel that the outer model did without; one that was ruled out stays out."""
    with WireServer(default=deliberation()) as server:
        server.script("openai/gpt-5", Reply("Alone."), Reply("Alone."), role="outer")
        fusion("ask", *MODELS, "Which?", server=server)
        before = len(server.requests)
        analyzed = fusion("analyze", "--resume", "last", server=server)
        asked = sorted(request.model for request in server.requests[before:])
        fusion("ask", *MODELS, "--tool-choice", "none", "Which?", server=server)
        refused = fusion("analyze", "--resume", "last", server=server)
    assert (analyzed.status, asked) == (0, ["anthropic/claude-opus-4.8", "openai/gpt-5", "z/judge"])
    assert refused.status == 2
    assert refused.stderr.endswith(" was asked without a panel: there is nothing to analyze\n")
