"""Promises of attachments: known by what they are, within limits, and only for whoever can take them."""

import base64
from pathlib import Path

import pytest

from fusion_cli import attachments
from fusion_cli.api.wire import request_body
from fusion_cli.chat import Attachment, ChatRequest, Message, ModelName
from fusion_cli.costs import estimate, prompt_count
from fusion_cli.errors import UsageError
from fusion_cli.inputs import MAX_ATTACHED_BYTES, MAX_ATTACHMENT_BYTES, read_prompt
from fusion_cli.plan import Plan, Prompt
from fusion_cli.terminal import Terminal
from tests.attaching import FILES, PNG, attachment, large_image
from tests.story.scripted import plan

IMAGE, PDF = attachment("a.png"), attachment("f.pdf")
SEES = ("text", "image")


def with_files(*files: Attachment, provider: str = "openrouter") -> Plan:
    """Return a plan whose prompt has these."""
    what = plan(provider=provider)
    return what._replace(prompt=what.prompt._replace(attachments=files))


class TestReading:
    """What `-f` makes of a file."""

    @pytest.mark.parametrize("name", FILES)
    def test_a_file_is_what_its_first_bytes_say(self, name: str, tmp_path: Path) -> None:
        """Whatever it is called, it is whole in the prompt, and its name stands in the text."""
        data, media_type = FILES[name]
        path = tmp_path / "called.txt"
        path.write_bytes(data)
        prompt = read_prompt("Why?", [str(path)], Terminal())
        (found,) = prompt.attachments
        assert (found.name, found.media_type, base64.b64decode(found.data)) == (str(path), media_type, data)
        kind = "PDF" if media_type == attachments.PDF else "image"
        assert prompt.text() == f"Why?\n\n[{kind}: {path}]"

    @pytest.mark.parametrize(
        "data",
        [b"", b"PNG", b"<svg/>", b"RIFF....WAVE", b"GIF88a", b"\xef\xbb\xbf%PDF", b"look: %PDF-", b"RIFF", b"BM"],
    )
    def test_everything_else_is_text(self, data: bytes, tmp_path: Path) -> None:
        """Also what only mentions such a beginning."""
        path = tmp_path / "x.png"
        path.write_bytes(data)
        prompt = read_prompt("Why?", [str(path)], Terminal())
        assert prompt.attachments == ()
        assert data.decode("utf-8-sig") in prompt.material

    def test_text_and_pictures_stand_side_by_side(self, tmp_path: Path) -> None:
        """Text is fenced as ever, and the names of the others follow in their order."""
        for name, data in (("a.png", PNG), ("t.md", b"# hello"), ("f.pdf", FILES["f.pdf"][0])):
            (tmp_path / name).write_bytes(data)
        prompt = read_prompt("Why?", [str(tmp_path / name) for name in ("a.png", "t.md", "f.pdf")], Terminal())
        assert prompt.material.startswith("=====[")
        assert prompt.material.endswith(f"\n\n[image: {tmp_path / 'a.png'}] [PDF: {tmp_path / 'f.pdf'}]")
        assert [each.kind for each in prompt.attachments] == ["image", "PDF"]

    def test_another_binary_file_is_refused_with_what_can_be_had(self, tmp_path: Path) -> None:
        """An archive is neither text nor a picture."""
        (tmp_path / "x.zip").write_bytes(b"PK\x03\x04\0\0")
        with pytest.raises(UsageError, match=r"x\.zip is binary, not text") as caught:
            read_prompt("Why?", [str(tmp_path / "x.zip")], Terminal())
        assert "PNG, JPEG, GIF and WebP images and PDFs" in caught.value.hint

    def test_an_image_has_a_limit(self, tmp_path: Path) -> None:
        """It may be larger than a text; one byte more than its own limit is refused with that."""
        name = large_image(tmp_path / "x.png", MAX_ATTACHMENT_BYTES)
        assert len(read_prompt("Why?", [name], Terminal()).attachments) == 1
        large_image(tmp_path / "x.png", MAX_ATTACHMENT_BYTES + 1)
        with pytest.raises(UsageError, match=r"x\.png is larger than 20 MB"):
            read_prompt("Why?", [name], Terminal())

    def test_all_of_them_have_a_limit(self, tmp_path: Path) -> None:
        """Three that are fine each may be too much together."""
        name = large_image(tmp_path / "x.png", MAX_ATTACHED_BYTES // 3 + 1)
        with pytest.raises(UsageError, match="images and PDFs together pass 50 MB"):
            read_prompt("Why?", [name] * 3, Terminal())

    def test_a_name_is_one_clean_line(self, tmp_path: Path) -> None:
        """Nobody forges a line of the prompt, or of the screen, with it."""
        path = tmp_path / "a\n\x1b[2Jb.png"
        path.write_bytes(PNG)
        prompt = read_prompt("Why?", [str(path)], Terminal())
        assert "\n" not in prompt.material
        assert "\x1b" not in prompt.material + prompt.attachments[0].name


class TestAddressing:
    """Who gets what."""

    def test_a_model_that_sees_gets_images(self) -> None:
        """So does the judge, where it does."""
        what = with_files(IMAGE)
        told = attachments.addressed(what, what.models, dict.fromkeys(what.models, SEES), answers=True)
        assert told == what._replace(judge_reads=("image",))
        assert told.judge_attachments == (IMAGE,)

    @pytest.mark.parametrize("blind", ["a", "b", "o"])
    def test_a_model_that_does_not_is_named(self, blind: str) -> None:
        """On the panel or as the outer model, before anything is sent."""
        what = with_files(IMAGE)
        reads = dict.fromkeys(what.models, SEES) | {ModelName("openrouter", blind): ("text",)}
        with pytest.raises(UsageError, match=rf"^{blind} cannot read images \(a\.png\)$"):
            attachments.addressed(what, what.models, reads, answers=True)

    def test_a_judge_that_does_not_reads_the_names(self) -> None:
        """That is no mistake, but it is said."""
        what = with_files(IMAGE)
        reads = dict.fromkeys(what.models, SEES) | {what.judge: ("text",)}
        told = attachments.addressed(what, what.models, reads, answers=True)
        assert told.judge_attachments == ()
        assert told.warnings == ("the judge j reads only the names of a.png",)

    def test_who_is_not_asked_is_not_in_the_way(self) -> None:
        """An analysis has no outer model, an outer model alone no panel, and a run that goes on asks some."""
        what = with_files(IMAGE)
        sees = {seat.model: SEES for seat in what.panel}
        reads = {**sees, what.judge: ("text",), what.outer: ("text",)}
        attachments.addressed(what, what.models, reads, answers=False)
        alone = what._replace(tool_choice="none")
        assert attachments.addressed(alone, alone.models, {what.outer: SEES}, answers=True).warnings == ()
        attachments.addressed(what, {what.panel[0].model}, reads, answers=True)

    def test_what_nobody_knows_is_tried_and_said(self) -> None:
        """A server of one's own has no catalogue."""
        what = with_files(IMAGE, PDF, provider="lab")
        told = attachments.addressed(what, what.models, {}, answers=True)
        assert told.warnings == (
            "whether lab:a, lab:b, lab:o can read PDFs (f.pdf) is not known: sent all the same",
            "whether lab:a, lab:b, lab:o can read images (a.png) is not known: sent all the same",
            "the judge lab:j reads only the names of f.pdf, a.png",
        )

    def test_openrouter_reads_pdfs_for_every_model(self) -> None:
        """Its models need not see for that."""
        what = with_files(PDF)
        told = attachments.addressed(what, what.models, dict.fromkeys(what.models, ("text",)), answers=True)
        assert (told.judge_reads, told.warnings) == (("PDF",), ())

    @pytest.mark.parametrize(("file", "said"), [(IMAGE, "images"), (PDF, "PDFs")])
    def test_embedded_models_read_text_alone(self, file: Attachment, said: str) -> None:
        """The error names them."""
        what = with_files(file, provider="local")
        with pytest.raises(UsageError, match=rf"local:a, local:b, local:o cannot read {said}") as caught:
            attachments.addressed(what, what.models, {}, answers=True)
        assert caught.value.hint == "The embedded models read text alone."


def test_the_wire_has_them_as_parts() -> None:
    """Text first; an image is a data URL, a PDF a file with its bare name; without any, content is a text as ever."""
    named = PDF._replace(name="papers/f.pdf")
    body = request_body(
        ChatRequest(
            ModelName("openrouter", "a"), (Message("system", "s"), Message("user", "q", attachments=(IMAGE, named)))
        )
    )
    assert body["messages"] == [
        {"role": "system", "content": "s"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "q"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE.data}"}},
                {
                    "type": "file",
                    "file": {"filename": "f.pdf", "file_data": f"data:application/pdf;base64,{PDF.data}"},
                },
            ],
        },
    ]


def test_they_count_in_estimates() -> None:
    """An image or a PDF is some tokens at least, more at most, and a longer PDF more than a short one."""
    bare = prompt_count([Message("user", "q")])
    one = prompt_count([Message("user", "q", attachments=(IMAGE,))])
    assert bare.low < one.low < one.high
    long = PDF._replace(data="A" * 4_000_000)
    assert attachments.tokens([long])[1] > attachments.tokens([PDF])[1] > attachments.tokens([PDF])[0]
    without, whole = (estimate(with_files(*files), {}, answers=True) for files in ((), (IMAGE, IMAGE)))
    least = {row.label: row.prompt_tokens.low for row in without.rows}
    more = {row.label: row.prompt_tokens.low - least[row.label] for row in whole.rows}
    assert more == {"a": 500, "b": 500, "j": 0, "o": 500}
    seen = estimate(with_files(IMAGE)._replace(judge_reads=("image",)), {}, answers=True)
    assert [row.prompt_tokens.low - least["j"] for row in seen.rows if row.phase == "judge"] == [250]


def test_a_prompt_without_any_is_as_before() -> None:
    """Nothing is added to it."""
    assert Prompt("q", "m").text() == "q\n\nm"
    assert attachments.named(()) == ""
