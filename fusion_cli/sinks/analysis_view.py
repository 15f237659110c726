"""An analysis for people, as rich draws it: who says what in one look, in each panelist's colour, and without any too.

Contradictions are a table, topics down and panelists across, or a list where there is no room; partial coverage is a
matrix of dots. What failed a check is marked. Cleans what it shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fusion_cli.marks import marked
from fusion_cli.sinks.drawing import Look, colours_of, rendered
from fusion_cli.terminal import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType
    from rich.text import Text

    from fusion_cli.marks import Attribution, MarkedPoint
    from fusion_cli.results import Analysis, Quote, SecondLook, Supported

_MOST_CHARS = 4000
_LEAST_CELL = 16  # columns of a stance that can be read
_TOPIC_SHARE, _MATRIX_SHARE = 4, 2  # a quarter for topics, half for points


class Findings(NamedTuple):
    """What there is to show.

    Attributes:
        labels: The panelists, in the order of the panel.
        silent: Those of them who gave no response.
        dropped: What had to be left out of it, or is to be known about it, a line each.
    """

    analysis: Analysis
    labels: tuple[str, ...]
    quotes: Sequence[Quote] | None = None
    supported: Supported | None = None
    second_look: SecondLook | None = None
    dropped: tuple[str, ...] = ()
    silent: frozenset[str] = frozenset()


def analysis_view(findings: Findings, look: Look) -> str:
    """Return the analysis in lines, as they go to the screen."""
    from rich.console import Group

    text = rendered(Group(*_View(findings, look).parts()), look)
    text = text.replace("\n\n\n", "\n\n").strip("\n")  # a table ends in a blank line of its own
    return text and text + "\n"


class _View:
    def __init__(self, findings: Findings, look: Look) -> None:
        self._findings = findings
        self._found = marked(findings.analysis, findings.quotes, findings.second_look)
        self._width = look.width
        self._colours = colours_of(findings.labels)
        self._disagreeing = self._in_order([it.model for row in self._found.contradictions for it in row.attributions])

    def parts(self) -> Iterator[RenderableType]:
        """Yield the sections that have something in them, each below its heading."""
        found = self._found
        sections = {
            f"Consensus ({len(found.consensus)})": map(self._item, found.consensus),
            f"Contradictions ({len(found.contradictions)})": self._contradictions(),
            f"Partial coverage ({len(found.partial_coverage)})": self._coverage(),
            f"Unique insights ({len(found.unique_insights)})": self._insights(),
            f"Blind spots ({len(found.blind_spots)})": map(self._item, found.blind_spots),
            "Checks": self._checks(),
        }
        from rich.text import Text

        for title, section in sections.items():
            if rows := list(section):
                yield Text("\n" + title, "bold")
                yield from rows

    def _contradictions(self) -> Iterator[RenderableType]:
        rows = self._found.contradictions
        topics = max(self._width // _TOPIC_SHARE, 12)
        each = (self._width - topics) // max(1, len(self._disagreeing)) - 3
        if rows and each >= _LEAST_CELL:
            yield self._table(topics, each)
            return
        from rich.padding import Padding
        from rich.text import Text

        for row in rows:
            yield self._item(row, "bold")
            for it in row.attributions:
                said = Text.assemble(self._marked(self._name(it.model), it), ": ", _shown(it.stance))
                yield Padding(_hanging("- ", said), (0, 0, 0, 2))

    def _table(self, topics: int, each: int) -> RenderableType:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, show_lines=False, pad_edge=False, leading=1, header_style="")
        table.add_column("", min_width=12, max_width=topics, overflow="fold")
        for label in self._disagreeing:
            table.add_column(self._head(label, each), max_width=each, overflow="fold")
        for row in self._found.contradictions:
            cells: dict[str, Text] = {label: Text() for label in self._disagreeing}
            for it in row.attributions:
                cell = cells[it.model]
                cell.append("\n" if cell.plain else "")
                cell.append(_shown(it.stance), self._colours.get(it.model, ""))
                self._marked(cell, it)
            table.add_row(self._point(row, "bold"), *cells.values())
        return table

    def _coverage(self) -> Iterator[RenderableType]:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        rows = self._found.partial_coverage
        if not rows:
            return
        answered = [label for label in self._findings.labels if label not in self._findings.silent]
        labels = self._in_order([*answered, *(it.model for row in rows for it in row.attributions)])
        names: list[Text] = [self._name(label) for label in labels]
        has_room = sum(max(3, name.cell_len) + 2 for name in names) <= self._width // _MATRIX_SHARE
        heads = names if has_room else [Text(str(number), name.style) for number, name in enumerate(names, 1)]
        dots_width = sum(head.cell_len + 3 for head in heads)
        gap = 2 if self._width - dots_width >= _LEAST_CELL else 0
        table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="", padding=(0, gap, 0, 0))
        for head in heads:
            table.add_column(head, justify="center", no_wrap=True)
        table.add_column("", overflow="fold")
        for row in rows:
            makers = {it.model: it for it in row.attributions}
            table.add_row(*(self._dot(makers.get(label)) for label in labels), self._point(row))
        yield table
        if not has_room:
            for number, name in enumerate(names, 1):
                yield Text.assemble((f"{number} ", name.style), name)
        if any(it.is_unproven for row in rows for it in row.attributions):
            yield Text("? quote not found", "yellow")

    def _dot(self, maker: Attribution | None) -> RenderableType:
        from rich.text import Text

        if maker is None:
            return Text("·", "dim")
        return Text("?", "yellow") if maker.is_unproven else Text("●", self._colours.get(maker.model, ""))

    def _insights(self) -> Iterator[RenderableType]:

        rows = [(row, it) for row in self._found.unique_insights for it in row.attributions]
        for label in self._in_order([it.model for _, it in rows]):
            yield self._name(label)
            for row, it in rows:
                if it.model == label:
                    yield _hanging("- ", self._point(row, self._colours.get(label, ""), it))

    def _checks(self) -> Iterator[RenderableType]:
        from rich.text import Text

        from fusion_cli.results import checks_said

        found = self._findings
        for said in checks_said(found.supported, found.second_look):
            yield _hanging("- ", Text(said))
        for line in found.dropped:
            yield _hanging("- ", Text(_shown(line), "yellow"))

    def _in_order(self, labels: Sequence[str]) -> list[str]:
        """Return labels without repetition, in the order of the panel; the judge may name others, who come last."""
        known = [label for label in self._findings.labels if label in labels]
        return list(dict.fromkeys([*known, *labels]))

    def _name(self, label: str) -> Text:
        from rich.text import Text

        return Text(_shown(label), f"bold {self._colours.get(label, '')}".strip())

    def _head(self, label: str, width: int) -> Text:
        """Return a column's name, broken behind the author of a model where it is too long."""
        name = self._name(label)
        if name.cell_len > width and "/" in name.plain:
            name.plain = name.plain.replace("/", "/\n", 1)
        return name

    def _item(self, row: MarkedPoint, style: str = "") -> RenderableType:
        return _hanging("- ", self._point(row, style))

    def _point(self, row: MarkedPoint, style: str = "", by: Attribution | None = None) -> Text:
        from rich.text import Text

        said = self._marked(Text(_shown(row.text), style), by)
        return said.append(" [not in the second look]", "yellow") if row.is_unstable else said

    def _marked(self, said: Text, by: Attribution | None) -> Text:
        return said.append(" [quote not found]", "yellow") if by and by.is_unproven else said


def _hanging(mark: str, said: Text) -> RenderableType:
    """Return a text whose further lines are indented like its first."""
    from rich.table import Table

    grid = Table.grid(padding=0)
    grid.add_column(width=len(mark), no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(mark, said)
    return grid


def _shown(text: str) -> str:
    line = " ".join(clean(text).split())
    return line if len(line) <= _MOST_CHARS else line[: _MOST_CHARS - 1] + "…"
