"""Untrusted text in the page: escaped, or its Markdown rendered to HTML that holds no script and loads nothing.

Its own HTML is shown as it is written, a link goes to http and https alone, and a picture is a link. Pure.
"""

from __future__ import annotations

import re
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml

from fusion_cli.terminal import clean, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token

_HEADINGS = "headings"  # under which the open headings' levels stand in a rendering's own data
_DEEPEST = 6
# What is beyond these is shown as it is written: parsing some of it takes more than linear time.
_LONGEST, _LONGEST_LINE, _MOST_BRACKETS = 200_000, 10_000, 2000
_DEEPEST_NESTING = 40
_SIDES = ("center", "right")  # of a cell; all others are on the left
_LINK = 'rel="noopener noreferrer nofollow"'


def plain(text: str, limit: int = 2000) -> str:
    """Return text as one line in which nothing is HTML."""
    return escape(one_line(text, limit))


def inline(text: str, limit: int = 2000) -> str:
    """Return one line of Markdown as HTML."""
    return str(_markdown().renderInline(one_line(text, limit), {}))


def block(text: str, below: int) -> str:
    """Return Markdown as HTML, in a box of its own; its headings go on from the level of the one above it."""
    text = clean(text).strip("\n")
    parser = _markdown()
    if _is_quick(text):
        tokens = parser.parse(text)
        if all(token.level < _DEEPEST_NESTING for token in tokens):  # what is deeper, the parser leaves out
            html = parser.renderer.render(tokens, parser.options, {_HEADINGS: (below, [])})
            return f'<div class="text" dir="auto">\n{html}</div>'
    return f'<div class="text" dir="auto"><pre class="wrapped">{escape(text)}</pre></div>'


def _is_quick(text: str) -> bool:
    """Tell whether a text is one whose parsing takes a second or so at the most, whoever wrote it."""
    is_short = len(text) <= _LONGEST and all(len(line) <= _LONGEST_LINE for line in text.split("\n"))
    return is_short and text.count("[") <= _MOST_BRACKETS


def address(url: str) -> str:
    """Return an address, as a link where it can be one."""
    shown = plain(url, 300)
    return f'<a href="{escape(url)}" {_LINK}>{shown}</a>' if _is_safe(url) else shown


def _is_safe(url: str) -> bool:
    return re.fullmatch(r"https?://[!-~]+", url, re.IGNORECASE) is not None


@cache
def _markdown() -> MarkdownIt:
    limits = {"maxNesting": _DEEPEST_NESTING + 1}
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False, "typographer": False, **limits})
    parser.enable(["table", "strikethrough"])
    parser.validateLink = _is_safe  # type: ignore[method-assign]  # as its documentation says
    for name, rule in _RULES.items():
        parser.add_render_rule(name, rule)
    return parser


def _text(self: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    return escapeHtml(clean(tokens[at].content))  # once more: an entity may stand for a control character


def _link_open(self: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    return f'<a href="{escape(str(tokens[at].attrGet("href") or ""))}" {_LINK}>'


def _image(self: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    url = str(tokens[at].attrGet("src") or "")
    return f"{escape(tokens[at].content)} ({address(url)})"


def _heading_open(self: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    """Put a heading one below the one that it belongs to, whatever levels its author jumped over."""
    below, stack = env.setdefault(_HEADINGS, (1, []))
    level = int(tokens[at].tag[1:])
    while stack and stack[-1] >= level:
        stack.pop()
    stack.append(level)
    return f"<h{min(_DEEPEST, below + len(stack))}>"


def _heading_close(self: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    below, stack = env[_HEADINGS]
    return f"</h{min(_DEEPEST, below + len(stack))}>\n"


def _table_open(self: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    return '<div class="scroll" tabindex="0" role="group" aria-label="Table">\n<table>\n'


def _table_close(self: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    return "</table>\n</div>\n"


def _th_open(self: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    return f'<th scope="col"{_aligned(tokens[at])}>'


def _td_open(self: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    return f"<td{_aligned(tokens[at])}>"


def _aligned(cell: Token) -> str:
    """Return the class that aligns a cell as its table says."""
    side = str(cell.attrGet("style") or "").removeprefix("text-align:")
    return f' class="{side}"' if side in _SIDES else ""


def _code(self: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    return f'<pre tabindex="0"><code>{escape(tokens[at].content)}</code></pre>\n'


_RULES = {
    "text": _text,
    "link_open": _link_open,
    "image": _image,
    "heading_open": _heading_open,
    "heading_close": _heading_close,
    "table_open": _table_open,
    "table_close": _table_close,
    "th_open": _th_open,
    "td_open": _td_open,
    "fence": _code,
    "code_block": _code,
}
