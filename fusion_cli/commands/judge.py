"""`fusion judge`: the judge alone, over responses that exist already; nobody is asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fusion_cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusion_cli.saved import SavedResponses
    from fusion_cli.terminal import Terminal

Source = Annotated[
    str | None,
    typer.Argument(metavar="FILE", help="What `analyze --json` or `ask --json` printed; '-' is standard input."),
]
Responses = Annotated[
    list[str] | None,
    typer.Option(
        "--response",
        metavar="LABEL=FILE",
        help="A response in a text file ('-' is standard input), and what to call it. Repeatable, 1 to 8.",
    ),
]
AskedText = Annotated[
    str | None,
    typer.Option("--prompt", metavar="TEXT", help="What the panel was asked; wins over what FILE says."),
]
AskedFile = Annotated[
    str | None,
    typer.Option("--prompt-file", metavar="FILE", help="The same from a file; '-' is standard input."),
]


app = options.command_app("judge")


@app.command("judge", cls=options.Command)
def judge(
    ctx: typer.Context,
    source: Source = None,
    response: Responses = None,
    prompt: AskedText = None,
    prompt_file: AskedFile = None,
    judge: options.Judge = None,
    preset: options.PresetName = None,
    provider: options.ProviderName = None,
    max_tool_calls: options.MaxToolCalls = None,
    web: options.Web = None,
    max_completion_tokens: options.MaxCompletionTokens = None,
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
    """Have a judge compare responses that exist.

    The panel is not asked again. The judge is: once, or twice with --second-look, with further turns where it looks
    things up; a reply that cannot be used is asked for once more.

    Example: fusion judge analysis.json -j openai/gpt-5

    Example: fusion judge --prompt "Which?" --response ann=a.txt --response bob=b.txt
    """
    from functools import partial

    from fusion_cli import delivery, pipeline
    from fusion_cli.context import Context
    from fusion_cli.flags import choices_from
    from fusion_cli.plan import Prompt
    from fusion_cli.planning import make_judge_plan
    from fusion_cli.record import analysis_run_without_calls

    context = Context(ctx.obj)
    terminal = context.terminal
    with delivery.told_as_json(analysis_run_without_calls, terminal, wanted=json):
        choices = choices_from(ctx.params)
        saved = _responses(source, response or (), prompt, prompt_file, terminal)
        asked, panel = Prompt(saved.prompt), list(saved.responses)
        plan = make_judge_plan(choices, context.settings, asked, panel, context.machine, web=bool(web))
        plan = plan._replace(warnings=(*saved.warnings, *plan.warnings))
        if dry_run:
            from fusion_cli.dry_run import deliver_dry_run

            known = {seat.label: text for seat, text in saved.responses.items()}
            deliver_dry_run(plan, context.quote(plan), terminal, as_json=json, answers=False, known=known)
            return
        delivery.announce(plan, terminal, answers=False)
        story = partial(pipeline.judge_responses, responses=saved.responses, missing=saved.missing, cited=saved.cited)
        strict = context.settings.strict if strict is None else strict
        deliver = partial(delivery.deliver_analysis, terminal=terminal, as_json=json, strict=strict)
        context.carry_out(story, plan, deliver, known=saved.as_known())


def _responses(
    source: str | None, response: Sequence[str], prompt: str | None, prompt_file: str | None, terminal: Terminal
) -> SavedResponses:
    """Return what is to be judged, once it is clear which of the two ways to say it was taken."""
    from fusion_cli.errors import UsageError
    from fusion_cli.inputs import MAX_RESPONSE_BYTES, MAX_SAVED_BYTES, read_text, read_what_was_asked
    from fusion_cli.saved import label_and_file, labelled_responses, read_responses

    if source is not None and response:
        raise UsageError("FILE and --response both say what to judge: choose one")
    if source is None and not response:
        raise UsageError("there is nothing to judge: name a FILE, or texts with --response LABEL=FILE")
    named = [label_and_file(said) for said in response]
    if [source, prompt_file, *(file for _, file in named)].count("-") > 1:
        raise UsageError("standard input can be read once: '-' stands twice")
    asked = read_what_was_asked(prompt, prompt_file, terminal)
    if source is not None:
        return read_responses(read_text(source, terminal, said="FILE", limit=MAX_SAVED_BYTES), source, asked)
    texts = [(label, read_text(file, terminal, said="--response", limit=MAX_RESPONSE_BYTES)) for label, file in named]
    return labelled_responses(texts, asked)
