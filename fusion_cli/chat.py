"""The neutral vocabulary of one model call, and the protocol of whoever can make it.

Knows no provider, no HTTP and no prompt: the pipeline speaks this, `api` translates it to the wire.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol

Role = Literal["system", "user", "assistant", "tool"]


class ModelName(NamedTuple):
    """Name a model: the provider that serves it, and its slug there."""

    provider: str
    slug: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.slug}"

    @property
    def shown(self) -> str:
        """What a person reads of it: its slug, and its provider where that is not OpenRouter."""
        return self.slug if self.provider == "openrouter" else str(self)

    @property
    def is_local(self) -> bool:
        """Whether the embedded engine serves it; its models cannot call tools."""
        return self.provider == "local"

    @property
    def has_server_tools(self) -> bool:
        """Whether its provider runs web search and the like itself (specification, section 4)."""
        return self.provider == "openrouter"


class Endpoint(NamedTuple):
    """Where a model is served.

    Attributes:
        base_url: Without a slash at its end.
        api_key: What is sent as bearer; never shown.
        headers: What else is sent.
        key_hint: What the user can do about a key that is refused.
        context_tokens: How much a model there can read and write in one call, where that is known.
        has_catalogue: Whether `GET /models` tells that of each model.
        is_free: Whether nobody is paid for what runs there.
    """

    base_url: str
    api_key: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    key_hint: str = ""
    context_tokens: int | None = None
    has_catalogue: bool = False
    is_free: bool = False

    def __repr__(self) -> str:
        """Say where it is; the key is never shown."""
        return f"Endpoint({self.base_url!r})"


class ToolCall(NamedTuple):
    """One call of a function tool, `arguments` being JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


class Attachment(NamedTuple):
    """An image or a PDF that goes along with a message.

    Attributes:
        name: What it is called, on one line.
        media_type: `image/png` and its kind, or `application/pdf`.
        data: Its bytes in Base64.
    """

    name: str
    media_type: str
    data: str

    @property
    def kind(self) -> Literal["image", "PDF"]:
        """What it is."""
        return "image" if self.media_type.startswith("image/") else "PDF"


class Message(NamedTuple):
    """One turn of a conversation; `tool_call_id` says which call a `tool` message answers."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    attachments: tuple[Attachment, ...] = ()


class FunctionTool(NamedTuple):
    """A function that the model may call; `parameters` is a JSON Schema."""

    name: str
    description: str
    parameters: Mapping[str, Any]


class ServerTool(NamedTuple):
    """A tool that the model's server runs; `type` is like `openrouter:web_search`."""

    type: str
    parameters: Mapping[str, Any] = MappingProxyType({})


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
        output_format: The schema that the text must follow, or any JSON object.
        server_tools: What is run for the model in at most `max_tool_calls` steps, by the server or in its place.
        fusion_depth: 0 for the outer model, 1 for panel and judge (sent as a header).
        extra: What else the body holds, as it stands on the wire; never in place of what is above.
        timeout_s: How long the call may take to its first content, retries included; None is for ever.
        idle_timeout_s: How long it may then be silent: comments and empty deltas are no content.
    """

    model: ModelName
    messages: tuple[Message, ...]
    max_completion_tokens: int | None = None
    temperature: float | None = None
    reasoning: Reasoning | None = None
    seed: int | None = None
    tools: tuple[FunctionTool, ...] = ()
    tool_choice: Literal["auto", "none"] | None = None
    output_format: OutputSchema | Literal["json_object"] | None = None
    server_tools: tuple[ServerTool, ...] = ()
    max_tool_calls: int | None = None
    fusion_depth: int = 0
    extra: Mapping[str, Any] = MappingProxyType({})
    timeout_s: float | None = None
    idle_timeout_s: float | None = None


class Usage(NamedTuple):
    """Tokens, US dollars and the server's tool calls of one call; None is unknown, which is not 0."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    cost: float | None = None
    server_tool_calls: int | None = None
    web_search_requests: int | None = None


class ToolStep(NamedTuple):
    """One tool call that is carried out for a model while its completion is awaited, as it starts and as it ends.

    Attributes:
        number: Counts the calls of one completion from 1, so that an end finds its start.
        tool: `web_search` or `web_fetch`.
        input: What was searched for, or the URL, on one line of at most 300 characters.
        error: Why it failed.
    """

    number: int
    tool: str
    input: str
    status: Literal["started", "completed", "failed"]
    error: str = ""


class Retry(NamedTuple):
    """A failed attempt that is made again.

    Attributes:
        attempt: The number of the one that is to come, from 2.
        wait_s: How long is waited before it.
        error: What failed, in one line.
        status_code: The HTTP status of that, where there was one.
    """

    attempt: int
    wait_s: float
    error: str
    status_code: int | None = None


class Delta(NamedTuple):
    """What arrived since the last one: answer text, and thinking where it is shown; or a tool call's step, or a retry.

    What a model wrote before a tool call is no part of its completion's text. `ended` comes once, when the model has
    said that it is done and what may follow (the cost) is still awaited: whoever has to stop then has it all.
    """

    text: str
    reasoning: str = ""
    step: ToolStep | None = None
    retry: Retry | None = None
    ended: "Completion | None" = None


class Citation(NamedTuple):
    """A web page that a model says it used."""

    url: str
    title: str


class Completion(NamedTuple):
    """A finished call.

    Attributes:
        model: The concrete one that answered, where the server says so.
        refusal: What the model said in place of an answer.
        skipped: How many events of its stream could not be read.
    """

    text: str
    finish_reason: str | None
    usage: Usage
    tool_calls: tuple[ToolCall, ...] = ()
    model: str | None = None
    attempts: int = 1
    citations: tuple[Citation, ...] = ()
    refusal: str = ""
    skipped: int = 0

    @property
    def truncated(self) -> bool:
        """Whether the text was cut by a limit rather than ended by the model."""
        return self.finish_reason == "length"


class Price(NamedTuple):
    """What a model costs, in US dollars: a token read, a token written, and a call."""

    prompt: float
    completion: float
    request: float = 0.0


class ModelClient(Protocol):
    """Whoever can put a request to a model."""

    async def complete(self, request: ChatRequest, on_delta: Callable[[Delta], None]) -> Completion:
        """Return the finished completion, calling `on_delta` as text arrives.

        Raises:
            ModelError: The call failed, after the retries that could help.
        """
        ...

    async def context_tokens(self, model: ModelName) -> int | None:
        """Return how much the model can read and write in one call, in tokens; None when nobody says."""
        ...

    async def price(self, model: ModelName) -> Price | None:
        """Return what the model costs; None when nobody says.

        Raises:
            UnreachableError: Whoever says could not be asked.
        """
        ...
