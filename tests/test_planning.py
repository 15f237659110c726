"""Who is asked, and how: explicit choices over presets, configuration and defaults, and nobody who was not chosen."""

from pathlib import Path
from typing import Any

import pytest

from fusion_cli.choices import Choices, Seat
from fusion_cli.errors import ConfigError, CredentialError, UsageError
from fusion_cli.naming import Machine
from fusion_cli.plan import Plan, Prompt
from fusion_cli.planning import make_judge_plan, make_plan
from fusion_cli.presets import Preset
from fusion_cli.providers import Provider
from fusion_cli.settings import Settings, Web
from tests.story.scripted import plan as scripted_plan

OPUS, SONNET = "~anthropic/claude-opus-latest", "~anthropic/claude-sonnet-latest"
LARGE, SMALL = "qwen2.5-coder-1.5b", "qwen2.5-coder-0.5b"
PROVIDERS = {
    "openrouter": Provider("openrouter", "https://openrouter.ai/api/v1", "sk-1", "OPENROUTER_API_KEY"),
    "local": Provider("local"),
    "lab": Provider("lab", "http://127.0.0.1:1/v1"),
}
FUSIONS = [
    "openrouter/fusion",
    "openrouter/fusion-flash",
    "openrouter:openrouter/fusion",
    "lab:openrouter/fusion",
    "openrouter/fusion:online",
    "openrouter:OpenRouter/Fusion-Flash:free",
]


def seats(*slugs: str) -> tuple[Seat, ...]:
    """Return a panel of these, who say nothing else."""
    return tuple(Seat(slug) for slug in slugs)


OWN = {
    "pair": Preset("", Choices(panel=seats("lab:x", "lab:y"))),
    "writer": Preset("", Choices(panel=seats("lab:x"), model="lab:m")),
    "judged": Preset("", Choices(panel=seats("lab:x"), judge="lab:j", model="lab:m", tool_choice="required")),
    "convened": Preset("", Choices(panel=seats("lab:x"), judge="lab:j", model="openrouter/fusion")),
    "recursive": Preset("", Choices(panel=seats("lab:x", "openrouter/fusion"))),
    "judged by a fusion": Preset("", Choices(panel=seats("lab:x"), judge="openrouter:openrouter/fusion:free")),
}


def settings(
    *, key: bool = True, local_model: Path | None = None, depth: int = 0, web: Web | None = None, **configured: Any
) -> Settings:
    """Return settings with three providers and some presets of the user's own."""
    openrouter = PROVIDERS["openrouter"] if key else PROVIDERS["openrouter"]._replace(api_key=None)
    return Settings(
        providers={**PROVIDERS, "openrouter": openrouter},
        config_path=Path("/c.toml"),
        configured=Choices(**configured),
        presets=OWN,
        local_model=local_model,
        fusion_depth=depth,
        web=web or Web(),
    )


def machine(*, installed: bool = True, short: bool = False) -> Machine:
    """Return a machine with the engine, and memory enough unless `short`."""
    return Machine(lambda: installed, lambda: short, lambda: [SMALL, LARGE])


def planned(choices: Choices, loaded: Settings | None = None, **more: Any) -> Plan:
    """Return the plan of an `ask`."""
    return make_plan(choices, loaded or settings(), Prompt("q"), more.pop("on", machine()), **more)


def judged(choices: Choices, loaded: Settings | None = None) -> Plan:
    """Return the plan of a `judge`."""
    return make_judge_plan(choices, loaded or settings(), Prompt("q"), list(scripted_plan().panel), machine())


def who(plan: Plan) -> tuple[list[str], str, str, str]:
    """Return panel, judge, outer model and tool choice as text."""
    names = [str(panelist.model).removeprefix("openrouter:") for panelist in plan.panel]
    judge, outer = (str(model).removeprefix("openrouter:") for model in (plan.judge, plan.outer))
    return names, judge, outer, plan.tool_choice


HIGH = [OPUS, "~openai/gpt-sol-latest", "~google/gemini-pro-latest"]
FAST = ["~google/gemini-flash-latest", "deepseek/deepseek-v3.2", "~moonshotai/kimi-latest"]
EMBEDDED = [f"local:{LARGE}"] * 3
THREE = {"panel": seats("a"), "judge": "b", "model": "c"}
PAIR = ["lab:x", "lab:y"]


@pytest.mark.parametrize(
    ("choices", "configured", "expected"),
    [
        (Choices(), {}, (HIGH, OPUS, OPUS, "auto")),
        (Choices(model="a"), {}, (HIGH, "a", "a", "auto")),
        (Choices(judge="a"), {}, (HIGH, "a", "a", "auto")),
        (Choices(panel=seats("a", "b")), {}, (["a", "b"], "a", "a", "auto")),
        (Choices(panel=seats("a", "b"), model="m"), {}, (["a", "b"], "m", "m", "auto")),
        (Choices(panel=seats("a", "b"), judge="j"), {}, (["a", "b"], "j", "j", "auto")),
        (Choices(panel=seats("lab:x", "a")), {}, (["lab:x", "a"], "lab:x", "lab:x", "auto")),
        (Choices(panel=seats("z")), THREE, (["z"], "b", "c", "auto")),
        (Choices(), THREE, (["a"], "b", "c", "auto")),
        (Choices(), {"panel": seats("a", "b")}, (["a", "b"], "a", "a", "auto")),
        (Choices(provider="local"), {}, (EMBEDDED, *EMBEDDED[:2], "required")),
        (Choices(model=f"local:{LARGE}"), {}, (EMBEDDED, *EMBEDDED[:2], "required")),
        (Choices(judge=f"local:{LARGE}"), {}, (EMBEDDED, *EMBEDDED[:2], "required")),
        (Choices(model="lab:x", tool_choice="none"), {}, ([], "lab:x", "lab:x", "none")),
        (Choices(), {"tool_choice": "none"}, (HIGH, OPUS, OPUS, "none")),
        (Choices(tool_choice="auto"), {"tool_choice": "none"}, (HIGH, OPUS, OPUS, "auto")),
        # presets
        (Choices(preset="general-fast", model="m"), {}, (FAST, SONNET, "m", "auto")),
        (Choices(preset="general-fast", judge="j"), {}, (FAST, "j", SONNET, "auto")),
        (Choices(preset="general-fast", panel=seats("z")), {}, (["z"], SONNET, SONNET, "auto")),
        (Choices(preset="local"), THREE, (EMBEDDED, *EMBEDDED[:2], "required")),
        (Choices(preset="general-fast"), {"preset": "judged"}, (FAST, SONNET, SONNET, "auto")),
        (Choices(), {"preset": "general-fast", "judge": "b"}, (FAST, "b", SONNET, "auto")),
        (Choices(), {"preset": "general-fast", **THREE}, (["a"], "b", "c", "auto")),
        # presets of one's own
        (Choices(preset="pair"), {}, (PAIR, "lab:x", "lab:x", "auto")),
        (Choices(preset="pair"), THREE, (PAIR, "lab:x", "lab:x", "auto")),
        (Choices(preset="pair", model="m"), {}, (PAIR, "m", "m", "auto")),
        (Choices(preset="writer"), THREE, (["lab:x"], "lab:m", "lab:m", "auto")),
        (Choices(preset="judged"), THREE, (["lab:x"], "lab:j", "lab:m", "required")),
        (Choices(preset="judged", tool_choice="none"), {}, (["lab:x"], "lab:j", "lab:m", "none")),
        (Choices(preset="judged"), {"tool_choice": "none"}, (["lab:x"], "lab:j", "lab:m", "required")),
        (Choices(), {"preset": "pair"}, (PAIR, "lab:x", "lab:x", "auto")),
        (Choices(), {"preset": "judged", "model": "c", "tool_choice": "auto"}, (["lab:x"], "lab:j", "c", "auto")),
        (Choices(preset="convened"), {}, (["lab:x"], "lab:j", "lab:j", "required")),
        # aliases
        (Choices(model="openrouter/fusion"), {}, (HIGH, OPUS, OPUS, "required")),
        (Choices(model="openrouter:openrouter/fusion:online"), {}, (HIGH, OPUS, OPUS, "required")),
        (Choices(model="openrouter/fusion-flash"), {}, (FAST, SONNET, SONNET, "required")),
        (Choices(model="openrouter/fusion", panel=seats("a")), {}, (["a"], OPUS, OPUS, "required")),
        (Choices(model="openrouter/fusion", preset="pair"), {}, (PAIR, "lab:x", "lab:x", "required")),
        (Choices(model="openrouter/fusion"), THREE, (HIGH, OPUS, OPUS, "required")),
        (Choices(model="openrouter/fusion"), {"tool_choice": "none"}, (HIGH, OPUS, OPUS, "required")),
        (Choices(), {"model": "openrouter/fusion-flash"}, (FAST, SONNET, SONNET, "required")),
        (Choices(), {"model": "openrouter/fusion", "panel": seats("a")}, (["a"], OPUS, OPUS, "required")),
        (Choices(), {"model": "openrouter/fusion", "preset": "pair"}, (PAIR, "lab:x", "lab:x", "required")),
        (Choices(model="m"), {"model": "openrouter/fusion-flash"}, (HIGH, "m", "m", "auto")),
        (Choices(tool_choice="none"), {"model": "openrouter/fusion"}, (HIGH, OPUS, OPUS, "none")),
        (Choices(tool_choice="auto"), {"model": "openrouter/fusion-flash"}, (FAST, SONNET, SONNET, "auto")),
        (Choices(), {"model": "openrouter/fusion", "tool_choice": "none"}, (HIGH, OPUS, OPUS, "required")),
        (Choices(preset="convened", tool_choice="none"), {}, (["lab:x"], "lab:j", "lab:j", "none")),
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


def test_without_key_and_engine_there_are_three_ways_on() -> None:
    """Neither key nor engine is one line, the first that a newcomer may read: the guide, a key, or the engine."""
    with pytest.raises(CredentialError, match=r"^[^\n]*fusion config init.*OPENROUTER_API_KEY.*pip install[^\n]*$"):
        planned(Choices(), settings(key=False), on=machine(installed=False))


NO_KEY = r"^no key for openrouter: set OPENROUTER_API_KEY \(get a key at https://openrouter\.ai/keys\)$"


@pytest.mark.parametrize(
    "choices", [Choices(panel=seats("openai/gpt-5")), Choices(judge="openai/gpt-5"), Choices(model="openai/gpt-5")]
)
def test_a_hosted_model_without_a_key_wants_the_key(choices: Choices, tmp_path: Path) -> None:
    """Where only the missing key makes models embedded ones, it is the key that is missing; no other weights answer."""
    own = tmp_path / "mine.gguf"
    own.write_bytes(b"")
    for loaded in (settings(key=False), settings(key=False, local_model=own)):
        for plan in (planned, judged):
            if plan is judged and choices.judge is None:
                continue
            with pytest.raises(CredentialError, match=NO_KEY) as raised:
                plan(choices, loaded)
            named = f"local:{'mine' if loaded.local_model else SMALL}"
            assert raised.value.hint.startswith(f"Embedded models are named {named}")


def test_an_embedded_model_needs_no_provider_before_it_without_a_key(tmp_path: Path) -> None:
    """A slug that is an embedded model's, or that of one's own weights, is one without a key."""
    assert {str(model) for model in planned(Choices(panel=seats(SMALL)), settings(key=False)).models} == {
        f"local:{SMALL}"
    }
    own = tmp_path / "mine.gguf"
    own.write_bytes(b"")
    plan = planned(Choices(panel=seats("mine", "local:any")), settings(key=False, local_model=own))
    assert {str(model) for model in plan.models} == {"local:mine"}


@pytest.mark.parametrize("named", ["flag", "config"])
def test_who_names_the_embedded_provider_is_told_of_its_models(named: str) -> None:
    """Where local was named, a model that it lacks is a mistake in the name, whether there is a key or not."""
    choices = Choices(panel=seats("openai/gpt-5"), provider="local" if named == "flag" else None)
    loaded = settings(key=False)._replace(default_provider="local" if named == "config" else None)
    with pytest.raises(UsageError, match='there is no embedded model "openai/gpt-5"; known are'):
        planned(choices, loaded)


ALL = "general-high, general-budget, general-fast, local, local-small, pair, writer, judged, convened"


@pytest.mark.parametrize(
    ("choices", "configured", "said"),
    [
        (Choices(model="lab:x"), {}, "no panel was named"),
        (Choices(provider="lab"), {}, "no panel was named"),
        (Choices(provider="labb", panel=seats("lab:x")), {}, "--provider: expected one of openrouter, local, lab"),
        (Choices(model=""), {}, "model: expected"),
        (Choices(preset=""), {}, f"^preset: expected one of {ALL}"),
        (Choices(), {"preset": "nope"}, rf"^/c\.toml: preset: expected one of {ALL}.*, found \"nope\""),
        (Choices(panel=seats("local:nope")), {}, "there is no embedded model"),
        (Choices(model="openrouter/fusion", tool_choice="auto"), {}, "choose one"),
        (Choices(model="openrouter/fusion", tool_choice="none"), {"model": "openrouter/fusion"}, "choose one"),
        (Choices(model="lab:openrouter/fusion", panel=seats("a"), judge="j"), {}, "cannot be another provider's outer"),
        (Choices(preset="recursive"), {}, "cannot be a panelist or the judge"),
        (Choices(), {"preset": "recursive"}, "cannot be a panelist or the judge"),
        (Choices(preset="judged by a fusion"), {}, "cannot be a panelist or the judge"),
        (Choices(), {"depth": 1}, "already running inside a fusion"),
    ],
)
def test_what_cannot_be_planned(choices: Choices, configured: dict[str, Any], said: str) -> None:
    """A choice that cannot be carried out is a usage error that names it."""
    with pytest.raises(UsageError, match=said):
        planned(choices, settings(**configured))


@pytest.mark.parametrize("slug", FUSIONS)
def test_a_fusion_is_no_panelist_and_no_judge(slug: str) -> None:
    """OpenRouter's own fusion is refused inside ours, however its name is dressed, be there a key or not."""
    for choices in (Choices(panel=seats("lab:a", slug)), Choices(judge=slug)):
        for loaded in (settings(), settings(key=False)):
            with pytest.raises(UsageError, match="cannot be a panelist or the judge: a fusion cannot start another"):
                planned(choices, loaded)
    with pytest.raises(UsageError, match="cannot be a panelist or the judge"):
        judged(Choices(judge=slug))


def test_own_model_bears_its_own_name(tmp_path: Path) -> None:
    """With a GGUF file of one's own the record names that file; one that is missing is a configuration error."""
    own = tmp_path / "mine.gguf"
    sources = {"local.model": "environment FUSION_LOCAL_MODEL"}
    with pytest.raises(ConfigError, match="FUSION_LOCAL_MODEL: there is no file"):
        planned(Choices(preset="local"), settings(local_model=own)._replace(sources=sources))
    own.write_bytes(b"")
    plan = planned(Choices(preset="local"), settings(local_model=own))
    assert [panelist.label for panelist in plan.panel] == ["mine#1", "mine#2", "mine#3"]


def test_analyze_has_no_outer_model_and_always_convenes() -> None:
    """`analyze` asks panel and judge, whatever the config says about `ask`."""
    plan = planned(Choices(panel=seats("a")), settings(tool_choice="none", model="m"), outer_is_judge=True)
    assert {model.slug for model in plan.models} == {"a", "m"}
    assert plan.tool_choice == "required"


@pytest.mark.parametrize(
    ("choices", "configured", "expected"),
    [
        (Choices(judge="lab:j"), {}, "lab:j"),
        (Choices(), {"model": "lab:m"}, "lab:m"),
        (Choices(), {"panel": seats("lab:x", "lab:y")}, "lab:x"),
        (Choices(preset="local"), {"judge": "b"}, f"local:{LARGE}"),
        (Choices(preset="pair"), THREE, "lab:x"),
        (Choices(preset="writer"), THREE, "lab:m"),
        (Choices(), {"preset": "general-fast", "model": "m"}, f"openrouter:{SONNET}"),
        (Choices(), {"model": "openrouter/fusion-flash"}, f"openrouter:{SONNET}"),
        (Choices(), {}, f"openrouter:{OPUS}"),
    ],
)
def test_who_judges_what_exists(choices: Choices, configured: dict[str, Any], expected: str) -> None:
    """`judge` sends the responses to the judge that was chosen, and asks nobody else."""
    assert [str(model) for model in judged(choices, settings(**configured)).models] == [expected]


def test_depth_stops_judge_too() -> None:
    """Inside a fusion no judge is called either."""
    with pytest.raises(UsageError, match="already running inside a fusion"):
        judged(Choices(), settings(depth=1))


def test_a_judge_that_nobody_named_and_nobody_has() -> None:
    """A provider without a default preset has no judge either, and that is said."""
    with pytest.raises(UsageError, match="no judge was named"):
        judged(Choices(provider="lab"))
