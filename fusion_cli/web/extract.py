"""What a model reads of a fetched page: its title and its text, from HTML, PDF or anything that is text already.

Owns what kind a page is, its character set and the cut to a budget. Pure work of the processor, bounded in time
whatever the page holds; fetches nothing, knows no model, and imports a package of the extra `web` only for a page.
"""

import codecs
import re
from typing import NamedTuple

from fusion_cli.fitting import fit
from fusion_cli.terminal import clean, one_line
from fusion_cli.web.extract_html import read_html
from fusion_cli.web.extract_limits import USUAL, Found, Limits
from fusion_cli.web.extract_pdf import read_pdf
from fusion_cli.web.guard import WebError

DEFAULT_TOKENS = 8000

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


def extract(
    body: bytes,
    content_type: str,
    charset: str | None,
    url: str,
    *,
    max_content_tokens: int | None = None,
    limits: Limits = USUAL,
) -> Extract:
    """Return the text of a fetched page, cut to what a model is to read of it.

    Takes a few seconds of processor time at most: call it in a thread.

    Args:
        body: The page, decompressed.
        content_type: As the server names it, with or without parameters; empty where it does not.
        charset: As the server names it; a byte order mark wins over it, and a name that nobody knows is ignored.
        url: Where the page is from: relative links are relative to it.
        max_content_tokens: What the text may take, as `fitting.estimated_tokens` counts it; some hundred at least.
        limits: How much is read, and for how long.

    Raises:
        WebError: There is no text.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if b"%PDF-" in body[:1024] and (kind == "application/pdf" or not _TEXT_TYPES.fullmatch(kind)):
        read = read_pdf(body, limits)
    elif kind in {"text/html", "application/xhtml+xml"} or (_is_untold(kind) and _HTML_START.match(body)):
        read = read_html(_decoded(body, charset, _META_CHARSET), url, limits)
    elif _TEXT_TYPES.fullmatch(kind) or (_is_untold(kind) and b"\0" not in body[:4096]):
        read = Found("", _decoded(body, charset, _XML_ENCODING))
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
