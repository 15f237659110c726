"""`fusion judge`: the judge alone, over responses that exist already; nobody is asked again."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from fusion_cli import options  # noqa: TC001  # typer reads the annotations
from fusion_cli.chat import ModelName
from fusion_cli.errors import UsageError
from fusion_cli.plan import MAX_PANELISTS, Panelist, Prompt, label_panel

Source = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="What `analyze --json` or `ask --json` printed; '-' is standard input."),
]


def judge(
    ctx: typer.Context,
    source: Source,
    prompt: Annotated[
        str | None, typer.Option("--prompt", metavar="TEXT", help="What the panel was asked, if FILE does not say.")
    ] = None,
    judge: options.Judge = None,
    preset: options.PresetName = None,
    provider: options.ProviderName = None,
    strict: options.Strict = None,
    json: options.AsJson = False,
) -> None:
    """Have a judge compare responses that exist: one call, no panel.

    Example: fusion judge analysis.json -j openai/gpt-5
    """
    from fusion_cli import delivery, pipeline
    from fusion_cli.context import Context
    from fusion_cli.inputs import read_text
    from fusion_cli.planning import Choices, make_judge_plan
    from fusion_cli.record import analysis_run_without_calls

    context = Context(ctx.obj)
    terminal = context.terminal
    choices = Choices(judge=judge, preset=preset, provider=provider)
    with delivery.told_as_json(analysis_run_without_calls, terminal if json else None):
        saved = read_responses(read_text(source), str(source), prompt)
        plan = make_judge_plan(choices, context.settings, Prompt(saved.prompt), list(saved.responses), context.machine)
        delivery.announce(plan, terminal)
        story = partial(pipeline.judge_responses, responses=saved.responses, missing=saved.missing)
        run = context.carry_out(story, plan)
    strict = context.settings.strict if strict is None else strict
    delivery.deliver_analysis(run, terminal, as_json=json, strict=strict)


class SavedResponses(NamedTuple):
    """A panel that has answered: its prompt, its responses, and how many gave none."""

    prompt: str
    responses: dict[Panelist, str]
    missing: int


def read_responses(text: str, name: str, prompt: str | None) -> SavedResponses:
    """Return the responses in what `analyze --json` or `ask --json` printed.

    Args:
        text: The file's text.
        name: What to call it in an error.
        prompt: What the panel was asked, where the file does not say.

    Raises:
        UsageError: There are no responses in it, or more than a panel has, or nobody says what was asked.
    """
    import json

    from fusion_cli.terminal import one_line

    name = one_line(name, 100)
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError(f"{name} is not JSON", hint="Give it what fusion analyze --json printed.") from None
    value = value if isinstance(value, dict) else {}
    result = value.get("result") if isinstance(value.get("result"), dict) else value
    rows = result.get("responses")
    if not isinstance(rows, list) or not rows or not all(_is_response(row) for row in rows):
        raise UsageError(f'{name} holds no responses: expected "responses": [{{"model": ..., "content": ...}}, ...]')
    if len(rows) > MAX_PANELISTS:
        raise UsageError(f"{name} holds {len(rows)} responses; a panel has at most {MAX_PANELISTS}")
    asked = prompt or value.get("prompt")
    if not isinstance(asked, str) or not asked.strip():
        raise UsageError(f"{name} does not say what was asked", hint="Say it with --prompt.")
    failed = result.get("failed_models")
    labels = label_panel([row["model"] for row in rows])
    responses = {
        Panelist(label, ModelName("", row["model"])): row["content"] for label, row in zip(labels, rows, strict=True)
    }
    return SavedResponses(asked, responses, len(failed) if isinstance(failed, list) else 0)


def _is_response(row: Any) -> bool:
    if not isinstance(row, dict):
        return False
    model, content = row.get("model"), row.get("content")
    return isinstance(model, str) and bool(model) and isinstance(content, str) and bool(content.strip())
