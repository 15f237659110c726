"""What one run is going to do: the prompt, the models, their limits, the policy. Data, frozen.

Knows neither where a value came from nor how it is carried out.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from fusion_cli.chat import Attachment, Message, ModelName, Reasoning, ServerTool

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


class Limits(NamedTuple):
    """How long a run may take, in seconds; None is for ever.

    Attributes:
        timeout_s: Of one call to its first content, retries included.
        idle_timeout_s: Between two contents of one call.
        deadline_s: Of the whole run.
        quorum: How many responses are enough to close the panel soon; None waits for all.
        grace_s: How long the others have once so many are in.
    """

    timeout_s: float | None = 300.0
    idle_timeout_s: float | None = 120.0
    deadline_s: float | None = 1800.0
    quorum: int | None = None
    grace_s: float = 30.0


class Prompt(NamedTuple):
    """What the user asks, and what goes with it, fenced already.

    Attributes:
        material: Files and standard input; always goes to the panel.
        background: What was said before, for a panel that is asked in the user's words and not in the outer model's.
        attachments: Images and PDFs; `material` has their names.
    """

    question: str
    material: str = ""
    background: str = ""
    attachments: tuple[Attachment, ...] = ()

    def text(self) -> str:
        """Return all of it: what somebody reads who knows nothing else."""
        return "\n\n".join(part for part in (self.question, self.background, self.material) if part)

    def in_words(self, question: str) -> str:
        """Return another question, complete in itself, with the material below it."""
        return f"{question}\n\n{self.material}" if self.material else question


class Plan(NamedTuple):
    """One run, decided: nothing in it is looked up later.

    Attributes:
        reasoning: The judge's; a panelist has its own.
        seed: None draws one.
        system: What the outer model is told first.
        conversation: What the outer model reads, where that is more than the prompt (a request, or a later question).
        outer_extra: What else the body of every call to the outer model holds, as the user's request had it.
        inner_extra: The same of every call to panel and judge, where OpenRouter serves them.
        tools: The web tools of panel and judge: run by their provider, or else here.
        search: What is searched with here; None where no search is configured.
        max_tool_calls: How many steps with tools each of them may take.
        quotes: Whether the judge gives quotes, which are checked.
        second_look: Whether the responses are judged in reversed order, too.
        waited_s: How long keys and embedded models were waited for; the run's deadline began with that.
        max_cost: How many US dollars the run may take; None is any number.
        allow_unknown_cost: Whether models without a known price may be called all the same.
        judge_reads: The kinds of attachments that the judge gets; of the others it reads the names.
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
    limits: Limits = Limits()
    waited_s: float = 0.0
    max_cost: float | None = None
    allow_unknown_cost: bool = False
    judge_reads: tuple[str, ...] = ()
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

    @property
    def judge_attachments(self) -> tuple[Attachment, ...]:
        """What the judge gets beside the text of the prompt."""
        return tuple(each for each in self.prompt.attachments if each.kind in self.judge_reads)

    @property
    def engine_has_s(self) -> float | None:
        """How many seconds the embedded models have to be fetched and started; None is any time.

        Who sets a deadline gets it. The usual one is there for what hangs, and no first download is to end with it.
        """
        limit = self.limits.deadline_s
        return None if limit is None or limit == Limits().deadline_s else max(0.0, limit - self.waited_s)

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
