"""Files that are there whole or not at all: written beside the place that they take, with its permissions.

Knows no form and no run. What is no regular file is written to as it is, and what takes nothing is not replaced.
"""

from __future__ import annotations

import os
import stat
from typing import IO, TYPE_CHECKING

from fusion_cli.errors import FusionError, UsageError
from fusion_cli.terminal import one_line

if TYPE_CHECKING:
    from pathlib import Path

NO_FILE = (OSError, ValueError, RuntimeError)  # a name with NUL is a ValueError, a link to itself a RuntimeError


def try_out(target: Path) -> None:
    """See to it that a file can be written; what is there is not touched.

    Raises:
        OSError: It cannot; what `NO_FILE` has beside that are names that can be none.
    """
    _refuse_read_only(target)
    handle, temporary = _temporary(target.resolve())
    os.close(handle)
    temporary.unlink()


def write_out(target: Path, data: bytes | IO[bytes], *, force: bool = True) -> None:
    """Write a file whole or not at all, with the permissions that a new file has, or that it had before.

    Args:
        target: The file; a device or a pipe is written to as it is.
        data: What goes in, or a file from which it is copied to its end.
        force: Whether one that is there may be replaced.

    Raises:
        UsageError: It is there already, without `force`, or is a folder.
        FusionError: It cannot be written.
    """
    where = one_line(str(target), 200)
    temporary = None
    try:
        if target.is_dir():
            raise UsageError(f"{where} is a folder")
        if is_special(target):
            with target.open("wb") as file:
                _fill(file, data)
            return
        if target.exists() and not force:
            raise FileExistsError
        _refuse_read_only(target)
        real = target.resolve()
        handle, temporary = _temporary(real)
        with os.fdopen(handle, "wb") as file:
            _fill(file, data)
            file.flush()
            os.fsync(file.fileno())
        if real.exists():
            temporary.chmod(stat.S_IMODE(real.stat().st_mode))
        if force:
            temporary.replace(real)
        else:
            _put(temporary, real)
    except FileExistsError:
        raise UsageError(f"{where} is there already", hint="--force overwrites it.") from None
    except NO_FILE as error:
        raise FusionError(f"{where} cannot be written: {why(error)}") from None
    finally:
        if temporary:
            temporary.unlink(missing_ok=True)


def are_one(one: Path, other: Path) -> bool:
    """Tell whether two names lead to one file, there or not: by another way, or over a link."""
    if one.absolute() == other.absolute():
        return True
    try:
        if is_special(one):  # a terminal may well be written to under two names
            return False
        return os.path.realpath(one) == os.path.realpath(other) or one.samefile(other)
    except (OSError, ValueError):  # what is not there yet has no second name, and what cannot be a name none at all
        return False


def is_standard_input(path: Path) -> bool:
    """Tell whether a file is the one that is read as standard input."""
    try:
        return os.path.samestat(os.fstat(0), path.stat())
    except OSError:
        return False


def is_special(path: Path) -> bool:
    """Tell whether this is there, and neither file nor link to one: a device must not be replaced by a file."""
    return path.exists() and not path.is_file()


def _fill(file: IO[bytes], data: bytes | IO[bytes]) -> None:
    if isinstance(data, bytes):
        file.write(data)
    else:
        from shutil import copyfileobj  # with all that it can pack and unpack, which few wait for

        copyfileobj(data, file)


def _refuse_read_only(path: Path) -> None:
    """Raise an OSError if a file is there and takes nothing from us: its folder alone would let us replace it."""
    if path.exists():
        os.close(os.open(path, os.O_WRONLY | getattr(os, "O_CLOEXEC", 0)))


def _temporary(target: Path) -> tuple[int, Path]:
    """Open a new file beside another one; unlike `tempfile`'s, it has the permissions that the umask leaves."""
    temporary = target.parent / f".{target.name[:100]}.{os.urandom(4).hex()}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    return os.open(temporary, flags, 0o666), temporary


def _put(temporary: Path, target: Path) -> None:
    """Give a file its name, unless that is taken; between a look and a rename somebody else could take it."""
    try:
        target.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if target.exists():
            raise FileExistsError from None
        temporary.replace(target)


def why(error: Exception) -> str:
    """Return what is wrong with a file, for people."""
    return (error.strerror if isinstance(error, OSError) else None) or one_line(str(error))
