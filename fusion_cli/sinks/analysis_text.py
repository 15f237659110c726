"""An analysis, or a whole run, as plain text, for a person or a pipe. Returns text, writes nothing; cleans nothing."""

from collections.abc import Iterable, Sequence

from fusion_cli.about import About
from fusion_cli.marks import Attribution, MarkedPoint, marked
from fusion_cli.results import AnalysisRun, AskRun, Run, ToolResult, checks_said
from fusion_cli.terminal import one_line

Section = tuple[str, Sequence[str]]


def analysis_text(run: AnalysisRun) -> str:
    """Return the judge's analysis in sections, what failed a check marked, or the responses where there is none."""
    said = run.responses or ()
    sections = _analysis(run, run) if run.analysis else [(each.label, [each.content.strip()]) for each in said]
    panel = [("Panel", [run.headcount])] if said and run.failed_models else []
    return _text([*panel, *sections, ("Sources", source_lines(run))])


def run_text(run: AskRun | AnalysisRun, about: About, *, with_responses: bool = False) -> str:
    """Return a whole run in sections.

    Args:
        run: Its result.
        about: What else is told.
        with_responses: Whether the responses are shown beside an answer or an analysis, too.
    """
    result = run.tool_result
    answer = run.answer if isinstance(run, AskRun) else None
    sections: list[Section] = [("Question", [about.question.strip()])]
    if answer is not None:
        sections.append(("Answer", [answer.strip()]))
    elif isinstance(run, AskRun):
        sections.append(("No answer", [run.error or run.failure_reason or "the run did not come to it"]))
        sections.append(("Answer, cut off", [about.unfinished.strip()]))
    if result:
        sections += _analysis(run, result)
        if result.analysis is None:
            sections.append(("No analysis", [run.why_no_analysis or result.error or "the judge was not asked"]))
        if with_responses or (answer is None and result.analysis is None):
            sections += [
                (f"Response of {it.label}{f', {it.cut}' if it.cut else ''}", [it.text.strip()]) for it in result.said
            ]
        sections.append(
            ("Failed", [f"- {each.label}: {one_line(each.error, 600)}" for each in result.failed_models or ()])
        )
    sections += [
        ("Warnings", [f"- {one_line(text, 600)}" for text in run.warnings]),
        ("Sources", source_lines(run)),
    ]
    return "\n\n".join((_text(sections), "\n".join(about.facts)))


def _analysis(run: Run, result: ToolResult) -> list[Section]:
    if result.analysis is None:
        return []
    found = marked(result.analysis, run.quotes, run.second_look)
    disputed = [line for row in found.contradictions for line in (_point(row), *map(_stance, row.attributions))]
    partly = [_point(row, f" ({', '.join(map(_by, row.attributions))})") for row in found.partial_coverage]
    return [
        ("Consensus", [*map(_point, found.consensus)]),
        ("Contradictions", disputed),
        ("Partial coverage", partly),
        (
            "Unique insights",
            [_point(row, before=f"{_by(it)}: ") for row in found.unique_insights for it in row.attributions],
        ),
        ("Blind spots", [*map(_point, found.blind_spots)]),
        ("Checks", [f"- {said}" for said in checks_said(run.supported, run.second_look)]),
    ]


def _point(row: MarkedPoint, after: str = "", before: str = "") -> str:
    return f"- {before}{row.text}{after}{' [not in the second look]' * row.is_unstable}"


def _by(it: Attribution) -> str:
    return it.model + " [quote not found]" * it.is_unproven


def _stance(it: Attribution) -> str:
    return f"  - {_by(it)}: {it.stance}"


def _text(sections: Iterable[Section]) -> str:
    return "\n\n".join(f"## {title}\n\n" + "\n".join(lines) for title, lines in sections if any(lines))


def source_lines(run: Run) -> list[str]:
    """Return the run's sources, numbered, each with who cites it: panelists by their responses, and the judge."""
    citing = run.cited_by()
    lines = []
    for number, source in enumerate(run.sources, 1):
        who = f" ({', '.join(citing[source.url])})" if source.url in citing else ""
        lines.append(f"[{number}] {source.url}{who}")
        if source.title != source.url:
            lines.append(f"    {source.title}")
    return lines
