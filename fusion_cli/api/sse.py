"""Server-sent events from bytes, split anywhere. Knows no JSON and no connection.

Lines end with CR, LF or CRLF and with nothing else: U+2028 and its kind may stand inside JSON strings.
"""

_BOM = b"\xef\xbb\xbf"

MAX_EVENT_BYTES = 3_000_000


class EventTooLargeError(ValueError):
    """A single event passed `MAX_EVENT_BYTES`.

    Attributes:
        events: The data of the events that the same bytes completed before it.
        beginning: The first bytes of its own data.
    """

    def __init__(self, events: list[bytes], beginning: bytes) -> None:
        super().__init__("an event is too large")
        self.events = events
        self.beginning = beginning


class EventDecoder:
    """Collect the `data` of each event; comments and other fields are passed over."""

    def __init__(self) -> None:
        self._started = False
        self._after_cr = False
        # Grown in place: a line of megabytes that comes byte by byte must cost neither a copy nor an object a byte.
        self._rest = bytearray()
        self._data: bytes | bytearray | None = None

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of the events that `chunk` completes.

        Raises:
            EventTooLargeError: An event does not end; nothing may be fed after that.
        """
        if not self._started:
            chunk = bytes(self._rest) + chunk
            self._rest.clear()
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                self._rest += chunk
                return []
            self._started = True
            chunk = chunk.removeprefix(_BOM)
        if self._after_cr and chunk:  # an LF belongs to the CR before it
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\n" not in chunk and b"\r" not in chunk:
            self._rest += chunk
            self._check_size([])
            return []
        if self._rest:
            chunk = bytes(self._rest) + chunk
            self._rest.clear()
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = chunk.split(b"\n")
        self._rest += lines.pop()
        events: list[bytes] = []
        for line in lines:
            if line.startswith(b"data:"):
                self._add(line[6:] if line.startswith(b"data: ") else line[5:])
                if len(self._data or b"") > MAX_EVENT_BYTES:
                    self._check_size(events)
            elif not line and self._data is not None:
                events.append(bytes(self._data))
                self._data = None
        self._check_size(events)
        return events

    def end(self) -> list[bytes]:
        """Return what a server that closed without the last blank line had said.

        Raises:
            EventTooLargeError: It was too large, after all.
        """
        return self.feed(b"\n\n") if self._rest or self._data is not None else []

    def _add(self, data: bytes) -> None:
        if self._data is None:
            self._data = data
            return
        if isinstance(self._data, bytes):
            self._data = bytearray(self._data)
        self._data += b"\n"
        self._data += data

    def _check_size(self, events: list[bytes]) -> None:
        if len(self._rest) + len(self._data or b"") <= MAX_EVENT_BYTES:
            return
        if self._rest.startswith(b"data:"):
            self._add(bytes(self._rest[5:]).removeprefix(b" "))
        raise EventTooLargeError(events, bytes(self._data or b"")[:MAX_EVENT_BYTES])
