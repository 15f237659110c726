"""Runs the installed `fusion` against the misbehaving server, and looks for the key wherever a run may have left it.

Knows how a run is started, ended and measured; what is promised of it is the tests' business.
"""

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tests.e2e.command import CANARY, FUSION
from tests.e2e.forks import run
from tests.faults.server import FORGET, LOG, RESET

ROOT = Path(__file__).parents[2]
LIMIT_S = 40.0
JUDGE = "good/judge"
OUTER = "good/outer"

Row = Mapping[str, Any]


class Ran:
    """One run that has ended, and what the server was asked in it.

    Attributes:
        took_s: From its start to its end.
        peak_mb: The most memory that it had, where that was asked for.
    """

    def __init__(self, done: tuple[int, str, str], asked: Sequence[Row], took_s: float, peak_mb: float = 0.0) -> None:
        self.status, self.stdout, self.stderr = done
        self.took_s = took_s
        self.peak_mb = peak_mb
        self._asked = asked

    @property
    def run(self) -> Any:
        """The object on standard output."""
        return json.loads(self.stdout)

    @property
    def result(self) -> Any:
        """The tool result, which `ask` has inside its object and the others at the top of theirs."""
        return self.run.get("result", self.run)

    def asked(self, role: str | None = None, model: str | None = None) -> list[Row]:
        """Return the requests for completions, in order of arrival."""
        return [
            row for row in self._asked if row["role"] and role in (None, row["role"]) and model in (None, row["model"])
        ]

    def response(self, slug: str) -> Any:
        """Return what a panelist said, with all that is told of it."""
        return self._only("responses", slug)

    def failed(self, slug: str) -> Any:
        """Return what is told of a panelist that failed."""
        return self._only("failed_models", slug)

    def call(self, slug: str, role: str = "panel") -> Any:
        """Return what is told of the call to a model in a role."""
        [found] = [row for row in self.run["calls"] if (row["model"], row["role"]) == (slug, role)]
        return found

    def _only(self, kind: str, slug: str) -> Any:
        rows = self.result.get(kind, [])
        found = [row for row in rows if row["model"] == slug]
        assert len(found) == 1, f"{slug} is not once among {kind}: {[row['model'] for row in rows]}"
        return found[0]


class Faults:
    """The server's process, and runs against it; a context manager.

    Attributes:
        url: The base URL to reach it by.
    """

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.server"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout
        self.url = self._process.stdout.readline().decode().strip()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=20)
        assert self._process.returncode == 0, "the server was asked something that it does not know"

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return this test's environment, with the canary key and this server in place of OpenRouter."""
        reached = {"OPENROUTER_BASE_URL": self.url, "OPENROUTER_API_KEY": CANARY}
        return {**os.environ, **reached, **(more or {})}

    def log(self) -> list[Row]:
        """Return what has been asked since the last reset."""
        rows: list[Row] = self._get("GET", LOG)
        return rows

    def reset(self, *, goes_on: bool = False) -> None:
        """Forget what has been asked; where it `goes_on`, what fails once does not fail anew."""
        self._get("POST", FORGET if goes_on else RESET)

    def wait_for(self, true_of: Callable[[list[Row]], bool], limit_s: float = 10.0) -> list[Row]:
        """Wait until the log satisfies `true_of`, and return it."""
        end = time.monotonic() + limit_s
        while not true_of(rows := self.log()):
            assert time.monotonic() < end, f"not within {limit_s} s: {[(r['model'], r['outcome']) for r in rows]}"
            time.sleep(0.02)
        return rows

    def command(
        self,
        *arguments: str | bytes,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        measured: bool = False,
        goes_on: bool = False,
    ) -> Ran:
        """Run the command to its end; without `stdin`, standard input is empty."""
        self.reset(goes_on=goes_on)
        started = time.monotonic()
        if measured:
            done, peak_mb = self._measured(arguments, stdin, self.environment(env))
        else:
            done, peak_mb = run(arguments, self.environment(env), stdin, LIMIT_S), 0.0
        took_s = time.monotonic() - started
        ran = Ran((done[0], done[1].decode(), done[2].decode()), self.log(), took_s, peak_mb)
        assert "Traceback" not in ran.stderr
        assert "internal error" not in ran.stderr
        assert CANARY not in ran.stdout + ran.stderr
        no_key_at_home()
        return ran

    def ask(self, *panel: str, judge: str = JUDGE, outer: str = OUTER, more: Sequence[str] = (), **how: Any) -> Ran:
        """Run `fusion ask --json` with this panel, which is convened."""
        who = ("-p", ",".join(panel), "-j", judge, "-m", outer)
        return self.command("ask", "--json", "--tool-choice", "required", *who, *more, "SQLite?", **how)

    def analyze(self, *panel: str, judge: str = JUDGE, more: Sequence[str] = (), **how: Any) -> Ran:
        """Run `fusion analyze --json` with this panel."""
        return self.command("analyze", "--json", "-p", ",".join(panel), "-j", judge, *more, "SQLite?", **how)

    def plain(self, *panel: str, judge: str = JUDGE, outer: str = OUTER, more: Sequence[str] = (), **how: Any) -> Ran:
        """Run `fusion ask` for people, in a pipe."""
        return self.command(*asking(*panel, judge=judge, outer=outer, more=more), **how)

    def _measured(
        self, arguments: Sequence[str | bytes], stdin: bytes | None, environment: Mapping[str, str]
    ) -> tuple[tuple[int, bytes, bytes], float]:
        """Run the command as a process that has no memory of others in it; return how it ended, and its peak."""
        with subprocess.Popen(
            [FUSION, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            peak = _Peak(process.pid)
            peak.start()
            try:
                stdout, stderr = process.communicate(stdin, timeout=LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        peak.join()
        return (process.returncode, stdout, stderr), peak.mb

    def _get(self, method: str, path: str) -> Any:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=20)
        try:
            connection.request(method, path, headers={"Connection": "close"})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


def asking(*panel: str, judge: str = JUDGE, outer: str = OUTER, more: Sequence[str] = ()) -> list[str]:
    """Return the arguments of a question to this panel, which is convened."""
    return ["ask", "--tool-choice", "required", "-p", ",".join(panel), "-j", judge, "-m", outer, *more, "SQLite?"]


def no_key_at_home() -> None:
    """Fail when any file that a run can have left holds the key."""
    for path in Path(os.environ["HOME"]).rglob("*"):
        if path.is_file():
            assert CANARY.encode() not in path.read_bytes(), f"the key is in {path}"


class _Peak(threading.Thread):
    """Watch the most memory that a process has had, by the kernel's own mark, until it ends."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._status = Path(f"/proc/{pid}/status")
        self.mb = 0.0

    def run(self) -> None:
        """Look again and again, as the mark goes with the process."""
        with contextlib.suppress(OSError):  # it has ended
            while marks := re.findall(r"VmHWM:\s+(\d+) kB", self._status.read_text()):
                self.mb = max(self.mb, int(marks[0]) / 1024)
                time.sleep(0.01)
