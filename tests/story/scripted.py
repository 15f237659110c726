"""A `ModelClient` that says what a test scripted, and fails on what it did not: unscripted asks and unused scripts."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from fusion_cli.chat import ChatRequest, Completion, Delta, ModelName, Price, ToolCall, Usage
from fusion_cli.errors import ModelError, ModelRejectedError
from fusion_cli.events import Event
from fusion_cli.plan import Panelist, Plan, Prompt, ToolChoice

SEED = 0  # leaves a panel of two in its order, so that A is the first

_HANGS = Completion("", None, Usage())
Line = Completion | ModelError | Callable[[ChatRequest], Completion]

JUDGE_REPLY = """{
  "consensus": ["both agree"],
  "contradictions": [{"topic": "when", "stances": [
    {"model": "A", "stance": "now"}, {"model": "B", "stance": "later"}]}],
  "partial_coverage": [],
  "unique_insights": [{"model": "B", "insight": "Response A forgot the back-ups"}],
  "blind_spots": []
}"""


class UnscriptedAskError(BaseException):
    """Nobody said what this model answers; not an `Exception`, so that no code under test can swallow it."""


def says(text: str, *, finish_reason: str = "stop", cost: float | None = 0.5) -> Completion:
    """Return a completion of ten tokens in and five out."""
    return Completion(text, finish_reason, Usage(10, 5, 15, cost=cost))


def calls(*tool_calls: ToolCall, text: str = "") -> Completion:
    """Return a completion that calls tools."""
    return Completion(text, "tool_calls", Usage(10, 5, 15, cost=0.5), tool_calls)


class ScriptedModels:
    """Play scripts by role and slug, in order; note what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ChatRequest]] = []
        self.at_once = 0
        self.context: int | None = None
        self.prices: dict[str, Price] = {}
        self.hanging = asyncio.Event()
        self._running = 0
        self._scripts: dict[tuple[str, str], list[Line]] = {}

    def script(self, role: str, slug: str, *lines: Line) -> Self:
        """Say what `slug` answers as `panel`, `judge` or `outer`, call by call."""
        self._scripts.setdefault((role, slug), []).extend(lines)
        return self

    def hang(self, role: str, slug: str) -> Self:
        """Have `slug` never answer its next call; `hanging` tells when it has been asked."""
        return self.script(role, slug, _HANGS)

    def requests(self, role: str) -> list[ChatRequest]:
        """Return what a role was asked, in order."""
        return [request for asked, request in self.asked if asked == role]

    async def complete(self, request: ChatRequest, on_delta: Callable[[Delta], None]) -> Completion:
        """Answer as scripted."""
        role = _role(request)
        self.asked.append((role, request))
        lines = self._scripts.get((role, request.model.slug))
        if not lines:
            raise UnscriptedAskError(f"{role} {request.model.slug} was asked: {request.messages[-1].content[:80]}")
        line = lines.pop(0)
        if line is _HANGS:
            self.hanging.set()
            await asyncio.Event().wait()
        if self.context is not None:
            _refuse_what_does_not_fit(request, self.context)
        self._running += 1
        self.at_once = max(self.at_once, self._running)
        await asyncio.sleep(0)
        self._running -= 1
        if isinstance(line, ModelError):
            raise line
        completion = line(request) if callable(line) else line
        for start in range(0, len(completion.text), 7):
            on_delta(Delta(completion.text[start : start + 7]))
        return completion

    async def context_tokens(self, model: ModelName) -> int | None:
        """Say what `context` says, of every model."""
        return self.context

    async def price(self, model: ModelName) -> Price | None:
        """Say what `prices` says, by slug."""
        return self.prices.get(model.slug)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        left = {key: len(lines) for key, lines in self._scripts.items() if lines}
        if kind is None and left:
            raise AssertionError(f"scripts that nobody asked for: {left}")


def panel_of_two() -> ScriptedModels:
    """Return models whose panel answers."""
    return ScriptedModels().script("panel", "a", says("now")).script("panel", "b", says("later"))


def _refuse_what_does_not_fit(request: ChatRequest, context: int) -> None:
    """Refuse, as strict servers do, what would pass the context together with the reply's limit."""
    sent = sum(len(message.content.encode()) for message in request.messages) // 4
    asked = sent + (request.max_completion_tokens or 0)
    if asked > context:
        said = f"maximum context length is {context} tokens, but you requested {asked}"
        raise ModelRejectedError(f"HTTP 400: {said}", status_code=400)


def _role(request: ChatRequest) -> str:
    if request.fusion_depth == 0:
        return "outer"
    return "judge" if "You are the judge" in str(request.messages) else "panel"


def plan(
    *slugs: str, tool_choice: ToolChoice = "required", outer: str = "o", judge: str = "j", provider: str = "openrouter"
) -> Plan:
    """Return a plan with these panelists, all of one provider."""

    def name(slug: str) -> ModelName:
        return ModelName(provider, slug)

    panel = tuple(Panelist(slug, name(slug)) for slug in slugs or ("a", "b"))
    return Plan(Prompt("the question", "the material"), panel, name(judge), name(outer), tool_choice, seed=SEED)


def unlimited_plan() -> Plan:
    """Return a plan whose panelists may write as much as they like, so that only the judge meets its limits."""
    what = plan()
    return what._replace(panel=tuple(seat._replace(max_completion_tokens=None) for seat in what.panel))


class Seen:
    """An `emit` that keeps every event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        """Keep one event."""
        self.events.append(event)

    def types(self) -> list[str]:
        """Return the types of all events but deltas and the ends of calls, which come with other events."""
        return [event.type for event in self.events if not event.type.endswith(("delta", "call.completed"))]
