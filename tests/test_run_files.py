"""Promises of `run_files`: what was written is read as it was, and no torn file is more than a usage error."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from fusion_cli import events, run_files
from fusion_cli.chat import Message, ModelName, Reasoning, ServerTool, ToolCall, Usage
from fusion_cli.choices import Choices, Seat
from fusion_cli.errors import FusionError, ServerFailedError, UsageError
from fusion_cli.outcome import ask_run_without_calls
from fusion_cli.plan import Limits, Panelist, Plan, Prompt
from fusion_cli.sinks.journal import Journal
from tests.recording import happy, record
from tests.story.scripted import JUDGE_REPLY, ScriptedModels, panel_of_two, plan, says

IDS = ("20261127T235959999-00000a", "20261128T000000000-00000b", "20261128T000000000-0000bb")
RICH_PLAN = Plan(
    Prompt("q\u2028 🥊 \ud83d", "m", "b"),
    (
        Panelist("sceptic", ModelName("lab", "x/a"), "Doubt.", 0.2, None, Reasoning("high")),
        Panelist("x/a#2", ModelName("openrouter", "x/a"), reasoning=Reasoning(max_tokens=100)),
    ),
    ModelName("openrouter", "j"),
    ModelName("local", "o"),
    "auto",
    reasoning=Reasoning("low"),
    seed=3,
    system="s",
    conversation=(Message("system", "be"), Message("assistant", "", (ToolCall("1", "f", "{}"),)), Message("user", "q")),
    outer_extra={"top_p": 0.5, "stop": ["x", None]},
    inner_extra={"provider": {"zdr": True}},
    tools=(ServerTool("openrouter:web_search", {"max_results": 3}),),
    search="brave",
    quotes=True,
    limits=Limits(None, 1.5, 60.0, 2, 0.0),
    max_cost=0.5,
    warnings=("w",),
)
RICH_CHOICES = Choices(
    (Seat("x/a", "Doubt.", 0.2, "sceptic", Reasoning("high"), 5),),
    judge="j",
    reasoning=Reasoning(max_tokens=3),
    tools=(ServerTool("openrouter:web_fetch"),),
    quotes=False,
    deadline=60.0,
)


def analyzing() -> ScriptedModels:
    """Return models for a run without an outer model."""
    return panel_of_two().script("judge", "j", says(JUDGE_REPLY))


def changed(path: Path, number: int, **fields: Any) -> Path:
    """Change fields of a journal's line."""
    lines = path.read_text("utf-8").splitlines(keepends=True)
    lines[number] = json.dumps({**json.loads(lines[number]), **fields}) + "\n"
    path.write_text("".join(lines), "utf-8")
    return path


def named(folder: Path, *ids: str) -> None:
    """Put runs there that are called so, with nothing but their beginning."""
    kept = record(folder / "elsewhere", is_killed=True).path
    head = kept.read_text("utf-8").splitlines(keepends=True)[:2]
    for each in ids:
        (folder / f"{each}.jsonl").write_text("".join(head), "utf-8")


@pytest.mark.parametrize(("what", "choices"), [(plan(), Choices()), (RICH_PLAN, RICH_CHOICES)])
def test_plan_and_choices_come_back(tmp_path: Path, what: Plan, choices: Choices) -> None:
    """Every field of them, nested tuples and half characters included, is what it was."""
    journal = Journal(tmp_path, "ask", what, choices, "20260101T000000-abcdef", lambda said: None)
    journal(events.Warned("w"))
    journal.close()
    saved = run_files.read(journal.path)
    assert saved.plan == what
    assert saved.choices == choices
    assert (saved.summary.parent, saved.warnings, saved.skipped) == ("20260101T000000-abcdef", ("w",), 0)


def test_a_whole_run_comes_back(tmp_path: Path) -> None:
    """Question, responses with their usage, analysis, answer and result are there."""
    run, path = record(tmp_path, happy("It\u2028depends \ud83d."))
    saved = run_files.read(path)
    assert (saved.prompt, saved.told) == ("the question\n\nthe material", "the question")
    assert {label: (it.content, it.usage) for label, it in saved.responses.items()} == {
        "a": ("now", Usage(10, 5, 15, cost=0.5)),
        "b": ("later", Usage(10, 5, 15, cost=0.5)),
    }
    assert saved.analysis
    assert saved.analysis.analysis.consensus == ["both agree"]
    assert saved.answer == "It\u2028depends \ud83d."
    assert saved.result == run.model_dump()
    assert (saved.missing, saved.failures, saved.partial, saved.skipped) == ([], {}, {}, 0)


def test_torn_at_every_byte_it_reads_back(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Wherever a kill has cut the file, what had been finished before is there, and nothing but a usage error comes."""
    models = ScriptedModels().script("panel", "a", says("now é🥊")).script("panel", "b", ServerFailedError("HTTP 500"))
    judged = models.script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", says("done"))
    path = record(tmp_path, judged).path
    data = path.read_bytes()
    ends: dict[str, int] = {}
    at = 0
    for line in data.splitlines(keepends=True):
        at += len(line)
        ends.setdefault(json.loads(line)["type"].removeprefix("fusion_call."), at - 1)  # without its line feed
    torn = tmp_path / "torn.jsonl"
    # In a plain run every byte about the end of a line, where what is read changes, and some of those between.
    near = {end + by for end in (0, *ends.values()) for by in range(-3, 4)}
    every = 1 if pytestconfig.getoption("--torture") else 13
    for length in sorted({*range(0, len(data) + 1, every), *(near & set(range(len(data) + 1)))}):
        torn.write_bytes(data[:length])
        summary = run_files.summary(torn)
        assert (
            summary.status
            == (
                ["ok", "degraded", "unfinished", "damaged"][
                    1 if length >= ends["ended"] else 2 if length >= ends["created"] else 3
                ]
            )
        )
        try:
            saved = run_files.read(torn)
        except UsageError:
            assert length < ends["planned"], length
            continue
        assert length >= ends["planned"], length
        assert ("a" in saved.responses) == (length >= ends["panel.completed"]), length
        assert ("b" in saved.failures) == (length >= ends["panel.failed"]), length
        assert (saved.analysis is not None) == (length >= ends["analysis.completed"]), length
        assert (saved.answer == "done") == (length >= ends["answer.completed"]), length
        assert (saved.result is not None) == (length >= ends["completed"]), length


@pytest.mark.parametrize(
    "garbage",
    [b"\xff\xfe\x00", b"[1, 2]", b"{", b"null", b"[" * 100_000, b'{"type": 3}', b'{"type": "fusion_call.panel.failed"}',
     b'{"type": "fusion_call.panel.completed", "label": ["a"]}', b'{"type": "fusion_call.completed", "run": 3}',
     b'{"type": "fusion_call.analysis.completed", "analysis": {}, "duration_s": "x"}', b"9" * 5000,
     b'{"type": "fusion_call.panel.delta", "label": null, "text": 5}', b'{"type": "fusion_call.later", "x": 1}'],
    ids=lambda value: value[:30].decode("latin-1"),
)  # fmt: skip
def test_garbage_between_the_lines_is_passed_over(tmp_path: Path, garbage: bytes) -> None:
    """A line that is none, or one that does not fit, costs itself and nothing else."""
    run, path = record(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    for at in (2, 5, len(lines) + 2):
        lines.insert(at, garbage + b"\n")
    path.write_bytes(b"".join(lines))
    saved = run_files.read(path)
    assert set(saved.responses) == {"a", "b"}
    assert saved.answer == "the answer"
    assert saved.analysis is not None
    assert saved.result == run.model_dump()
    assert saved.summary.status == "ok"


def test_what_a_newer_version_adds_is_passed_over(tmp_path: Path) -> None:
    """Unknown keys of plan, choices and events do not keep an older version from reading a run."""
    path = record(tmp_path).path
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for line in lines:
        line["novel"] = 1
        for part in ("plan", "choices"):
            if part in line:
                line[part]["novel"] = {"x": 1}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    assert set(run_files.read(path).responses) == {"a", "b"}


@pytest.mark.parametrize(
    ("number", "fields", "said"),
    [
        (0, {"version": 2}, "another version"),
        (0, {"type": "x"}, "no run's journal"),
        (1, {"plan": {}}, "damaged"),
        (1, {"plan": []}, "damaged"),
        (1, {"plan": None}, "damaged"),
        (1, {"choices": 3}, "damaged"),
        (1, {"type": "x"}, "damaged"),
    ],
)
def test_a_beginning_that_cannot_be_read_is_named(
    tmp_path: Path, number: int, fields: dict[str, Any], said: str
) -> None:
    """A file without a plan, or of another form, is an error in one line that names it."""
    path = changed(record(tmp_path).path, number, **fields)
    with pytest.raises(UsageError, match=said) as raised:
        run_files.read(path)
    assert path.stem in str(raised.value)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\x00" * 5000, b"\x1b[31mhello", b'{"a": 1}'])
def test_a_file_of_something_else_is_an_error(tmp_path: Path, data: bytes) -> None:
    """It is refused where it is named, and damaged where it is listed."""
    path = tmp_path / f"{IDS[0]}.jsonl"
    path.write_bytes(data)
    with pytest.raises(UsageError, match="no run's journal"):
        run_files.read(path)
    assert [each.status for each in run_files.summaries(tmp_path)] == ["damaged"]


def test_what_json_printed_is_no_journal(tmp_path: Path) -> None:
    """Who shows the object of a run is told what it is, what reads it, and what can be shown."""
    path = tmp_path / "run.json"
    printed = ask_run_without_calls(UsageError("x")).model_dump()
    path.write_text(json.dumps(printed, indent=2))
    with pytest.raises(UsageError, match=r"run\.json is what --json printed of a run") as refused:
        run_files.read(path)
    assert "fusion judge reads it" in refused.value.hint
    assert "fusion runs export -o FILE.jsonl" in refused.value.hint


class TestFind:
    """RUN: an id, the beginning of one, `last`, or a file."""

    @pytest.mark.parametrize(
        ("name", "found"),
        [(IDS[0], 0), (IDS[0][:8], 0), (f"{IDS[0][:18]}-0", 0), (IDS[2], 2), (IDS[2][:-1], 2), ("last", 2)],
    )
    def test_one_is_found(self, tmp_path: Path, name: str, found: int) -> None:
        """A whole id, a beginning that is one run's alone, and the newest."""
        named(tmp_path, IDS[0], IDS[2])
        assert run_files.find(tmp_path, name).stem == IDS[found]

    def test_two_runs_of_one_millisecond_are_told_apart_by_their_ends(self, tmp_path: Path) -> None:
        """As many characters as it takes are enough."""
        named(tmp_path, *IDS)
        assert run_files.find(tmp_path, IDS[1][:-1]).stem == IDS[1]

    def test_a_beginning_means_a_run_to_the_judge_too(self, tmp_path: Path) -> None:
        """As many characters as tell a run from the others are its name, unless a file is called so."""
        path = record(tmp_path).path
        assert run_files.journal_named(tmp_path, path.stem[:3]) == path

    def test_several_are_named(self, tmp_path: Path) -> None:
        """A beginning that two runs share is an error that lists them."""
        named(tmp_path, *IDS)
        with pytest.raises(UsageError, match=f"2 runs begin with 20261128: {IDS[2]}, {IDS[1]}$"):
            run_files.find(tmp_path, "20261128")
        named(tmp_path, *(f"20261129T00000000{number}-abcdef" for number in range(7)))
        newest = ", ".join(f"20261129T00000000{number}-abcdef" for number in (6, 5, 4, 3, 2))
        with pytest.raises(UsageError, match=f"7 runs begin with 20261129: the newest are {newest}$"):
            run_files.find(tmp_path, "20261129")

    def test_a_file_is_found(self, tmp_path: Path) -> None:
        """Any path that is there, absolute or not, is taken."""
        path = record(tmp_path / "a").path.rename("mine.jsonl")
        assert run_files.find(tmp_path, "mine.jsonl") == Path("mine.jsonl")
        assert run_files.find(tmp_path, str(path.absolute())) == path.absolute()

    @pytest.mark.parametrize("name", ["", "2027", "nobody", "\x1b[31m", "x" * 5000, "a\0b", "*", "2026*", "..", "/"])
    def test_none_is_an_error(self, tmp_path: Path, name: str) -> None:
        """What is no run is said in one clean line, with where to look."""
        named(tmp_path, *IDS)
        with pytest.raises(UsageError, match="there is no run") as raised:
            run_files.find(tmp_path, name)
        assert str(raised.value).isprintable()
        assert "fusion runs list" in raised.value.hint

    def test_a_folder_that_cannot_be_read_is_not_an_empty_one(self, tmp_path: Path) -> None:
        """Where nobody can see whether there are runs, the folder is named; a file elsewhere is found all the same."""
        path = record(tmp_path / "a").path.rename(tmp_path / "mine.jsonl")
        broken = tmp_path / "runs"
        broken.write_text("no folder")
        said = rf"^{re.escape(str(broken))}, where runs are kept, cannot be read: Not a directory$"
        for name in ("last", IDS[0], IDS[0][:5]):
            with pytest.raises(FusionError, match=said) as raised:
                run_files.find(broken, name)
            assert raised.value.exit_status == 1
        with pytest.raises(FusionError, match=said):
            run_files.summaries(broken)
        assert run_files.find(broken, str(path)) == path

    def test_none_of_a_command(self, tmp_path: Path) -> None:
        """Where there are runs of others alone, that is what is said, and not that there is none."""
        record(tmp_path, command="analyze", models=analyzing())
        with pytest.raises(UsageError, match=r"^there is no run of fusion ask yet$") as raised:
            run_files.find(tmp_path, "last", command="ask")
        assert "fusion runs list" in raised.value.hint

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
    def test_the_only_one_is_under_way(self, tmp_path: Path) -> None:
        """A run that is not over is said to be so where one is wanted that is; of several, the newest one is."""
        record(tmp_path, command="analyze", models=analyzing())
        journals = [Journal(tmp_path, "ask", plan(), Choices(), None, lambda said: None) for _ in range(2)]
        for journal in journals:
            journal(events.AnswerCompleted("done"))
        newest = max(journal.run for journal in journals)
        with pytest.raises(UsageError, match=rf"^the run {newest} is still under way$"):
            run_files.find(tmp_path, "last", command="ask", is_over=True)
        assert run_files.find(tmp_path, "last", command="ask").stem == newest
        assert run_files.summary(run_files.find(tmp_path, "last", is_over=True)).command == "analyze"
        for journal in journals:
            journal.close()
        assert run_files.find(tmp_path, "last", is_over=True).stem == newest

    def test_an_empty_file_is_not_the_last_one(self, tmp_path: Path) -> None:
        """What a full disk took nothing of stands in nobody's way."""
        path = record(tmp_path).path
        path.with_name("29991231T235959999-abcdef.jsonl").touch()
        assert run_files.find(tmp_path, "last") == path

    def test_there_is_no_last_one_yet(self, tmp_path: Path) -> None:
        """Without any run, `last` says so."""
        with pytest.raises(UsageError, match="there is no run yet"):
            run_files.find(tmp_path / "none", "last")


class TestSummaries:
    """A list reads the ends of each file, and says how each run stands."""

    def test_how_runs_ended(self, tmp_path: Path) -> None:
        """Ok, degraded, error, cancelled and unfinished are told apart."""
        bad = ServerFailedError("HTTP 500: no", status_code=500)

        def failing(*slugs: str) -> ScriptedModels:
            models = ScriptedModels()
            for slug in ("a", "b"):
                models.script("panel", slug, bad if slug in slugs else says("now"))
            return models

        runs = {
            "ok": record(tmp_path),
            "degraded": record(tmp_path, failing("b").script("judge", "j", says("{}"), says("{}"))
                               .script("outer", "o", says("done"))),
            "error": record(tmp_path, failing("a", "b"), command="analyze"),
            "cancelled": record(tmp_path, ScriptedModels().script("panel", "a", says("now")).hang("panel", "b")),
            "unfinished": record(tmp_path, is_killed=True),
        }  # fmt: skip
        found = {each.path: each for each in run_files.summaries(tmp_path)}
        assert {kept.path: status for status, kept in runs.items()} == {
            path: each.status for path, each in found.items()
        }
        ok = found[runs["ok"].path]
        assert (ok.run, ok.command, ok.question, ok.panel) == (runs["ok"].run.run, "ask", "the question", ("a", "b"))
        assert (ok.judge, ok.model, ok.answered, ok.total_tokens, ok.cost) == ("j", "o", 2, 60, 2.0)
        unfinished = found[runs["unfinished"].path]
        assert (unfinished.answered, unfinished.cost, unfinished.duration_s) == (None, None, None)

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
    def test_a_run_that_is_under_way(self, tmp_path: Path) -> None:
        """As long as its process lives, a run is running, and may be read."""
        journal = Journal(tmp_path, "ask", plan(), Choices(), None, lambda said: None)
        journal(events.AnswerCompleted("done"))
        assert [each.status for each in run_files.summaries(tmp_path)] == ["running"]
        assert run_files.read(journal.path).summary.status == "running"
        journal.close()
        assert [each.status for each in run_files.summaries(tmp_path)] == ["unfinished"]

    def test_the_newest_come_first_and_as_many_as_wanted(self, tmp_path: Path) -> None:
        """Older runs than asked for are not looked at, and other files are none."""
        named(tmp_path, *IDS)
        (tmp_path / "notes.jsonl").write_text("{}")
        (tmp_path / f"{IDS[0]}.json").write_text("{}")
        assert [each.run for each in run_files.summaries(tmp_path)] == list(reversed(IDS))
        assert [each.run for each in run_files.summaries(tmp_path, 2)] == [IDS[2], IDS[1]]
        assert run_files.summaries(tmp_path / "none") == []

    @pytest.mark.parametrize(
        "ended",
        [{"cost": "much"}, {"cost": True}, {"answered": 1.5}, {"t": []}, {"total_tokens": -1}, {"cost": float("inf")}],
    )
    def test_numbers_that_are_none_are_unknown(self, tmp_path: Path, ended: dict[str, Any]) -> None:
        """Whatever stands in a last line, what is listed is a number or nothing."""
        path = changed(record(tmp_path).path, -1, **ended)
        [key] = ended
        assert getattr(run_files.summary(path), {"t": "duration_s"}.get(key, key)) is None

    def test_an_exported_file_is_the_run_that_it_was(self, tmp_path: Path) -> None:
        """Whatever a file is called, its run has the id that it had."""
        run, path = record(tmp_path)
        assert run_files.summary(path.rename(tmp_path / "mine.jsonl")).run == run.run
