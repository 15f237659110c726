"""Sits at a pseudo-terminal before the installed `fusion`: reads the screen, and types an answer when it is asked."""

import contextlib
import os
import pty
import select
import termios
import time
from collections.abc import Callable, Mapping, Sequence

from tests.e2e.command import FUSION, environment
from tests.wire.server import WireServer

PATIENCE_S = 30.0
CTRL_C, CTRL_D = "\x03", "\x04"


class Person:
    """One person before one command.

    Attributes:
        screen: Everything that reached the screen so far.
    """

    def __init__(self, arguments: Sequence[str], server: WireServer | None, env: Mapping[str, str]) -> None:
        self.screen = ""
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            whole = environment(server, {"TERM": "xterm", **env})
            os.execve(FUSION, [FUSION, *arguments], whole)  # noqa: S606

    def answer(self, question: str, typed: str) -> None:
        """Wait until the screen ends with a question, and type; a control character needs no line feed."""
        self._read_until(lambda: self.screen.rstrip().endswith(question))
        if typed not in (CTRL_C, CTRL_D):
            typed += "\n"
        self.screen += "<typed>\n"  # so that a question that comes again is told from this one
        os.write(self._terminal, typed.encode())

    def answer_unseen(self, question: str, typed: str) -> None:
        """The same, once the terminal no longer shows what is typed."""
        self._read_until(lambda: self.screen.rstrip().endswith(question))
        deadline = time.monotonic() + PATIENCE_S
        while termios.tcgetattr(self._terminal)[3] & termios.ECHO:
            assert time.monotonic() < deadline, "the terminal shows what is typed"
            time.sleep(0.01)
        self.answer(question, typed)

    def end(self) -> int:
        """Wait for the command's end and return its status."""
        self._read_until(lambda: False)
        shows = termios.tcgetattr(self._terminal)[3] & termios.ECHO
        os.close(self._terminal)
        status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        assert shows, "the terminal was left without echo"
        assert "Traceback" not in self.screen
        return status

    def _read_until(self, is_enough: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        with contextlib.suppress(OSError):  # Linux ends a terminal whose last user has gone with EIO
            while not is_enough():
                assert time.monotonic() < deadline, self.screen
                if select.select([self._terminal], [], [], 0.2)[0]:
                    self.screen += os.read(self._terminal, 65536).decode().replace("\r\n", "\n")
