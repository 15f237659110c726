"""Faults 12, 13, 26, 27 and 30 to 34: streams that break, end without a word, come in odd shapes, or are too large."""

from tests.faults.behaviours import SAID, SEPARATORS, UNICODE
from tests.faults.running import Faults

BROKEN = ("fault/error-late", "fault/reset-late", "fault/fin-late", "fault/end-early")
SHAPES = ("byte-by-byte", "crlf", "cr", "bom", "multi-line", "decorated", "unchunked")
CAP = 2_000_000


def test_fault_12_error_in_the_stream(faults: Faults) -> None:
    """A stream that breaks after some text is not begun anew, one that breaks before any is."""
    ran = faults.ask("fault/error-late", "fault/error-at-once", "good/one")
    assert (ran.status, ran.run["degraded"]) == (0, True)
    assert len(ran.asked("panel", "fault/error-late")) == 1
    assert "provider died" in ran.failed("fault/error-late")["error"]
    assert len(ran.asked("panel", "fault/error-at-once")) == 2
    assert ran.response("fault/error-at-once")


def test_fault_12_what_was_said_is_kept_and_judged(faults: Faults) -> None:
    """What broken panelists had said is in the JSON, marked as partial, and the judge reads it as cut off."""
    ran = faults.ask(*BROKEN, "good/one")
    [judged] = ran.asked("judge")
    read = judged["body"]["messages"][-1]["content"]
    for slug in BROKEN:
        row = ran.failed(slug)
        assert row["partial"] is True
        assert len(row["content"]) == 36  # three chunks
        assert SAID.startswith(row["content"])
    assert read.count(SAID[:36]) == len(BROKEN)
    assert "cut off" in read


def test_fault_13_broken_connections(faults: Faults) -> None:
    """A connection that breaks is tried again only while nothing was said, and an early end is never a success."""
    ran = faults.ask("fault/reset-before", "fault/fin-before", *BROKEN[1:], "good/one")
    assert (ran.status, len(ran.result["responses"])) == (0, 1)
    for slug in ("fault/reset-before", "fault/fin-before"):
        assert ran.failed(slug)["error"]
        assert len(ran.asked("panel", slug)) == 3
    for slug in BROKEN[1:]:
        assert ran.failed(slug)["error"]
        assert len(ran.asked("panel", slug)) == 1


def test_fault_26_answers_that_are_none(faults: Faults) -> None:
    """Nothing, blanks, refusals, filters and mere thoughts are failures with that reason, and no judge reads them."""
    reasons = {
        "fault/empty": "",
        "fault/blank": "",
        "fault/refusal": "I will not talk about that",
        "fault/filtered": "filter",
        "fault/thinks-only": "",
    }
    ran = faults.ask(*reasons, "good/one", "good/two")
    assert (ran.status, ran.run["degraded"]) == (0, True)
    assert [row["model"] for row in ran.result["responses"]] == ["good/one", "good/two"]
    for slug, reason in reasons.items():
        assert ran.failed(slug)["error"]
        assert reason in ran.failed(slug)["error"]
    [judged] = ran.asked("judge")
    read = judged["body"]["messages"][-1]["content"]
    assert "Let me think" not in read
    assert "I will not talk" not in read


def test_fault_27_cut_by_its_limit_is_said(faults: Faults) -> None:
    """A response that its token limit cut off is delivered, and called that on the screen and in the JSON."""
    ran = faults.ask("fault/cut", "good/one")
    assert ran.status == 0
    assert ran.response("fault/cut")["content"] == "The first half of"
    assert ran.call("fault/cut")["finish_reason"] == "length"
    assert any("fault/cut" in line and "cut off" in line for line in ran.stderr.splitlines())


def test_fault_27_cut_responses_are_marked(faults: Faults) -> None:
    """In the result, a response that was cut is marked, and no other is."""
    ran = faults.ask("fault/cut", "good/one")
    assert ran.response("fault/cut")["truncated"] is True
    assert not ran.response("good/one").get("truncated")


def test_fault_30_every_shape_of_a_stream_says_the_same(faults: Faults) -> None:
    """However a stream is cut and decorated, its text is that of the plain one, byte for byte."""
    slugs = [f"fault/{name}" for name in SHAPES]
    ran = faults.ask("fault/plain", *slugs)
    assert (ran.status, ran.run["degraded"]) == (0, False)
    assert ran.response("fault/plain")["content"] == UNICODE
    assert {slug: ran.response(slug)["content"] for slug in slugs} == dict.fromkeys(slugs, UNICODE)


def test_fault_31_rare_separators_stay(faults: Faults) -> None:
    """Characters that other programs take for line ends neither split a stream nor get lost."""
    assert faults.ask("fault/separators").response("fault/separators")["content"] == SEPARATORS


def test_fault_32_broken_characters_and_events(faults: Faults) -> None:
    """Bytes that are no UTF-8 become U+FFFD, and an event that is no JSON costs its own text alone."""
    ran = faults.ask("fault/bad-utf8", "fault/bad-event", "good/one")
    assert ran.status == 0
    said = ran.response("fault/bad-utf8")["content"]
    assert said.startswith("caf\ufffd")
    assert said.endswith(" ok")
    assert ran.response("fault/bad-event")["content"] == "the first half, the second half"


def test_fault_32_skipped_events_are_counted(faults: Faults) -> None:
    """What could not be read of a stream is told, with the model and the count."""
    warnings = faults.ask("fault/bad-event", "good/one").run["warnings"]
    assert any("fault/bad-event" in line and "1" in line for line in warnings)


def test_fault_33_ends_of_any_kind(faults: Faults) -> None:
    """A finish reason suffices, late data is not read, gzip is, and what was not told is unknown and not 0."""
    slugs = [f"fault/{name}" for name in ("no-done", "late-data", "gzip", "no-usage")]
    ran = faults.ask(*slugs)
    assert (ran.status, ran.run["degraded"]) == (0, False)
    assert {ran.response(slug)["content"] for slug in slugs} == {"whole answer"}
    usage = ran.call("fault/no-usage")["usage"]
    assert usage is None or usage["completion_tokens"] is None
    assert usage is None or usage["cost"] is None
    assert ran.run["usage"]["cost"] is None
    assert ran.call("fault/no-done")["usage"]["cost"] > 0


def test_fault_34_large_answers_are_capped(faults: Faults) -> None:
    """Eight panelists of 20 MB each are cut at the cap, marked, and do not fill the memory, nor does their journal."""
    slugs = ["fault/big-answer"] * 8
    ran = faults.ask(*slugs, more=["-o", "run.jsonl"], measured=True)
    assert ran.status == 0
    rows = ran.result["responses"]
    assert [len(row["content"]) for row in rows] == [CAP] * 8
    assert [call["finish_reason"] for call in ran.run["calls"] if call["role"] == "panel"] == ["length"] * 8
    assert all(row["outcome"] == "client_closed" for row in ran.asked("panel"))
    assert ran.peak_mb < 200
    for again in (["export", "last"], ["show", "last", "--format", "html"]):
        ran = faults.command("runs", *again, measured=True)
        assert (ran.status, len(ran.stdout) > 8 * CAP) == (0, True)
        assert ran.peak_mb < 200


def test_fault_34_headers_without_end(faults: Faults) -> None:
    """A server whose headers do not end has failed, and is not read on."""
    ran = faults.ask("fault/big-headers", "good/one", measured=True)
    assert ran.status == 0
    assert ran.failed("fault/big-headers")["error"]
    assert ran.peak_mb < 200


def test_fault_34_events_and_bombs_are_capped(faults: Faults) -> None:
    """A single event of 20 MB and a bomb of 200 MB are cut off, too, and what they began with is delivered as cut."""
    slugs = ["fault/big-event", "fault/gzip-bomb"]
    ran = faults.ask(*slugs, "good/one", measured=True)
    assert ran.status == 0
    assert ran.peak_mb < 200
    for row in ran.result["responses"][:-1]:
        assert 0 < len(row["content"]) <= CAP
        assert row["truncated"] is True
    assert len(ran.result["responses"]) == 3
