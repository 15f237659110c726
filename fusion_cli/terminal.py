"""The process's three streams: what they are connected to, and the choke point for untrusted text.

Everything that a model, a server or a file wrote passes `clean` or a `Cleaner` on its way to a stream. Knows no run.
"""

import os
import re
import select
import stat
import sys
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn, TextIO, cast

from fusion_cli.errors import ClosedPipeError, FusionError, UsageError
from fusion_cli.paragraphs import in_lines

if TYPE_CHECKING:
    from io import TextIOWrapper

_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
# Patterns are compiled when they are first needed (`re` keeps them), as that takes as long as importing a module.
_SUSPECT = f"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff{_BIDI}]"
# A control string (OSC, DCS, SOS, PM, APC) is dropped whole when its end is near; one that never ends would otherwise
# take the rest of the answer with it, so then only its introducer goes.
_LONGEST_STRING = 4096
_SEQUENCE = rf"""(?x)
      (?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f]) [^\x07\x1b\x90\x98\x9c-\x9f]{{0,{_LONGEST_STRING}}}  # OSC and kin
        (?:\x07|\x1b\\|\x9c)
    | (?:\x1b\[|\x9b) [0-?]{{0,64}}[ -/]{{0,8}}[@-~]  # CSI
    | \x1b[\]PX^_]  # a string without an end
    | \x1b[ -/]{{0,8}}[0-~]  # other escapes
    | \r(?=\n) | [\x00-\x08\x0b-\x1f\x7f-\x9f]
    """
_UNFINISHED = rf"""(?x)(?:
      (?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f]) [^\x07\x1b\x90\x98\x9c-\x9f]{{0,{_LONGEST_STRING}}} \x1b?
    | (?:\x1b\[|\x9b) [0-?]{{0,64}}[ -/]{{0,8}}
    | \x1b[ -/]{{0,8}}
    )\Z"""
_VISIBLE = f"[\ud800-\udfff{_BIDI}]"


def _show(match: re.Match[str]) -> str:
    character = match[0]
    return "\ufffd" if "\ud800" <= character <= "\udfff" else f"<U+{ord(character):04X}>"


def clean(text: str) -> str:
    """Return `text` without terminal controls: C0 but tab and line feed, DEL, C1, escape sequences.

    Direction controls (bidi) are shown as `<U+202E>`, lone surrogates become U+FFFD.
    """
    if not re.search(_SUSPECT, text):
        return text
    return re.sub(_VISIBLE, _show, re.sub(_SEQUENCE, "", text))


def as_escapes(json_text: str) -> str:
    """Return JSON text that means the same and holds no control, bidi ones included; line feeds stand for lines."""
    controls = f"[\x7f-\x9f\ud800-\udfff{_BIDI}]"  # the others are escaped in any JSON
    return re.sub(controls, lambda match: f"\\u{ord(match[0]):04x}", json_text)


def one_line(text: str, limit: int = 200) -> str:
    """Return `text` cleaned, on one line, at most `limit` characters long."""
    line = " ".join(clean(text[: limit * 8]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def demand_output() -> None:
    """See to it that there is a standard output.

    Raises:
        UsageError: Whoever started us has closed it.
    """
    if sys.stdout is None:
        raise UsageError("standard output is closed: there is nowhere to put the answer")


class Cleaner:
    """Clean a text that arrives in pieces, an escape sequence split over two of them included."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """Return what can be shown now; the beginning of a sequence is held back."""
        text = self._held + piece
        self._held = ""
        if not re.search(_SUSPECT, text):
            return text
        if unfinished := re.search(_UNFINISHED, text):
            text, self._held = text[: unfinished.start()], unfinished[0]
        return clean(text)

    def end(self) -> str:
        """Return what was still held back, without its introducer."""
        held, self._held = self._held, ""
        return clean(held)


class Terminal:
    """Standard input, output and error, as this process has them.

    Attributes:
        has_written: Whether anything went to standard output.
        is_raw: Whether untrusted text is left as it is, where standard output is no terminal.
        is_quiet: Whether notes are kept back.
        undo: What takes back what was done to the screen, for an end at once.
        has_colour: Whether what goes to standard output may have escape codes for colour.
    """

    def __init__(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):  # closed, full, or a test's
                cast("TextIOWrapper", stream).reconfigure(
                    errors="replace"
                )  # a character that the locale lacks must not cost the answer
        self.has_written = False
        self.is_raw = False
        self.is_quiet = False
        self.undo = ""
        self.has_colour = False
        self._line_open = False
        self._is_unread = False

    @cached_property
    def stdout_is_tty(self) -> bool:
        """Whether a person reads the answer as it comes."""
        return _is_tty(sys.stdout)

    @cached_property
    def stderr_is_tty(self) -> bool:
        """Whether a person reads the notes."""
        return _is_tty(sys.stderr)

    def can_be_drawn_on(self, term: str) -> bool:
        """Tell whether standard output is a screen whose cursor can be moved.

        Args:
            term: What the environment says that it is (TERM).
        """
        if not self.stdout_is_tty or (os.name != "nt" and not term):
            return False
        try:
            import curses
        except ImportError:  # Windows, where a terminal of today can do it
            return term != "dumb"
        try:
            curses.setupterm(term, sys.stdout.fileno())
            return bool(curses.tigetstr("cuu1") and curses.tigetstr("el"))
        except (curses.error, TypeError, ValueError):  # nothing is known of it
            return False

    @property
    def is_ascii(self) -> bool:
        """Whether standard output's encoding has few characters beyond ASCII."""
        return not (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "").startswith("utf")

    @staticmethod
    def size() -> tuple[int, int]:
        """Return the screen's columns and lines as they are now."""
        try:
            columns, lines = os.get_terminal_size(sys.stdout.fileno())
        except (OSError, ValueError, AttributeError):
            columns = lines = 0
        return columns or 80, lines or 24

    @staticmethod
    def stdin_has_material() -> bool:
        """Whether standard input is a pipe, a socket or a file: something that was meant to be read."""
        try:
            mode = os.fstat(sys.stdin.fileno()).st_mode
        except (AttributeError, OSError, ValueError):  # closed, or replaced by a test
            return False
        return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISREG(mode)

    def write(self, text: str) -> None:
        """Write cleaned text to standard output at once.

        Raises:
            ClosedPipeError: Nobody reads it any more.
            UsageError: There is none.
            FusionError: It takes no more, as when a disk is full.
        """
        if not text:
            return
        demand_output()
        self.has_written = True
        if self._is_unread:  # whoever met the broken pipe first may have fallen silent
            raise ClosedPipeError("")
        try:
            _write_whole(sys.stdout, text)
        except BrokenPipeError:
            self._is_unread = True
            # What is still buffered has no reader: the interpreter must not trip over it at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise ClosedPipeError("") from None
        except OSError as error:
            raise FusionError(f"standard output: {error.strerror or error}") from None
        self._line_open = not text.endswith("\n")

    def draw(self, text: str) -> None:
        """Write what moves on the screen, escape codes and all; it leaves the cursor where a line begins."""
        self.write(text)
        self._line_open = False

    def write_line(self, text: str) -> None:
        """Write untrusted text to standard output, cleaned, with one line feed at its end."""
        safe = text if self.is_raw and not self.stdout_is_tty else clean(text)
        self.write(safe.rstrip("\n") + "\n")

    def write_json(self, value: object) -> None:
        """Write one JSON object; everything outside ASCII is escaped, controls included."""
        import json

        self.write(json.dumps(value, indent=2, allow_nan=False) + "\n")

    def end_line(self) -> None:
        """End an open line of standard output."""
        if self._line_open:
            self.write("\n")

    def note(self, text: str) -> None:
        """Write one line to standard error, unless notes are kept back; `text` must be clean."""
        if not self.is_quiet:
            self.insist(text)

    def insist(self, text: str) -> None:
        """Write one line to standard error, broken between words where a person reads it; `text` must be clean."""
        if self._line_open and self.stdout_is_tty and self.stderr_is_tty:
            self.end_line()
        if self.stderr_is_tty:
            text = _wrapped(text)
        try:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):  # nobody reads the notes; the answer goes on
            return

    def leave_at_once(self, status: int) -> NoReturn:
        """End the process without any clearing up but the screen's: what moves on it hides the cursor."""
        if self.stderr_is_tty:
            with suppress(OSError):
                os.write(2, self.undo.encode("ascii") + b"\x1b[?25h")
        os._exit(status)


def _wrapped(text: str) -> str:
    import shutil

    try:  # standard output may be a file, and as wide as nobody sees it
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError, AttributeError):
        columns = 0
    width = max(20, (columns or shutil.get_terminal_size().columns) - 1)
    return "\n".join(in_lines(text, width, further=" " * 8))


def _write_whole(stream: TextIO, text: str) -> None:
    """Write every byte: an unbuffered stream (PYTHONUNBUFFERED) may take a part, and say so in a count only."""
    buffer = getattr(stream, "buffer", None)
    if buffer is None:
        stream.write(text)
        return
    rest = memoryview(text.encode(stream.encoding, "replace"))
    while rest:
        try:
            rest = rest[buffer.write(rest) or 0 :]
            buffer.flush()
        except BlockingIOError as full:  # a pipe that its owner has set to non-blocking
            rest = rest[full.characters_written :]
            select.select([], [buffer], [], 1)


def _is_tty(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False
