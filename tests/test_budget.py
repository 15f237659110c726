"""Promises of `budget`: what is refused, what is stopped, and how long a reply may be."""

import asyncio
import re

import pytest

from fusion_cli.budget import Budget, Purse, affordable_tokens
from fusion_cli.chat import ChatRequest, Message, ModelName, Price, ServerTool, Usage
from fusion_cli.costs import LEAST_TOKENS, Phase, estimate
from fusion_cli.errors import CostLimitError, UsageError
from fusion_cli.plan import WEB_FETCH, Plan, ToolChoice
from fusion_cli.spending import Held
from tests.story.scripted import ScriptedModels, plan

PRICE = Price(1e-6, 4e-6)
DEAR = Price(1e-5, 1e-4)
PHASES: tuple[tuple[Phase, str], ...] = (("panel", "ab"), ("judge", "j"), ("answer", "o"))


def priced(**by_slug: Price) -> ScriptedModels:
    """Return models at these prices, all others at the usual one."""
    models = ScriptedModels()
    models.prices = {**dict.fromkeys("abjo", PRICE), **by_slug}
    return models


def opened(max_cost: float | None, *, what: Plan | None = None, models: ScriptedModels | None = None) -> Purse:
    """Return a purse that has let the run begin."""
    purse = Purse((what or plan())._replace(max_cost=max_cost), models or priced())
    asyncio.run(purse.open(answers=True))
    return purse


def asked(slug: str, limit: int | None = 16_000, text: str = "", **more: object) -> ChatRequest:
    """Return a request with a prompt of some tokens."""
    return ChatRequest(ModelName("openrouter", slug), (Message("user", text or "x" * 24),), limit, **more)  # type: ignore[arg-type]


def admitted(purse: Purse, slug: str, **more: object) -> Held:
    """Put a request of this model through the purse."""
    return purse.admit(asked(slug, **more), slug)  # type: ignore[arg-type]


class TestBudget:
    """What is said before and between phases."""

    def test_the_low_end_decides(self) -> None:
        """A run that may be too expensive is begun, one that must be is refused with both ends and a way out."""
        whole = estimate(plan(), dict.fromkeys(plan().models, PRICE), answers=True)
        least, high = whole.least, whole.known_dollars.high
        Budget((least + high) / 2).refuse_if_over(whole)
        Budget(least).refuse_if_over(whole)
        with pytest.raises(
            CostLimitError, match=r"at least .* at most\), and may take \$0\.001: not started"
        ) as refused:
            Budget(0.001).refuse_if_over(whole)
        assert refused.value.exit_status == 5
        assert not isinstance(refused.value, UsageError)
        assert "--max-cost" in refused.value.hint

    def test_amounts_that_look_alike_are_told_apart(self) -> None:
        """Two sums of which one is said to be larger are shown with as many digits as it takes to see it."""
        whole = estimate(plan(), dict.fromkeys(plan().models, PRICE), answers=True)
        limit = whole.least - 0.000002
        with pytest.raises(CostLimitError) as refused:
            Budget(limit).refuse_if_over(whole)
        needed, _, allowed = re.findall(r"\$([0-9.]+[0-9])", str(refused.value))
        assert float(needed) > float(allowed)
        with pytest.raises(CostLimitError, match=r"^the run may take \$0\.0005 and the judge needs about \$0\.0006: "):
            Budget(0.0005).before_phase(["judge"], 0.0, 0.0006)

    @pytest.mark.parametrize(
        ("spent", "needed", "hint"),
        [
            (0.08, 0.05, "What is kept goes on with --resume, for up to another $0.10; --max-cost says how much."),
            (0.08, 0.5, "Raise --max-cost; what is kept goes on with --resume, and what is spent no longer counts."),
            (0.0, 0.5, "Raise --max-cost."),
        ],
    )
    def test_what_a_stopped_run_can_do(self, spent: float, needed: float, hint: str) -> None:
        """Who resumes begins a limit of its own: it is raised where that would be passed again, and only there."""
        with pytest.raises(CostLimitError) as stopped:
            Budget(0.1).before_phase(["judge"], spent, needed)
        assert stopped.value.hint == hint

    def test_unknown_prices_are_refused_unless_allowed(self) -> None:
        """Whose price is unknown is named; allowed, the known part is held to the limit all the same."""
        whole = estimate(plan(), {ModelName("openrouter", "o"): PRICE}, answers=True)
        with pytest.raises(UsageError, match=r": a, b, j$") as refused:
            Budget(1.0).refuse_if_over(whole)
        assert "--allow-unknown-cost" in refused.value.hint
        Budget(1.0, allow_unknown=True).refuse_if_over(whole)
        with pytest.raises(CostLimitError):
            Budget(1e-6, allow_unknown=True).refuse_if_over(whole)

    def test_a_phase_that_is_not_paid_for(self) -> None:
        """What is spent and what is needed is said, and how to go on."""
        Budget(0.5).before_phase(["judge"], 0.38, 0.12)
        with pytest.raises(
            CostLimitError, match=r"^\$0\.42 of \$0\.50 is spent and the judge needs about \$0\.12: "
        ) as end:
            Budget(0.5).before_phase(["judge"], 0.42, 0.12)
        assert "--resume" in end.value.hint
        with pytest.raises(CostLimitError, match="the panel, the judge and the answer need about"):
            Budget(0.5).before_phase(["panel", "judge", "answer"], 0.0, 0.6)

    @pytest.mark.parametrize(
        ("remaining", "wanted", "tokens"),
        [
            (1.0, 16_000, 16_000),
            (0.0011, 16_000, 250),
            (0.0005, 16_000, 100),
            (0.00049, 16_000, None),
            (0.00049, 90, 90),
            (0.0, 1, None),
            (-1.0, 16_000, None),
        ],
    )
    def test_how_long_a_reply_may_be(self, remaining: float, wanted: int, tokens: int | None) -> None:
        """As long as is wanted, else as long as is paid for; a reply that is too short to be one is none."""
        assert affordable_tokens(PRICE, 100, remaining, wanted, 100) == tokens

    def test_a_free_reply(self) -> None:
        """What costs nothing to write is as long as is wanted, if the prompt is paid for."""
        assert affordable_tokens(Price(1e-6, 0), 100, 0.001, 500, 100) == 500
        assert affordable_tokens(Price(1e-6, 0), 100, 0.00001, 500, 100) is None


class TestPurse:
    """What a run may still spend."""

    @pytest.mark.parametrize("tool_choice", ["required", "none"])
    def test_what_is_let_begin_is_let_go_on(self, tool_choice: ToolChoice) -> None:
        """A limit under which the run is not refused pays for its first phase, to the millionth of a dollar."""
        what = plan(tool_choice=tool_choice)
        least = estimate(what, dict.fromkeys(what.models, PRICE), answers=True).least
        opened(least, what=what).start("panel" if tool_choice == "required" else "consult")
        with pytest.raises(CostLimitError):
            opened(least - 1e-6, what=what)

    def test_without_a_limit_nothing_is_asked_or_held(self) -> None:
        """No price is looked up, and every request passes as it is."""

        class Priceless(ScriptedModels):
            async def price(self, model: ModelName) -> Price | None:
                raise AssertionError("nobody needs to know")

        purse = opened(None, models=Priceless())
        purse.start("panel")
        assert admitted(purse, "a") == Held(asked("a"))

    def test_what_is_plenty_changes_no_request(self) -> None:
        """A limit far away is not felt."""
        purse = opened(100.0)
        purse.start("panel")
        assert [admitted(purse, slug).request for slug in "ab"] == [asked("a"), asked("b")]
        assert admitted(purse, "a").less == ""

    @pytest.mark.parametrize("prices", [{}, {"b": DEAR}, {"j": DEAR}, {"o": DEAR}])
    @pytest.mark.parametrize("max_cost", [0.08, 0.1, 0.2, 0.5])
    def test_the_longest_replies_stay_within(self, prices: dict[str, Price], max_cost: float) -> None:
        """Whoever writes as much as it may, the judge and the answer are still paid for, and the limit is kept."""
        purse = opened(max_cost, models=priced(**prices))
        said: dict[str, str] = {}
        for phase, slugs in PHASES:
            purse.start(phase, said)
            read = "word" * (sum(map(len, said.values())) // 4 + 6)
            held = [admitted(purse, slug, text=read) for slug in slugs]
            for slug, each in zip(slugs, held, strict=True):
                tokens = each.request.max_completion_tokens or 0
                assert tokens >= LEAST_TOKENS[phase]
                purse.note(each, Usage(len(read) // 4, tokens))
                said[slug] = "word" * tokens
        assert 0 < purse.spent <= max_cost

    def test_seats_share_by_what_they_could_use(self) -> None:
        """The first to be asked does not take it all: two alike get the same, a dear one more dollars."""
        purse = opened(0.06)
        purse.start("panel")
        first, second = (admitted(purse, slug) for slug in "ab")
        assert first.request.max_completion_tokens == pytest.approx(second.request.max_completion_tokens, abs=2)
        assert LEAST_TOKENS["panel"] < (first.request.max_completion_tokens or 0) < 16_000
        assert "a reply of at most" in first.less
        purse = opened(0.5, models=priced(b=DEAR))
        purse.start("panel")
        cheap, dear = (admitted(purse, slug) for slug in "ab")
        assert cheap.dollars < dear.dollars

    def test_what_a_call_leaves_goes_back(self) -> None:
        """A refused call is free: what was set aside for it is there for the one that is made in its place."""
        purse = opened(0.06)
        purse.start("panel")
        refused, other = (admitted(purse, slug) for slug in "ab")
        purse.note(refused, None, is_free=True)
        again = admitted(purse, "a")
        assert again.request.max_completion_tokens == pytest.approx(refused.request.max_completion_tokens, abs=2)
        purse.note(other, Usage(10, 5, 15))
        assert purse.spent == pytest.approx(30e-6)

    def test_a_broken_call_is_taken_to_have_cost(self) -> None:
        """Where the server says nothing, what was sent and what had come is counted at its price."""
        purse = opened(1.0)
        purse.start("panel")
        purse.note(admitted(purse, "a"), None, text="x" * 300)
        assert purse.spent == pytest.approx(10e-6 + 400e-6, rel=0.2)

    def test_web_tools_give_way_before_the_reply(self) -> None:
        """Steps that cannot be paid for are not offered, and that is said."""
        tools = (ServerTool(WEB_FETCH),)
        what = plan()._replace(tools=tools)
        few, none = (opened(limit, what=what) for limit in (0.09, 0.012))
        for purse, fewest, most in ((few, 1, 3), (none, 0, 0)):
            purse.start("panel")
            held = admitted(purse, "a", server_tools=tools, max_tool_calls=4)
            assert fewest <= (held.request.max_tool_calls or 0) <= most
            assert bool(held.request.server_tools) is (fewest > 0)
            assert "web tools" in held.less

    def test_unknown_models_pass(self) -> None:
        """Allowed, a model without a price is held to nothing, and what its server says of cost still counts."""
        what = plan()._replace(allow_unknown_cost=True)
        models = ScriptedModels()
        purse = opened(0.5, what=what, models=models)
        purse.start("panel")
        held = admitted(purse, "a")
        assert held == Held(asked("a"))
        purse.note(held, Usage(10, 5, 15, cost=0.6))
        with pytest.raises(CostLimitError, match=r"\$0\.60 of \$0\.50 is spent"):
            purse.start("judge", {"a": "now"})

    def test_a_call_too_many(self) -> None:
        """What no phase has counted on is made only if it can be paid for."""
        purse = opened(0.06)
        purse.start("panel")
        first, second = (admitted(purse, slug) for slug in "ab")
        purse.note(first, Usage(10, 5, 15, cost=0.0599))
        purse.note(second, Usage(10, 5, 15))
        with pytest.raises(CostLimitError, match=r"a needs about .* not asked"):
            admitted(purse, "a")
