"""Plans that take a run up, made of a run that is read back: what holds on, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from fusion_cli import resuming, run_files
from fusion_cli.chat import ModelName, ServerTool
from fusion_cli.choices import Choices
from fusion_cli.errors import UsageError
from fusion_cli.naming import Machine
from fusion_cli.plan import WEB_FETCH
from fusion_cli.presets import Preset
from fusion_cli.providers import Provider
from fusion_cli.run_files import SavedRun
from fusion_cli.settings import Settings
from tests.recording import record
from tests.story.scripted import plan

MACHINE = Machine(lambda: True, lambda: False, list)
FETCH = (ServerTool(WEB_FETCH),)
OFFLINE = Preset("", Choices(tools=(), max_cost=0.3, quotes=True))


def settings(*providers: str, **presets: Preset) -> Settings:
    """Return settings with these providers and presets."""
    known = {name: Provider(name, "http://127.0.0.1:1", "k") for name in ("openrouter", *providers)}
    return Settings(known, Path("/c.toml"), presets=presets)


def saved(folder: Path, judge: str = "openrouter", **choices: Any) -> SavedRun:
    """Return a run of `ask` that was chosen so, and judged by a model of that provider."""
    what = plan()._replace(judge=ModelName(judge, "j"))
    return run_files.read(record(folder, what=what, choices=Choices(**choices)).path)


@pytest.mark.parametrize(
    ("own", "flags", "expected"),
    [
        ({}, {}, {"judge": "openrouter:j"}),
        ({"tools": (), "max_cost": 0.1}, {}, {"judge": "openrouter:j", "tools": (), "max_cost": 0.1}),
        ({"tools": FETCH}, {"tools": (), "judge": "k"}, {"judge": "k", "tools": ()}),
        ({"max_cost": 0.1}, {"max_cost": 0.2}, {"judge": "openrouter:j", "max_cost": 0.2}),
        ({"allow_unknown_cost": True, "seed": 3}, {}, {"judge": "openrouter:j", "allow_unknown_cost": True}),
        ({"preset": "offline"}, {}, {"judge": "openrouter:j", "tools": (), "max_cost": 0.3}),
        ({"preset": "offline", "max_cost": 0.1}, {"judge": "k"}, {"judge": "k", "tools": (), "max_cost": 0.1}),
        ({"preset": "offline", "tools": FETCH}, {"preset": "p"}, {"preset": "p", "tools": FETCH}),
        ({"preset": "gone"}, {}, {"judge": "openrouter:j"}),
    ],
)
def test_what_holds_for_a_later_judge(
    tmp_path: Path, own: dict[str, Any], flags: dict[str, Any], expected: dict[str, Any]
) -> None:
    """A run's judge, its web tools and its limit of cost hold where no flag says otherwise, and nothing else does."""
    choices = resuming.choices_of_judged(
        saved(tmp_path, **own),
        Choices(**flags),
        settings(offline=OFFLINE),
    )
    assert choices == Choices(**expected)


def test_a_judge_whose_provider_is_gone_is_not_replaced(tmp_path: Path) -> None:
    """The run's own judge is refused where nobody has it any more, with both ways on; who is named is asked."""
    run = saved(tmp_path, judge="lab")
    with pytest.raises(UsageError, match=r"^j cannot be asked: the provider lab is not configured$") as refused:
        resuming.choices_of_judged(run, Choices(), settings())
    assert "fusion config set providers.lab.base_url URL" in refused.value.hint
    assert "-j MODEL" in refused.value.hint
    assert resuming.choices_of_judged(run, Choices(judge="k"), settings()).judge == "k"
    assert resuming.choices_of_judged(run, Choices(preset="p"), settings()).judge is None
    assert resuming.choices_of_judged(run, Choices(), settings("lab")).judge == "lab:j"


def test_another_writer_has_what_the_request_asked(tmp_path: Path) -> None:
    """The privacy that holds for the panel is the new writer's, too, where the first one could not be told."""
    what = plan()._replace(outer=ModelName("lab", "o"), inner_extra={"provider": {"zdr": True}})
    run = run_files.read(record(tmp_path, what=what).path)
    taken = resuming.rewritten(run, Choices(model="p"), settings(), MACHINE)
    assert taken.plan.outer_extra == {"provider": {"zdr": True}}
    assert taken.plan.warnings == ()
