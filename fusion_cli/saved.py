"""Responses that exist already: reads what `--json` printed, for a judge to compare. Opens nothing, calls nobody."""

import json
from typing import Any, NamedTuple

from fusion_cli.chat import ModelName
from fusion_cli.errors import UsageError
from fusion_cli.plan import MAX_PANELISTS, Panelist, label_panel
from fusion_cli.terminal import one_line


class SavedResponses(NamedTuple):
    """A panel that has answered: its prompt, its responses, and how many gave none."""

    prompt: str
    responses: dict[Panelist, str]
    missing: int


def read_responses(text: str, name: str, prompt: str | None) -> SavedResponses:
    """Return the responses in what `analyze --json` or `ask --json` printed.

    Args:
        text: The file's text.
        name: What to call it in an error.
        prompt: What the panel was asked, where the file does not say.

    Raises:
        UsageError: There are no responses in it, or more than a panel has, or nobody says what was asked.
    """
    name = one_line(name, 100)
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError(f"{name} is not JSON", hint="Give it what fusion analyze --json printed.") from None
    value = value if isinstance(value, dict) else {}
    result = value.get("result") if isinstance(value.get("result"), dict) else value
    rows = result.get("responses")
    if not isinstance(rows, list) or not rows or not all(_is_response(row) for row in rows):
        raise UsageError(f'{name} holds no responses: expected "responses": [{{"model": ..., "content": ...}}, ...]')
    if len(rows) > MAX_PANELISTS:
        raise UsageError(f"{name} holds {len(rows)} responses; a panel has at most {MAX_PANELISTS}")
    asked = prompt or value.get("prompt")
    if not isinstance(asked, str) or not asked.strip():
        raise UsageError(f"{name} does not say what was asked", hint="Say it with --prompt.")
    failed = result.get("failed_models")
    labels = label_panel([row["model"] for row in rows])
    responses = {
        Panelist(label, ModelName("", row["model"])): row["content"] for label, row in zip(labels, rows, strict=True)
    }
    return SavedResponses(asked, responses, len(failed) if isinstance(failed, list) else 0)


def _is_response(row: Any) -> bool:
    if not isinstance(row, dict):
        return False
    model, content = row.get("model"), row.get("content")
    return isinstance(model, str) and bool(model) and isinstance(content, str) and bool(content.strip())
