"""What a model reads of a fetched page: its title and its text, from HTML, PDF or anything that is text already.

Pure work of the processor, bounded in time whatever the page holds; fetches nothing and knows no model. The packages
of the extra `web` are imported when there is a page for them; without them HTML is read by `plain_html`, PDF not.
"""

import codecs
import logging
import re
import sys
from collections.abc import Callable, Sequence
from io import BytesIO
from itertools import count
from time import thread_time
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urljoin

from fusion_cli.fitting import fit
from fusion_cli.terminal import clean, one_line
from fusion_cli.web.guard import WebError
from fusion_cli.web.plain_html import Page, Reader

DEFAULT_TOKENS = 8000
MAX_PDF_PAGES = 50

# Seconds of the thread's own processor time, so that a busy machine cuts no page short.
_PLAIN_S = 1.5
_RICH_S = 2.0
_PDF_S = 4.0

_MOST_HTML_CHARS = 2_000_000  # besides scripts; a hostile page takes two hundred times its size
_MOST_RICH_TAGS = 60_000  # a tree is copied several times
_LEAST_COVERED = 0.85  # of the page's prose; below that trafilatura has taken a part for the whole
_MOST_COMPARED = 300
_LEAST_PLAIN = 100
_LONGEST_TARGET = 300

_TEXT_TYPES = re.compile(
    r"text/.*|.*[+/](?:json|xml|yaml|x-yaml|toml|javascript|x-javascript|ecmascript|x-sh|sql|graphql|x-ndjson|"
    r"json-seq|jsonl|x-tex|x-latex|rtf|x-httpd-php|x-subrip)|application/(?:xml-dtd|x-www-form-urlencoded|mbox)"
)
_HTML_START = re.compile(rb"\s{0,1000}<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_META_CHARSET = re.compile(rb"<meta\b[^>]{0,300}?charset\s{0,9}=\s{0,9}[\"']?\s{0,9}([\w.:-]{1,40})", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"\s{0,9}<\?xml\b[^>]{0,100}?encoding\s{0,9}=\s{0,9}[\"']([\w.:-]{1,40})")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# As browsers have it: these names say Windows' superset. What Python calls by the others is no character set.
_MEANT = {"iso8859-1": "cp1252", "ascii": "cp1252", "iso8859-9": "cp1254", "gb2312": "gb18030", "gbk": "gb18030"}
_NO_CHARSETS = {"idna", "punycode", "undefined", "unicode_escape", "unicode-escape", "raw_unicode_escape", "utf-7"}

_BLANK = "\u2e3d\u2e3d"  # stands for an empty line of code, which trafilatura would drop
_PERMALINKS = {"\u00b6", "#", "\U0001f517", "\uf0c1"}
_ESCAPED = re.compile(r"(?<![`\\])(`{1,20})(?!`)[^\n]+?(?<!`)\1(?!`)|(\\+)([*_`~\[\]<])")
_TARGETS = re.compile(r"\]\([^)\s]{0,600}\)")

_T = TypeVar("_T")


class Extract(NamedTuple):
    """A page as a model reads it.

    Attributes:
        title: On one line, cleaned; empty where the page has none.
        text: Markdown for HTML, else the text as it came; cleaned, never empty.
        truncated: Whether something is missing, which the text's last line then says.
    """

    title: str
    text: str
    truncated: bool


class _Read(NamedTuple):
    title: str
    text: str
    missing: str = ""  # what the reader left out


class _OutOfTimeError(BaseException):
    """Passes the `except Exception` of the packages that it stops."""


def extract(
    body: bytes, content_type: str, charset: str | None, url: str, *, max_content_tokens: int | None = None
) -> Extract:
    """Return the text of a fetched page, cut to what a model is to read of it.

    Takes a few seconds of processor time at most: call it in a thread.

    Args:
        body: The page, decompressed.
        content_type: As the server names it, with or without parameters; empty where it does not.
        charset: As the server names it; a byte order mark wins over it, and a name that nobody knows is ignored.
        url: Where the page is from: relative links are relative to it.
        max_content_tokens: What the text may take, as `fitting.estimated_tokens` counts it; some hundred at least.

    Raises:
        WebError: There is no text.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if b"%PDF-" in body[:1024] and (kind == "application/pdf" or not _TEXT_TYPES.fullmatch(kind)):
        read = _read_pdf(body)
    elif kind in {"text/html", "application/xhtml+xml"} or (_is_untold(kind) and _HTML_START.match(body)):
        read = _read_html(_decoded(body, charset, _META_CHARSET), url)
    elif _TEXT_TYPES.fullmatch(kind) or (_is_untold(kind) and b"\0" not in body[:4096]):
        read = _Read("", _decoded(body, charset, _XML_ENCODING))
    else:
        raise WebError(f"there is no text to read: the address leads to {one_line(kind, 80) or 'unnamed data'}")
    text = clean(read.text).strip("\n")
    if not text.strip():
        raise WebError("the page is empty")
    shown = fit({"": text}, DEFAULT_TOKENS if max_content_tokens is None else max_content_tokens)[""]
    if read.missing and shown == text:
        shown = f"{text}\n\n[cut here: {read.missing}]"
    return Extract(one_line(read.title), shown, shown != text)


def _is_untold(kind: str) -> bool:
    return kind in {"", "application/octet-stream", "binary/octet-stream", "unknown/unknown", "*/*"}


def _decoded(body: bytes, charset: str | None, declaration: re.Pattern[bytes]) -> str:
    """Return the text by byte order mark, server, the page's own declaration or, failing all, as UTF-8."""
    for mark, name in _MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(name, "replace")
    declared = declaration.search(body[:4096])
    inside = declared[1].decode("ascii", "replace") if declared else ""
    if inside.lower().startswith(("utf-16", "utf-32")):
        inside = ""  # it could not have been read, were it true
    for name in filter(None, (charset, inside)):
        try:
            known = codecs.lookup(name.strip(" \"'")).name
            if known not in _NO_CHARSETS:
                return body.decode(_MEANT.get(known, known), "replace")
        except (LookupError, ValueError):  # unknown, no character set, or no name at all
            continue
    return body.decode("utf-8", "replace")


def _bounded(seconds: float, work: Callable[[], _T]) -> _T:
    """Return what `work` returns, stopped at the first call that it makes after so many seconds.

    Raises:
        TimeoutError: It was stopped.
    """
    deadline, ticks, is_running = thread_time() + seconds, count(), True

    def look_at_the_clock(*_: object) -> None:
        if not next(ticks) & 15 and is_running and thread_time() > deadline:
            raise _OutOfTimeError

    previous = sys.getprofile()
    try:
        sys.setprofile(look_at_the_clock)
        return work()
    except _OutOfTimeError:
        raise TimeoutError from None
    finally:
        is_running = False  # the next line is a call, too
        sys.setprofile(previous)


# HTML.


def _read_html(text: str, url: str) -> _Read:
    is_scripted = re.search(r"<script\b", text, re.IGNORECASE) is not None
    if len(text) > _MOST_HTML_CHARS:
        text = _without_scripts(text)
    plain, missing = _plain(text[:_MOST_HTML_CHARS])
    if len(text) > _MOST_HTML_CHARS:
        missing = missing or "the page is too large to be read whole"
    if not missing and text.count("<") <= _MOST_RICH_TAGS:
        rich = _rich(text, url)
        if rich and _covers(rich, plain.prose):
            return _Read(plain.title, rich)
    if not plain.text.strip():
        if missing:
            raise WebError(f"no text was found in the page: {missing}")
        script = " of its own: a script, which is not run here, would have to make it" if is_scripted else ""
        raise WebError(f"the page has no text{script}")
    return _Read(plain.title, plain.text, missing)


def _covers(rich: str, prose: Sequence[str]) -> bool:
    """Say whether a text has nearly all of a page's prose: of a thread, one answer is not enough."""
    had = re.sub(r"\W+", "", _TARGETS.sub("]", rich))
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


def _plain(text: str) -> tuple[Page, str]:
    """Return what our own reader finds, and what it had to leave out."""
    page, missing = _plain_pass(text, lenient=False)
    if len(page.text) < _LEAST_PLAIN and not missing:  # such as a page that is one large form
        second, missing = _plain_pass(text, lenient=True)
        page = second if len(second.text) > 2 * len(page.text) else page
    return page, missing


def _plain_pass(text: str, *, lenient: bool) -> tuple[Page, str]:
    reader = Reader(lenient=lenient)

    def read() -> None:
        reader.feed(text)
        reader.close()

    missing = ""
    try:
        _bounded(_PLAIN_S, read)
    except TimeoutError:
        missing = "the rest of the page took too long to read"
    except Exception:  # noqa: BLE001  # html.parser asserts a few things that pages do not know of
        missing = "the rest of the page could not be read"
    return reader.page(), missing


def _rich(text: str, url: str) -> str:
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
        return _bounded(_RICH_S, read)
    except Exception:  # noqa: BLE001  # whatever it stumbles over, ours has read the page
        return ""


def _prepare(tree: Any, url: str) -> None:
    """Make of an lxml tree what trafilatura keeps as it is: whole links, bare code, plain white space."""
    base = next((_target(url, each.get("href", "")) for each in tree.iter("base")), "") or url
    for element in list(tree.iter("noscript", "a", "pre")):
        if element.tag == "noscript" or (element.tag == "a" and (element.text or "").strip() in _PERMALINKS):
            if element.getparent() is not None:
                element.drop_tree()
        elif element.tag == "a":
            if target := _target(base, element.get("href", "")):
                element.set("href", target)
            elif element.getparent() is not None:
                element.drop_tag()
        else:
            for line_break in element.iter("br"):
                line_break.tail = "\n" + (line_break.tail or "")
            text = element.text_content().replace("\r\n", "\n").removeprefix("\n").rstrip()
            tail = (element.tail or "").strip()
            element.clear()
            code = element.makeelement("code")  # without it trafilatura has to guess, and guesses wrong
            code.text = re.sub(r"(?m)^[ \t]*$", _BLANK, text)
            element.append(code)
            element.tail = tail
    for element in tree.iter():
        if element.text and element.tag not in {"pre", "code"} and isinstance(element.tag, str):
            element.text = re.sub(r"\s+", " ", element.text)
        if element.tail:
            element.tail = re.sub(r"\s+", " ", element.tail)


def _target(base: str, href: str) -> str:
    """Return where a link leads as a model can use it; an empty string for one that leads nowhere else."""
    href = href.strip()
    if not href or href.startswith("#") or len(href) > _LONGEST_TARGET:
        return ""
    try:
        target = urljoin(base, href)
    except ValueError:
        return ""
    return target if target.startswith(("http://", "https://")) and len(target) <= _LONGEST_TARGET else ""


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
            lines.append(_ESCAPED.sub(_unescaped, line).rstrip().replace(_BLANK, ""))
    return "\n".join(lines).strip()


def _unescaped(match: re.Match[str]) -> str:
    return match[0] if match[1] else match[2][: (len(match[2]) - 1) // 2] + match[3]


# PDF.


def _read_pdf(body: bytes) -> _Read:
    try:
        from pypdf import PdfReader
    except ImportError:
        raise WebError("the page is a PDF; to read those: pip install 'fusion-deliberation[web]'") from None
    logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)
    pages: list[str] = []
    titles: list[str] = []
    totals: list[int] = []
    broken: list[int] = []

    def read() -> None:
        document = PdfReader(BytesIO(body))
        if document.is_encrypted and not document.decrypt(""):
            raise WebError("the page is a PDF that only a password opens")
        totals.append(len(document.pages))
        titles.append(_pdf_title(document))
        for number in range(min(totals[0], MAX_PDF_PAGES)):
            try:
                pages.append(document.pages[number].extract_text())
            except Exception:  # noqa: BLE001  # the other pages need not suffer for it
                pages.append("")
                broken.append(number)

    stopped = ""
    try:
        _bounded(_PDF_S, read)
    except TimeoutError:
        stopped = "it takes too long to read"
    except WebError:
        raise
    except Exception:  # noqa: BLE001  # a broken file breaks its reader in every way there is
        stopped = "it is broken, or encrypted in a way that is not understood here"
    text = "\n\n".join(filter(None, (page.strip() for page in pages)))
    if not text:
        raise WebError(
            f"the page is a PDF without text: {stopped or ('it is broken' if broken else 'its pages are pictures')}"
        )
    is_part = not totals or len(pages) < totals[0]
    missing = f"the first {len(pages)} of {totals[0]} pages are shown" if is_part else ""
    if broken:
        missing = f"{missing or f'{totals[0]} pages'}, {len(broken)} of them without text, as they are broken"
    return _Read(titles[0] if titles else "", text, missing)


def _pdf_title(document: Any) -> str:
    try:
        return str(document.metadata.title or "")
    except Exception:  # noqa: BLE001  # many files have none, or a broken one
        return ""
