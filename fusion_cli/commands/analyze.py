"""`fusion analyze`: the panel and the judge, without an outer model."""

import typer

from fusion_cli import options, output_options
from fusion_cli.errors import UsageError

app = options.command_app("analyze")


@app.command("analyze", cls=options.Command)
def analyze(
    ctx: typer.Context,
    prompt: options.Question = None,
    file: options.Files = None,
    resume: options.Resume = None,
    panel: options.Panel = None,
    judge: options.Judge = None,
    preset: options.PresetName = None,
    provider: options.ProviderName = None,
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
    json_schema: output_options.AnalysisSchema = False,
) -> None:
    """Convene the panel and print what the judge finds.

    Who agrees, who does not, what only one saw, and what nobody did.

    Example: fusion analyze -f plan.md "Is this migration plan safe?" --json > analysis.json
    """
    from functools import partial

    from fusion_cli import delivery, pipeline
    from fusion_cli.context import Context, Errand
    from fusion_cli.flags import choices_from
    from fusion_cli.inputs import read_prompt
    from fusion_cli.launch import Wishes, launch
    from fusion_cli.outcome import analysis_run_without_calls
    from fusion_cli.planning import make_plan
    from fusion_cli.showing import Manner

    manner = Manner(quiet, verbose, color, show_responses)
    context = Context(ctx.obj, manner, save=save)
    terminal = context.terminal
    terminal.is_raw = raw
    outputs = context.outputs(form, output or (), as_json=json, dry_run=dry_run, read=[*(file or ()), resume])
    with delivery.told_as_json("analyze", analysis_run_without_calls, terminal, outputs):
        choices = choices_from(ctx.params)
        if resume is not None:
            if prompt is not None or file:
                raise UsageError("--resume has its question in it: give neither PROMPT nor --file with it")
            from fusion_cli import resuming, run_files

            saved = run_files.read(run_files.find(context.settings.runs_dir, resume, is_over=True))
            settings, machine = context.settings, context.machine
            taken = resuming.resumed(saved, choices, settings, machine, answers=False, web=bool(web))
            plan, earlier = taken.plan, taken.earlier
            errand = Errand("analyze", taken.choices, taken.asks, earlier.run)
        else:
            asked = read_prompt(prompt, file or [], terminal, "analyze")
            plan = make_plan(choices, context.settings, asked, context.machine, outer_is_judge=True, web=bool(web))
            earlier, errand = None, Errand("analyze", choices, plan.models)
        strict = context.settings.strict if strict is None else strict
        deliver = partial(
            delivery.deliver_analysis, terminal=terminal, outputs=outputs, strict=strict, tells_calls=verbose
        )
        launch(context, pipeline.analyze, plan, errand, deliver, Wishes(dry_run, outputs, answers=False), earlier)
