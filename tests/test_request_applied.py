"""An upstream request over a plan: whose routing holds for which call, what a flag replaces, and lenient turns."""

import json
from typing import Any

import pytest

from fusion_cli.chat import Message, ModelName, ToolCall
from fusion_cli.choices import Choices
from fusion_cli.errors import UsageError
from fusion_cli.plan import Panelist, Plan, Prompt
from fusion_cli.request import Request, as_private_as, read_request, written_by

ASK = [{"role": "user", "content": "SQLite?"}]
FUSION = {"type": "openrouter:fusion"}
PRIVATE = {"data_collection": "deny", "zdr": True, "enforce_distillable_text": True}


def read(**body: Any) -> Request:
    """Read a body that asks one question and attaches the tool, unless told otherwise."""
    return read_request(json.dumps({"messages": ASK, "tools": [FUSION], **body}), "body.json")


def plan(*panel: str, judge: str = "openrouter:j", outer: str = "openrouter:o", **more: Any) -> Plan:
    """Return a plan with these models, each named with its provider."""

    def name(said: str) -> ModelName:
        return ModelName(*said.split(":"))

    seats = tuple(Panelist(said, name(said)) for said in panel or ("openrouter:a",))
    return Plan(Prompt("SQLite?"), seats, name(judge), name(outer), **more)


def test_privacy_holds_for_every_call() -> None:
    """Where data may go is said to panel and judge, too; which servers to try first, to the outer model alone."""
    routing = {**PRIVATE, "order": ["x"], "only": None, "max_price": {"prompt": 1}}
    applied = read(provider=routing).applied_to(plan())
    assert applied.outer_extra == {"provider": routing}
    assert applied.inner_extra == {"provider": PRIVATE}
    assert applied.warnings == ("the request's provider.order, provider.max_price are not given to panel and judge",)


@pytest.mark.parametrize(
    ("routing", "models", "inner", "warnings"),
    [
        (PRIVATE, {}, {"provider": PRIVATE}, ()),
        ({"zdr": None}, {}, {}, ()),
        ({"order": ["x"]}, {}, {}, ("the request's provider.order is not given to panel and judge",)),
        ({"order": ["x"]}, {"panel": ("lab:a",), "judge": "lab:j"}, {}, ()),
        ({**PRIVATE, "order": ["x"]}, {"tool_choice": "none"}, {"provider": PRIVATE}, ()),
        (PRIVATE, {"panel": ("lab:a",), "tool_choice": "none"}, {"provider": PRIVATE}, ()),
        (
            PRIVATE,
            {"panel": ("lab:a", "openrouter:b", "lab:a", "desk:c", "local:d")},
            {"provider": PRIVATE},
            (
                "only OpenRouter knows provider.data_collection, provider.zdr, provider.enforce_distillable_text: "
                "nobody holds desk:c, lab:a to it",
            ),
        ),
        (
            {"zdr": True, "data_collection": "allow"},
            {"judge": "lab:j"},
            {"provider": {"zdr": True, "data_collection": "allow"}},
            ("only OpenRouter knows provider.zdr: nobody holds lab:j to it",),
        ),
        ({"zdr": False}, {"judge": "lab:j"}, {"provider": {"zdr": False}}, ()),
        (PRIVATE, {"panel": ("local:a",), "judge": "local:j"}, {"provider": PRIVATE}, ()),
        (
            PRIVATE,
            {"outer": "lab:o"},
            {"provider": PRIVATE},
            ("only OpenRouter knows provider: left out for lab:o",),
        ),
    ],
)
def test_who_is_told_of_the_routing(
    routing: dict[str, Any], models: dict[str, Any], inner: dict[str, Any], warnings: tuple[str, ...]
) -> None:
    """What cannot be said to a model that may be asked is named; what asks for nothing, or for nobody, is not."""
    panel = models.pop("panel", ())
    applied = read(provider=routing).applied_to(plan(*panel, **models))
    assert (applied.inner_extra, applied.warnings) == (inner, warnings)


def test_routing_of_many_words_is_one_line() -> None:
    """However many keys a routing has, a line names a few of them."""
    routing = {f"x{number}\n": number for number in range(300)}
    [line] = read(provider=routing).applied_to(plan()).warnings
    assert line.startswith("the request's provider.x0\\n, provider.x1\\n, ")
    assert line.endswith("provider.x19\\n and 280 more are not given to panel and judge")


@pytest.mark.parametrize("body", [{"models": ["a/b", "c/d"]}, {"model": "o/o", "models": ["c/d"]}])
def test_a_flags_model_has_no_fallbacks_of_the_body(body: dict[str, Any]) -> None:
    """A model that a flag names is not quietly replaced by the body's fallbacks, and that is said."""
    request = read(**body, top_p=0.5)
    applied = request.applied_to(plan(), Choices(model="x/y"))
    assert applied.outer_extra == {"top_p": 0.5}
    assert applied.warnings == ("the request's models are left out: they are fallbacks of another outer model",)
    assert request.applied_to(plan(), Choices(judge="x/y")).outer_extra == {"models": body["models"], "top_p": 0.5}


LAB = {"judge": "lab:j", "outer": "lab:o"}


@pytest.mark.parametrize("tool_choice", ["required", "none"])
@pytest.mark.parametrize(
    ("panel", "models"), [("openrouter:a", {}), ("openrouter:a", {"outer": "lab:o"}), ("lab:a", LAB)]
)
def test_another_writer_is_held_to_the_privacy(panel: str, models: dict[str, Any], tool_choice: str) -> None:
    """Whoever was asked before, a model that OpenRouter serves is told of it, and of any other one that is said."""
    first = read(provider=PRIVATE, top_p=0.5).applied_to(plan(panel, **models, tool_choice=tool_choice))
    first = first._replace(warnings=())
    written = written_by(first, ModelName("openrouter", "p"))
    assert (written.outer, written.outer_extra) == (("openrouter", "p"), {"top_p": 0.5, "provider": PRIVATE})
    assert written.warnings == ()
    away = written_by(first, ModelName("lab", "p"))
    assert away.outer_extra == {"top_p": 0.5}
    assert away.warnings == ("only OpenRouter knows provider: left out for lab:p",)
    assert written_by(away, ModelName("openrouter", "p")).outer_extra == written.outer_extra


def test_another_writer_has_no_fallbacks_of_the_first() -> None:
    """Only the model that the body named, and that is asked again, has its fallbacks."""
    first = read(models=["o", "c/d"]).applied_to(plan())
    assert written_by(first, first.outer).outer_extra == {"models": ["o", "c/d"]}
    written = written_by(first, ModelName("openrouter", "p"))
    assert written.outer_extra == {}
    assert written.warnings == ("the request's models are left out: they are fallbacks of another outer model",)


@pytest.mark.parametrize(
    ("panel", "models"), [("openrouter:a", {}), ("openrouter:a", {"outer": "lab:o"}), ("lab:a", LAB)]
)
def test_another_judge_is_held_to_the_privacy(panel: str, models: dict[str, Any]) -> None:
    """The judge of responses that exist is told where data may go, and so is who writes from it; no more than that."""
    routing = {**PRIVATE, "order": ["x"]}
    before = read(provider=routing, top_p=0.5, models=["o", "c/d"]).applied_to(plan(panel, **models))
    judged = as_private_as(before, plan("lab:a", outer="openrouter:j", tool_choice="none"))
    assert judged.inner_extra == judged.outer_extra == {"provider": PRIVATE}
    assert judged.warnings == ()


def test_a_judge_whom_nobody_holds_to_the_privacy() -> None:
    """A judge elsewhere cannot be told; that is said, and whoever takes its run up still is."""
    before = read(provider={"zdr": True}).applied_to(plan())
    judged = as_private_as(before, plan(judge="lab:j", outer="lab:j", tool_choice="none"))
    assert (judged.inner_extra, judged.outer_extra) == ({"provider": {"zdr": True}}, {})
    assert judged.warnings == ("only OpenRouter knows provider.zdr: nobody holds lab:j to it",)
    assert written_by(judged, ModelName("openrouter", "p")).outer_extra == {"provider": {"zdr": True}}
    assert as_private_as(plan(), plan()) == plan()


def conversation(turn: dict[str, Any], *more: dict[str, Any]) -> tuple[Message, ...]:
    """Return what is read of the assistant's turn, and of more turns before the next question."""
    return read(messages=[*ASK, {"role": "assistant", **turn}, *more, *ASK]).conversation[1:-1]


@pytest.mark.parametrize("arguments", ["", " ", "{}"])
def test_a_call_without_arguments(arguments: str) -> None:
    """Some models write nothing where they have no arguments; on the wire it is the empty object that it means."""
    call = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": arguments}}
    told = {"role": "tool", "tool_call_id": "c1", "content": "noon"}
    turn, _ = conversation({"content": None, "tool_calls": [call]}, told)
    assert turn == Message("assistant", "", (ToolCall("c1", "now", "{}"),))


@pytest.mark.parametrize("content", [{}, {"content": None}, {"content": ""}, {"content": []}])
def test_a_refusal_is_what_was_said(content: dict[str, Any]) -> None:
    """A turn without text that refuses is told as its refusal."""
    request = read(messages=[*ASK, {"role": "assistant", **content, "refusal": "no"}, *ASK])
    assert request.conversation[1] == Message("assistant", "no")
    assert request.warnings == ()


@pytest.mark.parametrize(
    ("refusal", "warnings"),
    [("", ()), ("no", ("the request's messages[].refusal is not known here and was left out",))],
)
def test_a_refusal_beside_a_text(refusal: str, warnings: tuple[str, ...]) -> None:
    """A turn has one text; a refusal that stands beside it is named, an empty one is none."""
    request = read(messages=[*ASK, {"role": "assistant", "content": "yes", "refusal": refusal}, *ASK])
    assert request.conversation[1] == Message("assistant", "yes")
    assert request.warnings == warnings


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"role": "assistant", "refusal": ""}, r"messages\[1\].content: expected text, found null"),
        ({"role": "assistant", "refusal": 7}, r"messages\[1\].refusal: expected text, found 7"),
        ({"role": "user", "refusal": "no"}, r"messages\[1\].content: expected text, found null"),
    ],
)
def test_a_refusal_that_is_none(row: dict[str, Any], said: str) -> None:
    """Nothing, and what is no text, is no turn; only the assistant refuses."""
    with pytest.raises(UsageError, match=said):
        read(messages=[*ASK, row, *ASK])
