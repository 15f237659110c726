"""The live view on a pseudo-terminal: what is on the screen while a run goes on, and that the end leaves it clean."""

import codecs
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pytest

from tests.e2e.command import FUSION, MODELS, environment, fusion, on_a_terminal
from tests.emulator import Emulator
from tests.wire.server import Fault, Reply, Request, WireServer, deliberation, failure
from tests.wire.server_deliberation import ANSWER

ASK = ("ask", *MODELS, "--tool-choice", "required", "x")
ANALYZE = ("analyze", *MODELS[:6], "x")
HOSTILE = "safe\x1b]0;owned\x07\x1b[41m\x9b2J\u202e [good](https://evil.example) text"
STYLE = re.compile(r"\x1b\[[\d;]*m")
MOVES = ("writing", "thinking", "waiting", "●", "○")


class Seen:
    """A command on a terminal, whose screen can be looked at while it runs.

    Args:
        arguments: The command's.
        server: Whom it asks.
        columns: The terminal's.
        env: What else is in the environment.
    """

    def __init__(
        self, *arguments: str, server: WireServer, columns: int = 80, env: Mapping[str, str] | None = None
    ) -> None:
        self.emulator = Emulator(columns, 24)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.pid, self._file = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            given = environment(server, {"TERM": "xterm", "LANG": "C.UTF-8", **(env or {})})
            os.execve(FUSION, [FUSION, *arguments], given)  # noqa: S606
        self._modes = termios.tcgetattr(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._file)

    def until(self, *texts: str, timeout_s: float = 30) -> str:
        """Read until all of these are to be seen."""
        deadline = time.monotonic() + timeout_s
        while not all(text in self.emulator.text for text in texts):
            assert time.monotonic() < deadline, f"{texts} not in {self.emulator.text}"
            assert self._read(), f"ended without {texts}: {self.emulator.text}"
        return self.emulator.text

    def read_what_is_there(self) -> None:
        """Read what has been written by now."""
        while select.select([self._file], [], [], 0.2)[0]:
            self._read()

    def end(self) -> int:
        """Read to the end and return the status; the terminal is as it was before."""
        while self._read():
            pass
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        emulator = self.emulator
        assert (emulator.shows_cursor, emulator.wraps, emulator.is_apart) == (True, True, False)
        with contextlib.suppress(termios.error):  # gone with its last user, as on Linux
            assert termios.tcgetattr(self._file) == self._modes
        return status

    def send(self, signum: int) -> None:
        """Send a signal."""
        os.kill(self.pid, signum)

    def resize(self, columns: int, lines: int) -> None:
        """Change the terminal's size, and break its lines anew."""
        self.emulator.resize(columns, lines)
        fcntl.ioctl(self._file, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def _read(self) -> bool:
        if not select.select([self._file], [], [], 0.2)[0]:
            return True
        try:
            piece = os.read(self._file, 65536)
        except OSError:  # how Linux says that nobody uses it any more
            return False
        self.emulator.feed(self._decoder.decode(piece))
        return bool(piece)


def hanging(request: Request) -> Reply:
    """Answer as usual, but for one panelist, which begins and never ends."""
    if request.role == "panel" and request.model.startswith("anthropic"):
        return Reply("It begins. " * 20, fault=Fault("stall", after=15))
    return deliberation()(request)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_run_leaves_a_clean_record(columns: int) -> None:
    """Panel, analysis and answer stand there as if they had been printed, and nothing that moved."""
    with WireServer(default=deliberation(latency_s=0.3)) as server, Seen(*ASK, server=server, columns=columns) as seen:
        seen.until("waiting")
        status = seen.end()
    words = " ".join(seen.emulator.text.split())
    assert status == 0
    for once in ("openai/gpt-5 answered in", "anthropic/claude-opus-4.8 answered in", "z/judge judged in", "Consensus"):
        assert words.count(once) == 1
    assert words.count("SQLite: one file, no server to run") == 1
    assert "The panel met: 2 of 2 answered." in words
    assert not any(sign in words for sign in ("writing", "thinking", "waiting", "○"))


def test_an_analysis_is_shown_once() -> None:
    """`analyze` draws its analysis when it comes, and does not print it a second time."""
    with WireServer(default=deliberation()) as server, Seen(*ANALYZE, server=server) as seen:
        assert seen.end() == 0
    assert seen.emulator.text.count("Blind spots (1)") == 1
    assert "usage   " in seen.emulator.text


@pytest.mark.parametrize("options", [(), ("--color", "never")])
def test_sources_stand_one_line_below_the_answer(options: tuple[str, ...]) -> None:
    """Drawn or as it streams, whatever ends the answer."""
    page = {"type": "url_citation", "url_citation": {"url": "https://e.org/", "title": "E"}}
    with WireServer(default=deliberation()) as server:
        server.script("openai/gpt-5", Reply("The answer.", annotations=(page,)), role="outer")
        _, shown = on_a_terminal(*ASK, *options, server=server)
    screen = Emulator(80, 24)
    screen.feed(shown)
    assert "\nThe answer.\n\nSources:\n[1] https://e.org/\n" in screen.text


def test_sources_are_wrapped_where_there_is_little_room() -> None:
    """Below a number is an indent, and words are whole."""
    page = {"type": "url_citation", "url_citation": {"url": "https://e.org/", "title": "When a file is enough " * 3}}
    with WireServer(default=deliberation()) as server:
        server.script("openai/gpt-5", Reply("The answer.", annotations=(page,)), role="outer")
        with Seen(*ASK, server=server, columns=40) as seen:
            assert seen.end() == 0
    assert "\n    When a file is enough When a file\n    is enough When a file is enough\n" in seen.emulator.text


def test_responses_without_an_analysis_are_drawn() -> None:
    """They have no headings of a text file's, but stand under their names as they do when the run is shown again."""
    with WireServer(default=deliberation()) as server:
        server.script("z/judge", *[Reply("no JSON")] * 3, role="judge")
        with Seen(*ANALYZE, server=server) as seen:
            assert seen.end() != 0
    assert "\nanthropic/claude-opus-4.8\n\n" in seen.emulator.text
    assert "##" not in seen.emulator.text


def test_nothing_hostile_reaches_the_screen() -> None:
    """The screen gets no code but ours, and a link says where it leads."""
    with WireServer(default=deliberation()) as server:
        server.script("openai/gpt-5", Reply(HOSTILE, chunk_chars=1), role="outer")
        server.script("anthropic/claude-opus-4.8", failure(400, HOSTILE))
        with Seen(*ASK, server=server) as seen:
            assert seen.end() == 0
    words = " ".join(seen.emulator.text.split())
    assert "safe<U+202E> good (https://evil.example) text" in words
    assert "41" not in seen.emulator.styles


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_middle_leaves_a_clean_record(signum: int, status: int) -> None:
    """Interrupted, the record says who had answered and who had not, and how to go on."""
    with WireServer(default=hanging) as server, Seen(*ASK, server=server) as seen:
        seen.until("● anthropic/claude-opus-4.8  writing", "✓ openai/gpt-5")
        seen.send(signum)
        assert seen.end() == status
    words = " ".join(seen.emulator.text.split())
    assert "openai/gpt-5 answered in" in words
    assert "interrupted" in words
    assert "To go on: fusion ask --resume" in words
    assert not any(sign in words for sign in MOVES)


def test_a_second_signal_gives_the_screen_back() -> None:
    """An end at once, even one that interrupts the clearing up, shows the cursor and the record again."""
    with WireServer(default=hanging) as server, Seen(*ASK, server=server) as seen:
        seen.until("● anthropic/claude-opus-4.8  writing")
        seen.send(signal.SIGINT)
        seen.send(signal.SIGINT)
        assert seen.end() == 130


def test_a_stop_gives_the_screen_back_until_it_goes_on() -> None:
    """Ctrl-Z leaves the shell a terminal as it was; continued, the run is seen again."""
    with WireServer(default=hanging) as server, Seen(*ASK, server=server) as seen:
        seen.until("● anthropic/claude-opus-4.8  writing")
        seen.send(signal.SIGTSTP)
        assert os.WIFSTOPPED(os.waitpid(seen.pid, os.WUNTRACED)[1])
        seen.read_what_is_there()
        assert (seen.emulator.shows_cursor, seen.emulator.is_apart) == (True, False)
        assert "writing" not in seen.emulator.text
        seen.send(signal.SIGCONT)
        seen.until("● anthropic/claude-opus-4.8  writing")
        seen.send(signal.SIGINT)
        assert seen.end() == 130


def test_a_change_of_size_in_the_middle() -> None:
    """Narrower, lower, wider: what is seen fits, and the record has no piece of what moved."""
    with WireServer(default=hanging) as server, Seen(*ASK, server=server, columns=120) as seen:
        seen.until("● anthropic/claude-opus-4.8  writing")
        for columns, lines in ((60, 24), (45, 18), (150, 40)):
            seen.resize(columns, lines)
            time.sleep(1.2)  # the clock's next frame finds the new size
            seen.until("writing")
        seen.send(signal.SIGINT)
        assert seen.end() == 130
    words = " ".join(seen.emulator.text.split())
    assert words.count("openai/gpt-5 answered in") == 1
    assert not any(sign in words for sign in MOVES)


@pytest.mark.parametrize(
    ("options", "env"),
    [
        ((), {"TERM": "dumb"}),
        ((), {"CI": "true"}),
        ((), {"NO_COLOR": "1"}),
        (("--color", "never"), {}),
        (("-q",), {}),
        (("--json",), {}),
    ],
)
def test_where_nothing_is_to_be_drawn(options: tuple[str, ...], env: dict[str, str]) -> None:
    """Dumb, without colour, in CI, quiet or as JSON, there are plain lines alone."""
    with WireServer(default=deliberation()) as server:
        status, shown = on_a_terminal(*ASK, *options, server=server, env=env)
    assert status == 0
    assert "SQLite" in shown
    assert "\x1b" not in shown


def test_a_run_is_shown_again_as_it_was_left() -> None:
    """On a terminal `runs show` draws what the live view left there, in its colours, or without any."""
    with WireServer(default=deliberation()) as server:
        _, left = on_a_terminal(*ASK, server=server)
        _, shown = on_a_terminal("runs", "show", "last", server=server)
        _, without = on_a_terminal("runs", "show", "last", server=server, env={"NO_COLOR": "1"})
        _, plain = on_a_terminal("runs", "show", "last", "--format", "plain", server=server)
    screen = Emulator(80, 24)
    screen.feed(left)
    record = without[without.index("panel   ") : without.index("ask 20")].strip()
    assert record in screen.text
    assert without == re.sub(r" +$", "", STYLE.sub("", shown), flags=re.MULTILINE)
    assert "\x1b[1;35manthropic/claude-opus-4.8\x1b[0m  answered in" in shown
    assert plain.startswith("## Question\n\nx\n\n## Answer\n")


def test_a_file_has_what_the_terminal_shows_without_its_colours() -> None:
    """Whoever reads it later need not have such a terminal."""
    with WireServer(default=deliberation()) as server:
        _, shown = on_a_terminal(*ASK, "-o", "rich:seen", server=server)
    text = Path("seen").read_text("utf-8")
    assert "\x1b[1;35manthropic/claude-opus-4.8\x1b[0m  answered in" in shown
    assert "panel   anthropic/claude-opus-4.8  answered in" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"CI": "true"}, {"NO_COLOR": "1"}])
def test_rich_is_printed_where_it_cannot_be_drawn(env: dict[str, str]) -> None:
    """Asked for by name, the record comes when the run is over, after the lines that tell of it."""
    with WireServer(default=deliberation()) as server:
        status, shown = on_a_terminal(*ASK, "--format", "rich", server=server, env=env)
    assert status == 0
    read = STYLE.sub("", shown)
    assert "\x1b" not in read
    assert read.index("judge   z/judge  reads 2 responses") < read.index("judge   z/judge  judged in")
    assert " ".join(read.split()).count("SQLite: one file, no server to run") == 1


def test_plain_is_plain_on_a_terminal_too() -> None:
    """Asked for by name, an analysis is text in sections, as it is elsewhere."""
    with WireServer(default=deliberation()) as server:
        _, shown = on_a_terminal(*ANALYZE, "--format", "plain", server=server)
    assert "## Consensus\n\n- " in shown
    assert "\x1b" not in shown


def test_quiet_is_the_result_alone() -> None:
    """With `-q` standard error is empty, but for errors, and for how to go on from what was paid for."""
    with WireServer(default=deliberation()) as server:
        good = fusion(*ASK, "-q", server=server)
        server.script("openai/gpt-5", failure(400, "no"), role="outer")
        bad = fusion(*ASK, "-q", server=server)
    assert (good.status, good.stderr) == (0, "")
    assert good.stdout.startswith("SQLite")
    assert bad.status == 1
    assert [line.split()[0] for line in bad.stderr.splitlines()] == ["Kept", "To", "fusion:"]


def test_verbose_tells_what_each_call_took() -> None:
    """With `-v` each call's time and tokens are told at the end; both at once with `-q` is a mistake."""
    with WireServer(default=deliberation()) as server:
        told = fusion(*ASK, "-v", server=server).stderr.splitlines()
    calls = [line for line in told if line.startswith("call ")]
    assert [line.split()[1] for line in calls] == ["panel", "panel", "judge", "answer"]
    assert all(re.search(r", [0-9,]+ tokens? in, [0-9,]+ tokens? out", line) for line in calls)
    assert fusion("ask", "-q", "-v", "x").status == 2


def test_responses_are_shown_where_that_is_wanted() -> None:
    """`--show-responses` puts each response before the answer, under its panelist's name; JSON has them anyway."""
    with WireServer(default=deliberation()) as server:
        shown = fusion(*ASK, "--show-responses", server=server).stdout
        as_json: Any = json.loads(fusion(*ASK, "--show-responses", "--json", server=server).stdout)
    assert "## openai/gpt-5\n\nopenai/gpt-5 says: SQLite is enough" in shown
    assert shown.count("\n\n## ") == 2
    assert shown.endswith(f"\n\n## Answer\n\n{ANSWER}\n")
    assert as_json["status"] == "ok"


@pytest.mark.parametrize(
    ("options", "env", "has_colour"),
    [
        ((), {}, False),
        (("--color", "always"), {}, True),
        ((), {"FORCE_COLOR": "1"}, True),
        ((), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
        (("--color", "never"), {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colour_in_a_pipe_is_asked_for(options: tuple[str, ...], env: dict[str, str], has_colour: bool) -> None:
    """Flag before NO_COLOR before FORCE_COLOR; by itself a pipe gets plain text."""
    with WireServer(default=deliberation()) as server:
        ended = fusion(*ANALYZE, *options, server=server, env=env)
    assert ended.status == 0
    assert ("\x1b[1mConsensus" in ended.stdout) == has_colour
    assert ("## Consensus" in ended.stdout) != has_colour


def test_an_unknown_colour_is_a_mistake() -> None:
    """It is said before anything is asked."""
    ended = fusion("ask", "--color", "pink", "x")
    assert ended.status == 2
    assert ended.stderr.splitlines()[0] == 'fusion: --color: expected auto, always or never, found "pink"'
