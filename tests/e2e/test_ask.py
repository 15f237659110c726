"""What a user of `fusion ask` sees: the answer alone on standard output, the truth on standard error."""

import json
import os
import re
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from tests.e2e.command import CANARY, FUSION, MODELS, environment, fusion, on_a_terminal, start
from tests.wire.server import Call, Fault, Reply, WireServer, deliberation, failure

HOSTILE = "safe\x1b]0;owned\x07\x1b[31m\x9b2J\u202e text"


def test_required_run_in_a_pipe() -> None:
    """In a pipe there is the answer alone; the panel's lines and whether it met are on standard error."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        ended = fusion("ask", *MODELS, "--tool-choice", "required", "SQLite?", server=server)
    assert ended.status == 0
    assert ended.stdout.startswith("SQLite")
    assert ended.stdout.count("\n") == 1
    assert "panel   openai/gpt-5  answered in" in ended.stderr
    assert "The panel met: 2 of 2 answered." in ended.stderr
    took = r"answered\. \d+ tokens, \$[\d.]+ \(panel <?\$[\d.]+, judge \$[\d.]+, answer \$[\d.]+\)\.\n"
    assert re.search(took, ended.stderr)


def test_outer_model_convenes_the_panel() -> None:
    """With `auto` the tool call leads to panel, judge and an answer with `tool_choice` none."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        server.script(
            "openai/gpt-5",
            Reply("I ask the panel.", tool_calls=(Call("fusion", '{"prompt": "q"}'),)),
            Reply("the answer"),
            role="outer",
        )
        ended = fusion("ask", *MODELS, "--json", "SQLite?", server=server)
        outer = [request.body for request in server.calls(role="outer")]
        inner = [*server.calls(role="panel"), *server.calls(role="judge")]
    assert ended.json()["fused"] is True
    assert ended.json()["answer"] == "the answer"
    assert [body["tool_choice"] for body in outer] == ["auto", "none"]
    assert len(inner) == 3
    assert {request.headers["x-openrouter-fusion-depth"] for request in inner} == {"1"}
    web = ["openrouter:web_search", "openrouter:web_fetch"]
    assert [[tool["type"] for tool in request.body["tools"]] for request in inner] == [web] * 3


def test_direct_answer_says_that_nobody_met() -> None:
    """A panel that was not convened is never pretended, and the way to convene it is said."""
    with WireServer() as server:
        server.script("openai/gpt-5", Reply("four"))
        ended = fusion("ask", *MODELS, "2+2?", server=server)
    assert (ended.status, ended.stdout) == (0, "four\n")
    assert "The panel did not meet: openai/gpt-5 answered alone (to convene it: --tool-choice required)" in ended.stderr


def test_alias_means_required_with_the_presets_judge() -> None:
    """`-m openrouter/fusion` convenes the preset's panel at once, and its judge writes the answer."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        ended = fusion("ask", "-m", "openrouter/fusion", "--json", "x", server=server)
        outer = server.calls(role="outer")
    assert ended.json()["fused"] is True
    assert [request.model for request in outer] == ["~anthropic/claude-opus-latest"]
    assert len(ended.json()["result"]["responses"]) == 3


def test_json_has_exactly_its_keys() -> None:
    """`--json` is one object, with the keys that scripts rely on, in their order."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        shape = fusion("ask", *MODELS, "--tool-choice", "required", "--json", "x", server=server).json()
    assert list(shape) == [
        "status",
        "answer",
        "fused",
        "model",
        "result",
        "prompt",
        "failure_reason",
        "error",
        "run",
        "parent",
        "degraded",
        "sources",
        "supported",
        "quotes",
        "second_look",
        "usage",
        "calls",
        "warnings",
        "seed",
        "version",
    ]
    assert [call["role"] for call in shape["calls"]] == ["panel", "panel", "judge", "outer"]
    assert list(shape["calls"][0]) == [
        "role",
        "model",
        "answered_by",
        "label",
        "attempts",
        "duration_s",
        "finish_reason",
        "usage",
        "tools",
        "tool_calls",
        "sources",
        "error",
    ]
    assert list(shape["calls"][0]["usage"]) == [
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "reasoning_tokens",
        "cached_tokens",
        "cost",
        "server_tool_calls",
        "web_search_requests",
    ]
    assert shape["usage"]["cost"] > 0


def test_parameters_reach_the_wire() -> None:
    """Temperature goes to the panel alone, limit and reasoning to panel and judge; each seat has its own seed."""
    flags = ("--temperature", "1.5", "--max-completion-tokens", "99", "--reasoning-effort", "low", "--seed", "7")
    with WireServer(default=deliberation(latency_s=0)) as server:
        fusion("ask", *MODELS, *flags, "--tool-choice", "required", "x", server=server)
        panel, judge, outer = ([r.body for r in server.calls(role=role)] for role in ("panel", "judge", "outer"))
    assert [body["temperature"] for body in (*panel, *judge)] == [1.5, 1.5, 0.0]
    assert all(body["max_completion_tokens"] == 99 for body in (*panel, *judge))
    assert all(body["reasoning"] == {"effort": "low"} for body in (*panel, *judge))
    assert {body["model"]: body["seed"] for body in panel} == {"openai/gpt-5": 7, "anthropic/claude-opus-4.8": 8}
    assert all(body["seed"] == 7 for body in (*judge, *outer))
    assert not {"temperature", "max_completion_tokens", "reasoning"} & set(outer[0])


def test_standard_input_is_material() -> None:
    """With a question as argument, standard input is fenced material, for outer model and panel alike."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        fusion("ask", *MODELS, "--tool-choice", "required", "What breaks?", server=server, stdin=b"- old\n+ new\n")
        [first, *_] = server.calls(role="panel")
    content = first.body["messages"][-1]["content"]
    assert content.startswith("What breaks?\n\n=====[")
    assert "begin standard input\n- old\n+ new\n" in content


@pytest.mark.parametrize("arguments", [("-",), ()])
def test_standard_input_is_the_question(arguments: tuple[str, ...]) -> None:
    """With `-`, or with nothing, standard input is the question."""
    with WireServer() as server:
        server.script("openai/gpt-5", Reply("ok"))
        ended = fusion("ask", *MODELS, *arguments, server=server, stdin=b"what now?\n")
        [request] = server.requests
    assert ended.status == 0
    assert request.body["messages"][-1]["content"] == "what now?"


def test_files_are_named_material(tmp_path: Path) -> None:
    """Each file of `-f` stands fenced under its name."""
    (tmp_path / "a.py").write_text("A = 1")
    (tmp_path / "b.md").write_text("# B")
    with WireServer() as server:
        server.script("openai/gpt-5", Reply("ok"))
        fusion("ask", *MODELS, "-f", f"{tmp_path}/a.py", "-f", f"{tmp_path}/b.md", "Compare", server=server)
        content = server.requests[0].body["messages"][-1]["content"]
    assert content.index("a.py\nA = 1") < content.index("b.md\n# B")


def test_failed_panelist_is_a_warning_and_under_strict_status_3() -> None:
    """A degraded run is delivered with a word about it; `--strict` does not accept it, and delivers it all the same."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        server.script("anthropic/claude-opus-4.8", failure(403, "flagged", metadata={"reasons": ["x"]}))
        loose = fusion("ask", *MODELS, "--tool-choice", "required", "--json", "x", server=server)
        strict = fusion("ask", *MODELS, "--tool-choice", "required", "--strict", "x", server=server)
    assert (loose.status, loose.json()["degraded"]) == (0, True)
    assert loose.json()["result"]["failed_models"][0]["status_code"] == 403
    assert "The panel met: 1 of 2 answered." in loose.stderr
    assert strict.status == 3
    assert strict.stdout.startswith("SQLite")


def test_all_panelists_failed_and_the_outer_model_answers_alone() -> None:
    """It is said plainly that no panelist answered, and `fused` is false."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        server.script("*", failure(400, "no"), role="panel")
        ended = fusion("ask", *MODELS, "--tool-choice", "required", "--json", "x", server=server)
    shape = ended.json()
    assert ended.status == 0
    assert (shape["fused"], shape["degraded"], shape["failure_reason"]) == (False, True, "all_panels_failed")
    assert "The panel did not meet: no panelist answered; openai/gpt-5 answered alone" in ended.stderr


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (failure(401, "no such key"), 4),
        (failure(402, "no credits"), 5),
        (failure(429, "slow down", retry_after=86400), 5),
        (failure(400, "bad"), 1),
        (Reply("never", fault=Fault("close", after=None)), 6),
    ],
    ids=["key", "credits", "rate limit", "bad request", "no answer"],
)
def test_failed_outer_model_has_its_status_and_prints_json(reply: Reply, status: int) -> None:
    """Scripts tell key, money and network apart by the status, and still read the whole object."""
    with WireServer() as server:
        server.script("openai/gpt-5", reply)
        ended = fusion("ask", *MODELS, "--json", "x", server=server)
    assert ended.status == status
    assert ended.json()["status"] == "error"
    assert ended.json()["answer"] is None
    assert ended.stderr.count("fusion: ") == 1


def test_failed_answer_keeps_the_panel(tmp_path: Path) -> None:
    """An outer model that fails costs nothing twice: the run is kept in a private file that `judge` reads."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        server.script("openai/gpt-5", failure(400, "no"), role="outer")
        ended = fusion("ask", *MODELS, "--tool-choice", "required", "x", server=server)
        before = len(server.requests)
        [line] = [line for line in ended.stderr.splitlines() if line.startswith("Kept in ")]
        kept = Path(line.removeprefix("Kept in "))
        judged = fusion("judge", str(kept), "-j", "z/judge", server=server)
        asked = len(server.requests) - before
    assert ended.status == 1
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert judged.status == 0
    assert judged.stdout.startswith("## Consensus")
    assert asked == 1


def test_terminal_streams_the_answer_and_nothing_hostile() -> None:
    """On a dumb terminal no escape code, control or hidden direction mark of a model reaches the screen."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        server.script("openai/gpt-5", Reply(HOSTILE, chunk_chars=1), role="outer")
        server.script("anthropic/claude-opus-4.8", failure(400, HOSTILE))
        dumb = {"TERM": "dumb"}
        status, shown = on_a_terminal("ask", *MODELS, "--tool-choice", "required", "x", server=server, env=dumb)
    assert status == 0
    assert "safe<U+202E> text\n" in shown
    assert not [character for character in shown if ord(character) < 32 and character not in "\n\t"]
    assert not set(shown) & {"\x7f", "\x9b", "\u202e"}


def test_pipe_is_stripped_and_json_escapes() -> None:
    """Piped text is as clean as a terminal's; JSON keeps everything, escaped."""
    with WireServer() as server:
        server.script("openai/gpt-5", Reply(HOSTILE))
        piped = fusion("ask", *MODELS, "x", server=server)
        as_json = fusion("ask", *MODELS, "--json", "x", server=server)
    assert piped.stdout == "safe<U+202E> text\n"
    assert as_json.stdout.isascii()
    assert "\\u001b" in as_json.stdout
    assert as_json.json()["answer"] == HOSTILE


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signal_ends_the_run_and_keeps_what_was_answered(signum: int, status: int) -> None:
    """Interrupted while one panelist hangs, the run ends at once, closes its sockets and keeps the other's response."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        server.script("anthropic/claude-opus-4.8", Reply("x", fault=Fault("stall", after=0)))
        process = start("ask", *MODELS, "--tool-choice", "required", "--json", "x", server=server)
        assert process.stderr
        while b"answered in" not in process.stderr.readline():
            pass
        process.send_signal(signum)
        stdout, stderr = process.communicate(timeout=5)
        closed = server.wait_for(lambda requests: any(request.client_closed for request in requests), timeout_s=5)
    shape = json.loads(stdout)
    assert process.returncode == status
    assert (shape["status"], shape["failure_reason"]) == ("error", "cancelled")
    assert [row["model"] for row in shape["result"]["responses"]] == ["openai/gpt-5"]
    assert f"To go on: fusion ask --resume {shape['run']}\n".encode() in stderr
    assert b"Traceback" not in stderr
    assert closed


def test_closed_pipe_is_quiet() -> None:
    """`| head -1` of a long answer ends with 141 and no complaint."""
    with WireServer() as server:
        server.script("openai/gpt-5", Reply("line\n" * 100_000))
        line = subprocess.run(
            ["bash", "-c", f"'{FUSION}' ask {' '.join(MODELS)} x | head -1; echo ${{PIPESTATUS[0]}}"],  # noqa: S607
            env=environment(server),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=True,
        )
    assert line.stdout == b"line\n141\n"
    assert b"rror" not in line.stderr


def test_key_is_nowhere() -> None:
    """The key is in no output and no file, whatever the server answers with it."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        server.script("openai/gpt-5", failure(401, f"the key {CANARY} is revoked"), role="outer")
        fusion("ask", *MODELS, "--tool-choice", "required", "--json", "x", server=server)
    files = [path for path in Path(os.environ["HOME"]).rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if CANARY in path.read_text()]
