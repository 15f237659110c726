"""What one run is going to do: the prompt, the models, their limits, the policy. Data, frozen.

Knows neither where a value came from nor how it is carried out.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from fusion_cli.chat import Message, ModelName, Reasoning, ServerTool

ToolChoice = Literal["auto", "required", "none"]

MAX_PANELISTS = 8
DEFAULT_MAX_COMPLETION_TOKENS = 16_000
DEFAULT_MAX_TOOL_CALLS = 4
WEB_SEARCH, WEB_FETCH = "openrouter:web_search", "openrouter:web_fetch"


class Panelist(NamedTuple):
    """One seat of the panel; `label` is unique in it, `system` is a persona."""

    label: str
    model: ModelName
    system: str | None = None
    temperature: float | None = None
    max_completion_tokens: int | None = DEFAULT_MAX_COMPLETION_TOKENS
    reasoning: Reasoning | None = None


class Prompt(NamedTuple):
    """What the user asks, and the material (files, standard input) that goes with it, fenced already."""

    question: str
    material: str = ""

    def text(self, question: str | None = None) -> str:
        """Return the question, or another one in its place, with the material below it."""
        asked = self.question if question is None else question
        return f"{asked}\n\n{self.material}" if self.material else asked


class Plan(NamedTuple):
    """One run, decided: nothing in it is looked up later.

    Attributes:
        reasoning: The judge's; a panelist has its own.
        seed: None draws one.
        system: What the outer model is told first.
        conversation: What the outer model reads, where that is more than the prompt (`ask --request`).
        outer_extra: What else the body of every call to the outer model holds, as the user's request had it.
        inner_extra: The same of every call to panel and judge, where OpenRouter serves them.
        tools: The web tools of panel and judge: run by their provider, or else here.
        search: What is searched with here; None where no search is configured.
        max_tool_calls: How many steps with tools each of them may take.
        quotes: Whether the judge gives quotes, which are checked.
        second_look: Whether the responses are judged in reversed order, too.
        warnings: What could not be honoured, a line each.
    """

    prompt: Prompt
    panel: tuple[Panelist, ...]
    judge: ModelName
    outer: ModelName
    tool_choice: ToolChoice = "auto"
    judge_max_completion_tokens: int | None = DEFAULT_MAX_COMPLETION_TOKENS
    answer_max_completion_tokens: int | None = None
    reasoning: Reasoning | None = None
    seed: int | None = None
    system: str | None = None
    conversation: tuple[Message, ...] = ()
    outer_extra: Mapping[str, Any] = MappingProxyType({})
    inner_extra: Mapping[str, Any] = MappingProxyType({})
    tools: tuple[ServerTool, ...] = ()
    search: str | None = None
    max_tool_calls: int = DEFAULT_MAX_TOOL_CALLS
    quotes: bool = False
    second_look: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def models(self) -> frozenset[ModelName]:
        """Every model that may be called."""
        if self.tool_choice == "none":
            return frozenset({self.outer})
        return frozenset({self.outer, self.judge, *(panelist.model for panelist in self.panel)})

    @property
    def inner_models(self) -> tuple[ModelName, ...]:
        """The judge's and each panelist's model."""
        return (self.judge, *(panelist.model for panelist in self.panel))

    def tools_for(self, model: ModelName) -> tuple[ServerTool, ...]:
        """Return the tools that a panelist or the judge on this model gets."""
        if self.runs_tools_of(model):
            run_here = {WEB_FETCH, *([WEB_SEARCH] if self.search else [])}
            return tuple(tool for tool in self.tools if tool.type in run_here)
        return self.tools if model.has_server_tools else ()

    @staticmethod
    def runs_tools_of(model: ModelName) -> bool:
        """Say whether this model's tools are run here, as its server runs none."""
        return bool(model.provider) and not model.is_local and not model.has_server_tools

    def extra_for(self, model: ModelName) -> Mapping[str, Any]:
        """Return what else the body of a panelist's or the judge's call to this model holds."""
        return self.inner_extra if model.has_server_tools else {}


def label_seats(labels: Sequence[str | None], slugs: Sequence[str]) -> list[str]:
    """Return what each seat is called: its own label, or one by its slug where that is None."""
    by_slug = iter(label_panel([slug for label, slug in zip(labels, slugs, strict=True) if label is None]))
    return [next(by_slug) if label is None else label for label in labels]


def label_panel(slugs: list[str]) -> list[str]:
    """Return a label for each slug: the slug itself, or `slug#1`, `slug#2` where it stands several times."""
    seen: dict[str, int] = {}
    labels = []
    for slug in slugs:
        seen[slug] = seen.get(slug, 0) + 1
        labels.append(f"{slug}#{seen[slug]}" if slugs.count(slug) > 1 else slug)
    return labels
