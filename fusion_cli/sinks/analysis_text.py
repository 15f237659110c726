"""An analysis, or a whole run, as plain text, for a person or a pipe. Returns text, writes nothing; cleans nothing."""

from collections.abc import Iterable, Sequence

from fusion_cli.about import About
from fusion_cli.results import AnalysisRun, AskRun, Response, Run, ToolResult, checks_said
from fusion_cli.terminal import one_line

Section = tuple[str, Sequence[str]]


def analysis_text(run: AnalysisRun) -> str:
    """Return the judge's analysis in sections, what failed a check marked, or the responses where there is none."""
    said = run.responses or ()
    sections = _analysis(run, run) if run.analysis else [(each.label, [each.content.strip()]) for each in said]
    panel = [("Panel", [run.headcount])] if said and run.failed_models else []
    return _text([*panel, *sections, ("Sources", source_lines(run, said))])


def run_text(run: AskRun | AnalysisRun, about: About, *, with_responses: bool = False) -> str:
    """Return a whole run in sections.

    Args:
        run: Its result.
        about: What else is told.
        with_responses: Whether the responses are shown beside an answer or an analysis, too.
    """
    result = run.result if isinstance(run, AskRun) else run
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
            sections += _responses(result)
        sections.append(
            ("Failed", [f"- {each.label}: {one_line(each.error, 600)}" for each in result.failed_models or ()])
        )
    said = (result.responses if result else None) or ()
    sections += [
        ("Warnings", [f"- {one_line(text, 600)}" for text in run.warnings]),
        ("Sources", source_lines(run, said)),
    ]
    return "\n\n".join((_text(sections), "\n".join(about.facts)))


def _responses(result: ToolResult) -> list[Section]:
    """Return a section for each panelist that said something; where it broke off, its heading says so."""
    whole = [
        (f"Response of {each.label}{', cut off by its token limit' * bool(each.truncated)}", [each.content.strip()])
        for each in result.responses or ()
    ]
    partial = [
        (f"Response of {each.label}, cut off", [each.content.strip()])
        for each in result.failed_models or ()
        if each.content
    ]
    return [*whole, *partial]


def _analysis(run: Run, result: ToolResult) -> list[Section]:
    analysis = result.analysis
    if analysis is None:
        return []
    unproven, unstable = run.unproven, run.unstable

    def by(where: str, model: str) -> str:
        return f"{model} [quote not found]" if (where, model) in unproven else model

    def point(where: str, text: str) -> str:
        return f"- {text} [not in the second look]" if where in unstable else f"- {text}"

    return [
        ("Consensus", [point(f"consensus[{n}]", text) for n, text in enumerate(analysis.consensus)]),
        (
            "Contradictions",
            [
                line
                for n, row in enumerate(analysis.contradictions)
                for line in (
                    point(f"contradictions[{n}]", row.topic),
                    *(
                        f"  - {by(f'contradictions[{n}].stances[{m}]', stance.model)}: {stance.stance}"
                        for m, stance in enumerate(row.stances)
                    ),
                )
            ],
        ),
        (
            "Partial coverage",
            [
                point(where, f"{row.point} ({', '.join(by(where, model) for model in row.models)})")
                for n, row in enumerate(analysis.partial_coverage)
                for where in [f"partial_coverage[{n}]"]
            ],
        ),
        (
            "Unique insights",
            [
                point(where, f"{by(where, row.model)}: {row.insight}")
                for n, row in enumerate(analysis.unique_insights)
                for where in [f"unique_insights[{n}]"]
            ],
        ),
        ("Blind spots", [point(f"blind_spots[{n}]", text) for n, text in enumerate(analysis.blind_spots)]),
        ("Checks", [f"- {said}" for said in checks_said(run.supported, run.second_look)]),
    ]


def _text(sections: Iterable[Section]) -> str:
    return "\n\n".join(f"## {title}\n\n" + "\n".join(lines) for title, lines in sections if any(lines))


def source_lines(run: Run, responses: Sequence[Response]) -> list[str]:
    """Return the run's sources, numbered, each with who cites it: panelists by their responses, and the judge."""
    citing = run.cited_by(responses)
    lines = []
    for number, source in enumerate(run.sources, 1):
        who = f" ({', '.join(citing[source.url])})" if source.url in citing else ""
        lines.append(f"[{number}] {source.url}{who}")
        if source.title != source.url:
            lines.append(f"    {source.title}")
    return lines
