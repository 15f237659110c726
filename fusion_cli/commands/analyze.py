"""`fusion analyze`: the panel and the judge, without an outer model."""

import typer

from fusion_cli import options

app = options.command_app("analyze")


@app.command("analyze", cls=options.Command)
def analyze(
    ctx: typer.Context,
    prompt: options.Question = None,
    file: options.Files = None,
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
    strict: options.Strict = None,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
    json_schema: options.AnalysisSchema = False,
) -> None:
    """Convene the panel and print what the judge finds.

    Who agrees, who does not, what only one saw, and what nobody did.

    Example: fusion analyze -f plan.md "Is this migration plan safe?" --json > analysis.json
    """
    from functools import partial

    from fusion_cli import delivery, pipeline
    from fusion_cli.context import Context
    from fusion_cli.flags import choices_from
    from fusion_cli.inputs import read_prompt
    from fusion_cli.planning import make_plan
    from fusion_cli.record import analysis_run_without_calls

    context = Context(ctx.obj)
    terminal = context.terminal
    with delivery.told_as_json(analysis_run_without_calls, terminal, wanted=json):
        choices = choices_from(ctx.params)
        asked = read_prompt(prompt, file or [], terminal)
        plan = make_plan(choices, context.settings, asked, context.machine, outer_is_judge=True, web=bool(web))
        if dry_run:
            from fusion_cli.dry_run import deliver_dry_run

            deliver_dry_run(plan, context.quote(plan), terminal, as_json=json, answers=False)
            return
        delivery.announce(plan, terminal, answers=False)
        strict = context.settings.strict if strict is None else strict
        deliver = partial(delivery.deliver_analysis, terminal=terminal, as_json=json, strict=strict)
        context.carry_out(pipeline.analyze, plan, deliver)
