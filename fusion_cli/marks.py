"""The points of an analysis, each with what the checks say against it: a quote that was not found, one look alone.

Pure. The places that quotes and the second look name are looked up here; how a mark is shown is each sink's business.
"""

from collections.abc import Sequence
from typing import NamedTuple

from fusion_cli.results import Analysis, Quote, SecondLook


class Attribution(NamedTuple):
    """Who is said to have made a point, or what their stance on a topic is, and whether the quote for it is missing."""

    model: str
    stance: str = ""
    is_unproven: bool = False


class MarkedPoint(NamedTuple):
    """A point or a topic, whose it is, and whether the first look alone has it."""

    text: str
    attributions: tuple[Attribution, ...] = ()
    is_unstable: bool = False


class MarkedAnalysis(NamedTuple):
    """An analysis, section by section; an insight has one attribution."""

    consensus: list[MarkedPoint]
    contradictions: list[MarkedPoint]
    partial_coverage: list[MarkedPoint]
    unique_insights: list[MarkedPoint]
    blind_spots: list[MarkedPoint]


def marked(analysis: Analysis, quotes: Sequence[Quote] | None, second_look: SecondLook | None) -> MarkedAnalysis:
    """Return an analysis with what did not hold marked."""
    unproven = {(quote.where, quote.model) for quote in quotes or () if not quote.held}
    unstable = {point.where for point in (second_look.points if second_look else ()) if not point.stable}

    def point(where: str, text: str, *attributions: Attribution) -> MarkedPoint:
        return MarkedPoint(text, attributions, where in unstable)

    def by(where: str, model: str, stance: str = "") -> Attribution:
        return Attribution(model, stance, (where, model) in unproven)

    return MarkedAnalysis(
        [point(f"consensus[{n}]", text) for n, text in enumerate(analysis.consensus)],
        [
            point(
                where,
                row.topic,
                *(by(f"{where}.stances[{m}]", it.model, it.stance) for m, it in enumerate(row.stances)),
            )
            for n, row in enumerate(analysis.contradictions)
            for where in [f"contradictions[{n}]"]
        ],
        [
            point(where, row.point, *(by(where, model) for model in row.models))
            for n, row in enumerate(analysis.partial_coverage)
            for where in [f"partial_coverage[{n}]"]
        ],
        [
            point(where, row.insight, by(where, row.model))
            for n, row in enumerate(analysis.unique_insights)
            for where in [f"unique_insights[{n}]"]
        ],
        [point(f"blind_spots[{n}]", text) for n, text in enumerate(analysis.blind_spots)],
    )
