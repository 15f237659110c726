"""A run as a Markdown report, for a file, a wiki or an issue. Returns text, writes nothing; knows no file.

What the models wrote is put in by `markdown`, which keeps it in its place.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from fusion_cli.markdown import contained, in_html, inline
from fusion_cli.marks import marked
from fusion_cli.results import AskRun, checks_said

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fusion_cli.about import About
    from fusion_cli.marks import Attribution, MarkedPoint
    from fusion_cli.results import AnalysisRun, Run, ToolResult

_TITLE_CHARS = 120


class _Part(NamedTuple):
    """A part of a report, and what it is called where it has to be left out; nothing where it never is."""

    lines: tuple[str, ...]
    name: str = ""

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return _size("\n\n".join(self.lines))


def report(
    run: AskRun | AnalysisRun, about: About, *, with_responses: bool = True, most_bytes: int | None = None
) -> str:
    """Return a whole run as Markdown: the question is its title, the responses are folded in.

    Args:
        run: Its result.
        about: What else is told.
        with_responses: Whether the responses are in it.
        most_bytes: How large it may be. What there is no room for is named instead: responses first, the longest of
            them before the others, then the text of the question, the answer and the analysis.
    """
    result = run.tool_result
    parts = _parts(run, result, about)
    said = list(_said(result)) if result and with_responses else []
    gone: list[_Part] = []

    def text() -> str:
        kept = [*parts, *([_Part(("## Responses",))] if said else []), *said]
        lines = [line for part in kept for line in part.lines]
        return "\n\n".join([*lines, *_left_out(gone, run), *_told(run, result, about)]) + "\n"

    while most_bytes is not None and _size(text()) > most_bytes:
        goes = max(said, key=lambda part: part.size) if said else next((part for part in parts if part.name), None)
        if goes is None:
            break
        (said or parts).remove(goes)
        gone.append(goes)
    return text()


def _size(text: str) -> int:
    return len(text.encode("utf-8", "backslashreplace"))


def _parts(run: AskRun | AnalysisRun, result: ToolResult | None, about: About) -> list[_Part]:
    """Return what stands before the responses, in the order in which it has to go."""
    title, *question = _asked(about.question)
    parts = [_Part((title,))]
    if question:
        parts.append(_Part(tuple(question), "the text of the question"))
    if isinstance(run, AskRun):
        parts.append(_Part(tuple(_answered(run, about.unfinished)), "the answer"))
    if result:
        parts.append(_Part(tuple(_analyzed(run, result)), "the analysis"))
    return parts


def _left_out(parts: Sequence[_Part], run: Run) -> Iterator[str]:
    yield from _list("Left out", [f"{part.name} ({part.size:,} bytes)" for part in parts])
    if parts and run.run:
        yield f"There is no room for that here. All of it: `fusion runs show {run.run} --format markdown`"
    elif parts:
        yield "There is no room for that here, and the run is not kept: another `-o` beside this one has all of it."


def _told(run: Run, result: ToolResult | None, about: About) -> Iterator[str]:
    """Yield what stands behind the responses."""
    failed = [f"{inline(each.label)}: {inline(each.error)}" for each in (result and result.failed_models) or ()]
    yield from _list("Failed", failed)
    yield from _list("Warnings", [inline(text) for text in run.warnings])
    yield from _sources(run)
    yield "---"
    yield "  \n".join(map(inline, about.facts))


def _asked(question: str) -> Iterator[str]:
    title, _, rest = question.strip().partition("\n")
    yield f"# {inline(title, _TITLE_CHARS) or 'A question without words'}"
    if rest.strip() or len(title) > _TITLE_CHARS:
        yield contained(question.strip())


def _answered(run: AskRun, unfinished: str) -> Iterator[str]:
    if run.answer is not None:
        yield "## Answer"
        yield contained(run.answer)
        return
    yield "## No answer"
    yield inline(run.error or run.failure_reason or "the run did not come to it")
    if unfinished.strip():
        yield "## Answer, cut off"
        yield contained(unfinished)


def _analyzed(run: Run, result: ToolResult) -> Iterator[str]:
    analysis = result.analysis
    if analysis is None:
        yield "## No analysis"
        yield inline(run.why_no_analysis or result.error or "the judge was not asked")
        return
    found = marked(analysis, run.quotes, run.second_look)
    yield from _list("Consensus", [*map(_point, found.consensus)])
    if found.contradictions:
        yield "## Contradictions"
        yield _table(found.contradictions)
    partly = [f"{_point(row)} ({', '.join(map(_by, row.attributions))})" for row in found.partial_coverage]
    yield from _list("Partial coverage", partly)
    insights = [f"{', '.join(map(_by, row.attributions))}: {_point(row)}" for row in found.unique_insights]
    yield from _list("Unique insights", insights)
    yield from _list("Blind spots", [*map(_point, found.blind_spots)])
    yield from _list("Checks", checks_said(run.supported, run.second_look))


def _point(row: MarkedPoint) -> str:
    return inline(row.text) + " *(not in the second look)*" * row.is_unstable


def _by(it: Attribution) -> str:
    return inline(it.model) + _unproven(it)


def _unproven(it: Attribution) -> str:
    return " *(quote not found)*" * it.is_unproven


def _table(rows: Sequence[MarkedPoint]) -> str:
    """Return a row for each topic, with a column for everybody who takes a stance on any."""
    models = list(dict.fromkeys(it.model for row in rows for it in row.attributions))
    lines = [["Topic", *map(inline, models)], ["---"] * (len(models) + 1)]
    for row in rows:
        cells: dict[str, list[str]] = {model: [] for model in models}
        for it in row.attributions:
            cells[it.model].append(inline(it.stance) + _unproven(it))
        lines.append([_point(row), *("; ".join(said) for said in cells.values())])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _said(result: ToolResult) -> Iterator[_Part]:
    for label, model, text, cut, error in result.said:
        about = ", ".join(
            part for part in (model if model != label else "", f"{cut}: {error}" if error else cut) if part
        )
        heading = in_html(label) + (f" ({in_html(about)})" if about else "")
        folded = f"<details>\n<summary>{heading}</summary>", contained(text), "</details>"
        yield _Part(folded, f"the response of {inline(label)}")


def _sources(run: Run) -> Iterator[str]:
    if not run.sources:
        return
    citing = run.cited_by()
    yield "## Sources"
    yield "\n".join(
        f"{number}. {_address(source.url)}"
        + (f": {inline(source.title)}" if source.title != source.url else "")
        + (f" ({', '.join(map(inline, citing[source.url]))})" if source.url in citing else "")
        for number, source in enumerate(run.sources, 1)
    )


def _address(url: str) -> str:
    return f"<{url}>" if re.fullmatch(r"https?://[!-;=?-~]+", url) else inline(url)


def _list(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"## {title}"
        yield "\n".join(f"- {line}" for line in lines)
