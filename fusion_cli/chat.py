"""The neutral vocabulary of one model call, and the protocol of whoever can make it.

Knows no provider, no HTTP and no prompt: the pipeline speaks this, `api` translates it to the wire.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol

Role = Literal["system", "user", "assistant", "tool"]


class ModelName(NamedTuple):
    """Name a model: the provider that serves it, and its slug there."""

    provider: str
    slug: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.slug}"

    @property
    def is_local(self) -> bool:
        """Whether the embedded engine serves it; its models know no tools."""
        return self.provider == "local"


class Endpoint(NamedTuple):
    """Where a model is served.

    Attributes:
        base_url: Without a slash at its end.
        api_key: What is sent as bearer; never shown.
        headers: What else is sent.
        key_hint: What the user can do about a key that is refused.
    """

    base_url: str
    api_key: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    key_hint: str = ""

    def __repr__(self) -> str:
        """Say where it is; the key is never shown."""
        return f"Endpoint({self.base_url!r})"


class ToolCall(NamedTuple):
    """One call of a function tool, `arguments` being JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


class Message(NamedTuple):
    """One turn of a conversation; `tool_call_id` says which call a `tool` message answers."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


class FunctionTool(NamedTuple):
    """A function that the model may call; `parameters` is a JSON Schema."""

    name: str
    description: str
    parameters: Mapping[str, Any]


class OutputSchema(NamedTuple):
    """The JSON Schema that a completion's text must follow."""

    name: str
    schema: Mapping[str, Any]


class Reasoning(NamedTuple):
    """How much a model may think: an effort's name, or a number of tokens."""

    effort: str | None = None
    max_tokens: int | None = None


class ChatRequest(NamedTuple):
    """One call to one model; None means the provider's default.

    Attributes:
        fusion_depth: 0 for the outer model, 1 for panel and judge (sent as a header).
    """

    model: ModelName
    messages: tuple[Message, ...]
    max_completion_tokens: int | None = None
    temperature: float | None = None
    reasoning: Reasoning | None = None
    seed: int | None = None
    tools: tuple[FunctionTool, ...] = ()
    tool_choice: Literal["auto", "none"] | None = None
    output_schema: OutputSchema | None = None
    fusion_depth: int = 0


class Usage(NamedTuple):
    """Tokens and US dollars of one call; None is unknown, which is not 0."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    cost: float | None = None


class Delta(NamedTuple):
    """What arrived since the last one: answer text, and thinking where it is shown."""

    text: str
    reasoning: str = ""


class Completion(NamedTuple):
    """A finished call. `model` is the concrete one that answered, where the server says so."""

    text: str
    finish_reason: str | None
    usage: Usage
    tool_calls: tuple[ToolCall, ...] = ()
    model: str | None = None
    attempts: int = 1

    @property
    def truncated(self) -> bool:
        """Whether the text was cut by a limit rather than ended by the model."""
        return self.finish_reason == "length"


class ModelClient(Protocol):
    """Whoever can put a request to a model."""

    async def complete(self, request: ChatRequest, on_delta: Callable[[Delta], None]) -> Completion:
        """Return the finished completion, calling `on_delta` as text arrives.

        Raises:
            ModelError: The call failed, after the retries that could help.
        """
        ...
