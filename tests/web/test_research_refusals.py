"""The loop with web tools, when a server will not have a turn: what gives way, and what must not be lost."""

import pytest

from fusion_cli.chat import (
    OutputSchema,
    Usage,
)
from fusion_cli.errors import ModelError, ModelRejectedError, ServerFailedError
from tests.story.scripted import calls, says
from tests.web.researching import ONE, READ, Done, FakeWeb, fetch, refused


def test_what_is_too_long_for_the_model_is_cut_and_asked_again() -> None:
    """A context that turns out small costs some of the pages, not the panelist."""
    refusal = ModelRejectedError("HTTP 400: maximum context length is 4096 tokens", status_code=400)
    page = "sentence here. " * 1200
    done = Done(calls(fetch(ONE)), refusal, refusal, says("y"), web=FakeWeb({ONE: page}))
    sizes = [len(turn.messages[2].content) for turn in done.turns[1:]]
    assert sizes[0] > sizes[1] > sizes[2]
    assert done.whole.text == "y"


def test_a_format_is_asked_for_when_no_tool_is_offered() -> None:
    """Beside tools some servers refuse a schema, and on others it lets no call through: it waits for the last turn."""
    schema = OutputSchema("x", {"type": "object"})
    done = Done(calls(fetch(ONE)), says("{}"), steps=1, output_format=schema)
    assert [turn.output_format for turn in done.turns] == [None, schema]
    assert [bool(turn.tools) for turn in done.turns] == [True, False]


LATE_FAILURES: dict[str, tuple[list[ModelError], list[tuple[bool, str | None, str]]]] = {
    "tools have to be declared": ([refused("toolConfig must be defined")], [(True, "none", "tool")]),
    "no answers of tools at all": (
        [refused("unexpected role tool"), refused("unexpected role tool")],
        [(True, "none", "tool"), (False, None, "user")],
    ),
    "it breaks over its own calls": ([ServerFailedError("failed to parse tool call")], [(False, None, "user")]),
}


@pytest.mark.parametrize("case", LATE_FAILURES)
def test_what_was_read_survives_a_refusal_of_the_last_turn(case: str) -> None:
    """The last turn is put in other ways until the server takes it: what was paid for is not read for nothing."""
    errors, ways = LATE_FAILURES[case]
    done = Done(READ, *errors, says("y"), steps=1)
    assert done.whole.text == "y"
    assert done.whole.citations
    put = [(bool(turn.tools), turn.tool_choice, turn.messages[-1].role) for turn in done.turns[2:]]
    assert put == ways
    assert "page one" in done.turns[-1].messages[-1].content


def test_a_refusal_after_reading_ends_the_reading() -> None:
    """A turn with tools that is refused once something was read becomes the last one."""
    done = Done(READ, refused("too many tools"), says("y"))
    assert [bool(turn.tools) for turn in done.turns] == [True, True, False]
    assert done.whole.text == "y"


def test_a_format_that_is_refused_at_the_end_gives_way_step_by_step() -> None:
    """A server without schemas is asked for any JSON, then for none, with what was read: nothing is read again."""
    no = refused("response_format is not supported")
    schema = OutputSchema("x", {"type": "object"})
    done = Done(READ, no, no, says("{}"), steps=1, output_format=schema)
    assert [turn.output_format for turn in done.turns] == [None, schema, "json_object", None]
    assert len(done.web.read_with) == 1


def test_a_refusal_that_is_about_something_else_is_the_callers() -> None:
    """What the loop cannot do without is not guessed at."""
    refusal = ModelRejectedError("HTTP 400: temperature is not supported", status_code=400)
    done = Done(refusal, output_format="json_object")
    assert done.error is refusal
    assert done.error.usage is None
    assert len(done.turns) == 1


def test_what_earlier_turns_took_is_not_lost_when_a_later_one_fails() -> None:
    """A refusal after a paid turn carries its usage; after a broken one nobody knows the sum."""
    turned_down = Done(READ, *[refused("no")] * 4)
    assert turned_down.error
    assert turned_down.error.usage == Usage(10, 5, 15, cost=0.5)
    broken = Done(READ, *[ServerFailedError("the stream ended early")] * 2)
    assert broken.error
    assert broken.error.usage == Usage()
