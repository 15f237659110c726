"""Obtains a provider's key: from its variable, else from a file that is the user's alone, else from a command.

A command is run when its provider is about to be asked, and once. What it prints is never shown, nor is what a file
holds. Knows no request and no model.
"""

from __future__ import annotations

import os
import signal
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fusion_cli.errors import ConfigError, CredentialError, UnreachableError
from fusion_cli.providers import Provider, fits_header
from fusion_cli.values import printable, shown

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

_MAX_BYTES = 10_000
_PATIENCE_S = 60.0
_CLEARS_UP_S = 0.2
_SAY_WAITING_AFTER_S = 1.0
_UNFIT = "a character that cannot stand in a header"
_KEYS: dict[Provider, str | None] = {}  # so that a password is asked for once


def obtain_key(
    provider: Provider, tell: Callable[[str], None] | None = None, within_s: float | None = None
) -> str | None:
    """Return the key to send to a provider, fit for a header, or None where it has none.

    Args:
        provider: Whose key it is.
        tell: Told of a command that takes long.
        within_s: How long one may take at most, in seconds.

    Raises:
        ConfigError: Its file cannot be used.
        CredentialError: Its command failed, or printed no key.
        UnreachableError: Its command has not ended in that time.
    """
    if provider not in _KEYS:
        _KEYS[provider] = _obtained(provider, tell, within_s)
    return _KEYS[provider]


def _obtained(provider: Provider, tell: Callable[[str], None] | None, within_s: float | None) -> str | None:
    if provider.api_key:
        return provider.api_key
    if provider.api_key_file:
        return read_key_file(provider.api_key_file, f"providers.{shown(provider.name)}.api_key_file")
    if provider.api_key_command:
        try:
            return ask_key_command(provider.api_key_command, shown(provider.name), tell=tell, within_s=within_s)
        except CredentialError as error:
            error.hint = f"providers.{shown(provider.name)}.api_key_command says what is run: try it by hand."
            raise
    return None


def read_key_file(name: str, said: str) -> str:
    """Return the key in a file's first line.

    Args:
        name: The file's; ~ may stand for the home folder.
        said: What names the file, to begin an error with.

    Raises:
        ConfigError: There is no such file, others can read it, or there is no key in it.
    """
    try:
        path = Path(name).expanduser()
        data = _read_private(path, said)
    except RuntimeError:
        raise ConfigError(f"{said}: expected a path, found ~ for a home folder that is not known") from None
    except OSError as error:
        where = printable(str(path))
        raise ConfigError(f"{said}: expected a readable file, found: {where}: {error.strerror}") from None
    key = _first_line(data)
    if not key or not fits_header(key):
        found = _UNFIT if key else "nothing"
        raise ConfigError(f"{said}: expected a key in the first line of {printable(str(path))}, found {found}")
    return key


def _read_private(path: Path, said: str) -> bytes:
    # What is open is looked at, so that it cannot be exchanged in between; a pipe would wait for its writer.
    with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode):
            raise ConfigError(f"{said}: expected a regular file, found something else: {printable(str(path))}")
        if os.name != "nt" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            import shlex

            mend = f"chmod 600 {printable(shlex.quote(str(path)))}"
            raise ConfigError(f"{said}: expected a file that nobody else may read, found another: {mend}")
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{said}: expected a key, found more than {_MAX_BYTES} bytes: {printable(str(path))}")
    return data


def ask_key_command(
    command: str,
    name: str,
    *,
    tell: Callable[[str], None] | None = None,
    within_s: float | None = None,
    patience_s: float = _PATIENCE_S,
) -> str:
    """Return the key in the first line that a command prints.

    It has our standard input and error output, so that it can ask for a password.

    Args:
        command: A command line; no shell reads it.
        name: The provider's, for messages.
        tell: Told what is waited for, where that takes long.
        within_s: What the run's deadline leaves to it, in seconds.
        patience_s: How long it may take, in seconds.

    Raises:
        CredentialError: It cannot be run, fails, takes too long, or prints no key.
        UnreachableError: It has not ended by the deadline.
    """
    import shlex
    from threading import Timer

    words = shlex.split(command, posix=os.name != "nt")
    said = f"no key for {name}: {shown(words[0])}"
    is_short = within_s is not None and within_s < patience_s
    waiting = Timer(
        _SAY_WAITING_AFTER_S,
        tell or (lambda _: None),
        (f"fusion: waiting for the key of {name}, which {shown(words[0])} is to print (Ctrl-C ends it)",),
    )
    waiting.daemon = True
    waiting.start()
    try:
        data = _output(words, said, within_s if is_short and within_s is not None else patience_s)
    except TimeoutError:
        if is_short:
            raise UnreachableError(f"{said} did not end before the run's deadline") from None
        raise CredentialError(f"{said} did not end within {patience_s:g} s") from None
    finally:
        waiting.cancel()
    if len(data) > _MAX_BYTES:
        raise CredentialError(f"{said} printed more than {_MAX_BYTES} bytes, which is no key")
    key = _first_line(data)
    if not key:
        raise CredentialError(f"{said} printed nothing in its first line")
    if not fits_header(key):
        raise CredentialError(f"{said} printed {_UNFIT}")
    return key


def _output(words: list[str], said: str, patience_s: float) -> bytes:
    """Return what a command prints, up to a little more than a key can have."""
    import subprocess
    from threading import Event, Thread
    from time import monotonic

    deadline = monotonic() + patience_s
    with _mode_kept() as has_terminal:
        # With a group of its own, what it has started ends with it; but before a terminal that group would be in the
        # background, and be stopped when it asks for a password.
        group = None if has_terminal or os.name == "nt" else 0
        try:
            process = subprocess.Popen(words, stdout=subprocess.PIPE, process_group=group)  # noqa: S603  # the user's own
        except OSError as error:
            raise CredentialError(f"{said} cannot be started: {error.strerror}") from None
        pipe, read, has_ended = process.stdout, [b""], Event()
        assert pipe is not None  # noqa: S101  # it was asked for

        def read_to_the_end() -> None:
            read[0] = pipe.read(_MAX_BYTES + 1)
            has_ended.set()

        # In a thread, as a child of the command may hold the pipe open for ever, and Windows cannot wait for pipes.
        reader = Thread(target=read_to_the_end, daemon=True)
        reader.start()
        try:
            has_ended.wait(patience_s)
            if len(read[0]) > _MAX_BYTES:
                return read[0]
            status = process.wait(max(0.0, deadline - monotonic())) if has_ended.is_set() else None
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _end(process, has_group=group is not None)
            # The thread is not asked: a `join` that a signal breaks off takes it for ended, and `close` waits for it.
            if has_ended.wait(_CLEARS_UP_S):
                pipe.close()
    if status is None:
        raise TimeoutError
    if status:
        raise CredentialError(f"{said} ended with status {status}")
    return read[0]


def _end(process: subprocess.Popen[bytes], *, has_group: bool) -> None:
    """End what has not ended by itself, after a moment in which it can clear up."""
    import subprocess

    if process.returncode is not None:
        return
    send = (lambda signum: os.killpg(process.pid, signum)) if has_group else process.send_signal
    with suppress(ProcessLookupError):
        send(signal.SIGTERM)
        try:
            process.wait(_CLEARS_UP_S)
        except subprocess.TimeoutExpired:
            send(getattr(signal, "SIGKILL", signal.SIGTERM))
    process.wait()


@contextmanager
def _mode_kept() -> Iterator[bool]:
    """Put the terminal's mode back in the end, as what is cut off at a password leaves it without echo.

    Yields:
        Whether there is a terminal at which a command can ask.
    """
    try:
        import termios
    except ImportError:  # Windows, where the mode is none of the terminal's
        yield True
        return
    try:
        own = terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        own = -1
        terminal = next((stream for stream in (0, 2) if os.isatty(stream)), -1)
    before = termios.tcgetattr(terminal) if terminal >= 0 else None
    try:
        yield before is not None
    finally:
        with suppress(termios.error, OSError):  # it has gone
            # Who is in the background would be stopped for it, and cannot have asked for anything.
            if before and termios.tcgetattr(terminal) != before and os.tcgetpgrp(terminal) == os.getpgrp():
                termios.tcsetattr(terminal, termios.TCSAFLUSH, before)  # half a password is not for the shell
        if own >= 0:
            os.close(own)


def _first_line(data: bytes) -> str:
    """Return the first line without white space around it; what is no text holds what fits no header."""
    text = data.decode("utf-8-sig", "replace")
    return text.partition("\n")[0].strip()
