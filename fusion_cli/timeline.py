"""When each model of a run waited, thought, looked something up and wrote, from the lines of its events.

Pure. Knows no way to draw it.
"""

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from fusion_cli.event_lines import PREFIX

State = Literal["waiting", "thinking", "searching", "writing"]
JUDGE, ANSWER = "judge", "answer"


class Segment(NamedTuple):
    """What a model did from one moment to another, in seconds since the run began."""

    state: State
    start: float
    end: float


class Row(NamedTuple):
    """One model's part in a run; `role` is panel, judge or answer, `failed` whether nothing came of it."""

    role: str
    label: str
    segments: tuple[Segment, ...]
    failed: bool

    def seconds(self, state: State) -> float:
        """Return how long it was in a state."""
        return sum(segment.end - segment.start for segment in self.segments if segment.state == state)


class _Track:
    """A row that is being put together."""

    def __init__(self, role: str, label: str) -> None:
        self.role, self.label = role, label
        self.segments: list[Segment] = []
        self.state: State | None = None
        self.failed = False
        self._since = 0.0

    def enter(self, state: State | None, t: float) -> None:
        """Begin another state; None ends them."""
        if self.state is not None and state != self.state and t > self._since:
            self.segments.append(Segment(self.state, self._since, t))
        if state != self.state:
            self.state, self._since = state, t


class Timeline:
    """Put a run's rows together from the lines of its events, in their order."""

    def __init__(self) -> None:
        self._tracks: dict[tuple[str, str], _Track] = {}
        self._outer = ""
        self._convened_until = 0.0

    def take(self, line: dict[str, Any]) -> None:
        """Take one line in; what it does not know, or cannot read, changes nothing."""
        kind, t = str(line.get("type")).removeprefix(PREFIX), line.get("t")
        if not isinstance(t, int | float) or not 0 <= t < 1e9:
            return
        label = str(line.get("label", ""))
        if kind == "created":
            self._outer = str(line.get("model") or "")
        elif kind.startswith("panel.") and line.get("from_run") is None:
            self._take_panel(kind.removeprefix("panel."), label, str(line.get("status")), t)
        elif kind.startswith("analysis.") and line.get("from_run") is None:
            self._take_judge(kind.removeprefix("analysis."), line, t)
        elif kind == "call.retried":
            role = {"outer": ANSWER}.get(str(line.get("role")), str(line.get("role")))
            for track in self._tracks.values():
                if track.role == role and (role != "panel" or track.label == label) and track.state:
                    track.enter("waiting", t)
        elif kind in ("outer.delta", "outer.discarded", "in_progress", "answer.delta", "answer.completed"):
            self._take_outer(kind, t)
        elif kind == "call.completed" and line.get("role") == "outer" and line.get("error"):
            self._take_failed_answer(t)
        elif kind in ("completed", "ended"):
            self.end(t)

    def end(self, t: float) -> None:
        """Close what is still open: the run is over."""
        for track in self._tracks.values():
            if track.state:
                track.failed = True
                track.enter(None, t)

    def rows(self) -> tuple[Row, ...]:
        """Return the rows that have something in them: the panel's as it was asked, the judge's, the answer's."""
        order = {"panel": 0, JUDGE: 1, ANSWER: 2}
        tracks = sorted(self._tracks.values(), key=lambda track: order[track.role])
        return tuple(Row(each.role, each.label, tuple(each.segments), each.failed) for each in tracks if each.segments)

    def is_writing(self, role: str, label: str = "") -> bool:
        """Tell whether a model is known to write already."""
        track = self._tracks.get((role, label))
        return track is not None and track.state == "writing"

    def _track(self, role: str, label: str = "") -> _Track:
        return self._tracks.setdefault((role, label if role == "panel" else ""), _Track(role, label))

    def _take_panel(self, kind: str, label: str, status: str, t: float) -> None:
        self._convened_until = t
        track = self._track("panel", label)
        if kind == "added":
            track.enter("waiting", t)
        elif kind == "reasoning.delta" and track.state == "waiting":
            track.enter("thinking", t)
        elif kind == "delta" and track.state in ("waiting", "thinking"):
            track.enter("writing", t)
        elif kind == "tool_call":
            track.enter("searching" if status == "started" else "waiting", t)
        elif kind in ("completed", "failed"):
            track.failed = kind == "failed"
            track.enter(None, t)

    def _take_judge(self, kind: str, line: dict[str, Any], t: float) -> None:
        track = self._track(JUDGE, str(line.get("model", "")))
        if kind == "in_progress":
            track.enter("waiting", t)
        elif kind == "delta":  # which has numbers of characters
            if line.get("text_chars"):
                track.enter("writing", t)
            elif line.get("reasoning_chars") and track.state == "waiting":
                track.enter("thinking", t)
        elif kind == "tool_call":
            track.enter("searching" if line.get("status") == "started" else "waiting", t)
        elif kind in ("completed", "failed"):
            self._convened_until = t
            track.failed = kind == "failed"
            track.enter(None, t)

    def _take_outer(self, kind: str, t: float) -> None:
        """Follow the outer model's first turn, which waits from the start of the run, and the one after the panel."""
        track = self._track(ANSWER, self._outer)
        if kind in ("outer.delta", "answer.delta"):
            if track.state is None:
                track.enter("waiting", self._convened_until)
            track.enter("writing", t)
        elif kind == "outer.discarded":
            track.enter("waiting", self._convened_until)
            track.enter(None, t)
        elif kind == "in_progress":
            self._convened_until = t
            track.enter(None, t)
        else:
            track.enter(None, t)

    def _take_failed_answer(self, t: float) -> None:
        """Close what the outer model was at, which has told of nothing else if it wrote nothing."""
        track = self._track(ANSWER, self._outer)
        if track.state is None:
            track.enter("waiting", self._convened_until)
        track.failed = True
        track.enter(None, t)


def rows_of(lines: Iterable[dict[str, Any]]) -> tuple[Row, ...]:
    """Return the rows of a recorded run, from its lines; what a kill left open ends with the last line."""
    timeline, last = Timeline(), 0.0
    for line in lines:
        timeline.take(line)
        t = line.get("t")
        last = max(last, t) if isinstance(t, int | float) and 0 <= t < 1e9 else last
    timeline.end(last)
    return timeline.rows()
