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
    max_completion_tokens: options.MaxCompletionTokens = None,
    temperature: options.Temperature = None,
    reasoning_effort: options.ReasoningEffort = None,
    reasoning_max_tokens: options.ReasoningMaxTokens = None,
    seed: options.Seed = None,
    strict: options.Strict = None,
    json: options.AsJson = False,
) -> None:
    """Convene the panel and print what the judge finds.

    Who agrees, who does not, what only one saw, and what nobody did.

    Example: fusion analyze -f plan.md "Is this migration plan safe?" --json > analysis.json
    """
    from functools import partial

    from fusion_cli import delivery, pipeline
    from fusion_cli.context import Context
    from fusion_cli.inputs import read_prompt
    from fusion_cli.planning import Choices, make_plan
    from fusion_cli.record import analysis_run_without_calls

    context = Context(ctx.obj)
    terminal = context.terminal
    choices = Choices(
        panel=panel or (),
        judge=judge,
        preset=preset,
        provider=provider,
        max_completion_tokens=max_completion_tokens,
        temperature=temperature,
        reasoning_effort=reasoning_effort,
        reasoning_max_tokens=reasoning_max_tokens,
        seed=seed,
    )
    with delivery.told_as_json(analysis_run_without_calls, terminal, wanted=json):
        asked = read_prompt(prompt, file or [], terminal)
        plan = make_plan(choices, context.settings, asked, context.machine, outer_is_judge=True)
        delivery.announce(plan, terminal, answers=False)
        strict = context.settings.strict if strict is None else strict
        deliver = partial(delivery.deliver_analysis, terminal=terminal, as_json=json, strict=strict)
        context.carry_out(pipeline.analyze, plan, deliver)
