"""Fault 40: input that cannot be used is refused before any request, and odd surroundings change nothing."""

import re

import pytest

from tests.e2e.command import CANARY
from tests.faults.running import JUDGE, OUTER, Faults, asking
from tests.faults.screen import Screen
from tests.wire.server import WireServer

WHO = ("-p", "good/one", "-j", JUDGE, "-m", OUTER)
REFUSED: dict[str, tuple[tuple[str | bytes, ...], bytes | None]] = {
    "empty prompt": (("",), None),
    "blank prompt": ((" \n",), None),
    "nothing on standard input": ((), b""),
    "5 MB on standard input": (("q",), b"x" * 5_000_000),
    "binary standard input": (("q",), b"\x89PNG\r\n\x1a\n\0\0"),
    "NUL on standard input": (("-",), b"a\0b"),
    "half a character on standard input": (("-",), b"caf\xe9"),
    "lone surrogate": ((b"a\xed\xa0\x80b",), None),
    "byte that is no character": ((b"x\xff",), None),
    "unknown option": (("-what is it?",), None),
    "no panelist": (("-p", "", "q"), None),
    "nine panelists": (("-p", "a,b,c,d,e,f,g,h,i", "q"), None),
    "line feed in a slug": (("-p", "a\nX-Evil: 1", "q"), None),
    "carriage return in a slug": (("-m", "a\r\nX-Evil: 1", "q"), None),
    "escape code in a slug": (("-j", "a\x1b[31m", "q"), None),
}
ENVIRONMENTS = {
    "no URL": {"OPENROUTER_BASE_URL": "not a url"},
    "another scheme": {"OPENROUTER_BASE_URL": "ftp://127.0.0.1/v1"},
    "port that is none": {"OPENROUTER_BASE_URL": "https://127.0.0.1:99999/v1"},
    "a key over plain http": {"OPENROUTER_BASE_URL": "http://192.0.2.1/v1"},
    "line feed in a key": {"OPENROUTER_API_KEY": f"{CANARY}\nX-Evil: 1"},
    "carriage return in a key": {"OPENROUTER_API_KEY": f"{CANARY}\rX-Evil: 1"},
    "key that is no ASCII": {"OPENROUTER_API_KEY": f"{CANARY}\u2019"},
}
LIMITS = [
    ("--timeout", "-1"),
    ("--timeout", "nan"),
    ("--idle-timeout", "soon"),
    ("--deadline", "inf"),
    ("--grace", "-1"),
    ("--quorum", "0"),
    ("--max-cost", "nan"),
]


def one_line(stderr: str) -> bool:
    """Whether this is one line, and at most one more that says what to do."""
    lines = [line for line in stderr.splitlines() if not line.startswith(("Usage: ", "Try "))]
    return 1 <= len(lines) <= 2 and "\x1b" not in stderr


@pytest.mark.parametrize("name", REFUSED)
def test_fault_40_refused_input(faults: Faults, name: str) -> None:
    """What cannot be asked is one line with status 2, and nobody has been asked."""
    arguments, stdin = REFUSED[name]
    more = () if "-p" in arguments or "-m" in arguments or "-j" in arguments else WHO
    ran = faults.command("ask", *more, *arguments, stdin=stdin)
    assert (ran.status, ran.stdout) == (2, "")
    assert faults.log() == []
    assert one_line(ran.stderr), ran.stderr


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_fault_40_refused_environment(faults: Faults, name: str) -> None:
    """An address or a key that cannot be used is refused as early, the variable named and the key not shown."""
    ran = faults.command("ask", *WHO, "q", env=ENVIRONMENTS[name])
    assert (ran.status, ran.stdout) == (2, "")
    assert faults.log() == []
    assert next(iter(ENVIRONMENTS[name])) in ran.stderr
    assert one_line(ran.stderr), ran.stderr


@pytest.mark.parametrize(("option", "value"), LIMITS)
def test_fault_40_refused_limits(faults: Faults, option: str, value: str) -> None:
    """A limit that is none is refused by its name."""
    ran = faults.command("ask", *WHO, option, value, "q")
    assert (ran.status, faults.log()) == (2, [])
    assert re.search(rf"{option}:? expected", ran.stderr)
    assert one_line(ran.stderr), ran.stderr


def test_fault_40_question_that_begins_with_a_dash(faults: Faults) -> None:
    """After `--`, or on standard input, a question may begin as it likes."""
    for arguments, stdin in ((("--", "-v or not?"), None), (("-",), b"-v or not?")):
        ran = faults.command("ask", "--tool-choice", "none", *WHO, *arguments, stdin=stdin)
        assert ran.status == 0
        [asked] = ran.asked()
        assert asked["body"]["messages"][-1]["content"] == "-v or not?"


def test_fault_40_proxies_do_not_get_the_key(faults: Faults) -> None:
    """A proxy in the environment sees nothing of what goes to this machine, nor the key."""
    with WireServer() as proxy:
        names = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
        ran = faults.ask("good/one", env=dict.fromkeys(names, proxy.origin))
        assert proxy.requests == []
    assert ran.status == 0


def test_fault_40_key_is_in_no_object_and_no_error(faults: Faults) -> None:
    """A server that repeats the key to whoever sent it gets it into no output and no file."""
    for ran in (
        faults.ask("fault/401-echo", "good/one"),
        faults.ask("good/one", outer="fault/401-echo"),
        faults.plain("good/one", judge="fault/401-echo"),
        faults.command("config", "show"),
    ):
        assert "[key]" in ran.stderr + ran.stdout or "set" in ran.stdout


@pytest.mark.parametrize(
    ("columns", "variables"),
    [(80, {"TERM": "dumb"}), (80, {"NO_COLOR": "1"}), (20, {}), (80, {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0"})],
    ids=["dumb", "no colour", "20 columns", "C"],
)
def test_fault_40_terminals_of_any_kind(faults: Faults, columns: int, variables: dict[str, str]) -> None:
    """Dumb, colourless, narrow or without a locale: the answer is there, and nothing that the terminal cannot have."""
    faults.reset()
    arguments = asking("fault/plain", "good/one", outer="fault/plain")
    with Screen(faults, *arguments, columns=columns, env=variables) as screen:
        assert screen.wait_for_the_end() == 0
    assert "done" in screen.shown
    if "TERM" in variables:
        assert "\x1b" not in screen.shown
    if "NO_COLOR" in variables:
        assert not re.search(r"\x1b\[(?:\d+;)*(?:3\d|4\d|9\d|10\d)", screen.shown)


def test_fault_40_pipe_in_the_c_locale(faults: Faults) -> None:
    """What the locale cannot write does not cost the answer."""
    ran = faults.plain("good/one", outer="fault/plain", env={"LC_ALL": "C", "PYTHONUTF8": "0"})
    assert ran.status == 0
    assert ran.stdout.rstrip().endswith("done")
