"""What a run says of the web: its sources and their order, who cites what to whom, tool calls, and what they cost."""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from fusion_cli import events, pipeline
from fusion_cli.chat import ChatRequest, Citation, Completion, Delta, ModelName, ServerTool, ToolCall, ToolStep, Usage
from fusion_cli.errors import ModelRejectedError
from fusion_cli.plan import Plan
from fusion_cli.results import AnalysisRun, AskRun
from fusion_cli.saved import SavedResponses
from fusion_cli.sinks.analysis_text import source_lines
from tests.story.scripted import JUDGE_REPLY, ScriptedModels, Seen, calls, plan, says

ONE, TWO, THREE, FOUR = (Citation(f"https://{it}.example/", it.title()) for it in ("one", "two", "three", "four"))
TOOLS = (ServerTool("openrouter:web_search"), ServerTool("openrouter:web_fetch"))
CALL = ToolCall("call_1", "fusion", '{"prompt": "the question"}')
PAID = Usage(100, 50, 150, cost=2.0)


class Researchers(ScriptedModels):
    """Scripted models of whom some answer after all others, and some look things up first.

    Args:
        late: Slugs of the panelists who are slow.
        steps: What is told of tool calls before a slug's completion.
    """

    def __init__(self, *, late: tuple[str, ...] = (), steps: dict[str, tuple[ToolStep, ...]] | None = None) -> None:
        super().__init__()
        self._late = late
        self._steps = steps or {}

    async def complete(self, request: ChatRequest, on_delta: Callable[[Delta], None]) -> Completion:
        """Answer as scripted, when it is this one's turn."""
        for _ in range(20 if request.model.slug in self._late else 0):
            await asyncio.sleep(0)
        for step in self._steps.get(request.model.slug, ()):
            on_delta(Delta("", step=step))
        return await super().complete(request, on_delta)


def citing(text: str, *pages: Citation) -> Completion:
    """Return a completion that cites these pages."""
    return says(text)._replace(citations=pages)


def researchers(
    a: Completion | ModelRejectedError,
    b: Completion,
    *,
    judge: Completion | None = None,
    outer: str = "o",
    late: tuple[str, ...] = (),
) -> Researchers:
    """Return a panel of two, a judge and an outer model."""
    models = Researchers(late=late)
    models.script("panel", "a", a).script("panel", "b", b)
    models.script("judge", "j", judge or says(JUDGE_REPLY)).script("outer", outer, says("the answer"))
    return models


def ask(models: ScriptedModels, what: Plan | None = None, seen: Seen | None = None) -> AskRun:
    """Run the story to its end."""
    with models:
        return asyncio.run(pipeline.ask(what or plan()._replace(tools=TOOLS), models, seen or Seen()))


def pages_of(run: AskRun | AnalysisRun) -> list[Citation]:
    """Return the run's sources in their order."""
    return [Citation(source.url, source.title) for source in run.sources]


def listed(request: ChatRequest) -> dict[str, list[str]]:
    """Return the pages that a request lists, by the text of the response before them."""
    found: dict[str, list[str]] = {}
    said = ""
    for part in re.finditer(r"(?ms)^(=====\[\w+\]) begin ([^\n]+)\n(.*?)\n\1 end \2$", request.messages[-1].content):
        if part[2].startswith("Response "):
            said = part[3]
        elif part[2].startswith("web pages"):
            found[said] = part[3].split("\n")
    return found


@pytest.mark.parametrize("late", [(), ("a",), ("b",)])
def test_sources_stand_in_the_order_of_the_seats(late: tuple[str, ...]) -> None:
    """The panel's pages first, seat by seat whoever was quicker, then the judge's; each page once."""
    seen = Seen()
    judge = citing(JUDGE_REPLY, TWO, FOUR)
    run = ask(researchers(citing("now", TWO, ONE), citing("later", ONE, THREE), judge=judge, late=late), seen=seen)
    answered = [event.label for event in seen.events if isinstance(event, events.PanelCompleted)]
    assert answered == (["b", "a"] if late == ("a",) else ["a", "b"])
    assert pages_of(run) == [TWO, ONE, THREE, FOUR]


def test_the_first_title_of_a_page_stays() -> None:
    """A page that two call differently is called as by the first seat that cites it."""
    run = ask(researchers(citing("now", ONE._replace(title="A's")), citing("later", ONE._replace(title="B's"))))
    assert pages_of(run) == [ONE._replace(title="A's")]


def test_what_a_failed_panelist_cites_is_no_source() -> None:
    """A response that is none has no pages in the run, in its numbers or before the judge; its call keeps them."""
    models = researchers(citing(" ", ONE), citing("later", TWO))
    run = ask(models)
    assert pages_of(run) == [TWO]
    assert listed(models.requests("judge")[0]) == {"later": ["[1] https://two.example/ Two"]}
    failed = next(call for call in run.calls if call.label == "a")
    assert failed.error
    assert [source.url for source in failed.sources] == [ONE.url]


def test_each_call_has_its_own_sources() -> None:
    """Whoever cites a page is known by the call, also where another one cited it before."""
    run = ask(researchers(citing("now", ONE), citing("later", ONE, TWO), judge=citing(JUDGE_REPLY, TWO)))
    assert {call.label: [source.url for source in call.sources] for call in run.calls} == {
        "a": [ONE.url],
        "b": [ONE.url, TWO.url],
        "j": [TWO.url],
        "o": [],
    }
    assert source_lines(run)[::2] == [
        "[1] https://one.example/ (a, b)",
        "[2] https://two.example/ (b, the judge)",
    ]


def test_each_call_names_the_tools_that_it_was_offered() -> None:
    """On OpenRouter panel and judge are offered what the plan has, the outer model nothing."""
    run = ask(researchers(says("now"), says("later")))
    tools = ["web_search", "web_fetch"]
    assert {call.label: call.tools for call in run.calls} == {"a": tools, "b": tools, "j": tools, "o": []}


@pytest.mark.parametrize(
    ("search", "tools"), [(None, ["web_fetch"]), ("searxng", ["web_search", "web_fetch"])], ids=["unset", "set"]
)
def test_a_plain_servers_call_names_what_is_run_here(search: str | None, tools: list[str]) -> None:
    """Without a search, fetch alone is offered."""
    what = plan(provider="lab")._replace(tools=TOOLS, search=search)
    run = ask(researchers(says("now"), says("later")), what)
    assert {call.label: call.tools for call in run.calls} == {"a": tools, "b": tools, "j": tools, "o": []}


def test_tool_calls_are_told_and_noted() -> None:
    """Every step is an event and no text; a call's note has the ends of its tool calls, in their order."""
    steps = (
        ToolStep(1, "web_search", "bees", "started"),
        ToolStep(2, "web_fetch", ONE.url, "started"),
        ToolStep(2, "web_fetch", ONE.url, "failed", "HTTP 404"),
        ToolStep(1, "web_search", "bees", "completed"),
    )
    models = Researchers(steps={"a": steps, "j": steps[:1]})
    models.script("panel", "a", says("now")).script("panel", "b", says("later"))
    models.script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", says("the answer"))
    seen = Seen()
    run = ask(models, seen=seen)
    told = [event for event in seen.events if isinstance(event, events.PanelToolCall | events.AnalysisToolCall)]
    assert told == [*(events.PanelToolCall("a", *step) for step in steps), events.AnalysisToolCall(*steps[0])]
    assert all(event.text for event in seen.events if isinstance(event, events.PanelDelta))
    used = {call.label: [tuple(use.model_dump().values()) for use in call.tool_calls] for call in run.calls}
    assert used == {
        "a": [("web_fetch", ONE.url, "HTTP 404"), ("web_search", "bees", None)],
        "b": [],
        "j": [],
        "o": [],
    }


def test_the_judge_reads_the_runs_numbers() -> None:
    """What the judge sees as [2] is the run's second source, though its own pages come to be sources later."""
    models = researchers(citing("now", TWO, ONE), citing("later", ONE, THREE), judge=citing(JUDGE_REPLY, FOUR, ONE))
    run = ask(models)
    numbers = {page: f"[{number}] {page.url} {page.title}" for number, page in enumerate(pages_of(run), 1)}
    assert listed(models.requests("judge")[0]) == {
        "now": [numbers[TWO], numbers[ONE]],
        "later": [numbers[ONE], numbers[THREE]],
    }


def test_in_the_second_look_the_pages_stay_with_their_response() -> None:
    """Both orders list behind each response the pages that this one cites."""
    models = Researchers().script("panel", "a", citing("now", ONE)).script("panel", "b", citing("later", TWO))
    models.script("judge", "j", says(JUDGE_REPLY), says(JUDGE_REPLY)).script("outer", "o", says("the answer"))
    ask(models, plan()._replace(tools=TOOLS, second_look=True))
    cited = {"now": ["[1] https://one.example/ One"], "later": ["[2] https://two.example/ Two"]}
    assert [listed(request) for request in models.requests("judge")] == [cited, cited]


def test_the_outer_model_reads_the_runs_numbers() -> None:
    """The tool result lists the run's sources, the judge's included, and the task says to cite them."""
    models = researchers(citing("now", TWO), citing("later", ONE), judge=citing(JUDGE_REPLY, THREE))
    run = ask(models)
    system, *_, told = models.requests("outer")[-1].messages
    result = json.loads(told.content)
    assert result["sources"] == [
        {"number": number, "url": page.url, "title": page.title} for number, page in enumerate(pages_of(run), 1)
    ]
    assert [row["title"] for row in result["sources"]] == ["Two", "One", "Three"]
    assert "cite its number, like [1]" in system.content


def test_without_sources_nobody_is_told_of_any() -> None:
    """Neither the tool result nor a prompt speaks of pages where there are none."""
    models = researchers(says("now"), says("later"))
    assert ask(models).sources == []
    system, *_, told = models.requests("outer")[-1].messages
    assert "sources" not in json.loads(told.content)
    assert "cite its number" not in system.content
    assert listed(models.requests("judge")[0]) == {}


def test_an_outer_model_without_tools_reads_them_beside_the_responses() -> None:
    """In plain text each response is followed by its pages, with the run's numbers."""
    what = plan()._replace(tools=TOOLS, outer=ModelName("local", "small"))
    models = researchers(citing("now", TWO), citing("later", ONE, TWO), outer="small")
    run = ask(models, what)
    assert pages_of(run) == [TWO, ONE]
    assert listed(models.requests("outer")[-1]) == {
        "now": ["[1] https://two.example/ Two"],
        "later": ["[2] https://one.example/ One", "[1] https://two.example/ Two"],
    }
    assert "cite its number" in models.requests("outer")[-1].messages[-1].content


def test_a_discarded_turns_pages_come_after_the_panels() -> None:
    """What the outer model cited before it convened the panel takes no number from the panel."""
    models = Researchers().script("panel", "a", citing("now", ONE)).script("panel", "b", says("later"))
    models.script("judge", "j", citing(JUDGE_REPLY, THREE))
    models.script("outer", "o", calls(CALL)._replace(citations=(TWO,)), says("the answer"))
    run = ask(models, plan(tool_choice="auto")._replace(tools=TOOLS))
    assert pages_of(run)[0] == ONE
    assert set(pages_of(run)[1:]) == {TWO, THREE}
    assert listed(models.requests("judge")[0]) == {"now": ["[1] https://one.example/ One"]}


def test_pages_of_responses_that_exist_are_sources() -> None:
    """`judge` lists what a saved panel cited, numbered by its seats, before what its judge adds."""
    what = plan()._replace(tools=TOOLS)
    a, b = what.panel
    models = ScriptedModels().script("judge", "j", citing(JUDGE_REPLY, THREE))
    saved = SavedResponses("q", {a: "now", b: "later"}, 0, cited={"b": (ONE,), "a": (TWO, ONE)})
    with models:
        run = asyncio.run(pipeline.judge_responses(what, models, Seen(), saved.as_earlier(), 0))
    assert pages_of(run) == [TWO, ONE, THREE]
    assert listed(models.requests("judge")[0]) == {
        "now": ["[1] https://two.example/ Two", "[2] https://one.example/ One"],
        "later": ["[2] https://one.example/ One"],
    }


def refused(usage: Usage | None, said: str = "HTTP 400: no") -> ModelRejectedError:
    """Return a server's refusal, after turns that took this much."""
    error = ModelRejectedError(said, status_code=400)
    error.usage = usage
    return error


def test_a_call_that_failed_after_paid_turns_counts() -> None:
    """What its earlier turns took is in the call's note and in the run's totals."""
    run = ask(researchers(refused(PAID), says("later")))
    failed = next(call for call in run.calls if call.label == "a")
    assert (failed.error, failed.usage and failed.usage.cost) == ("HTTP 400: no", 2.0)
    assert (run.usage.prompt_tokens, run.usage.completion_tokens, run.usage.cost) == (130, 65, 3.5)


def test_a_call_that_was_refused_outright_costs_nothing() -> None:
    """The totals are those of the others, and known."""
    run = ask(researchers(refused(None), says("later")))
    assert next(call for call in run.calls if call.label == "a").usage is None
    assert (run.usage.prompt_tokens, run.usage.completion_tokens, run.usage.cost) == (30, 15, 1.5)


def test_turns_that_took_nobody_knows_what_leave_the_totals_unknown() -> None:
    """A call that broke off after paid turns is not taken for free."""
    run = ask(researchers(refused(Usage()), says("later")))
    assert (run.usage.prompt_tokens, run.usage.cost) == (None, None)


def test_paid_turns_count_where_the_panelist_is_asked_again() -> None:
    """A panelist whose tools are refused late is asked without them, and both calls are counted."""
    models: Any = Researchers().script("panel", "a", refused(PAID, "HTTP 400: tools?"), says("now"))
    models.script("panel", "b", says("later")).script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", says("x"))
    run = ask(models)
    assert [(call.error, call.tools) for call in run.calls if call.label == "a"] == [
        ("HTTP 400: tools?", ["web_search", "web_fetch"]),
        (None, []),
    ]
    assert run.usage.cost == 2.0 + 4 * 0.5


def test_a_judge_that_is_asked_again_looks_nothing_up() -> None:
    """A reply that cannot be used is written anew without tools: the research was paid for once."""
    models = researchers(says("now"), says("later"), judge=says("no analysis"))
    models.script("judge", "j", says(JUDGE_REPLY))
    ask(models)
    assert [bool(request.server_tools) for request in models.requests("judge")] == [True, False]
