"""`fusion models`: what a provider's models cost and can do; `ctx.obj` is `--config`'s."""

from typing import Annotated

import typer  # it reads the annotations

from fusion_cli import completing, options

Search = Annotated[
    list[str] | None,
    typer.Argument(metavar="SEARCH", help="Words that have to be in a model's id or name."),
]

app = options.command_app("models")


@app.command("models", cls=options.Command)
def models(
    ctx: typer.Context,
    search: Search = None,
    provider: Annotated[
        str | None,
        typer.Option(
            "--provider",
            metavar="NAME",
            help="Whose models; the default provider's otherwise.",
            autocompletion=completing.providers,
        ),
    ] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Ask the provider, even where its list is less than a day old.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one array of objects.")] = False,
) -> None:
    """List models with context, price, and what they can do.

    Example: fusion models claude opus

    Prices are in dollars per million tokens. In a pipe, values stand between tabs: id, context, price in and out,
    tools, structured output, images, name. The list is kept for a day; offline, the one that is kept is shown.
    """
    import shutil

    from fusion_cli import catalogues, model_table
    from fusion_cli.context import Context
    from fusion_cli.counts import count

    context = Context(ctx.obj)
    terminal = context.terminal
    listing = catalogues.list_models(context, provider, refresh=refresh)
    for notice in listing.notices:
        terminal.note(notice)
    found = model_table.matching(listing.models, search or ())
    if json:
        terminal.write_json(model_table.as_objects(listing.provider, found))
    elif not found:
        terminal.note(f"No model of {listing.provider} is called so; it lists {count(len(listing.models), 'model')}.")
    elif terminal.stdout_is_tty:
        terminal.write_line("\n".join(model_table.as_table(found, max(40, shutil.get_terminal_size().columns))))
    else:
        terminal.write_line("\n".join(model_table.as_rows(found)))
