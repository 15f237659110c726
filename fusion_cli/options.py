"""The options that commands share, each with its help text written once. Declares, decides nothing."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class ToolChoiceName(StrEnum):
    """Who decides whether the panel is convened."""

    AUTO = "auto"
    REQUIRED = "required"
    NONE = "none"


Question = Annotated[
    str | None,
    typer.Argument(metavar="PROMPT", help="The question; '-' or nothing reads it from standard input."),
]
Files = Annotated[
    list[Path] | None,
    typer.Option("-f", "--file", metavar="FILE", help="Add a text file to the question as material. Repeatable."),
]
Panel = Annotated[
    list[str] | None,
    typer.Option(
        "-p", "--panel", metavar="MODEL", help="A panelist, as [PROVIDER:]SLUG. Repeatable, or comma separated; 1 to 8."
    ),
]
Judge = Annotated[
    str | None,
    typer.Option("-j", "--judge", metavar="MODEL", help="The model that compares the responses (upstream: analyst)."),
]
Outer = Annotated[
    str | None,
    typer.Option("-m", "--model", metavar="MODEL", help="The outer model, which writes the answer."),
]
PresetName = Annotated[
    str | None,
    typer.Option("--preset", metavar="NAME", help="A named panel: general-high, -budget, -fast, local, local-small."),
]
ProviderName = Annotated[
    str | None,
    typer.Option("--provider", metavar="NAME", help="Who serves the models that are named without a provider."),
]
ToolChoice = Annotated[
    ToolChoiceName | None,
    typer.Option("--tool-choice", help="auto: the outer model decides; required: the panel always; none: never."),
]
Strict = Annotated[
    bool | None,
    typer.Option("--strict/--no-strict", help="Exit with status 3 when the run is degraded."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, whatever happened.")]
