"""`fusion config`: shows, gets, sets, unsets and edits the config file; `ctx.obj` is what `--config` named.

Flags to calls: what keys there are is `config_file`'s business, writing is `config_writer`'s, where values come from is
`settings`'.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from fusion_cli.errors import FusionError
from fusion_cli.options import Command, command_app

app = command_app("config")
KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="Dotted, like judge or providers.lab.base_url.")]


@app.callback(no_args_is_help=True)
def config() -> None:
    """Show and change the configuration."""


@app.command("path", cls=Command)
def path_command(ctx: typer.Context) -> None:
    """Print where the config file is, or would be."""
    from fusion_cli import settings

    typer.echo(os.fsencode(settings.config_path(_flag(ctx))))


@app.command("show", cls=Command)
def show_command(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print every value and its source; of keys only whether one is set."""
    from fusion_cli import config_file, settings

    loaded = settings.load(_flag(ctx))
    entries = settings.entries(loaded)
    paths = {
        "config": str(loaded.config_path),
        "data": str(loaded.data_dir),
        "cache": str(loaded.cache_dir),
    }
    if as_json:
        import json

        values = {entry.key: {"value": entry.value, "source": entry.source} for entry in entries}
        shown = {"paths": paths, "config_source": loaded.config_source, "values": values}
        typer.echo(json.dumps(shown, indent=2))
        return
    missing = "" if loaded.config_path.exists() else ", no such file yet"
    typer.echo(f"# config file: {config_file.printable(paths['config'])} ({loaded.config_source}{missing})")
    typer.echo(f"# data folder: {config_file.printable(paths['data'])}")
    typer.echo(f"# cache folder: {config_file.printable(paths['cache'])}")
    width = max(len(entry.key) for entry in entries)
    for entry in entries:
        value = "not set" if entry.value is None else f"{_plain(entry.value)} ({entry.source})"
        typer.echo(f"{entry.key:{width}}  {value}")


@app.command("get", cls=Command)
def get_command(ctx: typer.Context, key: KeyArgument) -> None:
    """Print the value in effect; status 1 when there is none."""
    from fusion_cli import config_file, settings

    config_file.find_key(key)
    for entry in settings.entries(settings.load(_flag(ctx))):
        if entry.key == key and entry.value is not None:
            typer.echo(_plain(entry.value))
            return
    raise FusionError(f"{config_file.shown(key)} is not set")


# A negative number is a value to refuse with its key's own words, not an option that does not exist.
@app.command("set", cls=Command, context_settings={"ignore_unknown_options": True})
def set_command(
    ctx: typer.Context,
    key: KeyArgument,
    value: Annotated[
        str, typer.Argument(metavar="VALUE", help="As in TOML, or plain text; a panel may be comma separated.")
    ],
) -> None:
    """Set a value in the config file."""
    from fusion_cli import config_writer, settings

    config_writer.set_value(settings.config_path(_flag(ctx)), key, value)


@app.command("unset", cls=Command)
def unset_command(ctx: typer.Context, key: KeyArgument) -> None:
    """Remove a value, or a table like providers.lab, from the file."""
    from fusion_cli import config_file, config_writer, settings

    path = settings.config_path(_flag(ctx))
    if not config_writer.unset_value(path, key):
        typer.echo(f"{config_file.shown(key)} was not set in {config_file.printable(str(path))}", err=True)


@app.command("edit", cls=Command)
def edit_command(ctx: typer.Context) -> None:
    """Open the file in $VISUAL or $EDITOR, and check what was saved."""
    from fusion_cli import config_writer, settings

    config_writer.edit_in(settings.editor(), settings.config_path(_flag(ctx)))


def _flag(ctx: typer.Context) -> Path | None:
    return ctx.obj if isinstance(ctx.obj, Path) else None


def _plain(value: object) -> str:
    """Return a value as `set` would take it again."""
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
