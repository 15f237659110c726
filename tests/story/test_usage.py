"""What a run says that it took: tokens and dollars, of all calls and of each role, as servers or prices say."""

import asyncio

import pytest

from fusion_cli import pipeline
from fusion_cli.chat import ModelName, Price
from fusion_cli.delivery import what_it_took
from fusion_cli.errors import ServerFailedError
from fusion_cli.plan import Limits
from fusion_cli.results import AnalysisRun, AskRun
from tests.story.scripted import JUDGE_REPLY, ScriptedModels, Seen, plan, says


def scripted(*, panel: float | None = None, judge: float | None = None, outer: float | None = None) -> ScriptedModels:
    """Return models that answer, their servers naming these costs."""
    models = ScriptedModels().script("panel", "a", says("now", cost=panel)).script("panel", "b", says("la", cost=panel))
    return models.script("judge", "j", says(JUDGE_REPLY, cost=judge)).script("outer", "o", says("x", cost=outer))


def asked(models: ScriptedModels, *, provider: str = "openrouter") -> AskRun:
    """Return an `ask` run that convened the panel."""
    with models:
        return asyncio.run(pipeline.ask(plan(provider=provider), models, Seen()))


def analyzed(models: ScriptedModels) -> AnalysisRun:
    """Return an `analyze` run."""
    with models:
        return asyncio.run(pipeline.analyze(plan(), models, Seen()))


def test_prices_fill_in_what_servers_do_not_say() -> None:
    """Tokens times price where no cost is named; what a server names stands."""
    models = scripted(judge=0.25)
    models.prices = dict.fromkeys("abjo", Price(0.001, 0.01))
    run = asked(models)
    assert [call.usage and call.usage.cost for call in run.calls] == pytest.approx([0.06, 0.06, 0.25, 0.06])
    assert run.usage.cost == pytest.approx(0.43)
    assert run.usage.by_role.panel
    assert run.usage.by_role.panel.cost == pytest.approx(0.12)
    assert what_it_took(run.usage) == "60 tokens, $0.43 (panel $0.12, judge $0.25, answer $0.06)"


def test_a_price_is_asked_for_once_and_where_it_is_missing() -> None:
    """Whose server names costs needs no price; a model that sits twice is asked about once."""

    class Counting(ScriptedModels):
        async def price(self, model: ModelName) -> Price | None:
            looked_up.append(model.slug)
            return None

    looked_up: list[str] = []
    models = Counting().script("panel", "a", says("now", cost=None), says("later", cost=None))
    models.script("judge", "j", says(JUDGE_REPLY, cost=0.1)).script("outer", "o", says("x", cost=0.1))
    with models:
        asyncio.run(pipeline.ask(plan("a", "a")._replace(seed=1), models, Seen()))
    assert looked_up == ["a"]


def test_a_price_is_not_waited_for_beyond_the_deadline() -> None:
    """A server that never lists its models costs the dollars, and neither the answer nor more time than there is."""

    class Silent(ScriptedModels):
        async def price(self, model: ModelName) -> Price | None:
            await asyncio.sleep(10)
            waited_for.append(model.slug)
            return None

    waited_for: list[str] = []
    models = Silent().script("panel", "a", says("now", cost=None)).script("judge", "j", says(JUDGE_REPLY))
    models.script("outer", "o", says("x"))
    with models:
        run = asyncio.run(pipeline.ask(plan("a")._replace(limits=Limits(deadline_s=0.3)), models, Seen()))
    assert waited_for == []
    assert (run.answer, run.cause, run.usage.cost) == ("x", None, None)


def test_unknown_stays_unknown_and_is_said() -> None:
    """A role whose price nobody knows is null, and so is the whole; what is known of the others is said."""
    models = scripted(panel=0.25)
    run = asked(models)
    assert run.usage.cost is None
    assert run.usage.by_role.judge
    assert run.usage.by_role.judge.cost is None
    assert what_it_took(run.usage) == "60 tokens, cost unknown (panel $0.50, judge unknown, answer unknown)"
    assert what_it_took(asked(scripted()).usage) == "60 tokens, cost unknown"


def test_embedded_models_cost_nothing() -> None:
    """That is known without asking anybody."""
    run = asked(scripted(), provider="local")
    assert run.usage.cost == 0
    assert what_it_took(run.usage) == "60 tokens, $0.00"


def test_a_role_that_was_not_asked_is_null() -> None:
    """Without an outer model there is nothing to say of it; one role alone is the whole."""
    run = analyzed(
        ScriptedModels()
        .script("panel", "a", ServerFailedError("x"))
        .script("panel", "b", says("y"))
        .script("judge", "j", says(JUDGE_REPLY))
    )
    assert run.usage.by_role.outer is None
    assert run.usage.by_role.judge
    assert run.usage.by_role.judge.cost == 0.5
    models = ScriptedModels().script("outer", "o", says("x"))
    with models:
        alone = asyncio.run(pipeline.ask(plan(tool_choice="none"), models, Seen()))
    assert what_it_took(alone.usage) == "15 tokens, $0.50"


def test_prices_that_break_cost_no_answer() -> None:
    """Whatever goes wrong while prices are looked up, the run is whole, and its cost unknown."""

    class Broken(ScriptedModels):
        async def price(self, model: ModelName) -> Price | None:
            raise ZeroDivisionError("oops")

    models = Broken().script("outer", "o", says("x", cost=None))
    with models:
        run = asyncio.run(pipeline.ask(plan(tool_choice="none"), models, Seen()))
    assert (run.status, run.answer, run.usage.cost) == ("ok", "x", None)


def test_interrupted_while_prices_are_looked_up() -> None:
    """An answer that is there is not lost to an impatient user."""

    class Slow(ScriptedModels):
        async def price(self, model: ModelName) -> Price | None:
            self.hanging.set()
            await asyncio.Event().wait()
            return None

    async def story() -> AskRun:
        models = Slow().script("outer", "o", says("x", cost=None))
        task = asyncio.create_task(pipeline.ask(plan(tool_choice="none"), models, Seen()))
        await models.hanging.wait()
        task.cancel()
        return await task

    run = asyncio.run(story())
    assert (run.status, run.answer, run.usage.cost) == ("ok", "x", None)
