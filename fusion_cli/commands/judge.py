"""`fusion judge`: the judge alone, over responses that exist already; nobody is asked again."""

from typing import Annotated

import typer

from fusion_cli import options

Source = Annotated[
    str,
    typer.Argument(metavar="FILE", help="What `analyze --json` or `ask --json` printed; '-' is standard input."),
]


app = options.command_app("judge")


@app.command("judge", cls=options.Command)
def judge(
    ctx: typer.Context,
    source: Source,
    prompt: Annotated[
        str | None, typer.Option("--prompt", metavar="TEXT", help="What the panel was asked, if FILE does not say.")
    ] = None,
    judge: options.Judge = None,
    preset: options.PresetName = None,
    provider: options.ProviderName = None,
    max_completion_tokens: options.MaxCompletionTokens = None,
    reasoning_effort: options.ReasoningEffort = None,
    reasoning_max_tokens: options.ReasoningMaxTokens = None,
    seed: options.Seed = None,
    strict: options.Strict = None,
    json: options.AsJson = False,
) -> None:
    """Have a judge compare responses that exist.

    One call; the panel is not asked again.

    Example: fusion judge analysis.json -j openai/gpt-5
    """
    from functools import partial

    from fusion_cli import delivery, pipeline
    from fusion_cli.context import Context
    from fusion_cli.inputs import read_text
    from fusion_cli.plan import Prompt
    from fusion_cli.planning import Choices, make_judge_plan
    from fusion_cli.record import analysis_run_without_calls
    from fusion_cli.saved import read_responses

    context = Context(ctx.obj)
    terminal = context.terminal
    choices = Choices(
        judge=judge,
        preset=preset,
        provider=provider,
        max_completion_tokens=max_completion_tokens,
        reasoning_effort=reasoning_effort,
        reasoning_max_tokens=reasoning_max_tokens,
        seed=seed,
    )
    with delivery.told_as_json(analysis_run_without_calls, terminal, wanted=json):
        saved = read_responses(read_text(source), source, prompt)
        plan = make_judge_plan(choices, context.settings, Prompt(saved.prompt), list(saved.responses), context.machine)
        delivery.announce(plan, terminal, answers=False)
        story = partial(pipeline.judge_responses, responses=saved.responses, missing=saved.missing)
        strict = context.settings.strict if strict is None else strict
        deliver = partial(delivery.deliver_analysis, terminal=terminal, as_json=json, strict=strict)
        context.carry_out(story, plan, deliver)
