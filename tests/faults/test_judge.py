"""Faults 20 to 23: judges that wrap, garble or drown their analysis."""

import json

import pytest

from tests.faults.running import OUTER, Faults

PAIR = ("good/one", "good/two")
KEYS = ["consensus", "contradictions", "partial_coverage", "unique_insights", "blind_spots"]
FAILURES = {
    "judge-talks": "judge_not_valid_json",
    "judge-schema": "judge_schema_mismatch",
    "judge-empty": "judge_empty_completion",
    "judge-cut": "judge_not_valid_json",
}


@pytest.mark.parametrize("name", ["judge-fenced", "judge-prose", "judge-extra", "judge-array"])
def test_fault_20_wrapped_analysis_is_read(faults: Faults, name: str) -> None:
    """Fences, prose, further keys and lists around an analysis are taken off, without a second call."""
    ran = faults.analyze(*PAIR, judge=f"fault/{name}")
    assert ran.status == 0
    assert list(ran.run["analysis"]) == KEYS
    assert ran.run["analysis"]["consensus"] == ["SQLite is enough for a small web app."]
    assert len(ran.asked("judge")) == 1


@pytest.mark.parametrize(("name", "reason"), FAILURES.items())
def test_fault_21_useless_judge_costs_the_analysis_alone(faults: Faults, name: str, reason: str) -> None:
    """After one repair call without success the reason has a name, and the outer model answers from the responses."""
    ran = faults.ask(*PAIR, judge=f"fault/{name}")
    assert (ran.status, ran.run["fused"], ran.run["degraded"]) == (0, True, True)
    assert ran.run["failure_reason"] == reason
    assert len(ran.asked("judge")) == 2
    assert len(ran.result["responses"]) == 2
    assert "analysis" not in ran.result
    [asked] = ran.asked("outer")
    assert all(slug in asked["body"]["messages"][-1]["content"] for slug in PAIR)
    assert ran.run["answer"]


def test_fault_21_the_repair_names_the_mistake(faults: Faults) -> None:
    """The second call shows the judge its reply and says what is wrong with it."""
    first, second = faults.ask(*PAIR, judge="fault/judge-schema").asked("judge")
    reply, said = second["body"]["messages"][-2:]
    assert second["body"]["messages"][:-2] == first["body"]["messages"]
    assert "winner" in reply["content"]
    assert "blind_spots" in said["content"]


def test_fault_21_statuses_of_a_run_without_an_analysis(faults: Faults) -> None:
    """`ask --strict`, `analyze` and `judge` end with 3 and print the responses all the same."""
    judge = "fault/judge-talks"
    assert faults.ask(*PAIR, judge=judge, more=["--strict"]).status == 3
    analyzed = faults.analyze(*PAIR, judge=judge)
    assert (analyzed.status, len(analyzed.run["responses"])) == (3, 2)
    assert "analysis" not in analyzed.run
    said, todo = analyzed.stderr.splitlines()[-2:]
    assert said.startswith("fusion: no analysis: ")
    assert todo == f"Another judge may bring one: fusion judge {analyzed.run['run']} -j MODEL"
    judged = faults.command("judge", "--json", "-j", judge, "-", stdin=analyzed.stdout.encode())
    assert judged.status == 3
    assert judged.run["failure_reason"] == "judge_not_valid_json"


def test_fault_22_bad_then_good(faults: Faults) -> None:
    """A judge that does better the second time is asked exactly twice, and the run is as good as any."""
    ran = faults.ask(*PAIR, judge="fault/judge-once-bad")
    assert (ran.status, ran.run["degraded"], ran.run["failure_reason"]) == (0, False, None)
    assert list(ran.result["analysis"]) == KEYS
    assert len(ran.asked("judge")) == 2


@pytest.mark.parametrize("name", ["judge-nan", "judge-twins", "judge-deep", "judge-many"])
def test_fault_23_monstrous_json(faults: Faults, name: str) -> None:
    """Numbers that are none, twin keys, depth and masses neither end the run nor spoil its JSON."""
    ran = faults.ask(*PAIR, judge=f"fault/{name}")
    assert ran.status == 0
    assert ran.run["answer"]
    json.loads(ran.stdout, parse_constant=pytest.fail)
    assert ("analysis" in ran.result) == (ran.run["failure_reason"] is None)
    if "analysis" in ran.result:
        assert len(ran.result["analysis"]["consensus"]) <= 1000
    [asked] = ran.asked("outer")
    assert asked["model"] == OUTER
    assert len(ran.asked("judge")) <= 2
