"""Flags are read as text: each in its range, and what is out of it is told by flag and range."""

from typing import Any

import pytest

from fusion_cli.amounts import DURATION, GRACE, MONEY
from fusion_cli.chat import Reasoning
from fusion_cli.choices import Choices, Seat
from fusion_cli.errors import UsageError
from fusion_cli.flags import choices_from
from tests.test_house import pressed_tab

MODEL = "[provider:]slug (no white space, at most 200 characters)"
EFFORTS = "max, xhigh, high, medium, low, minimal, none"
MOST = 2**53


def test_what_no_flag_says_is_left_open() -> None:
    """Without a flag nothing is chosen, whether the command has the flag or not."""
    absent = dict.fromkeys(("judge", "temperature", "web", "quotes", "second_look", "seed", "system"))
    assert choices_from({}) == choices_from({**absent, "panel": ()}) == choices_from({"panel": None}) == Choices()


@pytest.mark.parametrize(
    ("params", "chosen"),
    [
        ({"panel": ["a, lab:b", "c"]}, Choices(panel=(Seat("a"), Seat("lab:b"), Seat("c")))),
        ({"panel": ["a,a"]}, Choices(panel=(Seat("a"), Seat("a")))),
        ({"panel": ["a"] * 8}, Choices(panel=(Seat("a"),) * 8)),
        (
            {"judge": "j", "model": "m:free", "preset": "p", "provider": "lab"},
            Choices(judge="j", model="m:free", preset="p", provider="lab"),
        ),
        ({"tool_choice": "required"}, Choices(tool_choice="required")),
        ({"max_tool_calls": "1"}, Choices(max_tool_calls=1)),
        ({"max_tool_calls": " 16 "}, Choices(max_tool_calls=16)),
        ({"max_completion_tokens": "1"}, Choices(max_completion_tokens=1)),
        ({"temperature": "0"}, Choices(temperature=0.0)),
        ({"temperature": "2"}, Choices(temperature=2.0)),
        ({"reasoning_effort": "low"}, Choices(reasoning=Reasoning("low"))),
        ({"reasoning_max_tokens": "1"}, Choices(reasoning=Reasoning(None, 1))),
        ({"system": "Be brief.\nBe kind."}, Choices(system="Be brief.\nBe kind.")),
        ({"seed": "0"}, Choices(seed=0)),
        ({"seed": str(MOST)}, Choices(seed=MOST)),
        ({"web": True}, Choices()),  # which tools is for others to say
        ({"web": False}, Choices(tools=())),
        ({"quotes": True, "second_look": False}, Choices(quotes=True, second_look=False)),
        (
            {"timeout": "90", "idle_timeout": "2.5m", "deadline": "none", "quorum": "2", "grace": "0"},
            Choices(timeout=90.0, idle_timeout=150.0, deadline=0.0, quorum=2, grace=0.0),
        ),
        ({"max_cost": "$0.50", "allow_unknown_cost": True}, Choices(max_cost=0.5, allow_unknown_cost=True)),
        ({"allow_unknown_cost": False, "save": False}, Choices(allow_unknown_cost=False)),
        ({"prompt": "q", "file": ("f",), "strict": True, "json": True}, Choices()),
    ],
)
def test_what_flags_choose(params: dict[str, Any], chosen: Choices) -> None:
    """Each flag says its own thing and no other; what is no choice is passed over."""
    assert choices_from(params) == chosen


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"panel": ["a,b", "c,d,e,f,g,h,i"]}, "the panel has 9 models; it takes 1 to 8"),
        ({"panel": ["a,,b"]}, f'--panel: expected {MODEL}, found ""'),
        ({"panel": [""]}, f'--panel: expected {MODEL}, found ""'),
        ({"panel": ["a b"]}, f'--panel: expected {MODEL}, found "a b"'),
        ({"judge": ""}, f'--judge: expected {MODEL}, found ""'),
        ({"model": "a\nb"}, f'--model: expected {MODEL}, found "a\\nb"'),
        ({"tool_choice": "maybe"}, '--tool-choice: expected auto, required or none, found "maybe"'),
        ({"max_tool_calls": "0"}, "--max-tool-calls: expected a whole number from 1 to 16, found 0"),
        ({"max_tool_calls": "17"}, "--max-tool-calls: expected a whole number from 1 to 16, found 17"),
        ({"max_tool_calls": "two"}, '--max-tool-calls: expected a whole number from 1 to 16, found "two"'),
        ({"max_completion_tokens": "0"}, "--max-completion-tokens: expected a whole number from 1, found 0"),
        ({"max_completion_tokens": "1e3"}, '--max-completion-tokens: expected a whole number from 1, found "1e3"'),
        ({"max_completion_tokens": ""}, '--max-completion-tokens: expected a whole number from 1, found ""'),
        ({"temperature": "2.1"}, "--temperature: expected a number from 0 to 2, found 2.1"),
        ({"temperature": "-0.1"}, "--temperature: expected a number from 0 to 2, found -0.1"),
        ({"temperature": "nan"}, "--temperature: expected a number from 0 to 2, found nan"),
        ({"temperature": "warm"}, '--temperature: expected a number from 0 to 2, found "warm"'),
        ({"reasoning_effort": "much"}, f'--reasoning-effort: expected one of {EFFORTS}, found "much"'),
        ({"reasoning_max_tokens": "-1"}, "--reasoning-max-tokens: expected a whole number from 1, found -1"),
        (
            {"reasoning_effort": "low", "reasoning_max_tokens": "5"},
            "--reasoning-effort and --reasoning-max-tokens say the same thing in two ways: choose one",
        ),
        ({"system": " \n"}, '--system: expected text, found " \\n"'),
        ({"seed": "-1"}, "--seed: expected a whole number from 0, found -1"),
        ({"seed": str(MOST + 1)}, "--seed: expected a whole number from 0, found a huge number"),
        ({"timeout": "-1"}, f"--timeout: expected {DURATION.expects}, found -1.0"),
        ({"idle_timeout": "nan"}, f"--idle-timeout: expected {DURATION.expects}, found nan"),
        ({"deadline": "soon"}, f'--deadline: expected {DURATION.expects}, found "soon"'),
        ({"quorum": "9"}, "--quorum: expected a whole number from 1 to 8, found 9"),
        ({"grace": "none"}, f'--grace: expected {GRACE.expects}, found "none"'),
        ({"max_cost": "0"}, f"--max-cost: expected {MONEY.expects}, found 0.0"),
        ({"seed": "\u0663"}, '--seed: expected a whole number from 0, found "\u0663"'),
    ],
)
def test_what_is_out_of_range(params: dict[str, Any], said: str) -> None:
    """The error names the flag, what it takes and what was found."""
    with pytest.raises(UsageError) as raised:
        choices_from(params)
    assert str(raised.value) == said


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("--preset general-", ["general-high", "general-budget", "general-fast"]),
        ("--provider o", ["openrouter"]),
        ("--reasoning-effort m", ["max", "medium", "minimal"]),
        ("--json-schema --preset local-", ["local-small"]),
    ],
)
def test_values_are_completed(line: str, values: list[str]) -> None:
    """What can be named is completed, and a flag that acts at once does not act while somebody types on."""
    assert pressed_tab("bash", f"fusion ask {line}").stdout.split() == values
