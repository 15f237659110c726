"""What may be spent where nobody set a limit: everything. The same questions as a purse with one is asked.

Costs nothing at a start; `budget.Purse` is for runs that have a limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from fusion_cli.chat import ChatRequest


class Held(NamedTuple):
    """A call that was let through.

    Attributes:
        request: As it may be sent.
        dollars: What is set aside for it until it has ended.
        less: Who gets less than was asked for, and how much, for people; empty where nobody does.
    """

    request: ChatRequest
    dollars: float = 0.0
    less: str = ""


class Unlimited:
    """Let everything through; see `budget.Purse` for what each is asked."""

    async def open(self, **_: Any) -> None:
        """Refuse no run."""

    def start(self, *_: Any) -> None:
        """Stop before no phase."""

    def why_no_panel(self) -> str:
        """Return nothing: the panel may always be offered."""
        return ""

    def admit(self, request: ChatRequest, _label: str) -> Held:
        """Let a call through as it is."""
        return Held(request)

    def note(self, *_: Any, **__: Any) -> None:
        """Count nothing."""
