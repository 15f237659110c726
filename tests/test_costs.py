"""Promises of `costs`: what a plan may take, from the least that is likely to the most that is allowed."""

import pytest

from fusion_cli.chat import ModelName, Price, ServerTool, Usage
from fusion_cli.costs import (
    ANSWER_TOKENS,
    LEAST_TOKENS,
    WEB_STEP_TOKENS,
    Count,
    Dollars,
    Estimate,
    cost_of,
    estimate,
)
from fusion_cli.dollars import shown_dollars
from fusion_cli.plan import WEB_FETCH, WEB_SEARCH, Plan, Prompt
from tests.story.scripted import plan

PRICE = Price(1e-6, 4e-6)


def priced(what: Plan, price: Price | None = PRICE) -> dict[ModelName, Price | None]:
    """Return one price for all models of a plan."""
    return dict.fromkeys(what.models, price)


def of(what: Plan, *, answers: bool = True, price: Price | None = PRICE, **more: object) -> Estimate:
    """Return a plan's estimate, all its models at one price."""
    return estimate(what, priced(what, price), answers=answers, **more)  # type: ignore[arg-type]


def phases(whole: Estimate) -> list[tuple[str, str, Count]]:
    """Return who is asked in each phase, and how often."""
    return [(row.phase, row.label, row.calls) for row in whole.rows]


class TestWhoIsAsked:
    """The rows of each command's plan."""

    def test_a_convened_panel(self) -> None:
        """Each panelist and the answer is one call; the judge may be asked once more."""
        assert phases(of(plan())) == [
            ("panel", "a", Count(1, 1)),
            ("panel", "b", Count(1, 1)),
            ("judge", "j", Count(1, 2)),
            ("answer", "o", Count(1, 1)),
        ]
        assert [row.role for row in of(plan()).rows] == ["panel", "panel", "judge", "outer"]

    def test_the_outer_model_decides(self) -> None:
        """At best it answers alone, in one call that costs what the whole does; at worst everybody is asked."""
        whole = of(plan(tool_choice="auto"))
        assert whole.calls == Count(1, 6)
        assert whole.dollars
        assert whole.rows[0].dollars
        assert whole.dollars.low == whole.rows[0].dollars.low > 0
        assert whole.prompt_tokens.low == whole.rows[0].prompt_tokens.low

    def test_the_outer_model_alone(self) -> None:
        """Without a panel there is one call."""
        assert phases(of(plan(tool_choice="none"))) == [("consult", "o", Count(1, 1))]

    def test_without_an_outer_model(self) -> None:
        """`analyze` ends with the judge."""
        assert [row.phase for row in of(plan(), answers=False).rows] == ["panel", "panel", "judge"]

    def test_responses_that_exist_cost_nothing_but_their_reading(self) -> None:
        """A seat that has answered is not asked, and its text stands in what the judge reads; it may be all of them."""
        what = plan(tool_choice="none")
        long, short = ({"a": "x " * size, "b": "y"} for size in (9000, 10))
        (judge,) = of(what, answers=False, known=long).rows
        (less,) = of(what, answers=False, known=short).rows
        assert judge.phase == "judge"
        assert judge.prompt_tokens.low - less.prompt_tokens.low == (18000 - 20) // 4
        assert phases(of(plan(tool_choice="auto"), known={"a": "now"}))[0] == ("panel", "b", Count(1, 1))

    def test_an_analysis_that_exists(self) -> None:
        """Another writer for a judged run is one call."""
        assert [row.phase for row in of(plan(), known={"a": "x", "b": "y"}, is_judged=True).rows] == ["answer"]

    def test_a_second_look(self) -> None:
        """The judge is asked twice, each time perhaps once more; a single response has one order only."""
        assert of(plan()._replace(second_look=True)).rows[2].calls == Count(2, 4)
        assert of(plan("a")._replace(second_look=True)).rows[1].calls == Count(1, 2)


class TestTokens:
    """How long prompts and replies are taken to be."""

    def test_replies(self) -> None:
        """At least a short text, at most what its limit allows; an answer without one is taken to have some."""
        panel, _, judge, answer = of(plan()).rows
        assert panel.completion_tokens == (LEAST_TOKENS["panel"], 16_000)
        assert judge.completion_tokens == (LEAST_TOKENS["judge"], 32_000)
        assert answer.completion_tokens == (LEAST_TOKENS["answer"], ANSWER_TOKENS)
        what = plan()._replace(answer_max_completion_tokens=77)
        assert of(what).rows[-1].completion_tokens == (77, 77)

    def test_the_prompt_is_counted_from_both_sides(self) -> None:
        """What is sent lies within: four characters a token are likely, three bytes are hardly exceeded."""
        what = plan()._replace(prompt=Prompt("word " * 2400))
        assert of(what).rows[0].prompt_tokens == (3000, 4000)

    def test_later_phases_read_what_earlier_ones_write(self) -> None:
        """The judge reads all responses, the outer model also the analysis."""
        few, many = of(plan("a")), of(plan("a", "b", "c"))
        judges = [whole.rows[-2].prompt_tokens for whole in (few, many)]
        assert judges[1].low - judges[0].low >= 2 * LEAST_TOKENS["panel"]
        assert judges[1].high - judges[0].high >= 2 * (16_000 * 2)
        answer = many.rows[-1].prompt_tokens
        assert answer.low > 3 * LEAST_TOKENS["panel"] + LEAST_TOKENS["judge"]
        assert answer.high > 4 * 16_000

    def test_web_tools_raise_the_high_end_alone(self) -> None:
        """Each step is read again in every later one; who has no tools has no steps."""
        tools = (ServerTool(WEB_SEARCH), ServerTool(WEB_FETCH))
        bare, equipped = (of(plan()._replace(tools=each, max_tool_calls=2)) for each in ((), tools))
        for without, having in zip(bare.rows[:3], equipped.rows[:3], strict=True):
            assert having.prompt_tokens.low == without.prompt_tokens.low
            assert having.prompt_tokens.high - without.prompt_tokens.high >= 3 * WEB_STEP_TOKENS
            assert having.tools == ("web_search", "web_fetch")
            assert having.dollars
            assert without.dollars
            assert having.dollars.low == without.dollars.low
        assert bare.rows[3] == equipped.rows[3]


class TestDollars:
    """What it costs."""

    def test_tokens_times_price(self) -> None:
        """Both ends are the tokens at their prices, and each call's own price."""
        row = of(plan("a"), price=Price(1e-6, 4e-6, 0.5)).rows[0]
        low, high = (
            tokens_in * 1e-6 + tokens_out * 4e-6 + 0.5
            for tokens_in, tokens_out in zip(row.prompt_tokens, row.completion_tokens, strict=True)
        )
        assert row.dollars == pytest.approx(Dollars(low, high))

    def test_one_unknown_price_makes_the_whole_unknown(self) -> None:
        """A part does not pass for the whole; who is unknown is told once."""
        what = plan("a", "b", "a")
        prices = {**priced(what), ModelName("openrouter", "a"): None}
        whole = estimate(what, prices, answers=True)
        assert whole.dollars is None
        assert whole.unknown == (ModelName("openrouter", "a"),)
        assert 0 < whole.known_dollars.low < whole.known_dollars.high

    def test_embedded_models_are_free(self) -> None:
        """Nobody has to say so."""
        assert estimate(plan(provider="local"), {}, answers=True).dollars == Dollars(0, 0)

    @pytest.mark.parametrize(
        ("usage", "price", "cost"),
        [
            (Usage(10, 5, 15, cost=0.25), PRICE, 0.25),
            (Usage(10, 5, 15, cost=0.0), PRICE, 0.0),
            (Usage(10, 5, 15), PRICE, 30e-6),
            (Usage(10, 5, 15), Price(0, 0, 0.01), 0.01),
            (Usage(10, 5, 15), None, None),
            (Usage(10, None, 15), PRICE, None),
            (Usage(), PRICE, None),
            (Usage(), Price(0, 0), 0.0),
        ],
    )
    def test_a_call(self, usage: Usage, price: Price | None, cost: float | None) -> None:
        """The server's word counts first, then tokens at their price; without either it is unknown, and not 0."""
        assert cost_of(usage, price) == pytest.approx(cost)

    @pytest.mark.parametrize(
        ("dollars", "shown"),
        [
            (0, "$0.00"),
            (0.00001, "<$0.0001"),
            (0.0712, "$0.0712"),
            (0.5, "$0.50"),
            (0.125, "$0.125"),
            (1234.5, "$1,234.50"),
        ],
    )
    def test_how_it_is_shown(self, dollars: float, shown: str) -> None:
        """Small sums keep their digits, round ones do not trail zeros, and what is little is not nothing."""
        assert shown_dollars(dollars) == shown
