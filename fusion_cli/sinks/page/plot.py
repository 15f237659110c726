"""The time line of a run as a plot in SVG: a row for each model, and in it when it waited, thought, searched and wrote.

Lengths across are percentages, so that it is as wide as the page and its letters are never squeezed. Pure.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fusion_cli.sinks.page.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fusion_cli.timeline import Row, State

_ROW, _BAR, _TOP, _AXIS = 46, 16, 22, 24
_TICKS = 6
_SAID: dict[State, str] = {"waiting": "waited", "thinking": "thought", "searching": "searched", "writing": "wrote"}


def plot(rows: Sequence[Row], colour: Callable[[str, str], str]) -> Iterator[str]:
    """Yield the plot of a run's rows, and what its shades mean; nothing where there is nothing to see.

    Args:
        rows: Who did what, when.
        colour: Returns the class that gives a role and a label their colour.
    """
    end = max((row.segments[-1].end for row in rows), default=0.0)
    if end <= 0:
        return
    height = len(rows) * _ROW + _AXIS
    told = "; ".join(_told(row) for row in rows)
    yield '<figure class="plot">'
    yield f'<svg height="{height}" role="img" aria-labelledby="plot-title plot-told">'
    yield f'<title id="plot-title">Who waited, thought, searched and wrote, in {end:.1f} s</title>'
    yield f'<desc id="plot-told">{plain(told, 4000)}</desc>'
    for tick in _ticks(end):
        at = f"{tick / end * 100:.3f}%"
        anchor = "start" if tick == 0 else "end" if tick / end > 0.94 else "middle"
        yield f'<line class="grid" x1="{at}" x2="{at}" y1="0" y2="{len(rows) * _ROW}"/>'
        yield f'<text class="axis" x="{at}" y="{height - 6}" text-anchor="{anchor}">{_seconds(tick)}</text>'
    for number, row in enumerate(rows):
        yield from _row(row, number * _ROW, end, colour(row.role, row.label))
    yield "</svg>"
    yield '<ul class="legend">'
    for state in _SAID:
        shape = f'<rect class="{state}" x="1" y="1" width="92%" height="80%"/>'
        yield f'<li><svg class="row" aria-hidden="true">{shape}</svg>{state}</li>'
    yield "</ul>"
    yield "</figure>"


def _row(row: Row, top: float, end: float, colour: str) -> Iterator[str]:
    name = row.label if row.role == "panel" else f"{row.role}: {row.label}"
    start, stop = row.segments[0].start, row.segments[-1].end
    cross = '<tspan class="cross"> ✕ failed</tspan>' if row.failed else ""
    yield f'<g class="row {colour}">'
    yield (
        f'<text y="{top + 15}"><tspan class="name">{plain(name, 60)}</tspan>'
        f'<tspan class="took" dx="8">{_seconds(stop - start)}</tspan>{cross}</text>'
    )
    for state, since, until in row.segments:
        at, width = since / end * 100, max((until - since) / end * 100, 0.15)
        yield (
            f'<rect class="{state}" x="{at:.3f}%" y="{top + _TOP}" width="{width:.3f}%" height="{_BAR}">'
            f"<title>{_SAID[state]} from {since:.1f} s to {until:.1f} s</title></rect>"
        )
    yield "</g>"


def _told(row: Row) -> str:
    parts = [f"{said} {_seconds(took)}" for state, said in _SAID.items() if (took := row.seconds(state)) >= 0.05]
    return f"{row.label}{', failed' * row.failed}: {', '.join(parts)}"


def _ticks(end: float) -> list[float]:
    """Return where the axis has its marks: round numbers of seconds or minutes, at most six."""
    step = next(
        (each for each in (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800) if end / each <= _TICKS),
        end / _TICKS,
    )
    return [step * number for number in range(math.floor(end / step + 1e-9) + 1)]


def _seconds(s: float) -> str:
    if s >= 120:
        return f"{int(s // 60)} min {int(s % 60)} s" if round(s) % 60 else f"{round(s) // 60} min"
    return f"{s:.1f} s" if s % 1 >= 0.05 and s < 100 else f"{s:.0f} s"
