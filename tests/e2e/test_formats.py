"""The installed command puts a run out in every format, at once where that is asked for, whatever comes of the run."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fusion_cli.results import AnalysisRun, AskRun
from tests.e2e.command import FUSION, MODELS, Ended, environment, fusion, on_a_terminal
from tests.rebuilding import rebuilt
from tests.sinks.hostile_page import Page
from tests.wire.server import Fault, Reply, WireServer, deliberation, failure
from tests.wire.server_deliberation import ANSWER

FORCED = ("--tool-choice", "required")
ENDINGS = {"html": "html", "markdown": "md", "json": "json", "jsonl": "jsonl", "plain": "txt"}
LINUX = pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")


def well(server: WireServer) -> None:
    """Leave everything as it is."""


def degrade(server: WireServer) -> None:
    """Have a panelist and the judge fail."""
    server.script(MODELS[1], failure(400, "no <such> thing"), role="panel")
    server.script("*", *[Reply("no json")] * 4, role="judge")


def fail(server: WireServer) -> None:
    """Have everybody fail."""
    for role in ("panel", "outer"):
        server.script("*", *[failure(400, "no <such> thing")] * 4, role=role)


CASES: dict[str, tuple[Callable[[WireServer], None], dict[str, int]]] = {
    "happy": (well, {"ask": 0, "analyze": 0}),
    "degraded": (degrade, {"ask": 0, "analyze": 3}),
    "failed": (fail, {"ask": 1, "analyze": 1}),
}


@pytest.fixture
def server() -> Iterator[WireServer]:
    """Return a server whose models deliberate."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        yield server


def ask(server: WireServer, *arguments: str, command: str = "ask", case: str = "happy") -> Ended:
    """Run a command whose panel meets."""
    CASES[case][0](server)
    who = (*MODELS, *FORCED) if command == "ask" else MODELS[:6]
    return fusion(command, *who, *arguments, "Which?", server=server)


def holds(form: str, text: str, command: str) -> AskRun | AnalysisRun | None:
    """See to it that a text is of a form; return the run that it holds, where that can be read."""
    shape = AskRun if command == "ask" else AnalysisRun
    if form == "json":
        return shape.model_validate_json(text)
    if form == "jsonl":
        lines = [json.loads(line) for line in text.splitlines()]
        whole = rebuilt([line for line in lines if line["type"] != "fusion_call.completed"])
        run = shape.model_validate(next(line["run"] for line in lines if line["type"] == "fusion_call.completed"))
        assert {**whole, "warnings": []} == {**run.model_dump(), "warnings": []}
        return run
    if form == "html":
        page = Page(text)
        assert (page.misnested, page.open) == ([], [])
        assert "<h1>Which?</h1>" in text
    if form == "markdown":
        assert text.startswith("# Which?\n\n## ")
    return None


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("command", ["ask", "analyze"])
def test_one_run_in_every_format(server: WireServer, command: str, case: str) -> None:
    """Each file has the whole run, the same one, and standard output what it would have had without them."""
    files = [part for form, ending in ENDINGS.items() for part in ("-o", f"run.{ending}")]
    ended = ask(server, *files, command=command, case=case)
    assert ended.status == CASES[case][1][command]
    texts = {form: Path(f"run.{ending}").read_text("utf-8") for form, ending in ENDINGS.items()}
    runs = [run for form, text in texts.items() if (run := holds(form, text, command))]
    assert len(runs) == 2
    assert runs[0] == runs[1]
    assert sorted(path.name for path in Path().iterdir()) == sorted(f"run.{ending}" for ending in ENDINGS.values())
    for form in ("html", "markdown", "plain"):
        assert str(runs[0].run) in texts[form]
        assert "<such>" not in texts["html"]
    if isinstance(runs[0], AskRun):
        assert ended.stdout == (f"{runs[0].answer}\n" if runs[0].answer else "")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("command", ["ask", "analyze"])
@pytest.mark.parametrize("form", ["rich", "plain", "markdown", "json", "jsonl", "html"])
def test_standard_output_in_every_format(server: WireServer, form: str, command: str, case: str) -> None:
    """With the status that the run has, and no word beside it; progress goes to standard error."""
    ended = ask(server, "--format", form, command=command, case=case)
    assert ended.status == CASES[case][1][command]
    assert "panel   openai/gpt-5" in ended.stderr
    run = holds(form, ended.stdout, command)
    assert (run is not None) == (form in ("json", "jsonl"))
    if case == "happy":
        assert ended.stdout


@pytest.mark.parametrize("form", ["html", "markdown", "json", "jsonl", "plain"])
def test_a_recorded_run_is_had_in_the_same_formats(server: WireServer, form: str) -> None:
    """Later, from its journal: the report is the one that the run itself wrote, but for its times."""
    written = f"run.{ENDINGS[form]}"
    ask(server, "-o", written)
    shown = fusion("runs", "show", "last", "--format", form).stdout
    assert fusion("runs", "export", "last", "-o", f"{form}:again").status == 0
    assert Path("again").read_text("utf-8") == shown
    at_once = Path(written).read_text("utf-8")
    if form in ("json", "html"):
        assert holds(form, shown, "ask") == holds(form, at_once, "ask")
    if form == "jsonl":  # a journal gathers what the lines of a run tell piece by piece
        assert [line for line in shown.splitlines() if '"fusion_call.panel.completed"' in line]
    if form in ("markdown", "plain"):
        assert shown.splitlines()[:-2] == at_once.splitlines()[:-2]


def test_what_a_terminal_shows_goes_anywhere(server: WireServer) -> None:
    """Into a pipe, a file, or from the journal: the same record, 80 columns or COLUMNS wide, and without colour."""
    ended = ask(server, "--format", "rich", "-o", "rich:seen")
    assert Path("seen").read_text("utf-8") == ended.stdout
    for once in ("Which?", "panel   openai/gpt-5  answered in", "z/judge  judged in", "Consensus (", ANSWER[:40]):
        assert ended.stdout.count(once) == 1
    assert "\x1b" not in ended.stdout
    shown = fusion("runs", "show", "last", "--format", "rich").stdout
    assert shown.splitlines()[:-2] == ended.stdout.splitlines()[:-2]  # its times are the journal's
    assert max(map(len, shown.splitlines())) in range(70, 81)
    narrow = fusion("runs", "show", "last", "--format", "rich", env={"COLUMNS": "40"}).stdout
    assert max(map(len, narrow.splitlines())) in range(36, 41)
    assert fusion("runs", "export", "last", "-o", "rich:again").status == 0
    assert Path("again").read_text("utf-8") == shown


@pytest.mark.parametrize(("options", "env"), [(("--color", "always"), {}), ((), {"FORCE_COLOR": "1"})])
def test_colour_goes_where_it_is_asked_for(server: WireServer, options: tuple[str, ...], env: dict[str, str]) -> None:
    """Into a pipe and a file, too, and out of the journal."""
    CASES["happy"][0](server)
    asked = ("ask", *MODELS, *FORCED, "--format", "rich", "-o", "rich:seen", *options, "Which?")
    printed = fusion(*asked, server=server, env=env).stdout
    assert printed == Path("seen").read_text("utf-8")
    assert "\x1b[1;36mopenai/gpt-5\x1b[0m  answered in" in printed
    shown = fusion("runs", "show", "last", "--format", "rich", *options, env=env).stdout
    assert shown.splitlines()[:-2] == printed.splitlines()[:-2]


def test_responses_are_in_what_is_drawn_where_that_is_wanted(server: WireServer) -> None:
    """Below the panel, once; no other line of a response is printed beside it."""
    printed = ask(server, "--format", "rich", "--show-responses").stdout
    assert printed.startswith("Which?\n\npanel   ")
    assert printed.count("openai/gpt-5 says: SQLite is enough") == 1
    assert "openai/gpt-5 says" not in ask(server, "--format", "rich").stdout


def test_lines_are_a_run_that_can_be_taken_up(server: WireServer) -> None:
    """What was written as it happened reads like a journal, which may not have been kept."""
    ask(server, "--no-save", "-o", "run.jsonl")
    assert json.loads(Path("run.jsonl").read_text().splitlines()[0])["run"] is None
    assert "## Answer" in fusion("runs", "show", "run.jsonl").stdout
    assert fusion("judge", "run.jsonl", "-j", "z/judge", "--json", server=server).status == 0


def test_lines_come_as_things_happen() -> None:
    """A reader has the first line while the models are still asked."""
    with WireServer(default=deliberation(latency_s=1.5)) as server:
        process = subprocess.Popen(
            [FUSION, "ask", *MODELS, *FORCED, "--format", "jsonl", "Which?"],
            env=environment(server),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout
        for expected in ("created", "planned"):
            assert json.loads(process.stdout.readline())["type"] == f"fusion_call.{expected}"
        assert process.poll() is None
        rest = process.stdout.read()
        assert process.wait() == 0
        process.stdout.close()
    kinds = {json.loads(line)["type"].removeprefix("fusion_call.") for line in rest.splitlines()}
    assert kinds >= {"in_progress", "panel.added", "panel.delta", "panel.completed", "call.completed", "answer.delta"}
    assert json.loads(rest.splitlines()[-1])["type"] == "fusion_call.ended"


def started(server: WireServer, *arguments: str) -> subprocess.Popen[bytes]:
    """Return `ask` on its way, its standard output in a pipe."""
    command = [FUSION, "ask", *MODELS, *arguments]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, env=environment(server), stdin=quiet, stdout=subprocess.PIPE, stderr=quiet)


def test_the_first_line_waits_for_nobodys_words(server: WireServer) -> None:
    """Who decides whether the panel meets may take its time: that the run has begun is told before."""
    server.script("*", Reply("late", fault=Fault("stall", after=0)), role="outer")
    with started(server, "--timeout", "30", "--format", "jsonl", "Which?") as process:
        assert process.stdout
        assert json.loads(process.stdout.readline())["run"]
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize(("judge", "status"), [("openai/gpt-5", 5), ("z/of-unknown-price", 2)])
def test_a_run_that_is_refused_for_its_cost_is_no_run(server: WireServer, judge: str, status: int) -> None:
    """Neither its first line nor its last ones name one, as nothing is kept that could be shown."""
    limited = ("--max-cost", "0.002", "--format", "jsonl")
    ended = fusion("ask", *MODELS[:4], "-j", judge, "-m", "openai/gpt-5", *FORCED, *limited, "Which?", server=server)
    first, _, completed, _ = map(json.loads, ended.stdout.splitlines())
    assert (ended.status, server.calls()) == (status, [])
    assert (first["run"], completed["run"]["run"]) == (None, None)
    assert "there is no run yet" in fusion("runs", "show", "last").stderr


@pytest.mark.parametrize("target", ["none/run.json", "run.pdf", "rihc:x", "."])
def test_what_cannot_be_written_is_said_before_anybody_is_asked(server: WireServer, target: str) -> None:
    """One line, status 2, and no request."""
    ended = ask(server, "-o", target)
    assert (ended.status, ended.stdout) == (2, "")
    assert ended.stderr.startswith("fusion: -o/--output: ")
    assert server.requests == []


@LINUX
def test_a_full_disk_costs_no_answer(server: WireServer) -> None:
    """The answer comes out, the other file is written, one line says what is not; status 1, and the run is kept."""
    ended = ask(server, "-o", "json:/dev/full", "-o", "run.md")
    assert ended.status == 1
    assert ended.stdout.strip()
    assert Path("run.md").read_text("utf-8").startswith("# Which?")
    assert "fusion: /dev/full cannot be written: No space left on device" in ended.stderr
    assert "To write it again: fusion runs export 20" in ended.stderr
    assert "To go on" not in ended.stderr
    assert fusion("runs", "show", "last").status == 0


def test_a_reader_that_goes_costs_no_file(server: WireServer) -> None:
    """`| head -1` ends with status 141, and the report is there all the same."""
    command = [FUSION, "ask", *MODELS, *FORCED, "-o", "run.html", "--format", "jsonl", "Which?"]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        command, env=environment(server), stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, b"Traceback" in done.stderr) == (141, False)
    assert Path("run.html").exists()


def test_a_jobs_summary_is_appended_to(server: WireServer) -> None:
    """The file that GitHub names has no ending, and may hold something already."""
    summary = Path("summary_0123")
    summary.write_text("# Tests\n\nAll passed.\n")
    CASES["happy"][0](server)
    named = {"GITHUB_STEP_SUMMARY": str(summary.absolute())}
    assert fusion("ask", *MODELS, *FORCED, "-o", str(summary), "Which?", server=server, env=named).status == 0
    assert summary.read_text("utf-8").startswith("# Tests\n\nAll passed.\n\n\n# Which?\n")


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_without_a_run_scripts_are_told_why(form: str) -> None:
    """No key: the object, or the lines that say that it is over, on standard output as in the file."""
    ended = fusion("ask", *MODELS, "--format", form, "-o", f"run.{form}", "-o", "run.html", "Which?")
    assert ended.status == 4
    assert Path(f"run.{form}").read_text() == ended.stdout
    run = json.loads(ended.stdout.splitlines()[-2])["run"] if form == "jsonl" else ended.json()
    if form == "jsonl":
        first = json.loads(ended.stdout.splitlines()[0])
        assert (first["type"], first["version"], first["command"]) == ("fusion_call.created", 1, "ask")
    assert (run["status"], run["answer"]) == ("error", None)
    assert not Path("run.html").exists()


def test_a_signal_ends_the_wait_for_a_files_reader(server: WireServer) -> None:
    """The pipe of a program that never reads keeps nobody: Ctrl-C ends with its own status, the answer given."""
    os.mkfifo("run.json")
    with started(server, *FORCED, "-o", "run.json", "Which?") as process:
        assert process.stdout
        assert process.stdout.readline()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


def test_an_end_before_the_first_call_is_on_the_same_clock() -> None:
    """An engine that does not start ends the lines where they went on, and not at the beginning of time."""
    Path("broken.gguf").write_bytes(b"GGUF and no more")
    own = {"FUSION_LOCAL_MODEL": str(Path("broken.gguf").absolute())}
    ended = fusion("ask", "--provider", "local", *FORCED, "--format", "jsonl", "Which?", env=own)
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ended.status == 1
    assert [line["type"].removeprefix("fusion_call.") for line in lines[-2:]] == ["completed", "ended"]
    times = [line["t"] for line in lines]
    assert times == sorted(times)


def test_a_dry_run_writes_no_file(server: WireServer) -> None:
    """There is no run that could be in it."""
    assert ask(server, "--dry-run", "--format", "json", "-o", "run.html").json()
    assert list(Path().iterdir()) == []


def test_the_terminal_has_the_answer_beside_the_files(server: WireServer) -> None:
    """One run: the answer for whoever watches, an object for the script, a page for the colleague."""
    status, screen = on_a_terminal(
        "ask", *MODELS, *FORCED, "-o", "run.json", "-o", "report.html", "Which?", server=server
    )
    assert status == 0
    answer = json.loads(Path("run.json").read_text())["answer"]
    read = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen)
    assert " ".join(answer.split()) in " ".join(read.split())
    assert Path("report.html").exists()


def test_the_page_parser_is_imported_by_nobody_else(server: WireServer) -> None:
    """Who asks for no page does not wait for what makes one."""
    command = [sys.executable, "-X", "importtime", FUSION, "ask", *MODELS, *FORCED, "-o", "run.json", "Which?"]
    told = subprocess.run(
        command, env=environment(server), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    names = {line.rpartition("|")[2].strip() for line in told.stderr.splitlines()}
    assert "fusion_cli.outputs" in names
    assert not {"markdown_it", "fusion_cli.sinks.page", "fusion_cli.line_schema"} & names
