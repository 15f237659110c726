"""Runs `fusion` in a world in which the n-th write or the n-th read from the network fails, once.

`python -m tests.torture.broken_world write|read N ARGUMENTS...`; the last line on standard error says whether the
fault came to pass. It stands between the program and the operating system, and patches nothing of ours.
"""

import errno
import io
import os
import socket
import sys
from collections.abc import Callable
from typing import Any, cast

_real_write, _real_exit, _real_recv = os.write, os._exit, socket.socket.recv


class World:
    """Counts calls, and lets the n-th one fail."""

    def __init__(self, n: int, problem: OSError) -> None:
        self._left = n
        self._problem = problem

    @property
    def has_failed(self) -> bool:
        """Whether the fault has come to pass."""
        return self._left <= 0

    def step(self) -> None:
        """Count one call, and fail where it is the one."""
        self._left -= 1
        if self._left == 0:
            raise self._problem


class Stream(io.FileIO):
    """A standard stream whose writes are counted."""

    def __init__(self, descriptor: int, world: World) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._world = world

    def write(self, data: Any) -> int:
        """Write, unless this is the one that fails."""
        self._world.step()
        return cast("int", super().write(data))


def main() -> None:
    """Break the world as the command line says, and run the program in it."""
    what, n, *arguments = sys.argv[1:]
    problems = {"write": OSError(errno.ENOSPC, "No space left on device"), "read": ConnectionResetError(104, "reset")}
    world = World(int(n), problems[what])
    if what == "write":
        os.write = _counted(world, _real_write)
        for name, descriptor in (("stdout", 1), ("stderr", 2)):
            raw = io.BufferedWriter(Stream(descriptor, world))
            setattr(sys, name, io.TextIOWrapper(raw, encoding="utf-8", line_buffering=name == "stderr"))
    else:
        cast("Any", socket.socket).recv = _counted(world, _real_recv)
    os._exit = cast("Any", lambda status: _leave(world, status))
    sys.argv = ["fusion", *arguments]
    from fusion_cli.__main__ import main as run

    run()


def _counted(world: World, call: Callable[..., Any]) -> Callable[..., Any]:
    def counted(*args: Any) -> Any:
        # The event loop wakes itself over a pair of sockets of another family: that is no network.
        if not isinstance(args[0], socket.socket) or args[0].family == socket.AF_INET:
            world.step()
        return call(*args)

    return counted


def _leave(world: World, status: int) -> None:
    _real_write(2, b"\nbroken-world: " + (b"failed\n" if world.has_failed else b"intact\n"))
    _real_exit(status)


if __name__ == "__main__":
    main()
