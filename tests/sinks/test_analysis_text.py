"""Promises of `sinks.analysis_text`: every part of an analysis is read under its heading, and nothing is under none."""

from typing import Any, Literal

from fusion_cli.results import (
    Analysis,
    AnalysisRun,
    Call,
    Point,
    Quote,
    Response,
    RunUsage,
    SecondLook,
    Source,
    Supported,
    ToolResult,
)
from fusion_cli.sinks.analysis_text import analysis_text, source_lines

EMPTY: dict[str, Any] = {key: [] for key in Analysis.model_fields}
NOTHING_USED = RunUsage.over_calls(())


def run_with(result: ToolResult, **checks: Any) -> AnalysisRun:
    """Return a run that ended with this result, and these checks of it."""
    shape: dict[str, Any] = {"supported": None, "quotes": None, "second_look": None, **checks}
    return AnalysisRun(
        **dict(result),
        judge="j/j",
        prompt="Which?",
        run=None,
        parent=None,
        degraded=False,
        sources=[],
        **shape,
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


def test_failed_checks_are_marked() -> None:
    """A quote that does not hold is marked at its panelist, a point that one look alone found at the point."""
    analysis = Analysis.model_validate(
        EMPTY
        | {
            "contradictions": [
                {"topic": "t", "stances": [{"model": "a", "stance": "s"}, {"model": "b", "stance": "u"}]}
            ],
            "partial_coverage": [{"models": ["a", "b"], "point": "p"}],
            "blind_spots": ["x", "y"],
        }
    )
    quotes = [
        Quote(where="contradictions[0].stances[0]", model="a", quote="q", held=True),
        Quote(where="contradictions[0].stances[1]", model="b", quote="", held=False),
        Quote(where="partial_coverage[0]", model="a", quote="q", held=False),
        Quote(where="partial_coverage[0]", model="b", quote="q", held=True),
    ]
    points = [Point(where="blind_spots[0]", stable=True), Point(where="blind_spots[1]", stable=False)]
    look = SecondLook(agreement=0.667, points=points, analysis=analysis)
    result = ToolResult(status="ok", analysis=analysis)
    text = analysis_text(run_with(result, quotes=quotes, supported=Supported.over(quotes), second_look=look))
    assert text == (
        "## Contradictions\n\n- t\n  - a: s\n  - b [quote not found]: u\n\n"
        "## Partial coverage\n\n- p (a [quote not found], b)\n\n"
        "## Blind spots\n\n- x\n- y [not in the second look]\n\n"
        "## Checks\n\n- 2 of 4 attributions have a quote that holds\n- the second look agrees on 67% of the points"
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


ONE, TWO, THREE = (Source(url=f"https://{name}.example/", title=name.title()) for name in ("one", "two", "three"))


def call(role: Literal["outer", "panel", "judge"], label: str, *sources: Source) -> Call:
    """Return a call to which these pages belong."""
    return Call(
        role=role,
        model="x/y",
        answered_by=None,
        label=label,
        attempts=1,
        duration_s=1.0,
        finish_reason="stop",
        usage=None,
        tools=[],
        tool_calls=[],
        sources=list(sources),
    )


def run_citing(*calls: Call, sources: list[Source]) -> AnalysisRun:
    """Return a run with one blind spot, these calls and these sources."""
    analysis = Analysis.model_validate(EMPTY | {"blind_spots": ["b"]})
    run = run_with(ToolResult(status="ok", analysis=analysis))
    said = [
        Response(model=it.model, label=it.label, content="x", sources=it.sources or None)
        for it in calls
        if it.role == "panel"
    ]
    judges = [it for it in calls if it.role == "judge"]
    return run.model_copy(update={"calls": judges, "sources": sources, "responses": said})


def lines_of(run: AnalysisRun) -> list[str]:
    """Return the run's sources as they are listed."""
    return source_lines(run)


def test_sources_are_numbered_with_who_cites_them() -> None:
    """Each page stands once, under its number in the run, with everybody who cites it; the section is the last one."""
    calls = [
        call("panel", "sceptic", TWO, ONE),
        call("panel", "x/y#2"),
        call("panel", "x/y#1", ONE),
        call("judge", "j/j", ONE, THREE),
        call("judge", "j/j", THREE),
    ]
    assert analysis_text(run_citing(*calls, sources=[ONE, TWO, THREE])) == (
        "## Blind spots\n\n- b\n\n"
        "## Sources\n\n"
        "[1] https://one.example/ (sceptic, x/y#1, the judge)\n    One\n"
        "[2] https://two.example/ (sceptic)\n    Two\n"
        "[3] https://three.example/ (the judge)\n    Three"
    )


def test_a_page_without_a_title_or_a_citer() -> None:
    """A page is called by its address where it has no title, and where nobody is known to cite it, nobody is named."""
    bare = Source(url="https://bare.example/", title="https://bare.example/")
    first, second, address = lines_of(run_citing(call("panel", "a", bare), sources=[bare, ONE]))
    assert first == "[1] https://bare.example/ (a)"
    assert (second, address) == ("[2] https://one.example/", "    One")


def test_without_sources_there_is_no_section() -> None:
    """Nobody looked anything up: nothing is said of sources."""
    assert "Sources" not in analysis_text(run_citing(call("panel", "a"), sources=[]))
