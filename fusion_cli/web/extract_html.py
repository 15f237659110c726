"""The text of an HTML page, read by `plain_html` and by trafilatura of the extra `web`: the better of the two.

Owns the choice and what has to be done to a page so that trafilatura keeps its code and its links; knows no network
and no budget of tokens.
"""

import logging
import re
from collections.abc import Sequence
from typing import Any

from fusion_cli.web.extract_limits import Found, Limits, alarm, bounded
from fusion_cli.web.guard import WebError
from fusion_cli.web.plain_html import LINE_NUMBERS, PERMALINKS, TARGETS, Page, Reader, link_target

_LEAST_COVERED = 0.85  # of the page's prose; below that trafilatura has taken a part for the whole
_MOST_COMPARED = 300
_LEAST_NOISE = 1.3  # ours is that much longer; below that it is names, dates and captions that trafilatura drops
_LEAST_PLAIN = 100

_BLANK = "\u2e3d\u2e3d"  # stands for an empty line of code, which trafilatura would drop
_QUOTED = "\u2e3e"  # stands for the mark of a quotation, which it would not write
_ESCAPED = re.compile(r"(?<![`\\])(`{1,20})(?!`)[^\n]+?(?<!`)\1(?!`)|(\\+)([*_`~\[\]<])")


def read_html(text: str, url: str, limits: Limits) -> Found:
    """Return a page's title and its text as Markdown.

    Raises:
        WebError: It has no text.
    """
    is_scripted = re.search(r"<script\b", text, re.IGNORECASE) is not None
    if len(text) > limits.html_chars:
        text = _without_scripts(text)
    plain, missing = _plain(text[: limits.html_chars], url, limits)
    if len(text) > limits.html_chars:
        missing = missing or "the page is too large to be read whole"
    if not missing and not plain.is_thread and text.count("<") <= limits.rich_tags:
        rich = _rich(text, url, limits)
        if rich and len(plain.text) > _LEAST_NOISE * len(rich) and _covers(rich, plain.prose):
            return Found(plain.title, rich)
    if not plain.text.strip():
        if missing:
            raise WebError(f"no text was found in the page: {missing}")
        script = " of its own: a script, which is not run here, would have to make it" if is_scripted else ""
        raise WebError(f"the page has no text{script}")
    return Found(plain.title, plain.text, missing)


def _covers(rich: str, prose: Sequence[str]) -> bool:
    """Say whether a text has nearly all of a page's prose: of a thread, one answer is not enough."""
    had = re.sub(r"\W+", "", TARGETS.sub("]", rich))
    blocks = [re.sub(r"\W+", "", block[:200]) for block in prose[:: len(prose) // _MOST_COMPARED + 1]]
    return sum(len(block) for block in blocks if block in had) >= _LEAST_COVERED * sum(map(len, blocks))


def _without_scripts(text: str) -> str:
    kept: list[str] = []
    end = 0
    for start in re.finditer(r"<(script|style|svg)\b", text, re.IGNORECASE):
        if start.start() < end:
            continue
        kept.append(text[end : start.start()])
        close = re.compile(f"</{start[1]}", re.IGNORECASE).search(text, start.end())
        if not close:
            return "".join(kept)
        end = text.find(">", close.end()) + 1 or len(text)
    return "".join((*kept, text[end:]))


def _plain(text: str, url: str, limits: Limits) -> tuple[Page, str]:
    """Return what our own reader finds, and what it had to leave out."""
    page, missing = _plain_pass(text, url, limits, lenient=False)
    if len(page.text) < _LEAST_PLAIN and not missing:  # such as a page that is one large form
        second, missing = _plain_pass(text, url, limits, lenient=True)
        page = second if len(second.text) > 2 * len(page.text) else page
    return page, missing


def _plain_pass(text: str, url: str, limits: Limits, *, lenient: bool) -> tuple[Page, str]:
    reader = Reader(url, alarm(limits.plain_s, limits.clock), lenient=lenient)
    missing = ""
    try:
        reader.feed(text)
        reader.close()
    except TimeoutError:
        missing = "the rest of the page took too long to read"
    except Exception:  # noqa: BLE001  # html.parser asserts a few things that pages do not know of
        missing = "the rest of the page could not be read"
    return reader.page(), missing


def _rich(text: str, url: str, limits: Limits) -> str:
    """Return the page's main part as trafilatura finds it; an empty string where it finds none or is not there."""
    try:
        import trafilatura
    except ImportError:
        return ""
    for name in ("trafilatura", "htmldate", "courlan", "justext"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # what is wrong with a page is nobody's news

    def read() -> str:
        tree = trafilatura.load_html(text)
        if tree is None:
            return ""
        _prepare(tree, url)
        markdown = trafilatura.extract(
            tree, output_format="markdown", include_links=True, include_images=False, favor_recall=True, fast=True
        )
        return _tidied(markdown or "")

    try:
        return bounded(limits.rich_s, limits.clock, read)
    except Exception:  # noqa: BLE001  # whatever it stumbles over, ours has read the page
        return ""


def _prepare(tree: Any, url: str) -> None:
    """Make of an lxml tree what trafilatura keeps as it is: whole links, bare code, marked quotations."""
    base = next((link_target(url, each.get("href", "")) for each in tree.iter("base")), "") or url
    for element in list(tree.iter("noscript", "button", "a", "td", "div", "span", "pre")):
        if element.getparent() is None:
            continue
        if _is_no_text(element):
            element.drop_tree()
        elif element.tag == "a":
            if target := link_target(base, element.get("href", "")):
                element.set("href", target)
            else:
                element.drop_tag()
    for element in list(tree.iter("pre")):
        _prepare_code(element)
    for quotation in tree.iter("blockquote"):
        for element in list(quotation.iter("p")) or [quotation]:
            element.text = _QUOTED + (element.text or "").lstrip()
    for element in tree.iter():
        if element.text and element.tag not in {"pre", "code"} and isinstance(element.tag, str):
            element.text = re.sub(r"\s+", " ", element.text)
        if element.tail:
            element.tail = re.sub(r"\s+", " ", element.tail)


def _is_no_text(element: Any) -> bool:
    return (
        element.tag in {"noscript", "button"}
        or (element.tag == "a" and (element.text or "").strip() in PERMALINKS)
        or not LINE_NUMBERS.isdisjoint(element.get("class", "").split())
    )


def _prepare_code(element: Any) -> None:
    """Make one piece of code of a `pre`, and no table of what it stands in beside the numbers of its lines."""
    for above in element.iterancestors("table", "thead", "tbody", "tr", "td", "th"):
        above.tag = "div"
    for line_break in element.iter("br"):
        line_break.tail = "\n" + (line_break.tail or "")
    text = element.text_content().replace("\r\n", "\n").removeprefix("\n").rstrip()
    tail = (element.tail or "").strip()
    element.clear()
    code = element.makeelement("code")  # without it trafilatura has to guess, and guesses wrong
    code.text = re.sub(r"(?m)^[ \t]*$", _BLANK, text)
    element.append(code)
    element.tail = tail


def _tidied(markdown: str) -> str:
    """Return Markdown with its prose as it was written, without escapes: a model is to quote it."""
    lines: list[str] = []
    fence = ""
    for line in markdown.split("\n"):
        marks = re.match(r" *(`{3,})", line)
        if fence:
            lines.append(line.replace(_BLANK, ""))
            if line.strip() == fence:
                fence = ""
                lines.append("")
        elif marks:
            fence = marks[1]
            lines.append(line)
        elif line.strip() or (lines and lines[-1]):
            lines.append(_ESCAPED.sub(_unescaped, line).rstrip().replace(_BLANK, "").replace(_QUOTED, "> "))
    return "\n".join(lines).strip()


def _unescaped(match: re.Match[str]) -> str:
    return match[0] if match[1] else match[2][: (len(match[2]) - 1) // 2] + match[3]
