"""A real deliberation on the embedded model, with no key: what the README begins with, on the small model."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.command import FUSION, environment, fusion

pytestmark = pytest.mark.embedded

QUESTION = "Is a tomato a fruit? Answer in one short sentence."  # a machine without a GPU takes minutes for more


def test_run_without_a_key() -> None:
    """Three personas on one model, a judge whose JSON holds, and an answer; it is said that the models are small."""
    ended = fusion("ask", "--preset", "local-small", "--json", QUESTION)
    shape = ended.json()
    assert ended.status == 0
    assert shape["fused"] is True
    assert shape["answer"].strip()
    assert [row["label"] for row in shape["result"]["responses"]] == [f"qwen2.5-coder-0.5b#{n}" for n in (1, 2, 3)]
    assert shape["result"]["analysis"]
    assert shape["usage"]["cost"] == 0
    assert shape["usage"]["total_tokens"] > 0
    assert "The embedded models are small" in ended.stderr
    assert "plan    panel 3 x local:qwen2.5-coder-0.5b; judge" in ended.stderr
    assert "The panel met: 3 of 3 answered." in ended.stderr


def test_interrupted_run_leaves_no_engine() -> None:
    """Ctrl-C while the panel writes ends the command and its engine."""
    process = subprocess.Popen(
        [FUSION, "ask", "--preset", "local-small", "--json", "Count to a thousand."],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while not (engines := _engines(process.pid)):
        time.sleep(0.05)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=10)
    assert process.returncode == 130
    assert json.loads(stdout)["failure_reason"] == "cancelled"
    assert b"Traceback" not in stderr
    assert not [pid for pid in engines if Path(f"/proc/{pid}").exists()]


def test_own_model(embedded_model: Path) -> None:
    """The user's own GGUF file serves every local name, and the record says so."""
    own = {"FUSION_LOCAL_MODEL": str(embedded_model)}
    ended = fusion("analyze", "-p", "local:any,local:other", "--json", "Is water wet?", env=own)
    assert len(ended.json()["responses"]) == 2
    assert ended.json()["judge"] == embedded_model.stem


FOREIGN_SERVER = """
import os, sys
os.putenv("GOMP_SPINCOUNT", "2000")
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.hostnames, params.port = sys.argv[1], ["127.0.0.1"], 0
params.n_parallel, params.n_ctx, params.n_predict = 2, 8192, 200  # so small a model may never come to an end
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


def test_server_that_is_not_ours(embedded_model: Path) -> None:
    """An OpenAI-compatible server with nothing of ours in it serves panel, judge and outer model by the config file."""
    command = [sys.executable, "-c", FOREIGN_SERVER, str(embedded_model)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout
        assert server.stdin
        fusion("config", "set", "providers.lab.base_url", f"{server.stdout.readline().strip()}/v1")
        fusion("config", "set", "max_completion_tokens", "150")
        arguments = ("-p", "lab:any", "-p", "lab:other", "-m", "lab:any", "--tool-choice", "required", "--json")
        ended = fusion("ask", *arguments, QUESTION)
        server.stdin.close()
        server.terminate()
    shape = ended.json()
    assert ended.status == 0
    assert shape["fused"] is True
    assert len(shape["result"]["responses"]) == 2
    assert shape["answer"].strip()
    assert shape["usage"]["total_tokens"] > 0


def _engines(parent: int) -> list[int]:
    listed = subprocess.run(
        ["pgrep", "-P", str(parent), "-f", "fusion_cli.local.server"],  # noqa: S607
        capture_output=True,
        check=False,
    )
    return [int(pid) for pid in listed.stdout.split()]
