"""A whole run as a terminal is left with it, for another day, a pipe or a file. Returns text, writes nothing.

What the live view keeps, between the question and what the run took; what no event tells is taken from its result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusion_cli import events
from fusion_cli.chat import Citation, Usage
from fusion_cli.results import AskRun
from fusion_cli.sinks.drawing import rendered, sources_below
from fusion_cli.sinks.live.scrollback import Scrollback
from fusion_cli.sinks.live.state import Cast, View
from fusion_cli.terminal import clean, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fusion_cli.about import About
    from fusion_cli.results import AnalysisRun, ToolResult
    from fusion_cli.sinks.drawing import Look

_SEATS = (events.PanelAdded, events.PanelCompleted, events.PanelFailed)
_ANSWERING = (events.OuterDelta, events.AnswerDelta, events.AnswerCompleted)  # the result has it as it is now


def still(
    run: AskRun | AnalysisRun, about: About, look: Look, sources: Sequence[str], *, with_responses: bool = False
) -> str:
    """Return a whole run as it is drawn.

    Args:
        run: Its result.
        about: What else is told.
        look: What is seen where it goes.
        sources: The pages that were cited, in lines.
        with_responses: Whether the responses are in it beside an answer or an analysis, too.
    """
    from rich.text import Text

    result = run.tool_result
    kept = _kept(run, result, about, look, with_responses=with_responses)
    record = kept.taken()
    _note_what_is_missing(kept, run, result)
    told = {event.text for _, event in about.happened if isinstance(event, events.Warned)}
    for text in run.warnings:
        if text not in told:
            kept.warn(text)
    parts = [
        rendered(Text(clean(about.question.strip()), "bold", overflow="fold"), look),
        record,
        kept.taken(),
        sources_below(sources, look.width),
        rendered(Text("\n".join(one_line(fact, 2000) for fact in about.facts), "dim", overflow="fold"), look),
    ]
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"


def responses(result: ToolResult, panel: Sequence[str], look: Look) -> str:
    """Return what each panelist said, under its name, as it is drawn where there is nothing else.

    Args:
        result: What has it.
        panel: The panelists' labels, in the order in which they sit.
        look: What is seen where it goes.
    """
    cast = Cast(tuple(panel), "", consults=False, answers=False)
    kept = Scrollback(cast, View(cast, 0.0), lambda: look)
    for it in result.said:
        kept.add_response(it.label, it.text, it.cut)
    kept.put_responses()
    return kept.taken()


def _kept(
    run: AskRun | AnalysisRun, result: ToolResult | None, about: About, look: Look, *, with_responses: bool
) -> Scrollback:
    """Return what the live view would have kept of the run."""
    outer = (isinstance(run, AskRun) and run.model) or ""
    cast = Cast(tuple(about.panel), outer, consults=False, answers=isinstance(run, AskRun))
    view = View(cast, 0.0)
    kept = Scrollback(cast, view, lambda: look, broken_off="unfinished")
    is_all_there_is = (run.answer if isinstance(run, AskRun) else result and result.analysis) is None
    if result and (with_responses or is_all_there_is):
        for it in result.said:
            kept.add_response(it.label, it.text, it.cut)
    t = 0.0
    for t, event in _story(run, result, about):
        view.take(event, t)
        kept.take(event, t)
    kept.end(t)
    return kept


def _story(run: AskRun | AnalysisRun, result: ToolResult | None, about: About) -> Iterator[tuple[float, events.Event]]:
    """Yield what happened, and when; at its beginning or end what only the result has of panel, analysis and answer."""
    t = 0.0
    told = {event.label for _, event in about.happened if isinstance(event, _SEATS)}
    for event in _panel(run, result):
        if event.label not in told:
            yield t, event
    has_analysis = False
    waiting: list[tuple[float, events.Event]] = []
    below: list[tuple[float, events.Event]] = []  # the last warnings before the answer ended, as they are about that
    for t, happened in about.happened:
        has_analysis = has_analysis or isinstance(happened, events.AnalysisCompleted)
        if isinstance(happened, events.Warned):
            waiting.append((t, happened))
        elif isinstance(happened, events.AnswerCompleted):
            below, waiting = waiting, []
        elif not isinstance(happened, _ANSWERING):
            yield from waiting
            waiting = []
            yield t, happened
    yield from waiting
    if result and result.analysis and not has_analysis:
        took_s = 0.0
        for call in (call for call in run.calls if call.role == "judge"):
            yield t, events.AnalysisInProgress(call.model, len(result.responses or ()))
            took_s += call.duration_s
        yield t, events.AnalysisCompleted(result.analysis, took_s, run.supported, run.second_look, run.quotes)
    if isinstance(run, AskRun) and run.answer is not None:
        yield t, events.AnswerCompleted(run.answer)
    elif about.unfinished:
        yield t, events.AnswerDelta(about.unfinished)
    yield from below


def _panel(
    run: AskRun | AnalysisRun, result: ToolResult | None
) -> Iterator[events.PanelCompleted | events.PanelFailed]:
    """Yield how each panelist fared, as the result has it."""
    calls = {call.label: call for call in run.calls if call.role == "panel"}
    for said in (result and result.responses) or ():
        call = calls.get(said.label)
        usage = Usage(**call.usage.model_dump()) if call and call.usage else Usage()
        pages = tuple(Citation(page.url, page.title) for page in said.sources or ())
        took_s, truncated = call.duration_s if call else 0.0, bool(said.truncated)
        yield events.PanelCompleted(said.label, said.model, said.content, took_s, usage, truncated, pages)
    for failed in (result and result.failed_models) or ():
        call = calls.get(failed.label)
        took_s, partial = call.duration_s if call else 0.0, failed.content or ""
        yield events.PanelFailed(failed.label, failed.model, failed.error, failed.status_code, partial, took_s)


def _note_what_is_missing(kept: Scrollback, run: AskRun | AnalysisRun, result: ToolResult | None) -> None:
    """Say why there is no analysis, unless a warning does, and no answer."""
    if result and result.analysis is None and not run.why_no_analysis:
        kept.note("judge", f"no analysis: {one_line(result.error or 'the judge was not asked')}", style="red")
    if isinstance(run, AskRun) and run.answer is None:
        why = run.error or run.failure_reason or "the run did not come to it"
        kept.note("answer", f"none: {one_line(why)}", style="red")
