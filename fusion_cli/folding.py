"""What two spellings of the same text have in common: Unicode, case, punctuation and mark-up folded. Pure."""

import re
import unicodedata

_HEAP = re.compile(r"(?:[^\w\s]|[\uff9e\uff9f]){33,}")  # no mark is a word's character, but for these two
_TOKEN = re.compile(r"[^\W_]+[+#]*|[<>=%$€£≤≥≠]")  # C is not C++, and less is not more


def fold(text: str) -> str:
    """Return what two spellings of the same sentence have in common."""
    return " ".join(_TOKEN.findall(normalized(text).casefold()))


def normalized(text: str) -> str:
    """Return a text in normal form, where characters that look the same are the same.

    No writing has dozens of accents on one letter, and sorting a heap of them takes quadratic time: they are left out.
    """
    return unicodedata.normalize("NFKC", _HEAP.sub(_without_marks, text))


def _without_marks(heap: re.Match[str]) -> str:
    marks = (char for char in set(heap[0]) if unicodedata.combining(unicodedata.normalize("NFKD", char)[0]))
    return heap[0].translate(dict.fromkeys(map(ord, marks)))
