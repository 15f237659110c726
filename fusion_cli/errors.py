"""Every way a run can go wrong, and the exit status and hint that belong to it.

Knows nothing of terminals or HTTP: `cli.main` prints these, nobody else turns an error into a status.

    FusionError                    1   no result, or an internal error
    ├── UsageError                 2   the command line or its input is wrong; nothing was sent
    │   └── ConfigError            2   the configuration is wrong; names file, key and what was expected
    ├── DegradedError              3   a result came out, but not one that was acceptable
    ├── UnwrittenError             1   a result came out, but a file that it was to go to, too, could not be written
    ├── CredentialError            4   no key is set
    ├── EngineError                1   the embedded engine could not be started
    ├── UnreachableError           6   something needed from the network could not be had
    ├── CostLimitError             5   the run takes more than it may
    ├── InterruptError         128+n   a signal ended the run
    ├── ClosedPipeError          141   nobody reads standard output any more
    └── ModelError                 1   one call to one model failed
        ├── KeyRejectedError       4   401, or 403 for the key
        ├── NoCreditsError         5   402
        ├── RateLimitError         5   429 that outlived the retries
        ├── ModelRejectedError     1   400, 403 (moderation), 404, 413, 422: asking again would not help
        ├── ServerFailedError      1   500 and its kind, or an answer that is not one
        │   └── UnusableAnswerError 1  an answer that nobody can read, and that would come again
        ├── ModelUnreachableError  6   no connection, or a broken one
        │   ├── ModelTimeoutError  6   silence for longer than was allowed
        │   └── OutOfTimeError     6   the time that the run leaves to it is over
        └── EmptyCompletionError   1   a stream that ended without any text
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from fusion_cli.chat import Usage

DROPPED = "dropped at "  # begins what is said of a panelist whose time was over: its clock is the run's
REFUSED = {400, 404, 422, 500, 501}  # of a `ModelRejectedError`: 500 where the request is what is wrong
# Those that end a run; one that the parent has us ignore (nohup, a job in the background) stays ignored.
SIGNALS = [
    signum
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if (signum := getattr(signal, name, None)) and signal.getsignal(signum) is not signal.SIG_IGN
]


class FusionError(Exception):
    """Carry one line for the user, with an optional second one that says what to do.

    Attributes:
        hint: What the user can do about it, or an empty string.
        exit_status: The process's status, per the table in this module's docstring.
    """

    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(FusionError):
    """Say that the command line, or what it names, cannot be used."""

    exit_status = 2


class ConfigError(UsageError):
    """Say that a configuration value cannot be used: file, key, and what was expected."""


class DegradedError(FusionError):
    """Say that the result is degraded where that was not acceptable."""

    exit_status = 3


class UnwrittenError(FusionError):
    """Say that a file could not be written, of a run that was delivered otherwise."""


class CredentialError(FusionError):
    """Say that a provider needs a key and none is set."""

    exit_status = 4


class EngineError(FusionError):
    """Say that the embedded engine is not installed or did not start."""


class UnreachableError(FusionError):
    """Say that something needed from the network could not be had."""

    exit_status = 6


class CostLimitError(FusionError):
    """Say that the run, or its next phase, takes more than `--max-cost` allows."""

    exit_status = 5


class InterruptError(FusionError):
    """Say which signal ended the run; its status is 128 plus the signal's number."""

    def __init__(self, signum: int) -> None:
        super().__init__("interrupted" if signum == 2 else f"ended by signal {signum}")
        self.signum = signum
        self.exit_status = 128 + signum  # type: ignore[misc]  # one class, a status per signal


class ClosedPipeError(FusionError):
    """Say nothing: whoever read standard output has gone."""

    exit_status = 141


class ModelError(FusionError):
    """Report one failed call to one model.

    Attributes:
        status_code: The HTTP status, or None when there was none.
        partial: The text that had arrived before the failure.
        attempts: How many times the call was tried.
        retry_after_s: What the server asked to wait, in seconds, or None.
        duration_s: How long the call took, retries included.
        usage: What earlier turns of the call took, where it needed several; None when nothing was paid for.
        provider: The name of the provider that was asked.
        model: The slug of the model that was asked.
        retryable: Whether the same call may succeed when repeated.
    """

    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        status_code: int | None = None,
        partial: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status_code = status_code
        self.partial = partial
        self.retry_after_s = retry_after_s
        self.attempts = 1
        self.duration_s = 0.0
        self.usage: Usage | None = None
        self.provider = ""
        self.model = ""


class KeyRejectedError(ModelError):
    """The provider does not accept the key (401, or 403 that is not moderation)."""

    exit_status = 4


class NoCreditsError(ModelError):
    """The account cannot pay for the call (402)."""

    exit_status = 5


class RateLimitError(ModelError):
    """The provider asks for fewer requests (429)."""

    exit_status = 5
    retryable = True


class ModelRejectedError(ModelError):
    """The request itself is refused (400, moderation, 404, 413, 422)."""


class ServerFailedError(ModelError):
    """The server failed, or sent something that is not an answer."""

    retryable = True


class UnusableAnswerError(ServerFailedError):
    """The answer is of a size or a coding that cannot be read, and asking again would bring the same."""

    retryable = False


class ModelUnreachableError(ModelError):
    """No connection, or a broken one, or a server that gave up."""

    exit_status = 6
    retryable = True


class ModelTimeoutError(ModelUnreachableError):
    """Nothing came for longer than the request allows; who waited that long does not want to wait again.

    Attributes:
        limit: The limit that was passed.
    """

    retryable = False
    limit = "timeout"


class OutOfTimeError(ModelUnreachableError):
    """The run had no more time for the call: its deadline, or the panel that closed without it."""

    retryable = False
    limit = "deadline"


class EmptyCompletionError(ModelError):
    """The model finished without writing any text, or any that counts."""


def internal_error(bug: Exception) -> FusionError:
    """Return what a user is told of a mistake of ours."""
    return FusionError(f"internal error: {type(bug).__name__}: {bug}", hint="Please report this.")
