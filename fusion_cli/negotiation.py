"""What a judge's server accepts, found out by asking: the strictest form first, what is refused given up. Pure.

Knows neither the judge's task nor how a call is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fusion_cli.errors import REFUSED
from fusion_cli.fitting import context_named, is_too_long

if TYPE_CHECKING:
    from fusion_cli.errors import ModelRejectedError

# What is given up at a word of the refusal; without one, after the output's form and in this order.
_NAMED: dict[str, dict[str, Any]] = {
    "tool": {"tools": False},
    "function": {"tools": False},
    "temperature": {"cold": False},
    "seed": {"tuned": False},
    "reasoning": {"tuned": False},
    "max_completion_tokens": {"limit": None},
    "max_tokens": {"limit": None},
    "image": {"attached": False},
    "pdf": {"attached": False},
}
_MODEST_LIMIT = 4000  # tokens that any model can write, and that any analysis fits in


class Form(NamedTuple):
    """What one call asks of its server.

    Attributes:
        output: 0 asks for JSON by its schema, 1 for any JSON, 2 leaves it to the prompt.
        tools: Whether the server's tools are offered.
        cold: Whether the temperature is 0 rather than the server's own.
        attached: Whether images and PDFs go along, where there are any.
        tuned: Whether seed and reasoning are sent, where the user has chosen them.
        limit: How many tokens the reply may have; None is the server's own limit.
        room: How many tokens the prompt may have; None where nobody knows.
    """

    output: int = 0
    tools: bool = False
    cold: bool = True
    tuned: bool = True
    limit: int | None = None
    room: int | None = None
    attached: bool = False

    def within(self, context: int) -> Form:
        """Return this form with reply and prompt sharing a context of so many tokens."""
        limit = min(self.limit or _MODEST_LIMIT, context // 2)
        return self._replace(limit=self.limit and limit, room=context - limit)


def given_way(form: Form, error: ModelRejectedError, *, sent: int, least: int) -> Form | None:
    """Return the form to try after a refusal; None when there is nothing left to give up.

    Args:
        form: What was refused.
        error: What the server said: what it names is given up first.
        sent: How many tokens the prompt had.
        least: How many it has at least, however much is cut.
    """
    said = str(error).lower()
    if is_too_long(said, error.status_code):
        return _shorter(form, context_named(said), sent, least)
    if error.status_code not in REFUSED:
        return None
    for word, less in _NAMED.items():
        milder = form._replace(**less)
        if word in said and milder != form:
            return milder
    if form.output < 2:
        return form._replace(output=form.output + 1)
    return next((milder for less in _NAMED.values() if (milder := form._replace(**less)) != form), None)


def _shorter(form: Form, context: int | None, sent: int, least: int) -> Form | None:
    if context is not None and (form.room is None or context < form.room):
        return form.within(context)
    if form.limit is not None and form.limit > _MODEST_LIMIT:
        return form._replace(limit=_MODEST_LIMIT)
    return form._replace(room=max(least, sent // 2)) if sent > least else None
