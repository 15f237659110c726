"""How a run keeps within `--max-cost`: refused at once, stopped before a phase, or held to shorter replies.

Owns what is spent and what is set aside for calls in flight. Prices are asked for once, before the run; makes no call.
"""

from __future__ import annotations

import asyncio
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from fusion_cli.costs import (
    ANSWER_TOKENS,
    CAREFUL,
    LEAST_TOKENS,
    Estimate,
    Phase,
    Row,
    cost_of,
    estimate,
    estimate_of,
    in_steps,
    price_of,
    prompt_count,
)
from fusion_cli.counts import count
from fusion_cli.dollars import digits_apart, shown_dollars
from fusion_cli.errors import CostLimitError, UnreachableError, UsageError
from fusion_cli.fitting import estimated_tokens
from fusion_cli.spending import Held

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fusion_cli.chat import ChatRequest, ModelClient, ModelName, Price, Usage
    from fusion_cli.earlier import Earlier
    from fusion_cli.plan import Plan

_WHO: Mapping[Phase, str] = {
    "consult": "the outer model",
    "panel": "the panel",
    "judge": "the judge",
    "answer": "the answer",
}
_CALLED: Mapping[Phase, str] = {
    "consult": "the outer model {}",
    "panel": "the panelist {}",
    "judge": "the judge {}",
    "answer": "the answer by {}",
}
_LATER: Mapping[Phase, tuple[Phase, ...]] = {
    "consult": (),
    "panel": ("judge", "answer"),
    "judge": ("answer",),
    "answer": (),
}
_SLACK = 1e-9  # sums of floats


class Budget(NamedTuple):
    """What a run may cost, in US dollars."""

    max_cost: float
    allow_unknown: bool = False

    def refuse_if_over(self, whole: Estimate, unasked: Sequence[str] = ()) -> None:
        """Refuse a run that cannot keep within its limit.

        Args:
            whole: What it may take.
            unasked: Why prices could not be asked for, a reason each.

        Raises:
            UnreachableError: A price is unknown, as whoever says could not be asked.
            UsageError: A price is unknown, so that nobody can say.
            CostLimitError: What has to be there at the least is over the limit.
        """
        if whole.unknown and not self.allow_unknown:
            names = ", ".join(model.shown for model in whole.unknown)
            hint = "--allow-unknown-cost goes on all the same, and counts only what is known."
            said = "a limit of cost cannot be kept, as"
            if unasked:
                raise UnreachableError(f"{said} {'; '.join(unasked)}", hint=hint)
            raise UsageError(f"{said} these models' prices are unknown: {names}", hint=hint)
        low, high = whole.least, whole.known_dollars.high
        if low > self.max_cost + _SLACK:
            digits = digits_apart(low, self.max_cost)
            raise CostLimitError(
                f"the run needs about {shown_dollars(low, digits)} at least ({shown_dollars(max(low, high), digits)} "
                f"at most), and may take {shown_dollars(self.max_cost, digits)}: not started",
                hint="Raise --max-cost, or choose a smaller or cheaper panel.",
            )

    def before_phase(self, phases: Sequence[Phase], spent: float, needed: float) -> None:
        """Stop before a phase that is not paid for by what is left, or is, but then what has to follow it is not.

        Args:
            phases: The one that is to come, and those after it.
            spent: What the run has cost so far.
            needed: What all of these need.

        Raises:
            CostLimitError: It is not.
        """
        if spent + needed > self.max_cost + _SLACK:
            raise self.stopped(spent, _all_need(phases), needed, "started")

    def stopped(self, spent: float, who: str, needed: float, what: str) -> CostLimitError:
        """Return what is said when what is left does not pay for what is next."""
        digits = digits_apart(spent + needed, self.max_cost)
        limit = shown_dollars(self.max_cost, digits)
        so_far = f"{shown_dollars(spent, digits)} of {limit} is spent" if spent else f"the run may take {limit}"
        return CostLimitError(
            f"{so_far} and {who} about {shown_dollars(needed, digits)}: not {what}",
            hint="Raise --max-cost; a run of which something is kept goes on with --resume.",
        )


def _all_need(phases: Sequence[Phase]) -> str:
    *others, last = (_WHO[phase] for phase in phases)
    return f"{', '.join(others)} and {last} need" if others else f"{last} needs"


def affordable_tokens(price: Price, prompt_tokens: int, remaining: float, wanted: int, least: int) -> int | None:
    """Return how long a reply may be so that its call takes no more than `remaining` dollars; at most `wanted` tokens.

    None when that is less than `least`, or than `wanted` where even less is wanted.
    """
    room = remaining - prompt_tokens * price.prompt - price.request + _SLACK
    if room < 0:
        return None
    tokens = min(wanted, int(room / price.completion)) if price.completion else wanted
    return tokens if tokens >= min(least, wanted) else None


async def prices_of(
    wanted: Iterable[ModelName], models: ModelClient
) -> tuple[dict[ModelName, Price | None], tuple[str, ...]]:
    """Return what each model costs, None where that is unknown, and why it could not be asked for, a reason each."""
    unasked: list[str] = []

    async def price(model: ModelName) -> Price | None:
        try:
            return await models.price(model)
        except UnreachableError as error:
            unasked.append(str(error))
            return None

    each = list(wanted)
    prices = await asyncio.gather(*map(price, each))
    return dict(zip(each, prices, strict=True)), tuple(dict.fromkeys(unasked))


async def costs_of(calls: Sequence[tuple[ModelName, Usage | None]], models: ModelClient) -> list[float | None]:
    """Return what each call cost: as its server says, or else by its tokens and its model's price; None is unknown.

    A price is asked for once, and only where it is missing; the embedded models are free.
    """
    priceless = {
        model
        for model, usage in calls
        if usage and usage.cost is None and usage.completion_tokens is not None and not model.is_local
    }
    prices, _ = await prices_of(sorted(priceless), models)
    return [usage and cost_of(usage, price_of(model, prices)) for model, usage in calls]


class _Due(NamedTuple):
    """A call that a phase is sure to make: what it needs, and what it takes at most."""

    label: str
    needed: float
    most: float


class Purse:
    """What one run has spent and may still spend; without a limit, everything is let through.

    Args:
        plan: Says what the run may cost.
        models: Knows the prices.
    """

    def __init__(self, plan: Plan, models: ModelClient) -> None:
        self._plan = plan
        self._models = models
        self._budget = None if plan.max_cost is None else Budget(plan.max_cost, plan.allow_unknown_cost)
        self._prices: dict[ModelName, Price | None] = {}
        self._answers = False
        self._is_judged = False
        self.spent = 0.0
        self._phase: Phase = "consult"
        self._later = 0.0
        self._read_later = 0.0
        self._due: list[_Due] = []
        self._held = 0.0

    async def open(self, *, answers: bool, earlier: Earlier | None = None) -> None:
        """Ask for the prices and refuse a run that is too expensive; see `costs.estimate_of` for the arguments.

        Raises:
            UnreachableError: A price could not be asked for.
            UsageError: A price is unknown.
            CostLimitError: What has to be there at the least is over the limit.
        """
        if self._budget is None:
            return
        self._answers = answers
        self._is_judged = earlier is not None and earlier.needs_no_judge(self._plan)
        rows = estimate_of(self._plan, {}, earlier, answers=answers).rows
        models = sorted({row.model for row in rows if not row.model.is_local})
        self._prices, unasked = await prices_of(models, self._models)
        whole = estimate_of(self._plan, self._prices, earlier, answers=answers)
        self._budget.refuse_if_over(whole, unasked)

    def why_no_panel(self) -> str:
        """Return why the limit leaves no panel to an outer model that is asked first; nothing where it leaves one.

        What is left is counted as when they are started, so that nobody pays for a turn that could lead nowhere.
        """
        if self._budget is None:
            return ""
        phases: tuple[Phase, ...] = ("panel", *_LATER["panel"])
        first = estimate(self._plan, self._prices, answers=True).needed("consult")
        needed = estimate(self._convened, self._prices, answers=True).needed(*phases)
        limit = self._budget.max_cost
        if first + needed <= limit + _SLACK:
            return ""
        digits = digits_apart(first + needed, limit)
        said = f"{_all_need(phases)} about {shown_dollars(needed, digits)}"
        asked = f", {_WHO['consult']} {shown_dollars(first, digits)} before" if needed <= limit else ""
        return f"{said}{asked}, and the run may take {shown_dollars(limit, digits)}"

    @property
    def _convened(self) -> Plan:
        """The plan once it is decided that the panel meets."""
        return self._plan._replace(tool_choice="required") if self._plan.tool_choice == "auto" else self._plan

    def start(self, phase: Phase, responses: Mapping[str, str] = MappingProxyType({})) -> None:
        """Let a phase begin; its calls share what is left after what the later ones need.

        Args:
            phase: The one that is to come.
            responses: Those that there are, by label. Whoever has none by the judge's turn gives none.

        Raises:
            CostLimitError: What is left does not pay for it.
        """
        if self._budget is None:
            return
        plan = self._plan if phase == "consult" else self._convened
        if phase in ("judge", "answer"):
            plan = plan._replace(panel=tuple(seat for seat in plan.panel if seat.label in responses))
        is_judged = self._is_judged or phase == "answer"
        whole = estimate(plan, self._prices, answers=self._answers, known=responses, is_judged=is_judged)
        following = [each for each in _LATER[phase] if any(row.phase == each for row in whole.rows)]
        self._later = whole.needed(*following)
        self._budget.before_phase([phase, *following], self.spent, whole.needed(phase) + self._later)
        self._phase = phase
        self._read_later = self._price_of_reading(phase)
        self._due = [due for row in whole.rows if row.phase == phase for due in self._calls_of(row)]

    def admit(self, request: ChatRequest, label: str) -> Held:
        """Let one call through: held to a reply, and to steps with web tools, that keep the run within its limit.

        Raises:
            CostLimitError: Not even a short reply does.
        """
        due = next((due for due in self._due if due.label == label), None)
        if due:
            self._due.remove(due)
        price = price_of(request.model, self._prices)
        if self._budget is None or price is None:
            return Held(request)
        prompt = _size(request)
        wanted = request.max_completion_tokens or ANSWER_TOKENS
        least = min(LEAST_TOKENS[self._phase], wanted)
        # Whoever reads the reply later has to be paid, too; of a short one that is set aside already.
        room = self._share(due) + self._read_later * least
        whole = price._replace(completion=price.completion + self._read_later)
        wished = (request.max_tool_calls or 0) if request.server_tools else 0
        for steps in range(wished, -1, -1):
            read, called = in_steps(prompt, steps)
            left = room - called * price.completion - steps * price.request
            tokens = affordable_tokens(whole, read, left, wanted, least)
            if tokens is not None:
                break
        else:
            needed = prompt * price.prompt + least * price.completion + price.request
            raise self._budget.stopped(self.spent, f"{_CALLED[self._phase].format(label)} needs", needed, "asked")
        held = room - left + read * whole.prompt + tokens * whole.completion + whole.request
        held -= self._read_later * least
        self._held += held
        if any(price) or tokens < wanted:
            request = request._replace(max_completion_tokens=tokens)
        if steps < wished:
            request = request._replace(max_tool_calls=steps or None, server_tools=request.server_tools if steps else ())
        less = self._less(steps, wished, tokens, wanted)
        return Held(request, held, less and f"{_CALLED[self._phase].format(label)} gets {less}")

    def note(
        self, held: Held, usage: Usage | None, *, text: str = "", is_free: bool = False, has_read: bool = False
    ) -> None:
        """Note that a call has ended.

        Args:
            held: What `admit` returned.
            usage: What its server says that it took.
            text: What had come by then, where it says nothing.
            is_free: Whether it was turned down, so that it cost nothing.
            has_read: Whether it broke off after it had looked things up, which nobody has counted.
        """
        self._held -= held.dollars
        price = price_of(held.request.model, self._prices)
        cost = 0.0 if is_free else cost_of(usage, price) if usage else None
        if cost is None and price:
            cost = _size(held.request) * price.prompt + estimated_tokens(text) * price.completion + price.request
            cost = max(cost, held.dollars) if has_read else cost
        self.spent += cost or 0.0

    def _share(self, due: _Due | None) -> float:
        """Return what a call may take: its need, and its part of what is left over, by how much it could use."""
        limit = self._budget.max_cost if self._budget else 0.0
        free = limit - self.spent - self._held - self._later - sum(each.needed for each in self._due)
        if due is None:
            return free
        wishes = [each.most - each.needed for each in (due, *self._due)]
        extra = max(free - due.needed, 0.0)
        return due.needed + (extra * wishes[0] / sum(wishes) if sum(wishes) > 0 else extra)

    def _price_of_reading(self, phase: Phase) -> float:
        """Return what it takes to have a token of this phase's replies read in the phases after it."""
        plan = self._plan
        readers = {
            "panel": [plan.judge] * (2 if plan.second_look else 1) + [plan.outer] * self._answers,
            "judge": [plan.outer] * self._answers,
        }.get(phase, [])
        prices = [price for model in readers if (price := price_of(model, self._prices))]
        return CAREFUL * sum(price.prompt for price in prices)

    @staticmethod
    def _calls_of(row: Row) -> list[_Due]:
        if row.dollars is None or row.needed is None:
            return []
        looks = row.calls.low
        return [_Due(row.label, row.needed / looks, max(row.needed, row.dollars.high) / looks)] * looks

    @staticmethod
    def _less(steps: int, wished: int, tokens: int, wanted: int) -> str:
        parts = [f"{steps} of {wished} steps with web tools" if steps else "no web tools"] if steps < wished else []
        parts += [f"a reply of at most {count(tokens, 'token')}"] if tokens < wanted else []
        return " and ".join(parts)


def _size(request: ChatRequest) -> int:
    schema = request.output_format
    more = [*request.tools, *([] if schema is None or isinstance(schema, str) else [schema.schema])]
    return prompt_count(request.messages, more).high
