"""The public result schema: the tool result of upstream's Fusion, and the objects that `--json` prints.

Shapes only. How a run comes to them is the pipeline's business. pydantic takes 100 ms to import, so this module is
imported when the first request is on its way, not before.
"""

import re
from collections.abc import Collection, Iterable
from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from fusion_cli.chat import Usage
from fusion_cli.errors import DROPPED, FusionError


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _absent_if_none() -> Any:
    """Return the default of a key that is absent, as upstream's are, rather than null."""
    return Field(default=None, exclude_if=lambda value: value is None)


class Stance(_Shape):
    """What one panelist holds on a contradiction's topic."""

    model: str
    stance: str


class Contradiction(_Shape):
    """A topic on which panelists disagree."""

    topic: str
    stances: list[Stance]


class PartialCoverage(_Shape):
    """A point that only some panelists made."""

    models: list[str]
    point: str


class UniqueInsight(_Shape):
    """Something that one panelist alone brought up."""

    model: str
    insight: str


class Analysis(_Shape):
    """The judge's comparison; every key is required, lists may be empty (upstream: `FusionAnalysisResult`)."""

    consensus: list[str]
    contradictions: list[Contradiction]
    partial_coverage: list[PartialCoverage]
    unique_insights: list[UniqueInsight]
    blind_spots: list[str]


class Source(_Shape):
    """A web page that a model says it used, or that was read for it."""

    url: str
    title: str


class Response(_Shape):
    """What one panelist said; `label` is what the analysis calls it, `model` its slug, `sources` what it cites.

    `truncated` is there, and true, where its token limit cut it off.
    """

    model: str
    label: str
    content: str
    truncated: bool | None = _absent_if_none()
    sources: list[Source] | None = _absent_if_none()


class FailedModel(_Shape):
    """A panelist without a response; `status_code` only where there was one.

    Where it had begun to write, `partial` is true and `content` what it had written: the judge reads that, as cut off.
    """

    model: str
    label: str
    error: str
    status_code: int | None = _absent_if_none()
    partial: bool | None = _absent_if_none()
    content: str | None = _absent_if_none()


class Said(NamedTuple):
    """What a panelist said; `cut` is what cut it off, where something did, and `error` why it broke off."""

    label: str
    model: str
    text: str
    cut: str = ""
    error: str = ""


class ToolResult(_Shape):
    """What the fusion tool returns (specification, section 3), `label` and `sources` apart."""

    status: Literal["ok", "error"]
    analysis: Analysis | None = _absent_if_none()
    responses: list[Response] | None = _absent_if_none()
    failed_models: list[FailedModel] | None = _absent_if_none()
    error: str | None = _absent_if_none()
    failure_reason: str | None = _absent_if_none()

    @property
    def said(self) -> list[Said]:
        """What each panelist said that said anything: the whole responses, then those that broke off."""
        limit = "cut off by its token limit"
        whole = [Said(it.label, it.model, it.content, limit if it.truncated else "") for it in self.responses or ()]
        broken = [it for it in self.failed_models or () if it.content]
        return whole + [Said(it.label, it.model, it.content or "", "cut off", it.error) for it in broken]

    @property
    def headcount(self) -> str:
        """How many panelists answered, and who was dropped when: `4 of 5 answered, x/y dropped at 90 s`."""
        answered, failed = len(self.responses or ()), self.failed_models or ()
        dropped = (f", {row.label} {when[0]}" for row in failed if (when := re.match(f"{DROPPED}[0-9.]+ s", row.error)))
        return f"{answered} of {answered + len(failed)} answered{''.join(dropped)}"

    def for_outer_model(self) -> dict[str, Any]:
        """Return section 3 and nothing more: a panelist is called by the name that the analysis uses for it."""
        shape: dict[str, Any] = self.model_dump()
        for row in (*shape.get("responses", ()), *shape.get("failed_models", ())):
            row["model"] = row.pop("label")
            for ours in ("sources", "truncated", "partial"):
                row.pop(ours, None)
        for row in shape.get("failed_models", ()):
            row.pop("content", None)
        return shape


class Quote(_Shape):
    """What the judge quotes for one attribution, and whether the panelist's response holds it.

    `where` is the place in the analysis, like `contradictions[0].stances[1]`; `model` the panelist's label; `quote` is
    empty where the judge gave none.
    """

    where: str
    model: str
    quote: str
    held: bool


class Supported(_Shape):
    """How many attributions were checked by their quote, and how many held."""

    checked: int
    held: int

    @classmethod
    def over(cls, quotes: Collection[Quote]) -> Self:
        """Count the quotes."""
        return cls(checked=len(quotes), held=sum(quote.held for quote in quotes))


class Point(_Shape):
    """Whether a point of the analysis, like `consensus[0]`, was found again in the second look."""

    where: str
    stable: bool


class SecondLook(_Shape):
    """A second judgement, in reversed order.

    `agreement` is the share of both judgements' points that the other one has too, from 0 to 1; `points` are the first
    one's, `analysis` is the second one.
    """

    agreement: float
    points: list[Point]
    analysis: Analysis


def checks_said(supported: Supported | None, second_look: SecondLook | None) -> list[str]:
    """Return what the checks of an analysis found, a sentence each, as far as there were any."""
    have = "has" if supported and supported.held == 1 else "have"
    said = [f"{supported.held} of {supported.checked} attributions {have} a quote that holds"] if supported else []
    agreement = f"{second_look.agreement:.0%}" if second_look else ""
    return [*said, *([f"the second look agrees on {agreement} of the points"] if agreement else [])]


class UsageTotals(_Shape):
    """Tokens and US dollars over several calls; null where any of them is unknown."""

    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    cost: float | None

    @classmethod
    def over(cls, usages: Iterable[Usage]) -> Self:
        """Add usages up: one unknown makes the sum unknown, as it would otherwise pass for the whole."""
        rows = list(usages)
        sums: dict[str, Any] = {}
        for key in cls.model_fields:
            values = [getattr(row, key) for row in rows]
            sums[key] = None if None in values else sum(values)
        return cls(**sums)


class RoleUsage(_Shape):
    """What each role's calls took; null where it made none."""

    panel: UsageTotals | None
    judge: UsageTotals | None
    outer: UsageTotals | None


class RunUsage(UsageTotals):
    """The same of a whole run, and of each role in it."""

    by_role: RoleUsage

    @classmethod
    def over_calls(cls, calls: Iterable[tuple[str, Usage]]) -> Self:
        """Add up what each call took, given with its role."""
        rows = list(calls)
        by_role = {
            role: UsageTotals.over(usage for _, usage in played)
            if (played := [row for row in rows if row[0] == role])
            else None
            for role in RoleUsage.model_fields
        }
        whole = UsageTotals.over(usage for _, usage in rows)
        return cls(**whole.model_dump(), by_role=RoleUsage(**by_role))


class CallUsage(_Shape):
    """Tokens, US dollars and the server's tool calls of one call; null is unknown, which is not 0."""

    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    reasoning_tokens: int | None
    cached_tokens: int | None
    cost: float | None
    server_tool_calls: int | None
    web_search_requests: int | None


class ToolUse(_Shape):
    """One tool call that was carried out here; `input` is the query or the URL, `error` is null if it worked."""

    tool: str
    input: str
    error: str | None


class Call(_Shape):
    """One call to one model, `role` being who it played; `error` is null when it succeeded.

    `answered_by` is the concrete model, where the server names it: a slug like `~author/family-latest` names a family.
    `tools` are the web tools that the model was offered. `tool_calls` are those that were carried out here, in the
    order of their ends: of what OpenRouter carries out, `usage` has the numbers. `sources` are the pages of this call.
    """

    role: Literal["outer", "panel", "judge"]
    model: str
    answered_by: str | None
    label: str
    attempts: int
    duration_s: float
    finish_reason: str | None
    usage: CallUsage | None
    tools: list[str]
    tool_calls: list[ToolUse]
    sources: list[Source]
    error: str | None = None


class Run(_Shape):
    """What every command's object has: how the run went and what it took.

    `run` is the id under which it is kept, null where it is not; `parent` the run, or the file, that it takes up.
    `supported` and `quotes` are null without `--quotes`, `second_look` without `--second-look`. `seed` is what the
    responses were shuffled by for the judge; null when the run ended before there was one.
    """

    run: str | None
    parent: str | None
    degraded: bool
    sources: list[Source]
    supported: Supported | None
    quotes: list[Quote] | None
    second_look: SecondLook | None
    usage: RunUsage
    calls: list[Call]
    warnings: list[str]
    seed: int | None
    version: str

    _cause: FusionError | None = PrivateAttr(default=None)

    @property
    def cause(self) -> FusionError | None:
        """Why there is no result, as the error that decides the exit status."""
        return self._cause

    @property
    def tool_result(self) -> ToolResult | None:
        """What panel and judge brought; None where the panel was not convened."""
        return None

    def cited_by(self) -> dict[str, list[str]]:
        """Return who cites each page, by its address: panelists by their responses, and the judge."""
        responses = (self.tool_result and self.tool_result.responses) or ()
        cited = [(response.label, response.sources or ()) for response in responses]
        cited += [("the judge", call.sources) for call in self.calls if call.role == "judge" and not call.error]
        citing: dict[str, dict[str, None]] = {}
        for who, sources in cited:
            for source in sources:
                citing.setdefault(source.url, {})[who] = None
        return {url: list(whose) for url, whose in citing.items()}

    @property
    def why_no_analysis(self) -> str:
        """Return what was said of an analysis that is not there; nothing where nothing was."""
        said = (text.removeprefix("no analysis: ") for text in self.warnings if text.startswith("no analysis: "))
        return next(said, "")

    def because(self, cause: FusionError | None) -> Self:
        """Return this run with its cause noted."""
        self._cause = cause
        return self


class _Answer(_Shape):
    status: Literal["ok", "error"]
    answer: str | None
    fused: bool
    model: str | None
    result: ToolResult | None
    prompt: str | None
    failure_reason: str | None
    error: str | None


class AskRun(Run, _Answer):
    """What `fusion ask --json` prints.

    `model` is null when the run ended before one was settled, `prompt` (what the panel was asked) and `result` when the
    panel was not convened.
    """

    @property
    def tool_result(self) -> ToolResult | None:
        """What panel and judge brought; None where the panel was not convened."""
        return self.result


class AnalysisRun(Run, ToolResult):
    """What `fusion analyze --json` and `fusion judge --json` print: the tool result, and our own keys beside it.

    `judge` and `prompt` are null when the run ended before they were settled.
    """

    judge: str | None
    prompt: str | None

    @property
    def tool_result(self) -> ToolResult:
        """What panel and judge brought."""
        return self
