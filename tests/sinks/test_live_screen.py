"""Promises of `sinks.live.screen`: the record is whole whatever moves below it, and the end leaves no trace."""

from itertools import pairwise

import pytest

from fusion_cli.sinks.live.screen import Screen
from tests.emulator import Emulator


class Drawn:
    """A screen on an emulator, which counts what is sent."""

    def __init__(self, columns: int = 20, lines: int = 8) -> None:
        self.emulator = Emulator(columns, lines)
        self.sent = 0
        self.screen = Screen(self.feed, lambda: (self.emulator.columns, self.emulator.lines))

    def feed(self, text: str) -> None:
        """Take what is sent."""
        self.sent += len(text)
        self.emulator.feed(text)

    def show(self, record: str, *frame: str, apart: bool = False) -> str:
        """Show something, and return all that can be seen."""
        self.screen.show(record, [(line, line) for line in frame], apart=apart)
        return self.emulator.text


def test_a_frame_is_drawn_over_itself() -> None:
    """It changes, grows and shrinks below the record, and is gone in the end."""
    drawn = Drawn()
    assert drawn.show("one\n", "a", "b") == "one\na\nb"
    assert drawn.show("", "a", "c") == "one\na\nc"
    assert drawn.show("two\n", "a", "b", "c") == "one\ntwo\na\nb\nc"
    assert drawn.show("", "d") == "one\ntwo\nd"
    assert not drawn.emulator.shows_cursor
    drawn.screen.close()
    assert drawn.emulator.text == "one\ntwo"
    assert drawn.emulator.shows_cursor
    assert drawn.emulator.wraps


def test_the_record_is_longer_than_the_screen() -> None:
    """What scrolls away is as it was printed."""
    drawn = Drawn()
    for number in range(50):
        drawn.show(f"line {number}\n", *("frame",) * (number % 6))
    drawn.screen.close()
    assert drawn.emulator.text == "\n".join(f"line {number}" for number in range(50))


def test_what_has_not_changed_is_not_sent() -> None:
    """The same frame costs nothing, and one changed line is one line."""
    drawn = Drawn()
    drawn.show("", "a" * 19, "b" * 19, "c" * 19)
    before = drawn.sent
    drawn.show("", "a" * 19, "b" * 19, "c" * 19)
    assert drawn.sent == before
    drawn.show("", "a" * 19, "x" * 19, "c" * 19)
    assert drawn.sent - before < 50
    assert drawn.emulator.text == "\n".join(letter * 19 for letter in "axc")


def test_a_line_that_is_wider_than_was_thought_stays_one_line() -> None:
    """A sign that the terminal draws wider is cut at the edge and moves nothing."""
    drawn = Drawn()
    drawn.screen.show("", [("x" * 25, "x" * 19)])
    assert drawn.show("", "y") == "y"


def test_a_line_that_is_wider_than_the_screen_takes_one_row() -> None:
    """It is cut at the edge, and going back over it takes nothing of the record."""
    drawn = Drawn(columns=10)
    drawn.show("one\n", "x" * 25)
    assert drawn.show("two\n", "y" * 25) == "one\ntwo\n" + "y" * 10


@pytest.mark.parametrize("sizes", [[(40, 10), (15, 10)], [(40, 10), (33, 10), (21, 8), (40, 12)], [(20, 8), (80, 30)]])
def test_a_change_of_size_leaves_no_piece_of_a_frame(sizes: list[tuple[int, int]]) -> None:
    """The terminal breaks the lines that stand there; they are taken away all the same."""
    drawn = Drawn(*sizes[0])
    drawn.show("record\n", "short", "x" * (sizes[0][0] - 1))
    for before, size in pairwise(sizes):
        drawn.emulator.resize(*size)
        drawn.show("", "short", "y" * (min(size[0], before[0]) - 1))
    drawn.screen.close()
    assert drawn.emulator.text == "record"


def test_what_is_tall_stands_apart() -> None:
    """The other screen takes a frame that fills it, at every size, and the record is untouched."""
    drawn = Drawn(30, 8)
    drawn.show("one\n", "small")
    drawn.show("", *("z" * 29,) * 7, apart=True)
    assert drawn.emulator.is_apart
    for columns, lines in ((12, 5), (50, 20), (9, 4)):
        drawn.emulator.resize(columns, lines)
        text = drawn.show("", *("w" * (columns - 1),) * (lines - 2), apart=True)
        assert text == "\n".join(("w" * (columns - 1),) * (lines - 2))
    assert drawn.show("two\n", "small") == "one\ntwo\nsmall"
    drawn.screen.close()
    assert drawn.emulator.text == "one\ntwo"
    assert not drawn.emulator.is_apart


def test_the_end_comes_while_the_frame_is_apart() -> None:
    """Closing turns back to the record."""
    drawn = Drawn()
    drawn.show("", "a", "b", apart=True)
    drawn.screen.close()
    assert (drawn.emulator.text, drawn.emulator.is_apart, drawn.emulator.shows_cursor) == ("", False, True)
