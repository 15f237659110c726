"""Hundreds of runs in one process, eight panelists each, most of them faulty: nothing may pile up."""

import asyncio
import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fusion_cli.cli import app
from fusion_cli.errors import FusionError
from tests.e2e.command import CANARY
from tests.faults.running import Faults
from tests.local.processes import children

# Mixed so that each run has its own eight; none of them takes long.
KINDS = (
    "plain", "500-once", "404", "hostile-400", "200-error", "200-html", "no-http", "error-late", "reset-before",
    "reset-late", "fin-late", "end-early", "stops", "comments-late", "empty", "refusal", "cut", "bad-utf8",
    "bad-event", "late-data", "gzip", "no-usage", "byte-by-byte", "decorated", "unchunked", "403-moderated",
)  # fmt: skip
CLOCKS = ["--timeout", "1", "--idle-timeout", "0.2", "--deadline", "20"]


@pytest.fixture
def server() -> Iterator[Faults]:
    """Return a server of this test's own."""
    with Faults() as faults:
        yield faults


def descriptors() -> int:
    """Return how many files are open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # a path for each would open files itself


def resident_mb() -> float:
    """Return how much memory this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def deliberate(number: int) -> None:
    """Have one run, as the command line does."""
    slugs = [KINDS[(number * 7 + seat * 3) % len(KINDS)] for seat in range(8)]
    panel = [word for slug in slugs for word in ("-p", f"fault/{slug}")]
    try:
        app(
            ["ask", *panel, "-j", "good/judge", "-m", "good/outer", *CLOCKS, "--json", "--tool-choice", "required", "x"]
        )
    except (SystemExit, FusionError):
        return


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="what is open is counted where Linux shows it")
def test_nothing_piles_up(
    server: Faults, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], pytestconfig: pytest.Config
) -> None:
    """After many runs there are as many open files, threads, tasks and processes as after a few, and as much memory."""
    times = 500 if pytestconfig.getoption("--torture") else 15
    monkeypatch.setenv("OPENROUTER_BASE_URL", server.url)
    monkeypatch.setenv("OPENROUTER_API_KEY", CANARY)
    warm = times // 3
    answered = 0
    before: tuple[int, int, int, float] | None = None
    for number in range(times):
        deliberate(number)
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        assert CANARY not in told.out + told.err
        answered += '"fused": true' in told.out
        if number % 10 == 9:
            server.reset()
        if number + 1 == warm:
            gc.collect()
            before = descriptors(), threading.active_count(), len(children(os.getpid())), resident_mb()
    gc.collect()
    assert before
    open_files, threads, processes, memory = before
    assert descriptors() <= open_files
    assert threading.active_count() <= threads + 1
    assert len(children(os.getpid())) <= processes
    grown = resident_mb() - memory
    assert grown < 20, f"{grown:.1f} MB more after {times} runs than after {warm}"
    assert answered > times // 2
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    with capsys.disabled():
        print(f"{times} runs, {answered} fused, {grown:+.1f} MB, {descriptors() - open_files:+d} open files")
