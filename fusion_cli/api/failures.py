"""What an error body means (specification, section 5): an error of ours, in words fit for one line. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any

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
from fusion_cli.terminal import one_line

_WHAT_WAS_ASKED = r"\btools?\b|\bfunction.?call|\bjinja\b|\btemplate\b|\bresponse_format\b|\bgrammar\b"
_NO_MODEL = (
    r"(?i)not a valid model|\b(?:unknown|invalid|no such) model\b|\bmodel\b.{0,80}\b(?:not (?:exist|found)|unknown)\b"
)
_MODERATED = {"content_policy_violation", "refusal", "moderation", "content_filter"}
# Upstream's stable names of errors, as the HTTP statuses that mean the same.
_STATUS_OF = {
    "authentication": 401,
    "permission_denied": 403,
    "payment_required": 402,
    "rate_limit_exceeded": 429,
    "provider_overloaded": 503,
    "provider_unavailable": 502,
    "context_length_exceeded": 400,
    "max_tokens_exceeded": 400,
    "token_limit_exceeded": 400,
    "string_too_long": 400,
    "invalid_request": 400,
    "invalid_prompt": 400,
    "not_found": 404,
    "precondition_failed": 400,
    "payload_too_large": 413,
    "unprocessable": 422,
    "content_policy_violation": 403,
    "refusal": 403,
    "invalid_image": 400,
    "image_too_large": 400,
    "image_too_small": 400,
    "unsupported_image_format": 400,
    "image_not_found": 400,
    "image_download_failed": 400,
    "server": 500,
    "timeout": 408,
}


def error_from_body(status: int, body: Any, retry_after_s: float | None = None) -> ModelError:
    """Return the failure that an error body tells of (specification, section 5).

    Args:
        status: The HTTP status; 200 for an error inside a success, whose own code then counts.
        body: The decoded JSON, or cleaned text where it was none.
        retry_after_s: What the server asked to wait, in seconds.
    """
    error = body.get("error") if isinstance(body, Mapping) else None
    metadata: Any = error.get("metadata") if isinstance(error, Mapping) else None
    metadata = metadata if isinstance(metadata, Mapping) else {}
    message = error.get("message") if isinstance(error, Mapping) else error if isinstance(error, str) else body
    code = error.get("code") if isinstance(error, Mapping) else None
    name = metadata.get("error_type")
    name = name if isinstance(name, str) and name in _STATUS_OF else code
    if isinstance(name, str) and name in _STATUS_OF and (status == 200 or name != code):
        status = _STATUS_OF[name]
    elif status == 200 and isinstance(code, int) and 400 <= code < 600:
        status = code
    elif status == 200 and isinstance(code, str) and len(code) == 3 and code.isdecimal() and 400 <= int(code) < 600:
        status = int(code)
    said = one_line(message) if isinstance(message, str) else ""
    if raw := _provider_said(metadata.get("raw")):  # the message beside it is just "Provider returned error"
        said = one_line(f"{said}: {raw}" if said else raw)
    if name == "context_length_exceeded" and not is_too_long(said, None):
        said = one_line(f"{said} ({name})") if said else name
    reasons = metadata.get("reasons")
    if isinstance(reasons, list) and reasons:
        said = one_line(f"{said} ({', '.join(str(reason) for reason in reasons[:5])})")
    details: dict[str, Any] = {"status_code": status if status != 200 else None, "retry_after_s": retry_after_s}
    told = f"HTTP {status}: {said}" if status != 200 and said else said or f"HTTP {status} without a message"
    moderated = bool(reasons) or str(metadata.get("error_type")) in _MODERATED or str(name) in _MODERATED
    if status == 200 and is_too_long(said, None):  # the same again would be as long
        return ModelRejectedError(told, **details)
    if status in {500, 501} and re.search(_WHAT_WAS_ASKED, said, re.IGNORECASE):  # as llama.cpp has it
        return ModelRejectedError(told, **details)
    return _error_class(status, moderated=moderated)(told, **details)


def is_unknown_model(error: ModelError) -> bool:
    """Say whether a server refused a call because it does not serve such a model."""
    return error.status_code == 404 or (error.status_code == 400 and re.search(_NO_MODEL, str(error)) is not None)


def _provider_said(raw: Any) -> str:
    """Return what the model's provider said itself, as a router passes it on: text, or the JSON of an error."""
    if not isinstance(raw, str):
        return ""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return one_line(raw)
    error = value.get("error", value) if isinstance(value, dict) else value
    message = error.get("message") if isinstance(error, dict) else error
    return one_line(message) if isinstance(message, str) else ""


def _error_class(status: int, *, moderated: bool) -> type[ModelError]:
    if status == 401 or (status == 403 and not moderated):
        return KeyRejectedError
    if status == 402:
        return NoCreditsError
    if status == 429:
        return RateLimitError
    if status in {408, 504, 524}:
        return ModelUnreachableError
    if 300 <= status < 500:
        return ModelRejectedError
    return ServerFailedError
