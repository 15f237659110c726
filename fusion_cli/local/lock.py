"""One process at a time: a lock on a file that ends with the process that holds it.

Owns the difference between POSIX and Windows locks; does not know what is being guarded.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

POLL_S = 0.1


@contextmanager
def held(path: Path, on_wait: Callable[[], None], check: Callable[[], None]) -> Iterator[None]:
    """Hold the lock on `path` inside the `with` block, waiting for it by polling: signals get through.

    The file itself stays: removing it would let two processes lock two files of one name.

    Args:
        path: The lock file; made when it is not there.
        on_wait: Called once, when somebody else holds the lock.
        check: Called before each further try; raises to give up.

    Raises:
        OSError: The file cannot be made.
    """
    with path.open("a+b") as file:
        waited = False
        while not _taken(file):
            if not waited:
                on_wait()
                waited = True
            check()
            time.sleep(POLL_S)
        try:
            yield
        finally:
            _release(file)


if sys.platform == "win32":
    import msvcrt

    def _taken(file: IO[bytes]) -> bool:
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _release(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _taken(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _release(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
