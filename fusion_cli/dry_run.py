"""What `--dry-run` prints: who would be asked, with what tools and limits, and what that may take.

Shapes, and their table for people. The numbers are `costs`'; the object's keys are documented by the shapes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict

from fusion_cli import __version__, costs
from fusion_cli.budget import Budget
from fusion_cli.counts import count
from fusion_cli.delivery import seat_name, tools_line
from fusion_cli.dollars import shown_dollars
from fusion_cli.errors import FusionError
from fusion_cli.paragraphs import in_lines
from fusion_cli.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusion_cli.earlier import Earlier
    from fusion_cli.plan import Plan
    from fusion_cli.terminal import Terminal

_LEAST_WIDTH = 40
_LEAST_NAME = 12
_INDENT = " " * 8
_NAMED = {"consult": "outer", "panel": "panel", "judge": "judge", "answer": "answer"}


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Count(_Shape):
    """A whole number from its low to its high end."""

    low: int
    high: int

    @classmethod
    def of(cls, count: costs.Count) -> Self:
        """Return this shape of it."""
        return cls(low=count.low, high=count.high)


class Dollars(_Shape):
    """US dollars from the low to the high end."""

    low: float
    high: float


class Planned(_Shape):
    """What is asked of one seat, of the judge or of the outer model; `dollars` is null where the price is unknown.

    `phase` is `consult` (the outer model decides, or answers alone), `panel`, `judge` or `answer`. `tools` are the web
    tools that the model is offered.
    """

    phase: Literal["consult", "panel", "judge", "answer"]
    role: Literal["outer", "panel", "judge"]
    provider: str
    model: str
    label: str
    calls: Count
    prompt_tokens: Count
    completion_tokens: Count
    dollars: Dollars | None
    tools: list[str]


class Totals(_Shape):
    """All of it; `dollars` is null where a part is unknown."""

    calls: Count
    prompt_tokens: Count
    completion_tokens: Count
    dollars: Dollars | None


class PlannedLimits(_Shape):
    """What the run is held to, in seconds and US dollars; null is no limit, `quorum` null waits for all."""

    timeout_s: float | None
    idle_timeout_s: float | None
    deadline_s: float | None
    quorum: int | None
    grace_s: float
    max_tool_calls: int
    max_cost: float | None


class DryRun(_Shape):
    """What `--dry-run --json` prints; `refused` says why the run would not be started, or is null."""

    dry_run: Literal[True]
    planned: list[Planned]
    totals: Totals
    unknown_prices: list[str]
    limits: PlannedLimits
    refused: str | None
    warnings: list[str]
    version: str


def deliver_dry_run(
    plan: Plan,
    prices: costs.Prices,
    terminal: Terminal,
    *,
    as_json: bool,
    answers: bool,
    earlier: Earlier | None = None,
    unasked: Sequence[str] = (),
) -> None:
    """Print what a plan would do, and end as its run would if that were refused.

    Args:
        plan: What would be done.
        prices: What each model costs.
        terminal: Where to.
        as_json: Whether as one object.
        answers: Whether an outer model answers in the end.
        earlier: What is taken up from another run.
        unasked: Why prices could not be asked for, a reason each.

    Raises:
        FusionError: The run would be refused for its cost, or for a price that nobody knows.
    """
    whole = costs.estimate_of(plan, prices, earlier, answers=answers)
    refused = _refusal(plan, whole, unasked)
    plan = plan._replace(warnings=(*plan.warnings, *unasked))
    if as_json:
        terminal.write_json(_shape(plan, whole, refused).model_dump())
    else:
        width = max(terminal.size()[0], _LEAST_WIDTH)
        below = (_wrapped(line, width) for line in _below(plan, whole, answers=answers))
        terminal.write_line("\n".join([*_table(plan, whole, width), *below]))
        for warning in plan.warnings:
            terminal.note(f"warning: {one_line(warning, 400)}")
    if refused:
        raise refused


def _refusal(plan: Plan, whole: costs.Estimate, unasked: Sequence[str]) -> FusionError | None:
    if plan.max_cost is None:
        return None
    try:
        Budget(plan.max_cost, plan.allow_unknown_cost).refuse_if_over(whole, unasked)
    except FusionError as error:
        return error
    return None


def _shape(plan: Plan, whole: costs.Estimate, refused: FusionError | None) -> DryRun:
    return DryRun(
        dry_run=True,
        planned=[
            Planned(
                phase=row.phase,
                role=row.role,
                provider=row.model.provider,
                model=row.model.slug,
                label=row.label,
                calls=Count.of(row.calls),
                prompt_tokens=Count.of(row.prompt_tokens),
                completion_tokens=Count.of(row.completion_tokens),
                dollars=_money(row.dollars),
                tools=list(row.tools),
            )
            for row in whole.rows
        ],
        totals=Totals(
            calls=Count.of(whole.calls),
            prompt_tokens=Count.of(whole.prompt_tokens),
            completion_tokens=Count.of(whole.completion_tokens),
            dollars=_money(whole.dollars),
        ),
        unknown_prices=[str(model) for model in whole.unknown],
        limits=PlannedLimits(**plan.limits._asdict(), max_tool_calls=plan.max_tool_calls, max_cost=plan.max_cost),
        refused=str(refused) if refused else None,
        warnings=list(plan.warnings),
        version=__version__,
    )


def _money(dollars: costs.Dollars | None) -> Dollars | None:
    """Return the shape, to a millionth of a dollar: what is behind that is a float's noise."""
    return dollars and Dollars(low=round(dollars.low, 6), high=round(dollars.high, 6))


def _table(plan: Plan, whole: costs.Estimate, width: int) -> list[str]:
    """Return the rows below their heading, the numbers flush right; each in several lines where they do not fit."""
    seats = {seat.label: seat for seat in plan.panel}
    alone = plan.tool_choice == "none"
    rows = [
        (
            "answer" if row.phase == "consult" and alone else _NAMED[row.phase],
            seat_name(seats[row.label]) if row.phase == "panel" else row.model.shown,
            *_numbers(row.calls, row.prompt_tokens, row.completion_tokens, row.dollars),
        )
        for row in whole.rows
    ]
    total = _numbers(whole.calls, whole.prompt_tokens, whole.completion_tokens, whole.dollars)
    lines = [("", "model", "calls", "tokens in", "tokens out", "dollars"), *rows, ("total", "", *total)]
    widths = [max(len(line[column]) for line in lines) for column in range(6)]
    others = sum(widths) - widths[1] + 2 * 5
    if others + min(widths[1], _LEAST_NAME) > width:
        return [part for line in lines[1:] for part in _stacked(line, width)]
    widths[1] = min(widths[1], width - others)
    return [_aligned([line[0], one_line(line[1], widths[1]), *line[2:]], widths) for line in lines]


def _stacked(cells: Sequence[str], width: int) -> list[str]:
    """Return a row on a narrow screen: who, and below it what that may take, in words."""
    who, model, calls, tokens_in, tokens_out, dollars = cells
    numbers = f"{count(calls, 'call')}, {count(tokens_in, 'token')} in, {tokens_out} out, {dollars}"
    return [f"{who:<8}{one_line(model, width - len(_INDENT))}".rstrip(), _wrapped(f"{_INDENT}{numbers}", width)]


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    left, right = zip(cells[:2], widths[:2], strict=True), zip(cells[2:], widths[2:], strict=True)
    return "  ".join([*(cell.ljust(width) for cell, width in left), *(cell.rjust(width) for cell, width in right)])


def _numbers(
    calls: costs.Count, tokens_in: costs.Count, tokens_out: costs.Count, dollars: costs.Dollars | None
) -> tuple[str, str, str, str]:
    return (
        _span(str(calls.low), str(calls.high)),
        _span(_short(tokens_in.low), _short(tokens_in.high)),
        _span(_short(tokens_out.low), _short(tokens_out.high)),
        "unknown" if dollars is None else _span(*map(shown_dollars, dollars)) if any(dollars) else "free",
    )


def _span(low: str, high: str) -> str:
    return low if low == high else f"{low}-{high}"


def _short(number: int) -> str:
    """Return a number of tokens as exactly as an estimate is: 950, 1.2k, 16k, 1.3M."""
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if number >= size:
            return f"{number / size:.{1 if number < 10 * size else 0}f}".removesuffix(".0") + unit
    return str(number)


def _below(plan: Plan, whole: costs.Estimate, *, answers: bool) -> list[str]:
    """Return what else the run is held to, a line each."""
    lines = []
    offered = any(row.tools for row in whole.rows)
    if (tools := tools_line(plan, answers=answers)) and (offered or tools == "off"):
        steps = f"; at most {count(plan.max_tool_calls, 'step')} each" if offered else ""
        lines.append(f"web     {tools}{steps}")
    limits = plan.limits
    times = [
        f"{_seconds(limits.timeout_s)} to the first word",
        f"{_seconds(limits.idle_timeout_s)} between words",
        f"{_seconds(limits.deadline_s)} for the whole run",
    ]
    if limits.quorum is not None:
        have = "has" if limits.quorum == 1 else "have"
        times.append(f"{_seconds(limits.grace_s)} more once {limits.quorum} {have} answered")
    lines.append(f"time    {', '.join(times)}")
    if plan.max_cost is not None:
        lines.append(f"limit   {shown_dollars(plan.max_cost)}")
    return lines


def _wrapped(line: str, width: int) -> str:
    return "\n".join(in_lines(line, width, further=_INDENT))


def _seconds(value: float | None) -> str:
    return "no limit" if value is None else f"{value:g} s"
