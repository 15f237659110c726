"""Promises of `sinks.live.blocks` and `sinks.markdown`: nothing is lost, nothing is hidden, and no text takes long."""

import time

import pytest

from fusion_cli.sinks.drawing import Look
from fusion_cli.sinks.live.blocks import Block, Blocks
from fusion_cli.sinks.markdown import markdown, plain

PLAIN, COLOUR = Look(60), Look(60, has_colour=True)
TRAPS = {
    "markup": "[red]x[/red] [link=foo]y [/] [bold",
    "long line": "x" * 1_000_000,
    "long words": "word " * 100_000,
    "open fence": "```python\n" + "code\n" * 20_000,
    "deep list": "\n".join("  " * depth + "- x" for depth in range(300)),
    "deep list in a line": "- " * 10_000 + "x",
    "deep quote": ">" * 1900 + "x",
    "brackets": "[" * 5000 + "](" * 5000,
    "emphasis": "**a *b " * 5000,
    "table": "|a|b|\n|-|-|\n" + "|1|2|\n" * 3000,
    "list": "- item\n" * 10_000,
    "wide": "日本語" * 20_000,
    "empty lines": "\n" * 100_000,
    "odd spaces": "a\u2028b\u0085c\x0bd\x0ce",
}


def blocks_of(text: str, size: int = 10_000) -> list[Block]:
    """Return the blocks of a text that comes in pieces."""
    blocks = Blocks()
    done = [block for at in range(0, len(text), size) for block in blocks.feed(text[at : at + size])]
    return [*done, *blocks.end()]


def letters(text: str) -> str:
    """Return what must not be lost."""
    return "".join(character for character in text if character.isalnum())


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_blocks_end_where_markdown_says(size: int) -> None:
    """Paragraphs, lists with what belongs to them, fences and tables are one block each, however they arrive."""
    parts = [
        "# Title",
        "one\ntwo",
        "- a\n- b\n\n  more of b\n\n      code of b",
        "1. one",
        "2. two",
        "```sh\n\n# no title\n\n- no list\n```",
        "after",
        "| a |\n|---|\n| 1 |",
        "~~~\nopen to the end\n\n",
    ]
    text = "\n\n".join(parts[:6]) + "\n" + "\n\n".join(parts[6:])
    assert [block.text for block in blocks_of(text, size)] == [part.rstrip("\n") for part in parts]


def test_what_is_open_is_the_rest() -> None:
    """What is in no finished block can be shown until it is."""
    blocks = Blocks()
    assert blocks.feed("one\n\ntw") == []
    assert blocks.feed("o\nthr") == [Block("one")]
    assert blocks.open == "two\nthr"


def test_a_fence_that_is_cut_goes_on_as_code() -> None:
    """A block that grows too long is shown in parts, and each is still what it was."""
    parts = blocks_of("```py\n" + "".join(f"line{n}\n" for n in range(200)) + "```\nafter")
    assert len(parts) > 3
    assert all(part.text.startswith("```py\n") for part in parts[:-1])
    assert [part.goes_on for part in parts] == [False, *(True for _ in parts[2:]), False]
    assert letters("".join(part.text.removeprefix("```py") for part in parts[:-1])) == letters(
        "".join(f"line{n}" for n in range(200))
    )


@pytest.mark.parametrize("name", TRAPS)
def test_traps_are_shown_whole_and_soon(name: str) -> None:
    """Row 29: whatever a model writes, every letter of it is shown, no error comes of it, and it takes little time."""
    text = TRAPS[name]
    before = time.process_time()
    blocks = blocks_of(text)
    shown = "".join(plain(it.text, PLAIN) if it.is_plain else markdown(it.text, PLAIN) for it in blocks)
    took = time.process_time() - before
    if name not in ("open fence", "table"):  # whose first lines are said again where they are cut
        assert letters(shown) == letters(text)
    assert len(letters(shown)) >= len(letters(text)) - len("python")
    assert took < 20
    assert max((len(block.text) for block in blocks), default=0) < 20_000


def test_links_say_where_they_lead() -> None:
    """No link is disguised: its address stands behind it, also in bold, also of an image, and no code makes a link."""
    text = (
        "[**good.com**](https://evil.com/a) <https://e.org> ![cat](http://x/y.png) [a][b]\n\n[b]: https://ref.example"
    )
    drawn = markdown(text, Look(200, has_colour=True))
    assert "\x1b]8" not in drawn
    drawn = markdown(text, Look(200))
    assert "good.com (https://evil.com/a)" in drawn
    assert "https://e.org [image: cat] (http://x/y.png) [a][b]" in drawn
    assert "[b]: https://ref.example" in drawn


def test_html_and_entities_are_text() -> None:
    """Raw HTML is shown, and an entity cannot bring in what cleaning took out."""
    drawn = markdown("<b>x</b>\n\n<script>y</script> &lt;z&gt; &#x202e;w &#27;[31m", PLAIN)
    assert "<b>x</b>" in drawn
    assert "<script>y</script> <z> <U+202E>w" in drawn
    drawn += markdown("[a](http://x/&#x202e;b) ![c](http://y/&#x2067;d)", PLAIN)
    assert "a (http://x/<U+202E>b) [image: c] (http://y/<U+2067>d)" in drawn
    assert not set(drawn) & {"\x1b", "\u202e", "\u2067"}


def test_code_is_as_it_was_written() -> None:
    """Indentation stands, a long line is wrapped and not cut, and brackets are no style."""
    drawn = markdown("```python\nif x:\n\treturn [red]\n" + "y" * 100 + "\n```", PLAIN)
    assert drawn == "  if x:\n      return [red]\n  " + "y" * 58 + "\n  " + "y" * 42 + "\n"


def test_colour_is_all_that_styles_add() -> None:
    """The same text without colour has the same words."""
    text = "# T\n\n**bold** `code` *it* ~~no~~\n\n> quote\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    assert "\x1b[" in markdown(text, COLOUR)
    assert "\x1b" not in markdown(text, PLAIN)


def test_signs_of_ours_give_way_to_ascii() -> None:
    """Where the encoding is not UTF-8, bullets and rules are ASCII."""
    assert markdown("- a\n\n> b", Look(60, is_ascii=True)).isascii()
