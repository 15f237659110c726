"""The named panels that come with the tool. Data, easy to change; nothing here is resolved or called."""

from typing import NamedTuple

from fusion_cli.choices import Choices, Seat


class Preset(NamedTuple):
    """A named choice of panel, judge and parameters; its judge is also the outer model unless another is named."""

    description: str
    choices: Choices


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
        "the quality panel, the default with a key",
        Choices(
            panel=(
                Seat("openrouter:~anthropic/claude-opus-latest"),
                Seat("openrouter:~openai/gpt-sol-latest"),
                Seat("openrouter:~google/gemini-pro-latest"),
            ),
            judge="openrouter:~anthropic/claude-opus-latest",
        ),
    ),
    "general-budget": Preset(
        "inexpensive panel, strong judge",
        Choices(panel=_BUDGET_PANEL, judge="openrouter:~anthropic/claude-opus-latest"),
    ),
    "general-fast": Preset(
        "inexpensive panel, quick judge",
        Choices(panel=_BUDGET_PANEL, judge="openrouter:~anthropic/claude-sonnet-latest"),
    ),
    "local": Preset(
        "one small embedded model under three personas; no key, for trying the tool out",
        Choices(panel=_local("local:qwen2.5-coder-1.5b"), judge="local:qwen2.5-coder-1.5b"),
    ),
    "local-small": Preset(
        "the same on a smaller model, when memory is short",
        Choices(panel=_local("local:qwen2.5-coder-0.5b"), judge="local:qwen2.5-coder-0.5b"),
    ),
}


def embedded_models() -> list[str]:
    """Return the slugs of the embedded models that presets name, without a look at the engine."""
    named = [seat.model for preset in PRESETS.values() for seat in preset.choices.panel or ()]
    return [name.removeprefix("local:") for name in dict.fromkeys(named) if name.startswith("local:")]
