"""Whether what the judge quotes stands in the responses. Pure: knows no judge, no run, and not what a quote means.

A quote holds when its words stand in the panelist's response in that order, whole words at both ends; case, white
space, Markdown and the ways to write quotation marks, dashes and the like apart. The judge's token limit may cut a
longer quote in its last word.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache

from fusion_cli.analysis import Quoted
from fusion_cli.folding import normalized
from fusion_cli.results import Quote

_MIN_CHARS = 8
_MIN_WORDS = 3
_MIN_WORDS_CUT = 5
_MAX_PLACES = 1000
_REVERSAL = "not"  # "you can" is no beginning of "you cannot"

_LETTERS = str.maketrans(
    dict.fromkeys("\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u2060\ufeff")
    | dict.fromkeys('"“”„‟‘’‚‛«»‹›′″', "'")  # noqa: RUF001 - judges turn one kind into another
    | dict.fromkeys("‐‑‒–—―−", "-")  # noqa: RUF001 - so they do with dashes
)
_LINE_MARKS = re.compile(r"^[ \t]*(?:(?:#{1,6}|[-*+•>]|\d{1,3}[.)])[ \t]+)+", re.MULTILINE)
_LINK = re.compile(r"\[([^\[\]]*)\]\([^()\s]*\)")
_EMPHASIS = str.maketrans(dict.fromkeys("*_`"))
_DASH = re.compile(r" ?-+ ?")
_ELISION = re.compile(r" ?[\[(]?\.{3,}[\])]? ?")
_UNSPACED = r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
_WORD = re.compile(rf"{_UNSPACED}|\w+")
_IN_WORD = re.compile(rf"(?!{_UNSPACED})\w(?!{_UNSPACED})\w")


def check_quotes(quoted: Sequence[Quoted], responses: Mapping[str, str]) -> list[Quote]:
    """Return for each quote whether it stands in its panelist's response.

    Of a quote with an elision ("a ... b", "a [...] b"), every part must stand there, in order. What is shorter than 8
    characters and than 3 words proves nothing and does not hold, a part of an elided quote neither, unless it is the
    whole response. The last word of a quote of at least 5 may be the beginning of one.

    Args:
        quoted: What the judge quotes.
        responses: The panelists' labels to the full text of their responses.
    """

    @cache
    def response(label: str) -> str:
        return _fold(responses.get(label, ""))

    return [
        Quote(where=where, model=model, quote=quote, held=_stands(_bare(_fold(quote)), response(model)))
        for where, model, quote in quoted
    ]


def _fold(text: str) -> str:
    """Return a text without what may differ between a response and a quote from it."""
    # NFKC after the letters are mapped turns what is left of compatibility characters: spaces, ligatures, ellipses.
    text = normalized(text.translate(_LETTERS)).casefold()
    text = _LINK.sub(r"\1", _LINE_MARKS.sub("", text)).translate(_EMPHASIS)
    return _DASH.sub("-", " ".join(text.split()))


def _bare(folded: str) -> str:
    """Return a quote without one pair of quotation marks around it and without a final full stop or comma."""
    folded = _without_stop(folded)
    if len(folded) > 1 and folded[0] == folded[-1] == "'":
        folded = _without_stop(folded[1:-1].strip())
    return folded


def _without_stop(text: str) -> str:
    return text if text.endswith("...") or not text.endswith((".", ",")) else text[:-1].rstrip()


def _stands(quote: str, response: str) -> bool:
    if quote and quote == _bare(response):
        return True
    may_be_cut = len(_WORD.findall(quote)) >= _MIN_WORDS_CUT
    if _proves_something(quote) and _after(quote, response, 0, may_be_cut=may_be_cut) >= 0:
        return True
    parts = [_without_stop(part) for part in _ELISION.split(quote) if part]
    position = 0
    for at, part in enumerate(parts, 1):
        if not _proves_something(part):
            return False
        position = _after(part, response, position, may_be_cut=may_be_cut and at == len(parts))
        if position < 0:
            return False
    return bool(parts)


def _proves_something(text: str) -> bool:
    return len(text) >= _MIN_CHARS or len(_WORD.findall(text)) >= _MIN_WORDS


def _after(part: str, response: str, position: int, *, may_be_cut: bool) -> int:
    """Return where a part's first place in a response ends, or -1; "possible" does not stand in "impossible"."""
    for _ in range(_MAX_PLACES):
        start = response.find(part, position)
        if start < 0:
            return -1
        end = start + len(part)
        may_end = _is_edge(response, end) or (may_be_cut and not response.startswith(_REVERSAL, end))
        if _is_edge(response, start) and may_end:
            return end
        position = start + 1
    return -1


def _is_edge(text: str, index: int) -> bool:
    """Say whether no word goes on at an index; scripts without spaces have an edge between any two letters."""
    return index == 0 or not _IN_WORD.match(text, index - 1)
