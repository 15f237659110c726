"""Promises of `listing`: what it says of a preset is what a run does with it."""

from pathlib import Path

import pytest

from fusion_cli import settings
from fusion_cli.choices import Choices, Seat
from fusion_cli.listing import brief, cut, list_presets
from fusion_cli.plan import Plan, Prompt
from fusion_cli.planning import Machine, make_plan
from fusion_cli.presets import Preset

MACHINE = Machine(lambda: True, lambda: False, lambda: ["qwen2.5-coder-1.5b", "qwen2.5-coder-0.5b"])
NOTHING = Choices()
OWN = {
    "twins": Preset("", Choices(panel=(Seat("x/y"), Seat("lab:x/y"), Seat("x/y", label="third")))),
    "judged": Preset("", Choices(panel=(Seat("a"), Seat("lab:b:free")), judge="lab:j")),
    "written": Preset("", Choices(panel=(Seat("a"),), model="o")),
    "both": Preset("", Choices(panel=(Seat("a"),), judge="j", model="lab:o")),
}


def loaded(configured: Choices = NOTHING, provider: str | None = "lab") -> settings.Settings:
    """Return settings with presets of one's own, a key, and a server that needs none."""
    known = settings.load(environ={}).providers
    providers = {
        **known,
        "openrouter": known["openrouter"]._replace(api_key="k"),
        "lab": settings.Provider("lab", "http://[::1]/v1"),
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
    for listed in list_presets(wanted, lambda: True, lambda: False):
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
    ],
)
def test_the_preset_in_effect_is_what_a_run_takes(configured: Choices, provider: str | None, short: bool) -> None:
    """The panel of a run without flags is that of the preset that is marked."""
    wanted = loaded(configured, provider)
    [marked] = [each for each in list_presets(wanted, lambda: True, lambda: short) if each.in_effect]
    machine = Machine(lambda: True, lambda: short, lambda: ["a", "j", "x", *MACHINE.embedded_models()])
    assert [seat.model for seat in marked.panel] == [
        str(panelist.model) for panelist in planned(Choices(), wanted, machine).panel
    ]


def test_a_provider_without_a_default_panel_marks_none() -> None:
    """Where a run would ask for a panel, no preset is in effect."""
    assert [each.name for each in list_presets(loaded(), lambda: True, lambda: False) if each.in_effect] == []


def test_a_name_that_no_run_takes_is_listed_as_it_is() -> None:
    """A list does not fail for what only a run has to refuse."""
    wanted = loaded()._replace(presets={"odd": Preset("", Choices(panel=(Seat("local:"),)))})
    odd = list_presets(wanted, lambda: True, lambda: False)[-1]
    assert (odd.panel[0].model, odd.judge) == ("local:", "local:")


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
