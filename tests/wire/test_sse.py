"""Promises of `api.sse`: the same events however the bytes are cut, dressed and ended; and never an endless one."""

import itertools

import pytest

from fusion_cli.api.sse import MAX_EVENT_BYTES, EventDecoder, EventTooLargeError

BOM = b"\xef\xbb\xbf"

# Every rule of the format that a careless decoder trips over, in one stream of a few hundred bytes.
STREAM = (
    'data: {"a": "Zwölf 🥊"}\n\n'
    ": OPENROUTER PROCESSING\n\n"
    "event: message\nid: 7\nretry: 3000\nnameless\ndata:no space\n\n"
    "data: one\ndata:\ndata:  two\n\n"
    ":\n\n\n\n"
    'data: {"kept": "\u2028\u2029\u0085\v\f\x1c\x1d\x1e"}\n\n'
    "database: not data\n\n"
    "data: [DONE]\n\n"
).encode()
EVENTS = [
    '{"a": "Zwölf 🥊"}'.encode(),
    b"no space",
    b"one\n\n two",
    '{"kept": "\u2028\u2029\u0085\v\f\x1c\x1d\x1e"}'.encode(),
    b"[DONE]",
]


def decoded(*pieces: bytes) -> list[bytes]:
    """Return all events of a stream that arrives in these pieces, and then ends."""
    decoder = EventDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.end()


def dressed(line_end: bytes, *, bom: bool) -> bytes:
    """Return the stream with other line ends, and a byte order mark before it."""
    return (BOM if bom else b"") + STREAM.replace(b"\n", line_end)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("bom", [False, True], ids=["", "BOM"])
class TestHoweverItIsCut:
    """One stream, six dresses."""

    def test_in_two_at_every_offset(self, line_end: bytes, bom: bool) -> None:
        """A cut between any two bytes, an empty read among them, changes nothing."""
        stream = dressed(line_end, bom=bom)
        for at in range(len(stream) + 1):
            assert decoded(stream[:at], b"", stream[at:]) == EVENTS, f"cut at {at}: {stream[:at]!r}"

    def test_in_single_bytes(self, line_end: bytes, bom: bool) -> None:
        """One byte per packet changes nothing."""
        assert decoded(*(bytes([byte]) for byte in dressed(line_end, bom=bom))) == EVENTS

    @pytest.mark.parametrize("size", [2, 3, 5, 7, 64])
    def test_in_equal_pieces(self, line_end: bytes, bom: bool, size: int) -> None:
        """Packets of any size change nothing."""
        stream = dressed(line_end, bom=bom)
        assert decoded(*(stream[at : at + size] for at in range(0, len(stream), size))) == EVENTS


def test_an_event_is_there_as_soon_as_its_blank_line_is() -> None:
    """Text is shown when it arrives, not with the next event."""
    decoder = EventDecoder()
    assert decoder.feed(b"data: a\n") == []
    assert decoder.feed(b"\n") == [b"a"]
    assert decoder.feed(b"data: b\r\n\r\n") == [b"b"]
    assert decoder.feed(b"data: c\n\ndata: d\n\ndata") == [b"c", b"d"]


def test_mixed_line_ends_end_the_same_event_once() -> None:
    """A CR and the LF of the next packet are one line end, not a line and a blank one."""
    decoder = EventDecoder()
    assert decoder.feed(b"data: a\r") == []
    assert decoder.feed(b"\ndata: b\r") == []
    assert decoder.feed(b"\n\n") == [b"a\nb"]


def test_a_byte_order_mark_counts_only_at_the_start() -> None:
    """U+FEFF later in the stream is content of a field's name, as the specification has it."""
    assert decoded(BOM + b"data: a\n\n" + BOM + b"data: b\n\n") == [b"a"]
    assert decoded(b"data: " + BOM + b"\n\n") == [BOM]
    assert decoded(BOM[:2]) == []


@pytest.mark.parametrize("tail", [b"data: last", b"data: last\n", b"data: last\r", b"data: last\r\n"])
def test_a_stream_that_just_closes_loses_nothing(tail: bytes) -> None:
    """Servers that omit the last blank line have still said what they said."""
    assert decoded(b"data: a\n\n" + tail) == [b"a", b"last"]


def test_nothing_is_said_twice_at_the_end() -> None:
    """The end of a stream that ended properly brings no event."""
    decoder = EventDecoder()
    decoder.feed(b"data: a\n\n")
    assert decoder.end() == []
    assert decoder.end() == []


def test_every_short_stream_decodes_the_same_in_single_bytes() -> None:
    """All 3,906 streams of up to five of these tokens are the same in one piece and byte by byte."""
    tokens = [b"\r", b"\n", b"data:", b" ", b"x"]
    for length in range(6):
        for choice in itertools.product(tokens, repeat=length):
            stream = b"".join(choice)
            whole = decoded(stream)
            assert decoded(*(stream[at : at + 1] for at in range(len(stream)))) == whole, stream


@pytest.mark.parametrize(
    ("opening", "piece"),
    [(b"data: ", b"x" * 65536), (b"", b"data: " + b"x" * 65536 + b"\n"), (b": ", b"x" * 65536)],
    ids=["one line", "many data lines", "a comment"],
)
def test_an_event_without_an_end_is_refused(opening: bytes, piece: bytes) -> None:
    """Whatever it is made of, an event past the limit raises instead of filling the memory."""
    with pytest.raises(EventTooLargeError):
        decoded(opening, *[piece] * (MAX_EVENT_BYTES // 65536 + 2))


def test_an_oversized_event_in_one_piece_is_refused() -> None:
    """A decompressed read can hold a whole event of many megabytes: the limit holds for it as well."""
    with pytest.raises(EventTooLargeError):
        EventDecoder().feed(b"data: " + b"x" * (MAX_EVENT_BYTES + 1) + b"\n\n")


def test_events_within_the_limit_are_not_refused_for_their_sum() -> None:
    """The limit is for one event; a long stream is made of many."""
    decoder = EventDecoder()
    event = b"data: " + b"x" * (MAX_EVENT_BYTES // 4) + b"\n\n"
    assert sum(len(decoder.feed(event)) for _ in range(12)) == 12
