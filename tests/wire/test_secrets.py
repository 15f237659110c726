"""Promises of fault 35 and of keys: a server that repeats the key, in whatever way, is not quoted."""

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from fusion_cli.api.redaction import without_key, without_whole_key
from fusion_cli.api.retry import WaitingBudget
from fusion_cli.errors import ModelError
from tests.wire.calling import KEY, MODEL, REQUEST, put
from tests.wire.server import Fault, Reply, WireServer, failure, redirect

ODD = "sk/canary+0123456789=%"


@pytest.fixture
def server() -> Iterator[WireServer]:
    """Serve what the test scripts."""
    with WireServer() as server:
        yield server


ECHOES: dict[str, Reply] = {
    "a message": failure(400, f"bad key {KEY}!"),
    "a message that is cut in the key": failure(400, "x" * 190 + KEY),
    "a message that is cut behind white space": failure(400, " " * 1590 + KEY),
    "the provider's own words": failure(400, "no", metadata={"raw": json.dumps({"error": {"message": f"no {KEY}"}})}),
    "reasons": failure(403, "no", metadata={"reasons": [KEY]}),
    "escaped JSON": Reply(status=400, body=b'{"error": {"message": "%b"}}' % KEY.replace("-", "\\u002d").encode()),
    "a page": Reply(status=200, content_type="text/html", body=f"<p>Bearer {KEY}</p>".encode()),
    "a page that is cut in the key": Reply(status=200, content_type="text/html", body=b"y" * 70 + KEY.encode()),
    "a body that is no completion": Reply(body=f'{{"key": "{KEY}"}}'.encode(), content_type="application/json"),
    "a chunk": Reply("ab", chunk_chars=1, fault=Fault("error", after=1, message=f"your {KEY}")),
    "text before a fault": Reply(f"I saw {KEY}.", fault=Fault("close", after=3)),
    "the reason phrase": Reply(raw=f"HTTP/1.1 400 {KEY}\r\nContent-Length: 0\r\n\r\n".encode()),
    "a header": Reply(raw=f"HTTP/1.1 429 No\r\nRetry-After: {KEY}\r\nContent-Length: 0\r\n\r\n".encode()),
    "a header that is none": Reply(raw=f"HTTP/1.1 200 OK\r\n{KEY}\r\n\r\n".encode()),
    "no HTTP": Reply(raw=f"{KEY}\r\n\r\n".encode()),
    "an encoding": Reply("x", headers={"Content-Encoding": KEY}),
    "a redirect": redirect(f"http://127.0.0.1:9/{KEY}"),
}


@pytest.mark.parametrize("echo", ECHOES)
def test_fault_35_a_key_that_is_repeated_is_not_told(server: WireServer, echo: str) -> None:
    """Neither message nor hint nor partial text hold the key, or enough of its beginning to begin with."""
    server.script(MODEL.slug, ECHOES[echo])
    (error,) = put(server, REQUEST, waiting_budget=WaitingBudget(0))
    assert isinstance(error, ModelError)
    told = f"{error}\n{error.hint}\n{error.partial}\n{error!r}\n{vars(error)!r}"
    assert KEY[:9] not in told


@pytest.mark.parametrize("spelled", [ODD, quote(ODD), quote(ODD, safe=""), quote(ODD, safe="").lower(), ODD.upper()])
def test_every_spelling_is_hidden(spelled: str) -> None:
    """Percent-encoded or not, in capitals or not, whole or cut anywhere behind its first eight characters."""
    assert without_key(f"key {spelled}, and {spelled}.", ODD) == "key [key], and [key]."
    for end in range(12, len(spelled)):
        assert without_key(f"no {spelled[:end]}… (why)", ODD) == "no [key]… (why)"


@pytest.mark.parametrize("key", ["key", "[key]", "k", "e", "[", "\\1", "x" * 8, "xxxxxxxxx"])
def test_a_key_of_any_kind_ends_the_search(key: str) -> None:
    """Short keys, keys that look like what stands for them, and repeated ones neither hang nor fail."""
    assert "[key]" in without_key(f"a {key} b {key * 3}", key)
    assert without_key("nothing here", "absent-key") == "nothing here"
    assert without_key("text", None) == without_key("text", "") == "text"


def test_a_models_text_only_loses_the_key() -> None:
    """What merely begins like a key stays in the text that a model wrote."""
    text = f"Keys begin with {KEY[:9]}; yours is {KEY}."
    assert without_whole_key(text, KEY) == f"Keys begin with {KEY[:9]}; yours is [key]."
    assert without_whole_key(text, None) == text
