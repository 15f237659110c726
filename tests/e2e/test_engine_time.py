"""Promises of `--deadline` where embedded models have to be fetched first: the run ends in time all the same."""

import time

import platformdirs
import pytest

from fusion_cli.local.engine import installed
from fusion_cli.local.lock import held
from tests.e2e.command import fusion

SMALL = "qwen2.5-coder-0.5b"


@pytest.mark.skipif(not installed(), reason="the engine has no wheel for this machine")
def test_a_download_counts_to_the_deadline() -> None:
    """Whoever waits for weights (here: for another process that fetches them) is told in time, with status 6."""
    folder = platformdirs.user_cache_path("fusion", appauthor=False) / "models"
    folder.mkdir(parents=True)
    with held(folder / f"{SMALL}.lock", lambda: None, lambda: None):
        started = time.monotonic()
        ended = fusion("ask", "--preset", "local-small", "--deadline", "1", "--json", "Why?")
        assert time.monotonic() - started < 30
    assert ended.status == 6
    error = ended.json()["error"]
    assert error == f"{SMALL} could not be fetched and started before the run's deadline"
    assert ended.stderr.splitlines()[-2:] == [
        f"fusion: {error}",
        "Once fetched, it stays. To let one run take the time that needs: --deadline 0",
    ]
