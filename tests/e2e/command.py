"""Runs the installed `fusion` as its user would: in a pipe, in a pseudo-terminal, interrupted."""

import contextlib
import json
import os
import pty
import select
import subprocess
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.e2e.forks import FUSION as FUSION
from tests.e2e.forks import run
from tests.wire.server import WireServer

CANARY = "sk-canary-5bd1e9f0c3"
MODELS = ("-p", "openai/gpt-5", "-p", "anthropic/claude-opus-4.8", "-j", "z/judge", "-m", "openai/gpt-5")


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        """Return the object on standard output."""
        return json.loads(self.stdout)


def environment(server: WireServer | None = None, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this test's environment, with a key and a server in place of OpenRouter."""
    reached = {"OPENROUTER_BASE_URL": server.url, "OPENROUTER_API_KEY": CANARY} if server else {}
    return {**os.environ, **reached, **(more or {})}


def fusion(
    *arguments: str | bytes,
    server: WireServer | None = None,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
) -> Ended:
    """Run the command to its end; without `stdin`, standard input is empty."""
    status, stdout, stderr = run(arguments, environment(server, env), stdin, timeout_s=240)
    ended = Ended(status, stdout.decode(), stderr.decode())
    assert "Traceback" not in ended.stderr
    assert CANARY not in ended.stdout + ended.stderr
    return ended


def start(*arguments: str, server: WireServer) -> "subprocess.Popen[bytes]":
    """Start the command in a pipe."""
    return subprocess.Popen(
        [FUSION, *arguments],
        env=environment(server),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def on_a_terminal(*arguments: str, server: WireServer | None, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run the command in a pseudo-terminal and return its status and everything that reached the screen."""
    pid, screen = pty.fork()
    if pid == 0:
        os.execve(FUSION, [FUSION, *arguments], environment(server, {"TERM": "xterm", **(env or {})}))  # noqa: S606
    shown = b""
    deadline = time.monotonic() + 60
    with contextlib.suppress(OSError):  # Linux ends a terminal whose last user has gone with EIO
        while time.monotonic() < deadline:
            if select.select([screen], [], [], 0.2)[0]:
                piece = os.read(screen, 65536)
                if not piece:
                    break
                shown += piece
    os.close(screen)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode().replace("\r\n", "\n")
