"""Who is sent the images and PDFs of a question: the panel and the outer model, and the judge what it can take."""

import asyncio
from pathlib import Path

import pytest

from fusion_cli import pipeline, resuming, run_files
from fusion_cli.chat import Attachment, ChatRequest, Completion, ToolCall
from fusion_cli.choices import Choices
from fusion_cli.errors import ModelRejectedError
from fusion_cli.plan import Plan, Prompt, ToolChoice
from tests.attaching import attachment
from tests.recording import happy, record
from tests.story.scripted import JUDGE_REPLY, ScriptedModels, Seen, calls, panel_of_two, plan, says

IMAGE, PDF = attachment("a.png"), attachment("f.pdf")
BOTH = (IMAGE, PDF)


def attached(*judge_reads: str, tool_choice: ToolChoice = "required") -> Plan:
    """Return a plan whose prompt has an image and a PDF, and whose judge reads these kinds."""
    what = plan(tool_choice=tool_choice)
    prompt = what.prompt._replace(attachments=BOTH, material="[image: a.png] [PDF: f.pdf]")
    return what._replace(prompt=prompt, judge_reads=judge_reads)


def sent(request: ChatRequest) -> tuple[Attachment, ...]:
    """Return what goes along with a request's messages: with one of the user's, and with no other."""
    assert all(message.role == "user" for message in request.messages if message.attachments)
    return tuple(each for message in request.messages for each in message.attachments)


def ask(models: ScriptedModels, what: Plan) -> None:
    """Run `pipeline.ask`, which has to have an answer; every script must be used up."""
    with models:
        assert asyncio.run(pipeline.ask(what, models, Seen())).answer == "the answer"


@pytest.mark.parametrize("judge_reads", [(), ("image",), ("PDF",), ("PDF", "image")])
def test_panel_and_outer_model_get_all(judge_reads: tuple[str, ...]) -> None:
    """The judge gets the kinds that it reads; the names of the others stand in the prompt that it reads."""
    models = happy()
    ask(models, attached(*judge_reads))
    assert [sent(request) for request in models.requests("panel")] == [BOTH, BOTH]
    (judge,) = models.requests("judge")
    assert sent(judge) == tuple(each for each in BOTH if each.kind in judge_reads)
    assert "[image: a.png] [PDF: f.pdf]" in judge.messages[-1].content
    assert [sent(request) for request in models.requests("outer")] == [BOTH]


def test_a_model_that_decides_sees_them_in_both_turns() -> None:
    """And the panel does, whatever words the outer model puts the question in."""
    fusion = calls(ToolCall("1", "fusion", '{"prompt": "what is on it?"}'))
    models = panel_of_two().script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", fusion, says("the answer"))
    ask(models, attached(tool_choice="auto"))
    assert [sent(request) for _, request in models.asked] == [BOTH, BOTH, BOTH, (), BOTH]
    assert models.requests("panel")[0].messages[-1].content == "what is on it?\n\n[image: a.png] [PDF: f.pdf]"


def test_a_model_that_refuses_the_tool_result_sees_them_in_plain_text() -> None:
    """The second form of the answer's request has them, too."""
    refusal = ModelRejectedError("HTTP 400: no tools", status_code=400)
    models = panel_of_two().script("judge", "j", says(JUDGE_REPLY)).script("outer", "o", refusal, says("the answer"))
    ask(models, attached())
    assert [sent(request) for request in models.requests("outer")] == [BOTH, BOTH]


def test_both_looks_of_the_judge_see_them() -> None:
    """A second look is a look at the same."""
    models = panel_of_two().script("judge", "j", says(JUDGE_REPLY), says(JUDGE_REPLY))
    ask(models.script("outer", "o", says("the answer")), attached("image")._replace(second_look=True))
    assert [sent(request) for request in models.requests("judge")] == [(IMAGE,), (IMAGE,)]


@pytest.mark.parametrize("said", ["image too large", "no"])
def test_a_judge_whose_server_refuses_them_judges_without(said: str) -> None:
    """An analysis is worth more than what it was to be made from; the run says so."""
    refusal = ModelRejectedError(f"HTTP 400: {said}", status_code=400)

    def judge(request: ChatRequest) -> Completion:
        if sent(request):
            raise refusal
        return says(JUDGE_REPLY)

    models = panel_of_two().script("judge", "j", *[judge] * (2 if "image" in said else 7))
    with models.script("outer", "o", says("the answer")):
        run = asyncio.run(pipeline.ask(attached("image"), models, Seen()))
    assert run.result
    assert run.result.analysis
    assert any("refused" in warning and "images or PDFs" in warning for warning in run.warnings)


def test_a_journal_keeps_them(tmp_path: Path) -> None:
    """A run that is read back has the same plan, byte for byte."""
    what = attached("image")
    saved = run_files.read(record(tmp_path, what=what).path)
    assert saved.plan == what


def test_a_conversation_goes_on_with_them(tmp_path: Path) -> None:
    """Every turn keeps its own for the outer model, the panel gets all of them once, and a third turn still does."""
    saved = run_files.read(record(tmp_path, what=attached()).path)
    new = attachment("b.jpg")
    asked = Prompt("and this?", "[image: b.jpg]", attachments=(new, IMAGE))
    told = resuming.continued_prompt(saved, asked)
    assert told.attachments == (IMAGE, PDF, new)
    assert "[image: a.png] [PDF: f.pdf]" in told.material
    what = resuming.continued_plan(saved, asked, plan()._replace(prompt=told), Choices())
    assert [message.attachments for message in what.conversation] == [BOTH, (), (new, IMAGE)]
    again = run_files.read(record(tmp_path, what=what).path)
    third = resuming.continued_prompt(again, Prompt("why?"))
    assert third.attachments == (IMAGE, PDF, new)
