"""An analysis as plain text, for a person or a pipe. Returns text, writes nothing; cleans nothing either."""

from fusion_cli.results import AnalysisRun


def analysis_text(run: AnalysisRun) -> str:
    """Return the judge's analysis in sections, or the responses where there is none."""
    analysis = run.analysis
    if analysis is None:
        return "\n\n".join(f"## {response.label}\n\n{response.content.strip()}" for response in run.responses or ())
    sections = {
        "Consensus": [f"- {point}" for point in analysis.consensus],
        "Contradictions": [
            line
            for row in analysis.contradictions
            for line in (f"- {row.topic}", *(f"  - {stance.model}: {stance.stance}" for stance in row.stances))
        ],
        "Partial coverage": [f"- {row.point} ({', '.join(row.models)})" for row in analysis.partial_coverage],
        "Unique insights": [f"- {row.model}: {row.insight}" for row in analysis.unique_insights],
        "Blind spots": [f"- {point}" for point in analysis.blind_spots],
    }
    return "\n\n".join(f"## {title}\n\n" + "\n".join(lines) for title, lines in sections.items() if lines)
