"""Promises of `sinks.keeper`: what was paid for is kept, for its owner alone, and `fusion judge` can read it."""

import json
import os
from pathlib import Path

import pytest

from fusion_cli import events
from fusion_cli.chat import Citation, Usage
from fusion_cli.events import Event
from fusion_cli.results import Analysis
from fusion_cli.saved import read_responses
from fusion_cli.sinks.keeper import Keeper

ODD = "\x1b[31m Zwölf\u2028 🥊 \ud83d \x00"


def completed(label: str, model: str, content: str, *citations: Citation) -> events.PanelCompleted:
    """Return a panelist's success."""
    return events.PanelCompleted(label, model, content, 1.0, Usage(), truncated=False, citations=citations)


def keeper(folder: Path, *happened: Event) -> Keeper:
    """Return a keeper to which these things have happened."""
    kept = Keeper(folder)
    for event in happened:
        kept(event)
    return kept


PANEL = (
    events.FusionInProgress("Which DB?"),
    events.PanelAdded("x/y#1", "x/y"),
    completed("x/y#1", "x/y", "one"),
    completed("x/y#2", "x/y", ODD),
    events.PanelFailed("z/z", "z/z", "HTTP 500: no", 500, "half an ans", 1.0),
    events.PanelFailed("w/w", "w/w", "HTTP 404: no", 404, "", 1.0),
    events.AnswerDelta("ignored"),
)


def test_the_file_is_what_fusion_judge_reads(tmp_path: Path) -> None:
    """Prompt, responses (odd characters included) and the number of the missing come back as they were."""
    path = keeper(tmp_path / "runs", *PANEL).save()
    assert path is not None
    saved = read_responses(path.read_text("utf-8"), path.name, None)
    assert saved.prompt == "Which DB?"
    assert {panelist.label: text for panelist, text in saved.responses.items()} == {"x/y#1": "one", "x/y#2": ODD}
    assert saved.missing == 2


def test_half_an_answer_is_kept_as_such(tmp_path: Path) -> None:
    """A failed panelist's text stands with its failure, not among the responses; the analysis is kept, too."""
    analysis = Analysis(consensus=["c"], contradictions=[], partial_coverage=[], unique_insights=[], blind_spots=[])
    path = keeper(tmp_path, *PANEL, events.AnalysisCompleted(analysis, 1.0)).save()
    assert path is not None
    value = json.loads(path.read_bytes())
    assert value["failed_models"] == [
        {"model": "z/z", "label": "z/z", "error": "HTTP 500: no", "partial": "half an ans"},
        {"model": "w/w", "label": "w/w", "error": "HTTP 404: no"},
    ]
    assert value["analysis"]["consensus"] == ["c"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_nobody_else_can_read_it(tmp_path: Path, umask: int) -> None:
    """The file is its owner's alone, in a folder that is, whatever the umask."""
    before = os.umask(umask)
    try:
        path = keeper(tmp_path / "deep" / "runs", *PANEL).save()
    finally:
        os.umask(before)
    assert path is not None
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_two_runs_do_not_overwrite_each_other(tmp_path: Path) -> None:
    """Fifty runs that end in the same second leave fifty files."""
    kept = keeper(tmp_path, *PANEL)
    assert len({kept.save() for _ in range(50)}) == 50
    assert len(list(tmp_path.iterdir())) == 50


def test_nothing_is_written_for_nothing(tmp_path: Path) -> None:
    """A run without a response leaves neither file nor folder."""
    assert keeper(tmp_path / "runs", PANEL[0], PANEL[1], PANEL[4]).save() is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_is_an_os_error(tmp_path: Path) -> None:
    """The caller can say why nothing was kept."""
    (tmp_path / "runs").write_text("a file in the way")
    with pytest.raises(OSError, match="runs"):
        keeper(tmp_path / "runs", *PANEL).save()


def test_new_judgement_of_an_old_panel_is_kept(tmp_path: Path) -> None:
    """What another judge found is worth keeping, with the responses that it is about; without it nothing is new."""
    known = {"prompt": "Which DB?", "responses": [{"model": "x/y", "label": "x/y", "content": "one"}]}
    analysis = Analysis(consensus=["c"], contradictions=[], partial_coverage=[], unique_insights=[], blind_spots=[])
    kept = Keeper(tmp_path, known)
    assert kept.save() is None
    kept(events.AnalysisCompleted(analysis, 1.0))
    path = kept.save()
    assert path is not None
    value = json.loads(path.read_bytes())
    assert (value["responses"], value["analysis"]["consensus"]) == (known["responses"], ["c"])


CITED = {
    "x/y#1": (Citation("https://one.example/", "Zwölf 🥊"), Citation("https://two.example/", "Two")),
    "x/y#3": (Citation("https://one.example/", "Zwölf 🥊"),),
}


def citing_panel() -> tuple[Event, ...]:
    """Return a panel of three, of whom two cite pages."""
    answered = (completed(f"x/y#{n}", "x/y", f"text {n}", *CITED.get(f"x/y#{n}", ())) for n in (3, 1, 2))
    return (events.FusionInProgress("Which DB?"), *answered)


def test_sources_stand_with_their_responses(tmp_path: Path) -> None:
    """They are kept in the shape that `analyze --json` prints, whoever answered first."""
    path = keeper(tmp_path, *citing_panel()).save()
    assert path is not None
    rows = {row["label"]: row for row in json.loads(path.read_bytes())["responses"]}
    assert rows["x/y#1"]["sources"] == [
        {"url": "https://one.example/", "title": "Zwölf 🥊"},
        {"url": "https://two.example/", "title": "Two"},
    ]
    assert "sources" not in rows["x/y#2"]


def test_sources_come_back(tmp_path: Path) -> None:
    """`fusion judge` reads who cites what as it was, and so it does from the file of a judgement of that file."""
    path = keeper(tmp_path, *citing_panel()).save()
    assert path is not None
    saved = read_responses(path.read_text("utf-8"), path.name, None)
    assert saved.cited == CITED
    analysis = Analysis(consensus=["c"], contradictions=[], partial_coverage=[], unique_insights=[], blind_spots=[])
    judged = Keeper(tmp_path, saved.as_known())
    judged(events.AnalysisCompleted(analysis, 1.0))
    again = judged.save()
    assert again is not None
    assert read_responses(again.read_text("utf-8"), again.name, None) == saved
