"""A look at processes from outside, by what the kernel says of them (Linux only)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def children(pid: int) -> set[int]:
    """Return the process numbers of a process's living children."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text("utf-8").rpartition(")")[2].split()[:2]
        except OSError:  # it has ended since
            continue
        if int(parent) == pid and state != "Z":
            found.add(int(stat.parent.name))
    return found


def lives(pid: int) -> bool:
    """Say whether the process is there and not just waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: Callable[[], bool], limit_s: float = 10.0) -> None:
    """Return when the condition holds; fail after the limit."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
