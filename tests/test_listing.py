"""Promises of `listing`: what it says of a preset is what a run does with it."""

from pathlib import Path

import pytest

from fusion_cli import settings
from fusion_cli.choices import Choices, Seat
from fusion_cli.listing import as_text, brief, cut, entry_lines, list_presets
from fusion_cli.naming import Machine
from fusion_cli.plan import Plan, Prompt
from fusion_cli.planning import make_plan
from fusion_cli.presets import Preset
from fusion_cli.providers import Provider

MACHINE = Machine(lambda: True, lambda: False, lambda: ["qwen2.5-coder-1.5b", "qwen2.5-coder-0.5b"])
NOTHING = Choices()
OWN = {
    "twins": Preset("", Choices(panel=(Seat("x/y"), Seat("lab:x/y"), Seat("x/y", label="third")))),
    "judged": Preset("", Choices(panel=(Seat("a"), Seat("lab:b:free")), judge="lab:j")),
    "written": Preset("", Choices(panel=(Seat("a"),), model="o")),
    "both": Preset("", Choices(panel=(Seat("a"),), judge="j", model="lab:o", temperature=0.5)),
    "convened": Preset("", Choices(panel=(Seat("a"),), judge="j", model="openrouter/fusion")),
    "convened by none": Preset("", Choices(panel=(Seat("a"), Seat("j")), model="openrouter/fusion-flash")),
}
PANEL = (Seat("a/b"),)


def loaded(configured: Choices = NOTHING, provider: str | None = "lab") -> settings.Settings:
    """Return settings with presets of one's own, a key, and a server that needs none."""
    known = settings.load(environ={}).providers
    providers = {
        **known,
        "openrouter": known["openrouter"]._replace(api_key="k"),
        "lab": Provider("lab", "http://[::1]/v1"),
    }
    return settings.Settings(providers, Path("/c"), default_provider=provider, configured=configured, presets=OWN)


def planned(choices: Choices, wanted: settings.Settings, machine: Machine = MACHINE) -> Plan:
    """Return the plan of a run."""
    return make_plan(choices, wanted, Prompt("?"), machine)


@pytest.mark.parametrize("provider", ["lab", "openrouter", "local"])
def test_a_preset_is_listed_as_a_plan_has_it(provider: str) -> None:
    """Labels, models, judge and outer model of every preset are those of a run with `--preset`."""
    wanted = loaded(provider=provider)
    names = ["a", "j", "o", "x/y", *MACHINE.embedded_models()]
    machine = MACHINE._replace(embedded_models=lambda: names)
    for listed in list_presets(wanted, machine):
        plan = planned(Choices(preset=listed.name), wanted, machine)
        assert [(seat.label, seat.model) for seat in listed.panel] == [
            (panelist.label, str(panelist.model)) for panelist in plan.panel
        ]
        assert (listed.judge, listed.outer) == (str(plan.judge), str(plan.outer))


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize(
    ("configured", "provider"),
    [
        (Choices(), None),
        (Choices(), "openrouter"),
        (Choices(), "local"),
        (Choices(judge="local:qwen2.5-coder-0.5b"), "openrouter"),
        (Choices(judge="x"), "openrouter"),
        (Choices(preset="both"), "local"),
        (Choices(model="m"), "openrouter"),
        (Choices(model="openrouter/fusion"), "local"),
        (Choices(model="openrouter/fusion-flash"), "openrouter"),
        (Choices(model="openrouter/fusion", panel=PANEL), "openrouter"),
        (Choices(model="openrouter/fusion", judge="x/y"), "openrouter"),
        (Choices(model="openrouter/fusion", preset="both"), "openrouter"),
        (Choices(preset="general-budget", panel=PANEL), "openrouter"),
        (Choices(preset="general-budget", judge="x/y"), "openrouter"),
        (Choices(preset="general-budget", panel=PANEL, judge="x/y"), "openrouter"),
        (Choices(preset="judged", model="m"), "openrouter"),
    ],
)
def test_the_preset_in_effect_is_what_a_run_takes(configured: Choices, provider: str | None, short: bool) -> None:
    """Panel, judge and outer model of a run without flags are the marked preset's, but for those said to differ."""
    wanted = loaded(configured, provider)
    machine = Machine(lambda: True, lambda: short, lambda: ["a", "j", "m", "x", "lab:o", *MACHINE.embedded_models()])
    [marked] = [each for each in list_presets(wanted, machine) if each.in_effect]
    plan = planned(Choices(), wanted, machine)
    differs = {
        "panel": [seat.model for seat in marked.panel] != [str(panelist.model) for panelist in plan.panel],
        "judge": marked.judge != str(plan.judge),
        "model": marked.outer != str(plan.outer),
    }
    assert marked.overridden == tuple(role for role in differs if differs[role])


@pytest.mark.parametrize(
    ("configured", "name", "in_effect", "overridden"),
    [
        (Choices(), "general-high", "default", ()),
        (Choices(judge="x"), "general-high", "default", ("judge", "model")),
        (Choices(model="openrouter/fusion-flash"), "general-fast", "configured", ()),
        (Choices(preset="general-budget", panel=PANEL), "general-budget", "configured", ("panel",)),
        (Choices(preset="both", judge="x", temperature=0.5), "both", "configured", ("judge",)),
        (Choices(preset="both", temperature=1.0, seed=1), "both", "configured", ("temperature",)),
    ],
)
def test_what_overrides_a_preset(configured: Choices, name: str, in_effect: str, overridden: tuple[str, ...]) -> None:
    """The list says which of what the preset in effect says the configuration replaces, parameters as well."""
    listed = {each.name: each for each in list_presets(loaded(configured, "openrouter"), MACHINE)}
    assert (listed[name].in_effect, listed[name].overridden) == (in_effect, overridden)
    assert [each.name for each in listed.values() if each.in_effect] == [name]


@pytest.mark.parametrize(
    ("configured", "said"),
    [
        (Choices(preset="general-fast"), "general-fast (built in; in effect)"),
        (Choices(), "general-high (built in; in effect by default)"),
        (Choices(preset="both", panel=PANEL), "both (config file; in effect, but panel is overridden)"),
        (Choices(judge="x"), "general-high (built in; in effect by default, but judge and model are overridden)"),
        (
            Choices(preset="both", panel=PANEL, judge="x", model="y"),
            "both (config file; in effect, but panel, judge and model are overridden)",
        ),
    ],
)
def test_how_the_preset_in_effect_is_told(configured: Choices, said: str) -> None:
    """One phrase behind the name says why it is in effect, and what of it is not."""
    [marked] = [each for each in list_presets(loaded(configured, "openrouter"), MACHINE) if each.in_effect]
    assert as_text(marked, 200).splitlines()[0] == said


@pytest.mark.parametrize(
    "configured", [Choices(), Choices(panel=PANEL), Choices(preset="gone"), Choices(judge="openrouter/fusion")]
)
def test_none_is_marked(configured: Choices) -> None:
    """Where a run takes no preset, or is refused, none is in effect, and the list is whole all the same."""
    listed = list_presets(loaded(configured), MACHINE)
    assert len(listed) == 5 + len(OWN)
    assert [each.name for each in listed if each.in_effect] == []


def test_what_a_run_would_refuse_is_listed_as_it_is() -> None:
    """A list does not fail for what only a run has to refuse: a name that is none, no key, another fusion around it."""
    wanted = loaded()._replace(presets={"odd": Preset("", Choices(panel=(Seat("local:"),)))}, fusion_depth=1)
    odd = list_presets(wanted, MACHINE)[-1]
    assert (odd.panel[0].model, odd.judge) == ("local:", "local:")
    nobody = MACHINE._replace(engine_installed=lambda: False)
    without = loaded(provider=None)
    unserved = without._replace(providers={**without.providers, "openrouter": Provider("openrouter")})
    twins = {each.name: each for each in list_presets(unserved, nobody)}["twins"]
    assert [seat.model for seat in twins.panel] == ["x/y", "lab:x/y", "x/y"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (True, "true"),
        (0.5, "0.5"),
        ("a\n\x1b[2J", "a\\n\\x1b[2J"),
        (["a", "b"], "a,b"),
        ([], "none"),
        ({"effort": "low"}, "effort=low"),
        (["a", {"model": "b", "system": "x\ny " * 40}], f'a, b (system="{("x y " * 10)[:37]}...")'),
        ({"type": "t", "parameters": {"a": [], "b": {"c": None}}}, "t (parameters={a=[], b={c=None}})"),
    ],
)
def test_a_value_is_one_short_line(value: object, said: str) -> None:
    """Whatever is configured is shown in one line without controls, long texts within it cut."""
    assert brief(value) == said


def test_a_cut_text_fits_its_room() -> None:
    """A text of any length takes no more than its room, and a short one is whole."""
    assert cut("a\nb", 10) == "a b"
    assert cut("abcdefghijk", 10) == "abcdefg..."
    assert len(cut("\x1b" * 1_000_000, 10)) <= 10


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (None, ["panel         openai/gpt-5,anthropic/claude-opus-4.8 (file)"]),
        (80, ["panel         openai/gpt-5,anthropic/claude-opus-4.8 (file)"]),
        (50, ["panel         openai/gpt-5,", "              anthropic/claude-opus-4.8 (file)"]),
        (60, ["panel         openai/gpt-5,anthropic/claude-opus-4.8 (file)"]),
        (36, ["panel", "  openai/gpt-5,", "  anthropic/claude-opus-4.8 (file)"]),
    ],
)
def test_a_value_is_broken_between_its_parts(width: int | None, lines: list[str]) -> None:
    """On a screen no name is torn: what is long goes on under its value, or under its key where there is no room."""
    assert entry_lines("panel", "openai/gpt-5,anthropic/claude-opus-4.8 (file)", 12, width) == lines


def test_what_fits_stays_in_one_line_on_a_narrow_screen() -> None:
    """Where no column of values fits, a short value still stands behind its key."""
    assert entry_lines("panel", "not set", 36, 40) == ["panel  not set"]
