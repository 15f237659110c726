"""Promises of `outputs`: what `-o` means, and that a file is there whole or not at all."""

import os
import signal
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest

from fusion_cli import formats
from fusion_cli.about import About
from fusion_cli.errors import ClosedPipeError, FusionError, InterruptError, UsageError
from fusion_cli.outputs import Outputs, Target, read_outputs, read_target
from fusion_cli.results import ToolResult
from fusion_cli.showing import Looks
from fusion_cli.terminal import Terminal
from fusion_cli.whole_files import write_out
from tests.sinks.shown_runs import ANALYSIS, FACTS, HAPPY, QUESTION, RESPONSES

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions, links and pipes")
ABOUT = About(QUESTION, FACTS)
MIB = 1024 * 1024
LONG = HAPPY.run.model_copy(
    update={
        "result": ToolResult.model_validate(
            {
                "status": "ok",
                "analysis": ANALYSIS,
                "responses": [{**RESPONSES[0], "content": "a" * MIB}, *RESPONSES[1:]],
            }
        )
    }
)


def read(
    *named: str,
    form: str | None = None,
    as_json: bool = False,
    step_summary: Path | None = None,
    material: Sequence[str | None] = (),
) -> Outputs:
    """Return where a run goes, away from a terminal."""
    return read_outputs(form, named, as_json=as_json, looks=Looks(), step_summary=step_summary, read=material)


class TestNames:
    """`-o [FORMAT:]FILE` and `--format`."""

    @pytest.mark.parametrize(
        ("said", "form", "name"),
        [
            ("a.html", "html", "a.html"),
            ("a.HTM", "html", "a.HTM"),
            ("a.md", "markdown", "a.md"),
            ("a.json", "json", "a.json"),
            ("a.jsonl", "jsonl", "a.jsonl"),
            ("a.txt", "plain", "a.txt"),
            ("json:a.txt", "json", "a.txt"),
            ("html:a", "html", "a"),
            ("rich:a.txt", "rich", "a.txt"),
            ("markdown:C:/a", "markdown", "C:/a"),
            ("C:/a.json", "json", "C:/a.json"),
            ("./json:a.md", "markdown", "./json:a.md"),
            ("./other:a.md", "markdown", "./other:a.md"),
        ],
    )
    def test_a_file_has_its_form(self, said: str, form: str, name: str) -> None:
        """The one that stands before it, else the one that its ending stands for."""
        assert read_target(said) == Target(form, Path(name))

    @pytest.mark.parametrize(
        ("said", "told"),
        [
            ("a", "expected a name that ends in .html, .md, .json, .jsonl or .txt, or FORMAT:FILE, found a"),
            ("a.pdf", "FORMAT:FILE"),
            ("", "expected a file"),
            ("-", "--format"),
            ("htlm:a.html", "expected one of rich, plain, markdown, json, jsonl, html before the colon, found htlm"),
            ("json:", "expected a file"),
            ("json:-", "--format"),
            ("none/a.md", "none/a.md cannot be written: No such file"),
            ("a\0.md", "cannot be written"),
            ("markdown:.", ". is a folder"),
            ("x" * 300 + ".md", "cannot be written"),
        ],
    )
    def test_mistakes_are_named_before_anything_is_sent(self, said: str, told: str) -> None:
        """One clean line each, and nothing is left behind."""
        with pytest.raises(UsageError) as raised:
            read(said)
        assert told in str(raised.value)
        assert str(raised.value).isprintable()
        assert list(Path().iterdir()) == []

    @POSIX
    @pytest.mark.parametrize("second", ["a.md", "./a.md", "x/../a.md", "soft.md", "hard.md", "soft/a.md"])
    def test_a_file_stands_once(self, second: str) -> None:
        """Two forms in one file would be one too many, whatever it is called the second time."""
        Path("x").mkdir()
        Path("soft").symlink_to(".")
        Path("soft.md").symlink_to("a.md")
        if second == "hard.md":
            Path("a.md").touch()
            Path("hard.md").hardlink_to("a.md")
        with pytest.raises(UsageError, match=r"(a\.md stands twice|is the same file as a\.md)$"):
            read("a.md", f"json:{second}")
        assert len(read("a.md", "x/a.md", "json:x/b.md").targets) == 3

    @POSIX
    def test_two_names_of_a_device_are_no_mistake(self) -> None:
        """Nothing is replaced there."""
        Path("null").symlink_to(os.devnull)
        assert len(read(f"json:{os.devnull}", "html:null").targets) == 2

    @POSIX
    def test_a_file_of_several_is_known_by_any_name(self) -> None:
        """A step's summary is added to, not replaced, whichever way leads to it."""
        Path("x").mkdir()
        Path("summary").write_text("theirs")
        assert read_target("x/../summary", Path("summary")) == Target("markdown", Path("x/../summary"), appends=True)

    @POSIX
    def test_a_link_to_itself_is_no_file(self) -> None:
        """It is named as a mistake of the user's."""
        Path("a.md").symlink_to("a.md")
        with pytest.raises(UsageError, match=r"^-o/--output: a\.md cannot be written: "):
            read("a.md")
        with pytest.raises(FusionError, match=r"^a\.md cannot be written: "):
            write_out(Path("a.md"), b"")

    @POSIX
    @pytest.mark.parametrize("other", ["a.md", "./a.md", "soft.md", "hard.md"])
    def test_what_is_read_is_not_overwritten(self, other: str) -> None:
        """The material may be all there is of it; that it is read under another name changes nothing."""
        Path("a.md").write_text("mine")
        Path("soft.md").symlink_to("a.md")
        Path("hard.md").hardlink_to("a.md")
        with pytest.raises(UsageError, match=r"^-o/--output: .*a\.md.* is .*read, and would be overwritten$"):
            read("b.md", "html:a.md", material=["c.md", None, other])
        assert len(read("b.md", "html:c.md", material=["-", None, "c.md", "a.md", "\0"]).targets) == 2

    @POSIX
    def test_standard_input_is_not_overwritten(self) -> None:
        """A question may come from a file whose name nobody tells."""
        Path("a.md").write_text("mine")
        before = os.dup(0)
        with Path("a.md").open("rb") as file:
            os.dup2(file.fileno(), 0)
        try:
            with pytest.raises(UsageError, match=r"^-o/--output: a\.md is standard input, and would be overwritten$"):
                read("a.md")
        finally:
            os.dup2(before, 0)
            os.close(before)
        assert read("a.md").targets

    def test_recorded_runs_and_what_else_is_in_use_are_not_overwritten(self) -> None:
        """Neither has to be named on the command line to be read; a new file may lie beside them."""
        runs = Path("runs").absolute()
        runs.mkdir()
        for path in (Path("config.toml"), runs / "a.jsonl"):
            path.write_text("mine")
        with pytest.raises(UsageError, match=r"^-o/--output: config\.toml is .*read, and would be overwritten$"):
            read("plain:config.toml").spare([str(Path("config.toml").absolute())], runs)
        with pytest.raises(
            UsageError, match=r"^-o/--output: runs/a\.jsonl is a recorded run, and would be overwritten$"
        ):
            read("runs/a.jsonl").spare([], runs)
        read("runs/b.jsonl", "a.jsonl").spare(["config.toml"], runs)

    @POSIX
    def test_what_is_added_to_or_no_file_may_be_read(self) -> None:
        """Nothing of it is lost: a step's summary, a terminal."""
        Path("summary").write_text("theirs")
        assert read("summary", step_summary=Path("summary"), material=["summary"]).targets[0].appends
        assert read(f"json:{os.devnull}", material=[os.devnull]).targets

    def test_what_is_there_is_not_touched_by_the_look(self) -> None:
        """Whether a file can be written is found out beside it."""
        Path("a.md").write_text("old")
        read("a.md", "b.md")
        assert [path.name for path in Path().iterdir()] == ["a.md"]
        assert Path("a.md").read_text() == "old"

    @pytest.mark.parametrize(
        ("form", "as_json", "expected"),
        [(None, False, "plain"), (None, True, "json"), ("json", True, "json"), ("html", False, "html")],
    )
    def test_standard_output_has_its_form(self, form: str | None, as_json: bool, expected: str) -> None:
        """`--json` is short for one, and without any it is plain where nobody watches."""
        assert read(form=form, as_json=as_json).form == expected
        on_a_terminal = read_outputs(form, (), as_json=as_json, looks=Looks(draws=True), step_summary=None)
        assert on_a_terminal.form == ("rich" if expected == "plain" else expected)

    @pytest.mark.parametrize(
        ("form", "targets", "on_a_screen", "elsewhere"),
        [
            ("rich", (), False, True),
            ("plain", (), False, False),
            ("json", (Target("jsonl", Path("x")),), False, False),
            ("markdown", (), True, True),
            ("rich", (Target("rich", Path("x")),), True, True),
            ("plain", (Target("plain", Path("x")),), True, True),
        ],
    )
    def test_who_tells_a_run_again_has_to_listen(
        self, form: str, targets: tuple[Target, ...], on_a_screen: bool, elsewhere: bool
    ) -> None:
        """Every report is told of events; a view that is drawn meanwhile, an object and lines need nobody for that."""
        assert Outputs(form, targets, Looks(draws=True)).has_reports == on_a_screen
        assert Outputs(form, targets).has_reports == elsewhere

    def test_two_forms_are_one_too_many(self) -> None:
        """And so is one that does not exist."""
        with pytest.raises(UsageError, match="choose one"):
            read(form="html", as_json=True)
        with pytest.raises(UsageError, match="expected rich, plain, markdown, json, jsonl or html, found pdf"):
            read(form="pdf")


class TestStepSummary:
    """The file that a GitHub job's summary is made of."""

    def test_it_is_markdown_without_an_ending_and_appended_to(self) -> None:
        """Other steps have written to it, or will."""
        summary = Path("summary_1").absolute()
        summary.write_text("before\n")
        found = read("summary_1", step_summary=summary)
        assert found.targets == (Target("markdown", Path("summary_1"), appends=True),)
        assert found.write_files(HAPPY.run, ABOUT) == []
        assert found.write_files(HAPPY.run, ABOUT) == []
        assert summary.read_text("utf-8").startswith("before\n\n\n# SQLite or PostgreSQL")
        assert summary.read_text("utf-8").count("# SQLite or PostgreSQL") == 2

    @pytest.mark.parametrize(("before", "folded"), [(0, 2), (1, 2), (500_000, 2), (MIB - 3000, 2), (MIB - 2400, 0)])
    def test_it_is_never_larger_than_is_shown(self, before: int, folded: int) -> None:
        """Whatever stands in it, the answer goes there, and of the responses as many as there is room for."""
        summary = Path("summary").absolute()
        summary.write_bytes(b"x" * before)
        assert read("summary", step_summary=summary).write_files(LONG, ABOUT) == []
        text = summary.read_text("utf-8")
        assert summary.stat().st_size <= MIB
        assert text.startswith("x" * before)
        assert "\n## Answer\n\n**Start with SQLite**" in text
        assert "\n- the response of openai/gpt-5 (" in text
        assert text.count("<details>") == folded

    def test_what_has_no_room_at_all_is_said(self) -> None:
        """The file stays as it was, and shown; one that is full is told of before anybody is asked."""
        summary = Path("summary").absolute()
        summary.write_bytes(b"x" * (MIB - 20))
        [error] = read("summary", step_summary=summary).write_files(LONG, ABOUT)
        assert str(error) == "summary has no room for the run: GitHub shows no summary of more than 1 MiB"
        assert summary.read_bytes() == b"x" * (MIB - 20)
        summary.write_bytes(b"x" * MIB)
        with pytest.raises(UsageError, match="summary is full: GitHub shows"):
            read("summary", step_summary=summary)

    def test_other_files_are_as_large_as_they_are(self) -> None:
        """The limit is that of a summary alone."""
        assert read("a.md", step_summary=Path("summary")).write_files(LONG, ABOUT) == []
        assert Path("a.md").stat().st_size > MIB

    def test_other_files_are_replaced(self) -> None:
        """Also where there is such a file."""
        assert read("a.md", step_summary=Path("summary")).targets == (Target("markdown", Path("a.md")),)


class TestFiles:
    """What is in the files."""

    def test_every_file_has_its_form(self) -> None:
        """One run, as many files as were named."""
        found = read("a.html", "a.md", "a.json", "a.jsonl", "a.txt", "rich:a")
        found.put_line("{}\n", Terminal())
        assert found.write_files(HAPPY.run, ABOUT) == []
        for target in found.targets:
            expected = "{}\n" if target.form == "jsonl" else formats.rendered(target.form, HAPPY.run, ABOUT)
            assert target.path.read_text("utf-8") == expected

    def test_one_that_cannot_be_written_costs_no_other(self) -> None:
        """What went wrong is told of each, the others are there."""
        folder = Path("gone")
        folder.mkdir()
        found = read("gone/a.md", "b.md")
        folder.rmdir()
        [error] = found.write_files(HAPPY.run, ABOUT)
        assert "gone/a.md cannot be written: No such file" in str(error)
        assert Path("b.md").exists()

    @POSIX
    def test_a_signal_costs_the_pipe_that_nobody_reads(self) -> None:
        """It breaks off the wait for a reader, and the other files are there all the same."""
        os.mkfifo("pipe")
        os.mkfifo("another")
        found = read("json:pipe", "json:another", "b.md")

        def interrupt(signum: int, _: object) -> None:
            raise InterruptError(signum)

        before = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(InterruptError):
            found.write_files(HAPPY.run, ABOUT)
        signal.signal(signal.SIGALRM, before)
        assert Path("b.md").exists()

    def test_one_that_cannot_be_made_costs_no_other(self) -> None:
        """A mistake of ours in one form is told as such, and the others are there."""
        found = read("a.html", "b.md", "c.json")
        broken = ABOUT._replace(timeline=None)  # type: ignore[arg-type]  # which only the page reads
        [error] = found.write_files(HAPPY.run, broken)
        assert "a.html: internal error: TypeError" in str(error)
        assert [Path(name).exists() for name in ("a.html", "b.md", "c.json")] == [False, True, True]

    def test_without_a_run_there_is_no_report(self) -> None:
        """Only what a script reads."""
        assert read("a.md", "a.html", "a.txt", "a.json").write_files(HAPPY.run, None) == []
        assert [path.name for path in Path().iterdir()] == ["a.json"]


class FullTerminal(Terminal):
    """One whose reader has gone."""

    def write(self, text: str) -> None:
        """Take nothing."""
        raise ClosedPipeError("")


def test_lines_reach_their_files_though_nobody_reads_standard_output() -> None:
    """The pipe's end is raised when the run is delivered, and not lost."""
    found = read("a.jsonl", form="jsonl")
    for _ in range(2):
        found.put_line("{}\n", FullTerminal())
    with pytest.raises(ClosedPipeError):
        found.print_whole(HAPPY.run, ABOUT, FullTerminal())
    found.write_files(HAPPY.run, ABOUT)
    assert Path("a.jsonl").read_text() == "{}\n{}\n"


def test_lines_wait_outside_of_memory() -> None:
    """However long a run is, its lines take no room, and until they are in their files nothing can be left behind."""
    found = read("a.jsonl", "jsonl:b", "jsonl:/dev/null")
    line = "x" * 999_999 + "\n"
    tracemalloc.start()
    try:
        for _ in range(30):
            found.put_line(line, Terminal())
        assert list(Path().iterdir()) == []
        assert found.write_files(HAPPY.run, None) == []
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    assert [Path(name).stat().st_size for name in ("a.jsonl", "b")] == [30_000_000, 30_000_000]
    assert len(list(Path().iterdir())) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
@pytest.mark.parametrize("buffering", [0, 4096])
def test_lines_that_cannot_be_kept_cost_no_other_file(buffering: int) -> None:
    """A disk that is full is told when the files are written, of the one that needed it."""
    full = Path("/dev/full").open("r+b", buffering=buffering)  # noqa: SIM115 - who gets it closes it
    targets = read("a.jsonl", "b.json").targets
    found = Outputs("plain", targets, lines_file=lambda _: full)
    for _ in range(2):
        found.put_line("{}\n", Terminal())
    [error] = found.write_files(HAPPY.run, ABOUT)
    assert str(error) == "a.jsonl cannot be written: No space left on device"
    assert [path.name for path in Path().iterdir()] == ["b.json"]
