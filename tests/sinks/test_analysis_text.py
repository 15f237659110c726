"""Promises of `sinks.analysis_text`: every part of an analysis is read under its heading, and nothing is under none."""

from typing import Any

from fusion_cli.results import Analysis, AnalysisRun, Response, ToolResult, UsageTotals
from fusion_cli.sinks.analysis_text import analysis_text

EMPTY: dict[str, Any] = {key: [] for key in Analysis.model_fields}
NOTHING_USED = UsageTotals(prompt_tokens=None, completion_tokens=None, total_tokens=None, cost=None)


def run_with(result: ToolResult) -> AnalysisRun:
    """Return a run that ended with this result."""
    return AnalysisRun(
        **dict(result),
        judge="j/j",
        prompt="Which?",
        degraded=False,
        sources=[],
        supported=None,
        quotes=None,
        second_look=None,
        usage=NOTHING_USED,
        calls=[],
        warnings=[],
        seed=1,
        version="0",
    )


def text_of(**parts: Any) -> str:
    """Return the text of an otherwise empty analysis."""
    return analysis_text(run_with(ToolResult(status="ok", analysis=Analysis.model_validate(EMPTY | parts))))


def test_every_part_has_its_section() -> None:
    """Points, stances, names and insights stand under their headings, in the specification's order."""
    text = text_of(
        consensus=["c", "d"],
        contradictions=[{"topic": "t", "stances": [{"model": "x/y", "stance": "s"}, {"model": "z", "stance": "u"}]}],
        partial_coverage=[{"models": ["x/y", "z"], "point": "p"}],
        unique_insights=[{"model": "z", "insight": "i"}],
        blind_spots=["b"],
    )
    assert text == (
        "## Consensus\n\n- c\n- d\n\n"
        "## Contradictions\n\n- t\n  - x/y: s\n  - z: u\n\n"
        "## Partial coverage\n\n- p (x/y, z)\n\n"
        "## Unique insights\n\n- z: i\n\n"
        "## Blind spots\n\n- b"
    )


def test_an_empty_part_has_no_heading() -> None:
    """A heading without anything below it would look like an error."""
    assert text_of(blind_spots=["b"]) == "## Blind spots\n\n- b"


def test_without_an_analysis_the_responses_are_the_text() -> None:
    """A judge that failed does not take the panel's answers with it; the same model twice is told apart."""
    responses = [
        Response(model="x/y", label="x/y", content=" one\n"),
        Response(model="z/z", label="z/z#1", content="two"),
    ]
    text = analysis_text(run_with(ToolResult(status="ok", responses=responses)))
    assert text == "## x/y\n\none\n\n## z/z#1\n\ntwo"


def test_without_anything_there_is_no_text() -> None:
    """A run that failed altogether prints nothing as its result."""
    assert analysis_text(run_with(ToolResult(status="error", error="all panel models failed"))) == ""
