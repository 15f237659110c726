"""What error bodies mean: each status, each name, each place where upstream puts them."""

import json
from typing import Any

import pytest

from fusion_cli.api import wire
from fusion_cli.api.failures import error_from_body
from fusion_cli.chat import Delta
from fusion_cli.errors import (
    KeyRejectedError,
    ModelError,
    ModelRejectedError,
    ModelUnreachableError,
    NoCreditsError,
    RateLimitError,
    ServerFailedError,
)
from fusion_cli.fitting import is_too_long
from tests.wire.test_wire import assembled, chunk


class TestErrors:
    """What an error on the wire means."""

    @pytest.mark.parametrize(
        ("status", "kind", "retryable", "exit_status"),
        [
            *((status, ModelRejectedError, False, 1) for status in (400, 404, 413, 422, 300, 418, 451)),
            *((status, KeyRejectedError, False, 4) for status in (401, 403)),
            (402, NoCreditsError, False, 5),
            (429, RateLimitError, True, 5),
            *((status, ModelUnreachableError, True, 6) for status in (408, 504, 524)),
            *((status, ServerFailedError, True, 1) for status in (500, 502, 503, 529, 204, 599)),
        ],
    )
    def test_each_status_has_its_meaning(
        self, status: int, kind: type[ModelError], retryable: bool, exit_status: int
    ) -> None:
        """The specification's table: who is to blame, whether to try again, how the process ends."""
        error = error_from_body(status, {"error": {"code": status, "message": "no"}}, 1.5)
        assert (type(error), error.retryable, error.exit_status) == (kind, retryable, exit_status)
        assert (error.status_code, error.retry_after_s) == (status, 1.5)
        assert str(error) == f"HTTP {status}: no"

    @pytest.mark.parametrize("code", [429, "429"])
    def test_an_error_inside_a_success_counts_by_its_code(self, code: object) -> None:
        """Whether the code is a number or text, in a stream or a whole body, it stands for the status."""
        body = {"error": {"code": code, "message": "slow down"}}
        with pytest.raises(RateLimitError, match="HTTP 429: slow down") as caught:
            assembled({**chunk({"content": ""}, "error"), **body})
        assert caught.value.status_code == 429
        with pytest.raises(RateLimitError):
            wire.whole_body_as_event(json.dumps(body).encode())

    @pytest.mark.parametrize("code", ["server_error", 7, None, True, [], "-1", "²", "429x", "9" * 5000, 10**300])
    def test_a_code_that_is_no_status_is_the_servers_failure(self, code: object) -> None:
        """Names and nonsense are worth another attempt, and raise nothing else."""
        error = error_from_body(200, {"error": {"code": code, "message": "gone"}})
        assert (type(error), error.status_code, str(error)) == (ServerFailedError, None, "gone")

    @pytest.mark.parametrize("raw", ["too long\n", '{"error": {"message": "too long"}}', '{"message": "too long"}'])
    def test_the_providers_own_words_are_passed_on(self, raw: str) -> None:
        """A router's "Provider returned error" comes with what the provider said, which says why."""
        body = {"error": {"code": 400, "message": "Provider returned error", "metadata": {"raw": raw}}}
        assert str(error_from_body(400, body)) == "HTTP 400: Provider returned error: too long"

    def test_a_prompt_that_is_too_long_is_a_refusal_whatever_its_status(self) -> None:
        """Inside a success, too, it is not sent again as it is."""
        error = error_from_body(200, {"error": {"code": "bad", "message": "maximum context length is 8192 tokens"}})
        assert (type(error), error.status_code) == (ModelRejectedError, None)

    def test_text_before_an_error_is_kept_and_shown(self) -> None:
        """An error in the same packet as text does not swallow the text."""
        assembly = wire.Assembly()
        deltas: list[Delta] = []
        text = json.dumps(chunk({"content": "Hel"})).encode()
        with pytest.raises(ServerFailedError, match="gone"):
            assembly.read([text, b'{"error": {"message": "gone"}}'], deltas.append)
        assert (assembly.text, assembly.shown, deltas) == ("Hel", True, [Delta("Hel")])

    @pytest.mark.parametrize(
        "metadata",
        [{"reasons": ["violence", "hate"]}, {"error_type": "content_policy_violation"}, {"error_type": "moderation"}],
    )
    def test_a_flagged_prompt_is_not_a_bad_key(self, metadata: object) -> None:
        """403 for moderation is the model's refusal, with its reasons; it must not send the user after a new key."""
        error = error_from_body(403, {"error": {"message": "flagged", "metadata": metadata}})
        assert (type(error), error.exit_status) == (ModelRejectedError, 1)
        assert "reasons" not in str(metadata) or str(error) == "HTTP 403: flagged (violence, hate)"

    @pytest.mark.parametrize("metadata", [None, 7, [], {}, {"reasons": None}, {"reasons": []}, {"error_type": ["x"]}])
    def test_a_403_without_reasons_is_the_key(self, metadata: object) -> None:
        """Metadata of any other shape changes nothing, and raises nothing."""
        assert type(error_from_body(403, {"error": {"message": "no", "metadata": metadata}})) is KeyRejectedError

    @pytest.mark.parametrize(
        "body", [None, 7, [], {}, {"error": None}, {"error": 7}, {"error": {"message": 7}}, "", " \n", "\x1b[2J"]
    )
    def test_a_body_that_says_nothing_is_no_message(self, body: Any) -> None:
        """An error always has a line to show."""
        assert str(error_from_body(500, body)) == "HTTP 500 without a message"

    def test_what_a_server_says_is_one_clean_short_line(self) -> None:
        """Escape codes, lines and megabytes of an error never reach the screen, reasons included."""
        hostile = "\x1b]0;t\x07a\nb\x9b31m\u202e" + "x" * 100_000
        for body in ({"error": {"message": hostile, "metadata": {"reasons": [hostile]}}}, {"error": hostile}, hostile):
            said = str(error_from_body(500, body))
            assert said.startswith("HTTP 500: a b<U+202E>x")
            assert said.isprintable()
            assert len(said) <= 220

    @pytest.mark.parametrize("where", ["code", "error_type"])
    @pytest.mark.parametrize(
        ("name", "kind", "status"),
        [
            ("payment_required", NoCreditsError, 402),
            ("rate_limit_exceeded", RateLimitError, 429),
            ("not_found", ModelRejectedError, 404),
            ("authentication", KeyRejectedError, 401),
            ("refusal", ModelRejectedError, 403),
            ("provider_overloaded", ServerFailedError, 503),
            ("timeout", ModelUnreachableError, 408),
        ],
    )
    def test_stable_names_are_understood(self, where: str, name: str, kind: type[ModelError], status: int) -> None:
        """Inside a success, upstream's name of an error is as good as its status."""
        error = (
            {"message": "m", "code": name} if where == "code" else {"message": "m", "metadata": {"error_type": name}}
        )
        failed = error_from_body(200, {"error": error})
        assert (type(failed), failed.status_code) == (kind, status)

    def test_named_length_error_reads_as_one(self) -> None:
        """Whatever the message is, the name says that the prompt is too long, and the refusal keeps that."""
        body = {"error": {"message": "no", "metadata": {"error_type": "context_length_exceeded"}}}
        assert is_too_long(str(error_from_body(400, body)), 400)


@pytest.mark.parametrize("status", [500, 501])
def test_what_was_asked_for_is_refused_with_a_500_too(status: int) -> None:
    """llama.cpp answers 500 to tools that it cannot take: asking the same again would not help."""
    for said in (
        "tools param requires --jinja flag",
        "Failed to parse tool call arguments as JSON",
        "bad chat template",
    ):
        error = error_from_body(status, {"error": {"message": said, "code": status}})
        assert isinstance(error, ModelRejectedError)
        assert error.status_code == status
    assert isinstance(error_from_body(status, {"error": {"message": "out of memory"}}), ServerFailedError)
