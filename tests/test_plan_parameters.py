"""How the models of a plan are asked: which of several sources counts, seat by seat, and what cannot be honoured."""

from typing import Any

import pytest

from fusion_cli.chat import Reasoning, ServerTool
from fusion_cli.choices import Choices, Seat
from fusion_cli.errors import UsageError
from fusion_cli.naming import Machine
from fusion_cli.plan import Plan, Prompt
from fusion_cli.planning import make_plan
from fusion_cli.presets import Preset
from fusion_cli.settings import Settings, Web
from fusion_cli.web_tools import NO_SEARCH
from tests.test_planning import LARGE, judged, machine, planned, seats, settings

SEARCH = ServerTool("openrouter:web_search", {"max_results": 3})
FETCH = ServerTool("openrouter:web_fetch")
BOTH = (ServerTool("openrouter:web_search"), FETCH)
LOW, HIGH, TOKENS = Reasoning("low"), Reasoning("high"), Reasoning(None, 500)


def with_preset(choices: Choices, **configured: Any) -> Settings:
    """Return settings with a preset called own."""
    return settings(**configured)._replace(presets={"own": Preset("", choices)})


FIELDS: dict[str, tuple[Any, ...]] = {
    "max_completion_tokens": (50, 60, 70, 16_000),
    "temperature": (0.0, 1.0, 1.5, None),
    "reasoning": (LOW, HIGH, TOKENS, None),
    "system": ("flag", "preset", "file", None),
    "seed": (0, 1, 2, None),
    "tools": ((), (SEARCH,), BOTH[:1], BOTH),
    "max_tool_calls": (1, 2, 3, 4),
    "quotes": (False, True, True, False),
    "second_look": (False, True, True, False),
}


def readings(plan: Plan, field: str) -> list[Any]:
    """Return what became of a field, everywhere in the plan where it went."""
    everywhere: dict[str, list[Any]] = {
        "max_completion_tokens": [plan.judge_max_completion_tokens, plan.panel[0].max_completion_tokens],
        "temperature": [plan.panel[0].temperature],
        "reasoning": [plan.reasoning, plan.panel[0].reasoning],
        "system": [plan.system, plan.panel[0].system],
    }
    return everywhere[field] if field in everywhere else [getattr(plan, field)]


@pytest.mark.parametrize("field", FIELDS)
def test_which_source_counts(field: str) -> None:
    """Explicit over the preset asked for, over the file, over the preset that the file names, over the default."""
    flag, preset, file, default = FIELDS[field]
    says_nothing = Choices(panel=seats("x"))
    own = says_nothing._replace(**{field: preset})
    asked = Choices(preset="own")
    for choices, loaded, expected in (
        (asked._replace(**{field: flag}), with_preset(own, **{field: file}), flag),
        (asked, with_preset(own, **{field: file}), preset),
        (asked, with_preset(says_nothing, **{field: file}), file),
        (Choices(), with_preset(own, preset="own", **{field: file}), file),
        (Choices(), with_preset(own, preset="own"), preset),
        (asked, with_preset(says_nothing), default),
    ):
        assert all(found == expected for found in readings(planned(choices, loaded), field))
        if field not in ("temperature", "system"):  # which a judge does not have
            assert readings(judged(choices, loaded), field)[0] == expected


def test_the_answer_has_no_limit_but_the_embedded_models() -> None:
    """The limit is the panel's and the judge's; who writes the answer ends by itself, small models apart."""
    assert planned(Choices(max_completion_tokens=50)).answer_max_completion_tokens is None
    plan = planned(Choices(preset="local"))
    limits = {panelist.max_completion_tokens for panelist in plan.panel}
    assert (limits, plan.judge_max_completion_tokens, plan.answer_max_completion_tokens) == ({160}, 800, 300)


@pytest.mark.parametrize(
    ("field", "explicit", "own", "layered"),
    [("temperature", 0.0, 1.0, 1.5), ("reasoning", LOW, HIGH, TOKENS), ("max_completion_tokens", 50, 60, 70)],
)
def test_a_seat_may_have_its_own(field: str, explicit: Any, own: Any, layered: Any) -> None:
    """What a seat says is its own and wins over preset and file; what is said explicitly holds for every seat."""
    panel = (Seat("a", **{field: own}), Seat("b"))
    loaded = with_preset(Choices(panel=panel, **{field: layered}))
    asked = Choices(preset="own")
    assert [getattr(seat, field) for seat in planned(asked, loaded).panel] == [own, layered]
    given = planned(asked._replace(**{field: explicit}), loaded)
    assert [getattr(seat, field) for seat in given.panel] == [explicit, explicit]


def test_a_system_prompt_keeps_the_personas() -> None:
    """The system prompt comes first and the seat's persona after it; the outer model is told the former alone."""
    panel = (Seat("a", "You doubt."), Seat("b"))
    plan = planned(Choices(panel=panel, system="Be brief."))
    assert [seat.system for seat in plan.panel] == ["Be brief.\n\nYou doubt.", "Be brief."]
    assert plan.system == "Be brief."
    assert [seat.system for seat in planned(Choices(panel=panel)).panel] == ["You doubt.", None]


@pytest.mark.parametrize(
    ("panel", "labels"),
    [
        (seats("a", "b"), ["a", "b"]),
        (seats("a", "b", "a"), ["a#1", "b", "a#2"]),
        (seats("a", "lab:a"), ["a#1", "a#2"]),
        ((Seat("a", label="me"), Seat("a")), ["me", "a"]),
        ((Seat("a"), Seat("a", label="me"), Seat("a")), ["a#1", "me", "a#2"]),
        ((Seat("a", label="b"), Seat("c")), ["b", "c"]),
        ((Seat("a", label="a"), Seat("b")), ["a", "b"]),
    ],
)
def test_what_the_seats_are_called(panel: tuple[Seat, ...], labels: list[str]) -> None:
    """A seat is called by its label, else by its slug, numbered where several would be called the same."""
    assert [seat.label for seat in planned(Choices(panel=panel)).panel] == labels


@pytest.mark.parametrize(
    ("panel", "said"),
    [
        ((Seat("a", label="b"), Seat("b")), 'two panelists are called "b"'),
        ((Seat("x", label="a#2"), Seat("a"), Seat("a")), 'two panelists are called "a#2"'),
        ((Seat("a", label="me"), Seat("b", label="me")), 'two panelists are called "me"'),
    ],
)
def test_no_two_seats_are_called_the_same(panel: tuple[Seat, ...], said: str) -> None:
    """A label that is another seat's, too, is refused: the analysis speaks of seats by their labels."""
    with pytest.raises(UsageError, match=said):
        planned(Choices(panel=panel))


NO_TOOLS = "no model of this run can use web tools: the embedded ones cannot call tools"
NO_STEPS = "a limit of tool calls was given, but no model of this run has web tools"
LAB = seats("lab:x")
SEARXNG = Web(searxng_url="http://127.0.0.1:1")
OTHER = ServerTool("openrouter:datetime")
GO_WITHOUT = "models of other providers go without"


@pytest.mark.parametrize(
    ("choices", "configured", "warnings"),
    [
        (Choices(), {}, ()),
        (Choices(tools=BOTH, max_tool_calls=2), {}, ()),
        (Choices(panel=LAB), {}, ()),
        (Choices(panel=LAB), {"tools": BOTH, "max_tool_calls": 2}, ()),
        (Choices(panel=LAB, tools=()), {}, ()),
        (Choices(panel=LAB, tools=BOTH), {}, (NO_SEARCH,)),
        (Choices(panel=LAB, model="m", judge="lab:j", tools=BOTH), {}, (NO_SEARCH,)),
        (Choices(panel=LAB, judge="j", tools=BOTH), {}, (NO_SEARCH,)),
        (Choices(panel=(*LAB, Seat("a")), tools=BOTH), {}, (NO_SEARCH,)),
        (Choices(panel=LAB, tools=(FETCH,)), {}, ()),
        (Choices(panel=LAB, tools=BOTH), {"web": SEARXNG}, ()),
        (Choices(panel=LAB, tools=(OTHER, FETCH)), {}, (f"only OpenRouter runs {OTHER.type}: {GO_WITHOUT}",)),
        (Choices(tools=(OTHER,)), {}, ()),
        (Choices(preset="local", tools=(SEARCH,), max_tool_calls=2), {}, (NO_TOOLS,)),
        (Choices(panel=LAB, max_tool_calls=2), {}, ()),
        (Choices(panel=LAB, tools=(SEARCH,), max_tool_calls=2), {}, (NO_STEPS,)),
        (Choices(tools=(), max_tool_calls=2), {}, (NO_STEPS,)),
        (Choices(max_tool_calls=2), {"tools": ()}, (NO_STEPS,)),
    ],
)
def test_web_tools_that_cannot_be_had(choices: Choices, configured: dict[str, Any], warnings: tuple[str, ...]) -> None:
    """Who asks for web tools where nobody has any is told so; what only holds by default is not missed."""
    assert planned(choices, settings(**configured)).warnings == warnings


@pytest.mark.parametrize(
    ("choices", "configured", "tools"),
    [
        (Choices(), {}, BOTH),
        (Choices(), {"tools": (SEARCH,)}, (SEARCH,)),
        (Choices(), {"tools": ()}, BOTH),
        (Choices(tools=(SEARCH,)), {"tools": ()}, (SEARCH,)),
        (Choices(tools=()), {"tools": (SEARCH,)}, BOTH),
    ],
)
def test_web_keeps_the_tools_that_were_chosen(choices: Choices, configured: Any, tools: tuple[ServerTool, ...]) -> None:
    """Who wants web tools gets those of the request or the configuration, and the usual ones where these have none."""
    assert planned(choices, settings(**configured), web=True).tools == tools
    assert planned(Choices(preset="local"), settings(**configured), web=True).warnings == (NO_TOOLS,)


IN_VAIN = "the panel will not meet (tool choice: none), so these have no effect: "
EVERYTHING = Choices(
    panel=seats("a"),
    judge="j",
    model="m",
    preset="general-fast",
    max_tool_calls=2,
    max_completion_tokens=9,
    temperature=0.0,
    reasoning=LOW,
    system="Be brief.",
    seed=1,
    quotes=True,
    second_look=True,
)
EVERY_NAME = (
    "panel, judge, preset, max_tool_calls, max_completion_tokens, temperature, reasoning, quotes, second_look, web"
)


@pytest.mark.parametrize(
    ("choices", "configured", "named"),
    [
        (EVERYTHING, {}, EVERY_NAME.removesuffix(", web")),
        (Choices(model="m", tools=BOTH), {}, "web"),
        (Choices(model="m", tools=(), quotes=False, second_look=False), {}, ""),
        (Choices(model="m", system="Be brief.", seed=0), {"temperature": 1.0, "quotes": True}, ""),
        # Who answers may follow from whom the panel and the judge would have been.
        (Choices(panel=seats("a")), {}, ""),
        (Choices(panel=seats("a"), judge="j"), {}, "panel"),
        (Choices(panel=seats("a")), {"judge": "j"}, "panel"),
        (Choices(judge="j"), {"model": "m"}, "judge"),
        (Choices(preset="general-fast", judge="j"), {}, "judge"),
        (Choices(preset="general-fast"), {"model": "m"}, ""),
        (Choices(preset="judged", model="m"), {}, ""),
        (Choices(preset="pair", model="m"), {}, "preset"),
    ],
)
def test_what_a_panel_that_will_not_meet_makes_vain(choices: Choices, configured: dict[str, Any], named: str) -> None:
    """One line names what was chosen for panel and judge alone, and nothing that still has an effect."""
    for asked, loaded in (
        (choices._replace(tool_choice="none"), settings(**configured)),
        (choices, settings(**configured, tool_choice="none")),
    ):
        if choices.preset == "judged" and asked is choices:  # its own tool choice wins
            continue
        assert planned(asked, loaded).warnings == ((f"{IN_VAIN}{named}",) if named else ())
    assert planned(choices, settings(), outer_is_judge=True).warnings == ()


def test_web_is_vain_without_a_panel() -> None:
    """`--web` is named as well, and once."""
    plan = planned(EVERYTHING._replace(tool_choice="none"), web=True)
    assert plan.warnings == (f"{IN_VAIN}{EVERY_NAME}",)
    assert planned(Choices(panel=LAB, model="lab:m", tool_choice="none"), web=True).warnings == (
        f"{IN_VAIN}panel, web",
    )


def test_the_judge_alone_has_web_tools_too() -> None:
    """`judge` gives its one model the tools, and says when that has none."""
    assert judged(Choices(tools=(SEARCH,), max_tool_calls=2)).tools == (SEARCH,)
    assert judged(Choices(judge="lab:j", tools=BOTH)).warnings == (NO_SEARCH,)
    assert judged(Choices(judge="lab:j", tools=(), max_tool_calls=2)).warnings == (NO_STEPS,)
    assert judged(Choices(judge="lab:j")).warnings == ()


def test_what_no_source_says_is_not_looked_up() -> None:
    """With every model named by its provider the machine is not examined."""

    def unasked() -> Any:
        raise AssertionError("nobody needed to know")

    blind = Machine(unasked, unasked, unasked)
    plan = make_plan(Choices(panel=LAB, model="lab:m"), settings(key=False), Prompt("q"), blind)
    assert {str(model) for model in plan.models} == {"lab:x", "lab:m"}


def test_the_personas_of_the_embedded_panel_stay() -> None:
    """The built-in personas are joined to a system prompt as one's own are."""
    plan = planned(Choices(preset="local", system="Be brief."), on=machine())
    assert {seat.model.slug for seat in plan.panel} == {LARGE}
    assert all((seat.system or "").startswith("Be brief.\n\nYou ") for seat in plan.panel)
