"""The text of an HTML page by the standard library alone: headings, links, lists, code and tables as Markdown.

Drops what the page itself marks as navigation, form or script, keeps everything else; knows no network, no budget and
no other format.
"""

import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import urljoin

PERMALINKS = {"\u00b6", "#", "\U0001f517", "\uf0c1"}  # the whole text of a link from a heading to itself
LINE_NUMBERS = {"linenos", "linenodiv", "lineno"}  # classes of what stands beside code, or in it
TARGETS = re.compile(r"\]\([^)\s]{0,600}\)")
_NUMBERED = {"td", "div", "span", "pre"}
_LONGEST_TARGET = 300

_DROPPED = {"script", "style", "nav", "header", "footer", "form", "aside", "noscript", "template", "svg", "iframe"}
_DROPPED |= {"object", "canvas", "video", "audio", "button", "select", "textarea", "dialog"}
_ALWAYS_DROPPED = _DROPPED - {"header", "form", "aside", "footer", "nav"}
_BOXES = {"div", "section", "ul", "ol", "table"}
_BESIDE_ROLES = {"navigation", "banner", "contentinfo", "search", "dialog", "alertdialog", "complementary", "menu"}
# Only whole names: a box called `nav-content-wrap` may hold the page.
_BESIDE_NAMES = re.compile(
    r"(?:site|page|post|global|top|main|left|right|primary|secondary|cookie|nav|ad)?[-_]?"
    r"(?:navbar|navigation|nav|menu|sidebar|topbar|breadcrumbs?|footer|cookies?|consent|banner|newsletter|"
    r"advert|advertisement|ads?|nav[-_]?links)"
)
# Remarks of the text itself, which docutils and forums put into an `aside`.
_TEXT_ASIDES = {"quote", "admonition", "topic", "footnote", "footnote-list", "note", "tip", "warning", "callout"}
_POSTS = {"answer", "post", "reply", "comment", "message", "topic-post", "crawler-post", "comtr", "timeline-comment"}
_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}
_BLOCKS = {"p", "div", "section", "article", "main", "figure", "figcaption", "address", "details", "summary", "dl"}
_BLOCKS |= {"dt", "dd", "hr", "center", "body", "fieldset", "caption", "thead", "tbody", "tfoot", "title", "header"}
_BLOCKS |= {"footer", "aside", "nav", "form", "hgroup", "legend"}
_LONGEST_CELL = 400  # a table with longer cells lays out the page
_DEEPEST_LIST = 8
_LEAST_MAIN = 200
_LEAST_PROSE = 40


class Page(NamedTuple):
    """What was found in a page.

    Attributes:
        title: The page's own title; empty where it has none.
        text: Its text as Markdown; empty where it has none.
        prose: Those blocks of the text that are more than links, and longer than a name or a date; without targets.
        is_thread: Whether it holds several posts, answers or comments.
    """

    title: str
    text: str
    prose: Sequence[str]
    is_thread: bool


class _Block(NamedTuple):
    kind: str  # "text", "item" or "row": the latter two follow their like without an empty line
    text: str
    linked: int
    in_main: bool


def link_target(base: str, href: str) -> str:
    """Return where a link leads as a model can use it; an empty string for one that leads nowhere else."""
    href = href.strip()
    if not href or href.startswith("#") or len(href) > _LONGEST_TARGET:
        return ""
    try:
        target = re.sub(r"\s", "%20", urljoin(base, href)).replace("(", "%28").replace(")", "%29")
    except ValueError:
        return ""
    return target if target.startswith(("http://", "https://")) and len(target) <= _LONGEST_TARGET else ""


class Reader(HTMLParser):
    """Collect the blocks of a page that is fed to it; what was read so far can be had at any moment.

    Args:
        url: Where the page is from: relative links are relative to it.
        on_piece: Called before each piece of the page is taken; what it raises comes out of `feed` and `close`.
        lenient: Keep everything but scripts and the like, for pages that put their text where text does not belong.
    """

    def __init__(self, url: str, on_piece: Callable[[], None], *, lenient: bool = False) -> None:
        super().__init__(convert_charrefs=True)
        self._base, self._on_piece, self._lenient = url, on_piece, lenient
        self._blocks: list[_Block] = []
        self._titles: dict[str, str] = {}
        self._reading: str | None = None  # the kind of title that is being read
        self._skipped, self._skip_depth = "", 0
        self._main, self._main_depth = "", 0
        self._article_depth = 0
        self._parts: list[str] = []
        self._link: tuple[int, str] | None = None  # the first of its parts, and where it leads
        self._linked = self._posts = 0
        self._in_code = False
        self._prefix = ""
        self._lists: list[int] = []  # the number of the last item; -1 in a list without numbers
        self._pre: list[str] | None = None
        self._quotes = 0
        self._cells: list[str] = []
        self._in_cell = self._all_heads = False

    def page(self) -> Page:
        """Return what was read."""
        if self._pre is not None:
            self._end_pre()
        self._end_row()
        self._flush()
        blocks = self._blocks
        main = [block for block in blocks if block.in_main]
        if sum(len(block.text) for block in main) >= _LEAST_MAIN:
            blocks = main
        pieces: list[str] = []
        before = ""
        for block in blocks:
            if pieces:
                pieces.append("\n" if block.kind == before != "text" else "\n\n")
            pieces.append(block.text)
            before = block.kind
        title = next((name for kind in ("og", "title", "h1") if (name := self._titles.get(kind, "").strip())), "")
        bare = [(TARGETS.sub("]", block.text), block.linked) for block in blocks]
        prose = [text for text, linked in bare if len(text) >= _LEAST_PROSE and linked * 2 < len(text)]
        return Page(" ".join(title.split()), "".join(pieces), prose, self._posts > 1)

    # What html.parser calls.

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element."""
        self._on_piece()
        if self._skipped:
            self._skip_depth += tag == self._skipped
        elif tag == "meta":
            named = dict(attrs)
            if named.get("property") == "og:title":
                self._titles.setdefault("og", named.get("content") or "")
        elif tag == "base":
            self._base = link_target(self._base, dict(attrs).get("href") or "") or self._base
        elif self._is_beside(tag, dict(attrs)):
            if self._pre is None:
                self._flush()
            self._skipped, self._skip_depth = tag, 1
        elif self._pre is not None:
            if tag == "br":
                self._pre.append("\n")
        else:
            self._open(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        """Close an element."""
        self._on_piece()
        if self._reading and tag in {"title", "h1"}:
            self._reading = None
        if self._skipped:
            self._skip_depth -= tag == self._skipped
            if not self._skip_depth:
                self._skipped = ""
        elif self._pre is not None:
            if tag == "pre":
                self._end_pre()
        else:
            self._close(tag)

    def handle_data(self, data: str) -> None:
        """Take text."""
        self._on_piece()
        if self._reading:
            self._titles[self._reading] = (self._titles.get(self._reading, "") + data)[:1000]
        if self._skipped or self._reading == "title":
            return
        if self._pre is not None:
            self._pre.append(data)
            return
        self._parts.append(re.sub(r"[ \t\r\n\f]+", " ", data))

    def handle_comment(self, data: str) -> None:
        """Pass over what nobody sees."""
        self._on_piece()

    handle_pi = unknown_decl = handle_comment
    handle_decl = handle_comment  # type: ignore[assignment]  # it is given by position, whatever its name is

    # What the elements mean.

    def _is_beside(self, tag: str, named: dict[str, str | None]) -> bool:
        """Say whether an element stands beside the page's text, or is none; count the posts of a thread."""
        names = {*f"{named.get('class') or ''} {named.get('id') or ''}"[:1000].lower().split()}
        self._posts += not names.isdisjoint(_POSTS)
        if tag in _ALWAYS_DROPPED or (tag in _NUMBERED and not names.isdisjoint(LINE_NUMBERS)):
            return True
        if self._lenient:
            return False
        if tag == "header":
            return not self._article_depth  # an article's own header has its heading
        if tag == "aside":
            return names.isdisjoint(_TEXT_ASIDES)
        if tag not in _BOXES:
            return tag in _DROPPED
        return (named.get("role") or "").lower() in _BESIDE_ROLES or any(map(_BESIDE_NAMES.fullmatch, names))

    def _open(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == self._main:
            self._main_depth += 1
        elif not self._main and (tag == "main" or ("role", "main") in attrs):
            self._flush()
            self._main, self._main_depth = tag, 1
        if tag == "article":
            self._article_depth += 1
        if tag == "title":
            self._reading = None if "title" in self._titles else "title"
        elif tag == "a":
            self._end_link()
            if not self._in_code:
                self._link = (len(self._parts), link_target(self._base, dict(attrs).get("href") or ""))
        elif tag == "br":
            self._parts.append(" " if self._in_cell else "\n")
        elif tag == "code":
            self._parts.append("`")
            self._in_code = True
        elif tag == "pre":
            self._leave_row()
            self._pre = []
        elif tag in _HEADINGS:
            self._leave_row()
            self._prefix = _HEADINGS[tag]
            if tag == "h1" and "h1" not in self._titles:
                self._reading = "h1"
        elif tag in {"ul", "ol", "menu"}:
            self._break()
            self._lists.append(0 if tag == "ol" else -1)
        elif tag == "li":
            self._break()
            self._begin_item()
        elif tag == "blockquote":
            self._leave_row()
            self._quotes += 1
        elif tag == "table":
            self._leave_row()
        elif tag == "tr":
            self._end_row()
            self._all_heads = True
        elif tag in {"td", "th"}:
            self._end_cell()
            self._in_cell = True
            self._all_heads = self._all_heads and tag == "th"
        elif tag in _BLOCKS:
            self._break()

    def _close(self, tag: str) -> None:
        if tag == "a":
            self._end_link()
            self._link = None
        elif tag == "code":
            self._parts.append("`")
            self._in_code = False
        elif tag in {"ul", "ol", "menu"}:
            self._break()
            if self._lists:
                self._lists.pop()
        elif tag == "blockquote":
            self._flush()
            self._quotes = max(0, self._quotes - 1)
        elif tag in {"td", "th"}:
            self._end_cell()
        elif tag in {"tr", "table"}:
            self._end_row()
        elif tag == "li" or tag in _HEADINGS or tag in _BLOCKS or (tag == "cite" and self._quotes):
            self._break()
        if tag == "article":
            self._article_depth = max(0, self._article_depth - 1)
        if tag == self._main:
            self._main_depth -= 1
            if not self._main_depth:
                self._flush()
                self._main = ""

    def _begin_item(self) -> None:
        if self._in_cell:
            return
        marker = "- "
        if self._lists and self._lists[-1] >= 0:
            self._lists[-1] += 1
            marker = f"{self._lists[-1]}. "
        self._prefix = "  " * (min(len(self._lists), _DEEPEST_LIST) - 1) + marker

    # What becomes of the text.

    def _add(self, kind: str, text: str, linked: int = 0) -> None:
        if self._quotes:
            text = re.sub(r"(?m)^", "> ", text)
        self._blocks.append(_Block(kind, text, linked, bool(self._main)))

    def _taken(self) -> str:
        """Return the collected text, its white space made as a browser shows it."""
        self._end_link()
        text = re.sub(r" *\n *", "\n", re.sub(r"  +", " ", "".join(self._parts))).strip().replace("``", "")
        self._parts.clear()
        return text

    def _end_link(self) -> None:
        """Write the open link around what was collected of its text; what follows in another block is bare."""
        if self._link is None:
            return
        start, target = self._link
        text = "".join(self._parts[start:])
        if not (shown := text.strip()):
            return
        self._link = None
        self._linked += len(shown)
        if shown in PERMALINKS:
            del self._parts[start:]
        elif target:
            self._parts[start:] = [text.replace(shown, f"[{' '.join(shown.split())}]({target})", 1)]

    def _break(self) -> None:
        """Begin a new block; within a table's cell, only a new word."""
        if self._in_cell:
            self._parts.append(" ")
        else:
            self._flush()

    def _flush(self) -> None:
        """End the block that is being collected."""
        text, linked, prefix = self._taken(), self._linked, self._prefix
        if not text:
            return  # an item whose text comes in a paragraph of its own keeps its marker
        self._linked, self._prefix = 0, ""
        if prefix.startswith("#"):
            text = prefix + " ".join(text.split())
        elif prefix:
            text = prefix + text.replace("\n", "\n" + " " * len(prefix))
        self._add("item" if prefix and not prefix.startswith("#") else "text", text, linked)

    def _end_pre(self) -> None:
        code = "".join(self._pre or ()).replace("\r\n", "\n").removeprefix("\n").rstrip()
        self._pre = None
        if code.strip():
            fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", code)), default=0))
            self._add("text", f"{fence}\n{code}\n{fence}")

    def _end_cell(self) -> None:
        if self._in_cell:
            self._cells.append(self._taken())
            self._in_cell = False

    def _end_row(self) -> None:
        self._end_cell()
        cells, self._cells = self._cells, []
        linked, self._linked = self._linked, 0
        if sum(map(bool, cells)) < 2 or max(map(len, cells)) > _LONGEST_CELL:
            for cell in filter(None, cells):
                self._add("text", cell, linked)
            return
        row = "| " + " | ".join(cell.replace("\n", " ").replace("|", "\\|") for cell in cells) + " |"
        self._add("row", row + ("\n" + "|---" * len(cells) + "|" if self._all_heads else ""), linked)

    def _leave_row(self) -> None:
        """Begin something that no cell can hold: what stands around it is text, not a row."""
        if self._in_cell or self._cells:
            self._end_row()
        else:
            self._flush()
