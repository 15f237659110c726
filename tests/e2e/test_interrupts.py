"""Signals as they come: twice at once, as from `timeout`, and again from somebody who has waited."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.command import MODELS, fusion, start
from tests.wire.server import Fault, Reply, WireServer, deliberation

HANGS = Reply("x", fault=Fault("stall", after=0))


def interrupted(server: WireServer, *more: str) -> "subprocess.Popen[bytes]":
    """Start a run in which one panelist hangs, and wait until the other has answered."""
    server.script("anthropic/claude-opus-4.8", HANGS)
    process = start("ask", *MODELS, "--tool-choice", "required", "--json", *more, "Which?", server=server)
    assert process.stderr
    while b"answered in" not in process.stderr.readline():
        pass
    return process


@pytest.mark.parametrize("gap_s", [0.0, 0.004, 0.03])
def test_a_signal_sent_twice_loses_nothing(gap_s: float) -> None:
    """With the second of `timeout`'s two signals a moment later, object, file and the way to go on are all there."""
    with WireServer(default=deliberation()) as server:
        process = interrupted(server, "-o", "run.json")
        process.send_signal(signal.SIGTERM)
        time.sleep(gap_s)
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=10)
    shape = json.loads(stdout)
    assert process.returncode == 143
    assert [row["model"] for row in shape["result"]["responses"]] == ["openai/gpt-5"]
    assert json.loads(Path("run.json").read_text()) == shape
    assert f"To go on: fusion ask --resume {shape['run']}\n".encode() in stderr


def test_a_later_signal_does_not_wait_for_what_hangs() -> None:
    """A run whose object nobody reads ends at the next Ctrl-C, long after its loop has ended."""
    with WireServer(default=deliberation()) as server:
        server.script("openai/gpt-5", Reply("word " * 60_000), role="panel")
        process = interrupted(server)
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        process.communicate()


@pytest.mark.parametrize("limits", [("--timeout", "2"), ("--deadline", "5")])
def test_a_stop_takes_nothing_of_a_limit(limits: tuple[str, str]) -> None:
    """What arrived while the process was stopped, for longer than its limit, is read and not thrown away."""
    with WireServer(default=deliberation(latency_s=1)) as server:
        process = start("ask", *MODELS, "--tool-choice", "required", "--json", *limits, "Which?", server=server)
        server.wait_for(lambda requests: len(requests) == 2, timeout_s=20)
        process.send_signal(signal.SIGSTOP)
        time.sleep(float(limits[1]) + 1)
        process.send_signal(signal.SIGCONT)
        stdout, _ = process.communicate(timeout=30)
    shape = json.loads(stdout)
    assert (process.returncode, shape["degraded"]) == (0, False)


def test_a_stop_while_an_answer_is_written_is_no_silence() -> None:
    """The server went on writing when nobody listened, and the answer is whole."""
    text = "word " * 20
    with WireServer(default=deliberation()) as server:
        server.script("openai/gpt-5", Reply(text, chunk_chars=5, delay_chunk_s=0.1), role="outer")
        process = start("ask", *MODELS, "--tool-choice", "none", "--idle-timeout", "2", "Which?", server=server)
        server.wait_for(lambda requests: any(request.role == "outer" for request in requests), timeout_s=20)
        time.sleep(0.5)
        process.send_signal(signal.SIGSTOP)
        time.sleep(3.5)
        process.send_signal(signal.SIGCONT)
        stdout, _ = process.communicate(timeout=30)
    assert (process.returncode, stdout.decode().split()) == (0, text.split())


@pytest.mark.parametrize("choice", ["none", "auto"])
def test_half_an_answer_without_a_panel_is_not_forgotten(choice: str) -> None:
    """What an outer model had written when it fell silent is in the run, whose path is told, and which goes on."""
    with WireServer(default=deliberation()) as server:
        server.script("openai/gpt-5", Reply("It depends", fault=Fault("stall", after=1)), role="outer")
        silent = fusion("ask", *MODELS, "--tool-choice", choice, "--idle-timeout", "0.5", "Which?", server=server)
        kept, again, said = silent.stderr.splitlines()[-3:]
        server.script("openai/gpt-5", Reply("It depends on the rest."), role="outer")
        shown = fusion("runs", "show", "last", server=server)
        resumed = fusion(*again.removeprefix("To go on: fusion ").split(), server=server)
    assert silent.status == 6
    assert Path(kept.removeprefix("Kept in ")).exists()
    assert "silent for 0.5 s" in said
    assert "Answer, cut off" in shown.stdout
    assert (resumed.status, resumed.stdout) == (0, "It depends on the rest.\n")
