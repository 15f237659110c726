"""Faults 38 and 39: output that nobody takes, folders that take nothing, and files that are not what they should be."""

import os
import random
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.command import FUSION
from tests.faults.running import Faults, asking, no_key_at_home

PAIR = ("good/one", "good/two")
CONFIG = Path(".config/fusion/config.toml")
DATA = Path(".local/share/fusion")
CACHE = Path(".cache/fusion")


def shell(faults: Faults, line: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a line of bash in which `fusion` is the command and `$@` the arguments."""
    faults.reset()
    done = subprocess.run(
        ["bash", "-c", f'fusion() {{ command "{FUSION}" "$@"; }}; {line}', "-", *arguments],  # noqa: S607
        env=faults.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    no_key_at_home()
    return done


def test_fault_38_head_is_quiet(faults: Faults) -> None:
    """`| head -1` of a long answer gets its line, and the command ends with 141 and without a word about it."""
    arguments = asking("good/one", outer="fault/deep-list")
    done = shell(faults, 'fusion "$@" | head -1; echo "${PIPESTATUS[0]}"', *arguments)
    assert done.stdout.splitlines() == ["- deeper", "141"]
    assert "fusion: " not in done.stderr


def test_fault_38_closed_output_costs_nothing(faults: Faults) -> None:
    """Without a standard output nobody is asked."""
    done = shell(faults, 'fusion "$@" >&-', *asking(*PAIR))
    assert (done.returncode, faults.log()) == (2, [])
    assert "standard output is closed" in done.stderr


def test_fault_38_full_disk_keeps_the_answer(faults: Faults) -> None:
    """An output that takes no more is one line, and what was paid for is kept."""
    done = shell(faults, 'fusion "$@" > /dev/full', *asking(*PAIR))
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line.startswith("fusion: ")]
    assert "No space left on device" in line
    assert "fusion judge" in done.stderr or "--resume" in done.stderr


@pytest.mark.parametrize("folder", [".local/share", ".cache"])
def test_fault_38_a_file_where_a_folder_should_be(faults: Faults, folder: str, isolated: Path) -> None:
    """A place that cannot be written costs no answer, and the file that stands there stays."""
    path = isolated / folder
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("in the way")
    ran = faults.plain(*PAIR)
    assert ran.status == 0
    assert ran.stdout.startswith("SQLite")
    assert path.read_text() == "in the way"


def test_fault_38_home_that_takes_nothing(faults: Faults) -> None:
    """A home in which nothing can be made costs no answer, either."""
    for home in ("/proc", os.devnull):
        ran = faults.plain(*PAIR, env={"HOME": home})
        assert (ran.status, ran.stdout[:6]) == (0, "SQLite")


def test_fault_38_unwritable_history_is_said_once(faults: Faults, isolated: Path) -> None:
    """Where the journal cannot be written, one line says so."""
    (isolated / DATA).parent.mkdir(parents=True)
    (isolated / DATA).write_text("in the way")
    ran = faults.plain(*PAIR)
    assert (ran.status, ran.stdout[:6]) == (0, "SQLite")
    assert len([line for line in ran.stderr.splitlines() if line.startswith("warning: ")]) == 1


def test_fault_38_config_that_cannot_be_had(faults: Faults, isolated: Path) -> None:
    """Where no folder for the config file can be, there is none to read, and none is written."""
    (isolated / ".config").write_text("in the way")
    ran = faults.plain(*PAIR)
    assert (ran.status, ran.stdout[:6]) == (0, "SQLite")
    ran = faults.command("config", "set", "panel", "a,b")
    assert (ran.status, ran.asked()) == (2, [])
    assert "config.toml" in ran.stderr.splitlines()[0]
    assert len(ran.stderr.splitlines()) <= 2
    assert (isolated / ".config").read_text() == "in the way"


def test_fault_39_killed_at_any_moment(faults: Faults) -> None:
    """However early or late a run is killed, the next one works, and the leftovers hold no key."""
    moments = random.Random(39)  # noqa: S311  # a choice of moments, not a secret
    for _ in range(5):
        with subprocess.Popen(
            [FUSION, *asking("fault/stops", "good/one")],
            env=faults.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            time.sleep(moments.uniform(0.0, 0.8))
            process.kill()
    no_key_at_home()
    ran = faults.plain(*PAIR)
    assert (ran.status, ran.stdout[:6]) == (0, "SQLite")


def test_fault_39_the_list_survives_torn_journals(faults: Faults, isolated: Path) -> None:
    """Journals that end in the middle of a line, are empty or hold bytes of anything do not hide the others."""
    assert faults.plain(*PAIR).status == 0
    [journal] = (isolated / DATA / "runs").glob("*.jsonl")
    whole = journal.read_bytes()
    before = journal.stem[:-6]
    torn = {f"{before}aaaaaa": whole[:-20], f"{before}bbbbbb": b"", f"{before}cccccc": b"\0\xff{" * 99}
    for name, data in torn.items():
        (journal.parent / f"{name}.jsonl").write_bytes(data)
    listed = faults.command("runs", "list", "--json")
    assert listed.status == 0
    assert journal.stem in listed.stdout
    shown = faults.command("runs", "show", f"{before}aaaaaa")
    assert shown.status == 0
    assert "good/one" in shown.stdout
    for name, data in torn.items():
        assert any(path.read_bytes() == data for path in journal.parent.glob(f"*{name}*"))
    assert faults.plain(*PAIR).status == 0


def test_fault_39_a_killed_run_is_resumed(faults: Faults, isolated: Path) -> None:
    """A response that had been shown as finished when the run was killed is on disk, and is not asked for again."""
    with subprocess.Popen(
        [FUSION, *asking("fault/silent", "good/one")],
        env=faults.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr
        while b"answered in" not in process.stderr.readline():
            pass
        process.kill()
    [journal] = (isolated / DATA / "runs").glob("*.jsonl")
    ran = faults.command("ask", "--resume", journal.stem, "--json", "--timeout", "1")
    assert ran.status == 0
    assert [row["model"] for row in ran.asked("panel")] == ["fault/silent"]
    assert {row["model"] for row in ran.result["responses"]} == {"good/one"}


def test_fault_39_two_at_once(faults: Faults, isolated: Path) -> None:
    """Runs at the same time in the same home do not get into each other's answers or files."""
    runs = [
        subprocess.Popen(
            [FUSION, *asking(f"good/{name}", "fault/slow", outer="fault/http-400", more=["--json"])],
            env=faults.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for name in ("one", "two")
    ]
    ends = [run.communicate(timeout=60) for run in runs]
    assert [run.returncode for run in runs] == [1, 1]
    for name, (stdout, _) in zip(("one", "two"), ends, strict=True):
        assert f"good/{name} says".encode() in stdout
    kept = [path.read_text() for path in (isolated / DATA / "runs").iterdir() if path.suffix in {".json", ".jsonl"}]
    assert len(kept) == 2
    assert sum("good/one says" in text for text in kept) == 1
    assert not any("good/one says" in text and "good/two says" in text for text in kept)


@pytest.mark.parametrize("data", [b"panel = [", b"\0\xff\xfe", b"pannel = ['a']", b"[" * 50_000], ids=repr)
def test_fault_39_corrupt_config_is_named_and_stays(faults: Faults, isolated: Path, data: bytes) -> None:
    """A config file that cannot be read is named in one line with status 2, and left as it is, by `set`, too."""
    path = isolated / CONFIG
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    for arguments in (asking(*PAIR), ["config", "set", "panel", "a,b"]):
        ran = faults.command(*arguments)
        assert (ran.status, ran.asked()) == (2, [])
        assert str(path) in ran.stderr.splitlines()[0]
        assert path.read_bytes() == data


def test_fault_39_corrupt_cache_does_not_matter(faults: Faults, isolated: Path) -> None:
    """Whatever stands in the cache's folder, the next run works, and an unreadable list of models is fetched anew."""
    long = ("fault/long-line", "good/one")  # so long that the judge's context has to be known
    assert faults.ask(*long).status == 0
    cached = [path for path in (isolated / CACHE).rglob("*") if path.is_file()]
    for path in cached:
        path.write_bytes(b"\0\xff{" * 999)
    ran = faults.ask(*long)
    assert ran.status == 0
    assert ran.run["degraded"] is False


def test_fault_39_a_folder_of_runs_that_cannot_be_read_is_named(faults: Faults, isolated: Path) -> None:
    """A folder that leads to itself is named in the one line that is said of it."""
    runs = isolated / DATA / "runs"
    runs.parent.mkdir(parents=True)
    runs.symlink_to("runs")
    ran = faults.command("runs", "prune", "--older-than", "1h")
    assert ran.status == 1
    assert ran.stderr.startswith(
        f"fusion: {runs}, where runs are kept, cannot be read: Too many levels of symbolic links\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["ask", "-f", "mine.md", "-o", "mine.md", "Q"],
        ["analyze", "-f", "other.md", "-f", "./mine.md", "-o", "mine.md", "Q"],
        ["ask", "--request", "mine.md", "-o", "json:mine.md"],
        ["ask", "--resume", "mine.md", "-o", "mine.md"],
        ["analyze", "--resume", "mine.md", "-o", "mine.md"],
        ["judge", "mine.md", "-o", "html:mine.md"],
        ["judge", "--prompt", "Q", "--response", "a=mine.md", "--response", "b=other.md", "-o", "mine.md"],
        ["judge", "--prompt-file", "mine.md", "--response", "a=other.md", "-o", "mine.md"],
    ],
)
def test_fault_38_material_is_not_overwritten(faults: Faults, arguments: list[str]) -> None:
    """A file that is to be read and to be written is refused before anybody is asked, and stays as it was."""
    Path("mine.md").write_text("all I have")
    Path("other.md").write_text("more")
    ran = faults.command(*arguments)
    assert (ran.status, ran.asked()) == (2, [])
    assert ran.stderr.startswith("fusion: -o/--output: mine.md is ")
    assert Path("mine.md").read_text() == "all I have"


def test_fault_38_a_recorded_run_is_not_overwritten(faults: Faults, isolated: Path) -> None:
    """However it is named when it is taken up: its file is no place for another run."""
    assert faults.plain(*PAIR).status == 0
    [journal] = (isolated / DATA / "runs").glob("*.jsonl")
    before = journal.read_bytes()
    ran = faults.command("judge", "last", "-o", str(journal))
    assert (ran.status, ran.asked()) == (2, [])
    assert "is a recorded run, and would be overwritten" in ran.stderr
    assert journal.read_bytes() == before
