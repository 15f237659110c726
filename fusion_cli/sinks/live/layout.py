"""The live view's moving part as lines of styled text: a block per panelist, the judge, what the answer waits for.

Pure: a view, a time and a size in, lines out, each within the width and all within the height.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fusion_cli.counts import count
from fusion_cli.dollars import shown_dollars
from fusion_cli.sinks.live.wrapping import cells, cut, last_lines, padded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fusion_cli.sinks.live.state import View, Worker

Line = tuple[tuple[str, str], ...]  # texts, each with its style

_MOST_LINES = 3
_GLYPHS = {"waiting": "○", "again": "○", "done": "✓", "failed": "✗"}
_STYLES = {"done": "green", "failed": "red", "again": "yellow"}
_LEAST_STATE = 9  # "thinking", and one more
_NARROWEST = 20


def frame(view: View, colours: Mapping[str, str], now: float, width: int, height: int) -> list[Line]:
    """Return what moves, at most `height` lines of at most `width` columns.

    Args:
        view: The run as it stands.
        colours: Of the panelists, by label.
        now: In seconds, on the clock that the view was told.
        width: Columns.
        height: Lines.
    """
    width, height = max(width, _NARROWEST), max(height, 1)
    if view.engine:
        return [((padded("engine", 8), "dim"), (cut(view.engine, width - 8), ""))]
    if view.phase == "panel":
        return _panel(view, colours, now, width, height)
    if view.phase == "judge" and view.judge:
        return [_role_line("judge", view.judge, now, width)]
    if view.phase in ("outer", "answer"):
        room = min(_MOST_LINES, height - 1)  # for words that may be no answer yet
        tail = last_lines(view.outer.tail, width - 2, room, blank=False) if view.phase == "outer" else []
        return [_role_line("answer", view.outer, now, width), *((("  " + text, "dim"),) for text in tail)]
    return []


def _panel(view: View, colours: Mapping[str, str], now: float, width: int, height: int) -> list[Line]:
    """Return the panel between what it is asked and the last warning, where there is room for these."""
    seats = view.in_order()
    above: list[Line] = [((padded("panel", 8), "dim"), (cut(view.told, width - 8), "bold"))] if view.told else []
    below: list[Line] = [((cut(f"warning: {view.warning}", width), "yellow"),)] if view.warning else []
    if height < len(seats) + len(above) + len(below):
        above, below = [], []
    return [*above, *panel_lines(seats, colours, now, width, height - len(above) - len(below)), *below]


def panel_lines(seats: Sequence[Worker], colours: Mapping[str, str], now: float, width: int, height: int) -> list[Line]:
    """Return the panelists' blocks: fewer lines of text for each where there is little room, then a line each."""
    if len(seats) > height:
        by_need = sorted(range(len(seats)), key=lambda number: seats[number].is_over)
        shown = sorted(by_need[: height - 1])
        rest = f"and {len(seats) - len(shown)} more"
    else:
        shown, rest = list(range(len(seats))), ""
    busy = sum(not seats[number].is_over for number in shown)
    each = min(_MOST_LINES, (height - len(shown)) // busy) if busy and not rest else 0
    column = min(max((cells(seat.label) for seat in seats), default=0), max(12, width // 3))
    lines: list[Line] = []
    for seat in (seats[number] for number in shown):
        lines.append(_head(seat, colours.get(seat.label, ""), now, width, column))
        if each and not seat.is_over:
            lines += [(("  " + text, "dim"),) for text in last_lines(seat.tail, width - 2, each, blank=False)]
    if rest:
        lines.append(((rest, "dim"),))
    return lines


def _head(seat: Worker, colour: str, now: float, width: int, column: int) -> Line:
    """Return a panelist's line: who, what it does, and what it took so far, the least important of it left out."""
    state, style = saying(seat, now), _STYLES.get(seat.state, "")
    room = width - 2 - column - 2
    figures = fitting(figures_of(seat, now), room - min(cells(state), max(_LEAST_STATE, room // 2)))
    state = cut(state, room - cells(figures))
    mark = _GLYPHS.get(seat.state, "●")
    label = padded(called(seat.label, column), column)
    return ((f"{mark} ", style or colour), (label, f"bold {colour}".strip()), ("  " + state, style), (figures, "dim"))


def _role_line(name: str, worker: Worker, now: float, width: int) -> Line:
    label = cut(called(worker.label, width // 3), max(12, width // 3))
    room = width - 8 - cells(label) - 2
    state = saying(worker, now)
    if worker.about and worker.state in ("waiting", "thinking", "writing"):
        state = worker.about if worker.state == "waiting" else f"{worker.about}, {state}"
    figures = fitting(figures_of(worker, now), room - min(cells(state), max(_LEAST_STATE, room // 2)))
    return (
        (padded(name, 8), "dim"),
        (label, "bold"),
        ("  " + cut(state, room - cells(figures)), _STYLES.get(worker.state, "")),
        (figures, "dim"),
    )


def called(label: str, width: int) -> str:
    """Return a model's name, without its author where both are too long."""
    return label if cells(label) <= width else label.rpartition("/")[2]


def saying(worker: Worker, now: float) -> str:
    """Return what a model does, in words."""
    match worker.state:
        case "searching":
            return f'searching "{worker.about}"'
        case "reading" | "calling":
            return f"{worker.state} {worker.about}"
        case "again":
            left = math.ceil(worker.again_at - now)
            return f"tries again in {left} s ({worker.about})" if left > 0 else "tries again"
        case "failed":
            return f"failed: {worker.about}"
    return worker.state


def figures_of(worker: Worker, now: float) -> list[str]:
    """Return elapsed time, tokens and cost, as far as they are known, the most important first."""
    figures = []
    if worker.took_s is not None:
        figures.append(f"{worker.took_s:.1f} s")
    elif worker.since is not None:
        figures.append(clock(now - worker.since))
    if worker.tokens is not None:
        figures.append(count(worker.tokens, "token"))
    elif worker.estimated_tokens and worker.state != "failed":
        figures.append(f"~{count(worker.estimated_tokens, 'token')}")
    if worker.cost is not None:
        figures.append(shown_dollars(worker.cost))
    return figures


def fitting(figures: Sequence[str], room: int) -> str:
    """Return as many figures as fit, each after two spaces."""
    text = ""
    for figure in figures:
        if len(text) + 2 + len(figure) > room:
            break
        text += "  " + figure
    return text


def clock(seconds: float) -> str:
    """Return a time as a person reads it while it runs."""
    whole = max(0, int(seconds))
    return f"{whole} s" if whole < 60 else f"{whole // 60}:{whole % 60:02} min"
