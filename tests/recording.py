"""Records scripted runs in journals, as `context` does, and lets them be killed at the end of their story."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from fusion_cli import pipeline
from fusion_cli.chat import Usage
from fusion_cli.choices import Choices
from fusion_cli.earlier import Earlier
from fusion_cli.events import Emit, PanelCompleted, RunCompleted
from fusion_cli.plan import Plan
from fusion_cli.results import AnalysisRun, AskRun
from fusion_cli.sinks.journal import Journal
from tests.story.scripted import JUDGE_REPLY, ScriptedModels, panel_of_two, plan, says

Story = Callable[[Plan, ScriptedModels, Emit], Awaitable[AskRun | AnalysisRun]]


def _judge(what: Plan, models: ScriptedModels, emit: Emit) -> Awaitable[AnalysisRun]:
    """Judge what an earlier run's panel of three said, of whom one has no seat."""
    said = {seat.label: PanelCompleted(seat.label, seat.label, "now", 1.0, Usage(), False) for seat in what.panel}
    return pipeline.judge_responses(what, models, emit, Earlier("earlier", responses=said), 1)


STORIES: dict[str, Story] = {"ask": pipeline.ask, "analyze": pipeline.analyze, "judge": _judge}


class Recorded(NamedTuple):
    """A run, and the file that it was kept in."""

    run: AskRun | AnalysisRun
    path: Path


def happy(answer: str = "the answer") -> ScriptedModels:
    """Return models of whom all do what they should."""
    return panel_of_two().script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", says(answer))


def record(
    folder: Path,
    models: ScriptedModels | None = None,
    what: Plan | None = None,
    *,
    command: str = "ask",
    choices: Choices | None = None,
    parent: str | None = None,
    is_killed: bool = False,
) -> Recorded:
    """Run a story to its end, in a journal.

    Args:
        folder: Where the journal goes.
        models: Whom to ask; a run that one of them hangs in is cancelled then.
        what: The plan.
        command: ask, analyze or judge.
        choices: What was chosen explicitly.
        parent: What it takes up.
        is_killed: Whether the process ends before it can say that the run did.
    """
    models = models or happy()
    what = what or plan()
    told: list[str] = []
    journal = Journal(folder, command, what, choices or Choices(), parent, told.append)

    async def tell() -> AskRun | AnalysisRun:
        async def story() -> AskRun | AnalysisRun:
            return await STORIES[command](what, models, journal)

        task = asyncio.create_task(story())
        hanging = asyncio.create_task(models.hanging.wait())
        await asyncio.wait((task, hanging), return_when=asyncio.FIRST_COMPLETED)
        hanging.cancel()
        task.cancel()  # does nothing to one that has ended
        return await task

    with models:
        run = asyncio.run(tell()).model_copy(update={"run": journal.run})
    if not is_killed:
        journal(RunCompleted(run))
    journal.close()
    assert told == []
    return Recorded(run, journal.path)
