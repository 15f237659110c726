"""What somebody asked for, before anything is decided: flags, a request, a preset and the config file all say it so.

Data. Values are in range already; which of several wins is `planning`'s business.
"""

from typing import NamedTuple, Self

from fusion_cli.chat import Reasoning, ServerTool
from fusion_cli.plan import ToolChoice


class Seat(NamedTuple):
    """One panelist as it is asked for; None means that the seat does not say.

    Attributes:
        model: `[provider:]slug`.
        system: A persona.
        label: What to call the seat; its slug by default.
    """

    model: str
    system: str | None = None
    temperature: float | None = None
    label: str | None = None
    reasoning: Reasoning | None = None
    max_completion_tokens: int | None = None


class Choices(NamedTuple):
    """What one source asks for; None means that it does not say.

    Attributes:
        model: The outer model, `[provider:]slug`; so is `judge`.
        temperature: The panel's.
        reasoning: Panel's and judge's; so are `max_tool_calls` and `max_completion_tokens`.
        system: What every panelist and the outer model are told first.
        tools: Server tools of panel and judge; empty means none.
        quotes: Whether the judge has to give quotes, which are checked.
        second_look: Whether the responses are judged a second time, in reversed order.
        timeout: Seconds to a call's first content; 0 is no limit, here and in the next two.
        idle_timeout: Seconds between two contents of a call.
        deadline: Seconds for the whole run.
        quorum: How many responses are enough to close the panel after `grace` seconds.
        max_cost: US dollars for the whole run.
        allow_unknown_cost: Whether models whose price nobody knows may be called under `max_cost`.
    """

    panel: tuple[Seat, ...] | None = None
    judge: str | None = None
    model: str | None = None
    preset: str | None = None
    provider: str | None = None
    tool_choice: ToolChoice | None = None
    max_tool_calls: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    reasoning: Reasoning | None = None
    system: str | None = None
    seed: int | None = None
    tools: tuple[ServerTool, ...] | None = None
    quotes: bool | None = None
    second_look: bool | None = None
    timeout: float | None = None
    idle_timeout: float | None = None
    deadline: float | None = None
    quorum: int | None = None
    grace: float | None = None
    max_cost: float | None = None
    allow_unknown_cost: bool | None = None

    def over(self, other: Self) -> Self:
        """Return what this source asks for, and what the other one does where this one does not say."""
        theirs = other._asdict()
        return self._replace(**{key: theirs[key] for key, mine in self._asdict().items() if mine is None})
