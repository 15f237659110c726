"""Runs that are taken up as their users do it: interrupted, resumed, continued, written from, judged again."""

import json
import shutil
import signal
from pathlib import Path

import platformdirs
import pytest

from fusion_cli.chat import Usage
from fusion_cli.choices import Choices
from fusion_cli.events import PanelCompleted
from fusion_cli.sinks.journal import Journal
from tests.e2e.command import MODELS, fusion, start
from tests.story.scripted import plan
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


@pytest.mark.parametrize(
    ("limit", "after", "more"),
    [
        (("--deadline", "2"), None, "--deadline 4s"),
        (("--timeout", "1"), None, "--timeout 2s"),
        (("--idle-timeout", "1.5"), 1, "--idle-timeout 3s"),
    ],
)
def test_what_had_too_little_time_is_resumed_with_more(limit: tuple[str, str], after: int | None, more: str) -> None:
    """The line that says how to go on gives more of the time that was over, and can be copied as it is."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        server.script("openai/gpt-5", Reply("at last", fault=Fault("stall", after=after)), role="outer")
        failed = fusion("ask", *REQUIRED, *limit, "x", server=server)
        [line] = [line for line in failed.stderr.splitlines() if line.startswith("To go on: fusion ")]
        server.script("openai/gpt-5", Reply("at last"), role="outer")
        resumed = fusion(*line.removeprefix("To go on: fusion ").split(), server=server)
    assert failed.status == 6
    assert line.endswith(f" {more}")
    assert (resumed.status, resumed.stdout) == (0, "at last\n")


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
    assert {request.model for request in asked[:2]} == {"openai/gpt-5", "anthropic/claude-opus-4.8"}  # at the same time
    assert [request.model for request in asked[2:]] == ["z/judge", "openai/gpt-5"]
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


@pytest.mark.parametrize(
    "way", [("ask", "--resume", "last"), ("ask", "--from", "last"), ("analyze", "--resume", "last")]
)
def test_web_tools_cannot_be_asked_for_anew(way: tuple[str, ...]) -> None:
    """Where a run is taken as it was asked, --web is refused; a conversation that goes on has its tools."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        fusion("ask", *REQUIRED, "--no-web", "x", server=server)
        before = len(server.requests)
        ended = fusion(*way, "--web", server=server)
        assert len(server.requests) == before
        assert ended.status == 2
        assert "takes the run as it was asked: --web cannot be changed" in ended.stderr
        assert fusion("ask", "-c", "--web", "y", server=server).status == 0
        panel = [request for request in server.requests[before:] if request.role == "panel"]
    assert panel
    assert all(request.body["tools"] for request in panel)


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
    assert " was asked without a panel: there is nothing to analyze\n" in refused.stderr


@pytest.mark.parametrize(
    "between",
    [
        (),
        ("ask", "--resume", "last"),
        ("ask", "--from", "last", "-m", "openai/gpt-5"),
        ("judge", "last", "-j", "z/judge"),
    ],
)
def test_conversation_keeps_its_people_over_what_came_between(between: tuple[str, ...]) -> None:
    """Whoever sat on the panel sits there again, though another command took the run up in the meantime."""
    with WireServer(default=deliberation()) as server:
        fusion("analyze" if between else "ask", *(MODELS if not between else MODELS[:-2]), "x", server=server)
        if between:
            fusion(*between, server=server)
        if between[:1] == ("judge",):
            fusion("ask", "--resume", "last", server=server)
        before = len(server.requests)
        fusion("ask", "-c", "And now?", "--tool-choice", "required", server=server)
        asked = {(request.role, request.model) for request in server.requests[before:]}
    assert {model for role, model in asked if role == "panel"} == {"openai/gpt-5", "anthropic/claude-opus-4.8"}
    assert {model for role, model in asked if role == "judge"} == {"z/judge"}


def test_conversation_goes_on_without_the_preset_that_named_its_panel(tmp_path: Path) -> None:
    """A preset that is gone or changed since then changes no panel, no persona and no label."""
    config = tmp_path / "config.toml"
    seat = '{ model = "openai/gpt-5", label = "sceptic", system = "Look for what breaks." }'
    config.write_text(f'[presets.mine]\njudge = "z/judge"\npanel = [{seat}, "a/b"]\nsystem = "Be brief."\n')
    with WireServer(default=deliberation()) as server:
        fusion("--config", str(config), "ask", "--preset", "mine", "--tool-choice", "required", "x", server=server)
        before = len(server.requests)
        ended = fusion("ask", "-c", "y", "--json", server=server)
        asked = [request for request in server.requests[before:] if request.role == "panel"]
    assert [row["label"] for row in ended.json()["result"]["responses"]] == ["sceptic", "a/b"]
    told = {request.model: request.body["messages"][0]["content"] for request in asked}
    assert told["openai/gpt-5"].count("Look for what breaks.") == 1
    assert "Look for what breaks." not in told["a/b"]


def test_what_a_request_asked_for_holds_for_the_next_question(tmp_path: Path) -> None:
    """Panel, system message, parameters and privacy of a request stay when its conversation goes on."""
    body = {
        "model": "openai/gpt-5",
        "messages": [{"role": "system", "content": "Be terse."}, {"role": "user", "content": "x"}],
        "tools": [{"type": "openrouter:fusion", "parameters": {"analysis_models": ["x/one"], "model": "x/judge"}}],
        "tool_choice": "required",
        "provider": {"data_collection": "deny", "zdr": True},
        "top_p": 0.5,
    }
    (tmp_path / "body.json").write_text(json.dumps(body))
    with WireServer(default=deliberation()) as server:
        fusion("ask", "--request", str(tmp_path / "body.json"), server=server)
        for _ in range(2):
            before = len(server.requests)
            fusion("ask", "-c", "y", server=server)
        asked = {request.role: request for request in server.requests[before:]}
    assert [asked[role].model for role in ("panel", "judge", "outer")] == ["x/one", "x/judge", "openai/gpt-5"]
    kept = ("data_collection", "zdr")
    assert all([request.body["provider"][key] for key in kept] == ["deny", True] for request in asked.values())
    assert asked["outer"].body["top_p"] == 0.5
    turns = asked["outer"].body["messages"]
    assert turns[0]["content"].count("Be terse.") == 1
    assert [turn["content"] for turn in turns if turn["role"] == "user"][:3] == ["x", "y", "y"]


@pytest.mark.parametrize(
    "way", [("ask", "--resume"), ("ask", "--from"), ("ask", "--continue"), ("analyze", "--resume"), ("judge",)]
)
def test_a_run_under_way_is_left_alone(way: tuple[str, ...], tmp_path: Path) -> None:
    """Nobody takes up what may still bring responses; a copy of its file is what it was when it was copied."""
    folder = platformdirs.user_data_path("fusion", appauthor=False) / "runs"
    journal = Journal(folder, "ask", plan(), Choices(), None, lambda said: None)
    journal(PanelCompleted("a", "a", "now", 1.0, Usage(), truncated=False))
    question = ("x",) if way[-1] == "--continue" else ()
    refused = fusion(*way, journal.run, *question)
    copy = shutil.copy(journal.path, tmp_path / "copy.jsonl")
    with WireServer(default=deliberation(latency_s=0)) as server:
        judged = fusion("judge", str(copy), "--json", server=server)
    journal.close()
    assert refused.status == 2
    assert f"fusion: the run {journal.run} is still under way\n" in refused.stderr
    assert judged.status == 0


def test_conversation_with_a_provider_that_is_gone_is_refused() -> None:
    """A model is never asked of another server than the one that it was named for."""
    with WireServer(default=deliberation()) as server:
        fusion("config", "set", "providers.lab.base_url", server.url)
        fusion("ask", "-p", "lab:llama", "x", server=server)
        fusion("config", "unset", "providers.lab")
        before = len(server.requests)
        ended = fusion("ask", "-c", "y", server=server)
        assert len(server.requests) == before
    assert ended.status == 2
    assert "the provider lab is not configured" in ended.stderr


def test_a_judged_run_shows_the_question_as_it_was_asked() -> None:
    """Material is read by the judge and not shown as a part of the question."""
    with WireServer(default=deliberation()) as server:
        fusion("ask", *REQUIRED, "Which database?", server=server, stdin=b"We have 3 users.")
        fusion("judge", "last", "-j", "z/judge", server=server)
        read = server.calls(role="judge")
    [judged, *_] = fusion("runs", "list", "--json").json()
    assert (judged["command"], judged["question"]) == ("judge", "Which database?")
    assert "begin" not in fusion("runs", "show", "last").stdout
    assert all("We have 3 users." in request.texts[-1] for request in read)


def test_dry_run_of_an_answer_alone_speaks_of_no_web() -> None:
    """Who writes from an earlier run's responses has no web tools, and none are promised."""
    with WireServer(default=deliberation()) as server:
        fusion("ask", *REQUIRED, "x", server=server)
        ended = fusion("ask", "--from", "last", "--dry-run", server=server)
    assert "answer  openai/gpt-5" in ended.stdout
    assert "web" not in ended.stdout


def test_conversation_without_a_panel_warns_of_nothing_that_was_not_said() -> None:
    """Who sat on an earlier panel is no flag of this call, and has no effect that was asked for."""
    with WireServer(default=deliberation()) as server:
        fusion("ask", *MODELS, "x", server=server)
        ended = fusion("ask", "-c", "--tool-choice", "none", "y", server=server)
        again = fusion("ask", "-c", "z", server=server)
        named = fusion("ask", "-c", "-p", "a/b", "z", server=server)
    assert [run.status for run in (ended, again, named)] == [0, 0, 0]
    assert "have no effect" not in ended.stderr + again.stderr
    assert "have no effect: panel" in named.stderr
