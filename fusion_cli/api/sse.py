"""Server-sent events from bytes, split anywhere. Knows no JSON and no connection.

Lines end with CR, LF or CRLF and with nothing else: U+2028 and its kind may stand inside JSON strings.
"""

_BOM = b"\xef\xbb\xbf"

MAX_EVENT_BYTES = 4_000_000


class EventTooLargeError(ValueError):
    """A single event passed `MAX_EVENT_BYTES`."""


class EventDecoder:
    """Collect the `data` of each event; comments and other fields are passed over."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._started = False
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of the events that `chunk` completes.

        Raises:
            EventTooLargeError: An event does not end.
        """
        if len(self._rest) + len(chunk) + self._size > 2 * MAX_EVENT_BYTES:
            raise EventTooLargeError
        text = self._rest + chunk if self._rest else chunk
        if not self._started:
            if len(text) < len(_BOM) and _BOM.startswith(text):
                self._rest = text
                return []
            self._started = True
            text = text.removeprefix(_BOM)
        held = b""
        if b"\r" in text:
            if text.endswith(b"\r"):  # an LF may follow, and belong to it
                text, held = text[:-1], b"\r"
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = text.split(b"\n")
        self._rest = lines.pop() + held
        events = []
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
                self._size += len(line)
                if self._size > MAX_EVENT_BYTES:
                    raise EventTooLargeError
            elif not line and self._data:
                events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                self._data = []
                self._size = 0
        if len(self._rest) + self._size > MAX_EVENT_BYTES:
            raise EventTooLargeError
        return events

    def end(self) -> list[bytes]:
        """Return what a server that closed without the last blank line had said."""
        return [*self.feed(b"\n\n")] if self._rest or self._data else []
