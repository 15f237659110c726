"""Promises of `keys`: a key comes from a private file or a command, each failure is one line, and no key is in it."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fusion_cli.errors import ConfigError, CredentialError, FusionError, UnreachableError
from fusion_cli.keys import ask_key_command, obtain_key
from fusion_cli.providers import Provider

CANARY = "sk-or-v1-canary0123456789"
OTHER = "other-canary"
SAID = "providers.lab.api_key_file"
LAB = Provider("lab", "https://lab.example/v1")


def key_file(tmp_path: Path, data: bytes, mode: int = 0o600) -> Path:
    """Return a file with these bytes and this mode."""
    path = tmp_path / "lab key"
    path.write_bytes(data)
    path.chmod(mode)
    return path


def python(code: str) -> str:
    """Return the command line that runs a piece of Python."""
    return shlex.join([sys.executable, "-S", "-c", code])


def refusal(provider: Provider, kind: type[FusionError]) -> str:
    """Return the one line with which a provider's key is refused, without anything secret."""
    with pytest.raises(kind) as caught:
        obtain_key(provider)
    said = str(caught.value)
    assert said.isprintable()
    assert CANARY not in said + caught.value.hint + repr(caught.value)
    return said


def from_file(path: Path | str) -> Provider:
    """Return a provider whose key is in a file."""
    return LAB._replace(api_key_file=str(path))


def from_command(code: str) -> Provider:
    """Return a provider whose key is what a piece of Python prints."""
    return LAB._replace(api_key_command=python(code))


@pytest.mark.parametrize("mode", [0o600, 0o400])
@pytest.mark.parametrize("data", [f"{CANARY}", f"  {CANARY}\r\nuser: me\n", f"\ufeff{CANARY}\n\n"])
def test_a_key_is_the_first_line_of_its_file(tmp_path: Path, data: str, mode: int) -> None:
    """What editors and password managers put around a key is not sent."""
    assert obtain_key(from_file(key_file(tmp_path, data.encode(), mode))) == CANARY


def test_a_key_file_may_lie_in_the_home_folder(isolated: Path) -> None:
    """A ~ stands for the home folder, as in a shell."""
    key_file(isolated, CANARY.encode())
    assert obtain_key(from_file("~/lab key")) == CANARY


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o622, 0o610])
def test_a_key_file_of_others_is_refused(tmp_path: Path, mode: int) -> None:
    """A file that anybody else may open is not used, and the line ends with what mends it."""
    path = key_file(tmp_path, CANARY.encode(), mode)
    said = refusal(from_file(path), ConfigError)
    assert said == f"{SAID}: expected a file that nobody else may read, found another: chmod 600 '{path}'"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "found nothing"),
        (f"\n{CANARY}\n".encode(), "found nothing"),
        (f"{CANARY} x".encode(), "found a character that cannot stand in a header"),
        (f"{CANARY}\rX-Evil: 1".encode(), "found a character that cannot stand in a header"),
        (f"{CANARY}\0".encode(), "found a character that cannot stand in a header"),
        (f"{CANARY}\xe9".encode("latin-1"), "found a character that cannot stand in a header"),
        (CANARY.encode("utf-16"), "found a character that cannot stand in a header"),
        (CANARY.encode() * 1000, "found more than 10000 bytes"),
    ],
)
def test_what_is_no_key_is_not_sent(tmp_path: Path, data: bytes, found: str) -> None:
    """A file without a key in its first line is named, and nothing of it is repeated."""
    path = key_file(tmp_path, data)
    said = refusal(from_file(path), ConfigError)
    assert said.startswith(f"{SAID}: expected a key")
    assert found in said
    assert str(path) in said


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """A missing file, a folder, or a home folder that nobody knows is one line."""
    said = refusal(from_file(tmp_path / "no"), ConfigError)
    assert said == f"{SAID}: expected a readable file, found: {tmp_path / 'no'}: No such file or directory"
    assert refusal(from_file(tmp_path), ConfigError).endswith("Is a directory")
    assert "home folder that is not known" in refusal(from_file("~nobody-here/key"), ConfigError)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes with a path")
def test_a_pipe_is_no_key_file(tmp_path: Path) -> None:
    """A named pipe is refused without waiting for its writer."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "regular file" in refusal(from_file(tmp_path / "pipe"), ConfigError)


def test_a_command_prints_the_key_and_is_run_once(tmp_path: Path) -> None:
    """The first line counts, a password is asked for once in a process, and no shell reads the line."""
    counter = tmp_path / "runs"
    provider = from_command(f"open({str(counter)!r}, 'a').write('x'); print({CANARY!r} + '\\n$(second) line')")
    assert [obtain_key(provider), obtain_key(provider)] == [CANARY, CANARY]
    assert counter.read_text() == "x"


@pytest.mark.parametrize(
    ("code", "found"),
    [
        (f"print({CANARY!r}); raise SystemExit(3)", "ended with status 3"),
        ("import os; os.kill(os.getpid(), 9)", "ended with status -9"),
        ("", "printed nothing in its first line"),
        (f"print(); print({CANARY!r})", "printed nothing in its first line"),
        (f"print({CANARY!r}, 'x')", "printed a character that cannot stand in a header"),
        (
            "import itertools\nfor _ in itertools.count(): print('y' * 1000)",
            "printed more than 10000 bytes, which is no key",
        ),
    ],
)
def test_a_command_without_a_key_is_named(code: str, found: str) -> None:
    """Provider and program are named, nothing that was printed is, and one that never stops is ended."""
    provider = from_command(code)
    assert refusal(provider, CredentialError) == f"no key for lab: {sys.executable} {found}"


def test_a_program_that_does_not_exist_is_named() -> None:
    """A mistyped command is one line."""
    said = refusal(LAB._replace(api_key_command="no-such-program show lab"), CredentialError)
    assert said == "no key for lab: no-such-program cannot be started: No such file or directory"


def test_a_command_that_never_ends_is_ended() -> None:
    """A command that waits for ever is killed, also when it has closed its output by then."""
    for code in ("import time; time.sleep(60)", "import os, time; os.close(1); time.sleep(60)"):
        with pytest.raises(CredentialError, match=r"did not end within 0\.3 s$"):
            ask_key_command(python(code), "lab", patience_s=0.3)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="POSIX process groups")
def test_a_command_that_is_ended_takes_its_children_with_it() -> None:
    """Where nobody sits at a terminal, what a command has started does not outlive it either."""
    child = python("import time; time.sleep(60)")
    command = python(f"import os, signal; signal.signal(15, signal.SIG_IGN); os.system({child!r})")
    whole = f"from fusion_cli.keys import ask_key_command; ask_key_command({command!r}, 'lab', patience_s=1)"
    done = subprocess.run(
        [sys.executable, "-c", whole],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,  # which the child holds open for as long as it lives
        start_new_session=True,
        timeout=30,
        check=False,
    )
    assert b"did not end within 1 s" in done.stderr


def test_a_command_is_waited_for_aloud() -> None:
    """What takes longer than a moment is said once, with the provider and the program; what is quick is not."""
    told: list[str] = []
    slow = f"import time; time.sleep(1.5); print({CANARY!r})"
    assert ask_key_command(python(slow), "lab", tell=told.append) == CANARY
    [line] = told
    assert line.startswith(f"fusion: waiting for the key of lab, which {sys.executable} is to print")
    assert ask_key_command(python(f"print({CANARY!r})"), "lab", tell=told.append) == CANARY
    assert told == [line]


def test_a_command_is_held_to_the_deadline() -> None:
    """A run's deadline counts for its keys, too, and is what is named then."""
    with pytest.raises(UnreachableError, match=r"^no key for lab: .* did not end before the run's deadline$"):
        ask_key_command(python("import time; time.sleep(60)"), "lab", within_s=0.3)


def test_which_key_counts(tmp_path: Path) -> None:
    """The variable wins over the file, the file over the command, and who has none of them has no key."""
    failing = python("raise SystemExit(1)")
    every = LAB._replace(api_key=OTHER, api_key_file=str(key_file(tmp_path, CANARY.encode())), api_key_command=failing)
    assert obtain_key(every) == OTHER
    assert obtain_key(every._replace(api_key=None)) == CANARY
    assert obtain_key(LAB) is None
    assert [each.has_key for each in (every, LAB, from_file("/x"), from_command(""))] == [True, False, True, True]
