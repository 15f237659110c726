"""An analysis as plain text, for a person or a pipe. Returns text, writes nothing; cleans nothing either."""

from collections.abc import Mapping, Sequence

from fusion_cli.results import AnalysisRun, Response, Run


def analysis_text(run: AnalysisRun) -> str:
    """Return the judge's analysis in sections, what failed a check marked, or the responses where there is none."""
    analysis = run.analysis
    if analysis is None:
        said = {response.label: [response.content.strip()] for response in run.responses or ()}
        return _sections({**said, "Sources": source_lines(run, run.responses or ())})
    unproven = {(quote.where, quote.model) for quote in run.quotes or () if not quote.held}
    unstable = {point.where for point in (run.second_look.points if run.second_look else ()) if not point.stable}

    def by(where: str, model: str) -> str:
        return f"{model} [quote not found]" if (where, model) in unproven else model

    def point(where: str, text: str) -> str:
        return f"- {text} [not in the second look]" if where in unstable else f"- {text}"

    sections = {
        "Consensus": [point(f"consensus[{n}]", text) for n, text in enumerate(analysis.consensus)],
        "Contradictions": [
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
        "Partial coverage": [
            point(where, f"{row.point} ({', '.join(by(where, model) for model in row.models)})")
            for n, row in enumerate(analysis.partial_coverage)
            for where in [f"partial_coverage[{n}]"]
        ],
        "Unique insights": [
            point(where, f"{by(where, row.model)}: {row.insight}")
            for n, row in enumerate(analysis.unique_insights)
            for where in [f"unique_insights[{n}]"]
        ],
        "Blind spots": [point(f"blind_spots[{n}]", text) for n, text in enumerate(analysis.blind_spots)],
        "Checks": _checks(run),
        "Sources": source_lines(run, run.responses or ()),
    }
    return _sections(sections)


def _sections(sections: Mapping[str, Sequence[str]]) -> str:
    return "\n\n".join(f"## {title}\n\n" + "\n".join(lines) for title, lines in sections.items() if lines)


def source_lines(run: Run, responses: Sequence[Response]) -> list[str]:
    """Return the run's sources, numbered, each with who cites it: panelists by their responses, and the judge."""
    citing: dict[str, list[str]] = {}
    cited = [(response.label, response.sources or ()) for response in responses]
    cited += [("the judge", call.sources) for call in run.calls if call.role == "judge" and not call.error]
    for who, sources in cited:
        for source in sources:
            citing.setdefault(source.url, []).append(who)
    lines = []
    for number, source in enumerate(run.sources, 1):
        who = f" ({', '.join(dict.fromkeys(citing[source.url]))})" if source.url in citing else ""
        lines.append(f"[{number}] {source.url}{who}")
        if source.title != source.url:
            lines.append(f"    {source.title}")
    return lines


def _checks(run: AnalysisRun) -> list[str]:
    lines = []
    if run.supported:
        lines.append(f"- {run.supported.held} of {run.supported.checked} attributions have a quote that holds")
    if run.second_look:
        lines.append(f"- the second look agrees on {run.second_look.agreement:.0%} of the points")
    return lines
