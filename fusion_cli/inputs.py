"""What the user asks: argument, standard input and files become one `Prompt`, or one clear error.

Knows no model. Nothing is sent before all of this has been read and found to be text.
"""

import base64
import os
import stat
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from fusion_cli import attachments, prompts
from fusion_cli.chat import Attachment
from fusion_cli.counts import count
from fusion_cli.errors import UsageError
from fusion_cli.plan import Prompt
from fusion_cli.terminal import Terminal, one_line

MAX_BYTES = 4_000_000
MAX_ATTACHMENT_BYTES = 20_000_000  # of an image or a PDF
MAX_ATTACHED_BYTES = 50_000_000  # of all of them
MAX_RESPONSE_BYTES = 8_000_000  # two million characters, as many as one model may write
MAX_SAVED_BYTES = 64_000_000  # a panel of such responses
_SAY_WAITING_AFTER_S = 2.0


def read_prompt(argument: str | None, files: Sequence[str], terminal: Terminal, command: str = "ask") -> Prompt:
    """Return the question and its material.

    Standard input is the question when the argument is `-` or missing, else material, as it is where a file is called
    `-`; a terminal is read for a `-` alone. What to do where there is none is said with the `command` that was called.

    Raises:
        UsageError: There is no question, or something is missing, too large or no text.
    """
    for name in files:
        _refuse_no_name(name, "--file")
    named = [argument, *files].count("-")
    if named > 1:
        raise UsageError("standard input can be read once: '-' stands twice", hint="Name a file for one of them.")
    piped = _read_stdin(terminal) if named or terminal.stdin_has_material() else None
    parts = []
    if argument is None or argument == "-":
        if piped is None or "-" in files:
            way = "as -f - is material." if "-" in files else "or pipe one in."
            raise UsageError("there is no question", hint=f'Try: fusion {command} "your question", {way}')
        question = piped
    else:
        question = _as_utf8(argument, "the question")
        if piped and piped.strip() and "-" not in files:
            terminal.note(f"input   standard input is material: {count(len(piped), 'character')}")
            parts.append(("standard input", piped))
    attached: list[Attachment] = []
    for name in files:
        found = (piped or "") if name == "-" else _read_material(name)
        if isinstance(found, Attachment):
            attached.append(found)
        else:
            parts.append(("standard input" if name == "-" else one_line(name), found))
    if not question.strip():
        raise UsageError("the question is empty", hint=f'Try: fusion {command} "your question"')
    if sum(len(text) for _, text in (*parts, ("", question))) > MAX_BYTES:
        raise UsageError(f"question and material together pass {MAX_BYTES // 1_000_000} MB")
    if sum(len(each.data) for each in attached) * 3 // 4 > MAX_ATTACHED_BYTES:
        raise UsageError(f"images and PDFs together pass {MAX_ATTACHED_BYTES // 1_000_000} MB")
    material = [part for part in (prompts.material(parts), attachments.named(attached)) if part]
    return Prompt(question.strip(), "\n\n".join(material), attachments=tuple(attached))


def read_text(name: str, terminal: Terminal, *, said: str, limit: int = MAX_BYTES) -> str:
    """Return a file's text, or standard input's for `-`.

    Args:
        name: The file's.
        terminal: Whom to tell what is waited for.
        said: What named the file, to begin an error about the name with.
        limit: How many bytes it may have.

    Raises:
        UsageError: It has no name, cannot be read, is too large, or is no text.
    """
    _refuse_no_name(name, said)
    return _read_stdin(terminal, limit) if name == "-" else _read_file(name, limit)


def read_what_was_asked(text: str | None, file: str | None, terminal: Terminal) -> str | None:
    """Return what `--prompt` says or the file of `--prompt-file` holds; None where neither was given.

    Raises:
        UsageError: Both were, or there is nothing in it.
    """
    if text is not None and file is not None:
        raise UsageError("--prompt and --prompt-file say the same thing in two ways: choose one")
    if text is None and file is None:
        return None
    asked = _as_utf8(text or "", "--prompt") if file is None else read_text(file, terminal, said="--prompt-file")
    if not asked.strip():
        raise UsageError("the prompt is empty", hint="Say what was asked with --prompt TEXT or --prompt-file FILE.")
    return asked.strip()


def note_unread_stdin(terminal: Terminal, said: str) -> None:
    """Tell that standard input is not read, where something is waiting there; `said` is why."""
    if _something_is_on_stdin():
        terminal.note(f"input   standard input is not read with {said}")


def _something_is_on_stdin() -> bool:
    """Tell it without reading, as it may be meant for somebody else: a shell's loop reads its list from there."""
    try:
        descriptor = sys.stdin.fileno()
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            return os.lseek(descriptor, 0, os.SEEK_CUR) < status.st_size
        if not (stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode)):
            return False
        import fcntl
        import termios

        return any(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))
    except (AttributeError, ImportError, OSError, ValueError):  # closed, replaced by a test, or Windows'
        return False


def _refuse_no_name(name: str, said: str) -> None:
    if not name:  # a folder's name, as the system reads it
        raise UsageError(f"{said}: expected the name of a file, found an empty one")


def _read_stdin(terminal: Terminal, limit: int = MAX_BYTES) -> str:
    waiting = threading.Timer(
        _SAY_WAITING_AFTER_S, terminal.note, ("fusion: reading standard input until it ends (Ctrl-D, or < /dev/null)",)
    )
    waiting.daemon = True
    waiting.start()
    try:
        return _decode(_stdin_bytes(limit), "standard input", limit)
    finally:
        waiting.cancel()


def _stdin_bytes(limit: int) -> bytes:
    if sys.stdin is None:
        raise UsageError("standard input is closed", hint="Name a file instead of -, or pipe something in.")
    try:
        return sys.stdin.buffer.read(limit + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"standard input cannot be read: {error}") from error


def _read_file(name: str, limit: int = MAX_BYTES) -> str:
    try:
        with Path(name).open("rb") as file:
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from error
    return _decode(data, one_line(name), limit)


def _read_material(name: str) -> str | Attachment:
    """Return a file's text, or an image or a PDF, as its first bytes say; whatever it is called."""
    try:
        with Path(name).open("rb") as file:
            beginning = file.read(attachments.MAGIC_BYTES)
            kind = attachments.media_type(beginning)
            limit = MAX_ATTACHMENT_BYTES if kind else MAX_BYTES
            data = beginning + file.read(limit + 1 - len(beginning))
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from error
    if kind is None:
        if b"\0" in data and len(data) <= limit:
            hint = "Beside text, PNG, JPEG, GIF and WebP images and PDFs can be attached."
            raise UsageError(f"{one_line(name)} is binary, not text", hint=hint)
        return _decode(data, one_line(name), limit)
    if len(data) > limit:
        raise UsageError(f"{one_line(name)} is larger than {limit // 1_000_000} MB")
    return Attachment(one_line(name), kind, base64.b64encode(data).decode())


def _unreadable(name: str, error: OSError | ValueError) -> UsageError:
    """Return what is said of a file that cannot be read; a `ValueError` is a NUL in its name."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return UsageError(f"{one_line(name)}: {reason}")


def _decode(data: bytes, name: str, limit: int) -> str:
    if len(data) > limit:
        raise UsageError(f"{name} is larger than {limit // 1_000_000} MB")
    if b"\0" in data:
        raise UsageError(f"{name} is binary, not text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8 text (byte {error.start})") from error


def _as_utf8(text: str, name: str) -> str:
    try:
        text = os.fsencode(text).decode()  # of a locale without Unicode Python takes each byte for half a character
    except UnicodeError:
        raise UsageError(f"{name} is not UTF-8 text") from None
    if "\0" in text:
        raise UsageError(f"{name} holds a NUL character")
    return text
