"""How a run ends that has begun to fetch or start embedded models: in time, and kept and told of like any other."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from fusion_cli.local.engine import installed
from fusion_cli.local.lock import held
from tests.e2e.command import FUSION, environment, fusion

SMALL = "qwen2.5-coder-0.5b"
ASK = ("ask", "--preset", "local-small", "--json", "-o", "f.md", "-o", "f.json", "Why?")

pytestmark = pytest.mark.skipif(not installed(), reason="the engine has no wheel for this machine")


@pytest.fixture
def fetched_by_another() -> Iterator[None]:
    """Have another process fetch the weights, for as long as the test lasts."""
    folder = platformdirs.user_cache_path("fusion", appauthor=False) / "models"
    folder.mkdir(parents=True)
    with held(folder / f"{SMALL}.lock", lambda: None, lambda: None):
        yield


def is_kept(run: Any, status: str) -> None:
    """Assert that the run is in its files and among those that are kept, with its status and its reason."""
    assert json.loads(Path("f.json").read_text()) == run
    assert run["error"] in Path("f.md").read_text()
    [row] = fusion("runs", "list").stdout.splitlines()
    assert row.split("\t")[1:3] == [run["run"], status]
    assert run["error"] in fusion("runs", "show", "last").stdout


@pytest.mark.usefixtures("fetched_by_another")
def test_a_download_counts_to_the_deadline() -> None:
    """Whoever waits for weights (here: for another process that fetches them) is told in time, with status 6."""
    started = time.monotonic()
    ended = fusion(*ASK, "--deadline", "1")
    assert time.monotonic() - started < 30
    assert ended.status == 6
    error = ended.json()["error"]
    assert error == f"{SMALL} could not be fetched and started before the run's deadline"
    assert ended.stderr.splitlines()[-2:] == [
        f"fusion: {error}",
        "Once fetched, it stays. To let one run take the time that needs: --deadline 0",
    ]
    is_kept(ended.json(), "error")


@pytest.mark.usefixtures("fetched_by_another")
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_first_call_is_a_cancelled_run(signum: int) -> None:
    """Who loses patience with a download has a run that says so, and the signal's status."""
    command = [FUSION, *ASK]
    with subprocess.Popen(
        command,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr
        while b"waiting for it" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signum)
        run = json.loads(process.communicate(timeout=30)[0])
    assert process.returncode == 128 + signum
    assert run["failure_reason"] == "cancelled"
    is_kept(run, "cancelled")


@pytest.mark.parametrize("command", ["ask", "analyze"])
def test_an_engine_that_cannot_start_is_a_failed_run(command: str) -> None:
    """A file that is no model ends a run that is kept, with its reason; where nothing is kept, no run is named."""
    Path("broken.gguf").write_bytes(b"GGUF and no more")
    own = {"FUSION_LOCAL_MODEL": str(Path("broken.gguf").absolute())}
    ended = fusion(command, *ASK[1:], env=own)
    assert ended.status == 1
    assert ended.stderr.splitlines()[-2:-1] == [f"fusion: {ended.json()['error']}"]
    is_kept(ended.json(), "error")
    again = fusion(command, "--resume", "last", "--json", env=own).json()
    assert again == ended.json() | {"run": again["run"], "parent": ended.json()["run"]}
    unkept = fusion(command, *ASK[1:], "--no-save", env=own).json()
    assert unkept == ended.json() | {"run": None}
    assert json.loads(Path("f.json").read_text()) == unkept


def test_a_run_that_never_began_is_not_kept() -> None:
    """Where the model's file is not there, nothing was begun: a usage error, and no run of it."""
    ended = fusion(*ASK, env={"FUSION_LOCAL_MODEL": str(Path("none.gguf").absolute())})
    assert (ended.status, ended.stdout) == (2, "")
    assert fusion("runs", "list").stdout == ""
