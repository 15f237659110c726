"""Reports as a person has reviewed them: three runs as Markdown and as pages, word by word."""

from pathlib import Path

import pytest

from fusion_cli import formats
from fusion_cli.about import About
from tests.sinks.shown_runs import FACTS, GEMINI, GPT, OPUS, QUESTION, SHOWN
from tests.test_house import the_same

SNAPSHOTS = Path(__file__).parent.parent / "snapshots" / "reports"
ENDINGS = {"markdown": "md", "html": "html", "plain": "txt", "rich": "rich.txt"}


@pytest.mark.parametrize("form", ENDINGS)
@pytest.mark.parametrize("name", SHOWN)
def test_a_report_is_as_reviewed(name: str, form: str) -> None:
    """Whole, degraded or failed: a run's report is the text in its snapshot."""
    shown = SHOWN[name]
    about = About(QUESTION, FACTS, shown.unfinished, shown.timeline, (GPT, OPUS, GEMINI))
    the_same(SNAPSHOTS / f"{name}.{ENDINGS[form]}", formats.rendered(form, shown.run, about))


def test_every_snapshot_has_its_run() -> None:
    """A run that is gone leaves no snapshot behind."""
    assert {path.name for path in SNAPSHOTS.iterdir()} == {
        f"{name}.{end}" for name in SHOWN for end in ENDINGS.values()
    }
