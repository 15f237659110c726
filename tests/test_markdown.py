"""Promises of `markdown`: somebody else's text keeps its form in a document, and cannot leave its place there."""

import random
import time
from typing import Any

import pytest
from markdown_it import MarkdownIt

from fusion_cli.markdown import contained, in_html, inline

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
PIECES = (
    *("```", "~~~", "````", "```python", "`", "``", "\\`", "\\", "<b>", "</details>", "<!--", "-->", "<script>", "<?x"),
    *("![a](http://x/y.png)", "[a](http://x)", "[a]: http://x '", "# h", "## h", "#", "===", "---", "- ", "1. ", "> "),
    *(
        "* ",
        "    ",
        "  ",
        "\t",
        "\n",
        "\n",
        "\n",
        "\n\n",
        "word ",
        "| a | b |",
        "| - | - |",
        "*",
        "_",
        "<",
        ">",
        "&lt;",
    ),
    *("<a href='`'>", "'", '"', "(", ")", "<http://x>", "\u2028", "\x1b[31m", "\r", "$$", "[^1]:", "```\n</details>"),
)


def everything(text: str) -> list[Any]:
    """Return all tokens of a document, those of its lines among them."""
    return [inner for token in PARSER.parse(text) for inner in (token, *(token.children or ()))]


def stays_in_its_place(text: str) -> None:
    """Assert that text which is put into a document is contained in it."""
    tokens = everything(f"# Title\n\n{contained(text)}\n\n## End\n\nafter\n")
    assert [token.type for token in tokens if token.type.startswith(("html", "image"))] == [], text
    at = [n for n, token in enumerate(tokens) if token.type == "heading_open" and token.tag in ("h1", "h2", "h3")]
    assert [(tokens[n].tag, tokens[n].level, tokens[n + 1].content) for n in at] == [
        ("h1", 0, "Title"),
        ("h2", 0, "End"),
    ], text
    assert [(token.level, token.content) for token in tokens if token.type == "inline"][-1] == (1, "after"), text


@pytest.mark.parametrize("seed", range(20))
def test_no_text_leaves_its_place(seed: int) -> None:
    """Whatever a text is made of: no HTML, no picture, no heading above its own, and the document goes on after it."""
    dice = random.Random(seed)  # noqa: S311  # no secret
    for _ in range(250):
        stays_in_its_place("".join(dice.choices(PIECES, k=dice.randint(1, 25))))


@pytest.mark.parametrize(
    "text",
    [
        "```\nunclosed",
        "- a\n  ```\n</details>\n",
        "- ```python\n  <b>\n  ```\n</details>",
        "> ```\n</details>",
        "a ` b\n`</details>`",
        "| ` | <b> ` |\n| - | - |",
        "`<a title=\"`\" <x> `\">`",
        "~~~ `\n```\n~~~\n<b>",
        "Title\n===\n",
        "Title\n---\n",
        "- # h\n> ## h",
        "<details>\n<summary>Answer</summary>",
        "[End]: http://evil.example",
    ],
)  # fmt: skip
def test_what_would_reach_further_does_not(text: str) -> None:
    """The known ways out are closed, one by one."""
    stays_in_its_place(text)


@pytest.mark.parametrize(
    "text",
    [
        "A paragraph, *em* and **strong**.\n\n- one\n- two\n\n1. a\n2. b",
        "a < b and b > c, `List<int>` and ``x ` <T>``",
        "```c\n#include <stdio.h>\n# not a heading\n![no](picture)\n```",
        "> quoted\n> text",
        "| a | b |\n| - | - |\n| 1 | 2 |",
        "[a link](https://x.example/) and https://y.example/",
        "a\n\n---\n\nb",
    ],
)
def test_what_is_harmless_stays_as_it_is(text: str) -> None:
    """Lists, code, tables, quotes and links are not touched."""
    assert contained(text) == text


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("# One\ntext", "#### One\ntext"),
        ("##### Five", "###### Five"),
        ("#hash", "#hash"),
        ("- a\n  ```py\n  x = 1\n    y\n  ```\n- b", "- a\n```py\nx = 1\n  y\n```\n- b"),
        ("a <b>bold</b>", "a &lt;b>bold&lt;/b>"),
        ("![x](y)", r"!\[x](y)"),
        ("```\nx", "```\nx\n```"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("a&#x202e;b &rlm; R&D &amp;", "a&amp;#x202e;b &amp;rlm; R&D &amp;"),
    ],
)
def test_what_is_changed(text: str, result: str) -> None:
    """Headings are lowered, fences brought to the margin and closed, HTML and pictures shown as they are written."""
    assert contained(text) == result


@pytest.mark.parametrize("text", ["`" * 2_000_000, "` " * 500_000, "<" * 1_000_000, "> " * 500_000, "1. " * 300_000])
def test_long_lines_do_not_take_long(text: str) -> None:
    """A megabyte on one line is a matter of moments."""
    begun = time.monotonic()
    contained(text)
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("seed", range(5))
def test_an_inline_text_is_text(seed: int) -> None:
    """In a list, a table or a heading, no character of it is Markdown."""
    dice = random.Random(seed)  # noqa: S311  # no secret
    for _ in range(200):
        text = inline("".join(dice.choices(PIECES, k=dice.randint(1, 12)))) or "x"
        for document in (f"- {text}", f"# {text}", f"| a |\n| - |\n| {text} |"):
            kinds = {token.type.removesuffix("_open").removesuffix("_close") for token in everything(document)}
            frame = {"bullet_list", "list_item", "paragraph", "heading", "table", "thead", "tbody", "tr", "th", "td"}
            assert kinds <= {*frame, "inline", "text", "text_special"}, document


def test_in_html_there_are_no_tags() -> None:
    """What stands between two tags ends neither."""
    assert in_html('</summary><b a="x">&amp;\n') == "&lt;/summary&gt;&lt;b a=&quot;x&quot;&gt;&amp;amp;"
