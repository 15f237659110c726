"""Promises of `terminal`: no untrusted text drives the screen, however it is cut; ordinary text is left alone."""

import io
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable

import pytest

from fusion_cli.terminal import Cleaner, Terminal, clean, one_line

# Each attack, and what may be seen of it. `B` after the attack must survive: no sequence swallows the answer.
ATTACKS = {
    "colour": ("A\x1b[31;1mB", "AB"),
    "clear screen": ("A\x1b[2J\x1b[HB", "AB"),
    "private mode": ("A\x1b[?1049hB", "AB"),
    "CSI with intermediates": ("A\x1b[1 qB", "AB"),
    "8-bit CSI": ("A\x9b31mB", "AB"),
    "CSI without an end": ("A\x1b[31\nB", "A31\nB"),
    "CSI into CSI": ("A\x1b[3\x1b[31mB", "A3B"),
    "title, BEL": ("A\x1b]0;title\x07B", "AB"),
    "title, ST": ("A\x1b]0;title\x1b\\B", "AB"),
    "title, 8-bit": ("A\x9d0;title\x9cB", "AB"),
    "link": ("A\x1b]8;;http://evil/\x1b\\here\x1b]8;;\x1b\\B", "AhereB"),
    "clipboard": ("A\x1b]52;c;ZXZpbA==\x07B", "AB"),
    "OSC without an end": ("A\x1b]0;title\nB", "A0;title\nB"),
    "OSC broken off by CSI": ("A\x1b]0;t\x1b[31mB", "A0;tB"),
    "OSC in OSC": ("A\x1b]0;\x1b]52;c;x\x07B", "A0;B"),
    "8-bit OSC without an end": ("A\x9d0;title\nB", "A0;title\nB"),
    "long OSC without an end": ("A\x1b]0;" + "x" * 5000 + "B", "A0;" + "x" * 5000 + "B"),
    "long OSC with an end": ("A\x1b]0;" + "x" * 5000 + "\x07B", "A0;" + "x" * 5000 + "B"),
    "DCS": ("A\x1bPq#0;2;0;0;0\x1b\\B", "AB"),
    "8-bit DCS": ("A\x90q\x9cB", "AB"),
    "SOS": ("A\x1bXx\x1b\\B", "AB"),
    "PM": ("A\x1b^x\x1b\\B", "AB"),
    "APC": ("A\x1b_Gf=100;x\x1b\\B", "AB"),
    "reset": ("A\x1bcB", "AB"),
    "charset": ("A\x1b(0B", "AB"),
    "save, restore": ("A\x1b7\x1b8B", "AB"),
    "a line up": ("A\x1bMB", "AB"),
    "8-bit line up": ("A\x8dB", "AB"),
    "ESC at the end": ("AB\x1b", "AB"),
    "CSI at the end": ("AB\x1b[", "AB"),
    "OSC at the end": ("AB\x1b]0;t", "AB0;t"),
    "ESC and ESC": ("A\x1b\x1b[31mB", "AB"),
    "ESC before a line feed": ("A\x1b\nB", "A\nB"),
    "made by removal": ("A\x1b\x07[31mB", "A[31mB"),
    "BEL": ("A\x07B", "AB"),
    "BS": ("A\x08\x08B", "AB"),
    "DEL": ("A\x7fB", "AB"),
    "NUL": ("A\x00B", "AB"),
    "SO, SI": ("A\x0e\x0fB", "AB"),
    "VT, FF": ("A\v\fB", "AB"),
    "CR overwrites": ("A\rB", "AB"),
    "CRLF": ("A\r\nB\r\r\n", "A\nB\n"),
    "NEL": ("A\x85B", "AB"),
    "bidi override": ("A\u202eB\u202c", "A<U+202E>B<U+202C>"),
    "bidi isolate": ("A\u2066B\u2069\u200f\u061c", "A<U+2066>B<U+2069><U+200F><U+061C>"),
    "half a character": ("A\ud83dB\udc4d", "A\ufffdB\ufffd"),
    "bidi in OSC": ("A\x1b]0;\u202e\x07B", "AB"),
}
ORDINARY = [
    "",
    "plain ASCII, with [red]markup[/] and *Markdown*",
    "tab\tand\nline feeds\n\n",
    "Zwölf Boxkämpfer, naïve café, e\u0301",
    "你好 世界, こんにちは, 안녕하세요",
    "עברית العربية, zero\u200cwidth\u200djoiner",
    "🥊 👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇩🇪",
    "line\u2028and paragraph\u2029, no-break\u00a0space, soft\u00adhyphen",
    "box ┌─┐ math ∑ private \ue000 astral \U0010fffd",
]
FORBIDDEN = {
    *(chr(code) for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"),
    *"\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
}


def is_safe(text: str) -> bool:
    """Tell whether nothing in a text can drive a terminal."""
    return FORBIDDEN.isdisjoint(text) and not any("\ud800" <= character <= "\udfff" for character in text)


def in_pieces(pieces: Iterable[str]) -> str:
    """Return what a Cleaner makes of a text that comes in these pieces."""
    cleaner = Cleaner()
    return "".join([*map(cleaner.feed, pieces), cleaner.end()])


@pytest.mark.parametrize(("attack", "seen"), ATTACKS.values(), ids=ATTACKS)
class TestAttack:
    """Each attack of the table."""

    def test_in_one_piece(self, attack: str, seen: str) -> None:
        """Nothing of the attack but harmless text is left, and what follows it is not lost."""
        assert clean(attack) == seen
        assert is_safe(seen)

    def test_split_over_deltas(self, attack: str, seen: str) -> None:
        """Cut at any place, or into single characters, an attack gets no further, and not one character differs."""
        end = len(attack)
        for at in range(end + 1) if end < 100 else (*range(9), *range(4080, 4110), *range(end - 9, end + 1)):
            assert in_pieces([attack[:at], "", attack[at:]]) == seen, f"cut at {at}"
        assert in_pieces(attack) == seen

    def test_on_one_line(self, attack: str, seen: str) -> None:
        """A note stays one line of at most its limit, whatever is in it."""
        line = one_line(attack)
        assert is_safe(line)
        assert "\n" not in line
        assert len(line) <= 200


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_left_alone(text: str) -> None:
    """What people write passes unchanged, whole and in any two pieces, and is not held back."""
    assert clean(text) == text
    for at in range(len(text) + 1):
        cleaner = Cleaner()
        assert (cleaner.feed(text[:at]), cleaner.feed(text[at:]), cleaner.end()) == (text[:at], text[at:], "")


def test_only_the_beginning_of_a_sequence_is_held_back() -> None:
    """Text before an unfinished sequence is shown at once; the sequence is not shown in parts."""
    cleaner = Cleaner()
    assert cleaner.feed("seen\x1b]8;;http") == "seen"
    assert cleaner.feed("://evil") == ""
    assert cleaner.feed("\x07on") == "on"
    assert cleaner.end() == ""


@pytest.mark.parametrize("opening", ["\x1b]", "\x9d", "\x1bP", "\x1b[", "\x9b", "\x1b", "\x1b("])
@pytest.mark.parametrize("filler", ["word ", "0", " ", ";"])
def test_no_sequence_keeps_the_answer_for_ever(opening: str, filler: str) -> None:
    """A sequence that never ends gives way: of 20,000 characters after it, all but the last few thousand are out."""
    cleaner = Cleaner()
    shown = cleaner.feed(opening) + "".join(cleaner.feed(filler) for _ in range(20_000 // len(filler)))
    assert len(shown) > 10_000
    assert is_safe(shown)


def hostile_texts(seed: int, count: int) -> Iterable[str]:
    """Yield texts made of controls, ends of sequences and letters, the same ones every time."""
    dice = random.Random(seed)  # noqa: S311 - reproducible, not secret
    atoms = [
        *FORBIDDEN,
        *"\x1b\x1b\x1b\x1b\x9b\x9d\x90\x9c\x07\\[]P^_X(;?0129mqHJK \tabc\n\r",
        "\ud83d",
        "\udc4d",
        "é",
        "🥊",
    ]
    for _ in range(count):
        yield "".join(dice.choices(atoms, k=dice.randint(1, 40)))


def test_nothing_random_gets_through() -> None:
    """Of 10,000 hostile texts none leaves a control behind, cleaning twice changes nothing, letters are kept."""
    for text in hostile_texts(1, 10_000):
        cleaned = clean(text)
        assert is_safe(cleaned), repr(text)
        assert clean(cleaned) == cleaned
        assert is_safe(one_line(text))


def test_no_cut_makes_a_difference() -> None:
    """1,000 hostile texts come out of the Cleaner, cut at every place, as they come out in one piece."""
    for text in hostile_texts(2, 1_000):
        cleaned = clean(text)
        assert in_pieces(text) == cleaned, repr(text)
        for at in range(len(text)):
            assert in_pieces([text[:at], text[at:]]) == cleaned, (text, at)


@pytest.mark.parametrize(
    "attack", ["\x1b]", "\x9d", "\x1b[", "\x1b[0", "\x1b ", "\x1b]0;", "\x90\x1b", "\x1b]\x9d", "\x9b0 "]
)
@pytest.mark.parametrize("way", [clean, lambda text: Cleaner().feed(text)], ids=["clean", "Cleaner"])
def test_cleaning_takes_linear_time(attack: str, way: Callable[[str], str]) -> None:
    """A megabyte of unfinished sequences takes a moment, and four times the text about four times as long."""

    def taken_s(size: int) -> float:
        text = attack * (size // len(attack))
        started = time.process_time()
        way(text)
        return time.process_time() - started

    small = min(taken_s(25_000), taken_s(25_000))
    assert small < 0.25, "25,000 characters must not take a quarter of a second"
    assert taken_s(100_000) < 12 * small + 0.05
    assert taken_s(1_000_000) < 3


@pytest.mark.parametrize("opening", ["\x1b[", "\x1b]", "\x1b", "\x9d"])
def test_a_sequence_that_drips_takes_linear_time(opening: str) -> None:
    """100,000 deltas of one character, after a sequence that never ends, are no burden."""
    cleaner = Cleaner()
    cleaner.feed(opening)
    started = time.process_time()
    for _ in range(100_000):
        cleaner.feed(" " if opening == "\x1b" else "0")
    assert time.process_time() - started < 2


def test_one_line_is_cut_to_its_limit() -> None:
    """A long text ends with an ellipsis within the limit; white space of any kind is one space."""
    assert one_line("a" * 300) == "a" * 199 + "…"
    assert one_line("a" * 10, 10) == "a" * 10
    assert one_line(" a\t\n\u2028 b\r\n") == "a b"
    started = time.process_time()
    assert one_line("\x1b]" * 5_000_000) == ""
    assert time.process_time() - started < 0.5


class TestStreams:
    """The terminal's own streams."""

    def test_json_is_ascii_without_controls(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Escape codes, bidi and halves of characters are escaped, and the value comes back whole."""
        value = {"answer": "\x1b[31m\x9b\u202e\ud83d é 🥊\x7f"}
        Terminal().write_json(value)
        written = capsys.readouterr().out
        assert written.isascii()
        assert "\\u001b" in written
        assert "\x1b" not in written
        assert json.loads(written) == value

    def test_json_holds_no_nan(self) -> None:
        """A number that JSON does not have is a bug here, not in whoever reads it."""
        with pytest.raises(ValueError, match="not JSON compliant"):
            Terminal().write_json(float("nan"))

    def test_a_line_is_cleaned_and_ended_once(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Untrusted text gets one line feed, whether it had none or several."""
        terminal = Terminal()
        for text in ("a\x1b[2J", "b\n", "c\r\n\n"):
            terminal.write_line(text)
        assert capsys.readouterr().out == "a\nb\nc\n"

    def test_an_open_line_is_ended_once(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The prompt of the shell starts on a line of its own, and no empty line is added."""
        terminal = Terminal()
        terminal.end_line()
        for text in ("a", "", "b\n"):
            terminal.write(text)
            terminal.end_line()
        assert capsys.readouterr().out == "a\nb\n"

    def test_closed_notes_do_not_cost_the_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With standard error closed, notes are lost and nothing else."""
        stream = io.StringIO()
        stream.close()
        monkeypatch.setattr(sys, "stderr", stream)
        Terminal().note("lost")

    def test_a_locale_without_the_character_does_not_cost_the_answer(self) -> None:
        """In a C locale what cannot be written becomes a question mark."""
        code = "from fusion_cli.terminal import Terminal as T; T().write('caf\\u00e9 \\U0001f94a\\n'); T().note('n')"
        environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True)
        assert (done.stdout.split(), done.stderr.split()) == ([b"caf?", b"?"], [b"n"])

    @pytest.mark.parametrize("size", [10, 1_000_000])
    def test_a_reader_that_left_ends_the_program_quietly(self, size: int) -> None:
        """A closed pipe is one error with the status of SIGPIPE, and nothing at the interpreter's end."""
        code = (
            "import sys; from fusion_cli.terminal import Terminal; from fusion_cli.errors import ClosedPipeError\n"
            "sys.stdin.read()\n"
            f"try: Terminal().write('x' * {size})\n"
            "except ClosedPipeError as error: sys.exit(error.exit_status)"
        )
        buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        with subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=buffered,
        ) as process:
            assert process.stdout is not None
            process.stdout.close()
            told = process.communicate()[1]
        assert (process.returncode, told) == (141, b"")

    @pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals")
    def test_notes_are_broken_between_words_where_they_are_read(self) -> None:
        """What is said on a narrow screen fits it and tears no word, also when the answer goes to a file."""
        import fcntl
        import pty
        import struct
        import termios

        said = "The embedded models are small, cannot look anything up, and are for trying the tool out."
        screen, end = pty.openpty()
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
        code = f"from fusion_cli.terminal import Terminal; Terminal().note({said!r})"
        subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=end, check=True)
        os.close(end)
        lines = os.read(screen, 1000).decode().splitlines()
        os.close(screen)
        assert max(map(len, lines)) < 40
        assert " ".join(line.strip() for line in lines) == said
