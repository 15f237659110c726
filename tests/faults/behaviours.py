"""How the server misbehaves, by name: each behaviour makes a reply from the request and the number of earlier ones.

Knows the wire's shapes (`tests.wire`), and nothing of the code that is tested. What is too large to be a `Reply` is
made in `floods`, what judges and outer models do in `careless`.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from tests.faults import careless, floods
from tests.wire.server_deliberation import deliberation
from tests.wire.server_reply import Fault, Reply, Request, document, failure, html, redirect

Behaviour = Callable[[Request, int], Reply]

PREFIX = "fault/"
UNKNOWN = "openai/gpt-55"  # which is not on the server's list, but near
SAID = "This much had been said before it broke. "
HOSTILE = (
    "safe\x1b[31m\x1b]0;owned\x07\x1b]8;;http://evil/\x1b\\link\x1b]8;;\x1b\\\x1bP+q6e\x1b\\"
    "\x9b2J\x9d0;x\x9c\u202e\u2066\x00\x08 text"
)
MARKUP = "[red]not red[/red] [link=http://evil/]here[/link] [/] [/nothing] ```unclosed\n" + "> " * 200 + "deep\n"
SEPARATORS = "one\u2028two\u2029three\u0085four\x0bfive\x0csix"
UNICODE = "Grüße, 世界, 👩‍👩‍👧 and é: " + "ß€𝄞" * 20 + " \r\n done"

_fine = deliberation()


def always(reply: Reply) -> Behaviour:
    """Reply so every time."""
    return lambda request, before: reply


def at_first(reply: Reply) -> Behaviour:
    """Reply so once, and well-behaved from then on."""
    return lambda request, before: _fine(request) if before else reply


def breaks(kind: Fault, text: str = SAID * 3) -> Behaviour:
    """Begin an answer, and then go wrong."""
    return always(Reply(text, fault=kind))


def _in_two_seconds() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)


BEHAVIOURS: dict[str, Behaviour] = {
    "500-once": at_first(failure(500, "hiccup")),
    "429-once": at_first(failure(429, "slow down", retry_after=1)),
    "429-date": lambda request, before: (
        _fine(request) if before else failure(429, "slow down", retry_after=_in_two_seconds())
    ),
    "429-day": always(failure(429, "slow down", retry_after=86400)),
    "429-junk": at_first(failure(429, "slow down", retry_after="soon, or \x01 later")),
    "401-echo": lambda request, before: failure(401, f"no user has {request.headers.get('authorization')}"),
    "403-moderated": always(failure(403, "flagged", metadata={"reasons": ["violence", "self-harm"]})),
    "403-once": at_first(failure(403, "flagged", metadata={"reasons": ["violence"]})),
    "404": always(failure(404, "No endpoints found")),
    "408-once": at_first(failure(408, "timed out")),
    "html-502": always(html("<html><body>" + "<p>Bad Gateway</p>" * 500 + "</body></html>")),
    "empty-400": always(Reply(status=400, content_type="application/json", body=b"")),
    "big-400": always(Reply(steps=floods.error_body)),
    "hostile-400": always(failure(400, HOSTILE * 20)),
    "200-error": always(document({"error": {"code": 400, "message": "no such luck"}})),
    "200-html": always(html("<html><body>Log in to the hotel's network</body></html>", status=200)),
    "200-empty": always(Reply(content_type="text/event-stream", body=b"")),
    "no-http": always(Reply(raw=b"220 mail.example.com ESMTP ready\r\n")),
    "error-late": breaks(Fault("error", after=3, code=502, message="provider died")),
    "error-at-once": at_first(Reply("x", fault=Fault("error", after=0))),
    "reset-before": breaks(Fault("reset", after=None)),
    "reset-late": breaks(Fault("reset", after=3)),
    "fin-before": breaks(Fault("close", after=None)),
    "fin-late": breaks(Fault("close", after=3)),
    "end-early": breaks(Fault("end", after=3)),
    "silent": breaks(Fault("stall", after=None)),
    "headers-only": breaks(Fault("stall", after=0)),
    "stops": breaks(Fault("stall", after=3)),
    "comments": breaks(Fault("comments", after=0, every_s=0.05)),
    "comments-late": breaks(Fault("comments", after=3, every_s=0.05)),
    "drip": always(Reply("drip " * 4000, chunk_chars=5, delay_chunk_s=0.1)),
    "empty": always(Reply("")),
    "blank": always(Reply(" \n\t ")),
    "refusal": always(Reply(refusal="I will not talk about that.")),
    "filtered": always(Reply("", finish_reason="content_filter")),
    "thinks-only": always(Reply(reasoning="Let me think. " * 20)),
    "cut": always(Reply("The first half of", finish_reason="length")),
    "hostile": always(Reply(HOSTILE, chunk_chars=1)),
    "markup": always(Reply(MARKUP)),
    "long-line": always(Reply("x" * 1_000_000, chunk_chars=65536)),
    "deep-list": always(Reply("".join(" " * (2 * n % 4000) + "- deeper\n" for n in range(10_000)), chunk_chars=65536)),
    "separators": always(Reply(SEPARATORS)),
    "bad-utf8": always(Reply("caf\udce9 \udcff\udcfe ok")),
    "bad-event": always(Reply(steps=floods.bad_event)),
    "no-done": always(Reply("whole answer", done=False)),
    "late-data": always(Reply("whole answer", late=b'data: {"choices":[{"delta":{"content":"too late"}}]}\n\n')),
    "gzip": always(Reply("whole answer", gzip=True)),
    "no-usage": always(Reply("whole answer", usage=None)),
    "big-answer": always(Reply(steps=floods.answer)),
    "big-event": always(Reply(steps=floods.event)),
    "gzip-bomb": always(Reply(steps=floods.bomb)),
    "big-headers": always(Reply(steps=floods.headers)),
    "slow": always(Reply("a slow answer", delay_first_s=1.5)),
    "plain": always(Reply(UNICODE)),
    "byte-by-byte": always(Reply(UNICODE, packet_bytes=1)),
    "crlf": always(Reply(UNICODE, line_end="\r\n", packet_bytes=7)),
    "cr": always(Reply(UNICODE, line_end="\r", packet_bytes=5)),
    "bom": always(Reply(UNICODE, bom=True, space_after_data=False)),
    "multi-line": always(Reply(UNICODE, multi_line=True, chunk_chars=1)),
    "decorated": always(Reply(UNICODE, unknown_fields=True, nulls=True, comments=50)),
    "unchunked": always(Reply(UNICODE, chunked=False)),
    **{name: always(Reply(text)) for name, text in careless.INJECTIONS.items()},
    **{name: always(reply) for name, reply in careless.JUDGES.items()},
    **{name: always(reply) for name, reply in careless.OUTER.items()},
    "judge-once-bad": at_first(Reply("I could not decide.")),
    "outer-confused": careless.confused,
}


def behaviour(name: str) -> Behaviour:
    """Return the behaviour of that name; `http-CODE` and `redirect-PORT` are families.

    Raises:
        LookupError: There is none.
    """
    if code := re.fullmatch(r"http-(\d{3})", name):
        return always(failure(int(code[1]), f"canned {code[1]}"))
    if port := re.fullmatch(r"redirect-(\d+)", name):
        return always(redirect(f"http://localhost:{port[1]}/api/v1/chat/completions"))
    return BEHAVIOURS[name]
