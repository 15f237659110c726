"""Promises of the README's tour: its pictures and its lines are what the program makes of the recorded run today."""

import os
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.tour import said
from tests.tour.pictures import FOLDER, pictures
from tests.tour.record import record
from tests.tour.replay import plain_lines, result

UPDATE = os.environ.get("FUSION_UPDATE_SNAPSHOTS") == "1"  # read here: no test sees a FUSION_ variable
README = Path(__file__).parent.parent.parent / "README.md"
PICTURES = ("analysis.svg", "answer.svg", "live.svg")
MOST_BYTES = 150_000
SVG = "http://www.w3.org/2000/svg"


@pytest.mark.parametrize("name", PICTURES)
def test_the_pictures_are_what_is_drawn_today(name: str) -> None:
    """A picture shows the run as the program shows it now."""
    svg = pictures()[name]
    if UPDATE:
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_text(svg, "utf-8")
    kept = (FOLDER / name).read_text("utf-8") if (FOLDER / name).exists() else ""
    assert svg == kept, f"{name} is stale: FUSION_UPDATE_SNAPSHOTS=1 pytest tests/tour"


def test_there_are_no_other_pictures() -> None:
    """Every picture that is kept is one that is drawn."""
    assert sorted(pictures()) == sorted(path.name for path in FOLDER.iterdir()) == list(PICTURES)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_stands_alone(name: str) -> None:
    """It is small, well-formed, runs nothing and asks nobody for a font, a style or an image."""
    svg = (FOLDER / name).read_text("utf-8")
    assert len(svg.encode()) < MOST_BYTES
    elements = [element.tag.removeprefix(f"{{{SVG}}}") for element in ElementTree.fromstring(svg).iter()]  # noqa: S314  # our own
    assert set(elements) <= {"svg", "title", "style", "defs", "clipPath", "rect", "g", "text", "circle"}
    assert "@" not in re.sub(r"<text.*?</text>", "", svg)
    assert set(re.findall(r"url\((.)", svg)) == {"#"}
    attributes = re.sub(r">[^<]*<", "><", svg)
    assert re.findall(r'"(\w+:[^"]*)"', attributes) == [SVG]


def test_the_readme_shows_every_picture() -> None:
    """Each stands there once, and says in words what is to be seen."""
    shown = re.findall(r"!\[([^\]]+)\]\(\.github/pictures/([\w.]+)\)", README.read_text("utf-8"))
    assert sorted(name for _, name in shown) == list(PICTURES)
    assert all(len(alt) > 40 for alt, _ in shown)


def test_the_readmes_links_lead_somewhere() -> None:
    """What it links to in the repository is a file that exists or one of its own headings."""
    text = README.read_text("utf-8")
    headings = {"#" + title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("https://")]
    assert "#models-and-providers" in links
    assert [link for link in links if link not in headings and not (README.parent / link).is_file()] == []


def test_the_readme_shows_the_lines_of_a_pipe() -> None:
    """What the README says goes to standard error is what the recorded run puts there."""
    lines = "\n".join(plain_lines())
    assert f"\n```\n{lines}\n```\n" in README.read_text("utf-8"), lines


def test_the_recorded_run_is_up_to_date() -> None:
    """Who changes what the models say records the run anew: `python -m tests.tour.record`."""
    run = result()
    assert run.answer == said.ANSWER
    assert run.result
    responses = {each.model: each.content for each in run.result.responses or ()}
    assert responses == {model: response.text for model, response in said.RESPONSES.items()}
    assert run.result.analysis
    assert run.result.analysis.model_dump() == said.analysis({model: model for model in said.PANEL})


def test_the_command_says_those_lines(tmp_path: Path) -> None:
    """Asked anew in a hurry, the installed command says what is replayed, but for times and who is first."""
    told = record(tmp_path / "run.jsonl", pace=0.0)
    untimed = [sorted(re.sub(r"\d+\.\d s\b", "", line) for line in lines) for lines in (told, plain_lines())]
    assert untimed[0] == untimed[1]
    assert (tmp_path / "run.jsonl").stat().st_size > 0
