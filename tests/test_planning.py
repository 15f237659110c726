"""Who is asked: flags over config file over preset over defaults, and nobody whom the user did not choose."""

from pathlib import Path
from typing import Any

import pytest

from fusion_cli.errors import ConfigError, CredentialError, UsageError
from fusion_cli.plan import Panelist, Plan, Prompt
from fusion_cli.planning import Choices, Machine, make_judge_plan, make_plan
from fusion_cli.settings import Provider, Settings
from tests.story.scripted import plan as scripted_plan

OPUS, LARGE, SMALL = "~anthropic/claude-opus-latest", "qwen2.5-coder-1.5b", "qwen2.5-coder-0.5b"
PROVIDERS = {
    "openrouter": Provider("openrouter", "https://openrouter.ai/api/v1", "sk-1", "OPENROUTER_API_KEY"),
    "local": Provider("local"),
    "lab": Provider("lab", "http://127.0.0.1:1/v1"),
}


def settings(*, key: bool = True, **more: Any) -> Settings:
    """Return settings with three providers."""
    openrouter = PROVIDERS["openrouter"] if key else PROVIDERS["openrouter"]._replace(api_key=None)
    return Settings(providers={**PROVIDERS, "openrouter": openrouter}, config_path=Path("/c.toml"), **more)


def machine(*, installed: bool = True, short: bool = False) -> Machine:
    """Return a machine with the engine, and memory enough unless `short`."""
    return Machine(lambda: installed, lambda: short, lambda: [SMALL, LARGE])


def planned(choices: Choices, configured: Settings | None = None, **more: Any) -> Plan:
    """Return the plan of an `ask`."""
    return make_plan(choices, configured or settings(), Prompt("q"), more.pop("on", machine()), **more)


def who(plan: Plan) -> tuple[list[str], str, str, str]:
    """Return panel, judge, outer model and tool choice as text."""
    names = [str(panelist.model).removeprefix("openrouter:") for panelist in plan.panel]
    judge, outer = (str(model).removeprefix("openrouter:") for model in (plan.judge, plan.outer))
    return names, judge, outer, plan.tool_choice


HIGH = [OPUS, "~openai/gpt-sol-latest", "~google/gemini-pro-latest"]
FAST = ["~google/gemini-flash-latest", "deepseek/deepseek-v3.2", "~moonshotai/kimi-latest"]
EMBEDDED = [f"local:{LARGE}"] * 3


@pytest.mark.parametrize(
    ("choices", "configured", "expected"),
    [
        (Choices(), {}, (HIGH, OPUS, OPUS, "auto")),
        (Choices(model="a"), {}, (HIGH, "a", "a", "auto")),
        (Choices(judge="a"), {}, (HIGH, "a", "a", "auto")),
        (Choices(panel=("a,b",)), {}, (["a", "b"], "a", "a", "auto")),
        (Choices(panel=("a", "b"), model="m"), {}, (["a", "b"], "m", "m", "auto")),
        (Choices(panel=("a", "b"), judge="j"), {}, (["a", "b"], "j", "j", "auto")),
        (Choices(preset="general-fast", model="m"), {}, (FAST, "~anthropic/claude-sonnet-latest", "m", "auto")),
        (Choices(preset="general-fast", judge="j"), {}, (FAST, "j", "~anthropic/claude-sonnet-latest", "auto")),
        (Choices(model="openrouter/fusion"), {}, (HIGH, OPUS, OPUS, "required")),
        (Choices(model="openrouter/fusion-flash"), {}, (FAST, *["~anthropic/claude-sonnet-latest"] * 2, "required")),
        (Choices(model="openrouter/fusion", panel=("a",)), {}, (["a"], OPUS, OPUS, "required")),
        (Choices(provider="local"), {}, (EMBEDDED, *EMBEDDED[:2], "required")),
        (Choices(model=f"local:{LARGE}"), {}, (EMBEDDED, *EMBEDDED[:2], "required")),
        (Choices(judge=f"local:{LARGE}"), {}, (EMBEDDED, *EMBEDDED[:2], "required")),
        (Choices(panel=("lab:x", "a")), {}, (["lab:x", "a"], "lab:x", "lab:x", "auto")),
        (Choices(preset="local"), {"panel": ("a",), "judge": "b", "model": "c"}, (EMBEDDED, *EMBEDDED[:2], "required")),
        (Choices(panel=("z",)), {"panel": ("a",), "judge": "b", "model": "c"}, (["z"], "b", "c", "auto")),
        (Choices(), {"preset": "general-fast", "judge": "b"}, (FAST, "b", "~anthropic/claude-sonnet-latest", "auto")),
        (Choices(model="lab:x", tool_choice="none"), {}, ([], "lab:x", "lab:x", "none")),
        (Choices(), {"tool_choice": "none"}, (HIGH, OPUS, OPUS, "none")),
    ],
)
def test_who_is_asked(choices: Choices, configured: dict[str, Any], expected: tuple[Any, ...]) -> None:
    """Each combination names exactly these models: no one else's account or machine sees the question."""
    assert who(planned(choices, settings(**configured))) == expected


def test_without_a_key_the_embedded_panel_is_asked() -> None:
    """No key, but the engine: the local preset; the smaller one where memory is short."""
    assert who(planned(Choices(), settings(key=False))) == (EMBEDDED, *EMBEDDED[:2], "required")
    small = planned(Choices(), settings(key=False), on=machine(short=True))
    assert {str(model) for model in small.models} == {f"local:{SMALL}"}


def test_without_key_and_engine_there_are_two_ways_out() -> None:
    """Neither key nor engine is one error that names both."""
    with pytest.raises(CredentialError, match=r"OPENROUTER_API_KEY.*pip install"):
        planned(Choices(), settings(key=False), on=machine(installed=False))


@pytest.mark.parametrize(
    ("choices", "configured", "said"),
    [
        (Choices(model="lab:x"), {}, "no panel was named"),
        (Choices(provider="lab"), {}, "no panel was named"),
        (Choices(model=""), {}, "model: expected"),
        (Choices(preset=""), {}, "--preset: expected one of"),
        (Choices(), {"preset": "nope"}, r"/c\.toml: preset: expected one of"),
        (Choices(panel=("local:nope",)), {}, "there is no embedded model"),
        (Choices(judge="openrouter/fusion:online"), {}, "cannot be a panelist or the judge"),
        (Choices(model="openrouter/fusion", tool_choice="auto"), {}, "choose one"),
        (Choices(), {"fusion_depth": 1}, "already running inside a fusion"),
    ],
)
def test_what_cannot_be_planned(choices: Choices, configured: dict[str, Any], said: str) -> None:
    """A choice that cannot be carried out is a usage error that names it."""
    with pytest.raises(UsageError, match=said):
        planned(choices, settings(**configured))


def test_own_model_bears_its_own_name(tmp_path: Path) -> None:
    """With a GGUF file of one's own the record names that file; one that is missing is a configuration error."""
    own = tmp_path / "mine.gguf"
    with pytest.raises(ConfigError, match="FUSION_LOCAL_MODEL: there is no file"):
        planned(
            Choices(preset="local"),
            settings(local_model=own, sources={"local.model": "environment FUSION_LOCAL_MODEL"}),
        )
    own.write_bytes(b"")
    plan = planned(Choices(preset="local"), settings(local_model=own))
    assert [panelist.label for panelist in plan.panel] == ["mine#1", "mine#2", "mine#3"]


def test_analyze_has_no_outer_model_and_always_convenes() -> None:
    """`analyze` asks panel and judge, whatever the config says about `ask`."""
    plan = planned(Choices(panel=("a",)), settings(tool_choice="none", model="m"), outer_is_judge=True)
    assert {model.slug for model in plan.models} == {"a", "m"}
    assert plan.tool_choice == "required"


@pytest.mark.parametrize(
    ("choices", "configured", "expected"),
    [
        (Choices(judge="lab:j"), {}, "lab:j"),
        (Choices(), {"model": "lab:m"}, "lab:m"),
        (Choices(preset="local"), {"judge": "b"}, f"local:{LARGE}"),
        (Choices(), {}, f"openrouter:{OPUS}"),
    ],
)
def test_who_judges_what_exists(choices: Choices, configured: dict[str, Any], expected: str) -> None:
    """`judge` sends the responses to the judge that was chosen, and asks nobody else."""
    panel: list[Panelist] = list(scripted_plan().panel)
    plan = make_judge_plan(choices, settings(**configured), Prompt("q"), panel, machine())
    assert [str(model) for model in plan.models] == [expected]


def test_depth_stops_judge_too() -> None:
    """Inside a fusion no judge is called either."""
    with pytest.raises(UsageError, match="already running inside a fusion"):
        make_judge_plan(Choices(), settings(fusion_depth=1), Prompt("q"), [], machine())


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        (Choices(max_completion_tokens="0"), "--max-completion-tokens: expected a whole number from 1"),
        (Choices(max_completion_tokens="1e3"), "--max-completion-tokens"),
        (Choices(temperature="2.1"), "--temperature: expected a number from 0 to 2"),
        (Choices(temperature="nan"), "--temperature"),
        (Choices(reasoning_effort="much"), "--reasoning-effort: expected one of max, xhigh"),
        (Choices(reasoning_max_tokens="-1"), "--reasoning-max-tokens"),
        (Choices(reasoning_effort="low", reasoning_max_tokens="5"), "choose one"),
        (Choices(seed="-1"), "--seed: expected a whole number from 0"),
        (Choices(seed="9" * 40), "--seed"),
    ],
)
def test_parameter_out_of_range(choices: Choices, said: str) -> None:
    """What is out of range is refused with the range, before anything is sent."""
    with pytest.raises(UsageError, match=said):
        planned(choices)


def test_parameters_reach_the_plan() -> None:
    """Flags win over the config file; temperature is the panel's, the limit is the panel's and the judge's."""
    given = Choices(max_completion_tokens="50", temperature="0", reasoning_effort="low", seed="0")
    plan = planned(given, settings(max_completion_tokens=9, temperature=1.5))
    assert {(seat.max_completion_tokens, seat.temperature) for seat in plan.panel} == {(50, 0.0)}
    assert (plan.judge_max_completion_tokens, plan.answer_max_completion_tokens, plan.seed) == (50, None, 0)
    assert plan.reasoning
    assert plan.reasoning.effort == "low"
