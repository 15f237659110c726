"""Asks a person on the terminal: a line, a choice of several, yes or no, a secret that is not shown.

Questions go to standard error. Ctrl-D ends the whole; Ctrl-C is the process's own matter. What was typed is never
repeated: it may be a key in the wrong place.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from fusion_cli.errors import FusionError, InterruptError, UsageError
from fusion_cli.paragraphs import in_lines

_MAX_CHARS = 10_000


class Dialogue:
    """A conversation with whoever sits at the terminal.

    Args:
        refusal: The one line for where nobody does.
        hint: What to do there instead.
    """

    def __init__(self, refusal: str, hint: str) -> None:
        self._refusal = refusal
        self._hint = hint

    def tell(self, text: str) -> None:
        """Say something in lines that fit; `text` must be clean."""
        import shutil

        width = max(20, shutil.get_terminal_size().columns - 1)
        hanging = " " * (5 if text.startswith(" ") else 2)
        lines = in_lines(text, width, further=hanging)
        sys.stderr.write("\n".join([*lines, ""]) or "\n")
        sys.stderr.flush()

    def ask(self, question: str, default: str = "", fits: Callable[[str], str] = lambda text: text) -> str:
        """Return a line, asked for until it fits.

        Args:
            question: Without a colon.
            default: What an empty line means.
            fits: Returns the text as it is wanted, or raises ValueError with what is expected of it.

        Raises:
            UsageError: There is no terminal.
            FusionError: Whoever was asked ended the conversation.
        """
        self._demand_terminal()
        while True:
            sys.stderr.write(f"{question} [{default}]: " if default else f"{question}: ")
            sys.stderr.flush()
            with self._on_a_new_line():
                line = sys.stdin.readline(_MAX_CHARS)
            if not line:
                self._end()
            try:
                return fits(line.strip() or default)
            except ValueError as error:
                self.tell(f"Expected {error}.")

    def choose(self, question: str, choices: Sequence[str], default: int = 0) -> int:
        """Return the index of one of several lines, each of which is numbered from 1."""
        self._demand_terminal()
        self.tell(f"{question}:")
        numbers = [str(number) for number in range(1, len(choices) + 1)]
        for number, choice in zip(numbers, choices, strict=True):
            self.tell(f"  {number}  {choice}")

        def fits(text: str) -> str:
            if text not in numbers:
                raise ValueError(f"a number from 1 to {len(numbers)}")
            return text

        return int(self.ask("Number", numbers[default], fits)) - 1

    def agrees(self, question: str, *, default: bool) -> bool:
        """Return whether the answer is yes."""

        def fits(text: str) -> str:
            if text.lower() not in ("y", "yes", "n", "no"):
                raise ValueError("y or n")
            return text.lower()

        return self.ask(f"{question} (y/n)", "y" if default else "n", fits).startswith("y")

    def ask_secret(self, question: str) -> str:
        """Return a line that is not shown as it is typed; empty where nothing was.

        Raises:
            UsageError: There is no terminal, or its echo cannot be switched off.
            FusionError: Whoever was asked ended the conversation.
        """
        import getpass
        import warnings

        self._demand_terminal()
        try:
            with self._on_a_new_line(), warnings.catch_warnings():
                warnings.simplefilter("error", getpass.GetPassWarning)  # it would go on and show what is typed
                return getpass.getpass(f"{question}: ", stream=None).strip()
        except getpass.GetPassWarning:
            raise UsageError("this terminal cannot hide what is typed", hint=self._hint) from None
        except EOFError:
            self._end()

    @contextmanager
    def _on_a_new_line(self) -> Iterator[None]:
        """Let what is said of a signal not stand behind the question."""
        try:
            yield
        except InterruptError:
            self.tell("")
            raise

    def _demand_terminal(self) -> None:
        if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr)):
            raise UsageError(self._refusal, hint=self._hint)

    def _end(self) -> NoReturn:
        self.tell("")
        raise FusionError("ended before it was finished: nothing was changed")
