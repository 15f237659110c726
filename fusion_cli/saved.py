"""Responses that exist already, for a judge to compare: what `--json` printed, or texts under labels.

Opens nothing, calls nobody.
"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from fusion_cli.chat import Citation, ModelName
from fusion_cli.citations import MAX_CITATIONS, fit_citation
from fusion_cli.errors import UsageError
from fusion_cli.plan import MAX_PANELISTS, Panelist, label_panel
from fusion_cli.terminal import one_line
from fusion_cli.values import LABEL, MisfitError, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fusion_cli.earlier import Earlier


class SavedResponses(NamedTuple):
    """A panel that has answered: its prompt, its responses, how many gave none, and what to say of the file.

    Attributes:
        run: The id of the run, where it is said.
        file: The name of the file.
        cited: The web pages that each response cites, by label.
        truncated: The labels of those that a token limit cut off.
        judge: Who judged them, as the file says it; empty where it does not.
        broken: What panelists had written who broke off; the judge reads that as cut off.
    """

    prompt: str
    responses: dict[Panelist, str]
    missing: int
    warnings: tuple[str, ...] = ()
    cited: Mapping[str, tuple[Citation, ...]] = MappingProxyType({})
    run: str = ""
    file: str = ""
    truncated: frozenset[str] = frozenset()
    broken: Mapping[Panelist, str] = MappingProxyType({})
    judge: str = ""

    @property
    def panel(self) -> list[Panelist]:
        """Those of whom there is something to judge."""
        return [*self.responses, *self.broken]

    def as_earlier(self) -> Earlier:
        """Return them as what a run can take up."""
        from fusion_cli.chat import Usage
        from fusion_cli.earlier import Earlier
        from fusion_cli.events import PanelCompleted, PanelFailed

        responses = {
            panelist.label: PanelCompleted(
                panelist.label,
                panelist.model.slug,
                text,
                0.0,
                Usage(),
                panelist.label in self.truncated,
                self.cited.get(panelist.label, ()),
            )
            for panelist, text in self.responses.items()
        }
        failures = {
            panelist.label: PanelFailed(panelist.label, panelist.model.slug, "it broke off", None, text, 0.0)
            for panelist, text in self.broken.items()
        }
        return Earlier(self.run, self.prompt, responses=responses, failures=failures, file=self.file)


def read_responses(text: str, name: str, prompt: str | None) -> SavedResponses:
    """Return the responses in what `analyze --json` or `ask --json` printed.

    Args:
        text: The file's text.
        name: What to call it in an error; `-` is standard input.
        prompt: What the panel was asked, where the file does not say, or not that.

    Raises:
        UsageError: There are no responses in it, or more than a panel has, or nobody says what was asked.
    """
    name = "standard input" if name == "-" else one_line(name, 100)
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError(f"{name} is not JSON", hint="Give it what fusion analyze --json printed.") from None
    value = value if isinstance(value, dict) else {}
    result = value.get("result") if isinstance(value.get("result"), dict) else value
    rows = result.get("responses")
    rows = rows if isinstance(rows, list) and all(map(_is_response, rows)) else []
    answered = [row for row in rows if _is_text(row.get("content"))]
    if not answered:
        raise UsageError(f'{name} holds no responses: expected "responses": [{{"model": ..., "content": ...}}, ...]')
    failed = result.get("failed_models")
    failed = failed if isinstance(failed, list) else []
    broken = [row for row in failed if _is_response(row) and _is_text(row.get("content"))]
    if len(rows) + len(broken) > MAX_PANELISTS:
        raise UsageError(f"{name} holds {len(rows) + len(broken)} responses; a panel has at most {MAX_PANELISTS}")
    asked = prompt or value.get("prompt")
    if not _is_text(asked):
        raise UsageError(f"{name} does not say what was asked", hint="Say it with --prompt.")
    missing = len(rows) - len(answered) + len(failed) - len(broken)
    slugs = [one_line(row["model"]) for row in (*answered, *broken)]
    labels, warnings = _labels([row.get("label") for row in (*answered, *broken)], slugs, name)
    seats = [Panelist(label, ModelName("", slug)) for label, slug in zip(labels, slugs, strict=True)]
    said = list(zip(seats, (*answered, *broken), strict=True))
    responses = {seat: row["content"] for seat, row in said[: len(answered)]}
    cited = {seat.label: pages for seat, row in said if (pages := _pages(row.get("sources")))}
    run, judge = value.get("run"), value.get("judge")
    run = one_line(run, 80) if isinstance(run, str) else ""
    cut = frozenset(seat.label for seat, row in said if row.get("truncated") is True)
    beginnings = {seat: row["content"] for seat, row in said[len(answered) :]}
    return SavedResponses(
        asked,
        responses,
        missing,
        warnings,
        cited,
        run,
        name,
        cut,
        beginnings,
        one_line(judge) if _is_text(judge) else "",
    )


def label_and_file(said: str) -> tuple[str, str]:
    """Return the two halves of a `--response LABEL=FILE`.

    Raises:
        UsageError: One of them is missing, or the label is none.
    """
    label, equals, file = said.partition("=")
    if not equals or not file:
        raise UsageError(f"--response: expected LABEL=FILE, found {shown(said) or 'nothing'}")
    return LABEL.fit(label, "--response: LABEL"), file


def labelled_responses(texts: Sequence[tuple[str, str]], prompt: str | None) -> SavedResponses:
    """Return texts, each with its label, as responses.

    Raises:
        UsageError: There are more than a panel has, two are called the same, one is empty, or nobody says what was
            asked.
    """
    if len(texts) > MAX_PANELISTS:
        raise UsageError(f"--response: {len(texts)} responses were given; a panel has at most {MAX_PANELISTS}")
    labels = [label for label, _ in texts]
    for label, text in texts:
        if labels.count(label) > 1:
            raise UsageError(f"--response: two responses are called {shown(label)}: give one of them another label")
        if not text.strip():
            raise UsageError(f"--response: the response of {shown(label)} is empty")
    if prompt is None:
        raise UsageError("--response does not say what was asked: say it with --prompt or --prompt-file")
    return SavedResponses(prompt, {Panelist(label, ModelName("", label)): text for label, text in texts}, 0)


def _labels(said: Sequence[Any], slugs: list[str], name: str) -> tuple[list[str], tuple[str, ...]]:
    """Return a file's labels, where each response has one of its own; else new ones, and what to say of that."""
    own = [label for label in said if _is_label(label)]
    if len(set(own)) == len(said):
        return own, ()
    labels = label_panel(slugs)
    if said == labels or not any(said):  # too long as they are, or from before there were any
        return labels, ()
    return labels, (f"{name}: labels are missing, unfit or double: the responses are called by their models",)


def _pages(value: Any) -> tuple[Citation, ...]:
    """Return the pages that a response's row cites, as far as they can be read."""
    rows = [row for row in value[:MAX_CITATIONS] if isinstance(row, dict)] if isinstance(value, list) else []
    return tuple(page for row in rows if (page := fit_citation(row)))


def _is_label(value: Any) -> bool:
    try:
        LABEL.check(value)
    except MisfitError:
        return False
    return True


def _is_response(row: Any) -> bool:
    """Tell whether this is a response, be it one without text."""
    if not isinstance(row, dict) or not isinstance(row.get("content"), str | None):
        return False
    model = row.get("model")
    return isinstance(model, str) and bool(one_line(model))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
