"""The options that say how a run is put out, shared by the commands that ask models, each with its help.

Declares, decides nothing: what they mean is `outputs`' business.
"""

from collections.abc import Callable
from typing import Annotated, Any

import typer


def _formats() -> list[str]:
    from fusion_cli.formats import FORMATS

    return list(FORMATS)


def _schema_printer(model: str) -> Callable[[typer.Context, bool], None]:
    """Return a callback that prints a JSON Schema (of `results`, a dry run, or lines) and ends the command."""

    def print_schema(ctx: typer.Context, wanted: bool) -> None:
        if not wanted or ctx.resilient_parsing:  # the latter is somebody who presses Tab further on
            return
        from importlib import import_module

        from fusion_cli import formats
        from fusion_cli.terminal import Terminal

        form = ctx.params.get("form")
        if form is not None and formats.fit_format(form) == formats.JSON_LINES:
            from fusion_cli.line_schema import schema_of_lines

            Terminal().write_json(schema_of_lines())
        else:
            module, shape = ("dry_run", "DryRun") if ctx.params.get("dry_run") else ("results", model)
            described = getattr(import_module(f"fusion_cli.{module}"), shape)
            Terminal().write_json(described.model_json_schema(mode="serialization"))
        raise typer.Exit

    return print_schema


def _schema_option(model: str) -> Any:
    return typer.Option(
        "--json-schema",
        callback=_schema_printer(model),
        help="Print the JSON Schema of what --json prints (or, beside them, --dry-run or --format jsonl), and exit.",
    )


AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object, whatever happened: short for --format json.")
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        is_eager=True,  # --json-schema has to know it, wherever the two stand
        help="What is printed: rich (as on a terminal), plain (as elsewhere), markdown or html (a report), json (one "
        "object), jsonl (events, as they happen).",
        autocompletion=_formats,
    ),
]
Output = Annotated[
    list[str] | None,
    typer.Option(
        "-o",
        "--output",
        metavar="[FORMAT:]FILE",
        help="Write the run to a file, too, as .html, .md, .json, .jsonl or .txt. Repeatable.",
    ),
]

AskSchema = Annotated[bool, _schema_option("AskRun")]
AnalysisSchema = Annotated[bool, _schema_option("AnalysisRun")]
