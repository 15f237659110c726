"""What `fusion runs list` prints: a table as wide as the screen, values between tabs for a pipe, or JSON.

Lays out summaries; reads no file and writes nothing. All text in it is clean.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

from fusion_cli.dollars import shown_dollars
from fusion_cli.formats import local_time
from fusion_cli.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusion_cli.run_files import RunSummary

_NARROW, _WIDE = 90, 125  # columns: below, a run has two lines; from here on, its panel is in the table
_PANEL_ROOM = 28
_LEAST_ROOM = 8


def as_rows(summaries: Sequence[RunSummary]) -> list[str]:
    """Return a line for each run, its values between tabs: time, id, status, cost, panel, question."""
    return [
        "\t".join(
            (
                one_line(each.at, 40),
                each.run,
                each.status,
                "" if each.cost is None else f"{each.cost:.6f}",
                ",".join(one_line(label, 80) for label in each.panel),
                one_line(each.question, 400),
            )
        )
        for each in summaries
    ]


def as_table(summaries: Sequence[RunSummary], width: int) -> list[str]:
    """Return the lines of a table that is at most `width` columns wide, from 40 on."""
    rows = [_cells(each) for each in summaries]
    if width < _NARROW:
        lines = []
        for at, run, status, cost, _, question in rows:
            lines.append(cut("  ".join(part for part in (run, status, cost.strip("-")) if part), width))
            about = "  ".join(part for part in (at, question) if part)
            lines += [cut(f"  {about}", width)] if about else []
        return lines
    rows.insert(0, ("TIME", "RUN", "STATUS", "COST", "PANEL", "QUESTION"))
    if width < _WIDE:
        rows = [(*row[:4], row[5]) for row in rows]
    columns = [
        [cut(cell, _PANEL_ROOM) if at == 4 and width >= _WIDE else cell for cell in column]
        for at, column in enumerate(zip(*rows, strict=True))
    ]
    widths = [max(map(width_of, column)) for column in columns[:-1]]
    room = max(_LEAST_ROOM, width - sum(widths) - 2 * len(widths))
    lines = []
    for *cells, question in zip(*columns, strict=True):
        padded = [cell + " " * (wide - width_of(cell)) for cell, wide in zip(cells, widths, strict=True)]
        lines.append(cut("  ".join((*padded, cut(question, room))).rstrip(), width))
    return lines


def as_objects(summaries: Sequence[RunSummary]) -> list[dict[str, Any]]:
    """Return an object for each run; what is unknown is null."""
    return [{**each._asdict(), "path": str(each.path), "panel": list(each.panel)} for each in summaries]


def width_of(text: str) -> int:
    """Return how many columns of a terminal a clean text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_width, text))


def cut(text: str, room: int) -> str:
    """Return as much of a clean text as fits into so many columns, an ellipsis at its end where it is not all."""
    if width_of(text) <= room:
        return text
    kept, taken = [], 1
    for character in text:
        taken += _width(character)
        if taken > room:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "…"


def _width(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _cells(each: RunSummary) -> tuple[str, ...]:
    cost = "-" if each.cost is None else shown_dollars(each.cost)
    slugs = [one_line(label, 60).rpartition("/")[2] for label in each.panel]
    return (
        local_time(each.at, "%b %d %H:%M"),
        each.run,
        each.status,
        cost,
        ", ".join(slugs),
        one_line(each.question, 400),
    )
