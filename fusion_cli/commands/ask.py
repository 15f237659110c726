"""`fusion ask`: flags to a plan, a plan to a run, a run to standard output."""

from typing import TYPE_CHECKING, Annotated

import typer  # it reads the annotations

from fusion_cli import options, output_options
from fusion_cli.errors import UsageError
from fusion_cli.terminal import one_line

if TYPE_CHECKING:
    from fusion_cli.about import About
    from fusion_cli.choices import Choices
    from fusion_cli.context import Context
    from fusion_cli.plan import Plan
    from fusion_cli.results import AskRun
    from fusion_cli.resuming import TakenUp
    from fusion_cli.run_files import SavedRun


Rewrite = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="RUN",
        help="Have -m write another answer from a run's responses: one call.",
        autocompletion=options.run_ids,
    ),
]
ContinueLast = Annotated[bool, typer.Option("-c", help="Continue the last conversation: PROMPT is the next question.")]
Continue = Annotated[
    str | None,
    typer.Option("--continue", metavar="RUN", help="The same with a given run.", autocompletion=options.run_ids),
]

app = options.command_app("ask")


@app.command("ask", cls=options.Command)
def ask(
    ctx: typer.Context,
    prompt: options.Question = None,
    file: options.Files = None,
    request: options.Request = None,
    resume: options.Resume = None,
    rewrite: Rewrite = None,
    continue_last: ContinueLast = False,
    continue_: Continue = None,
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
    timeout: options.Timeout = None,
    idle_timeout: options.IdleTimeout = None,
    deadline: options.Deadline = None,
    quorum: options.Quorum = None,
    grace: options.Grace = None,
    max_cost: options.MaxCost = None,
    allow_unknown_cost: options.AllowUnknownCost = None,
    strict: options.Strict = None,
    save: options.Save = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    show_responses: options.ShowResponses = False,
    color: options.Color = None,
    raw: options.Raw = False,
    dry_run: options.DryRun = False,
    json: output_options.AsJson = False,
    form: output_options.Format = None,
    output: output_options.Output = None,
    json_schema: output_options.AskSchema = False,
) -> None:
    """Ask a question, with the panel's help where it is worth it.

    Example: fusion ask "SQLite or PostgreSQL for a small web app?"

    With a question as argument, standard input is material: git diff | fusion ask "What could break?"
    """
    from fusion_cli import delivery, pipeline
    from fusion_cli.context import Context, Errand
    from fusion_cli.flags import choices_from
    from fusion_cli.inputs import read_prompt
    from fusion_cli.launch import Wishes, launch
    from fusion_cli.outcome import ask_run_without_calls
    from fusion_cli.planning import make_plan
    from fusion_cli.showing import Manner

    manner = Manner(quiet, verbose, color, show_responses)
    context = Context(ctx.obj, manner, save=save)
    terminal = context.terminal
    terminal.is_raw = raw
    read = [*(file or ()), request, resume, rewrite, continue_]
    outputs = context.outputs(form, output or (), as_json=json, dry_run=dry_run, read=read)

    def deliver(run: "AskRun", shown: bool, about: "About") -> None:
        outputs.print_whole(run, about, terminal)
        if outputs.is_for_people and run.answer is not None and not shown:
            below = show_responses and run.result and run.result.responses
            terminal.write_line(f"## Answer\n\n{run.answer}" if below else run.answer)
        if outputs.is_for_people and run.answer is not None and run.sources:
            delivery.print_sources(
                run, terminal, is_apart=shown and outputs.draws
            )  # what is drawn ends in a blank line
        terminal.note(whether_the_panel_met(run, plan))
        if verbose:
            delivery.tell_calls(run, terminal)
        delivery.conclude(run, strict=context.settings.strict if strict is None else strict)

    with delivery.told_as_json("ask", ask_run_without_calls, terminal, outputs):
        choices = choices_from(ctx.params)
        ways = {"--request": request, "--resume": resume, "--from": rewrite, "--continue": continue_}
        named = [way for way, name in (ways | {"-c": continue_last or None}).items() if name is not None]
        if named[1:]:
            raise UsageError(f"{' and '.join(named)} say in two ways what to ask: choose one")
        if named and named[0] in ("--request", "--resume", "--from") and (prompt is not None or file):
            raise UsageError(f"{named[0]} has its question in it: give neither PROMPT nor --file with it")
        if resume is not None or rewrite is not None:
            taken = taken_up(resume, rewrite, choices, context, web=bool(web))
            plan, earlier = taken.plan, taken.earlier
            errand = Errand("ask", taken.choices, taken.asks, earlier.run)
        else:
            parent = None
            if request is not None:
                plan, choices = plan_of_request(request, choices, context, web=bool(web))
            elif continue_last or continue_ is not None:
                from fusion_cli import resuming

                asked = read_prompt(prompt, file or [], terminal)
                parent = conversation_to_continue(continue_, context)
                told = resuming.continued_prompt(parent, asked)
                flags, choices = choices, resuming.choices_of_continued(parent, choices, context.settings)
                plan = make_plan(choices, context.settings, told, context.machine, web=bool(web), said=flags)
                plan = resuming.continued_plan(parent, asked, plan, flags)
            else:
                asked = read_prompt(prompt, file or [], terminal)
                plan = make_plan(choices, context.settings, asked, context.machine, web=bool(web))
            earlier = None
            errand = Errand("ask", choices, plan.models, parent.summary.run if parent else None)
        launch(context, pipeline.ask, plan, errand, deliver, Wishes(dry_run, outputs, answers=True), earlier)


def taken_up(resume: str | None, rewrite: str | None, flags: "Choices", context: "Context", *, web: bool) -> "TakenUp":
    """Return how an earlier run is taken up: gone on with, or written from by another model.

    Raises:
        UsageError: There is no such run, or it cannot be taken up so.
    """
    from fusion_cli import resuming, run_files

    settings, machine = context.settings, context.machine
    saved = run_files.read(run_files.find(settings.runs_dir, resume or rewrite or "", is_over=True))
    if resume is not None:
        return resuming.resumed(saved, flags, settings, machine, answers=True, web=web)
    return resuming.rewritten(saved, flags, settings, machine, web=web)


def conversation_to_continue(name: str | None, context: "Context") -> "SavedRun":
    """Return the run whose conversation goes on: the one that is named, or the last that `ask` made.

    Raises:
        UsageError: There is none.
    """
    from fusion_cli import run_files

    folder = context.settings.runs_dir
    return run_files.read(run_files.find(folder, name or run_files.LAST, command=None if name else "ask", is_over=True))


def plan_of_request(name: str, flags: "Choices", context: "Context", *, web: bool) -> tuple["Plan", "Choices"]:
    """Return the plan of an upstream request in a file, which is the whole question, and what both of them choose.

    Flags win over the request.

    Raises:
        UsageError: It cannot be read or planned.
    """
    from fusion_cli.inputs import note_unread_stdin, read_text
    from fusion_cli.planning import make_plan
    from fusion_cli.request import read_request

    request = read_request(read_text(name, context.terminal, said="--request"), name)
    if name != "-":
        note_unread_stdin(context.terminal, "--request FILE")
    choices = request.under(flags)
    plan = make_plan(choices, context.settings, request.prompt, context.machine, web=web)
    return request.applied_to(plan, flags), choices


def whether_the_panel_met(run: "AskRun", plan: "Plan") -> str:
    """Return the line that says whether the panel was convened, and what the run took."""
    from fusion_cli.delivery import what_it_took

    if run.fused and run.result:
        said = f"The panel met: {one_line(run.result.headcount, 600)}"
        if run.result.analysis is None:
            said += ", without an analysis"
    elif run.result:
        said = "The panel did not meet: no panelist answered"
        if run.answer is not None:
            said += f"; {run.model} answered alone"
    elif plan.tool_choice == "none":
        said = "The panel did not meet (tool choice: none)"
    elif run.answer is not None:
        way = "raise --max-cost" if run.failure_reason == "cost_limit" else "--tool-choice required"
        said = f"The panel did not meet: {run.model} answered alone (to convene it: {way})"
    else:
        said = "The panel did not meet"
    took = what_it_took(run.usage)
    return f"{said}. {took[:1].upper()}{took[1:]}".rstrip(". ") + "."
