"""Promises of `delivery`: before a run, one line says who may be asked and another who looks things up, and how."""

import pytest

from fusion_cli.chat import ModelName, ServerTool, Usage
from fusion_cli.delivery import announce, conclude, tell_calls
from fusion_cli.earlier import Earlier
from fusion_cli.errors import DegradedError
from fusion_cli.events import PanelCompleted
from fusion_cli.plan import Panelist, Plan, Prompt, ToolChoice
from fusion_cli.results import Call
from fusion_cli.terminal import Terminal
from tests.sinks.shown_runs import DEGRADED, HAPPY, JUDGE_CALL

SEARCH, FETCH, CLOCK = (ServerTool(f"openrouter:{name}") for name in ("web_search", "web_fetch", "datetime"))
BOTH = (SEARCH, FETCH)
SAID = {"x": PanelCompleted("x", "x", "now", 0.0, Usage(), truncated=False)}


def announced(
    *panel: str,
    judge: str = "",
    outer: str = "openrouter:o/o",
    tools: tuple[ServerTool, ...] = BOTH,
    search: str | None = None,
    tool_choice: ToolChoice = "required",
    answers: bool = True,
) -> dict[str, str]:
    """Return the lines that are said of a plan, by their first word; the first panelist judges unless another does."""

    class Notes(Terminal):
        def note(self, text: str) -> None:
            name, _, said = text.partition(" ")
            assert name not in lines
            lines[name] = said.strip()

    def named(name: str) -> ModelName:
        provider, _, slug = name.partition(":")
        return ModelName(provider, slug)

    lines: dict[str, str] = {}
    plan = Plan(
        Prompt("q"),
        tuple(Panelist(f"seat {number}", named(name)) for number, name in enumerate(panel)),
        named(judge or panel[0]),
        named(outer),
        tool_choice,
        tools=tools,
        search=search,
    )
    announce(plan, Notes(), plan.models, answers=answers)
    assert "plan" in lines
    return lines


ROUTED, PLAIN, EMBEDDED = "openrouter:a/one", "lab:m", "local:qwen"


@pytest.mark.parametrize(
    ("panel", "search", "said"),
    [
        ((ROUTED, "openrouter:b/two"), None, "search and fetch, run by OpenRouter"),
        ((ROUTED,), "searxng", "search and fetch, run by OpenRouter"),
        ((PLAIN, "lab:n"), None, "fetch, run here"),
        ((PLAIN,), "searxng", "search and fetch, run here (searxng)"),
        ((ROUTED, PLAIN), None, "search and fetch, run by OpenRouter; fetch, run here"),
        ((PLAIN, ROUTED), "brave", "search and fetch, run here (brave); search and fetch, run by OpenRouter"),
        ((PLAIN, EMBEDDED), None, "fetch, run here"),
    ],
)
def test_who_looks_things_up(panel: tuple[str, ...], search: str | None, said: str) -> None:
    """Each way to the web is named once, with what it can do and what is searched with."""
    assert announced(*panel, search=search)["web"] == said


def test_the_embedded_models_alone_have_no_line() -> None:
    """Another line says already that they cannot look anything up."""
    lines = announced(EMBEDDED, EMBEDDED, outer="local:qwen")
    assert "web" not in lines
    assert "cannot look anything up" in lines["The"]


@pytest.mark.parametrize("panel", [(ROUTED,), (PLAIN,), (ROUTED, PLAIN, EMBEDDED)])
def test_what_was_taken_away_is_said(panel: tuple[str, ...]) -> None:
    """With --no-web the line says that nothing is looked up; it does not just stay away."""
    assert announced(*panel, tools=())["web"] == "off"
    assert "web" not in announced(EMBEDDED, tools=())


def test_a_plain_server_with_a_search_alone_and_none_configured() -> None:
    """A tool that cannot be run is not promised."""
    assert announced(PLAIN, tools=(SEARCH,))["web"] == "off"


def test_other_tools_of_openrouter_are_named() -> None:
    """What an entry brings beside search and fetch is named as OpenRouter names it, an entry that stands twice once."""
    assert announced(ROUTED, tools=(SEARCH, CLOCK, SEARCH))["web"] == "search and datetime, run by OpenRouter"


@pytest.mark.parametrize(
    ("earlier", "said"),
    [
        (Earlier("20260101T000000000-abcdef", responses=SAID), "takes up 20260101T000000000-abcdef: 1 response"),
        (Earlier("20260101T000000000-abcdef", responses=SAID, file="a.json"), "judges 1 response from a.json"),
        (Earlier("", responses=SAID, file="standard input"), "judges 1 response from standard input"),
        (Earlier("", responses=SAID), "judges 1 response"),
    ],
)
def test_what_is_taken_up(earlier: Earlier, said: str) -> None:
    """A run is named by its id, a file by its name; those who are asked stand in the order of their seats."""
    panel = tuple(Panelist(slug, ModelName("lab", slug)) for slug in ("z", "a", "m"))
    plan = Plan(Prompt("q"), panel, ModelName("lab", "judge"), ModelName("lab", "a"))
    lines: list[str] = []

    class Notes(Terminal):
        def note(self, text: str) -> None:
            lines.append(text.partition(" ")[2].strip())

    announce(plan, Notes(), plan.models - {ModelName("lab", "m")}, answers=True, earlier=earlier)
    assert lines[0] == f"{said}; asks lab:z, lab:a, lab:judge"


def test_only_those_who_will_be_asked_count() -> None:
    """Without a panel nobody looks anything up, and of a panel that has answered the judge alone does."""
    assert "web" not in announced(ROUTED, tool_choice="none")
    assert (
        announced(PLAIN, judge=ROUTED, tool_choice="none", answers=False)["web"]
        == "search and fetch, run by OpenRouter"
    )
    assert announced(PLAIN, judge=ROUTED)["web"] == "search and fetch, run by OpenRouter; fetch, run here"
    assert announced(PLAIN, outer=ROUTED)["web"] == "fetch, run here"


@pytest.mark.parametrize(
    ("tokens", "said"), [((1, 0), "1 token in, 0 tokens out"), ((1200, 1), "1,200 tokens in, 1 token out")]
)
def test_what_a_call_took_is_said_in_proper_words(tokens: tuple[int, int], said: str) -> None:
    """One token is no tokens."""
    lines: list[str] = []

    class Notes(Terminal):
        def note(self, text: str) -> None:
            lines.append(text)

    judged = Call.model_validate(JUDGE_CALL)
    assert judged.usage
    usage = judged.usage.model_copy(update={"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "cost": None})
    tell_calls(HAPPY.run.model_copy(update={"calls": [judged.model_copy(update={"usage": usage})]}), Notes())
    assert lines == [f"call    judge   {judged.label}  9.8 s, {said}"]


def test_a_run_that_is_not_good_enough_says_why() -> None:
    """Who keeps the warnings back with -q learns in a few words what is missing."""
    conclude(HAPPY.run, strict=True)
    conclude(DEGRADED.run, strict=False)
    with pytest.raises(DegradedError) as caught:
        conclude(DEGRADED.run, strict=True)
    assert str(caught.value) == "the run is degraded (1 of 3 answered, no analysis), which --strict does not accept"
    cut_off = HAPPY.run.model_copy(update={"degraded": True})
    with pytest.raises(DegradedError, match=r"^the run is degraded, which"):
        conclude(cut_off, strict=True)
