"""Killed with -9 at random moments, a run loses no response that its user was shown, and the next run goes on."""

import contextlib
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import platformdirs
import pytest

from fusion_cli import run_files
from fusion_cli.errors import UsageError
from tests.e2e.command import FUSION, environment, fusion
from tests.wire.server import Reply, Request, WireServer
from tests.wire.server_deliberation import analysis

SLUGS = ("a/one", "b/two", "c/three", "d/four")
PANEL = [word for slug in SLUGS for word in ("-p", slug)]
ASK = ["ask", *PANEL, "-j", "z/judge", "-m", "o/outer", "--tool-choice", "required", "Which?"]
WORDS = 30
SEED = 20261128


def words(slug: str) -> str:
    """Return what a panelist says, word by word told apart from what the others say."""
    return " ".join(f"{slug}-{number}" for number in range(WORDS))


def answer(request: Request) -> Reply:
    """Answer slowly, each model at a pace of its own."""
    if request.role == "judge":
        import json

        return Reply(json.dumps(analysis(["A", "B", "C", "D"])), delay_first_s=0.1)
    if request.role == "outer":
        return Reply("The answer, at last.", delay_chunk_s=0.05, chunk_chars=4)
    pace = 0.002 * (1 + SLUGS.index(request.model) * 3)
    return Reply(words(request.model), delay_chunk_s=pace, chunk_chars=8)


def folder() -> Path:
    """Return where this test's runs are."""
    return platformdirs.user_data_path("fusion", appauthor=False) / "runs"


def killed_after(wait_s: float, server: WireServer) -> str:
    """Start a run, kill it after so many seconds, and return what its user had seen."""
    process = subprocess.Popen(
        [FUSION, *ASK],
        env=environment(server),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(wait_s)
    process.send_signal(signal.SIGKILL)
    return process.communicate(timeout=10)[0].decode()


def test_no_shown_response_is_lost(pytestconfig: pytest.Config) -> None:
    """Whenever the kill comes, each response that was shown is in the journal, whole, and the journal reads back."""
    times = 200 if pytestconfig.getoption("--torture") else 8
    dice = random.Random(SEED)  # noqa: S311  # the same kills in every run
    shown = begun = 0
    with WireServer(answer) as server:
        begins = time.monotonic()
        killed_after(60, server)
        longest_s = time.monotonic() - begins  # on a busy machine, all moments come later
        for path in folder().glob("*.jsonl"):
            path.unlink()
        for _ in range(times):
            seen = killed_after(dice.uniform(0.05, longest_s), server)
            assert "Traceback" not in seen
            labels = re.findall(r"^panel   (\S+)  answered in", seen, re.MULTILINE)
            paths = sorted(folder().glob("*.jsonl"))
            if not paths:
                assert not labels
                continue
            begun += 1
            try:
                saved = run_files.read(paths[-1])
            except UsageError:
                assert not labels
                saved = None
            for label in labels:
                assert saved
                assert saved.responses[label].content == words(label)
                shown += 1
            for label, text in (saved.partial if saved else {}).items():
                assert words(label).startswith(text)
            for path in paths[:-1]:
                path.unlink()
        assert begun > times // 3
        assert shown > times // 3
        print(f"{times} kills, {begun} of them in a run that had begun, {shown} responses had been shown: none lost")
        resumed = fusion("ask", "--resume", "last", server=server)
    assert (resumed.status, resumed.stdout) == (0, "The answer, at last.\n")


def test_unfinished_text_is_at_most_a_second_behind() -> None:
    """What a panelist had written a second before the kill is on disk."""
    with WireServer(lambda _: Reply(words("a/one"), delay_chunk_s=0.1, chunk_chars=8)) as server:
        process = subprocess.Popen(
            [FUSION, "analyze", "-p", "a/one", "-j", "z/judge", "Which?"],
            env=environment(server),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        [asked] = server.wait_for(lambda requests: len(requests) == 1)
        time.sleep(2.0)
        sent = int((time.monotonic() - asked.received_s) / 0.1) * 8
        process.kill()
        process.communicate(timeout=10)
    [path] = folder().glob("*.jsonl")
    assert sent - 80 <= len(run_files.read(path).partial["a/one"]) <= sent + 16
