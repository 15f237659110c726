"""The n-th write and the n-th network read fail in turn: no traceback, no documented status missed, nothing lost."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from fusion_cli import run_files
from tests.e2e.command import CANARY, MODELS, environment
from tests.wire.server import WireServer, deliberation

ROOT = Path(__file__).parent.parent.parent
STATUSES = {0, 1, 3, 5, 6, 141}
MOST = 400
SAID = "says: SQLite is enough until many processes write at once."


def run(what: str, n: int, server: WireServer) -> tuple[int, dict[str, Any], str]:
    """Run a deliberation in a world whose n-th call fails; return its status, its JSON and standard error."""
    command = [sys.executable, "-m", "tests.torture.broken_world", what, str(n), "ask", *MODELS]
    done = subprocess.run(
        [*command, "--tool-choice", "required", "--json", "SQLite?"],
        env={**environment(server), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    stderr = done.stderr.decode()
    assert "Traceback" not in stderr
    assert CANARY not in stderr + done.stdout.decode()
    assert done.returncode in STATUSES
    try:
        shape = json.loads(done.stdout)
    except ValueError:
        shape = {}
    return done.returncode, shape, stderr


def numbers(short: int, config: pytest.Config) -> range:
    """Return every n, or a few of them in a plain run of the suite."""
    return range(1, MOST) if config.getoption("--torture") else range(1, MOST, short)


def test_nth_write_fails(pytestconfig: pytest.Config) -> None:
    """Wherever the disk or the screen fails, each response is in the output or in the journal."""
    with WireServer(default=deliberation()) as server:
        tried = 0
        for n in numbers(3, pytestconfig):
            status, shape, stderr = run("write", n, server)
            if "broken-world: intact" in stderr:
                assert status == 0
                break
            tried += 1
            told = {row["label"]: row["content"] for row in (shape.get("result") or {}).get("responses", ())}
            for slug in ("openai/gpt-5", "anthropic/claude-opus-4.8"):
                assert f"{slug} {SAID}" in {**kept(), **told}.values(), f"write {n}: {slug} is lost: {stderr}"
            forget()
    assert tried >= 5


def test_nth_read_fails(pytestconfig: pytest.Config) -> None:
    """Wherever the wire is cut, what had come whole is kept, and the run ends as documented."""
    with WireServer(default=deliberation()) as server:
        tried = 0
        for n in numbers(1, pytestconfig):
            _, shape, stderr = run("read", n, server)
            if "broken-world: intact" in stderr:
                break
            tried += 1
            shown = [line.split()[1] for line in stderr.splitlines() if " answered in " in line]
            texts = kept()
            told = {row["label"]: row["content"] for row in (shape.get("result") or {}).get("responses", ())}
            assert set(shown) <= texts.keys()
            assert told == texts
            forget()
    assert tried >= 4


def kept() -> dict[str, str]:
    """Return the responses of this run's journal, by label."""
    paths = sorted((platformdirs.user_data_path("fusion", appauthor=False) / "runs").glob("*.jsonl"))
    return {label: it.content for path in paths for label, it in run_files.read(path).responses.items()}


def forget() -> None:
    """Remove the journals, so that the next run's is alone."""
    for path in (platformdirs.user_data_path("fusion", appauthor=False) / "runs").glob("*.jsonl"):
        path.unlink()
