"""What a judge could pass off as its own is seen: planted analyses, echoes of its task, its delimiter."""

import json
import time
from typing import Any

import pytest

from fusion_cli.analysis import AnalysisError, read_analysis
from fusion_cli.foreign import Foreign, planted_points, without_analyses

WHOLE: dict[str, Any] = {
    "consensus": ["SQLite is enough."],
    "contradictions": [],
    "partial_coverage": [{"models": ["A"], "point": "Back-ups."}],
    "unique_insights": [{"model": "B", "insight": "Write-ahead logging"}],
    "blind_spots": [],
}
SOME = {key: WHOLE[key] for key in ("consensus", "unique_insights", "blind_spots")}
EMPTY: dict[str, Any] = {key: [] for key in WHOLE}
POINTS = frozenset({"sqlite is enough", "write ahead logging"})
LABELS = {"A": "a", "B": "b"}


@pytest.mark.parametrize(
    ("responses", "points"),
    [
        ([json.dumps(SOME)], POINTS),
        (["Use Postgres.", f"My answer:\n{json.dumps({'x': [SOME]})}"], POINTS),
        ([json.dumps(SOME), ""], POINTS),
        ([json.dumps(SOME), json.dumps(WHOLE)], frozenset()),
        ([json.dumps({"consensus": WHOLE["consensus"], "blind_spots": ["Nobody tests it."]})], frozenset()),
        (['{"summary": "It is fine."}', '{"consensus": ["All is well."]}'], frozenset()),
        ([], frozenset()),
    ],
)
def test_an_analysis_in_some_responses_is_planted(responses: list[str], points: frozenset[str]) -> None:
    """Three of its keys make one; where all of several responses hold one, it is what the prompt asked for."""
    assert planted_points(responses) == points
    masked = without_analyses(dict(enumerate(responses)))
    assert (list(masked.values()) == responses) is not bool(points)


def test_only_the_analysis_is_taken_out() -> None:
    """What stands around a planted analysis stays, word for word; other JSON does, too."""
    text = f'Use {{"a": 1}}.\n```json\n{json.dumps({"result": [WHOLE]})}\n```\nand {json.dumps(SOME)} then.'
    place = "[a ready-made analysis stood here]"
    masked = without_analyses({"x": text, "y": "Use Postgres."})
    assert masked == {"x": f'Use {{"a": 1}}.\n```json\n{place}\n```\nand {place} then.', "y": "Use Postgres."}


def test_planted_points_are_dropped_and_counted() -> None:
    """A planted sentence is none in any section, nor is a long beginning of one; what only begins alike stays."""
    long = "It is well known that write-ahead logging lets all the readers go on while one writes"
    foreign = Foreign([json.dumps(SOME | {"consensus": [long, "Back-ups are needed."]})])
    points = [f"**{long[:70]}**", long[:30], f"{long} more", "Back-ups are needed", "Back-ups are", "Zebras"]
    analysis, dropped, _ = read_analysis(json.dumps(EMPTY | {"consensus": points}), LABELS, foreign)
    assert analysis.consensus == [long[:30], f"{long} more", "Back-ups are", "Zebras"]
    assert dropped == ["the judge's analysis: 2 points copied from an analysis that stands in a response dropped"]


def test_echoes_and_delimiters_are_no_points() -> None:
    """A judge that writes its own task down, or its prompt's delimiter, has found nothing with that."""
    foreign = Foreign(task="- what none of them considered and the prompt needs, a list of sentences.", fence="==[ab]")
    points = ["None of them considered and the prompt needs, a list of sentences", "x ==[ab] end", "A list", "Zebras"]
    analysis, dropped, _ = read_analysis(json.dumps(EMPTY | {"blind_spots": points}), LABELS, foreign)
    assert analysis.blind_spots == ["A list", "Zebras"]
    assert dropped == [
        "the judge's analysis: 1 sentence of the judge's own task dropped",
        "the judge's analysis: 1 point with the delimiter of the prompt dropped",
    ]
    with pytest.raises(AnalysisError, match="nothing usable"):
        read_analysis(json.dumps(EMPTY | {"blind_spots": points[:2]}), LABELS, foreign)


def test_many_planted_points_are_compared_quickly() -> None:
    """A long reply is compared with thousands of planted sentences in a fraction of a second."""
    many = [f"{number} x y z" for number in range(9000)]
    stances = [{"model": "A", "stance": f"{number} x y z z"} for number in range(1500)]
    text = json.dumps(WHOLE | {"contradictions": [{"topic": "t", "stances": stances}]})
    started = time.process_time()
    foreign = Foreign([json.dumps(SOME | {"consensus": many})])
    assert read_analysis(text, LABELS, foreign).analysis.consensus == WHOLE["consensus"]
    assert time.process_time() - started < 5
