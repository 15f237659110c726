"""Promises of `fusion runs`: what is kept can be listed, seen, taken elsewhere and removed, and nothing else can."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import platformdirs
import pytest
import typer
from typer.testing import CliRunner, Result

from fusion_cli import events
from fusion_cli.choices import Choices
from fusion_cli.commands import runs
from fusion_cli.errors import FusionError, UsageError
from fusion_cli.results import AskRun
from fusion_cli.sinks.journal import Journal
from tests.e2e.command import FUSION
from tests.recording import Recorded, happy, record
from tests.story.scripted import ScriptedModels, plan, says

ATTACK = "\x1b[31mred\x1b]0;title\x07\x9b2J\u202e"
POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions and locks")

root = typer.Typer()
root.add_typer(runs.app, name="runs")


@root.callback()
def _global(ctx: typer.Context, config: Annotated[Path | None, typer.Option()] = None) -> None:
    """Stand in for the real root, of which this sub-app needs `ctx.obj` alone."""
    ctx.obj = config


@pytest.fixture
def folder() -> Path:
    """Return where this test's runs are kept."""
    return platformdirs.user_data_path("fusion", appauthor=False) / "runs"


@pytest.fixture
def kept(folder: Path) -> Recorded:
    """Return a run that is kept."""
    return record(folder)


def fusion(*arguments: str) -> Result:
    """Run `fusion runs ...`."""
    return CliRunner().invoke(root, ["runs", *arguments])


def done(*arguments: str) -> str:
    """Run `fusion runs ...`, which must succeed; return what it printed."""
    result = fusion(*arguments)
    assert result.exception is None, result.exception
    return result.stdout


def refused(*arguments: str, kind: type[FusionError] = UsageError) -> str:
    """Run `fusion runs ...`, which must raise this error with one clean line; return that."""
    error = fusion(*arguments).exception
    assert type(error) is kind, repr(error)
    assert str(error).isprintable()
    return str(error)


def under_way(folder: Path) -> Journal:
    """Return the journal of a run that has not ended."""
    journal = Journal(folder, "ask", plan(), Choices(), None, lambda said: None)
    journal(events.FusionInProgress("p", "t"))
    journal(events.PanelDelta("a", "half a sen", ""))
    journal(events.PanelFailed("b", "b", "HTTP 500", 500, "", 1.0))
    return journal


class TestList:
    """`fusion runs list`."""

    def test_without_runs_it_is_friendly(self) -> None:
        """One line on standard error, and status 0."""
        result = fusion("list")
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (0, "", 1)
        assert "No runs yet" in result.stderr
        assert json.loads(done("list", "--json")) == []

    def test_a_folder_that_cannot_be_read(self, folder: Path) -> None:
        """It is no empty list: the folder is named, and the status is not 0."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.write_text("no folder")
        for arguments in (("list",), ("list", "--json"), ("prune", "--older-than", "1d")):
            assert refused(*arguments, kind=FusionError).startswith(f"{folder}, where runs are kept, cannot be read: ")

    def test_the_newest_come_first(self, folder: Path, kept: Recorded) -> None:
        """Each on a line, with its status, cost and question; `-n` says how many."""
        (folder / "20200101T000000000-aaaaaa.jsonl").write_text("junk\n")
        newest, oldest = (line.split("\t") for line in done("list").splitlines())
        assert newest[1] == kept.run.run
        assert newest[2:] == ["ok", "2.000000", "a,b", "the question"]
        assert oldest[:3] == ["", "20200101T000000000-aaaaaa", "damaged"]
        assert len(done("list", "-n", "1").splitlines()) == 1

    def test_json_has_an_object_for_each(self, kept: Recorded) -> None:
        """All that is known of a run without reading the whole of it; what is not, is null."""
        [row] = json.loads(done("list", "--json"))
        assert (row["run"], row["path"], row["status"]) == (kept.run.run, str(kept.path), "ok")
        assert (row["panel"], row["answered"], row["cost"], row["parent"]) == (["a", "b"], 2, 2.0, None)

    @pytest.mark.parametrize("said", ["0", "-1", "x", "", "1.5", "9" * 40])
    def test_no_number_is_an_error(self, said: str) -> None:
        """It says what was expected."""
        assert "expected a whole number from 1" in refused("list", f"--limit={said}")

    @POSIX
    def test_a_run_under_way_is_running(self, folder: Path) -> None:
        """Until its process ends; killed, it is unfinished."""
        journal = under_way(folder)
        assert json.loads(done("list", "--json"))[0]["status"] == "running"
        journal.close()
        assert json.loads(done("list", "--json"))[0]["status"] == "unfinished"


class TestShow:
    """`fusion runs show`."""

    def test_a_run_is_shown(self, kept: Recorded) -> None:
        """Question, answer, analysis and what it took, by id, beginning, `last` or file."""
        text = done("show", "last")
        for said in ("## Question\n\nthe question", "## Answer\n\nthe answer", "## Consensus", f"ask {kept.run.run}"):
            assert said in text
        assert "60 tokens, $2.00" in text.splitlines()[-1]
        assert "## Response of" not in text
        assert "## Response of a\n\nnow" in done("show", "last", "--responses")
        for name in (str(kept.run.run), str(kept.run.run)[:-2], str(kept.path)):
            assert done("show", name) == text

    @pytest.mark.parametrize("how", [["--json"], ["--format", "json"]])
    def test_json_is_what_json_printed(self, kept: Recorded, how: list[str]) -> None:
        """Key by key, byte by byte."""
        assert done("show", "last", *how) == json.dumps(kept.run.model_dump(), indent=2) + "\n"

    def test_a_killed_run_has_an_object_too(self, folder: Path) -> None:
        """It is made of what was finished, and says that the run did not end."""
        path = record(folder, is_killed=True).path
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1])[:-20])
        run = AskRun.model_validate_json(done("show", "last", "--json"))
        assert (run.status, run.failure_reason, run.degraded) == ("error", "cancelled", True)
        assert run.error == "the run did not end"
        assert [each.content for each in (run.result and run.result.responses) or ()] == ["now", "later"]

    @POSIX
    def test_a_run_under_way_is_shown_as_far_as_it_got(self, folder: Path) -> None:
        """With what was written by then, marked as cut off."""
        journal = under_way(folder)
        text = done("show", "last")
        run = AskRun.model_validate_json(done("show", "last", "--json"))
        journal.close()
        assert "## No answer\n\nthe run is under way" in text
        assert "## Response of a, cut off\n\nhalf a sen" in text
        assert "- b: HTTP 500" in text
        assert (run.status, run.failure_reason) == ("error", None)

    @pytest.mark.parametrize("form", ["rich", "plain", "markdown", "json", "jsonl", "html"])
    def test_nothing_of_a_models_reaches_the_terminal(self, folder: Path, form: str) -> None:
        """Escape sequences, C1 and direction controls are gone or escaped, in every format."""
        models = ScriptedModels().script("panel", "a", says(ATTACK)).script("panel", "b", says(ATTACK))
        record(folder, models.script("judge", "j", says("no"), says("no")).script("outer", "o", says(ATTACK)))
        text = done("show", "last", "--responses", "--format", form)
        assert "red" in text
        assert all(each.isprintable() for each in text.splitlines())

    def test_lines_are_the_journals(self, folder: Path) -> None:
        """As they stand, but for the broken ones; what cannot be shown is escaped, and means the same."""
        path = record(folder, happy(ATTACK)).path
        whole = path.read_bytes()
        path.write_bytes(whole + b'broken\n{"torn": ')
        lines = done("show", "last", "--format", "jsonl").splitlines()
        assert [json.loads(line) for line in lines] == [json.loads(line) for line in whole.splitlines()]
        assert lines[0] == whole.decode().splitlines()[0]

    def test_markdown_is_a_report(self, kept: Recorded) -> None:
        """The question is its title, and the responses are folded in."""
        text = done("show", "last", "--format", "markdown")
        assert text.startswith("# the question\n\n## Answer\n\nthe answer\n")
        assert text.count("<details>") == 2

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["nobody"], "there is no run nobody"),
            (["last", "--format", "pdf"], "expected rich, plain, markdown, json, jsonl or html"),
            (["last", "--format", "plain", "--json"], "choose one"),
        ],
    )
    def test_mistakes_are_named(self, kept: Recorded, arguments: list[str], said: str) -> None:
        """One line each, with status 2."""
        assert said in refused("show", *arguments)


class TestExport:
    """`fusion runs export`."""

    @pytest.mark.parametrize(
        ("name", "form"),
        [
            *(("o.jsonl", "jsonl"), ("o.json", "json"), ("o.md", "markdown"), ("O.TXT", "plain"), ("o.html", "html")),
            ("json:o", "json"),
        ],
    )
    def test_the_ending_says_the_format(self, kept: Recorded, name: str, form: str) -> None:
        """What is written is what `show` prints."""
        assert done("export", "last", "-o", name) == ""
        assert Path(name.rpartition(":")[2]).read_text("utf-8") == done("show", "last", "--format", form)

    def test_several_files_are_all_written(self, kept: Recorded) -> None:
        """Each -o is heeded."""
        done("export", "last", "-o", "a.md", "-o", "b.html")
        assert Path("a.md").exists()
        assert Path("b.html").exists()

    def test_what_was_exported_is_a_run(self, kept: Recorded) -> None:
        """Where its journal is gone, the file stands for it; without -o its lines go to standard output."""
        done("export", "last", "-o", "mine.jsonl")
        assert done("export", "last") == Path("mine.jsonl").read_text("utf-8")
        before = done("show", "last")
        done("rm", "last")
        assert done("show", "mine.jsonl") == before

    def test_nothing_is_overwritten(self, kept: Recorded) -> None:
        """A file that is there stays, unless --force is given."""
        Path("o.md").write_text("old")
        assert "is there already" in refused("export", "last", "-o", "o.md")
        assert Path("o.md").read_text() == "old"
        done("export", "last", "-o", "o.md", "--force")
        assert Path("o.md").read_text("utf-8").startswith("# the question")

    @pytest.mark.parametrize("name", ["o", "o.pdf", ".md"])
    def test_an_unknown_ending_is_an_error(self, kept: Recorded, name: str) -> None:
        """It says which there are."""
        assert "expected a name that ends in .html, .md, .json, .jsonl or .txt" in refused("export", "last", "-o", name)


class TestRemoval:
    """`fusion runs rm` and `fusion runs prune`."""

    def test_runs_are_removed_and_named(self, folder: Path) -> None:
        """Several at once, each once; damaged ones, too."""
        paths = [record(folder).path for _ in range(3)]
        paths[1].write_text("junk")
        said = done("rm", paths[0].stem, paths[1].stem, paths[0].stem)
        assert said == f"removed {paths[0].stem}\nremoved {paths[1].stem}\n"
        assert list(folder.iterdir()) == [paths[2]]

    def test_one_mistake_removes_nothing(self, kept: Recorded) -> None:
        """All of them are looked up before any is removed."""
        assert "there is no run nobody" in refused("rm", "last", "nobody")
        Path("precious.txt").write_text("x")
        assert "a file of yours" in refused("rm", "last", "precious.txt")
        assert kept.path.exists()
        assert Path("precious.txt").exists()

    @POSIX
    def test_a_run_under_way_is_not_removed(self, folder: Path) -> None:
        """Neither by its id nor by its age."""
        journal = under_way(folder)
        assert "is under way" in refused("rm", "last")
        assert done("prune", "--older-than", "0h") == "0 runs removed, 0 bytes\n"
        assert journal.path.exists()
        journal.close()

    def test_old_runs_are_pruned(self, folder: Path, kept: Recorded) -> None:
        """Those that began before, of older versions too; first only said, with --dry-run."""
        for name in ("20200101T000000000-aaaaaa.jsonl", "20200101T000000-bbbbbb.json", "mine.jsonl"):
            (folder / name).write_text("x" * 600)
        assert done("prune", "--older-than", "30d", "--dry-run") == "2 runs would be removed, 1,200 bytes\n"
        assert len(list(folder.iterdir())) == 4
        assert done("prune", "--older-than", "30d") == "2 runs removed, 1,200 bytes\n"
        assert {path.name for path in folder.iterdir()} == {kept.path.name, "mine.jsonl"}

    def test_an_age_has_to_be_said(self, kept: Recorded) -> None:
        """Without one, nothing is removed."""
        assert "--older-than" in refused("prune")
        assert "expected a time like" in refused("prune", "--older-than", "soon")
        assert kept.path.exists()


def pressed_tab(line: str) -> "subprocess.CompletedProcess[str]":
    """Ask the installed command what a Tab after this line offers, and what it imports for that."""
    asked = {"_FUSION_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    command = [sys.executable, "-X", "importtime", FUSION]
    return subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **asked})


@pytest.mark.parametrize(
    "command",
    [
        "runs show",
        "runs export",
        "runs rm",
        "judge",
        "ask --resume",
        "ask --from",
        "ask --continue",
        "analyze --resume",
    ],
)
def test_ids_are_completed(kept: Recorded, command: str) -> None:
    """Tab offers the runs that begin so, and waits for nothing heavy."""
    told = pressed_tab(f"fusion {command} 2")
    assert told.stdout.split() == [kept.run.run]
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.stderr.splitlines()}
    assert imported & {"httpx", "rich", "pydantic", "asyncio", "tomlkit"} == set()
    assert pressed_tab(f"fusion {command} l").stdout.split() == ["last"]
