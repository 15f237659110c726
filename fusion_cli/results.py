"""The public result schema: the tool result of upstream's Fusion, and the objects that `--json` prints.

Shapes only. How a run comes to them is the pipeline's business. pydantic takes 100 ms to import, so this module is
imported when the first request is on its way, not before.
"""

from collections.abc import Iterable
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, PrivateAttr, SerializerFunctionWrapHandler, model_serializer

from fusion_cli.chat import Usage
from fusion_cli.errors import FusionError


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _SparseShape(_Shape):
    """A shape whose unset keys are absent, as upstream's are, rather than null."""

    @model_serializer(mode="wrap")
    def _without_unset(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in serialize(self).items() if value is not None}


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


class Response(_SparseShape):
    """What one panelist said; `label` only where the slug alone does not tell it from another."""

    model: str
    content: str
    label: str | None = None


class FailedModel(_SparseShape):
    """A panelist without a response; `status_code` only where there was one."""

    model: str
    error: str
    status_code: int | None = None
    label: str | None = None


class ToolResult(_SparseShape):
    """What the fusion tool returns (specification, section 3)."""

    status: Literal["ok", "error"]
    analysis: Analysis | None = None
    responses: list[Response] | None = None
    failed_models: list[FailedModel] | None = None
    error: str | None = None
    failure_reason: str | None = None

    def for_outer_model(self) -> dict[str, Any]:
        """Return section 3 and nothing more: a panelist is called by the name that the analysis uses for it."""
        shape: dict[str, Any] = self.model_dump()
        for row in (*shape.get("responses", ()), *shape.get("failed_models", ())):
            row["model"] = row.pop("label", row["model"])
        return shape


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


class CallUsage(_Shape):
    """Tokens and US dollars of one call; null is unknown, which is not 0."""

    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    reasoning_tokens: int | None
    cached_tokens: int | None
    cost: float | None


class Call(_Shape):
    """One call to one model, `role` being who it played; `error` is null when it succeeded."""

    role: Literal["outer", "panel", "judge"]
    model: str
    label: str
    attempts: int
    duration_s: float
    finish_reason: str | None
    usage: CallUsage | None
    error: str | None = None


class Run(_Shape):
    """What every command's object has: how the run went and what it took.

    `seed` is what the responses were shuffled by for the judge; null when the run ended before there was one.
    """

    failure_reason: str | None
    error: str | None
    degraded: bool
    usage: UsageTotals
    calls: list[Call]
    warnings: list[str]
    seed: int | None
    version: str

    _cause: FusionError | None = PrivateAttr(default=None)

    @property
    def cause(self) -> FusionError | None:
        """Why there is no result, as the error that decides the exit status."""
        return self._cause

    def because(self, cause: FusionError | None) -> Self:
        """Return this run with its cause noted."""
        self._cause = cause
        return self


class AskRun(Run):
    """What `fusion ask --json` prints.

    `model` is null when the run ended before one was settled, `prompt` (what the panel was asked) and `result` when the
    panel was not convened.
    """

    status: Literal["ok", "error"]
    answer: str | None
    fused: bool
    model: str | None
    result: ToolResult | None
    prompt: str | None

    @model_serializer(mode="wrap")
    def _answer_first(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        shape = serialize(self)
        return {**{key: shape[key] for key in ("status", "answer", "fused", "model", "result", "prompt")}, **shape}


class AnalysisRun(Run):
    """What `fusion analyze --json` and `fusion judge --json` print: the tool result, and our own keys beside it.

    `judge` and `prompt` are null when the run ended before they were settled.
    """

    result: ToolResult
    judge: str | None
    prompt: str | None

    @model_serializer(mode="wrap")
    def _tool_result_first(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        shape = serialize(self)
        own = {key: value for key, value in shape.items() if key not in {"result", "error", "failure_reason"}}
        reasons = {key: shape[key] for key in ("error", "failure_reason") if shape[key] is not None}
        return {**shape["result"], **reasons, **own}
