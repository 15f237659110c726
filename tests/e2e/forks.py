"""Runs the installed command in forks of one process that has imported it already, which spares most of each start.

A fork is a process of its own, with an environment, a folder, streams, signals and a status of its own; what it does
not show is an import that fails. Run as a script, this is that one process: it knows none of our tests.
"""

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self

FUSION = str(Path(sys.executable).parent / "fusion")
Ended = tuple[int, bytes, bytes]

# Imported late, so that a start is quick, and by nearly every run: a module that is missing here costs time alone.
_LATE = (
    "anyio._backends._asyncio", "asyncio", "httpx", "markdown_it", "platformdirs", "pydantic", "pydantic.main",
    "pydantic_core", "rich.cells", "rich.console", "rich.live", "rich.markdown", "rich.table", "tomlkit",
    "typer._click.shell_completion", "unicodedata",
)  # fmt: skip
_ALONE = ("fusion_cli.__main__", "fusion_cli.local.server")  # the engine's process, which loads the engine


def run(
    arguments: Sequence[str | bytes], environment: Mapping[str, str], stdin: bytes | None, timeout_s: float
) -> Ended:
    """Run the command to its end; without `stdin`, standard input is empty.

    Raises:
        subprocess.TimeoutExpired: It ran for longer than `timeout_s` seconds, and was killed.
    """
    forks = Forks.running
    if forks and _for_python(environment) == forks.for_python:
        return forks.run(arguments, environment, stdin, timeout_s)
    given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
    done = subprocess.run(
        [FUSION, *arguments], env=dict(environment), capture_output=True, timeout=timeout_s, check=False, **given
    )
    return done.returncode, done.stdout, done.stderr


class Forks:
    """The process that is forked; a context manager, within which `run` makes use of it.

    Attributes:
        for_python: What its interpreter was told by the environment, and no fork can be told otherwise.
    """

    running: ClassVar[Self | None] = None

    def __enter__(self) -> Self:
        self.for_python = _for_python(os.environ)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, str(theirs.fileno())],
                env={**self.for_python, "PATH": os.environ["PATH"]},
                stdin=subprocess.PIPE,  # pipes, as the forks have them
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
            )
        type(self).running = self
        return self

    def __exit__(self, *_: object) -> None:
        type(self).running = None
        self._control.close()
        told = self._process.communicate(timeout=20)[1].decode()
        assert (self._process.returncode, told) == (0, "")

    def run(
        self, arguments: Sequence[str | bytes], environment: Mapping[str, str], stdin: bytes | None, timeout_s: float
    ) -> Ended:
        """Run the command to its end in a fork."""
        wanted = {"argv": list(map(os.fsdecode, arguments)), "env": dict(environment), "cwd": str(Path.cwd())}
        (out, their_out), (err, their_err) = os.pipe(), os.pipe()
        their_in, to_stdin = (os.open(os.devnull, os.O_RDONLY), None) if stdin is None else os.pipe()
        ours, theirs = socket.socketpair()
        socket.send_fds(self._control, [b"!"], [their_in, their_out, their_err, theirs.fileno()])
        for descriptor in (their_in, their_out, their_err, theirs.detach()):
            os.close(descriptor)
        read: dict[int, bytes] = {}
        threads = [threading.Thread(target=_read, args=(stream, read), daemon=True) for stream in (out, err)]
        if to_stdin is not None:
            threads.append(threading.Thread(target=_write, args=(to_stdin, stdin), daemon=True))
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + timeout_s
        with ours:
            ours.sendall(json.dumps(wanted).encode())
            ours.shutdown(socket.SHUT_WR)
            with ours.makefile("rb") as told:
                pid = int(told.readline())
                ours.settimeout(timeout_s)
                try:
                    status = int(told.readline())
                except TimeoutError:
                    os.kill(pid, signal.SIGKILL)
                    raise subprocess.TimeoutExpired([FUSION, *arguments], timeout_s) from None
        for thread in threads:  # what the command has started may hold its streams still
            thread.join(max(0, deadline - time.monotonic()))
            if thread.is_alive():
                raise subprocess.TimeoutExpired([FUSION, *arguments], timeout_s)
        return status, read[out], read[err]


def _for_python(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(("PYTHON", "LANG", "LC_"))}


def _read(stream: int, into: dict[int, bytes]) -> None:
    with open(stream, "rb") as file:
        into[stream] = file.read()


def _write(stream: int, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), open(stream, "wb", buffering=0) as file:
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]


def _serve(control: socket.socket) -> None:
    """Fork for each message, until there is nobody any more who could send one."""
    import fusion_cli

    for module in pkgutil.walk_packages(fusion_cli.__path__, "fusion_cli."):
        if module.name not in _ALONE:
            importlib.import_module(module.name)
    for name in _LATE:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    while (message := socket.recv_fds(control, 1, 4))[0]:
        descriptors = message[1]
        if os.fork() == 0:
            _keep(descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        with contextlib.suppress(ChildProcessError):  # bury the keepers that have ended
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _keep(descriptors: Sequence[int]) -> NoReturn:
    """Fork the command, and tell its number and how it ended: that is for its parent alone to know."""
    *streams, number = descriptors
    with socket.socket(fileno=number) as asker, asker.makefile("rb") as asked, contextlib.suppress(OSError):
        wanted = json.loads(asked.read())
        pid = os.fork()
        if pid == 0:
            _become(wanted, streams)
        for stream in streams:
            os.close(stream)
        asker.sendall(f"{pid}\n".encode())
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        asker.sendall(f"{status}\n".encode())
    os._exit(0)


def _become(wanted: Any, streams: Sequence[int]) -> NoReturn:
    """Be the command, as its script is."""
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
    os.closerange(3, 256)
    try:
        os.chdir(wanted["cwd"])
        os.environ.clear()
        os.environ.update(wanted["env"])
        time.tzset()
        sys.argv = [FUSION, *wanted["argv"]]
        from fusion_cli.__main__ import main

        main()
    except BaseException:  # noqa: BLE001  # as the interpreter does
        traceback.print_exc()
    os._exit(1)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt), socket.socket(fileno=int(sys.argv[1])) as end:
        _serve(end)
