"""What the commands say before and after a run, and which error a finished run ends the process with."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from fusion_cli.errors import DegradedError, FusionError, UsageError
from fusion_cli.terminal import clean, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fusion_cli.plan import Plan
    from fusion_cli.results import AnalysisRun, Run
    from fusion_cli.terminal import Terminal


def announce(plan: Plan, terminal: Terminal) -> None:
    """Say who is going to be asked, and what to think of the embedded models."""
    if any(model.provider == "local" for model in plan.models):
        terminal.note(
            "The embedded models are small and for trying the tool out; for real answers set OPENROUTER_API_KEY "
            "(a key is at https://openrouter.ai/keys) or add a provider (see the README)."
        )


@contextmanager
def told_as_json(describe: Callable[[FusionError], Run], terminal: Terminal | None) -> Iterator[None]:
    """Print a run's object even when it ended before anything was sent; not for usage errors, whose status is 2.

    Args:
        describe: Makes the object from what ended the run.
        terminal: Where to, or None when nobody asked for JSON.
    """
    try:
        yield
    except FusionError as error:
        if terminal and not isinstance(error, UsageError):
            terminal.write_json(describe(error).model_dump())
        raise


def deliver_analysis(run: AnalysisRun, terminal: Terminal, *, as_json: bool, strict: bool | None) -> None:
    """Print the analysis of `analyze` or `judge`; without one, the responses, and raise.

    Raises:
        FusionError: There is no analysis, or it is degraded where that is not acceptable.
    """
    from fusion_cli.sinks.analysis_text import analysis_text

    if as_json:
        terminal.write_json(run.model_dump())
    elif text := analysis_text(run):
        terminal.write_line(text)
    if run.cause is None and run.result.analysis is None:
        raise DegradedError(run.warnings[-1] if run.warnings else "there is no analysis")
    conclude(run, strict=strict)


def conclude(run: Run, *, strict: bool | None) -> None:
    """Raise what the finished run's exit status comes from; return when it is 0.

    Raises:
        FusionError: There is no result, or it is degraded under `--strict`.
    """
    if run.cause:
        raise run.cause
    if strict and run.degraded:
        raise DegradedError("the run is degraded, which --strict does not accept")


def describe_error(error: FusionError) -> list[str]:
    """Return the lines for standard error: what is wrong, then what to do."""
    lines = [f"fusion: {one_line(str(error), 600)}"]
    return [*lines, clean(error.hint)] if error.hint else lines
