"""The specification, section 5: what each HTTP status means, what is tried again, and the shapes that errors have."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from fusion_cli.api.retry import Line, Patience, WaitingBudget, parse_retry_after_s
from fusion_cli.errors import ServerFailedError
from tests.specification.running import CONVENED, MODELS, Script, Seen, judged, run
from tests.wire.server import Fault, Reply, failure

REFUSED = (400, 404, 413, 422)
NOT_ALLOWED = (401, 403, 402)
TRIED_AGAIN = (500, 502, 504, 524, 529, 429, 503)


def panel_of(replies: Mapping[str, Sequence[Reply]]) -> Seen:
    """Run `analyze` over a panel in which each member's server replies so, beside one that answers."""
    script: list[Script] = [(f"s/{name}", "panel", replies[name]) for name in replies]
    slugs = ",".join(("a/one", *(f"s/{name}" for name in replies)))
    return run("analyze", "--json", "-p", slugs, "-j", "z/judge", "x", script=script)


def test_what_is_not_tried_again() -> None:
    """400, 404, 413, 422, 401, 403 and 402 fail at once, each with its status."""
    statuses = (*REFUSED, *NOT_ALLOWED)
    seen = panel_of({str(it): (failure(it, "no", retry_after=0), Reply("too late")) for it in statuses})
    assert {row["model"]: row["status_code"] for row in seen.run["failed_models"]} == {f"s/{it}": it for it in statuses}
    assert [seen.call(f"s/{it}")["attempts"] for it in statuses] == [1] * len(statuses)
    assert len(seen.panel) == 1 + len(statuses)


def test_what_is_tried_again() -> None:
    """500, 502, 504, 524, 529, 429 and 503 are tried again, when the server says, and the next answer counts."""
    after = {429: format_datetime(datetime.now(UTC), usegmt=True)}
    replies = {str(it): (failure(it, "no", retry_after=after.get(it, 0)), Reply("then yes")) for it in TRIED_AGAIN}
    seen = panel_of(replies)
    assert "failed_models" not in seen.run
    assert [seen.call(f"s/{it}")["attempts"] for it in TRIED_AGAIN] == [2] * len(TRIED_AGAIN)


def test_a_timeout_is_tried_again() -> None:
    """408 is tried again, too."""
    seen = panel_of({"408": (failure(408, "timed out", retry_after=0), Reply("then yes"))})
    assert seen.call("s/408")["attempts"] == 2


def test_with_backoff() -> None:
    """Without a word from the server the waits grow, and they end."""
    calls = [Patience(WaitingBudget(), Line()) for _ in range(200)]
    longest = [max(call.wait_before_retry_s(ServerFailedError("x")) or 0.0 for call in calls) for _ in range(3)]
    assert 0 < longest[0] < longest[1]
    assert longest[2] == 0


def test_retry_after_is_seconds_or_a_date() -> None:
    """`Retry-After` is a number of seconds or a date."""
    now = datetime(2026, 8, 1, 12, 0, 0, tzinfo=UTC)
    assert parse_retry_after_s("7", now) == 7
    assert parse_retry_after_s(format_datetime(now + timedelta(seconds=9), usegmt=True), now) == 9


@pytest.mark.parametrize("status", [429, 503])
def test_an_unreasonable_wait_is_a_failure(status: int) -> None:
    """A wait of an hour is not waited for, be it in seconds or as a date."""
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    seen = panel_of(
        {
            "seconds": (failure(status, "later", retry_after=3600), Reply("too late")),
            "date": (failure(status, "later", retry_after=date), Reply("too late")),
        }
    )
    assert [row["status_code"] for row in seen.run["failed_models"]] == [status] * 2
    assert [seen.call(f"s/{name}")["attempts"] for name in ("seconds", "date")] == [1, 1]


MEANINGS: dict[int, tuple[Reply, int, str]] = {
    401: (failure(401, "No auth credentials found"), 4, "OPENROUTER_API_KEY"),
    403: (failure(403, "Not allowed"), 4, "Not allowed"),
    402: (failure(402, "Insufficient credits"), 5, "Insufficient credits"),
    429: (failure(429, "Rate limit exceeded", retry_after=3600), 5, "Rate limit exceeded"),
    404: (failure(404, "No endpoints found"), 1, "No endpoints found"),
    413: (failure(413, "Too large"), 1, "Too large"),
    500: (failure(500, "Internal", retry_after=3600), 1, "Internal"),
    503: (failure(503, "Overloaded", retry_after=3600), 1, "Overloaded"),
    502: (failure(502, "Bad gateway", retry_after=3600), 1, "Bad gateway"),
    529: (failure(529, "Provider overloaded", retry_after=3600), 1, "Provider overloaded"),
    408: (failure(408, "Timed out", retry_after=3600), 6, "Timed out"),
    524: (failure(524, "Timed out", retry_after=3600), 6, "Timed out"),
    504: (failure(504, "Timed out", retry_after=3600), 6, "Timed out"),
}


@pytest.mark.parametrize("status", MEANINGS)
def test_what_a_status_means_for_a_run(status: int) -> None:
    """The outer model's failure ends the run: key 4, credits and rate 5, unreachable 6, else 1, and why."""
    reply, expected, said = MEANINGS[status]
    seen = run("ask", "--tool-choice", "none", "-m", "o/outer", "x", script=[("o/outer", "outer", (reply,))])
    assert (seen.status, seen.ended.stdout) == (expected, "")
    assert said in seen.ended.stderr


def test_moderation_is_no_matter_of_the_key() -> None:
    """A 403 with moderation's stable name is a refusal of the question: status 1, and no word about the key."""
    for metadata in ({"error_type": "content_policy_violation"}, {"reasons": ["violence"], "flagged_input": "x"}):
        reply = failure(403, "Your input was flagged", metadata=metadata)
        seen = run("ask", "--tool-choice", "none", "-m", "o/outer", "x", script=[("o/outer", "outer", (reply,))])
        assert seen.status == 1
        assert "OPENROUTER_API_KEY" not in seen.ended.stderr


def chunk(error: dict[str, Any]) -> Reply:
    """Return a stream of one chunk, which is an error."""
    choices = [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]
    data = json.dumps({"id": "gen-1", "object": "chat.completion.chunk", "choices": choices, "error": error})
    return Reply(body=f": OPENROUTER PROCESSING\n\ndata: {data}\n\n".encode(), content_type="text/event-stream")


INSIDE_200 = {
    "top-level, int": (failure(200, "no such model", code=404), 404),
    "top-level, string": (failure(200, "no such model", code="404"), 404),
    "top-level, with metadata": (failure(200, "x", code=403, error_type="content_policy_violation"), 403),
    "a chunk, int": (chunk({"code": 422, "message": "no such model"}), 422),
    "a chunk, string": (chunk({"code": "422", "message": "no such model"}), 422),
    "after some text, int": (Reply("half of", fault=Fault("error", after=1, code=502)), 502),
    "after some text, a name": (Reply("half of", fault=Fault("error", after=1, code="server_error")), None),
}


def test_errors_inside_a_success() -> None:
    """An error in HTTP 200 is a failure: whole or in a stream, its code an int or a string."""
    replies = {str(index): (reply, Reply("too late")) for index, (reply, _) in enumerate(INSIDE_200.values())}
    seen = panel_of(replies)
    found = [row.get("status_code") for row in seen.run["failed_models"]]
    assert dict(zip(INSIDE_200, found, strict=True)) == {name: code for name, (_, code) in INSIDE_200.items()}
    assert all("no such model" in seen.run["failed_models"][index]["error"] for index in (0, 1, 3, 4))
    assert [row["model"] for row in seen.run["responses"]] == ["a/one"]
    assert all(seen.call(f"s/{name}")["attempts"] == 1 for name in replies)


def test_the_errors_shape() -> None:
    """Of `{"error": {"code", "message", "metadata"}}` the message is told, and what the provider said itself."""
    said = {"provider_name": "Canned", "raw": '{"error": {"message": "context of 4096 exceeded"}}'}
    seen = panel_of({"x": (failure(400, "Provider returned error", metadata=said),)})
    [row] = seen.run["failed_models"]
    assert row["error"] == "HTTP 400: Provider returned error: context of 4096 exceeded"


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_judge_without_structured_output(status: int) -> None:
    """A judge that refuses the schema with 400, 404 or 422 is asked without it, and its analysis counts."""

    def picky(request: Any) -> Reply:
        if request.body.get("response_format", {}).get("type") == "json_schema":
            return failure(status, "response_format is not supported")
        return judged(consensus=["They agree."])

    seen = run(*CONVENED, *MODELS, "x", script=[("z/judge", "judge", (picky,))])
    assert [body["response_format"]["type"] for body in seen.judge] == ["json_schema", "json_object"]
    assert seen.run["result"]["analysis"]["consensus"] == ["They agree."]
