"""The options that commands share, each with its help text written once, and the command class that parses them.

Declares, decides nothing: every value is text here, and `flags` says what is wrong with it.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from fusion_cli import completing
from fusion_cli.errors import UsageError


def _take_text_as_it_is(parameters: list[Any]) -> list[Any]:
    """Keep Typer from validating text through pydantic, whose import takes as long as all of Typer's.

    Only what needs no conversion is passed by; an omitted required value still ends in Typer's own message.
    """
    for parameter in parameters:
        annotation = parameter.type_descriptor.annotation
        if "process_value" not in vars(parameter) and annotation in (str, list[str], bool):
            parameter.process_value = _pass_text(parameter, parameter.process_value)
    return parameters


def _pass_text(parameter: Any, validate: Callable[..., Any]) -> Callable[..., Any]:
    def process_value(ctx: typer.Context, value: Any) -> Any:
        # The word that somebody completes may be missing: a Tab does not wait for a message about that.
        if parameter.required and parameter.value_is_missing(value) and not ctx.resilient_parsing:
            return validate(ctx, value)
        if value is None and (parameter.multiple or parameter.nargs == -1):
            value = ()
        return parameter.callback(ctx, parameter, value) if parameter.callback else value

    return process_value


def _complete_in_plain_text() -> None:
    """Keep Typer from importing rich to strip mark-up that our help texts do not have: somebody waits for a Tab."""
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # Python's own way to say that there is none


@contextmanager
def _told_in_one_line(ctx: Any, args: list[str]) -> Iterator[None]:
    """Make of Typer's usage errors one of ours: one line, where Typer prints four, and one that says what to do."""
    try:
        yield
    except TyperException as error:
        from fusion_cli.key_shapes import may_be_secret
        from fusion_cli.values import shown

        said = " ".join(error.format_message().split())
        if may_be_secret(said):
            said = "something on the command line does not belong there (not shown: it looks like a secret)"
        hint = f"Try: {ctx.command_path} --help"
        if any(arg.startswith("-") and len(arg.split()) > 1 for arg in args):
            hint = f'A question that begins with a dash goes after --: {ctx.command_path} -- "-v or not?"'
        raise UsageError(shown(said, 200), hint=hint) from None


class Command(TyperCommand):
    """A command whose options are text."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return what is left of the arguments."""
        with _told_in_one_line(ctx, list(args)):
            return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, ready to parse."""
        return _take_text_as_it_is(super().get_params(ctx))

    def get_help(self, ctx: Any) -> str:
        """Return the help, where there is somewhere to print it."""
        from fusion_cli.terminal import demand_output

        demand_output()
        return str(super().get_help(ctx))

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Return what may come next."""
        _complete_in_plain_text()
        return super().shell_complete(ctx, incomplete)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options for the help: many of them in groups."""
        from fusion_cli.option_groups import GROUPS, MANY, REST

        parameters = self.get_params(ctx)
        if len(parameters) < MANY:
            super().format_options(ctx, formatter)
            return
        headings = {name: heading for heading, names in GROUPS.items() for name in names}
        found: dict[str, list[Any]] = {heading: [] for heading in ("Arguments", *GROUPS, REST)}
        for each in parameters:
            is_argument = each.param_type_name == "argument"
            heading = "Arguments" if is_argument else headings.get(each.name, REST)
            if record := each.get_help_record(ctx):
                found[heading].append(record)
        for heading, records in found.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


class Group(TyperGroup):
    """A group of commands whose own options are text."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return what is left of the arguments."""
        if not args:  # which prints the help
            return super().parse_args(ctx, args)
        with _told_in_one_line(ctx, []):
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is named first, and what follows."""
        with _told_in_one_line(ctx, []):
            return super().resolve_command(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, ready to parse."""
        return _take_text_as_it_is(super().get_params(ctx))

    def get_help(self, ctx: Any) -> str:
        """Return the help, where there is somewhere to print it."""
        from fusion_cli.terminal import demand_output

        demand_output()
        return str(super().get_help(ctx))

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Return what may come next."""
        _complete_in_plain_text()
        return super().shell_complete(ctx, incomplete)


def _efforts() -> list[str]:
    from fusion_cli.values import EFFORTS

    return list(EFFORTS)


def run_ids() -> list[str]:
    """Return the ids of the runs, the newest first, for somebody who presses Tab."""
    from contextlib import suppress
    from pathlib import Path

    from fusion_cli.errors import FusionError
    from fusion_cli.run_files import LAST, journals
    from fusion_cli.settings import Settings

    with suppress(FusionError):  # the folder is the same whatever is configured
        return [LAST, *(path.stem for path in reversed(journals(Settings({}, Path()).runs_dir)))]
    return [LAST]


Question = Annotated[
    str | None,
    typer.Argument(metavar="PROMPT", help="The question; '-' or nothing reads it from standard input."),
]
Files = Annotated[
    list[str] | None,
    typer.Option(
        "-f",
        "--file",
        metavar="FILE",
        help="Add a file to the question: text, an image or a PDF; '-' is standard input. Repeatable.",
    ),
]
Request = Annotated[
    str | None,
    typer.Option(
        "--request", metavar="FILE", help="An upstream request body in JSON to run here; '-' is standard input."
    ),
]
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="RUN",
        help="Go on with a run that is not complete: only what is missing is asked for. An id, its beginning, 'last', "
        "or a file.",
        autocompletion=run_ids,
    ),
]
Panel = Annotated[
    list[str] | None,
    typer.Option(
        "-p",
        "--panel",
        metavar="MODEL",
        help="A panelist, as [PROVIDER:]SLUG. Repeatable, or comma separated; 1 to 8.",
        autocompletion=completing.panel,
    ),
]
Judge = Annotated[
    str | None,
    typer.Option(
        "-j",
        "--judge",
        metavar="MODEL",
        help="The model that compares the responses (upstream: analyst).",
        autocompletion=completing.models,
    ),
]
Outer = Annotated[
    str | None,
    typer.Option(
        "-m",
        "--model",
        metavar="MODEL",
        help="The outer model, which writes the answer.",
        autocompletion=completing.models,
    ),
]
PresetName = Annotated[
    str | None,
    typer.Option(
        "--preset",
        metavar="NAME",
        help="A named panel: general-high, -budget, -fast, local, or your own (fusion config presets lists them).",
        autocompletion=completing.presets,
    ),
]
ProviderName = Annotated[
    str | None,
    typer.Option(
        "--provider",
        metavar="NAME",
        help="Who serves the models that are named without a provider.",
        autocompletion=completing.providers,
    ),
]
ToolChoice = Annotated[
    str | None,
    typer.Option(
        "--tool-choice",
        metavar="auto|required|none",
        help="Who convenes the panel: the outer model where it wants to (auto), always, or never.",
        autocompletion=lambda: ["auto", "required", "none"],
    ),
]
System = Annotated[
    str | None,
    typer.Option("-s", "--system", metavar="TEXT", help="What panelists and the outer model are told first."),
]
MaxToolCalls = Annotated[
    str | None,
    typer.Option(
        "--max-tool-calls",
        metavar="N",
        help="Web tool steps of each panelist and of the judge before they must write: 1 to 16.",
    ),
]
Web = Annotated[
    bool | None,
    typer.Option(
        "--web/--no-web",
        help="Web search and fetch for panel and judge: on OpenRouter its own, elsewhere run here.",
    ),
]
MaxCompletionTokens = Annotated[
    str | None,
    typer.Option(
        "--max-completion-tokens",
        metavar="N",
        help="Output tokens of each panelist and of the judge, reasoning included.",
    ),
]
Temperature = Annotated[
    str | None, typer.Option("--temperature", metavar="T", help="0 to 2, for the panel only: the judge is always at 0.")
]
ReasoningEffort = Annotated[
    str | None,
    typer.Option(
        "--reasoning-effort",
        metavar="EFFORT",
        help="How much panel and judge think: max, xhigh, high, medium, low, minimal, none.",
        autocompletion=_efforts,
    ),
]
ReasoningMaxTokens = Annotated[
    str | None,
    typer.Option("--reasoning-max-tokens", metavar="N", help="The same in tokens, for models that count them."),
]
Seed = Annotated[
    str | None,
    typer.Option("--seed", metavar="N", help="Sent to every model; also orders the responses for the judge."),
]
Quotes = Annotated[
    bool | None,
    typer.Option("--quotes/--no-quotes", help="Have the judge quote the responses, and check the quotes."),
]
SecondLook = Annotated[
    bool | None,
    typer.Option("--second-look/--no-second-look", help="Judge twice, in opposite orders, and say what both find."),
]
Timeout = Annotated[
    str | None,
    typer.Option(
        "--timeout",
        metavar="TIME",
        help="How long a call may take to its first words, as 90, 2.5m or 1h30m (5m by default); 0 for no limit.",
    ),
]
IdleTimeout = Annotated[
    str | None,
    typer.Option(
        "--idle-timeout", metavar="TIME", help="How long a model may pause between its words (2m by default)."
    ),
]
Deadline = Annotated[
    str | None,
    typer.Option(
        "--deadline",
        metavar="TIME",
        help="How long the whole run may take, downloads included (by default 30m, downloads aside).",
    ),
]
Quorum = Annotated[
    str | None,
    typer.Option("--quorum", metavar="N", help="How many responses are enough: after the grace the panel closes."),
]
Grace = Annotated[
    str | None,
    typer.Option(
        "--grace",
        metavar="TIME",
        help="How long the others have once the quorum is there (30s by default); 0 for at once.",
    ),
]
MaxCost = Annotated[
    str | None,
    typer.Option("--max-cost", metavar="USD", help="Start nothing that would take the run over so many dollars."),
]
AllowUnknownCost = Annotated[
    bool | None,
    typer.Option(
        "--allow-unknown-cost/--no-allow-unknown-cost",
        help="With --max-cost, call models whose price nobody knows all the same.",
    ),
]
Strict = Annotated[
    bool | None,
    typer.Option("--strict/--no-strict", help="Exit with status 3 when the run is degraded."),
]
Save = Annotated[
    bool | None,
    typer.Option("--save/--no-save", help="Keep the run in the data folder, as it is by default."),
]
Raw = Annotated[
    bool,
    typer.Option("--raw", help="In a pipe or a file, leave control characters in what models wrote."),
]
Verbose = Annotated[
    bool,
    typer.Option("-v", "--verbose", help="Say more: what was tried again and why, and what each call took."),
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print the result alone; errors are still told.")]
ShowResponses = Annotated[bool, typer.Option("--show-responses", help="Print each panelist's full response, too.")]
Color = Annotated[
    str | None,
    typer.Option(
        "--color",
        metavar="auto|always|never",
        help="Colours: on a terminal (auto), in a pipe too, or nowhere.",
        autocompletion=lambda: ["auto", "always", "never"],
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        is_eager=True,  # so that --json-schema knows of it, wherever it stands
        help="Print who would be asked and what that may take, and ask nobody.",
    ),
]


def command_app(name: str) -> typer.Typer:
    """Return an app for a command or a group of its own, which `cli` puts under the root."""
    return typer.Typer(
        name=name,
        cls=Group,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
