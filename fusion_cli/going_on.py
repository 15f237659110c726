"""What is said of a run that ended before it had delivered: where it is kept, and the command that goes on with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusion_cli.errors import ModelTimeoutError, OutOfTimeError
from fusion_cli.terminal import one_line

if TYPE_CHECKING:
    from fusion_cli.errors import FusionError
    from fusion_cli.plan import Limits
    from fusion_cli.sinks.journal import Journal


def how_to_go_on(journal: Journal, command: str, cause: FusionError | None, limits: Limits) -> list[str]:
    """Return the lines on a run whose journal is closed; none where nothing was kept that had been paid for.

    Args:
        journal: Where it is kept.
        command: The one that made it.
        cause: Why it ended, where that is known.
        limits: The limits of time that it had.
    """
    if not journal.has_kept:
        return []
    way = f"runs show {journal.run}"
    if command in ("ask", "analyze"):
        way = f"{command} --resume {journal.run}{_more_time(cause, limits)}"
    return [f"Kept in {one_line(str(journal.path), 1000)}", f"To go on: fusion {way}"]


def _more_time(cause: FusionError | None, limits: Limits) -> str:
    """Return the option that gives a run longer that had too little time, as it would end so again; else nothing."""
    if not isinstance(cause, ModelTimeoutError | OutOfTimeError):
        return ""
    passed = getattr(limits, f"{cause.limit}_s")
    return f" --{cause.limit.replace('_', '-')} {2 * passed:g}s" if passed else ""
