"""Faults 1 to 11: what a server can answer in place of a completion, before a word of it was written."""

import re

from tests.faults.behaviours import UNKNOWN
from tests.faults.running import Faults

PAIR = ("good/one", "good/two")


def test_fault_01_server_errors_are_retried_and_then_named(faults: Faults) -> None:
    """Three kinds of failing servers get three attempts each, disturb nobody, and are named to user and judge."""
    bad = ("fault/http-500", "fault/http-502", "fault/http-503")
    ran = faults.ask(*bad, *PAIR)
    assert (ran.status, ran.run["degraded"]) == (0, True)
    assert [row["model"] for row in ran.result["responses"]] == list(PAIR)
    for slug in bad:
        assert ran.failed(slug)["status_code"] == int(slug[-3:])
        assert ran.call(slug)["attempts"] == len(ran.asked("panel", slug)) == 3
        assert any(slug in line and f"HTTP {slug[-3:]}" in line for line in ran.stderr.splitlines())
    [judged] = ran.asked("judge")
    assert "3 further respondents gave no response" in judged["body"]["messages"][-1]["content"]


def test_fault_01_strict_does_not_accept_a_failed_panelist(faults: Faults) -> None:
    """Under `--strict` the answer is delivered with status 3."""
    ran = faults.ask("fault/http-400", *PAIR, more=["--strict"])
    assert ran.status == 3
    assert ran.run["answer"]


def test_fault_02_one_hiccup_is_silent_but_counted(faults: Faults) -> None:
    """A server that fails once costs a second attempt, which JSON counts and nobody is bothered with."""
    ran = faults.ask("fault/500-once", "good/one")
    assert (ran.status, ran.run["degraded"], ran.call("fault/500-once")["attempts"]) == (0, False, 2)
    assert "HTTP 500" not in ran.stderr
    assert len(ran.asked("panel", "fault/500-once")) == 2


def test_fault_02_verbose_tells_of_the_hiccup(faults: Faults) -> None:
    """With `-v` each retry is a line that names the model and the status."""
    ran = faults.ask("fault/500-once", "good/one", more=["-v"])
    assert ran.status == 0
    assert any("fault/500-once" in line and "HTTP 500" in line for line in ran.stderr.splitlines())


def test_fault_03_rate_limit_is_waited_for(faults: Faults) -> None:
    """Both forms of `Retry-After` are waited out, the others do not wait, and the panel is whole."""
    ran = faults.ask("fault/429-once", "fault/429-date", "good/one")
    assert (ran.status, ran.run["degraded"], len(ran.result["responses"])) == (0, False, 3)
    for slug in ("fault/429-once", "fault/429-date"):
        first, second = ran.asked("panel", slug)
        assert second["received_s"] - first["ended_s"] >= 0.95
    assert ran.call("good/one")["duration_s"] < 0.9 <= ran.call("fault/429-once")["duration_s"]


def test_fault_03_the_wait_is_told(faults: Faults) -> None:
    """Whoever watches is told for whom the run waits, and how long."""
    ran = faults.ask("fault/429-once", "good/one")
    assert any("fault/429-once" in line and "tries again in" in line for line in ran.stderr.splitlines())


def test_fault_04_unreasonable_retry_after(faults: Faults) -> None:
    """A day is not waited for but is a failure at once; junk is taken for no wish at all."""
    ran = faults.ask("fault/429-day", "fault/429-junk", "good/one")
    assert ran.status == 0
    assert ran.took_s < 15
    assert ran.failed("fault/429-day")["status_code"] == 429
    assert len(ran.asked("panel", "fault/429-day")) == 1
    assert ran.response("fault/429-junk")
    assert len(ran.asked("panel", "fault/429-junk")) == 2


def test_fault_04_rate_limited_for_good_is_status_5(faults: Faults) -> None:
    """A panel that is rate limited throughout ends `analyze` with status 5, without a judge."""
    ran = faults.analyze("fault/429-day", "fault/429-day")
    assert (ran.status, ran.run["status"], ran.run["failure_reason"]) == (5, "error", "rate_limited")
    assert ran.asked("judge") == []


def test_fault_05_refused_key_is_one_message(faults: Faults) -> None:
    """A key that is refused is told once for eight panelists, with where to get one, and is never echoed."""
    ran = faults.ask(*["fault/401-echo"] * 8)
    assert ran.status == 4
    assert len(ran.asked()) == len(ran.asked("panel")) == 8
    told = [line for line in ran.stderr.splitlines() if "HTTP 401" in line]
    assert [line.startswith("fusion: ") for line in told].count(True) == 1
    assert len(told) <= 2  # the panel's one line, and the run's
    assert "https://openrouter.ai/keys" in ran.stderr


def test_fault_05_missing_key_is_one_message(faults: Faults) -> None:
    """Without a key nobody is asked, and one line says how to set it."""
    ran = faults.ask("good/one", env={"OPENROUTER_API_KEY": ""})
    assert (ran.status, ran.asked()) == (4, [])
    assert ran.stderr.count("OPENROUTER_API_KEY") <= 2
    assert len(ran.stderr.splitlines()) <= 2


def test_fault_06_no_credits_stops_before_the_judge(faults: Faults) -> None:
    """Without credits neither judge nor outer model is asked; what was said is kept, and what it cost is told."""
    ran = faults.ask("good/one", "fault/http-402")
    assert ran.status == 5
    assert {row["role"] for row in ran.asked()} == {"panel"}
    assert len(ran.asked("panel", "fault/http-402")) == 1
    assert ran.response("good/one")["content"]
    assert ran.call("good/one")["usage"]["cost"] > 0
    plain = faults.plain("good/one", "fault/http-402")
    assert plain.status == 5
    assert "$0.0" in plain.stderr


def test_fault_07_moderation_concerns_one_model(faults: Faults) -> None:
    """A model that refuses for moderation fails with the reasons, once; the key is not blamed."""
    ran = faults.ask("fault/403-moderated", *PAIR)
    assert (ran.status, len(ran.result["responses"])) == (0, 2)
    assert len(ran.asked("panel", "fault/403-moderated")) == 1
    assert "violence, self-harm" in ran.failed("fault/403-moderated")["error"]
    assert "violence, self-harm" in ran.stderr


def test_fault_08_unknown_slug_is_named(faults: Faults) -> None:
    """A slug that the server does not know is named and not tried again."""
    ran = faults.ask("fault/404", *PAIR)
    assert (ran.status, ran.failed("fault/404")["status_code"]) == (0, 404)
    assert len(ran.asked("panel", "fault/404")) == 1
    assert any("fault/404" in line and "HTTP 404" in line for line in ran.stderr.splitlines())


def test_fault_08_near_matches_are_suggested(faults: Faults) -> None:
    """A typo in the outer model's slug ends the run with a model of the server's list that comes near."""
    ran = faults.ask("good/one", outer=UNKNOWN)
    assert ran.status in (1, 2)
    assert re.search(r"openai/gpt-5\b", ran.stderr.partition("fusion: ")[2])


def test_fault_09_time_out_is_retried_once_and_size_never(faults: Faults) -> None:
    """A 408 gets one more attempt, one for ever just that; a 413 none."""
    ran = faults.ask("fault/408-once", "fault/http-408", "fault/http-413", "good/one")
    assert ran.status == 0
    assert ran.response("fault/408-once")
    assert len(ran.asked("panel", "fault/http-408")) == 2
    assert len(ran.asked("panel", "fault/http-413")) == 1


def test_fault_09_too_large_says_how_large(faults: Faults) -> None:
    """A prompt that is too large is told in tokens and bytes."""
    said = faults.ask("fault/http-413", "good/one").failed("fault/http-413")["error"]
    assert "tokens" in said
    assert "bytes" in said or "kB" in said


def test_fault_10_error_bodies_of_any_kind(faults: Faults) -> None:
    """Pages, nothing, 20 MB and escape codes become one clean line of at most 200 characters of theirs."""
    bad = ("fault/html-502", "fault/empty-400", "fault/big-400", "fault/hostile-400")
    ran = faults.ask(*bad, "good/one", measured=True)
    assert ran.status == 0
    assert ran.peak_mb < 200
    for slug in bad:
        said = ran.failed(slug)["error"]
        assert said
        assert len(said) <= 220
        assert said.isprintable()
        assert "<p>" not in said
    assert not set(ran.stderr) & set("\x1b\x07\x9b\u202e")
    [big] = ran.asked("panel", "fault/big-400")
    assert big["outcome"] == "client_closed"


def test_fault_11_success_that_is_none(faults: Faults) -> None:
    """An error, a page or nothing under status 200, and what is not HTTP, are failures and never empty answers."""
    bad = ("fault/200-error", "fault/200-html", "fault/200-empty", "fault/no-http")
    ran = faults.ask(*bad, "good/one")
    assert (ran.status, len(ran.result["responses"])) == (0, 1)
    assert "no such luck" in ran.failed("fault/200-error")["error"]
    assert all(ran.failed(slug)["error"] for slug in bad)
    assert faults.analyze("fault/200-error").status == 1
