"""The specification, section 3: the tool result in its exact shapes, as it is read and as it is printed."""

import json
from typing import Any

import pytest

from tests.specification.running import CONVENED, MODELS, Rows, Script, Seen, judged, run, untrue
from tests.wire.server import Fault, Reply, failure

EIGHT_HUNDRED = "word " * 800


def shape(value: Any) -> Any:
    """Return a value's keys and kinds: of a list what its entries have in common, if there are any."""
    if isinstance(value, dict):
        return {key: shape(entry) for key, entry in value.items()}
    if isinstance(value, list):
        entries = [shape(entry) for entry in value]
        assert all(entry == entries[0] for entry in entries)
        return entries[:1]
    return type(value).__name__


ANALYSIS = {
    "consensus": ["str"],
    "contradictions": [{"topic": "str", "stances": [{"model": "str", "stance": "str"}]}],
    "partial_coverage": [{"models": ["str"], "point": "str"}],
    "unique_insights": [{"model": "str", "insight": "str"}],
    "blind_spots": ["str"],
}
RESPONSES = [{"model": "str", "content": "str"}]


def without_labels(result: Any) -> Any:
    """Return a printed result without our own keys: the label beside each model, and how far a broken text got."""
    rows = [*result.get("responses", []), *result.get("failed_models", [])]
    assert all(row.pop("label") == row["model"] for row in rows)
    failed = [{key: row[key] for key in row if key not in ("partial", "content")} for row in rows if "error" in row]
    return {**result, **({"failed_models": failed} if failed else {})}


SUCCESS: Rows = {
    "success, whole": lambda it: (
        shape(it.told[0]) == {"status": "str", "analysis": ANALYSIS, "responses": RESPONSES}
        and it.told[0]["status"] == "ok"
    ),
    "stances name slugs": lambda it: (
        {row["model"] for row in it.told[0]["analysis"]["contradictions"][0]["stances"]} == {"a/one", "b/two"}
    ),
    "content: full text": lambda it: it.told[0]["responses"][0] == {"model": "a/one", "content": EIGHT_HUNDRED},
    "failed_models only when at least one panelist failed": lambda it: "failed_models" not in it.run["result"],
    "what is printed is what the outer model reads": lambda it: without_labels(it.run["result"]) == it.told[0],
    "consensus = all or most agree": lambda it: "on which all or most respondents agree" in asked(it),
    "partial_coverage = only some covered it": lambda it: "points that only some of them made" in asked(it),
    "blind_spots = none covered it": lambda it: "what none of them considered" in asked(it),
}


def asked(seen: Seen) -> str:
    """Return what the judge was asked, on one line."""
    return " ".join(seen.judge[0]["messages"][-1]["content"].split())


def test_success() -> None:
    """Every key of the result and of the analysis is there, and none besides."""
    seen = run(*CONVENED, *MODELS, "x", script=[("a/one", "panel", (Reply(EIGHT_HUNDRED),))])
    assert untrue(SUCCESS, seen) == []


def test_lists_may_be_empty() -> None:
    """All five keys are there though four lists are empty."""
    seen = run(*CONVENED, *MODELS, "x", script=[("z/judge", "judge", (judged(blind_spots=["Who pays for it?"]),))])
    empty: dict[str, list[str]] = {key: [] for key in ANALYSIS}
    assert seen.told[0]["analysis"] == {**empty, "blind_spots": ["Who pays for it?"]}


FAILED: list[Script] = [
    ("f/429", "panel", (failure(429, "slow down", retry_after=3600),)),
    ("f/broken", "panel", (Reply("half of it", fault=Fault("close", after=1)),)),
    ("f/empty", "panel", (Reply(""),)),
    ("f/blank", "panel", (Reply(" \n"),)),
]
FAILURES: Rows = {
    "one success is enough for status ok": lambda it: (it.status, it.told[0]["status"]) == (0, "ok"),
    "the success is in responses": lambda it: [row["model"] for row in it.told[0]["responses"]] == ["a/one"],
    "there is an analysis of it": lambda it: "analysis" in it.told[0],
    "failed_models: one row each": lambda it: [row["model"] for row in failed(it)] == [slug for slug, *_ in FAILED],
    "status_code": lambda it: failed(it)[0]["status_code"] == 429,
    "status_code only when there was one": lambda it: all("status_code" not in row for row in failed(it)[1:]),
    "model, error, and nothing else": lambda it: all(
        row.keys() - {"status_code"} == {"model", "error"} and isinstance(row["error"], str) for row in failed(it)
    ),
    "an empty response is a failed panelist": lambda it: "f/empty" in [row["model"] for row in failed(it)],
    "a blank one, too": lambda it: "f/blank" in [row["model"] for row in failed(it)],
    "in the same words": lambda it: failed(it)[2]["error"] == failed(it)[3]["error"],
    "what is printed is what the outer model reads": lambda it: without_labels(it.run["result"]) == it.told[0],
}


def failed(seen: Seen) -> Any:
    """Return the failed panelists as the outer model reads of them."""
    return seen.told[0]["failed_models"]


def test_failed_panelists() -> None:
    """Four of five panelists fail, each in its own way, and the deliberation is still one."""
    script: list[Script] = [*FAILED, ("z/judge", "judge", (judged(consensus=["SQLite will do."]),))]
    panel = ",".join(("a/one", *(slug for slug, *_ in FAILED)))
    seen = run(*CONVENED, "-p", panel, "-j", "z/judge", "-m", "o/outer", "x", script=script)
    assert untrue(FAILURES, seen) == []


JUDGE_FAILS = {
    "judge_upstream_error": failure(500, "broken", retry_after=0),
    "judge_empty_completion": Reply(""),
    "judge_not_valid_json": Reply("I could not decide."),
    "judge_schema_mismatch": Reply('{"consensus": ["they agree"]}'),
}


@pytest.mark.parametrize("reason", JUDGE_FAILS)
def test_the_judge_fails(reason: str) -> None:
    """Status ok, the responses, no analysis; why stands on the run's record and not in what the outer model reads."""
    seen = run(*CONVENED, *MODELS, "x", script=[("z/judge", "judge", (JUDGE_FAILS[reason],))])
    rows: Rows = {
        "still status ok with responses, and analysis is absent": lambda it: (
            shape(it.told[0]) == {"status": "str", "responses": RESPONSES} and it.told[0]["status"] == "ok"
        ),
        "the printed result, too": lambda it: without_labels(it.run["result"]) == it.told[0],
        "on the run's record": lambda it: it.run["failure_reason"] == reason,
        "not in what the outer model reads": lambda it: "judge_" not in json.dumps(it.outer),
        "the outer model can still write from the responses": lambda it: it.status == 0 and bool(it.run["answer"]),
    }
    assert untrue(rows, seen) == []


@pytest.mark.parametrize("reason", JUDGE_FAILS)
def test_the_judge_fails_without_an_outer_model(reason: str) -> None:
    """`analyze` prints status ok with the responses and the reason, and ends with status 3."""
    arguments = ("analyze", "--json", *MODELS[:-2], "x")
    seen = run(*arguments, script=[("z/judge", "judge", (JUDGE_FAILS[reason],))])
    assert (seen.status, seen.run["status"], seen.run["failure_reason"]) == (3, "ok", reason)
    assert len(seen.run["responses"]) == 2
    assert "analysis" not in seen.run


def test_nothing_useful() -> None:
    """Status error, the error, the reason and no responses; the calling model then answers without the analysis."""
    script: list[Script] = [("*", "panel", (failure(500, "broken", retry_after=0),))]
    seen = run(*CONVENED, *MODELS, "x", script=script)
    rows: Rows = {
        "the error's shape": lambda it: (
            {key: value for key, value in it.told[0].items() if key != "failed_models"}
            == {"status": "error", "error": "all panel models failed", "failure_reason": "all_panels_failed"}
        ),
        "the printed result, too": lambda it: without_labels(it.run["result"]) == it.told[0],
        "failed_models when at least one failed": lambda it: len(it.told[0]["failed_models"]) == 2,
        "nobody judges nothing": lambda it: it.judge == [],
        "the calling model then answers": lambda it: it.status == 0 and bool(it.run["answer"]),
        "and the run says that the panel did not meet": lambda it: it.run["fused"] is False,
    }
    assert untrue(rows, seen) == []


SOURCES = [{"url": "https://a.example/x", "title": "A"}, {"url": "https://b.example/", "title": "B"}]


def test_sources() -> None:
    """The run's `sources` are url and title, and nothing else, one for each page."""
    cited = tuple({"type": "url_citation", "url_citation": {**it, "start_index": 0, "end_index": 1}} for it in SOURCES)
    script: list[Script] = [
        ("a/one", "panel", (Reply("now", annotations=cited),)),
        ("b/two", "panel", (Reply("later", annotations=cited[:1]),)),
    ]
    seen = run(*CONVENED, *MODELS, "x", script=script)
    assert seen.run["sources"] == SOURCES
    assert seen.told[0]["sources"] == [{"number": number, **page} for number, page in enumerate(SOURCES, 1)]
    assert "sources" not in seen.run["result"]
