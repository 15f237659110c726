"""Untrusted text in a Markdown document: what a model wrote keeps its form, and cannot leave its place.

Pure. Its HTML is no HTML in the document, its fences and headings do not reach past its end, no picture is loaded.
"""

import re
from collections.abc import Iterator

from fusion_cli.terminal import clean, one_line

_SPECIAL = r"[\\`*_\[\]<>|~$&#!]|^[-+=]|^\d{1,9}(?=[.)](?: |$))"
_FENCE = r"(?P<indent>[ \t]*)(?P<markers>(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*)(?P<fence>`{3,}(?=[^`]*$)|~{3,})(?P<info>.*)"
_CODE = r"(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)"
_ENTITY = r"&(?=#|[lr]lm;)"  # which a reader would turn into a control that was cleaned away
_LONGEST_LINE_WITH_CODE = 2000  # finding its pairs takes more than linear time
_DEEPEST_HEADING, _OWN_HEADINGS = 6, 3


def inline(text: str, limit: int = 2000) -> str:
    """Return text as one line in which nothing is Markdown."""
    return re.sub(_SPECIAL, _escaped, one_line(text, limit))


def _escaped(special: re.Match[str]) -> str:
    return f"{special[0]}\\" if special[0].isdigit() else f"\\{special[0]}"


def in_html(text: str, limit: int = 200) -> str:
    """Return text as one line between two tags of HTML."""
    escaped = one_line(text, limit).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace('"', "&quot;")


def contained(text: str) -> str:
    """Return Markdown of somebody else's that ends where it ends.

    Fences are brought to the margin, where their reach is certain, and closed; outside of them HTML and pictures are
    shown as they are written, and headings stand below the document's own.
    """
    lines: list[str] = []
    paragraph: list[str] = []
    fence, indent = "", 0

    def end_paragraph() -> None:
        lines.extend(_outside(paragraph))
        paragraph.clear()

    for line in clean(text).strip("\n").split("\n"):
        if fence:
            bare = line.strip(" \t")
            if len(bare) >= len(fence) and set(bare) == {fence[0]}:
                lines.append(fence)
                fence = ""
            else:
                lines.append(line[min(indent, len(line) - len(line.lstrip(" \t"))) :])
        elif opened := re.fullmatch(_FENCE, line):
            if opened["markers"]:
                paragraph.append(f"{opened['indent']}{opened['markers']}".rstrip())
            end_paragraph()
            fence, indent = opened["fence"], len(opened["indent"] + opened["markers"])
            lines.append(fence + opened["info"].rstrip())
        elif line.strip():
            paragraph.append(line)
        else:
            end_paragraph()
            lines.append("")
    end_paragraph()
    return "\n".join([*lines, fence] if fence else lines)


def _outside(paragraph: list[str]) -> Iterator[str]:
    """Yield the lines of a paragraph outside of fences, harmless.

    What stands between backticks is left alone where every reader pairs them alike: line by line, and none escaped.
    """
    is_plain = all("|" not in line and r"\`" not in line and len(line) <= _LONGEST_LINE_WITH_CODE for line in paragraph)
    knows_code = is_plain and not any("`" in re.sub(_CODE, "", line) for line in paragraph)
    for number, line in enumerate(paragraph):
        if number and re.fullmatch(r"[ \t>]*(=+|-+)[ \t]*", line):  # would make the line above it a heading
            yield re.sub(r"([=-])", r"\\\1", line, count=1)
            continue
        line = re.sub(r"^([ \t]*(?:(?:[-*+>]|\d{1,9}[.)])[ \t]*)*)(#{1,6})(?=[ \t]|$)", _lower, line)
        parts = re.split(_CODE, line) if knows_code else [line]
        # `re.split` gives what is outside, the backticks, and what is between them, in turn.
        for at in range(0, len(parts), 3):
            parts[at] = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", parts[at]).replace("![", r"!\[")
            parts[at] = re.sub(_ENTITY, "&amp;", parts[at])
        yield "".join(
            part if at % 3 == 0 else part + parts[at + 1] + part if at % 3 == 1 else "" for at, part in enumerate(parts)
        )


def _lower(heading: re.Match[str]) -> str:
    return heading[1] + "#" * min(_DEEPEST_HEADING, len(heading[2]) + _OWN_HEADINGS)
