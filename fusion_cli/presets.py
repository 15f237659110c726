"""The named panels that come with the tool. Data, easy to change; nothing here is resolved or called."""

from typing import NamedTuple


class Seat(NamedTuple):
    """One panelist of a preset: `model` is `provider:slug`, `system` a persona."""

    model: str
    system: str | None = None


class Preset(NamedTuple):
    """A panel and its judge, who is also the outer model unless another is named."""

    panel: tuple[Seat, ...]
    judge: str
    description: str


_BUDGET_PANEL = (
    Seat("openrouter:~google/gemini-flash-latest"),
    Seat("openrouter:deepseek/deepseek-v3.2"),
    Seat("openrouter:~moonshotai/kimi-latest"),
)

_BRIEF = "Write one paragraph of at most 80 words, without lists or headings."


def _local(model: str) -> tuple[Seat, ...]:
    return (
        Seat(
            model,
            f"You are a pragmatist. Take a clear position in the first sentence, then give what decides it. {_BRIEF}",
        ),
        Seat(
            model,
            f"You are a sceptic. Say what goes wrong in practice, and when the popular answer is wrong. {_BRIEF}",
        ),
        Seat(
            model,
            f"You have run such things for years. Say what they cost in upkeep and what changes with growth. {_BRIEF}",
        ),
    )


PRESETS: dict[str, Preset] = {
    "general-high": Preset(
        (
            Seat("openrouter:~anthropic/claude-opus-latest"),
            Seat("openrouter:~openai/gpt-sol-latest"),
            Seat("openrouter:~google/gemini-pro-latest"),
        ),
        "openrouter:~anthropic/claude-opus-latest",
        "the quality panel, the default with a key",
    ),
    "general-budget": Preset(
        _BUDGET_PANEL, "openrouter:~anthropic/claude-opus-latest", "inexpensive panel, strong judge"
    ),
    "general-fast": Preset(
        _BUDGET_PANEL, "openrouter:~anthropic/claude-sonnet-latest", "inexpensive panel, quick judge"
    ),
    "local": Preset(
        _local("local:qwen2.5-coder-1.5b"),
        "local:qwen2.5-coder-1.5b",
        "one small embedded model under three personas; no key, for trying the tool out",
    ),
    "local-small": Preset(
        _local("local:qwen2.5-coder-0.5b"),
        "local:qwen2.5-coder-0.5b",
        "the same on a smaller model, when memory is short",
    ),
}
