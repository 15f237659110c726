"""What the commands say before and after a run, and which error a finished run ends the process with."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from fusion_cli import formats
from fusion_cli.counts import count
from fusion_cli.dollars import shown_dollars
from fusion_cli.errors import DegradedError, FusionError, ModelError, UsageError, internal_error
from fusion_cli.interrupts import INTERRUPTS
from fusion_cli.terminal import clean, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from fusion_cli.about import About
    from fusion_cli.chat import ModelName, ServerTool
    from fusion_cli.earlier import Earlier
    from fusion_cli.outputs import Outputs
    from fusion_cli.plan import Panelist, Plan
    from fusion_cli.results import AnalysisRun, AskRun, Run, RunUsage
    from fusion_cli.terminal import Terminal


def announce(
    plan: Plan,
    terminal: Terminal,
    asks: Collection[ModelName],
    *,
    answers: bool,
    earlier: Earlier | None = None,
) -> None:
    """Say who may be asked, and what to think of the embedded models.

    Args:
        plan: What is going to be done.
        terminal: Where to.
        asks: The models that may be asked: fewer than the plan's where something is taken up.
        answers: Whether there is an outer model.
        earlier: What is taken up.
    """
    if any(model.is_local for model in asks):
        terminal.note(
            "The embedded models are small, cannot look anything up, and are for trying the tool out; for real answers "
            "set OPENROUTER_API_KEY (a key is at https://openrouter.ai/keys) or add a provider (see the README)."
        )
    if earlier:
        stands = [count(len(earlier.responses), "response"), *(["its analysis"] if earlier.analysis else [])]
        may_be = dict.fromkeys([*(seat.model for seat in plan.panel), plan.judge, plan.outer])
        asked = ", ".join(model.shown for model in may_be if model in asks) or "nobody"
        if earlier.run and not earlier.file:
            source = f"run     takes up {one_line(earlier.run, 80)}: {', '.join(stands)}"
        else:
            source = f"input   judges {', '.join(stands)}{f' from {one_line(earlier.file, 80)}' * bool(earlier.file)}"
        terminal.note(f"{source}; asks {asked}")
        if not set(asks) - {plan.outer}:
            return
    parts = [f"answer {plan.outer.shown}"] if answers else []
    if not answers or plan.tool_choice != "none":
        parts.insert(0, f"judge {plan.judge.shown}")
    if plan.tool_choice != "none":
        seats = [seat_name(panelist) for panelist in plan.panel]
        times = {name: f"{seats.count(name)} x " if seats.count(name) > 1 else "" for name in seats}
        parts.insert(0, f"panel {', '.join(count + name for name, count in times.items())}")
    if not earlier:
        terminal.note(f"plan    {'; '.join(parts)}")
    if tools := tools_line(plan, answers=answers):
        terminal.note(f"web     {tools}")


def tools_line(plan: Plan, *, answers: bool) -> str:
    """Return which web tools the models of a run have, and who runs them; empty where none could have any."""
    who = plan.inner_models if plan.tool_choice != "none" else (plan.judge,) if not answers else ()
    models = [model for model in who if not model.is_local]
    here = f"run here ({plan.search})" if plan.search else "run here"
    parts = [
        f"{_names(plan.tools_for(model))}, {'run by OpenRouter' if model.has_server_tools else here}"
        for model in models
        if plan.tools_for(model)
    ]
    return "; ".join(dict.fromkeys(parts)) or ("off" if models else "")


def _names(tools: Sequence[ServerTool]) -> str:
    return " and ".join(dict.fromkeys(tool.type.rpartition(":")[2].removeprefix("web_") for tool in tools))


def seat_name(panelist: Panelist) -> str:
    """Return a panelist's model, and its own name where it has one."""
    slug = panelist.model.slug
    name, _, number = panelist.label.rpartition("#")
    by_slug = panelist.label == slug or (name == slug and number.isdecimal())
    return panelist.model.shown if by_slug else f"{one_line(panelist.label)} ({panelist.model.shown})"


@contextmanager
def told_as_json(
    command: str, describe: Callable[[FusionError], AskRun | AnalysisRun], terminal: Terminal, outputs: Outputs
) -> Iterator[None]:
    """Give out a run's object, or its lines, even when it ended before there was a run.

    Not for usage errors, but lines that have begun come to their end.

    Args:
        command: ask, analyze or judge.
        describe: Makes the object from what ended the run.
        terminal: Standard output; no object is added to what it has written already.
        outputs: What was asked for.
    """
    try:
        yield
    except Exception as bug:
        error = bug if isinstance(bug, FusionError) else internal_error(bug)
        if not outputs.is_delivered and (outputs.lines or not isinstance(error, UsageError)):
            with INTERRUPTS.held(terminal.leave_at_once):
                _tell(describe(error), terminal, outputs, command, is_usage=isinstance(error, UsageError))
        if error is bug:
            raise
        raise error from bug


def _tell(run: AskRun | AnalysisRun, terminal: Terminal, outputs: Outputs, command: str, *, is_usage: bool) -> None:
    if outputs.has_lines:
        from fusion_cli.events import RunCompleted
        from fusion_cli.sinks.json_lines import JsonLines

        lines = outputs.lines
        if lines is None:
            lines = JsonLines(lambda line: outputs.put_line(line, terminal))
            lines.begin_without_plan(command)
        lines(RunCompleted(run))
    if is_usage:
        return
    if outputs.form == formats.JSON and not terminal.has_written:
        terminal.write_json(run.model_dump())
    for failed in outputs.write_files(run, None):
        terminal.note(f"fusion: {failed}")


def deliver_analysis(
    run: AnalysisRun,
    shown: bool,
    about: About,
    *,
    terminal: Terminal,
    outputs: Outputs,
    strict: bool | None,
    tells_calls: bool = False,
) -> None:
    """Print the analysis of `analyze` or `judge`; without one, the responses, and raise.

    Args:
        run: The finished run.
        shown: Whether its analysis is on the screen already.
        terminal: Where to.
        about: What a report tells beside.
        outputs: What is wanted.
        strict: Whether a degraded run is an error.
        tells_calls: Whether to say what each call took.

    Raises:
        FusionError: There is no analysis, or it is degraded where that is not acceptable.
    """
    outputs.print_whole(run, about, terminal)
    if outputs.is_for_people:
        _print_analysis(run, terminal, outputs, about.panel, shown=shown)
    if took := what_it_took(run.usage):
        terminal.note(f"usage   {took}")
    if tells_calls:
        tell_calls(run, terminal)
    if run.cause is None and run.analysis is None:
        said = next((text for text in run.warnings if text.startswith("no analysis: ")), "there is no analysis")
        again = f"Another judge may bring one: fusion judge {run.run} -j MODEL" if run.run and run.responses else ""
        raise DegradedError(said, hint=again)
    conclude(run, strict=strict)


def _print_analysis(
    run: AnalysisRun, terminal: Terminal, outputs: Outputs, panel: Sequence[str], *, shown: bool
) -> None:
    """Print a run's analysis and sources: drawn where a person looks, in plain text for whatever else reads it."""
    is_drawn = not outputs.is_chosen and (terminal.stdout_is_tty or terminal.has_colour)
    if not (shown or is_drawn):
        from fusion_cli.sinks.analysis_text import analysis_text

        if text := analysis_text(run):
            terminal.write_line(text)
        return
    if run.analysis is None:
        from fusion_cli.sinks.live.still import responses

        terminal.write(responses(run, panel, outputs.looks.screen))
    elif not shown:
        from fusion_cli.sinks.analysis_view import Findings, analysis_view

        failed = [row.label for row in run.failed_models or ()]
        labels = tuple(dict.fromkeys((*panel, *(row.label for row in run.responses or ()), *failed)))
        findings = Findings(run.analysis, labels, run.quotes, run.supported, run.second_look, silent=frozenset(failed))
        terminal.write(analysis_view(findings, outputs.looks.screen))
    print_sources(run, terminal, is_apart=shown)


def print_sources(run: Run, terminal: Terminal, *, is_apart: bool) -> None:
    """Print a run's sources, if there are any, in lines that fit a terminal.

    Args:
        run: The finished run.
        terminal: Where to.
        is_apart: Whether what stands above ends in a blank line.
    """
    from fusion_cli.sinks.analysis_text import source_lines
    from fusion_cli.sinks.drawing import sources_below

    width = terminal.size()[0] - 1 if terminal.stdout_is_tty else None
    if text := sources_below(source_lines(run), width):
        terminal.write_line("\n" * (not is_apart) + text)


def tell_calls(run: Run, terminal: Terminal) -> None:
    """Say what each call took: time, tokens in and out, attempts and dollars, as far as they are known."""
    for call in run.calls:
        usage = call.usage
        tokens = (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None)
        said = [f"{call.duration_s:.1f} s"]
        said += [
            f"{count(number, 'token')} {way}"
            for number, way in zip(tokens, ("in", "out"), strict=True)
            if number is not None
        ]
        said += [f"{call.attempts} attempts"] if call.attempts > 1 else []
        said += [shown_dollars(usage.cost)] if usage and usage.cost is not None else []
        said += [f"failed: {one_line(call.error)}"] if call.error else []
        who = "answer" if call.role == "outer" else call.role
        terminal.note(f"call    {who:<6}  {one_line(call.label, 80)}  {', '.join(said)}")


def what_it_took(usage: RunUsage) -> str:
    """Return a run's tokens and dollars, and each role's dollars where several played; empty where nothing is known."""
    tokens = [count(usage.total_tokens, "token")] if usage.total_tokens else []
    played = {"panel": usage.by_role.panel, "judge": usage.by_role.judge, "answer": usage.by_role.outer}
    by_role = {name: part.cost for name, part in played.items() if part}
    if not by_role or not (tokens or any(by_role.values())):
        return ", ".join(tokens)
    cost = "cost unknown" if usage.cost is None else shown_dollars(usage.cost)
    if len(by_role) > 1 and any(by_role.values()):
        each = (f"{name} {'unknown' if part is None else shown_dollars(part)}" for name, part in by_role.items())
        cost += f" ({', '.join(each)})"
    return ", ".join([*tokens, cost])


def conclude(run: Run, *, strict: bool | None) -> None:
    """Raise what the finished run's exit status comes from; return when it is 0.

    Raises:
        FusionError: There is no result, or it is degraded under `--strict`.
    """
    if run.cause:
        raise run.cause
    if strict and run.degraded:
        why = _why_degraded(run)
        raise DegradedError(f"the run is degraded{f' ({why})' if why else ''}, which --strict does not accept")


def _why_degraded(run: Run) -> str:
    """Return in a few words what is missing; warnings, which -q keeps back, say it at length."""
    from fusion_cli.results import AskRun, ToolResult

    result = run.result if isinstance(run, AskRun) else run
    if not isinstance(result, ToolResult):
        return ""
    parts = [result.headcount] if result.failed_models else []
    return ", ".join([*parts, *(["no analysis"] if result.analysis is None else [])])


def describe_error(error: FusionError) -> list[str]:
    """Return the lines for standard error: what is wrong, then what to do."""
    who = f"{error.model}: " if isinstance(error, ModelError) and error.model else ""
    lines = [f"fusion: {one_line(f'{who}{error}', 600)}"]
    return [*lines, clean(error.hint)] if error.hint else lines
