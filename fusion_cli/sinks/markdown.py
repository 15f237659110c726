"""Markdown that a model wrote, drawn by rich so that it hides nothing: links show where they lead, HTML is text.

Images are not fetched, code is not coloured (which takes ten times as long), nothing is markup of rich's. A text that
cannot be drawn so is drawn as it was written.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from fusion_cli.sinks.drawing import Look, rendered
from fusion_cli.terminal import clean

_DEEPEST = 12  # levels of tokens, two for each list in a list: more would leave no width


def markdown(text: str, look: Look) -> str:
    """Return a clean text drawn as Markdown, in lines."""
    try:
        return _without_blank_ends(rendered(_renderable(text), look))
    except Exception:  # noqa: BLE001  # whatever a text does to a library, it is shown
        return plain(text, look)


def _without_blank_ends(lines: str) -> str:
    """Return drawn lines without the blank ones that rich puts around some elements; those may have a style."""
    blank = r"(?:\x1b\[[\d;]*m|\s)*"
    return re.sub(rf"\A{blank}\n|\n{blank}\Z", "", lines) + "\n"


def plain(text: str, look: Look) -> str:
    """Return a clean text as it was written, in lines that fit."""
    from rich.text import Text

    return rendered(Text(text, overflow="fold"), look)


def _renderable(text: str) -> Any:
    from rich.text import Text

    tokens = _parser().parse(text)
    if max((token.level for token in tokens), default=0) > _DEEPEST:
        return Text(text, overflow="fold")
    for token in tokens:
        if token.children:
            token.children = _without_disguises(token.children)
    drawn = _markdown_class()("")
    drawn.parsed = tokens
    return drawn


def _without_disguises(children: list[Any]) -> list[Any]:
    """Return inline tokens without links and images: their texts stand there, and their addresses behind them."""
    from markdown_it.token import Token

    kept: list[Any] = []
    links: list[tuple[str, int]] = []
    for token in children:
        token.content = clean(token.content)  # once more: an entity may stand for a control character
        if token.type == "link_open":
            links.append((_destination(token, "href"), len(kept)))
        elif token.type == "link_close" and links:
            href, start = links.pop()
            said = "".join(inner.content for inner in kept[start:])
            if said != href:
                kept.append(Token("text", "", 0, content=f" ({href})"))
        elif token.type == "image":
            kept.append(Token("text", "", 0, content=f"[image: {token.content}] ({_destination(token, 'src')})"))
        else:
            kept.append(token)
    return kept


def _destination(token: Any, name: str) -> str:
    return clean(str(token.attrs.get(name, "")))  # here, too, an entity may stand for a control character


@cache
def _parser() -> Any:
    from markdown_it import MarkdownIt

    parser: Any = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
    parser.disable("reference")  # a definition would not be shown
    parser.normalizeLink = lambda url: url  # shown as it was written
    parser.validateLink = lambda url: True
    return parser


@cache
def _markdown_class() -> Any:
    from rich.markdown import CodeBlock, Heading, Markdown
    from rich.padding import Padding
    from rich.text import Text

    class PlainCode(CodeBlock):
        def __rich_console__(self, console: Any, options: Any) -> Any:
            code = Text(str(self.text).rstrip("\n"), "cyan", overflow="fold", tab_size=4)
            yield Padding(code, (0, 0, 0, 2))

    class LeftHeading(Heading):
        def __rich_console__(self, console: Any, options: Any) -> Any:
            text = Text("#" * int(self.tag[1:]) + " " + self.text.plain, "bold")
            yield text

    class Drawn(Markdown):
        elements = {  # noqa: RUF012  # as rich has it
            **Markdown.elements,
            "fence": PlainCode,
            "code_block": PlainCode,
            "heading_open": LeftHeading,
        }

    return Drawn
