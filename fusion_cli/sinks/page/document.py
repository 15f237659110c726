"""The page itself: a run from its question to what it took, section by section. Returns text, writes nothing.

What models wrote is put in by `text`, and by nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusion_cli.counts import count
from fusion_cli.dollars import shown_dollars
from fusion_cli.marks import marked
from fusion_cli.results import AskRun, checks_said
from fusion_cli.sinks.page.plot import plot
from fusion_cli.sinks.page.style import SEATS, STYLE
from fusion_cli.sinks.page.text import address, block, inline, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fusion_cli.about import About
    from fusion_cli.marks import Attribution, MarkedPoint
    from fusion_cli.results import AnalysisRun, Run, ToolResult

_TITLE_CHARS = 160
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(run: AskRun | AnalysisRun, about: About, *, with_responses: bool = True) -> str:
    """Return a whole run as a page that needs nothing but itself.

    Args:
        run: Its result.
        about: What else is told.
        with_responses: Whether the responses are in it.
    """
    result = run.tool_result
    seats = _Seats(result, about.panel or [row.label for row in about.timeline if row.role == "panel"])
    title = about.question.strip().partition("\n")[0]
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{plain(title, _TITLE_CHARS) or 'A question without words'}</title>",
        f"<style>{STYLE}</style>",
        "</head>",
        "<body>",
        "<main>",
        *_asked(about.question, title, run, result),
        *(_answered(run, about.unfinished) if isinstance(run, AskRun) else ()),
        *_sources(run, seats),
    ]
    if result:
        parts += _analyzed(run, result, seats)
    parts += _section("How it went", plot(about.timeline, seats.colour))
    parts += _calls(run, seats)
    if result:
        parts += _responses(result, seats) if with_responses else ()
        failed = [f"{seats.who(each.label)} {inline(each.error)}" for each in result.failed_models or ()]
        parts += _list("Failed", failed)
    parts += _list("Warnings", [inline(text) for text in run.warnings])
    parts += ["</main>", "<footer>", *(f"<p>{plain(fact)}</p>" for fact in about.facts)]
    parts += [f"<p>fusion {plain(run.version)}</p>", "</footer>", "</body>", "</html>"]
    return "\n".join(parts) + "\n"


class _Seats:
    """Who sat where: a panelist has the same colour wherever it is named."""

    def __init__(self, result: ToolResult | None, panel: Sequence[str]) -> None:
        responses = (result and result.responses) or ()
        failed = (result and result.failed_models) or ()
        labels = [*panel, *(each.label for each in (*responses, *failed))]
        self._numbers = {label: number % SEATS for number, label in enumerate(dict.fromkeys(labels))}
        said = {it.label for it in result.said} if result else set()
        self.heard = [label for label in self._numbers if label in said]

    def colour(self, role: str, label: str) -> str:
        """Return the class of a role's colour."""
        return f"p{self._numbers[label]}" if role == "panel" and label in self._numbers else "outer"

    def who(self, label: str) -> str:
        """Return a panelist's name in its colour."""
        return f'<span class="who {self.colour("panel", label)}">{plain(label, 200)}</span>'


def _asked(question: str, title: str, run: Run, result: ToolResult | None) -> Iterator[str]:
    yield "<header>"
    yield f"<h1>{plain(title, _TITLE_CHARS) or 'A question without words'}</h1>"
    said, failed = len((result and result.responses) or ()), len((result and result.failed_models) or ())
    if said + failed:
        yield f'<p class="meta">{said} of {said + failed} panelists answered</p>'
    yield "</header>"
    if question.strip() != title.strip() or len(title) > _TITLE_CHARS:
        yield block(question, 1)
    if run.degraded:
        whys = _why_degraded(result)
        if isinstance(run, AskRun) and run.answer is None:
            whys = ", ".join(filter(None, ("there is no answer", whys)))
            what = "has no result"
        else:
            what = "is degraded" if isinstance(run, AskRun) or (result and result.analysis) else "has no result"
        yield f'<div class="notice" role="note"><p>This run {what}{f": {whys}" if whys else ""}.</p></div>'


def _why_degraded(result: ToolResult | None) -> str:
    whys = []
    if result and result.failed_models:
        whys.append(f"{count(len(result.failed_models), 'panelist')} failed")
    if result and result.analysis is None:
        whys.append("there is no analysis")
    return ", ".join(whys)


def _answered(run: AskRun, unfinished: str) -> Iterator[str]:
    if run.answer is not None:
        yield from _section("Answer", [f'<div class="answer">{block(run.answer, 2)}</div>'])
        return
    why = run.error or run.failure_reason or "the run did not come to it"
    yield from _section("No answer", [f'<p class="failed">{inline(why)}</p>'])
    if unfinished.strip():
        yield from _section("Answer, cut off", [f'<div class="answer">{block(unfinished, 2)}</div>'])


def _sources(run: Run, seats: _Seats) -> Iterator[str]:
    citing = run.cited_by()
    lines = []
    for source in run.sources:
        title = f"{plain(source.title)}<br>" if source.title != source.url else ""
        who = ", ".join(
            seats.who(name) if name in seats.heard else plain(name, 200) for name in citing.get(source.url, ())
        )
        lines.append(f"{title}{address(source.url)}" + (f' <span class="note">({who})</span>' if who else ""))
    yield from _list("Sources", lines, "ol")


def _analyzed(run: Run, result: ToolResult, seats: _Seats) -> Iterator[str]:
    analysis = result.analysis
    if analysis is None:
        why = run.why_no_analysis or result.error or "the judge was not asked"
        yield from _section("No analysis", [f"<p>{inline(why)}</p>"])
        return
    found = marked(analysis, run.quotes, run.second_look)
    yield from _list("Consensus", [*map(_point, found.consensus)])
    if found.contradictions:
        yield from _section("Contradictions", _contradictions(found.contradictions, seats))
    if found.partial_coverage:
        yield from _section("Partial coverage", _coverage(found.partial_coverage, seats))
    insights = [
        f'<li class="{seats.colour("panel", it.model)}">{seats.who(it.model)}{_point(row)}{_unproven(it)}</li>'
        for row in found.unique_insights
        for it in row.attributions
    ]
    if insights:
        yield from _section("Unique insights", ['<ul class="insights">', *insights, "</ul>"])
    yield from _list("Blind spots", [*map(_point, found.blind_spots)])
    yield from _list("Checks", checks_said(run.supported, run.second_look))


def _point(row: MarkedPoint) -> str:
    mark = ' <span class="mark">(not in the second look)</span>' * row.is_unstable
    return f'<span dir="auto">{inline(row.text)}</span>{mark}'


def _unproven(it: Attribution) -> str:
    return ' <span class="mark">(quote not found)</span>' * it.is_unproven


def _contradictions(topics: Sequence[MarkedPoint], seats: _Seats) -> Iterator[str]:
    """Yield a row for each topic, with a column for everybody who was heard, or takes a stance on any."""
    models = list(dict.fromkeys([*seats.heard, *(it.model for row in topics for it in row.attributions)]))
    rows = []
    for row in topics:
        cells: dict[str, list[str]] = {model: [] for model in models}
        for it in row.attributions:
            cells[it.model].append(f'<span dir="auto">{inline(it.stance)}</span>{_unproven(it)}')
        said = ("<br>".join(cell) or '<span class="none">says nothing</span>' for cell in cells.values())
        rows.append([_point(row), *said])
    yield from _table("Contradictions", "stances", ["Topic", *map(seats.who, models)], rows)


def _coverage(points: Sequence[MarkedPoint], seats: _Seats) -> Iterator[str]:
    """Yield a row for each point, with a dot for everybody who made it."""
    models = list(dict.fromkeys([*seats.heard, *(it.model for row in points for it in row.attributions)]))
    rows = []
    for row in points:
        makers = {it.model: it for it in row.attributions}
        dots = (
            f'<span class="dot" aria-hidden="true">●</span><span class="hidden">yes</span>{_unproven(makers[model])}'
            if model in makers
            else '<span class="none" aria-hidden="true">·</span><span class="hidden">no</span>'
            for model in models
        )
        rows.append([_point(row), *dots])
    colours = ["", *(seats.colour("panel", model) for model in models)]
    yield from _table("Partial coverage", "dots", ["Point", *map(seats.who, models)], rows, colours)


def _calls(run: Run, seats: _Seats) -> Iterator[str]:
    if not run.calls:
        return
    heads = ["Call", "Time", "Attempts", "Tokens in", "Tokens out", "Cost"]
    rows = []
    for call in run.calls:
        is_seat = call.role == "panel"
        who = seats.who(call.label) if is_seat else f'<span class="who outer">{_ROLES[call.role]}</span>'
        slug = call.answered_by or call.model
        if not is_seat or slug != call.label:
            who += f' <span class="note">{plain(slug, 100)}</span>'
        if call.error:
            who += f'<br><span class="failed">{plain(call.error, 200)}</span>'
        usage = call.usage
        tokens = (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None)
        cost = usage.cost if usage else None
        rows.append([who, f"{call.duration_s:.1f} s", str(call.attempts), *map(_number, tokens), _dollars(cost)])
    took = run.usage
    whole = ["In all", "", "", _number(took.prompt_tokens), _number(took.completion_tokens), _dollars(took.cost)]
    numbers = ["", *["number"] * 5]
    yield from _section("What it took", _table("Calls", "calls", heads, rows, numbers, whole))


_ROLES = {"judge": "judge", "outer": "answer"}


def _number(value: int | None) -> str:
    return '<span class="none">unknown</span>' if value is None else f"{value:,}"


def _dollars(value: float | None) -> str:
    return '<span class="none">unknown</span>' if value is None else shown_dollars(value)


def _responses(result: ToolResult, seats: _Seats) -> Iterator[str]:
    lines = []
    for label, model, text, cut, error in result.said:
        about = ", ".join(
            part for part in (model if model != label else "", f"{cut}: {error}" if error else cut) if part
        )
        note = f'<span class="note">{plain(about, 200)}</span>' if about else ""
        lines.append(f"<details>\n<summary><h3>{seats.who(label)}</h3>{note}</summary>\n{block(text, 3)}\n</details>")
    if lines:
        yield from _section("Responses", lines)


def _table(
    name: str,
    kind: str,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    classes: Sequence[str] = (),
    foot: Sequence[str] = (),
) -> Iterator[str]:
    """Yield a table whose first column names the rows; it scrolls by itself where the page is too narrow."""
    classes = classes or [""] * len(heads)
    marked = [f' class="{each}"' if each else "" for each in classes]

    def row(cells: Sequence[str]) -> str:
        first, *rest = cells
        data = "".join(f"<td{mark}>{cell}</td>" for mark, cell in zip(marked[1:], rest, strict=True))
        return f'<tr><th scope="row">{first}</th>{data}</tr>'

    head = "".join(f'<th scope="col"{mark}>{cell}</th>' for mark, cell in zip(marked, heads, strict=True))
    yield f'<div class="scroll" tabindex="0" role="group" aria-label="{name}">'
    yield f'<table class="{kind}">\n<thead>\n<tr>{head}</tr>\n</thead>\n<tbody>'
    yield from map(row, rows)
    yield "</tbody>"
    if foot:
        yield f"<tfoot>\n{row(foot)}\n</tfoot>"
    yield "</table>\n</div>"


def _list(title: str, lines: Sequence[str], kind: str = "ul") -> Iterator[str]:
    if lines:
        yield from _section(title, [f"<{kind}>", *(f"<li>{line}</li>" for line in lines), f"</{kind}>"])


def _section(title: str, parts: Iterable[str]) -> Iterator[str]:
    """Yield a section, unless there is nothing in it."""
    inside = list(parts)
    if inside:
        yield f"<section>\n<h2>{title}</h2>"
        yield from inside
        yield "</section>"
