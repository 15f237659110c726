"""What the test server is asked and what it says: requests, replies and faults, as data.

Knows the vocabulary of the wire, but neither its bytes (`server_encode`) nor any socket (`server_http`).
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["panel", "judge", "outer"]
FaultKind = Literal["close", "reset", "end", "stall", "comments", "error"]
Outcome = Literal["open", "complete", "cut", "client_closed"]

DEPTH_HEADER = "x-openrouter-fusion-depth"
JUDGES_TASK = "You are the judge"


@dataclass(slots=True)
class Request:
    """One recorded request; the server updates `outcome` and `ended_s` while the reply is under way.

    Attributes:
        connection: Which TCP connection carried it, counted from 1.
        head: The request line and headers, as they came.
        headers: By lower-case name; of a repeated one, the last.
        body: The parsed JSON, or None.
        received_s: When its first bytes arrived, on `time.monotonic`, which all processes of a machine share.
        outcome: "complete" when the whole reply was sent, "cut" when a fault ended it, "client_closed" when
            the client went away before the end.
    """

    connection: int
    head: bytes
    method: str
    path: str
    headers: dict[str, str]
    raw_body: bytes
    body: Any
    received_s: float
    outcome: Outcome = "open"
    ended_s: float | None = None

    @property
    def client_closed(self) -> bool:
        """Whether the client went away before the reply's end."""
        return self.outcome == "client_closed"

    @property
    def model(self) -> str:
        """The slug asked for, or an empty string."""
        return str(self.body.get("model", "")) if isinstance(self.body, dict) else ""

    @property
    def streams(self) -> bool:
        """Whether the client asked for server-sent events."""
        return isinstance(self.body, dict) and self.body.get("stream") is True

    @property
    def role(self) -> Role:
        """Who is asked: the outer model has no depth header, and a judge is told that it is one."""
        if self.headers.get(DEPTH_HEADER, "0") == "0":
            return "outer"
        return "judge" if any(JUDGES_TASK in text for text in self.texts) else "panel"

    @property
    def texts(self) -> list[str]:
        """What the messages say, each message's text in order."""
        messages = self.body.get("messages") if isinstance(self.body, dict) else None
        contents = [it.get("content") for it in messages or [] if isinstance(it, dict)]
        return [content for content in contents if isinstance(content, str)]

    def end(self, outcome: Outcome) -> None:
        """Note how the reply ended; the first word stands."""
        if self.outcome == "open":
            self.outcome = outcome
            self.ended_s = time.monotonic()


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function tool; `arguments` is JSON text, or whatever a careless model would write."""

    name: str
    arguments: str
    id: str = "call_0"


@dataclass(frozen=True, slots=True)
class Fault:
    """How a reply goes wrong, once `after` chunks of it have been sent (None: before the headers).

    Attributes:
        kind: "close" is a FIN and "reset" a RST in the middle of the body; "end" a body that ends properly
            but too early; "stall" silence until the client leaves; "comments" keep-alive comments until
            then; "error" a chunk with `error` and `finish_reason: "error"`.
        code: The error chunk's code, which upstream gives as a number or as a name.
        every_s: The time between two comments.
    """

    kind: FaultKind
    after: int | None = 0
    code: int | str = 502
    message: str = "Provider disconnected unexpectedly"
    every_s: float = 0.02


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply; the fields are independent of each other, so that faults and shapes can be combined.

    A chunk is one event that carries reasoning, text, or a fragment of a tool call. In any text, U+DC80 to
    U+DCFF stand for the raw bytes 0x80 to 0xFF, so that invalid UTF-8 can be sent; other lone surrogates go
    out as JSON escapes.

    Attributes:
        finish_reason: "auto" is "tool_calls" or "stop"; None never finishes.
        usage: "auto" counts words; None leaves the usage chunk out.
        model: The concrete model named in the reply; None repeats the slug asked for.
        body: A whole body in place of a completion, with `content_type`.
        raw: Everything sent, not even HTTP; the connection closes after it.
        steps: Makes everything sent, as it is sent: the bytes and the waits between them (see `server_encode`).
        chunk_chars: How much of the text one chunk carries.
        packet_bytes: Cut the body into pieces of so many bytes, each an HTTP chunk and a packet of its own.
        chunked: False frames the body by closing the connection.
        unknown_fields: SSE fields (`event:`, `id:`) and JSON keys that nobody has heard of.
        nulls: Optional keys are there and null, and an early chunk has no choices.
        multi_line: Each event's JSON is spread over several `data:` lines.
        leading_space: Bytes of white space before a non-streamed body.
        late: Events sent after `[DONE]`, as they are.
        comments: How many `: OPENROUTER PROCESSING` precede the first chunk.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[Call, ...] = ()
    refusal: str | None = None
    annotations: tuple[Mapping[str, Any], ...] = ()
    finish_reason: str | None = "auto"
    usage: Mapping[str, Any] | Literal["auto"] | None = "auto"
    model: str | None = None

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = None
    body: bytes | None = None
    raw: bytes | None = None
    steps: Callable[[], Iterator[bytes | float]] | None = None

    delay_headers_s: float = 0.0
    delay_first_s: float = 0.0
    delay_chunk_s: float = 0.0
    fault: Fault | None = None

    chunk_chars: int = 12
    packet_bytes: int | None = None
    chunked: bool = True
    keep_alive: bool = True
    gzip: bool = False

    line_end: Literal["\n", "\r\n", "\r"] = "\n"
    bom: bool = False
    space_after_data: bool = True
    unknown_fields: bool = False
    nulls: bool = False
    multi_line: bool = False
    done: bool = True
    late: bytes = b""
    comments: int = 1
    leading_space: int = 0


def failure(
    status: int,
    message: str = "",
    *,
    code: int | str | None = None,
    error_type: str | None = None,
    retry_after: str | int | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Reply:
    """Return an error in OpenRouter's shape; with status 200 it is the error inside a success."""
    error: dict[str, Any] = {
        "message": message or f"canned error {status}",
        "code": status if code is None else code,
    }
    if error_type or metadata:
        error["metadata"] = {**({"error_type": error_type} if error_type else {}), **(metadata or {})}
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return document({"error": error, "user_id": "user_canned"}, status=status, headers=headers)


def document(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a JSON document in place of a completion."""
    return Reply(status=status, headers=headers or {}, content_type="application/json", body=json.dumps(value).encode())


def html(text: str = "<html><body><h1>502 Bad Gateway</h1></body></html>", status: int = 502) -> Reply:
    """Return a page as a proxy in the way would send it."""
    return Reply(status=status, content_type="text/html; charset=utf-8", body=text.encode())


def redirect(url: str, status: int = 307) -> Reply:
    """Return a redirect to another place."""
    return Reply(status=status, headers={"Location": url}, content_type="text/plain", body=b"moved")
