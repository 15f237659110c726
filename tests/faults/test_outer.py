"""Faults 24, 25 and 35: outer models that lose their way or fail late, and servers that send one elsewhere."""

import re

import pytest

from tests.e2e.command import CANARY
from tests.faults.careless import ALONE
from tests.faults.running import JUDGE, Faults, asking
from tests.wire.server import WireServer

PAIR = ("good/one", "good/two")


def test_fault_24_mistaken_calls_are_answered(faults: Faults) -> None:
    """Unknown tools and broken arguments are told to the model; of two calls at once the second is refused."""
    who = ["-p", ",".join(PAIR), "-j", JUDGE, "-m", "fault/outer-confused"]
    ran = faults.command("ask", "--json", "--tool-choice", "auto", *who, "q")
    assert (ran.status, ran.run["fused"], ran.run["answer"]) == (0, True, ALONE)
    assert len(ran.asked("panel")) == 2
    assert len(ran.asked("judge")) == 1
    *_, last = ran.asked("outer")
    told = [message["content"] for message in last["body"]["messages"] if message["role"] == "tool"]
    assert len(told) == 4
    assert "no such tool" in told[0]
    assert "arguments" in told[1]
    assert any("fusion_invocation_capped" in text for text in told[2:])


@pytest.mark.parametrize("name", ["outer-loops", "outer-unknown-loops"])
def test_fault_24_endless_calls_have_an_end(faults: Faults, name: str) -> None:
    """A model that calls for ever convenes the panel at most once, gets few turns, and is told that it failed."""
    who = ["-p", ",".join(PAIR), "-j", JUDGE, "-m", f"fault/{name}"]
    ran = faults.command("ask", "--json", "--tool-choice", "auto", *who, "q")
    assert ran.status == 1
    assert ran.run["status"] == "error"
    assert len(ran.asked("panel")) <= 2
    assert len(ran.asked("outer")) <= 4


def test_fault_24_depth_header_stops_recursion(faults: Faults) -> None:
    """Inner calls say how deep they are, and a run that is inside one does not start."""
    ran = faults.ask(*PAIR)
    inner = [*ran.asked("panel"), *ran.asked("judge")]
    assert len(inner) == 3
    assert all(re.search(r"(?i)^x-openrouter-fusion-depth: 1\r?$", row["head"], re.MULTILINE) for row in inner)
    nested = faults.ask(*PAIR, env={"FUSION_DEPTH": "1"})
    assert (nested.status, nested.asked()) == (2, [])


def test_fault_25_late_failure_keeps_what_is_paid_for(faults: Faults) -> None:
    """An outer model that fails leaves analysis and responses in the object, and says how to go on."""
    ran = faults.ask(*PAIR, outer="fault/http-400")
    assert (ran.status, ran.run["status"], ran.run["answer"]) == (1, "error", None)
    assert len(ran.result["responses"]) == 2
    assert ran.result["analysis"]
    assert "are kept: fusion judge" in ran.stderr or "--resume" in ran.stderr


def test_fault_25_resuming_asks_the_outer_model_alone(faults: Faults) -> None:
    """The run that failed is resumed as it says itself, without a second panel or judge."""
    failed = faults.command(*asking(*PAIR, outer="fault/403-once"))
    assert (failed.status, failed.stdout) == (1, "")
    found = re.search(r"fusion ask --resume (\S+)", failed.stderr)
    assert found
    ran = faults.command("ask", "--json", "--resume", found[1], goes_on=True)
    assert ran.status == 0
    assert ran.run["answer"].startswith("SQLite")
    assert ran.run["fused"] is True
    assert [(row["role"], row["model"]) for row in ran.asked()] == [("outer", "fault/403-once")]
    assert len(ran.result["responses"]) == 2
    assert ran.result["analysis"]


def test_fault_25_another_model_writes_the_answer(faults: Faults) -> None:
    """Where the outer model fails for good, another one answers from the same run."""
    assert faults.ask(*PAIR, outer="fault/http-400").status == 1
    ran = faults.command("ask", "--json", "--from", "last", "-m", "good/writer")
    assert (ran.status, ran.run["fused"]) == (0, True)
    assert [(row["role"], row["model"]) for row in ran.asked()] == [("outer", "good/writer")]


def test_fault_35_redirect_is_not_followed(faults: Faults) -> None:
    """A redirect is a failure, and the place that it leads to sees neither the key nor anything else."""
    with WireServer() as trap:
        slug = f"fault/redirect-{trap.origin.rpartition(':')[2]}"
        panelist = faults.ask(slug, "good/one")
        outer = faults.ask(*PAIR, outer=slug)
        assert trap.requests == []
    assert panelist.status == 0
    assert "redirect" in panelist.failed(slug)["error"]
    assert outer.status == 1
    assert "redirect" in outer.stderr
    assert any(CANARY in row["head"] for row in outer.asked("outer"))
