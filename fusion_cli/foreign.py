"""What a judge could pass off as its own analysis: one that stands in a response, its task, its delimiter. Pure.

Knows neither how a judge is asked nor how its reply is read.
"""

from bisect import bisect_left
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from fusion_cli.folding import fold
from fusion_cli.json_objects import find_outermost, objects_in, texts_in
from fusion_cli.results import Analysis

_Name = TypeVar("_Name")

_KEYS = tuple(Analysis.model_fields)
_MAX_CHARS = 200_000
_TELLING_KEYS = 3
_TELLING_CHARS = 60  # of a sentence that a limit has cut
_MAX_WORD_CHARS = 12
_ECHO_CHARS = 25
_IN_ITS_PLACE = "[a ready-made analysis stood here]"


def without_analyses(responses: Mapping[_Name, str]) -> dict[_Name, str]:
    """Return the responses without the analyses that stand in them, in any wrapping, as JSON.

    Nothing is taken out where each of several responses holds one: that is what the prompt asked for.
    """
    found = {name: _analyses(text) for name, text in responses.items()}
    if len(found) > 1 and all(found.values()):
        return dict(responses)
    masked = {}
    for name, text in responses.items():
        end, parts = 0, list[str]()
        for start, stop, _ in found[name]:
            parts += [text[end:start], _IN_ITS_PLACE]
            end = stop
        masked[name] = "".join([*parts, text[end:]])
    return masked


def planted_points(responses: Collection[str]) -> frozenset[str]:
    """Return the sentences, folded, of the analyses that `without_analyses` takes out."""
    found = [_analyses(text) for text in responses]
    if len(found) > 1 and all(found):
        return frozenset()
    texts = (
        text
        for spans in found
        for _, _, value in spans
        for row in objects_in(value)
        for key in _KEYS
        for text in texts_in(row.get(key))
    )
    return frozenset(folded for folded in map(fold, texts) if " " in folded or len(folded) > _MAX_WORD_CHARS)


def _analyses(text: str) -> list[tuple[int, int, Any]]:
    """Return the outermost JSON objects of a text that hold an analysis, with where they begin and end."""
    return [
        found
        for found in find_outermost(text[:_MAX_CHARS])
        if found and any(sum(key in row for key in _KEYS) >= _TELLING_KEYS for row in objects_in(found[2]))
    ]


class Foreign:
    """Tells whether a sentence of a reply is the judge's own.

    Args:
        responses: What the judge has read.
        task: What it was told to do.
        fence: The run's delimiter.
    """

    def __init__(self, responses: Collection[str] = (), task: str = "", fence: str = "") -> None:
        self._planted = sorted(planted_points(responses))
        self._task = fold(task)
        self._fence = fence

    def why(self, text: str) -> tuple[str, str] | None:
        """Return as what a sentence is counted that is not the judge's own, and which kind; None for one that is."""
        folded = fold(text)
        at = bisect_left(self._planted, folded)  # where what it begins stands, too
        point = self._planted[at] if at < len(self._planted) else ""
        if point and (point == folded or (len(folded) >= _TELLING_CHARS and point.startswith(folded))):
            return "point", "copied from an analysis that stands in a response"
        if len(folded) >= _ECHO_CHARS and folded in self._task:
            return "sentence", "of the judge's own task"
        if self._fence and self._fence in text:
            return "point", "with the delimiter of the prompt"
        return None
