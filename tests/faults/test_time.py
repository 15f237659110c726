"""Faults 14 to 17: servers that fall silent, or never come to an end. Limits are held, with room for a busy machine."""

from tests.faults.behaviours import SAID
from tests.faults.running import Faults

SLACK_S = 4.0


def test_fault_14_no_answer_at_all(faults: Faults) -> None:
    """A server that never answers is given up after `--timeout`, and the panel goes on without it."""
    ran = faults.ask("fault/silent", "good/one", more=["--timeout", "1"])
    assert (ran.status, ran.run["degraded"]) == (0, True)
    assert 1 <= ran.took_s < 1 + SLACK_S
    assert "1 s" in ran.failed("fault/silent")["error"]
    assert len(ran.asked("panel", "fault/silent")) == 1
    [left] = ran.asked("panel", "fault/silent")
    assert left["outcome"] == "client_closed"


def test_fault_14_nobody_answers(faults: Faults) -> None:
    """When no server answers, the status is that of the network, and no judge is asked."""
    ran = faults.analyze("fault/silent", "fault/silent", more=["--timeout", "1"])
    assert (ran.status, ran.run["status"]) == (6, "error")
    assert ran.took_s < 1 + SLACK_S
    assert ran.asked("judge") == []


def test_fault_15_silence_after_a_beginning(faults: Faults) -> None:
    """Headers alone are no beginning; who stops mid-way is cut off by `--idle-timeout`, and what was said is kept."""
    limits = ["--timeout", "1.5", "--idle-timeout", "0.8"]
    ran = faults.ask("fault/headers-only", "fault/stops", "good/one", more=limits)
    assert ran.status == 0
    assert ran.took_s < 1.5 + SLACK_S
    assert ran.failed("fault/headers-only").get("content") is None
    stopped = ran.failed("fault/stops")
    assert stopped["partial"] is True
    assert stopped["content"]
    assert SAID.startswith(stopped["content"])
    assert {row["outcome"] for row in ran.asked("panel") if row["model"] != "good/one"} == {"client_closed"}


def test_fault_16_comments_are_no_content(faults: Faults) -> None:
    """Keep-alive comments stop neither the clock of the first content nor that of the next."""
    limits = ["--timeout", "1", "--idle-timeout", "1"]
    ran = faults.ask("fault/comments", "fault/comments-late", "good/one", more=limits)
    assert ran.status == 0
    assert ran.took_s < 1 + SLACK_S
    assert ran.failed("fault/comments")["error"]
    assert ran.failed("fault/comments-late")["partial"] is True


def test_fault_17_quorum_closes_the_panel(faults: Faults) -> None:
    """Once enough have answered, whoever drips on gets the grace and no more, and keeps what it had said."""
    ran = faults.ask("fault/drip", "good/one", "good/two", more=["--quorum", "2", "--grace", "1"])
    assert (ran.status, ran.run["degraded"]) == (0, True)
    assert ran.took_s < 1 + SLACK_S
    dropped = ran.failed("fault/drip")
    assert dropped["partial"] is True
    assert dropped["content"].startswith("drip ")
    assert any("fault/drip" in line for line in ran.stderr.splitlines()[1:])
    assert "2 of 3" in ran.stderr
    [dripping] = ran.asked("panel", "fault/drip")
    assert dripping["outcome"] == "client_closed"


def test_fault_17_deadline_leaves_time_for_judge_and_answer(faults: Faults) -> None:
    """The whole run ends within `--deadline`, the panel so early that judge and answer still come."""
    ran = faults.ask("fault/drip", "good/one", "good/two", more=["--deadline", "4"])
    assert ran.status == 0
    assert ran.took_s < 4 + SLACK_S
    assert ran.run["answer"]
    assert ran.result["analysis"]


def test_fault_17_deadline_without_a_result(faults: Faults) -> None:
    """A deadline that passes before anything was said is status 6, and the object is printed all the same."""
    ran = faults.analyze("fault/silent", "fault/comments", more=["--deadline", "1"])
    assert (ran.status, ran.run["status"]) == (6, "error")
    assert ran.took_s < 1 + SLACK_S
    assert ran.asked("judge") == []
