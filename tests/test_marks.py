"""Promises of `marks`: what the checks say against an analysis stands at the point that it is about alone."""

from fusion_cli.marks import Attribution, marked
from fusion_cli.results import Analysis, Point, Quote, SecondLook

ANALYSIS = Analysis.model_validate(
    {
        "consensus": ["c"],
        "contradictions": [
            {"topic": "t", "stances": [{"model": "a", "stance": "yes"}, {"model": "b", "stance": "no"}]},
            {"topic": "u", "stances": [{"model": "a", "stance": "no"}, {"model": "b", "stance": "yes"}]},
        ],
        "partial_coverage": [{"models": ["a", "b"], "point": "p"}],
        "unique_insights": [{"model": "b", "insight": "i"}, {"model": "b", "insight": "j"}],
        "blind_spots": ["x", "y"],
    }
)


def quote(where: str, model: str, *, held: bool = False) -> Quote:
    """Return a quote that was looked for."""
    return Quote(where=where, model=model, quote="q", held=held)


def test_a_mark_stands_where_it_belongs() -> None:
    """Each quote that was not found marks one attribution, each point of one look alone one point."""
    quotes = [
        quote("contradictions[1].stances[0]", "a"),
        quote("contradictions[0].stances[1]", "b", held=True),
        quote("partial_coverage[0]", "b"),
        quote("unique_insights[1]", "b"),
    ]
    places = ("contradictions[0]", "blind_spots[1]")
    points = [*(Point(where=where, stable=False) for where in places), Point(where="consensus[0]", stable=True)]
    found = marked(ANALYSIS, quotes, SecondLook(agreement=0.5, points=points, analysis=ANALYSIS))
    rows = [row for section in found for row in section]
    assert [row.text for row in rows] == ["c", "t", "u", "p", "i", "j", "x", "y"]
    assert [row.text for row in rows if row.is_unstable] == ["t", "y"]
    unproven = [(row.text, it) for row in rows for it in row.attributions if it.is_unproven]
    assert unproven == [
        ("u", Attribution("a", "no", is_unproven=True)),
        ("p", Attribution("b", is_unproven=True)),
        ("j", Attribution("b", is_unproven=True)),
    ]


def test_without_checks_nothing_is_marked() -> None:
    """Neither what was not asked for, nor what held, leaves a mark."""
    found = marked(ANALYSIS, None, None)
    assert not any(row.is_unstable for section in found for row in section)
    assert not any(it.is_unproven for section in found for row in section for it in row.attributions)
    assert found == marked(ANALYSIS, [quote("unique_insights[0]", "b", held=True)], None)
