"""How much of one judgement comes back in another. Pure; knows no judge and no run.

The measure is lexical: two sentences are as similar as the words they share, so a paraphrase in other words is missed
and a negation is not seen. Of the content words (common English words and those of one or two Latin letters apart,
endings cut, two characters at a time where a script has no spaces) it takes the mean of the overlap coefficient
|A&B| / min(|A|, |B|) and of Jaccard's |A&B| / |A|B|, and calls 0.4 similar.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fusion_cli.folding import normalized
from fusion_cli.results import Analysis, Point, SecondLook

_SIMILAR = 0.4
_ONE_WORD_JACCARD = 0.5
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_RUN = re.compile(rf"{_UNSPACED.pattern}+|(?:(?!{_UNSPACED.pattern})[^\W_])+")
_ENDING = re.compile(r"(?<=[a-z]{3})(?:ing|ies|ed|es|s|y|e)\Z")
_COMMON_WORDS = """
about all also and any are because been being both but can could did does each for from had has have how into its may
might more most much must nor only other our out over same should some such than that the their them then there these
they this those too under very was were what when where which while who why will with would you your
response responses respondent respondents
"""
_COMMON = frozenset(_COMMON_WORDS.split())


class _Item(NamedTuple):
    """One point: its place, its words, and who said it; a contradiction has words for each panelist."""

    where: str
    words: frozenset[str]
    models: frozenset[str] = frozenset()
    stances: tuple[tuple[str, frozenset[str]], ...] = ()


def compare(first: Analysis, second: Analysis) -> SecondLook:
    """Return how far two analyses of the same responses agree.

    A point is matched with at most one of the same section of the other analysis, the most similar first: insights only
    of the same panelist, partial coverage only where a panelist is in both. Contradictions match by their topics, or by
    what at least two panelists are said to hold in both.

    Args:
        first: The analysis whose points are marked.
        second: The one that they are looked for in.
    """
    matched: set[str] = set()
    points = others = 0
    stable: list[Point] = []
    for ours, theirs in zip(_sections(first), _sections(second), strict=True):
        points += len(ours)
        others += len(theirs)
        matched |= _matched(ours, theirs)
        stable += [Point(where=item.where, stable=item.where in matched) for item in ours]
    agreement = 2 * len(matched) / (points + others) if points + others else 1.0
    return SecondLook(agreement=round(agreement, 2), points=stable, analysis=second)


def _sections(analysis: Analysis) -> Iterator[list[_Item]]:
    yield [_Item(f"consensus[{at}]", _words(text)) for at, text in enumerate(analysis.consensus)]
    yield [
        _Item(
            f"contradictions[{at}]",
            _words(row.topic),
            stances=tuple((stance.model, _words(stance.stance)) for stance in row.stances),
        )
        for at, row in enumerate(analysis.contradictions)
    ]
    yield [
        _Item(f"partial_coverage[{at}]", _words(row.point), frozenset(row.models))
        for at, row in enumerate(analysis.partial_coverage)
    ]
    yield [
        _Item(f"unique_insights[{at}]", _words(row.insight), frozenset([row.model]))
        for at, row in enumerate(analysis.unique_insights)
    ]
    yield [_Item(f"blind_spots[{at}]", _words(text)) for at, text in enumerate(analysis.blind_spots)]


def _matched(ours: Sequence[_Item], theirs: Sequence[_Item]) -> set[str]:
    """Return the places of our points that have one of theirs to themselves."""
    pairs = [(_likeness(one, other), at, to) for at, one in enumerate(ours) for to, other in enumerate(theirs)]
    taken: dict[int, int] = {}
    for likeness, at, to in sorted(pairs, key=lambda pair: (-pair[0], pair[1:])):
        if likeness >= _SIMILAR and at not in taken and to not in taken.values():
            taken[at] = to
    return {ours[at].where for at in taken}


def _likeness(one: _Item, other: _Item) -> float:
    if (one.models or other.models) and not one.models & other.models:
        return 0.0
    held = dict(other.stances)
    shared = [_similarity(words, held[model]) for model, words in one.stances if model in held]
    stances = sum(shared) / len(shared) if len(shared) > 1 and min(shared) >= _SIMILAR else 0.0
    return max(_similarity(one.words, other.words), stances)


def _similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """Return 0 to 1; one word in common counts only where there is little else."""
    both = len(one & other)
    if not both:
        return 0.0
    jaccard = both / len(one | other)
    if both == 1 and jaccard < _ONE_WORD_JACCARD:
        return 0.0
    return (both / min(len(one), len(other)) + jaccard) / 2


def _words(text: str) -> frozenset[str]:
    """Return a text's content words; all of its words where none is left, itself where it has none."""
    runs = _RUN.findall(normalized(text).casefold())
    content = [run for run in runs if run not in _COMMON and not _is_short(run)]
    return frozenset(word for run in content or runs for word in _pieces(run)) or frozenset([text.strip()])


def _is_short(run: str) -> bool:
    return len(run) < 3 and run.isascii() and run.isalpha()


def _pieces(run: str) -> list[str]:
    if not _UNSPACED.match(run):
        return [_ENDING.sub("", run)]
    return [run[at : at + 2] for at in range(max(len(run) - 1, 1))]
