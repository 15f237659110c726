"""The command in a pseudo-terminal, as a person has it: with keys, a size, and everything that reached the screen."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from tests.e2e.command import CANARY, FUSION
from tests.faults.running import LIMIT_S, Faults, no_key_at_home

CTRL_C = b"\x03"
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


class Screen:
    """Run a command in a terminal of its own for as long as the block lasts.

    Attributes:
        shown: What has reached the screen so far.
        status: How the command ended, negative for a signal that killed it; None before that.
        took_s: From the last key or signal to the end.
    """

    def __init__(
        self, faults: Faults, *arguments: str, columns: int = 80, env: Mapping[str, str] | None = None
    ) -> None:
        self._command = [FUSION, *arguments]
        self._environment = faults.environment({"TERM": "xterm-256color", **(env or {})})
        self._columns = columns
        self._acted_s = 0.0
        self._bytes = b""
        self.status: int | None = None
        self.took_s = 0.0

    @property
    def shown(self) -> str:
        """What has reached the screen, with plain line feeds."""
        return self._bytes.decode("utf-8", "replace").replace("\r\n", "\n")

    def __enter__(self) -> Self:
        self._pid, self._screen = pty.fork()
        if self._pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, self._columns, 0, 0))
            os.execve(FUSION, self._command, self._environment)  # noqa: S606
        self._acted_s = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.status is None:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._screen)
        if error is None:
            assert "Traceback" not in self.shown
            assert CANARY not in self.shown
            no_key_at_home()

    def press(self, keys: bytes) -> None:
        """Type something."""
        self._acted_s = time.monotonic()
        os.write(self._screen, keys)

    def send(self, signum: int) -> None:
        """Send a signal to the command."""
        self._acted_s = time.monotonic()
        os.kill(self._pid, signum)

    def resize(self, columns: int) -> None:
        """Give the terminal another width, of which the kernel tells the command."""
        fcntl.ioctl(self._screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def wait_for(self, *texts: str) -> None:
        """Read until one of the texts has been shown."""
        end = time.monotonic() + LIMIT_S
        while not any(text in self.shown for text in texts):
            assert self._read(end), f"{texts!r} did not come: {self.shown}"

    def wait_for_the_end(self) -> int:
        """Read until the command has ended, and return its status."""
        end = time.monotonic() + LIMIT_S
        while self._read(end):
            pass
        self.took_s = time.monotonic() - self._acted_s
        self.status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return self.status

    def _read(self, end: float) -> bool:
        """Read what there is; return whether there may be more."""
        assert time.monotonic() < end, f"still running: {self.shown}"
        if not select.select([self._screen], [], [], 0.1)[0]:
            return True
        with contextlib.suppress(OSError):  # Linux ends a terminal whose last user has gone with EIO
            piece = os.read(self._screen, 65536)
            self._bytes += piece
            return bool(piece)
        return False
