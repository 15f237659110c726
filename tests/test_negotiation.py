"""What is given up of a judge's request, and in which order: as little as the refusal asks for."""

import pytest

from fusion_cli.errors import ModelRejectedError
from fusion_cli.fitting import context_named
from fusion_cli.negotiation import Form, given_way

WHOLE = Form(tools=True, limit=16_000)


def after(form: Form, said: str, status: int = 400, *, sent: int = 5000, least: int = 800) -> Form | None:
    """Return the next form after a refusal."""
    return given_way(form, ModelRejectedError(f"HTTP {status}: {said}", status_code=status), sent=sent, least=least)


def test_everything_is_given_up_in_the_end() -> None:
    """A server that only says no is asked in ever milder forms, each of them once, and then no more."""
    forms: list[Form] = []
    form: Form | None = WHOLE
    while form:
        forms.append(form)
        form = after(form, "no")
    assert [each.output for each in forms] == [0, 1, 2, 2, 2, 2, 2]
    assert [each.tools for each in forms] == [True] * 3 + [False] * 4
    assert [each.cold for each in forms] == [True] * 4 + [False] * 3
    assert forms[-1] == Form(2, tools=False, cold=False, tuned=False, limit=None)


@pytest.mark.parametrize(
    ("said", "given_up"),
    [
        ("No endpoints found that support tool use", {"tools": False}),
        ("temperature does not support 0 with this model", {"cold": False}),
        ("Unsupported parameter: 'seed'", {"tuned": False}),
        ("reasoning is not supported", {"tuned": False}),
        ("Unrecognized request argument: max_completion_tokens", {"limit": None}),
        ("response_format.type json_schema is not available", {"output": 1}),
    ],
)
def test_what_is_named_goes_first(said: str, given_up: dict[str, object]) -> None:
    """What the refusal names is given up, and nothing else; said again, the usual order goes on."""
    form = after(WHOLE, said)
    assert form == WHOLE._replace(**given_up)  # type: ignore[arg-type]
    assert form
    again = after(form, said)
    assert again
    assert again.output == form.output + 1


@pytest.mark.parametrize("status", [403, 451])
def test_other_refusals_are_final(status: int) -> None:
    """Moderation is not a matter of form."""
    assert after(WHOLE, "flagged", status) is None


@pytest.mark.parametrize(
    ("form", "said", "expected"),
    [
        (WHOLE, "maximum context length is 8192 tokens", WHOLE._replace(limit=4096, room=4096)),
        (WHOLE, "maximum context length is 100000 tokens", WHOLE._replace(room=84_000)),
        (WHOLE, "prompt is too long", WHOLE._replace(limit=4000)),
        (WHOLE._replace(limit=300), "prompt is too long", WHOLE._replace(limit=300, room=2500)),
        (WHOLE._replace(limit=None), "prompt is too long", WHOLE._replace(limit=None, room=2500)),
        (
            WHOLE._replace(limit=4096, room=4096),
            "maximum context length is 8192 tokens",
            WHOLE._replace(limit=4000, room=4096),
        ),
    ],
)
def test_length_is_met_by_limit_and_room(form: Form, said: str, expected: Form) -> None:
    """A named context is shared by prompt and reply; else the limit is made modest, and then the prompt halved."""
    assert after(form, said) == expected


def test_nothing_is_cut_below_what_a_prompt_needs() -> None:
    """What cannot be shorter is not asked for again."""
    assert after(WHOLE._replace(limit=300), "prompt is too long", sent=800) is None
    assert after(WHOLE._replace(limit=300), "prompt is too long", sent=1000) == WHOLE._replace(limit=300, room=800)


@pytest.mark.parametrize(
    ("said", "tokens"),
    [
        ("This model's maximum context length is 8192 tokens. However, you requested 16802 tokens", 8192),
        ("This endpoint's maximum context length is 131,072 tokens. However, you requested about 200000", 131_072),
        ("the request exceeds the available context size (4096 tokens), try increasing it", 4096),
        ("prompt is too long: 213052 tokens > 200000 maximum", None),
        ("the prompt is too long", None),
        ("maximum context length is 12 tokens", None),
        ("context window of 128k tokens exceeded", None),
    ],
)
def test_context_that_a_refusal_names(said: str, tokens: int | None) -> None:
    """The number is read where it surely is the context, and not guessed."""
    assert context_named(said) == tokens
