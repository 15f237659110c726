"""The judge's text becomes an `Analysis`: found, parsed, cleaned, its attributions checked. Pure.

Judges fence their JSON, write around it, put bare strings where objects belong and invent names. What can be kept is
kept, what is dropped is counted, and nothing that a judge can write raises anything but `AnalysisError`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

from fusion_cli.results import Analysis, Contradiction, PartialCoverage, Stance, UniqueInsight

_MAX_ITEMS = 50
_MAX_CHARS = 200_000
_MAX_STARTS = 50
_KEYS = tuple(Analysis.model_fields)
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_HEADING_ONLY = re.compile(r"(#{1,6}\s.*|[#*_`\-\s]*)\Z")


class AnalysisError(Exception):
    """Say why a judge's text is no analysis; `failure_reason` is the specification's code."""

    def __init__(self, failure_reason: str, message: str) -> None:
        super().__init__(message)
        self.failure_reason = failure_reason


class Checked(NamedTuple):
    """An analysis with real names, and what had to be left out of it, a line each."""

    analysis: Analysis
    dropped: list[str]


def read_analysis(text: str, labels: Mapping[str, str]) -> Checked:
    """Return the analysis that a judge wrote.

    Args:
        text: The judge's whole reply.
        labels: The judge's letters to the panel's labels.

    Raises:
        AnalysisError: The text is empty, holds no JSON object, has another shape, or nothing is left of it.
    """
    if not text.strip():
        raise AnalysisError("judge_empty_completion", "the reply is empty")
    return _Reader(labels).read(_find_object(text[:_MAX_CHARS]))


def _find_object(text: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    whole: list[dict[str, Any]] = []
    broken = False
    for candidate in (text, _TRAILING_COMMA.sub(r"\1", text)):
        for value in _objects(candidate):
            if value is None:
                broken = True
                continue
            (whole if all(key in value for key in _KEYS) else found).append(value)
        if any(value != whole[0] for value in whole):  # one of them may be quoted from a response
            raise AnalysisError("judge_schema_mismatch", "there is more than one analysis in the reply")
        if whole:
            return whole[0]
    for value in found:
        missing = [key for key in _KEYS if key not in value]
        if len(missing) < len(_KEYS):
            raise AnalysisError("judge_schema_mismatch", f"the object lacks {', '.join(missing)}")
    if found and not broken:  # an object inside a reply that was cut off is not the reply
        raise AnalysisError("judge_schema_mismatch", "the object has none of the keys of an analysis")
    raise AnalysisError("judge_not_valid_json", "no JSON object was found in the reply")


def _objects(text: str) -> Iterator[dict[str, Any] | None]:
    """Yield the JSON objects in a text, and those wrapped in one; None for a brace that begins none."""
    decoder = json.JSONDecoder(parse_constant=_refuse_constant)
    position = 0
    for _ in range(_MAX_STARTS):
        position = text.find("{", position)
        if position < 0:
            return
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            position += 1
            yield None
            continue
        if isinstance(value, dict):
            yield value
            yield from (inner for inner in value.values() if isinstance(inner, dict))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


class _Reader:
    """Reads one object; counts what it drops."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = labels
        self._known = {letter.casefold(): label for letter, label in labels.items()}
        self._known |= {label.casefold(): label for label in labels.values()}
        self._mention = re.compile(rf"\b[Rr]esponse ({'|'.join(map(re.escape, labels))})\b")
        self._unknown: set[str] = set()
        self._dropped: dict[str, int] = {}

    def read(self, value: Mapping[str, Any]) -> Checked:
        for key in _KEYS:
            if not isinstance(value[key], list):
                raise AnalysisError("judge_schema_mismatch", f"{key} must be a list")
        analysis = Analysis(
            consensus=self._texts(value, "consensus"),
            contradictions=[row for item in self._rows(value, "contradictions") for row in self._contradiction(item)],
            partial_coverage=[row for item in self._rows(value, "partial_coverage") for row in self._partial(item)],
            unique_insights=[row for item in self._rows(value, "unique_insights") for row in self._insight(item)],
            blind_spots=self._texts(value, "blind_spots"),
        )
        if not any(getattr(analysis, key) for key in _KEYS):
            raise AnalysisError("judge_schema_mismatch", "nothing usable is left of the analysis")
        dropped = [f"the judge's analysis: {count} {what}" for what, count in self._dropped.items()]
        if self._unknown:
            names = ", ".join(sorted(self._unknown)[:5])
            dropped.append(f"the judge attributed points to panelists that do not exist: {names}")
        return Checked(analysis, dropped)

    def _rows(self, value: Mapping[str, Any], key: str) -> list[Any]:
        rows: list[Any] = value[key]
        if len(rows) > _MAX_ITEMS:
            self._drop(f"items over the limit of {_MAX_ITEMS} dropped from {key}", len(rows) - _MAX_ITEMS)
        return rows[:_MAX_ITEMS]

    def _texts(self, value: Mapping[str, Any], key: str) -> list[str]:
        texts = [text for item in self._rows(value, key) if (text := self._text(item))]
        return list(dict.fromkeys(texts))

    def _contradiction(self, item: Any) -> Iterator[Contradiction]:
        stances = item.get("stances") if isinstance(item, dict) else None
        kept: dict[str, str] = {}
        for stance in stances if isinstance(stances, list) else ():
            if isinstance(stance, dict) and (label := self._label(stance.get("model"))):
                text = self._text(stance.get("stance"))
                if text:
                    kept.setdefault(label, text)
        topic = self._text(item.get("topic")) if isinstance(item, dict) else ""
        if topic and len(kept) >= 2:  # one voice contradicts nobody
            yield Contradiction(topic=topic, stances=[Stance(model=label, stance=text) for label, text in kept.items()])
        else:
            self._drop("contradiction(s) without two stances dropped")

    def _partial(self, item: Any) -> Iterator[PartialCoverage]:
        names = item.get("models") if isinstance(item, dict) else None
        names = [names] if isinstance(names, str) else names
        labels = [label for name in names if (label := self._label(name))] if isinstance(names, list) else []
        point = self._text(item.get("point")) if isinstance(item, dict) else ""
        if point and labels:
            yield PartialCoverage(models=list(dict.fromkeys(labels)), point=point)
        else:
            self._drop("point(s) that belong to nobody dropped")

    def _insight(self, item: Any) -> Iterator[UniqueInsight]:
        label = self._label(item.get("model")) if isinstance(item, dict) else None
        insight = self._text(item.get("insight")) if isinstance(item, dict) else ""
        if label and insight:
            yield UniqueInsight(model=label, insight=insight)
        else:
            self._drop("insight(s) that belong to nobody dropped")

    def _text(self, value: Any) -> str:
        """Return a sentence with the panel's labels in it, or nothing for what says nothing."""
        if isinstance(value, dict) and len(value) == 1:
            value = next(iter(value.values()))
        if not isinstance(value, str) or _HEADING_ONLY.match(value.strip()):
            return ""
        whole = value.strip().encode("utf-8", "replace").decode()  # JSON can spell half a character
        return self._mention.sub(lambda match: self._labels[match[1]], whole)

    def _label(self, name: Any) -> str | None:
        if not isinstance(name, str):
            return None
        label = self._known.get(name.strip().removeprefix("Response ").removeprefix("response ").casefold())
        if label is None and name.strip():
            self._unknown.add(name.strip()[:80])
        return label

    def _drop(self, what: str, count: int = 1) -> None:
        self._dropped[what] = self._dropped.get(what, 0) + count
