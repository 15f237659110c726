"""How long a run may take and what it may cost: which source counts, and what is said of limits that cannot hold."""

from typing import Any

import pytest

from fusion_cli.choices import Choices
from fusion_cli.errors import UsageError
from fusion_cli.plan import Limits, Plan
from tests.test_house import SNAPSHOTS
from tests.test_plan_parameters import IN_VAIN, with_preset
from tests.test_planning import judged, planned, seats, settings

TWO = Choices(panel=seats("a", "b"))
FIELDS: dict[str, tuple[Any, ...]] = {
    "timeout": (1.0, 2.0, 3.0, 300.0),
    "idle_timeout": (1.0, 2.0, 3.0, 120.0),
    "deadline": (1.0, 2.0, 3.0, 1800.0),
    "quorum": (1, 2, 3, None),
    "grace": (0.0, 2.0, 3.0, 30.0),
    "max_cost": (0.5, 2.0, 3.0, None),
    "allow_unknown_cost": (False, True, True, False),
}


def reading(plan: Plan, field: str) -> Any:
    """Return what became of a field in the plan."""
    limits = plan.limits._asdict()
    return limits[field] if field == "quorum" else limits.get(f"{field}_s", getattr(plan, field, None))


@pytest.mark.parametrize("field", FIELDS)
def test_which_source_counts(field: str) -> None:
    """Explicit over the preset asked for, over the file, over the preset that the file names, over the default."""
    flag, preset, file, default = FIELDS[field]
    says_nothing = Choices(panel=seats("x", "y", "z"))
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
        assert reading(planned(choices, loaded), field) == expected
        assert field == "quorum" or reading(judged(choices, loaded), field) == expected


def test_zero_is_no_limit_but_of_a_grace() -> None:
    """A time of 0 switches its limit off, the configured one too; a grace of 0 closes the panel at once."""
    nothing = TWO._replace(timeout=0.0, idle_timeout=0.0, deadline=0.0, grace=0.0, quorum=1)
    assert planned(nothing, settings(timeout=5.0, deadline=5.0)).limits == Limits(None, None, None, 1, 0.0)


@pytest.mark.parametrize(("deadline", "left"), [(60.0, 58.5), (1.0, 0.0), (0.0, None), (None, None)])
def test_embedded_models_are_ready_within_a_deadline_that_was_set(deadline: float | None, left: float | None) -> None:
    """What keys took is gone; the usual limit is for runs that hang, not for a first download."""
    assert planned(TWO._replace(deadline=deadline))._replace(waited_s=1.5).engine_has_s == left


def test_a_deadline_may_be_short() -> None:
    """What is possible, if hardly sensible, is the user's to decide."""
    assert planned(TWO._replace(deadline=0.1, timeout=60.0)).limits.deadline_s == 0.1


@pytest.mark.parametrize(
    ("choices", "panel"), [(TWO._replace(quorum=3), "2 models"), (Choices(panel=seats("a"), quorum=2), "1 model")]
)
def test_a_quorum_that_was_chosen_must_be_possible(choices: Choices, panel: str) -> None:
    """More responses than there are panelists cannot be waited for."""
    said = f"^the quorum is {choices.quorum}, but the panel has {panel}: it could never be reached$"
    with pytest.raises(UsageError, match=said):
        planned(choices)


def test_a_quorum_for_every_panel_is_cut_to_each() -> None:
    """What is configured for panels of any size holds for a smaller one as far as it goes, and needs no panel."""
    assert planned(TWO, settings(quorum=5)).limits.quorum == 2
    assert planned(Choices(preset="own"), with_preset(TWO._replace(quorum=8))).limits.quorum == 2
    assert planned(Choices(model="m", tool_choice="none"), settings(quorum=5)).warnings == ()
    assert judged(Choices(), settings(quorum=5)).limits.quorum is None


@pytest.mark.parametrize(
    ("choices", "configured", "warnings"),
    [
        (TWO._replace(quorum=1, grace=5.0), {}, ()),
        (TWO._replace(grace=5.0), {"quorum": 1}, ()),
        (TWO, {"grace": 5.0, "allow_unknown_cost": True}, ()),
        (TWO._replace(grace=5.0), {}, ("a grace was given, but no quorum: it has no effect",)),
        (Choices(model="m", tool_choice="none", quorum=3, grace=0.0), {}, (f"{IN_VAIN}quorum, grace",)),
        (Choices(model="m", tool_choice="none", timeout=1.0, deadline=1.0, max_cost=1.0), {}, ()),
        (TWO._replace(max_cost=1.0, allow_unknown_cost=True), {}, ()),
        (TWO._replace(allow_unknown_cost=True), {"max_cost": 1.0}, ()),
        (TWO._replace(allow_unknown_cost=False), {}, ()),
        (
            TWO._replace(allow_unknown_cost=True),
            {},
            ("unknown costs were allowed, but no highest cost was given: that has no effect",),
        ),
    ],
)
def test_a_limit_without_effect_is_said(
    choices: Choices, configured: dict[str, Any], warnings: tuple[str, ...]
) -> None:
    """Who chooses what needs another choice is told that it is missing; what is only configured is not."""
    assert planned(choices, settings(**configured)).warnings == warnings


def test_a_judge_is_told_of_limits_without_effect_too() -> None:
    """`judge` has no panel to wait for, but costs."""
    assert judged(Choices(max_cost=1.0, deadline=5.0)).warnings == ()
    [warning] = judged(Choices(allow_unknown_cost=True)).warnings
    assert warning.startswith("unknown costs were allowed")


def test_the_help_names_the_defaults() -> None:
    """What the help says of limits that nobody set is what they are."""
    told = " ".join((SNAPSHOTS / "fusion-ask.txt").read_text("utf-8").split())
    defaults = Limits()
    assert (defaults.timeout_s, defaults.idle_timeout_s, defaults.deadline_s, defaults.grace_s) == (300, 120, 1800, 30)
    for said in (
        "1h30m (5m by default)",
        "its words (2m by default)",
        "run may take, downloads included (by default 30m, downloads aside)",
        "(30s by",
    ):
        assert said in told
