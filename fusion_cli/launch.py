"""From a plan to what its user gets: the run, announced, carried out and delivered, or with `--dry-run` its price.

The end of every command that asks models; knows what is common to them and no flag.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from fusion_cli import delivery, formats
from fusion_cli.about import About
from fusion_cli.attachments import addressed
from fusion_cli.catalogues import misspelt, modalities
from fusion_cli.errors import UnwrittenError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from fusion_cli.about import Watch
    from fusion_cli.context import Context, Errand
    from fusion_cli.earlier import Earlier
    from fusion_cli.outputs import Outputs
    from fusion_cli.plan import Plan
    from fusion_cli.results import AnalysisRun, AskRun
    from fusion_cli.terminal import Terminal

R = TypeVar("R", "AskRun", "AnalysisRun")


class Wishes(NamedTuple):
    """How the user wants it.

    Attributes:
        dry_run: Whether only to say what would be done.
        outputs: Where it goes, and in which forms.
        answers: Whether an outer model answers in the end.
    """

    dry_run: bool
    outputs: Outputs
    answers: bool


def launch(
    context: Context,
    story: Callable[..., Awaitable[R]],
    plan: Plan,
    errand: Errand,
    deliver: Callable[[R, bool, About], None],
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
    if plan.prompt.attachments:
        plan = addressed(plan, errand.asks, modalities(context, errand.asks), answers=wishes.answers)
    plan = plan._replace(warnings=(*plan.warnings, *misspelt(context, errand.asks)))
    if wishes.dry_run:
        from fusion_cli.dry_run import deliver_dry_run

        prices, unasked = context.quote(errand.asks)
        terminal = context.terminal
        as_json = wishes.outputs.form in (formats.JSON, formats.JSON_LINES)
        answers = wishes.answers
        deliver_dry_run(plan, prices, terminal, as_json=as_json, answers=answers, earlier=earlier, unasked=unasked)
        return
    if wishes.outputs.targets:
        wishes.outputs.spare(context.settings.own_files, context.settings.runs_dir)
    plan = plan._replace(waited_s=context.obtain_keys(errand.asks, plan.limits.deadline_s))
    delivery.announce(plan, context.terminal, errand.asks, answers=wishes.answers, earlier=earlier)
    outputs = wishes.outputs

    def deliver_everywhere(run: R, shown: bool, watch: Watch) -> None:
        outputs.is_delivered = True
        about = about_run(run, plan, errand.command, watch)
        with files_written(outputs, run, about, context.terminal):
            deliver(run, shown, about)

    context.carry_out(partial(story, earlier=earlier), plan, deliver_everywhere, errand, outputs)


def about_run(run: AskRun | AnalysisRun, plan: Plan, command: str, watch: Watch) -> About:
    """Return what a report tells of a run that has just ended."""
    facts = formats.facts_of(run, command, watch.at, watch.duration_s, delivery.what_it_took(run.usage))
    seats = [seat.label for seat in plan.panel]
    return About(plan.prompt.question, facts, watch.unfinished, watch.rows(), seats, watch.happened)


@contextmanager
def files_written(outputs: Outputs, run: AskRun | AnalysisRun, about: About, terminal: Terminal) -> Iterator[None]:
    """Write a run's files after all else, whatever becomes of that: what standard output gets is never lost for them.

    Raises:
        UnwrittenError: A file could not be written, and nothing else went wrong.
    """
    try:
        yield
    except BaseException:
        for error in outputs.write_files(run, about):
            terminal.note(f"fusion: {error}")
        raise
    errors = outputs.write_files(run, about)
    for error in errors[1:]:
        terminal.note(f"fusion: {error}")
    if errors:
        again = f"To write it again: fusion runs export {run.run} -o FILE" if run.run else ""
        raise UnwrittenError(str(errors[0]), hint=again)
