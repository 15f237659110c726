"""Faults 18 and 19: a panel of which nobody is left, or one."""

from tests.faults.running import OUTER, Faults


def test_fault_18_all_failed_in_analyze(faults: Faults) -> None:
    """Without any response no judge is asked, and the object lists each model's reason."""
    ran = faults.analyze("fault/http-400", "fault/403-moderated", "fault/404")
    assert (ran.status, ran.run["status"], ran.run["failure_reason"]) == (1, "error", "all_panels_failed")
    assert ran.asked("judge") == []
    assert [row["status_code"] for row in ran.run["failed_models"]] == [400, 403, 404]
    assert "canned 400" in ran.stderr
    assert "violence" in ran.stderr


def test_fault_18_all_failed_in_ask(faults: Faults) -> None:
    """The outer model learns of it and may answer alone, which is said plainly and is degraded."""
    ran = faults.ask("fault/http-400", "fault/403-moderated")
    assert (ran.status, ran.run["fused"], ran.run["degraded"]) == (0, False, True)
    assert ran.run["answer"]
    assert ran.asked("judge") == []
    [asked] = ran.asked("outer")
    assert "all panel models failed" in asked["body"]["messages"][-1]["content"]
    assert f"no panelist answered; {OUTER} answered alone" in ran.stderr
    assert faults.ask("fault/http-400", more=["--strict"]).status == 3


def test_fault_18_outer_model_is_not_asked_where_the_cause_is_its_own(faults: Faults) -> None:
    """A key or an account that failed the panel would fail the outer model, too: it is not tried."""
    for code, status in ((401, 4), (402, 5)):
        ran = faults.ask(f"fault/http-{code}", f"fault/http-{code}")
        assert ran.status == status
        assert ran.asked("outer") == ran.asked("judge") == []
        assert ran.run["status"] == "error"


def test_fault_19_one_survivor(faults: Faults) -> None:
    """A panel of one is judged all the same; user and judge are told how many were meant to be there."""
    ran = faults.ask("fault/http-400", "fault/404", "good/one")
    assert (ran.status, ran.run["fused"], ran.run["degraded"]) == (0, True, True)
    assert ran.result["analysis"]
    assert "1 of 3 answered" in ran.stderr
    [judged] = ran.asked("judge")
    assert "2 further respondents gave no response" in judged["body"]["messages"][-1]["content"]
    assert faults.ask("fault/http-400", "good/one", more=["--strict"]).status == 3
