"""What is read before anything is asked: how large it may be, what it is called, and what is left unread."""

import io
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from fusion_cli import inputs
from fusion_cli.errors import UsageError
from fusion_cli.inputs import (
    MAX_BYTES,
    MAX_RESPONSE_BYTES,
    MAX_SAVED_BYTES,
    read_prompt,
    read_text,
    read_what_was_asked,
)
from fusion_cli.terminal import Terminal


class Noting(Terminal):
    """A terminal whose notes a test reads."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Keep one line."""
        self.notes.append(text)


def test_a_dash_among_the_files_is_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It stands where it was named, under that name, and it can be read once."""
    (tmp_path / "b.txt").write_text("the other")

    def asked(argument: str | None, *files: str) -> str:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"the one"), fileno=lambda: -1))
        return read_prompt(argument, files, Terminal()).text()

    text = asked("q", "-", str(tmp_path / "b.txt"))
    assert text.startswith("q")
    assert text.index("standard input") < text.index("the one") < text.index("b.txt") < text.index("the other")
    for argument, files in (("-", ["-"]), ("q", ["-", "-"])):
        with pytest.raises(UsageError, match="standard input can be read once"):
            asked(argument, *files)
    with pytest.raises(UsageError, match="there is no question") as refused:
        asked(None, "-")
    assert "-f - is material" in refused.value.hint


@pytest.mark.parametrize("limit", [MAX_BYTES, MAX_RESPONSE_BYTES])
def test_each_file_has_a_limit_of_its_own(tmp_path: Path, limit: int) -> None:
    """A file may be as large as what it is for; one byte more is refused with that size."""
    file = tmp_path / "long.txt"
    file.write_bytes(b"x" * limit)
    assert len(read_text(str(file), Terminal(), said="FILE", limit=limit)) == limit
    file.write_bytes(b"x" * (limit + 1))
    with pytest.raises(UsageError, match=rf"long\.txt is larger than {limit // 1_000_000} MB"):
        read_text(str(file), Terminal(), said="FILE", limit=limit)


def test_what_a_panel_can_write_can_be_judged() -> None:
    """A response as long as a model may write is read, and eight of them in one file are."""
    from fusion_cli.api.wire import MAX_TEXT_BYTES

    assert MAX_TEXT_BYTES <= MAX_RESPONSE_BYTES
    assert MAX_SAVED_BYTES >= MAX_RESPONSE_BYTES * 8


@pytest.mark.parametrize("said", ["FILE", "--request"])
def test_an_empty_file_name_is_refused_as_such(said: str) -> None:
    """An empty name, as of an unset variable, is not taken for the folder that it would be."""
    with pytest.raises(UsageError, match=rf"^{said}: expected the name of a file, found an empty one$"):
        read_text("", Terminal(), said=said)


def test_an_empty_name_is_said_before_standard_input_is_waited_for() -> None:
    """Of `-f` and `--prompt-file` an empty name is refused at once."""
    with pytest.raises(UsageError, match=r"^--file: expected the name of a file"):
        read_prompt("-", ["a.txt", ""], Terminal())
    with pytest.raises(UsageError, match=r"^--prompt-file: expected the name of a file"):
        read_what_was_asked(None, "", Terminal())


def test_whoever_reads_standard_input_says_that_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way to read standard input tells after a while what is waited for."""
    told = threading.Event()

    class Told(Terminal):
        def note(self, text: str) -> None:
            assert text == "fusion: reading standard input until it ends (Ctrl-D, or < /dev/null)"
            told.set()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            assert told.wait(10)
            return b"late"

    monkeypatch.setattr(inputs, "_SAY_WAITING_AFTER_S", 0.01)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Slow()))
    assert read_text("-", Told(), said="--request") == "late"
    told.clear()
    assert read_what_was_asked(None, "-", Told()) == "late"


@pytest.mark.parametrize(
    ("sent", "notes"), [(b"", []), (b"list", ["input   standard input is not read with --request FILE"])]
)
def test_what_is_left_on_standard_input_is_said_and_left(
    sent: bytes, notes: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Material that nobody reads is named, without waiting for it or taking it from who reads next."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe, os.fdopen(writing, "wb", buffering=0) as other_end:
        other_end.write(sent)
        monkeypatch.setattr(sys, "stdin", pipe)
        terminal = Noting()
        inputs.note_unread_stdin(terminal, "--request FILE")
        assert terminal.notes == notes
        other_end.close()
        assert pipe.read() == sent
    (tmp_path / "list").write_bytes(sent)
    with (tmp_path / "list").open("rb") as file:
        monkeypatch.setattr(sys, "stdin", file)
        terminal = Noting()
        inputs.note_unread_stdin(terminal, "--request FILE")
        assert terminal.notes == notes
        assert file.read() == sent


def test_a_closed_standard_input_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a standard input there is nothing to say of it."""
    monkeypatch.setattr(sys, "stdin", None)
    terminal = Noting()
    inputs.note_unread_stdin(terminal, "--request FILE")
    assert terminal.notes == []
