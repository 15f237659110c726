"""What a user of `--dry-run` sees: what would be done and may cost, while nobody is asked anything."""

import json
from pathlib import Path

import platformdirs
import pytest

from tests.e2e.command import MODELS, fusion
from tests.wire.server import WireServer, deliberation


@pytest.mark.parametrize(
    ("command", "phases"),
    [("ask", ["consult", "panel", "panel", "judge", "answer"]), ("analyze", ["panel", "panel", "judge"])],
)
def test_no_model_is_asked(command: str, phases: list[str]) -> None:
    """The plan is printed and the run ends well; at most the list of models is fetched, without the key."""
    models = MODELS if command == "ask" else MODELS[:6]
    with WireServer(default=deliberation()) as server:
        table = fusion(command, *models, "--dry-run", "q", server=server)
        shape = fusion(command, *models, "--dry-run", "--json", "q", server=server)
        assert server.calls() == []
        assert {request.path for request in server.requests} <= {"/api/v1/models"}
        assert all("authorization" not in request.headers for request in server.requests)
    assert (table.status, shape.status) == (0, 0)
    assert [row["phase"] for row in shape.json()["planned"]] == phases
    assert max(map(len, table.stdout.splitlines())) <= 80
    assert table.stdout.splitlines()[len(phases) + 1].startswith("total")


def test_prices_are_fetched_once_a_day() -> None:
    """A second dry run has the list that the first one kept; where that is damaged, it says so and asks again."""
    with WireServer() as server:
        first, second = (fusion("ask", *MODELS, "--dry-run", "q", server=server) for _ in range(2))
        assert len(server.requests) == 1
        [kept] = platformdirs.user_cache_path("fusion", appauthor=False).glob("catalogue-*.json")
        kept.write_text("{")
        third = fusion("ask", *MODELS, "--dry-run", "q", server=server)
        assert len(server.requests) == 2
    assert first.stdout == second.stdout == third.stdout
    assert "set aside" in third.stderr


def test_a_server_that_is_not_there() -> None:
    """Prices that cannot be had are unknown, it is said why, and a limit that needs them ends as the network does."""
    gone = {"OPENROUTER_BASE_URL": "http://127.0.0.1:9/api/v1", "OPENROUTER_API_KEY": "k"}
    ended = fusion("ask", *MODELS, "--dry-run", "--json", "q", env=gone)
    assert ended.status == 0
    assert ended.json()["totals"]["dollars"] is None
    assert ended.json()["unknown_prices"]
    assert ended.json()["warnings"][0].startswith("the model list of openrouter could not be fetched: ")
    for more in ([], ["--dry-run"]):
        ended = fusion("ask", *MODELS, "--max-cost", "1", "--json", *more, "q", env=gone)
        assert ended.status == 6
        assert "the model list of openrouter could not be fetched: " in ended.stderr
    assert not platformdirs.user_data_path("fusion", appauthor=False).exists()


def test_the_judge_reads_what_there_is(isolated: Path) -> None:
    """A judge's dry run counts the responses that it would read, and asks for no other."""
    for name, size in (("a.txt", 40_000), ("b.txt", 400)):
        Path(name).write_text("word " * (size // 5))
    with WireServer() as server:
        texts = ("--response", "ann=a.txt", "--response", "bob=b.txt")
        arguments = ("judge", "--prompt", "Which?", *texts, "-j", "openai/gpt-5", "--dry-run", "--json")
        shape = fusion(*arguments, server=server).json()
        assert server.calls() == []
    (row,) = shape["planned"]
    assert (row["phase"], row["calls"]) == ("judge", {"low": 1, "high": 2})
    assert row["prompt_tokens"]["low"] > 10_000


def test_what_cannot_be_run_cannot_be_planned() -> None:
    """Without a key a dry run ends as the run would."""
    ended = fusion("ask", "-p", "openai/gpt-5", "--dry-run", "q")
    assert ended.status == 4
    assert "OPENROUTER_API_KEY" in ended.stderr


def test_embedded_models_are_not_started() -> None:
    """They are free, and a plan of them takes no engine's start and no weights."""
    ended = fusion("ask", "-p", "local:qwen2.5-coder-0.5b", "--dry-run", "--json", "q")
    assert ended.status == 0
    assert json.loads(ended.stdout)["totals"]["dollars"] == {"low": 0, "high": 0}
    assert "engine" not in ended.stderr
