"""The Typer root, and `main`: the only place where an exception becomes an exit status."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from fusion_cli import __version__
from fusion_cli.commands import config
from fusion_cli.commands.analyze import analyze
from fusion_cli.commands.ask import ask
from fusion_cli.commands.judge import judge
from fusion_cli.errors import SIGNALS, ClosedPipeError, FusionError, InterruptError
from fusion_cli.options import Command, Group

app = typer.Typer(
    name="fusion",
    help="Ask a panel of language models, let a judge compare them, get one answer.",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("ask", cls=Command)(ask)
app.command("analyze", cls=Command)(analyze)
app.command("judge", cls=Command)(judge)
app.add_typer(config.app, name="config")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fusion {__version__}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    config: Annotated[
        str | None,
        typer.Option("--config", metavar="FILE", help="Read this config file instead of the user's."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Ask a panel of language models, let a judge compare them, get one answer."""
    ctx.obj = Path(config) if config else None


def main() -> NoReturn:
    """Run the command line; end the process with the status that `errors` draws."""
    try:
        for signum in SIGNALS:
            signal.signal(signum, _raise_interrupt)
        app()
        status = 0
    except SystemExit as end:  # help, usage errors
        status = end.code if isinstance(end.code, int) else 1
    except ClosedPipeError as error:
        status = error.exit_status
    except FusionError as error:
        status = _tell(error)
    except Exception as error:  # noqa: BLE001  # the last line of defence: a traceback is a bug too
        status = _tell(FusionError(f"internal error: {type(error).__name__}: {error}", hint="Please report this."))
    _leave(status)


def _leave(status: int) -> NoReturn:
    """End at once: there is nothing left to tear down, and Python takes 20 ms to do it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # closed; nobody reads it
            status = status or ClosedPipeError.exit_status
    os._exit(status)


def _raise_interrupt(signum: int, _frame: object) -> None:
    raise InterruptError(signum)


def _tell(error: FusionError) -> int:
    from fusion_cli.delivery import describe_error
    from fusion_cli.terminal import Terminal

    terminal = Terminal()
    for line in describe_error(error):
        terminal.note(line)
    return error.exit_status
