"""From a plan to what its user gets: the run, announced and carried out, or with `--dry-run` what it would take.

The end of every command that asks models; knows what is common to them and no flag.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from fusion_cli import delivery

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fusion_cli.context import Context, Errand
    from fusion_cli.earlier import Earlier
    from fusion_cli.plan import Plan
    from fusion_cli.results import Run

R = TypeVar("R", bound="Run")


class Wishes(NamedTuple):
    """How the user wants it.

    Attributes:
        dry_run: Whether only to say what would be done.
        as_json: Whether as one JSON object.
        answers: Whether an outer model answers in the end.
        show_answer: Whether that goes to the screen as it comes.
    """

    dry_run: bool
    as_json: bool
    answers: bool
    show_answer: bool = False


def launch(
    context: Context,
    story: Callable[..., Awaitable[R]],
    plan: Plan,
    errand: Errand,
    deliver: Callable[[R, bool], None],
    wishes: Wishes,
    earlier: Earlier | None = None,
) -> None:
    """Carry a plan out, or say what it would take.

    Args:
        context: Makes what is needed.
        story: `pipeline.ask` and its kind: takes plan, models, emit and what was earlier.
        plan: What to do.
        errand: Who sends for it, and whom it may ask.
        deliver: Writes the run to its user.
        wishes: How.
        earlier: What is taken up.

    Raises:
        FusionError: The run could not be started, would be refused, did not succeed, or was ended by a signal.
    """
    if wishes.dry_run:
        from fusion_cli.dry_run import deliver_dry_run

        prices = context.quote(errand.asks)
        terminal = context.terminal
        deliver_dry_run(plan, prices, terminal, as_json=wishes.as_json, answers=wishes.answers, earlier=earlier)
        return
    plan = plan._replace(waited_s=context.obtain_keys(errand.asks, plan.limits.deadline_s))
    delivery.announce(plan, context.terminal, errand.asks, answers=wishes.answers, earlier=earlier)
    context.carry_out(partial(story, earlier=earlier), plan, deliver, errand, show_answer=wishes.show_answer)
