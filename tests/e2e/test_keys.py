"""Keys from files and commands: sent to their server alone, wrong ones told before any request, and shown nowhere."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.command import CANARY, FUSION, MODELS, Ended, environment, fusion
from tests.e2e.person import CTRL_C, Person
from tests.wire.server import WireServer, deliberation

ASK = ("ask", *MODELS, "--tool-choice", "required", "q")


def without_variable(*arguments: str, server: WireServer) -> Ended:
    """Run the command with a server in place of OpenRouter, and no key in the environment."""
    return fusion(*arguments, server=server, env={"OPENROUTER_API_KEY": ""})


def key_file(key: str, mode: int = 0o600) -> Path:
    """Return a file with a key in the working directory, which the config names."""
    path = Path("the key").resolve()
    path.write_text(f"{key}\n")
    path.chmod(mode)
    assert fusion("config", "set", "providers.openrouter.api_key_file", str(path)).status == 0
    return path


def key_command(code: str) -> str:
    """Have the config name a command that runs a piece of Python, and return that command."""
    command = shlex.join([sys.executable, "-S", "-c", code])
    assert fusion("config", "set", "providers.openrouter.api_key_command", command).status == 0
    return command


def test_a_key_file_is_sent() -> None:
    """Every call has the file's key, and what `config` prints has where it comes from, not what it is."""
    path = key_file(CANARY)
    with WireServer(default=deliberation(latency_s=0), api_key=CANARY) as server:
        assert without_variable(*ASK, server=server).status == 0
        assert len(server.requests) > 3
    assert fusion("config", "get", "providers.openrouter.api_key_file").stdout == f"{path}\n"
    shown = fusion("config", "show", "--json").json()["values"]
    assert shown["providers.openrouter.api_key"] == {"value": "set", "source": "key file"}


def test_a_key_command_is_run_once_a_run_and_only_to_ask() -> None:
    """Four calls need one password, and looking at the configuration none."""
    command = key_command(f"open('runs', 'a').write('x'); print({CANARY[:4]!r} + {CANARY[4:]!r})")
    shown = fusion("config", "show", "--json").json()["values"]
    assert shown["providers.openrouter.api_key"] == {"value": "set", "source": "command"}
    assert fusion("config", "get", "providers.openrouter.api_key_command").stdout == f"{command}\n"
    assert fusion("config", "presets").status == 0
    assert not Path("runs").exists()
    with WireServer(default=deliberation(latency_s=0), api_key=CANARY) as server:
        assert without_variable(*ASK, server=server).status == 0
        assert Path("runs").read_text() == "x"
        assert fusion(*ASK, server=server).status == 0  # with the variable set
    assert Path("runs").read_text() == "x"


def test_a_key_command_may_ask_its_user() -> None:
    """It has our standard input to read a password from, and its errors are the user's to read."""
    key_command("import sys; print('locked', file=sys.stderr); print(input())")
    Path("body.json").write_text('{"model": "openai/gpt-5", "messages": [{"role": "user", "content": "q"}]}')
    with WireServer(default=deliberation(latency_s=0), api_key=CANARY) as server:
        without = {"OPENROUTER_API_KEY": ""}
        ended = fusion("ask", "--request", "body.json", server=server, env=without, stdin=f"{CANARY}\n".encode())
    assert ended.status == 0
    assert "locked" in ended.stderr.splitlines()


@pytest.mark.parametrize(
    ("key", "mode", "said"),
    [
        (CANARY, 0o644, "chmod 600"),
        (f"{CANARY} {CANARY}", 0o600, "found a character that cannot stand in a header"),
        ("", 0o600, "found nothing"),
    ],
)
def test_a_wrong_key_file_is_one_line_and_status_2(key: str, mode: int, said: str) -> None:
    """What is wrong with the file is said before any request."""
    key_file(key, mode)
    with WireServer(default=deliberation(latency_s=0)) as server:
        for arguments in (ASK, ("analyze", *MODELS[:-2], "q")):
            ended = without_variable(*arguments, server=server)
            assert (ended.status, ended.stdout) == (2, "")
            [line] = ended.stderr.splitlines()
            assert line.startswith("fusion: providers.openrouter.api_key_file: ")
            assert said in line
        assert server.requests == []


def test_a_failing_key_command_is_status_4() -> None:
    """The provider, the program and where it is named are told, what it printed is not, and nothing was sent."""
    key_command(f"print({CANARY[:4]!r} + {CANARY[4:]!r}); raise SystemExit(2)")
    with WireServer(default=deliberation(latency_s=0)) as server:
        ended = without_variable(*ASK, server=server)
        assert server.requests == []
    assert (ended.status, ended.stdout) == (4, "")
    assert ended.stderr.splitlines() == [
        f"fusion: no key for openrouter: {sys.executable} ended with status 2",
        "providers.openrouter.api_key_command says what is run: try it by hand.",
    ]


def test_a_refused_key_names_its_source() -> None:
    """Who has to change the key is told where it is, also when no variable has it."""
    key_file(CANARY)
    with WireServer(default=deliberation(latency_s=0), api_key="another") as server:
        ended = without_variable(*ASK, server=server)
    assert ended.status == 4
    assert ended.stderr.splitlines()[-1] == "It comes from providers.openrouter.api_key_file."


def test_a_key_file_does_not_travel_in_the_clear() -> None:
    """A file's key is for https, or for this machine."""
    key_file(CANARY)
    ended = fusion(*ASK, env={"OPENROUTER_BASE_URL": "http://openrouter.example/v1"})
    assert ended.status == 2
    [line] = ended.stderr.splitlines()
    assert "http:// with api_key_file set" in line


def test_a_key_command_takes_of_the_deadline() -> None:
    """The run's time begins with its key: what the command took, the panel has less; past it, nobody is asked."""
    key_command(f"import time; time.sleep(1.5); print({CANARY[:4]!r} + {CANARY[4:]!r})")
    with WireServer(default=deliberation(latency_s=1.5), api_key=CANARY) as server:
        ended = without_variable(*ASK, "--deadline", "1", server=server)
        assert server.requests == []
        assert ended.status == 6
        assert "waiting for the key of openrouter" in ended.stderr
        assert ended.stderr.splitlines()[-1].endswith("did not end before the run's deadline")
        late = without_variable("analyze", *MODELS[:-2], "--deadline", "3", "q", server=server)
        assert late.status == 6
        assert "the deadline of 3 s leaves no more to the panel" in late.stderr


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_key_command_ends_with_the_run() -> None:
    """Ctrl-C while a password is asked for ends both, and says so in one line."""
    key_command("import os, time; open('pid', 'w').write(f'{os.getpid()}\\n'); time.sleep(60)")
    pid = Path("pid")
    without = environment(more={"OPENROUTER_API_KEY": ""})
    with subprocess.Popen([FUSION, *ASK], env=without, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
        deadline = time.monotonic() + 30
        while not (pid.exists() and pid.read_text().endswith("\n")) and time.monotonic() < deadline:
            time.sleep(0.02)
        run.send_signal(signal.SIGINT)
        assert run.communicate(timeout=30)[1] == b"fusion: interrupted\n"
    assert run.returncode == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


TERMINAL = pytest.mark.skipif(os.name == "nt", reason="Windows has no terminals of that kind")
ASKS = """
import signal, termios
signal.signal(signal.SIGINT, signal.SIG_DFL)
for signum in DEAF_TO: signal.signal(signum, signal.SIG_IGN)
tty = open('/dev/tty', 'r+b', buffering=0)
mode = termios.tcgetattr(tty)
mode[3] &= ~termios.ECHO
termios.tcsetattr(tty, termios.TCSANOW, mode)
tty.write(b'Pass: ')
tty.readline()
"""


STARTS_ANOTHER = """
import pathlib, subprocess
nothing = subprocess.DEVNULL
child = subprocess.Popen(['sleep', '60'], stdin=nothing, stderr=nothing, start_new_session=True)
pathlib.Path('child').write_text(str(child.pid))
"""


def asking_command(deaf_to: list[int], answer: str = "") -> None:
    """Have the config name a command that asks for a password without echo, and ignores these signals."""
    path = Path("asks.py").resolve()
    path.write_text(ASKS.replace("DEAF_TO", str(deaf_to)) + answer)
    key_command(f"exec(open({str(path)!r}).read())")


@TERMINAL
@pytest.mark.parametrize("deaf_to", [[], [2], [2, 15]])
def test_an_interrupted_password_leaves_the_terminal_as_it_was(deaf_to: list[int]) -> None:
    """Ctrl-C where nothing is echoed gives the echo back, however little the command cares."""
    asking_command(deaf_to)
    person = Person(ASK, None, {"OPENROUTER_API_KEY": ""})
    person.answer_unseen("Pass:", CTRL_C)
    assert person.end() == 130
    assert "fusion: interrupted" in person.screen


@TERMINAL
def test_an_interrupted_password_waits_for_nobodys_child() -> None:
    """What the command has started, and what holds its output open, is not waited for."""
    asking_command([])
    asks = Path("asks.py")
    asks.write_text(f"{STARTS_ANOTHER}{asks.read_text()}")
    person = Person(ASK, None, {"OPENROUTER_API_KEY": ""})
    person.answer_unseen("Pass:", CTRL_C)
    assert person.end() == 130
    os.kill(int(Path("child").read_text()), signal.SIGKILL)


@TERMINAL
def test_a_password_that_nobody_types_leaves_the_terminal_as_it_was() -> None:
    """Past the deadline the same."""
    asking_command([])
    person = Person([*ASK, "--deadline", "1"], None, {"OPENROUTER_API_KEY": ""})
    assert person.end() == 6
    assert "Pass: " in person.screen


@TERMINAL
def test_a_password_is_read_from_the_terminal() -> None:
    """A command that asks at the terminal is in its foreground, and may."""
    asking_command([], f"print({CANARY[:4]!r} + {CANARY[4:]!r})")
    with WireServer(default=deliberation(), api_key=CANARY) as server:
        person = Person([*ASK, "--color", "never"], server, {"OPENROUTER_API_KEY": ""})
        person.answer_unseen("Pass:", "secret")
        assert person.end() == 0
    assert "secret" not in person.screen
