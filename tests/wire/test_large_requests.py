"""Promises of requests with megabytes in them: they arrive whole, also when they are made again, and one refused is."""

from collections.abc import Iterator

import pytest

from fusion_cli.chat import Attachment, Completion, Message
from fusion_cli.errors import ModelRejectedError
from tests.wire.calling import REQUEST, failed, put
from tests.wire.server import Reply, WireServer, failure

IMAGE = Attachment("x.png", "image/png", "iVBORw0K" * 400_000)
LARGE = REQUEST._replace(messages=(Message("user", "What is it? \u2028 \U0001f9ed", attachments=(IMAGE,)),))


@pytest.fixture
def server() -> Iterator[WireServer]:
    """Serve what the test scripts."""
    with WireServer() as server:
        yield server


def test_it_arrives_whole(server: WireServer) -> None:
    """With its length in the head, as servers that know no chunks want it, and the same when it is tried again."""
    server.script("*", failure(500, "once"), Reply("a cat"))
    (told,) = put(server, LARGE)
    assert isinstance(told, Completion)
    assert (told.text, told.attempts) == ("a cat", 2)
    first, second = server.calls()
    assert first.body == second.body
    text, image = first.body["messages"][0]["content"]
    assert text["text"] == LARGE.messages[0].content
    assert image["image_url"]["url"] == f"data:image/png;base64,{IMAGE.data}"
    assert int(first.headers["content-length"]) > 3_200_000
    assert "transfer-encoding" not in first.headers


def test_one_that_is_too_large_is_refused_as_such(server: WireServer) -> None:
    """The error has the size of what was sent."""
    server.script("*", failure(413, "too large"))
    error = failed(
        server, ModelRejectedError, r"HTTP 413 for a prompt of about [\d,]+ tokens \(3,2\d\d,\d{3} bytes\)", LARGE
    )
    assert error.status_code == 413
