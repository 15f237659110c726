"""`fusion judge`: the judge alone, over responses that exist already; nobody is asked again."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer  # it reads the annotations

from fusion_cli import options, output_options

if TYPE_CHECKING:
    from fusion_cli.choices import Choices
    from fusion_cli.context import Context
    from fusion_cli.earlier import Earlier
    from fusion_cli.plan import Panelist, Prompt
    from fusion_cli.run_files import SavedRun
    from fusion_cli.saved import SavedResponses

Source = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN",
        help="A recorded run: an id, its beginning, or 'last'; or a file with what --json printed ('-': stdin).",
        autocompletion=options.run_ids,
    ),
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
    timeout: options.Timeout = None,
    idle_timeout: options.IdleTimeout = None,
    deadline: options.Deadline = None,
    max_cost: options.MaxCost = None,
    allow_unknown_cost: options.AllowUnknownCost = None,
    strict: options.Strict = None,
    save: options.Save = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    color: options.Color = None,
    raw: options.Raw = False,
    dry_run: options.DryRun = False,
    json: output_options.AsJson = False,
    form: output_options.Format = None,
    output: output_options.Output = None,
    json_schema: output_options.AnalysisSchema = False,
) -> None:
    """Have a judge compare responses that exist.

    The panel is not asked again. The judge is: once, or twice with --second-look, with further turns where it looks
    things up; a reply that cannot be used is asked for once more. Without -j or --preset it is the run's own judge.

    Example: fusion judge last -j openai/gpt-5

    Example: fusion judge --prompt "Which?" --response ann=a.txt --response bob=b.txt
    """
    from functools import partial

    from fusion_cli import delivery, pipeline
    from fusion_cli.context import Context, Errand
    from fusion_cli.flags import choices_from
    from fusion_cli.launch import Wishes, launch
    from fusion_cli.outcome import analysis_run_without_calls
    from fusion_cli.planning import make_judge_plan
    from fusion_cli.showing import Manner

    manner = Manner(quiet, verbose, color)
    context = Context(ctx.obj, manner, save=save)
    terminal = context.terminal
    terminal.is_raw = raw
    read = [source, prompt_file, *(said.partition("=")[2] for said in response or ())]
    outputs = context.outputs(form, output or (), as_json=json, dry_run=dry_run, read=read)
    with delivery.told_as_json("judge", analysis_run_without_calls, terminal, outputs):
        choices = choices_from(ctx.params)
        work = _work(source, response or (), prompt, prompt_file, context)
        if choices.judge is None and choices.preset is None:
            choices = choices._replace(judge=work.judge)
        plan = make_judge_plan(choices, context.settings, work.prompt, work.panel, context.machine, web=bool(web))
        plan = plan._replace(warnings=(*work.warnings, *plan.warnings))
        story = partial(pipeline.judge_responses, missing=work.missing)
        strict = context.settings.strict if strict is None else strict
        deliver = partial(
            delivery.deliver_analysis, terminal=terminal, outputs=outputs, strict=strict, tells_calls=verbose
        )
        errand = Errand(
            "judge", choices.over(work.choices), {plan.judge}, work.earlier.run or work.earlier.file or None
        )
        launch(context, story, plan, errand, deliver, Wishes(dry_run, outputs, answers=False), work.earlier)


class Work(NamedTuple):
    """What is to be judged: what was asked, who sat on the panel, what they said, and what to say of that.

    `missing` is how many further panelists there were, who have no seat; `judge` is who judged before, where a provider
    is configured that has it.
    """

    prompt: "Prompt"
    panel: Sequence["Panelist"]
    earlier: "Earlier"
    choices: "Choices"
    judge: str | None
    missing: int = 0
    warnings: tuple[str, ...] = ()


def _work(
    source: str | None, response: Sequence[str], prompt: str | None, prompt_file: str | None, context: "Context"
) -> Work:
    """Return what is to be judged, once it is clear which of the ways to say it was taken."""
    from fusion_cli import run_files
    from fusion_cli.choices import Choices
    from fusion_cli.errors import UsageError
    from fusion_cli.inputs import MAX_RESPONSE_BYTES, MAX_SAVED_BYTES, read_text, read_what_was_asked
    from fusion_cli.plan import Prompt
    from fusion_cli.saved import label_and_file, labelled_responses, read_responses

    terminal = context.terminal
    if source is not None and response:
        raise UsageError("FILE and --response both say what to judge: choose one")
    if source is None and not response:
        raise UsageError("there is nothing to judge: name a RUN or a FILE, or texts with --response LABEL=FILE")
    named = [label_and_file(said) for said in response]
    if [source, prompt_file, *(file for _, file in named)].count("-") > 1:
        raise UsageError("standard input can be read once: '-' stands twice", hint="Name a file for one of them.")
    asked = read_what_was_asked(prompt, prompt_file, terminal)
    if source is not None and (path := run_files.journal_named(context.settings.runs_dir, source)):
        return _recorded(run_files.read(path), asked, context)
    if source is not None:
        saved = read_responses(read_text(source, terminal, said="FILE", limit=MAX_SAVED_BYTES), source, asked)
    else:
        texts = [
            (label, read_text(file, terminal, said="--response", limit=MAX_RESPONSE_BYTES)) for label, file in named
        ]
        saved = labelled_responses(texts, asked)
    earlier, judge = saved.as_earlier(), _judge_of_file(saved, context)
    return Work(Prompt(saved.prompt), saved.panel, earlier, Choices(), judge, saved.missing, saved.warnings)


def _judge_of_file(saved: "SavedResponses", context: "Context") -> str | None:
    """Return who judged a file's responses: by the run that it came from, or by a name that has its provider."""
    from fusion_cli import run_files
    from fusion_cli.errors import UsageError

    with suppress(UsageError):
        if path := run_files.recorded(context.settings.runs_dir, saved.run):
            return _judge_of_run(run_files.read(path), context)
    provider, colon, _ = saved.judge.partition(":")
    return saved.judge if colon and provider in context.settings.providers else None


def _judge_of_run(saved: "SavedRun", context: "Context") -> str | None:
    judge = saved.plan.judge
    return str(judge) if judge.provider in context.settings.providers else None


def _recorded(saved: "SavedRun", asked: str | None, context: "Context") -> Work:
    """Return the panel of a recorded run; those who had only begun are judged as cut off."""
    from fusion_cli.errors import UsageError
    from fusion_cli.plan import Prompt
    from fusion_cli.run_files import ANOTHER

    if not saved.responses:
        raise UsageError(f"the run {saved.summary.run} has no responses to judge", hint=ANOTHER)
    earlier = saved.as_earlier(is_closed=True)._replace(analysis=None, is_judged=False)
    whole = asked or saved.prompt or saved.plan.prompt.text()
    prompt = Prompt(saved.told, whole.removeprefix(saved.told).strip())  # what follows the question is its material
    prompt = (prompt if prompt.text() == whole else Prompt(whole))._replace(attachments=saved.plan.prompt.attachments)
    return Work(prompt, saved.plan.panel, earlier, saved.choices, _judge_of_run(saved, context))
