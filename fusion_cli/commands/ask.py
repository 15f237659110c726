"""`fusion ask`: flags to a plan, a plan to a run, a run to standard output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer  # noqa: TC002  # it reads the annotations

from fusion_cli import options
from fusion_cli.errors import UsageError

if TYPE_CHECKING:
    from fusion_cli.choices import Choices
    from fusion_cli.context import Context
    from fusion_cli.plan import Plan
    from fusion_cli.results import AskRun


app = options.command_app("ask")


@app.command("ask", cls=options.Command)
def ask(
    ctx: typer.Context,
    prompt: options.Question = None,
    file: options.Files = None,
    request: options.Request = None,
    panel: options.Panel = None,
    judge: options.Judge = None,
    model: options.Outer = None,
    preset: options.PresetName = None,
    provider: options.ProviderName = None,
    tool_choice: options.ToolChoice = None,
    system: options.System = None,
    web: options.Web = None,
    max_tool_calls: options.MaxToolCalls = None,
    max_completion_tokens: options.MaxCompletionTokens = None,
    temperature: options.Temperature = None,
    reasoning_effort: options.ReasoningEffort = None,
    reasoning_max_tokens: options.ReasoningMaxTokens = None,
    seed: options.Seed = None,
    quotes: options.Quotes = None,
    second_look: options.SecondLook = None,
    strict: options.Strict = None,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
    json_schema: options.AskSchema = False,
) -> None:
    """Ask a question, with the panel's help where it is worth it.

    Example: fusion ask "SQLite or PostgreSQL for a small web app?"

    With a question as argument, standard input is material: git diff | fusion ask "What could break?"
    """
    from fusion_cli import delivery, pipeline
    from fusion_cli.context import Context
    from fusion_cli.flags import choices_from
    from fusion_cli.inputs import read_prompt
    from fusion_cli.planning import make_plan
    from fusion_cli.record import ask_run_without_calls

    context = Context(ctx.obj)
    terminal = context.terminal

    def deliver(run: AskRun, shown: bool) -> None:
        if json:
            terminal.write_json(run.model_dump())
        elif run.answer is not None and not shown:
            terminal.write_line(run.answer)
        if run.answer is not None and run.sources and not json:
            from fusion_cli.sinks.analysis_text import source_lines

            said = (run.result.responses if run.result else None) or ()
            terminal.write_line("\n" + "\n".join(["Sources:", *source_lines(run, said)]))
        terminal.note(whether_the_panel_met(run, plan))
        delivery.conclude(run, strict=context.settings.strict if strict is None else strict)

    with delivery.told_as_json(ask_run_without_calls, terminal, wanted=json):
        choices = choices_from(ctx.params)
        if request is not None:
            if prompt is not None or file:
                raise UsageError("--request has its question in it: give neither PROMPT nor --file with it")
            plan = plan_of_request(request, choices, context, web=bool(web))
        else:
            asked = read_prompt(prompt, file or [], terminal)
            plan = make_plan(choices, context.settings, asked, context.machine, web=bool(web))
        if dry_run:
            from fusion_cli.dry_run import deliver_dry_run

            deliver_dry_run(plan, context.quote(plan), terminal, as_json=json, answers=True)
            return
        delivery.announce(plan, terminal, answers=True)
        context.carry_out(pipeline.ask, plan, deliver, show_answer=terminal.stdout_is_tty and not json)


def plan_of_request(name: str, flags: Choices, context: Context, *, web: bool) -> Plan:
    """Return the plan of an upstream request in a file, which is the whole question; flags win over it.

    Raises:
        UsageError: It cannot be read or planned.
    """
    from fusion_cli.inputs import note_unread_stdin, read_text
    from fusion_cli.planning import make_plan
    from fusion_cli.request import read_request

    request = read_request(read_text(name, context.terminal, said="--request"), name)
    if name != "-":
        note_unread_stdin(context.terminal, "--request FILE")
    plan = make_plan(request.under(flags), context.settings, request.prompt, context.machine, web=web)
    return request.applied_to(plan, flags)


def whether_the_panel_met(run: AskRun, plan: Plan) -> str:
    """Return the line that says whether the panel was convened, and what the run took."""
    from fusion_cli.delivery import what_it_took

    seats = len(plan.panel)
    asked = run.result is not None
    if run.fused:
        answered = len(run.result.responses or ()) if run.result else 0
        said = f"The panel met: {answered} of {seats} answered"
        if run.result and run.result.analysis is None:
            said += ", without an analysis"
    elif asked:
        said = "The panel did not meet: no panelist answered"
        if run.answer is not None:
            said += f"; {run.model} answered alone"
    elif plan.tool_choice == "none":
        said = "The panel did not meet (tool choice: none)"
    elif run.answer is not None:
        said = f"The panel did not meet: {run.model} answered alone (to convene it: --tool-choice required)"
    else:
        said = "The panel did not meet"
    return f"{said}. {what_it_took(run.usage)}".rstrip(". ") + "."
