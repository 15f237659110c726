"""`fusion config`: shows, gets, sets, unsets and edits the config file, lists presets; `ctx.obj` is `--config`'s.

Flags to calls: what keys there are is `config_file`'s business, writing is `config_writer`'s, where values come from is
`settings`', how they look `listing`'s; `guide` asks for the first ones, `doctor` examines them all.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from fusion_cli.errors import FusionError
from fusion_cli.options import Command, PresetName, ProviderName, command_app

app = command_app("config")
KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="Dotted, like judge or presets.mine.panel.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.callback(no_args_is_help=True)
def config() -> None:
    """Show and change the configuration.

    Example: fusion config set panel openai/gpt-5,anthropic/claude-opus-4.8
    """


@app.command("path", cls=Command)
def path_command(ctx: typer.Context) -> None:
    """Print where the config file is, or would be.

    Example: fusion config path
    """
    from fusion_cli import settings
    from fusion_cli.context import Context

    path, terminal = settings.config_path(_flag(ctx)), Context(_flag(ctx)).terminal
    if terminal.stdout_is_tty:
        terminal.write_line(str(path))
    else:
        typer.echo(os.fsencode(path))  # as the bytes that open it


@app.command("show", cls=Command)
def show_command(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Print each value and its source; of keys only whether one is set.

    Example: fusion config show --json
    """
    from fusion_cli import listing, settings
    from fusion_cli.context import Context
    from fusion_cli.values import printable

    context = Context(_flag(ctx))
    loaded, terminal = context.settings, context.terminal
    entries = settings.entries(loaded)
    paths = {
        "config": str(loaded.config_path),
        "data": str(loaded.data_dir),
        "cache": str(loaded.cache_dir),
    }
    if as_json:
        values = {entry.key: {"value": entry.value, "source": entry.source} for entry in entries}
        terminal.write_json({"paths": paths, "config_source": loaded.config_source, "values": values})
        return
    missing = "" if loaded.config_path.exists() else ", no such file yet"
    terminal.write_line(f"# config file: {printable(paths['config'])} ({loaded.config_source}{missing})")
    terminal.write_line(f"# data folder: {printable(paths['data'])}")
    terminal.write_line(f"# cache folder: {printable(paths['cache'])}")
    column = max(len(entry.key) for entry in entries)
    width = max(terminal.size()[0], 40) if terminal.stdout_is_tty else None
    for entry in entries:
        value = listing.cut(entry.value, 60) if entry.key.endswith("system") and entry.value else entry.value
        said = "not set" if value is None else f"{listing.brief(value)} ({entry.source})"
        terminal.write_line("\n".join(listing.entry_lines(entry.key, said, column, width)))


@app.command("get", cls=Command)
def get_command(ctx: typer.Context, key: KeyArgument) -> None:
    """Print the value in effect; status 1 when there is none.

    Example: fusion config get panel
    """
    from fusion_cli import config_file, settings
    from fusion_cli.context import Context
    from fusion_cli.values import shown

    config_file.find_key(key)
    context = Context(_flag(ctx))
    for entry in settings.entries(context.settings):
        if entry.key == key and entry.value is not None:
            context.terminal.write_line(_plain(entry.value))
            return
    raise FusionError(f"{shown(key)} is not set", hint=f"To set it: fusion config set {shown(key)} VALUE")


# A negative number is a value to refuse with its key's own words, not an option that does not exist.
@app.command("set", cls=Command, context_settings={"ignore_unknown_options": True})
def set_command(
    ctx: typer.Context,
    key: KeyArgument,
    value: Annotated[
        str,
        typer.Argument(
            metavar="VALUE", help="As in TOML, or plain text; panel and allow_hosts may be comma separated."
        ),
    ],
) -> None:
    """Set a value in the config file.

    Example: fusion config set judge openai/gpt-5
    """
    from fusion_cli import config_writer, settings

    config_writer.set_value(settings.config_path(_flag(ctx)), key, value)


@app.command("unset", cls=Command)
def unset_command(ctx: typer.Context, key: KeyArgument) -> None:
    """Remove a value, or a table like presets.mine, from the file.

    Example: fusion config unset judge
    """
    from fusion_cli import config_writer, settings
    from fusion_cli.values import printable, shown

    path = settings.config_path(_flag(ctx))
    if not config_writer.unset_value(path, key):
        typer.echo(f"{shown(key)} was not set in {printable(str(path))}", err=True)


@app.command("edit", cls=Command)
def edit_command(ctx: typer.Context) -> None:
    """Open the file in $VISUAL or $EDITOR, and check what was saved.

    Example: EDITOR=nano fusion config edit
    """
    from fusion_cli import config_writer, settings

    config_writer.edit_in(settings.editor(), settings.config_path(_flag(ctx)))


@app.command("presets", cls=Command)
def presets_command(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Print every preset, built in or own, with the models it names.

    Example: fusion config presets
    """
    import shutil

    from fusion_cli import listing
    from fusion_cli.context import Context

    context = Context(_flag(ctx))
    listed = listing.list_presets(context.settings, context.machine)
    if as_json:
        context.terminal.write_json({"presets": [listing.as_json(each) for each in listed]})
        return
    width = max(20, shutil.get_terminal_size().columns)
    context.terminal.write_line("\n\n".join(listing.as_text(each, width) for each in listed))


@app.command("init", cls=Command)
def init_command(
    ctx: typer.Context,
    provider: ProviderName = None,
    base_url: Annotated[
        str | None, typer.Option("--base-url", metavar="URL", help="Where a server of your own is.")
    ] = None,
    preset: PresetName = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Change an existing config file without asking.")] = False,
) -> None:
    """Set up provider, key and preset, step by step.

    What no option says is asked on the terminal. The key is not shown as you type it, it is tried, and kept in a file
    of its own that only you can read.

    Example: fusion config init
    """
    from fusion_cli import guide, settings
    from fusion_cli.context import Context
    from fusion_cli.dialogue import Dialogue
    from fusion_cli.values import printable

    context = Context(_flag(ctx))
    loaded = settings.load(_flag(ctx), may_be_missing=True)
    dialogue = Dialogue(
        "fusion config init asks, and there is no terminal to ask on",
        "Set OPENROUTER_API_KEY, or by hand: fusion config set provider NAME, fusion config set preset NAME",
    )
    wishes = guide.Wishes(provider, base_url, preset, yes)
    outcome = guide.Guide(dialogue, loaded, context.machine, context.sound_out, wishes).lead()
    guide.store(outcome, loaded.config_path)
    dialogue.tell(f"Written: {printable(str(loaded.config_path))}")
    for note in outcome.notes:
        dialogue.tell(note)
    dialogue.tell("Check it with: fusion config doctor")


@app.command("doctor", cls=Command)
def doctor_command(
    ctx: typer.Context,
    as_json: AsJson = False,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no server.")] = False,
) -> None:
    """Check whether a run could start, and say what to do where not.

    Status 0 only if one could; else that of the first problem.

    Example: fusion config doctor
    """
    import shutil

    from fusion_cli import checkup, doctor, settings
    from fusion_cli.context import Context

    context = Context(_flag(ctx))
    terminal, width = context.terminal, shutil.get_terminal_size().columns
    screen = checkup.terminal(
        on_screen=terminal.stdout_is_tty and terminal.stderr_is_tty,
        encoding=sys.stdout.encoding or "ascii",
        columns=width,
        variables=settings.terminal_variables(),
    )
    around = doctor.Surroundings(
        lambda: context.settings,
        context.machine,
        None if offline else context.sound_out,
        screen,
        terminal.note if terminal.stderr_is_tty else None,
    )
    findings = []
    for finding in doctor.examine(around):
        findings.append(finding)
        if not as_json:
            terminal.write_line(doctor.as_text(finding, width))
    if as_json:
        terminal.write_json(doctor.as_json(findings))
    doctor.conclude(findings)


def _flag(ctx: typer.Context) -> Path | None:
    return ctx.obj if isinstance(ctx.obj, Path) else None


def _plain(value: object) -> str:
    """Return a value as `set` would take it again."""
    if isinstance(value, list) and value and not any(isinstance(each, dict) or "," in each for each in value):
        return ",".join(value)
    if isinstance(value, list | dict):
        from fusion_cli.config_writer import as_toml

        return as_toml(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
