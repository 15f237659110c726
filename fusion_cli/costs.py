"""What a run's calls may take, in tokens and US dollars: from the least that is likely to the most that is allowed.

Pure: prices and prompts are handed in, and nothing is sent. The low end leaves out what a run may do without (the panel
where the outer model decides, web tools, a second try); at the high end everybody writes up to its limit.
"""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

from fusion_cli import attachments, prompts
from fusion_cli.chat import Message, ModelName, Price
from fusion_cli.fitting import estimated_tokens
from fusion_cli.plan import DEFAULT_MAX_COMPLETION_TOKENS, WEB_SEARCH, Panelist, Plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fusion_cli.chat import Usage
    from fusion_cli.earlier import Earlier

Phase = Literal["consult", "panel", "judge", "answer"]
Prices = Mapping[ModelName, Price | None]

# Shorter replies are rare: a question that is worth a panel has no answer of two sentences, an analysis has five lists.
# They are chosen low, as a run is refused by them.
LEAST_TOKENS: Mapping[Phase, int] = MappingProxyType({"consult": 50, "panel": 300, "judge": 400, "answer": 300})
ANSWER_TOKENS = DEFAULT_MAX_COMPLETION_TOKENS  # what an answer without a limit is taken to have at most
WEB_STEP_TOKENS = 5_000  # what one step with web tools adds to what its model reads: some results, or half a page
_STEP_CALL_TOKENS = 100  # what its model writes for it
_SEARCH_DOLLARS = 0.02  # what OpenRouter takes for a search of five results
_REPAIR_TOKENS = 1_500  # the reply that was no analysis, and what is said of it
_REWORDED_TOKENS = 1_000  # what the outer model's question may have more than the user's
_FRAME_TOKENS = 60  # names and marks around one response in the tool result
_FENCE = "=====[0123456789abcdef]"  # as long as a real one
_CHARS_PER_TOKEN = 4
CAREFUL = 1.4  # a written token is as many where its text is counted safely
_FREE = Price(0.0, 0.0)


class Count(NamedTuple):
    """A whole number from its low to its high end."""

    low: int
    high: int


_NOTHING = Count(0, 0)


class Dollars(NamedTuple):
    """US dollars from the low to the high end."""

    low: float
    high: float


class Row(NamedTuple):
    """What one seat, the judge or the outer model may take in one phase.

    Attributes:
        label: What the run calls it.
        calls: To its model, as the run's record counts them; steps with tools are within a call.
        dollars: None when its model's price is unknown.
        needed: What has to be left before it is started: the prompt counted safely, and a short reply.
        tools: The names of the web tools that it is offered.
    """

    phase: Phase
    label: str
    model: ModelName
    calls: Count
    prompt_tokens: Count
    completion_tokens: Count
    dollars: Dollars | None
    needed: float | None
    tools: tuple[str, ...] = ()

    @property
    def role(self) -> Literal["outer", "panel", "judge"]:
        """Who it plays, as the record says it."""
        return self.phase if self.phase in ("panel", "judge") else "outer"


class Estimate(NamedTuple):
    """What a plan may take, row by row in the order of the run."""

    rows: tuple[Row, ...]

    @property
    def calls(self) -> Count:
        """All calls."""
        return _sum(row.calls for row in self.rows)

    @property
    def prompt_tokens(self) -> Count:
        """All that is read."""
        return _sum(row.prompt_tokens for row in self.rows)

    @property
    def completion_tokens(self) -> Count:
        """All that is written."""
        return _sum(row.completion_tokens for row in self.rows)

    @property
    def dollars(self) -> Dollars | None:
        """The whole; None when a part of it is unknown."""
        return None if self.unknown else self.known_dollars

    @property
    def known_dollars(self) -> Dollars:
        """The sum of what is known."""
        known = [row.dollars for row in self.rows if row.dollars]
        return Dollars(sum(each.low for each in known), sum(each.high for each in known))

    @property
    def unknown(self) -> tuple[ModelName, ...]:
        """The models whose price is unknown, each once."""
        return tuple(dict.fromkeys(row.model for row in self.rows if row.dollars is None))

    @property
    def least(self) -> float:
        """What has to be there before the run begins: for all that it is sure to do, as far as it is known."""
        return sum(row.needed or 0.0 for row in self.rows if row.calls.low)

    def needed(self, *phases: Phase) -> float:
        """Return what has to be left for these phases, as far as it is known."""
        return sum(row.needed or 0.0 for row in self.rows if row.phase in phases)


def estimate_of(plan: Plan, prices: Prices, earlier: Earlier | None, *, answers: bool) -> Estimate:
    """Return what a plan may take where an earlier run has brought a part of it; see `estimate`."""
    if earlier is None:
        return estimate(plan, prices, answers=answers)
    if earlier.is_whole(plan) and answers:
        return Estimate(())
    known = earlier.texts()
    return estimate(plan, prices, answers=answers, known=known, is_judged=earlier.needs_no_judge(plan))


def estimate(
    plan: Plan,
    prices: Prices,
    *,
    answers: bool,
    known: Mapping[str, str] = MappingProxyType({}),
    is_judged: bool = False,
) -> Estimate:
    """Return what a plan may take.

    Args:
        plan: What is going to be done.
        prices: What each model costs; one that is missing is unknown, and the embedded ones are free.
        answers: Whether an outer model answers in the end (`ask`).
        known: Responses that exist already, by label: those seats are not asked.
        is_judged: Whether an analysis exists already.
    """
    decides = answers and plan.tool_choice == "auto" and not known
    rows = []
    if answers and (decides or plan.tool_choice == "none"):
        rows.append(_consult_row(plan, prices, decides=decides))
    if not answers or plan.tool_choice != "none":
        met = [_panel_row(plan, seat, prices, decides) for seat in plan.panel if seat.label not in known]
        if not is_judged:
            met.append(_judge_row(plan, prices, known, decides))
        if answers:
            met.append(_answer_row(plan, prices, known, decides))
        rows += [_perhaps(row) for row in met] if decides else met
    return Estimate(tuple(rows))


def cost_of(usage: Usage, price: Price | None) -> float | None:
    """Return what a call cost: as its server says, or else by its tokens; None when nobody knows."""
    if usage.cost is not None:
        return usage.cost
    if price is None:
        return None
    if not any(price):
        return 0.0
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    return usage.prompt_tokens * price.prompt + usage.completion_tokens * price.completion + price.request


def price_of(model: ModelName, prices: Prices) -> Price | None:
    """Return what a model costs; the embedded ones are free, whoever was asked."""
    return _FREE if model.is_local else prices.get(model)


def prompt_count(messages: Sequence[Message], more: object = None) -> Count:
    """Return how many tokens messages have, with what else is sent as JSON: likely at least, and hardly more."""
    texts = [message.content for message in messages] + ([json.dumps(more)] if more else [])
    low, high = attachments.tokens([each for message in messages for each in message.attachments])
    return Count(sum(map(len, texts)) // _CHARS_PER_TOKEN + low, sum(map(estimated_tokens, texts)) + high)


def in_steps(prompt: int, steps: int) -> tuple[int, int]:
    """Return what is read and written for tools in so many steps: every turn reads again what was there before it."""
    read = prompt * (steps + 1) + WEB_STEP_TOKENS * steps * (steps + 1) // 2
    return read, _STEP_CALL_TOKENS * steps


def _consult_row(plan: Plan, prices: Prices, *, decides: bool) -> Row:
    asked = _conversation(plan)
    prompt = prompt_count(asked, prompts.FUSION_TOOL if decides else None)
    return _row("consult", plan.outer.slug, plan.outer, prices, prompt, plan.answer_max_completion_tokens)


def _panel_row(plan: Plan, seat: Panelist, prices: Prices, decides: bool) -> Row:
    prompt = prompt_count(prompts.question_messages(plan.prompt.text(), seat.system, plan.prompt.attachments))
    if decides:
        prompt = prompt._replace(high=prompt.high + _REWORDED_TOKENS)
    return _row("panel", seat.label, seat.model, prices, prompt, seat.max_completion_tokens, plan)


def _judge_row(plan: Plan, prices: Prices, known: Mapping[str, str], decides: bool) -> Row:
    read = {letter: known.get(seat.label, "") for letter, seat in zip(string.ascii_uppercase, plan.panel, strict=False)}
    schema = prompts.analysis_schema(list(read), small_model=plan.judge.is_local, quotes=plan.quotes).schema
    asked = prompts.judge_messages(
        _FENCE, plan.prompt.text(), read, 0, quotes=plan.quotes, attachments=plan.judge_attachments
    )
    prompt = prompt_count(asked, schema)
    unwritten = _unwritten(plan, known, more=_REWORDED_TOKENS if decides else 0)
    looks = 2 if plan.second_look and len(plan.panel) > 1 else 1
    limit = plan.judge_max_completion_tokens
    return _row("judge", plan.judge.slug, plan.judge, prices, prompt, limit, plan, unwritten=unwritten, looks=looks)


def _answer_row(plan: Plan, prices: Prices, known: Mapping[str, str], decides: bool) -> Row:
    call = prompts.forced_call(plan.prompt.question)
    told = [Message("system", prompts.ANSWER_FROM_RESULT), Message("assistant", call.arguments)]
    told += [Message("tool", known[seat.label]) for seat in plan.panel if seat.label in known]
    judged = plan.judge_max_completion_tokens or ANSWER_TOKENS
    prompt = prompt_count([*_conversation(plan), *told], prompts.FUSION_TOOL)
    prompt = prompt._replace(high=prompt.high + _FRAME_TOKENS * len(plan.panel))
    analysis = Count(min(LEAST_TOKENS["judge"], judged), judged)
    unwritten = _sum([analysis, _unwritten(plan, known, more=_REWORDED_TOKENS if decides else 0)])
    limit = plan.answer_max_completion_tokens
    return _row("answer", plan.outer.slug, plan.outer, prices, prompt, limit, unwritten=unwritten)


def _conversation(plan: Plan) -> tuple[Message, ...]:
    return plan.conversation or prompts.question_messages(plan.prompt.text(), plan.system, plan.prompt.attachments)


def _unwritten(plan: Plan, known: Mapping[str, str], *, more: int) -> Count:
    """Return how long those responses will be that nobody has written yet; `more` may come to it."""
    limits = [seat.max_completion_tokens or ANSWER_TOKENS for seat in plan.panel if seat.label not in known]
    return Count(sum(min(LEAST_TOKENS["panel"], limit) for limit in limits), sum(limits) + more)


def _row(
    phase: Phase,
    label: str,
    model: ModelName,
    prices: Prices,
    prompt: Count,
    limit: int | None,
    tools_of: Plan | None = None,
    *,
    unwritten: Count = _NOTHING,
    looks: int = 1,
) -> Row:
    """Return a row of `looks` calls that read this prompt and what others will have written.

    A judge's calls may each be made once more.
    """
    tools = tools_of.tools_for(model) if tools_of else ()
    steps = tools_of.max_tool_calls if tools_of and tools else 0
    most = limit or ANSWER_TOKENS
    least = min(LEAST_TOKENS[phase], most)
    sure = prompt.high + _FRAME_TOKENS + int(CAREFUL * unwritten.low)
    prompt = _sum([prompt, unwritten])
    read, called = in_steps(prompt.high, steps)
    repair = prompt.high + _REPAIR_TOKENS if phase == "judge" else 0
    requests = looks * (steps + 1 + (1 if repair else 0))
    tokens_in = Count(looks * prompt.low, looks * (read + repair))
    tokens_out = Count(looks * least, looks * (called + most * (2 if repair else 1)))
    price = price_of(model, prices)
    dollars = needed = None
    if price:
        searches = steps * looks if model.has_server_tools and any(tool.type == WEB_SEARCH for tool in tools) else 0
        dollars = Dollars(
            _paid(price, tokens_in.low, tokens_out.low, looks),
            _paid(price, tokens_in.high, tokens_out.high, requests) + searches * _SEARCH_DOLLARS,
        )
        needed = _paid(price, looks * sure, tokens_out.low, looks)
    calls = Count(looks, 2 * looks if repair else looks)
    names = tuple(dict.fromkeys(tool.type.rpartition(":")[2] for tool in tools))
    return Row(phase, label, model, calls, tokens_in, tokens_out, dollars, needed, names)


def _paid(price: Price, tokens_in: int, tokens_out: int, requests: int) -> float:
    return tokens_in * price.prompt + tokens_out * price.completion + requests * price.request


def _perhaps(row: Row) -> Row:
    """Return a row that may not come about at all."""
    return row._replace(
        calls=row.calls._replace(low=0),
        prompt_tokens=row.prompt_tokens._replace(low=0),
        completion_tokens=row.completion_tokens._replace(low=0),
        dollars=row.dollars and row.dollars._replace(low=0.0),
    )


def _sum(counts: Iterable[Count]) -> Count:
    rows = list(counts)
    return Count(sum(row.low for row in rows), sum(row.high for row in rows))
