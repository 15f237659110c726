"""The Typer root, and `main`: the only place where an exception becomes an exit status."""

import inspect
import os
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
import typer.main
from typer._click.shell_completion import CompletionItem, add_completion_class
from typer._completion_classes import BashComplete

from fusion_cli import __version__
from fusion_cli.errors import ClosedPipeError, FusionError, InterruptError, internal_error
from fusion_cli.interrupts import INTERRUPTS
from fusion_cli.options import Group

COMMANDS = ("ask", "analyze", "judge", "runs", "models", "config")


class ColonComplete(BashComplete):
    """Tab in bash, which takes `provider:slug` for three words and puts what is offered in place of the last."""

    _before = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one that is completed, and that one, each as it was written."""
        args, incomplete = super().get_completion_args()
        words: list[str] = []
        is_open = False
        for word in (*args, incomplete) if incomplete else args:
            is_colon = bool(word) and not word.strip(":")
            if words and (is_colon or is_open):
                words[-1] += word
            else:
                words.append(word)
            is_open = is_colon
        if not incomplete:
            return words, ""
        if words[-1] != incomplete:
            self._before = words[-1][: words[-1].rindex(":") + 1]
        return words[:-1], words[-1]

    def format_completion(self, item: CompletionItem) -> str:
        """Return what is to stand behind the last colon."""
        return super().format_completion(item).removeprefix(self._before)


class Root(Group):
    """The commands, each imported and built when it is asked for: a question does not wait for the rest."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run, or answer whoever pressed Tab."""
        add_completion_class(ColonComplete, "bash")  # here, as Typer has put in its own by now
        if "--show-completion" in sys.argv[1:2]:
            from fusion_cli.terminal import demand_output

            demand_output()
        return super().main(*args, **extra)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, or None where there is none of that name."""
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            self.commands[cmd_name] = typer.main.get_command(_app(cmd_name))
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write what the commands are for, none of which is built for that."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _first_sentence(name)) for name in COMMANDS])

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Return what may come next; the same holds here."""
        found = [name for name in COMMANDS if name.startswith(incomplete)]
        return [CompletionItem(name, help=_first_sentence(name)) for name in found] or super().shell_complete(
            ctx, incomplete
        )


def _app(command: str) -> typer.Typer:
    app: typer.Typer = import_module(f"fusion_cli.commands.{command}").app
    return app


def _first_sentence(command: str) -> str:
    """Return what a command, or a group of them, says first of itself."""
    app = _app(command)
    documented = app.registered_callback or app.registered_commands[0]
    return (inspect.getdoc(documented.callback) or "").partition("\n")[0]


_HELP = """Ask a panel of language models, let a judge compare them, get one answer.

Example: fusion ask "SQLite or PostgreSQL for a small web app?"
"""

app = typer.Typer(
    name="fusion",
    help=_HELP,
    cls=Root,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from fusion_cli.terminal import demand_output

        demand_output()
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
    ctx.obj = Path(config) if config is not None else None


def main() -> NoReturn:
    """Run the command line; end the process with the status that `errors` draws."""
    try:
        INTERRUPTS.listen()
        status = _run()
        INTERRUPTS.finish()
    except InterruptError as error:  # raised once, so that it is here that it came while another was told
        status = error.exit_status
    INTERRUPTS.finish()
    _leave(status)


def _run() -> int:
    """Run the command line and return the status, whatever happens."""
    try:
        app()
    except SystemExit as end:  # help, usage errors
        if type(sys.stdout).__name__ == "PacifyFlushWrapper":  # Typer's word for a closed pipe
            return ClosedPipeError.exit_status
        return end.code if isinstance(end.code, int) else 1
    except ClosedPipeError as error:
        return error.exit_status
    except FusionError as error:
        return _tell(error)
    except OSError as error:
        return _tell(_described(error))
    except Exception as error:  # noqa: BLE001  # the last line of defence: a traceback is a bug too
        return _tell(internal_error(error))
    return 0


def _described(error: OSError) -> FusionError:
    """Return what is said of what nobody expected; without a file's name, it is what we print that went nowhere."""
    from fusion_cli.terminal import one_line

    named = error.filename
    where = one_line(os.fsdecode(named)) if isinstance(named, str | bytes) else "standard output"
    said = f"{where}: {error.strerror or error}"
    if "--install-completion" in sys.argv[1:]:
        hint = "fusion --show-completion prints it, to be put where your shell finds it."
        return FusionError(f"the completion cannot be installed: {said}", hint=hint)
    return FusionError(said)


def _leave(status: int) -> NoReturn:
    """End at once: there is nothing left to tear down, and Python takes 20 ms to do it."""
    try:
        if sys.stdout is not None:  # whoever needed one that is closed has said so
            sys.stdout.flush()
    except BrokenPipeError:
        status = status or ClosedPipeError.exit_status
    except (OSError, ValueError) as error:
        status = status or _tell(FusionError(f"standard output: {getattr(error, 'strerror', None) or error}"))
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()
    os._exit(status)


def _tell(error: FusionError) -> int:
    from fusion_cli.delivery import describe_error
    from fusion_cli.terminal import Terminal

    terminal = Terminal()
    for line in describe_error(error):
        terminal.note(line)
    return error.exit_status
