"""The forms in which a run can be had, their names and file endings, and what stands at a run's end.

Picks what makes the text; writes nothing.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from fusion_cli.errors import UsageError
from fusion_cli.sinks.drawing import Look
from fusion_cli.terminal import clean
from fusion_cli.values import shown

if TYPE_CHECKING:
    from fusion_cli.about import About
    from fusion_cli.results import AnalysisRun, AskRun

RICH, PLAIN, MARKDOWN, JSON, JSON_LINES, HTML = FORMATS = ("rich", "plain", "markdown", "json", "jsonl", "html")
_ENDINGS = {
    ".txt": PLAIN,
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".json": JSON,
    ".jsonl": JSON_LINES,
    ".html": HTML,
    ".htm": HTML,
}


def fit_format(said: str) -> str:
    """Return the format of that name.

    Raises:
        UsageError: There is none.
    """
    if said in FORMATS:
        return said
    raise UsageError(f"--format: expected {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, found {shown(said)}")


def format_of_file(name: str) -> str | None:
    """Return the format that a file's ending stands for; None where it stands for none."""
    return _ENDINGS.get(PurePath(name).suffix.lower())


def rendered(
    form: str,
    run: AskRun | AnalysisRun,
    about: About,
    look: Look = Look(80),  # noqa: B008 - immutable
    *,
    with_responses: bool | None = None,
    most_bytes: int | None = None,
) -> str:
    """Return a whole run in one of the formats but `JSON_LINES`, without controls but those for `RICH`'s colours.

    Args:
        form: Which one.
        run: Its result.
        about: What else is told.
        look: What is seen where `RICH` goes.
        with_responses: Whether the responses are in it beside answer and analysis; None is as the form has it.
        most_bytes: How large it may be, where it is `MARKDOWN`.
    """
    if form == JSON:
        return as_json(run.model_dump())
    folded = with_responses is not False
    if form == HTML:
        from fusion_cli.sinks.page.document import page

        return page(run, about, with_responses=folded)
    if form == MARKDOWN:
        from fusion_cli.sinks.report import report

        return clean(report(run, about, with_responses=folded, most_bytes=most_bytes))
    if form == RICH:
        from fusion_cli.sinks.analysis_text import source_lines
        from fusion_cli.sinks.live.still import still

        return still(run, about, look, source_lines(run), with_responses=bool(with_responses))
    from fusion_cli.sinks.analysis_text import run_text

    return clean(run_text(run, about, with_responses=bool(with_responses))) + "\n"


def as_json(value: dict[str, Any]) -> str:
    """Return a run's object as `--json` prints it."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def facts_of(
    run: AskRun | AnalysisRun, command: str, at: str, duration_s: float | None, what_it_took: str
) -> list[str]:
    """Return what stands at the end of a run: which one it is, when it was, and what it took.

    Args:
        run: Its result.
        command: ask, analyze or judge.
        at: When it began, in ISO 8601.
        duration_s: How long it took, where that is known.
        what_it_took: Tokens and dollars.
    """
    took = [] if duration_s is None else [f"{duration_s:.1f} s"]
    took.append(what_it_took or "cost unknown")
    lines = [f"{command} {run.run or ''}".rstrip(), local_time(at), ", ".join(took)]
    return [line for line in (*lines, f"takes up {run.parent}" if run.parent else "") if line]


def local_time(at: str, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Return an instant in ISO 8601 by the clock on the wall; nothing where it is none."""
    try:
        return datetime.fromisoformat(at).astimezone().strftime(form)
    except (ValueError, OverflowError, OSError):
        return ""
