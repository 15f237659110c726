"""`fusion runs`: lists, shows, exports and removes the runs that are kept; `ctx.obj` is `--config`'s.

Flags to calls: what is in a file is `run_files`' business, how it looks `formats`' and `run_list`'s.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from fusion_cli import options, output_options
from fusion_cli.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from fusion_cli.run_files import SavedRun
    from fusion_cli.sinks.drawing import Look

app = options.command_app("runs")


_RUN_HELP = "A run's id, the beginning of one, 'last', or a file."
Run = Annotated[str, typer.Argument(metavar="RUN", help=_RUN_HELP, autocompletion=options.run_ids)]
Runs = Annotated[list[str], typer.Argument(metavar="RUN", help=_RUN_HELP, autocompletion=options.run_ids)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the run's object, as its --json printed it.")]


@app.callback(no_args_is_help=True)
def runs() -> None:
    """List, show, export and remove the runs that are kept.

    Example: fusion runs show last
    """


@app.command("list", cls=options.Command)
def list_command(
    ctx: typer.Context,
    limit: Annotated[str, typer.Option("-n", "--limit", metavar="N", help="Show at most so many.")] = "20",
    json: Annotated[bool, typer.Option("--json", help="Print one array of objects.")] = False,
) -> None:
    """List the runs, the newest first; in a pipe, values between tabs.

    A run is ok, degraded, error, cancelled, running, unfinished (something ended it without a word) or damaged.

    Example: fusion runs list -n 5
    """
    import re
    import shutil

    from fusion_cli import run_files, run_list
    from fusion_cli.context import Context
    from fusion_cli.values import shown

    context = Context(ctx.obj)
    terminal, folder = context.terminal, context.settings.runs_dir
    if not re.fullmatch("[1-9][0-9]{0,8}", limit):
        raise UsageError(f"-n/--limit: expected a whole number from 1, found {shown(limit) or 'nothing'}")
    found = run_files.summaries(folder, int(limit))
    if json:
        terminal.write_json(run_list.as_objects(found))
    elif not found:
        terminal.note("No runs yet. What fusion ask, analyze and judge do is kept, and listed here.")
    elif terminal.stdout_is_tty:
        terminal.write_line("\n".join(run_list.as_table(found, max(40, shutil.get_terminal_size().columns))))
    else:
        terminal.write_line("\n".join(run_list.as_rows(found)))


@app.command("show", cls=options.Command)
def show_command(
    ctx: typer.Context,
    run: Run,
    responses: Annotated[bool, typer.Option("--responses", help="Show what each panelist said, too.")] = False,
    form: output_options.Format = None,
    json: AsJson = False,
    color: options.Color = None,
) -> None:
    """Show a run: question, answer, analysis, what failed, sources.

    Example: fusion runs show last --responses
    """
    from fusion_cli import formats, outputs, run_files
    from fusion_cli.context import Context
    from fusion_cli.showing import Manner

    context = Context(ctx.obj, Manner(color=color))
    usual = formats.RICH if context.terminal.stdout_is_tty else formats.PLAIN
    chosen = outputs.fit_form(form, as_json=json, usual=usual)
    path = run_files.find(context.settings.runs_dir, run)
    context.terminal.write(_rendered(path, chosen, context.looks.screen, with_responses=responses or None))


@app.command("export", cls=options.Command)
def export_command(
    ctx: typer.Context,
    run: Run,
    output: Annotated[
        list[str] | None,
        typer.Option(
            "-o",
            "--output",
            metavar="[FORMAT:]FILE",
            help="Write there, as .html, .md, .json, .jsonl or .txt; else JSON Lines to standard output. Repeatable.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE.")] = False,
) -> None:
    """Write a run to a file; one of JSON Lines can be given as RUN.

    Example: fusion runs export last -o report.md
    """
    from fusion_cli import formats, outputs, run_files, whole_files
    from fusion_cli.context import Context

    context = Context(ctx.obj)
    targets = [outputs.read_target(said) for said in output or ()]
    path = run_files.find(context.settings.runs_dir, run)
    for target in targets:
        text = _rendered(path, target.form, context.looks.page)
        whole_files.write_out(target.path, text.encode("utf-8", "backslashreplace"), force=force)
    if not targets:
        context.terminal.write(_rendered(path, formats.JSON_LINES, context.looks.page))


@app.command("rm", cls=options.Command)
def rm_command(ctx: typer.Context, run: Runs) -> None:
    """Remove runs, but none that is under way.

    Example: fusion runs rm last
    """
    from fusion_cli import run_files, run_folder
    from fusion_cli.context import Context

    context = Context(ctx.obj)
    folder = context.settings.runs_dir
    for path in run_folder.removable(folder, [run_files.find(folder, name) for name in run]):
        run_folder.remove(path)
        context.terminal.write_line(f"removed {path.stem}")


@app.command("prune", cls=options.Command)
def prune_command(
    ctx: typer.Context,
    older_than: Annotated[
        str,
        typer.Option("--older-than", metavar="TIME", help="Remove what began longer ago than that: 12h, 30d, 4w."),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
) -> None:
    """Remove old runs, but none that is under way.

    Example: fusion runs prune --older-than 30d
    """
    from fusion_cli import run_folder
    from fusion_cli.context import Context
    from fusion_cli.counts import count

    context = Context(ctx.obj)
    old = run_folder.old_files(context.settings.runs_dir, run_folder.read_age(older_than))
    for file in old:
        if not dry_run:
            run_folder.remove(file.path)
    said = "would be removed" if dry_run else "removed"
    size = sum(file.size for file in old)
    context.terminal.write_line(f"{count(len(old), 'run')} {said}, {count(size, 'byte')}")


def _rendered(path: "Path", form: str, look: "Look", *, with_responses: bool | None = None) -> str:
    """Return a run in one of the formats, ready to be written."""
    from fusion_cli import formats, recorded, run_files, timeline
    from fusion_cli.about import About, happened_in
    from fusion_cli.delivery import what_it_took

    saved = run_files.read(path)
    if form == formats.JSON_LINES:
        del saved  # which may be as large as its lines
        return run_files.raw_lines(path)
    if form == formats.JSON:
        return formats.as_json(recorded.object_of(saved))
    result = recorded.result_of(saved)
    summary = saved.summary
    facts = formats.facts_of(result, summary.command, summary.at, summary.duration_s, what_it_took(result.usage))
    if saved.plan.prompt.attachments:
        facts.append(f"attached: {', '.join(each.name for each in saved.plan.prompt.attachments)}")
    rows = timeline.rows_of(run_files.lines(path)) if form == formats.HTML else ()
    happened = tuple(happened_in(run_files.lines(path))) if form == formats.RICH else ()
    seats = [seat.label for seat in saved.plan.panel]
    about = About(_question(saved), facts, saved.partial_answer, rows, seats, happened)
    return formats.rendered(form, result, about, look, with_responses=with_responses)


def _question(saved: "SavedRun") -> str:
    return saved.plan.prompt.question or saved.summary.question
