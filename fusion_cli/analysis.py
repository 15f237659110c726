"""The judge's text becomes an `Analysis`: found, parsed, cleaned, its attributions checked. Pure.

Judges fence their JSON, write around it, put bare strings where objects belong and invent names. What can be kept is
kept, what is dropped is counted, and nothing that a judge can write raises anything but `AnalysisError`. Whether a
quote stands in a response is not asked here.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from fusion_cli.counts import count
from fusion_cli.folding import fold
from fusion_cli.foreign import Foreign
from fusion_cli.json_objects import find_objects
from fusion_cli.results import Analysis, Contradiction, PartialCoverage, Stance, UniqueInsight

_Row = TypeVar("_Row")

_MAX_ITEMS = 50
_MAX_CHARS = 200_000
_MAX_NAME_CHARS = 300

_KEYS = tuple(Analysis.model_fields)
_WHO = ("model", "models", "response", "responses", "respondent", "respondents", "panelist", "label")
_QUOTE = ("quote", "quotes")
_TEXT = ("point", "text", "statement", "claim", "insight", "topic", "description", "summary")
_STANCES = ("stances", "positions", "views")
_STANCE = ("stance", "position", "view", "claim", "text")
_OWN_KEYS = {*_WHO, *_QUOTE, *_TEXT, *_STANCES, *_STANCE}  # never a panelist's name, whatever its label is

_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_MARKS = re.compile(r"\A(?:#{1,6}\s+|[-*+•–]\s+|\d{1,3}[.)]\s+)+")  # noqa: RUF001 - the dash is a bullet
_HEADING_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+")
_MAX_HEADING_WORDS = 3
_SECTIONS = {key.replace("_", " ") for key in _KEYS}
_SECTIONS |= {"analysis", "contradiction", "insight", "insights", "point", "points", "key points", "summary"}
_SECTIONS |= {"unique insight", "blind spot", "blindspots"}
_NOTHING = {"", "none", "n a", "na", "nil", "null", "nothing", "none found", "none identified", "not applicable"}

_DRESS = " \t\r\n*_`\"'“”‘’[](){}<>.,:;#-"  # noqa: RUF001 - what judges put around a name
_RESPONSE = re.compile(r"(?:response|respondent)s?(?![^\W_])", re.IGNORECASE)
_IN_BRACKETS = re.compile(r"\([^()]*\)")
_AND = re.compile(r"[,;&+]|\sand\s")
_LIST = re.compile(r"\A\s|[,;&+]|\band\b|\s\Z")


class AnalysisError(Exception):
    """Say why a judge's text is no analysis; `failure_reason` is the specification's code."""

    def __init__(self, failure_reason: str, message: str) -> None:
        super().__init__(message)
        self.failure_reason = failure_reason


class Quoted(NamedTuple):
    """What the judge quotes for one attribution that was kept.

    `where` is the place in the cleaned analysis, like `contradictions[0].stances[1]`; `model` the panelist's label;
    `quote` is empty where the judge gave none.
    """

    where: str
    model: str
    quote: str


class Checked(NamedTuple):
    """An analysis with real names, what had to be left out of it, a line each, and a quote for each attribution."""

    analysis: Analysis
    dropped: list[str]
    quotes: list[Quoted]


def read_analysis(text: str, labels: Mapping[str, str], foreign: Foreign | None = None) -> Checked:
    """Return the analysis that a judge wrote.

    Args:
        text: The judge's whole reply.
        labels: The judge's letters to the panel's labels.
        foreign: Tells which sentences are not the judge's own.

    Raises:
        AnalysisError: The text is empty, holds no JSON object, has another shape, or nothing is left of it.
    """
    if not text.strip():
        raise AnalysisError("judge_empty_completion", "the reply is empty")
    try:
        return _Reader(labels, foreign or Foreign()).read(_find_object(text[:_MAX_CHARS]))
    except RecursionError as error:  # parsed at the very limit, and too deep to be compared
        raise AnalysisError("judge_not_valid_json", "the reply is nested too deeply") from error


def _find_object(text: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    whole: list[dict[str, Any]] = []
    broken = False
    for candidate in dict.fromkeys((text, _TRAILING_COMMA.sub(r"\1", text))):
        for value in find_objects(candidate):
            if value is None:
                broken = True
                continue
            (whole if all(key in value for key in _KEYS) else found).append(value)
        if any(value != whole[0] for value in whole[1:]):  # one of them may be quoted from a response
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


def _dropped(what: str, which: str) -> str:
    return " ".join(filter(None, (what, which, "dropped")))


def _said(item: Any, *keys: str) -> Any:
    """Return an item's sentence, or what stands in its place."""
    if not isinstance(item, dict):
        return item
    for key in (*keys, *_TEXT):
        if isinstance(item.get(key), str):
            return item[key]
    texts = [text for key, text in item.items() if isinstance(text, str) and key not in (*_WHO, *_QUOTE)]
    return texts[0] if len(texts) == 1 else None


def _quote(item: Any) -> str:
    """Return what an item quotes, word for word; nothing for what quotes nothing."""
    values = [item.get(key) for key in _QUOTE] if isinstance(item, dict) else []
    values = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in values]
    return next((_whole(value) for value in values if isinstance(value, str)), "")


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode().strip()  # JSON can spell half a character


class _Reader:
    """Reads one object; counts what it drops."""

    def __init__(self, labels: Mapping[str, str], foreign: Foreign) -> None:
        self._foreign = foreign
        by_letter = {letter.casefold(): label for letter, label in labels.items()}
        by_label = {label: label for label in labels.values()}
        self._by_name = ({label.casefold(): label for label in by_label} | by_label | by_letter, by_letter)
        self._exact = by_label | dict(labels)
        letter = rf"(?:{'|'.join(map(re.escape, labels)) or '(?!)'})"
        some = rf"{letter}(?:(?:,? and |, | & ){letter}\b)*"
        self._letter = re.compile(rf"\b{letter}\b")
        self._mention = re.compile(rf"\b[Rr]espon(?:se|dent)(?: (?P<one>{letter})|s (?P<some>{some}))\b")

        # The judge knows letters alone: a label that reads like one stands for it. One that reads like a list of names,
        # or like "Response X", could be taken apart in too many ways.
        own = (name for name in by_label if self._known(name) == name)
        plain = {name for name in own if not (_RESPONSE.match(name) or _LIST.search(name))}
        longest_first = sorted(plain | set(labels), key=lambda name: (-len(name), name))
        name = rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first)) or '(?!)'})(?!\w)"
        one = rf"(?:[Rr]espon(?:se|dent)s?\s)?{name}"
        several = rf"{one}(?:(?:,? and |, ?| ?& ?){one})*"
        self._name = re.compile(name)
        self._names = re.compile(several)
        self._prefix = re.compile(
            rf"[*_`]*(?:[\[(](?P<inner>{several})[\])][*_`]*(?::|\s[-–—]\s)?"  # noqa: RUF001 - dashes
            rf"|(?P<outer>{several})(?: ?\([^()]*\))?[*_`]*(?::|\s[-–—]\s))[*_`]*\s*"  # noqa: RUF001 - dashes
        )
        self._unknown: set[str] = set()
        self._dropped: dict[tuple[str, str], int] = {}
        self._seen: set[str] = set()
        self._quotes: list[Quoted] = []

    def read(self, value: Mapping[str, Any]) -> Checked:
        analysis = Analysis(  # in the specification's order, as a point is kept where it stands first
            consensus=self._section(value, "consensus", self._sentence),
            contradictions=self._section(value, "contradictions", self._contradiction),
            partial_coverage=self._section(value, "partial_coverage", self._partial),
            unique_insights=self._section(value, "unique_insights", self._insight),
            blind_spots=self._section(value, "blind_spots", self._sentence),
        )
        if not any(getattr(analysis, key) for key in _KEYS):
            why = "; ".join(_dropped(f"{noun}s", which) for noun, which in self._dropped)
            raise AnalysisError(
                "judge_schema_mismatch", f"nothing usable is left of the analysis{f' ({why})' if why else ''}"
            )
        dropped = [
            f"the judge's analysis: {_dropped(count(number, noun), which)}"
            for (noun, which), number in self._dropped.items()
        ]
        if self._unknown:
            names = ", ".join(sorted(self._unknown)[:5])
            dropped.append(f"the judge attributed points to panelists that do not exist: {names}")
        return Checked(analysis, dropped, self._quotes)

    def _section(self, value: Mapping[str, Any], key: str, read: Callable[[Any, str], _Row | None]) -> list[_Row]:
        """Return what is left of a section; `read` gets an item and its place, and returns None for what it drops."""
        rows = [] if value[key] is None else value[key]
        rows = [rows] if isinstance(rows, str | dict) else rows
        if not isinstance(rows, list):
            raise AnalysisError("judge_schema_mismatch", f"{key} must be a list")
        if key in ("partial_coverage", "unique_insights"):
            rows = [part for row in rows for part in self._parts(row)]
        if len(rows) > _MAX_ITEMS:
            self._drop("item", f"of {key} over the limit of {_MAX_ITEMS}", len(rows) - _MAX_ITEMS)
        kept: list[_Row] = []
        for item in rows[:_MAX_ITEMS]:
            if (row := read(item, f"{key}[{len(kept)}]")) is not None:
                kept.append(row)
        return kept

    def _parts(self, row: Any) -> list[Any]:
        """Return an object of panelists and what each said as an object for each; anything else as it is."""
        return [{key: entry} for key, entry in row.items()] if self._is_by_panelist(row) else [row]

    def _is_by_panelist(self, item: Any) -> bool:
        return isinstance(item, dict) and bool(item.keys() - _OWN_KEYS) and all(self._known(key) for key in item)

    def _sentence(self, item: Any, _where: str) -> str | None:
        text = self._point(_said(item))
        return text if text and self._is_new(text) else None

    def _contradiction(self, item: Any, where: str) -> Contradiction | None:
        if isinstance(item, str) and not self._point(item):
            return None
        parts = item if isinstance(item, dict) else {}
        stances: Any = next((parts[key] for key in _STANCES if parts.get(key)), [])
        kept: dict[str, tuple[str, str]] = {}
        lost = 0
        for labels, entry in self._voices(stances):
            text = self._line(_said(entry, *_STANCE))
            for label in labels:
                if not text or label in kept:
                    lost += 1
                else:
                    kept[label] = (text, _quote(entry))
        topic = self._line(_said(parts, "topic"))
        if not topic or len({fold(text) for text, _ in kept.values()}) < 2:  # one voice contradicts nobody
            self._drop("contradiction", "without two stances")
            return None
        if not self._is_new("\n".join((topic, *(f"{label}: {text}" for label, (text, _) in kept.items())))):
            return None
        if lost:  # of a contradiction that is dropped whole, that is enough to say
            self._drop("empty or further stance", "of a panelist", lost)
        for index, (label, (_, quote)) in enumerate(kept.items()):
            self._quotes.append(Quoted(f"{where}.stances[{index}]", label, quote))
        rows = [Stance(model=label, stance=text) for label, (text, _) in kept.items()]
        return Contradiction(topic=topic, stances=rows)

    def _partial(self, item: Any, where: str) -> PartialCoverage | None:
        quotes, text = self._attributed(item, "point")
        if not text:
            return None
        if not quotes:
            self._drop("point", "belonging to nobody")
            return None
        if not self._is_new(text):
            return None
        self._quotes += [Quoted(where, label, quote) for label, quote in quotes.items()]
        return PartialCoverage(models=list(quotes), point=text)

    def _insight(self, item: Any, where: str) -> UniqueInsight | None:
        quotes, text = self._attributed(item, "insight")
        if not text:
            return None
        if len(quotes) != 1:
            self._drop("insight", f"belonging to {'several' if quotes else 'nobody'}")
            return None
        if not self._is_new(text):
            return None
        ((label, quote),) = quotes.items()
        self._quotes.append(Quoted(where, label, quote))
        return UniqueInsight(model=label, insight=text)

    def _attributed(self, item: Any, key: str) -> tuple[dict[str, str], str]:
        """Return the panelists that an item names, each with what is quoted for it, and the item's sentence."""
        labels, entry = next(self._voices([item]))
        quotes = dict.fromkeys(labels, "")
        if isinstance(item, dict):
            for others, quoted in self._voices(item.get("support") or item.get("quotes") or []):
                words = _said(quoted, *_QUOTE)
                quotes |= dict.fromkeys(others, _whole(words) if isinstance(words, str) else "")
            if len(quotes) == 1 and not any(quotes.values()):
                quotes = dict.fromkeys(quotes, _quote(item))
        return quotes, self._point(_said(entry, key))

    def _voices(self, value: Any) -> Iterator[tuple[list[str], Any]]:
        """Yield the panelists of each item in a list, or of each entry in an object, and what is said."""
        for item in value if isinstance(value, list) else [value]:
            if self._is_by_panelist(item):
                yield from ((self._labels(key), entry) for key, entry in item.items())
            elif isinstance(item, dict):
                yield self._labels(next((item[key] for key in _WHO if item.get(key)), None)), item
            elif isinstance(item, str):
                yield self._split(item)
            else:
                yield [], None

    def _split(self, text: str) -> tuple[list[str], str]:
        """Return whom a bare string names before a colon, in brackets before or after its sentence, and the rest."""
        names, rest = "", text
        text = _MARKS.sub("", text.strip())
        if self._are_names(text.strip(_DRESS)):
            names, rest = text, ""
        elif match := self._prefix.match(text, 0, _MAX_NAME_CHARS):
            names, rest = match["inner"] or match["outer"], text[match.end() :]
        elif (closed := text.rstrip(" .*_`")).endswith((")", "]")):
            start = max(closed.rfind("("), closed.rfind("["))
            if start >= 0 and self._are_names(closed[start + 1 : -1]):
                names, rest = closed[start:], text[:start].rstrip()
        return list(dict.fromkeys(self._exact[name] for name in self._name.findall(names))), rest

    def _are_names(self, text: str) -> bool:
        return len(text) <= _MAX_NAME_CHARS and bool(self._names.fullmatch(text))

    def _labels(self, value: Any) -> list[str]:
        """Return the panelists that a name, several in one string, or a list of them stand for."""
        found: dict[str, None] = {}
        for name in value if isinstance(value, list) else [value]:
            if not isinstance(name, str) or not name.strip():
                continue
            parts = [name] if self._known(name) else _AND.split(name[:_MAX_NAME_CHARS])
            known = [self._known(part) for part in parts]
            found |= {label: None for label in known if label}
            strangers = [part for part, label in zip(parts, known, strict=True) if not label and part.strip()]
            self._unknown |= {_whole(part)[:80] for part in (strangers if any(known) else [name])}
        return list(found)

    def _known(self, name: str) -> str | None:
        """Return the panelist of a name, whatever stands around it; a letter goes before a label that is one."""
        plain = name[:_MAX_NAME_CHARS].strip()
        bare = (_IN_BRACKETS.sub("", plain).strip() or plain).strip(_DRESS)
        bare = _RESPONSE.sub("", bare, count=1).strip(_DRESS) if _RESPONSE.match(bare) else bare
        both, by_letter = self._by_name
        forms = (plain, plain.casefold(), bare.casefold())
        return next((known[form] for known in (by_letter, both) for form in forms if form in known), None)

    def _point(self, value: Any) -> str:
        """Return a point's sentence; nothing, and counted, for what is none."""
        text = _whole(value) if isinstance(value, str) else ""
        marks = _MARKS.match(text)
        body = text[marks.end() :] if marks else text
        folded = fold(body)
        if folded in _NOTHING:
            self._drop("empty item")
            return ""
        is_heading = marks and "#" in marks[0] and len(_HEADING_WORD.findall(body)) <= _MAX_HEADING_WORDS
        if is_heading or folded in _SECTIONS:
            self._drop("stray heading")
            return ""
        return "" if self._is_foreign(body) else self._named(body)

    def _line(self, value: Any) -> str:
        """Return a topic or a stance, which may be as short as a heading; nothing for what says nothing."""
        text = _MARKS.sub("", _whole(value)) if isinstance(value, str) else ""
        return self._named(text) if fold(text) and not self._is_foreign(text) else ""

    def _is_foreign(self, text: str) -> bool:
        why = self._foreign.why(text)
        if why:
            self._drop(*why)
        return bool(why)

    def _named(self, text: str) -> str:
        """Return a text with the panel's labels for the judge's letters."""

        def labels(match: re.Match[str]) -> str:
            return self._letter.sub(lambda letter: self._exact[letter[0]], match["one"] or match["some"])

        return self._mention.sub(labels, text)

    def _is_new(self, text: str) -> bool:
        folded = fold(text)
        if folded in self._seen:
            self._drop("repeated point")
            return False
        self._seen.add(folded)
        return True

    def _drop(self, noun: str, which: str = "", number: int = 1) -> None:
        self._dropped[noun, which] = self._dropped.get((noun, which), 0) + number
