"""Promises of decoder and assembly together: any split of any stream gives the same text, and no stream raises a bug.

The streams are made up, from fixed seeds: odd characters, odd dresses, junk between events and broken bytes.
"""

import json
import random
from typing import NamedTuple

import pytest

from fusion_cli.api import wire
from fusion_cli.api.sse import EventDecoder
from fusion_cli.chat import Completion, Delta
from fusion_cli.errors import ModelError

ODD = [
    "\u2028",
    "\u2029",
    "\x85",
    "\v",
    "\f",
    "\x1c",
    "\ufeff",
    "🥊",
    "é",
    "漢",
    '"',
    "\\",
    "\n",
    "\r",
    "\r\n",
    "data: ",
    ": ",
]
JUNK = [
    b": OPENROUTER PROCESSING",
    b":",
    b"event: message",
    b"id: 7\x00",
    b"retry",
    b"database: no",
    b"data: {broken",
    b'data: "text"',
    b"data: []",
    b'data: {"choices": null}',
    b'data: {"choices": []}',
    b'data: {"choices": [{"delta": null}]}',
    b'data: {"choices": [{"delta": {"content": null, "tool_calls": [7]}}], "usage": 7}',
]


class Said(NamedTuple):
    """What came of a stream."""

    completion: Completion | None
    error: str
    text: str
    reasoning: str
    skipped: int


def heard(pieces: list[bytes]) -> Said:
    """Return what a stream says that arrives in these pieces, and then ends."""
    decoder, assembly = EventDecoder(), wire.Assembly()
    deltas: list[Delta] = []
    error = ""
    try:
        for piece in pieces:
            assembly.read(decoder.feed(piece), deltas.append)
        assembly.read(decoder.end(), deltas.append)
    except ModelError as failure:
        error = f"{type(failure).__name__}: {failure}"
    text, reasoning = (
        ("".join(part) for part in zip(*[delta[:2] for delta in deltas], strict=True)) if deltas else ("", "")
    )
    assert text == assembly.text
    return Said(None if error else assembly.completion(1), error, text, reasoning, assembly.skipped)


def made_up_text(dice: random.Random) -> str:
    """Return a text of a few ordinary and odd characters."""
    return "".join(dice.choice([*ODD, "word ", "x"]) for _ in range(dice.randint(0, 6)))


def made_up(dice: random.Random) -> tuple[bytes, str]:
    """Return a stream as some server might send it, and the text in it."""
    end = dice.choice([b"\n", b"\r\n", b"\r"])
    blocks: list[bytes] = []
    text = ""
    for _ in range(dice.randint(1, 8)):
        while dice.random() < 0.3:
            blocks.append(dice.choice(JUNK) + end + end)
        said = made_up_text(dice)
        text += said
        delta = {"content": said, dice.choice(["reasoning", "x_future"]): made_up_text(dice)}
        chunk = {"choices": [{"delta": delta}], "model": "m"}
        data = json.dumps(chunk, ensure_ascii=dice.random() < 0.5, indent=dice.choice([None, None, 0])).encode()
        prefix = dice.choice([b"data:", b"data: "])
        blocks.append(b"".join(prefix + line + end for line in data.split(b"\n")) + end)
    blocks.append(dice.choice([b"data: [DONE]" + end + end, b"data: [DONE]", b""]))
    return dice.choice([b"", b"\xef\xbb\xbf"]) + b"".join(blocks), text


def split(dice: random.Random, stream: bytes) -> list[bytes]:
    """Return a stream in pieces, some of them empty."""
    cuts = sorted(dice.randint(0, len(stream)) for _ in range(dice.randint(1, 12)))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@pytest.mark.parametrize("seed", range(8))
def test_any_split_of_a_stream_says_the_same(seed: int) -> None:
    """Faults 30 and 31: of 150 streams each, the text is what was put in, whole, byte by byte and cut anywhere."""
    dice = random.Random(seed)  # noqa: S311 - reproducible, not secret
    for _ in range(150):
        stream, text = made_up(dice)
        whole = heard([stream])
        assert (whole.text, whole.error) == (text, ""), stream
        assert heard([stream[at : at + 1] for at in range(len(stream))]) == whole, stream
        for _ in range(5):
            pieces = split(dice, stream)
            assert heard(pieces) == whole, pieces


@pytest.mark.parametrize("seed", range(8))
def test_any_split_of_a_broken_stream_says_the_same(seed: int) -> None:
    """Fault 32: bytes that are changed, lost or doubled give the same in any split, and never a bug of ours."""
    dice = random.Random(1000 + seed)  # noqa: S311 - reproducible, not secret
    for _ in range(150):
        stream = bytearray(made_up(dice)[0])
        for _ in range(dice.randint(1, 6)):
            at = dice.randrange(len(stream))
            stream[at : at + dice.randint(0, 3)] = dice.choice(
                [b"", b"\xff", b"\xf0\x9f", b"\n", b"\r", b"\x00", b"}", b'"']
            )
            if not stream:
                break
        broken = bytes(stream)
        whole = heard([broken])
        assert heard([broken[at : at + 1] for at in range(len(broken))]) == whole, broken
        for _ in range(5):
            assert heard(split(dice, broken)) == whole, broken


def test_a_stream_of_noise_says_nothing() -> None:
    """Random bytes, with every line end among them, are no answer, and raise nothing."""
    dice = random.Random(7)  # noqa: S311 - reproducible, not secret
    for _ in range(200):
        noise = dice.randbytes(dice.randint(0, 3000))
        assert heard([noise]).text == ""
        assert heard(split(dice, noise)) == heard([noise])


def test_what_cannot_be_read_is_counted() -> None:
    """Events that are no JSON are missing from the text, and the completion says how many there were."""
    stream = b"".join(
        b"data: %b\n\n" % it for it in (b"{", b'{"choices": [{"delta": {"content": "a"}}]}', b"\xff", b"7")
    )
    said = heard([stream])
    assert said.completion is not None
    assert (said.completion.text, said.completion.skipped) == ("a", 3)
