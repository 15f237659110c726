"""Promises of `extract`: what matters of a page is there, what surrounds it is not, and no page holds the reader up.

Every saved page is read twice: with the packages of the extra `web`, and as it is read without them.
"""

import json
import re
import subprocess
import sys
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from time import process_time

import pytest
from pypdf import PdfReader, PdfWriter

from fusion_cli.fitting import estimated_tokens
from fusion_cli.web.extract import DEFAULT_TOKENS, Extract, extract
from fusion_cli.web.extract_limits import USUAL, Limits
from fusion_cli.web.guard import WebError

PAGES = Path(__file__).parent / "pages"
URL = "https://example.com/guide/page.html"
LOOKS = 1000  # at the clock, as long as a reader may take where these are counted
KIBI = 1 << 10


@pytest.fixture(params=["rich", "plain"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Read pages with the extra's packages, or as where they are not installed."""
    if request.param == "plain":
        without_extra(monkeypatch)
    return str(request.param)


def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the packages of the extra impossible to import."""
    for name in ("trafilatura", "pypdf"):
        monkeypatch.setitem(sys.modules, name, None)


def saved(name: str) -> Extract:
    """Read one of the saved pages."""
    return extract((PAGES / f"{name}.html").read_bytes(), "text/html; charset=utf-8", "utf-8", URL)


def expected(name: str) -> str:
    """Return what a saved page has to become, as it was looked over when it was saved."""
    return (PAGES / f"{name}.md").read_text("utf-8").rstrip()


def html(body: str, head: str = "") -> Extract:
    """Read a page made of a piece of HTML."""
    page = f"<!doctype html><html><head>{head}</head><body>{body}</body></html>"
    return extract(page.encode(), "text/html", None, URL)


def pdf(*contents: bytes, flate: bool = False) -> bytes:
    """Write a PDF of one page for each content stream."""
    font = 3 + 2 * len(contents)
    kids = b" ".join(b"%d 0 R" % (3 + 2 * number) for number in range(len(contents)))
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, len(contents))]
    for number, content in enumerate(contents):
        data = zlib.compress(content) if flate else content
        objects += [
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents %d 0 R/Resources<</Font<</F1 %d 0 R>>>>>>"
            % (4 + 2 * number, font),
            b"<</Length %d%s>>stream\n%s\nendstream" % (len(data), b"/Filter/FlateDecode" if flate else b"", data),
        ]
    objects.append(b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
    written, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        places.append(b"%010d 00000 n \n" % len(written))
        written += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, b"".join(places))
    return written + table + b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (font + 1, len(written))


def line(text: str) -> bytes:
    """Return the content stream of a page with one line of text."""
    return b"BT /F1 12 Tf 72 700 Td (%s) Tj ET" % text.encode()


def read_pdf(body: bytes, limits: Limits = USUAL) -> Extract:
    """Read a PDF."""
    return extract(body, "application/pdf", None, URL, limits=limits)


class Clock:
    """A clock on which a second passes with every look; looks are taken every few calls of whatever is timed."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> float:
        """Return the time."""
        self.looks += 1
        return self.looks


@pytest.mark.usefixtures("reader")
def test_an_article_is_read_without_what_surrounds_it() -> None:
    """A news page is its story, whole: no navigation, advertisement, form, list of other stories or script."""
    assert saved("news") == Extract("Harbour town votes to keep its night ferry", expected("news"), truncated=False)


@pytest.mark.usefixtures("reader")
def test_documentation_keeps_its_code_and_its_tables() -> None:
    """Code is verbatim, empty lines and indentation included; tables, lists and links are Markdown."""
    assert saved("documentation").text == expected("documentation")


@pytest.mark.usefixtures("reader")
def test_a_reference_keeps_its_code_without_the_numbers_of_its_lines() -> None:
    """Highlighted code in a table of its own is code; signatures, remarks and nested lists are text."""
    assert saved("reference").text == expected("reference")


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("name", ["thread", "board", "forum"])
def test_a_thread_keeps_every_post_and_who_wrote_it(name: str) -> None:
    """Of a question and its answers none is left out, nor its code, its quotations and its author; the site is."""
    assert saved(name).text == expected(name)


def test_a_page_that_marks_nothing_is_read_without_its_lists_of_links() -> None:
    """Where no element says what it is, trafilatura finds the article, and its code and quotations are kept."""
    assert saved("magazine").text == expected("magazine")


def test_without_the_extra_such_a_page_keeps_its_article(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the article is whole, whatever else is there."""
    without_extra(monkeypatch)
    assert expected("magazine").replace("*the quiet return*", "the quiet return") in saved("magazine").text


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("target", ["javascript:alert(1)", "#top", "data:text/html,x", "http://[", "/" + "x" * 400])
def test_links_lead_where_the_page_means_them_to(target: str) -> None:
    """A relative link is written out; one that a model cannot follow is its text alone."""
    sentence = "<p>A sentence that is long enough to be taken for the story of this page, with {}.</p>"
    story = sentence.format(f'<a href="{target}">a link</a>') + sentence.format('<a href="b (1)">another</a>')
    text = html(f"<article>{story}</article>", '<base href="/base/">').text
    assert "with a link." in text
    assert "with [another](https://example.com/base/b%20%281%29)." in text


@pytest.mark.usefixtures("reader")
def test_a_page_that_a_script_would_make_has_no_text() -> None:
    """Where the text would come from a script, that is what the model is told."""
    with pytest.raises(WebError, match="no text of its own: a script"):
        saved("script_only")


@pytest.mark.usefixtures("reader")
def test_a_page_that_is_one_form_is_read() -> None:
    """Text is not lost because the whole page stands in a form, as some servers write it."""
    told = "The reservoir holds forty million litres when it is full. "
    assert told.strip() in html(f"<form><div><p>{told * 3}</p><p>{told}</p></div></form>").text


@pytest.mark.parametrize(
    ("head", "charset", "encoding"),
    [
        ("", "iso-8859-1", "cp1252"),  # as browsers have it
        ("", "windows-1251", "cp1251"),
        ('<meta charset="windows-1251">', None, "cp1251"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">', None, "koi8-r"),
        ('<meta charset="windows-1251">', "no-such-charset", "cp1251"),
        ('<meta charset="no-such">', "hex", "utf-8"),
        ("", "\0\n", "utf-8"),
        ('<meta charset="utf-16">', None, "utf-8"),
    ],
)
@pytest.mark.usefixtures("reader")
def test_a_page_is_read_in_its_own_charset(head: str, charset: str | None, encoding: str) -> None:
    """The server's charset counts, then the page's own; a name that nobody knows counts for nothing."""
    told = "“Größe” naïve" if encoding in {"cp1252", "utf-8"} else "Паром ходит и ночью"
    page = f"<html><head>{head}<title>{told}</title></head><body><p>{told}.</p></body></html>".encode(encoding)
    read = extract(page, "text/html", charset, URL)
    assert read.title == told
    assert f"{told}." in read.text


def test_bytes_that_are_no_text_in_utf_8_are_replaced() -> None:
    """Broken UTF-8 costs its own characters, no more."""
    assert extract(b"caf\xe9 noir", "text/plain", None, URL).text == "caf\ufffd noir"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_wins(encoding: str) -> None:
    """What the bytes themselves say is believed before the server."""
    assert extract("Größe".encode(encoding), "text/plain", "ascii", URL).text == "Größe"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/plain", "First line\n    indented *stars* and <b>tags</b>\n\nend"),
        ("text/markdown; charset=utf-8", "# A title\n\n| a | b |\n"),
        ("text/csv", "name,age\nwren,3\n"),
        ("application/json", json.dumps({"a": [1, 2, {"b": "c"}]})),
        ("application/feed+json", '{"a":1}'),
        ("application/xml", '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'),
        ("", "nothing is said of this text"),
    ],
)
def test_text_is_read_as_it_is(kind: str, body: str) -> None:
    """What is text already is neither formatted anew nor interpreted."""
    assert extract(body.encode(), kind, None, URL) == Extract("", body.strip("\n"), truncated=False)


def test_a_page_without_a_content_type_is_known_by_its_beginning() -> None:
    """HTML and PDF are recognised where the server does not say what they are."""
    page = b"\n<!DOCTYPE html><title>A</title><p>Here is one sentence for you.</p>"
    assert extract(page, "", None, URL).text == "Here is one sentence for you."
    assert extract(pdf(line("A page")), "application/octet-stream", None, URL).text == "A page"


@pytest.mark.parametrize("kind", ["image/png", "video/mp4", "application/zip", "", "\x1b[31m"])
def test_what_is_no_text_is_refused(kind: str) -> None:
    """A picture or an archive is refused in one clean line."""
    with pytest.raises(WebError, match=r"^[ -~]+$"):
        extract(b"\x89PNG\0\0", kind, None, URL)


@pytest.mark.parametrize("kind", ["text/plain", "text/html", "application/json"])
def test_an_empty_page_is_refused(kind: str) -> None:
    """There is no page without text."""
    with pytest.raises(WebError):
        extract(b" \n\t", kind, None, URL)


@pytest.mark.usefixtures("reader")
def test_what_a_page_says_is_cleaned() -> None:
    """Terminal controls are gone from text and title, and direction controls are shown."""
    read = html(
        "<p>A\x1b[31mred\x07 and&#27;[2J \u202ereversed, said at some length.</p>", "<title>T\x1b]0;x\x07</title>"
    )
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", read.text + read.title)
    assert "<U+202E>reversed" in read.text


def test_a_long_text_is_cut_and_says_so() -> None:
    """The budget is kept, the cut is at a paragraph, and the last line says what is missing."""
    body = "\n\n".join(f"Paragraph {number} is here." for number in range(20_000)).encode()
    for budget, asked in ((DEFAULT_TOKENS, None), (500, 500)):
        read = extract(body, "text/plain", None, URL, max_content_tokens=asked)
        assert read.truncated
        assert estimated_tokens(read.text) <= budget
        assert re.search(r"is here\.\n\n\[cut here: the first [\d,]+ of [\d,]+ characters are shown\]\Z", read.text)
    assert not extract(body, "text/plain", None, URL, max_content_tokens=10**6).truncated


def test_a_pdf_is_read() -> None:
    """The pages of a PDF follow one another, under the document's title."""
    writer = PdfWriter(clone_from=PdfReader(BytesIO(pdf(line("First page."), line("Second page.")))))
    writer.add_metadata({"/Title": "A small paper"})
    written = BytesIO()
    writer.write(written)
    assert read_pdf(written.getvalue()) == Extract("A small paper", "First page.\n\nSecond page.", truncated=False)


def test_a_long_pdf_is_read_in_part() -> None:
    """The first pages are read, and the rest is said to be missing."""
    read = read_pdf(pdf(*(line(f"Page {number}.") for number in range(1, 6))), Limits(pdf_pages=3))
    assert read.truncated
    assert read.text.endswith("Page 3.\n\n[cut here: the first 3 of 5 pages are shown]")


def test_a_pdf_with_a_password_is_refused() -> None:
    """A PDF that only a password opens is refused, and the reason is told."""
    writer = PdfWriter(clone_from=PdfReader(BytesIO(pdf(line("Secret.")))))
    writer.encrypt("swordfish", algorithm="RC4-128")
    written = BytesIO()
    writer.write(written)
    with pytest.raises(WebError, match="password"):
        read_pdf(written.getvalue())


@pytest.mark.parametrize(
    "body", [b"%PDF-", b"%PDF-1.7\n" + bytes(range(256)) * 50, pdf(b""), b"PK\3\4", pdf(b"[" * 9999)]
)
def test_a_pdf_without_text_is_refused(body: bytes) -> None:
    """A broken PDF, a scanned one and what only says that it is one end in a line that says so."""
    with pytest.raises(WebError):
        read_pdf(body)


def test_without_the_extra_a_pdf_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who cannot read a PDF is told what to install."""
    without_extra(monkeypatch)
    with pytest.raises(WebError, match=r"pip install 'fusion-deliberation\[web\]'"):
        read_pdf(pdf(line("A page")))


HOSTILE = {
    "nested": b"<div>" * (12 * KIBI),
    "nested formats": b"<p>" + b"<b>x" * (12 * KIBI),
    "unclosed tags": b"<a " * (5 * KIBI),
    "unclosed quotes": b"<a x='" * (3 * KIBI),
    "unclosed comments": b"<!--" * (8 * KIBI),
    "unclosed declarations": b"<!" * (32 * KIBI),
    "half ends": b"</" * (32 * KIBI),
    "long attribute": b"<p class='" + b"a " * (32 * KIBI) + b"'>A sentence.</p>",
    "many attributes": b"<p " + b"a=b " * (16 * KIBI) + b">A sentence.</p>",
    "NUL": b"<p>" + b"a\0" * (32 * KIBI),
    "endless entity": b"<p>&" + b"a" * (64 * KIBI),
    "numbers": b"&#1" * (20 * KIBI),
    "list": b"<article><ol>" + b"<li>An item of a list</li>" * (2 * KIBI),
    "links": b"<article>" + b"<p>See <a href='/x'>this</a> now</p>" * (2 * KIBI),
    "open links": b"<p>" + b"<a href=x>y" * (5 * KIBI),
    "table": b"<article><table>" + b"<tr><td>one<td>two</tr>" * (3 * KIBI),
    "nested quotations": b"<blockquote><p>x" * (4 * KIBI),
    "nested code": b"<table><td><pre>x" * (4 * KIBI),
    "entities": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (each, b"&%c;" % (each - 1) * 9) for each in range(98, 115))
    + b"]><html><body><p>&r;</p></body></html>",
}


@pytest.fixture(scope="module")
def usual_cost_s() -> float:
    """Return the processor time that a usual page takes that is as large as the hostile ones, read to its end."""
    page = b"<article>" + b"<p>It is said that <a href='/x'>this</a> is a sentence, more or less.</p>" * 900
    extract(page, "text/html", None, URL, limits=Limits(1e9, 1e9, 1e9))  # imports what has to be imported
    started = process_time()
    extract(page, "text/html", None, URL, limits=Limits(1e9, 1e9, 1e9))
    return process_time() - started


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_no_page_holds_the_reader_up(body: bytes, usual_cost_s: float) -> None:
    """Whatever is in a page, every reader is stopped at its limit, and nothing between two looks takes long."""
    clock, started = Clock(), process_time()
    with suppress(WebError):
        read = extract(body, "text/html", None, URL, limits=Limits(LOOKS, LOOKS, LOOKS, clock))
        assert estimated_tokens(read.text) <= DEFAULT_TOKENS + 50
    assert clock.looks <= 3 * (LOOKS + 3)
    assert process_time() - started < 20 * usual_cost_s
    assert sys.getprofile() is None


def test_a_page_that_takes_too_long_is_read_in_part() -> None:
    """What was read until the limit is kept, and the last line says that there is more."""
    read = extract(b"<p>A sentence.</p>" * 9999, "text/html", None, URL, limits=Limits(plain_s=LOOKS, clock=Clock()))
    assert read.truncated
    assert re.fullmatch(r"(A sentence\.\n\n)+\[cut here: the rest of the page took too long to read\]", read.text)


def test_a_page_that_is_too_large_is_read_in_part() -> None:
    """Scripts do not count; of the rest the first characters are read, and the last line says that there is more."""
    page = b"<script>" + b"x" * 5000 + b"</script>" + b"<p>A sentence.</p>" * 99
    assert html(page.decode()).text == extract(page, "text/html", None, URL, limits=Limits(html_chars=4000)).text
    assert extract(page, "text/html", None, URL, limits=Limits(html_chars=500)).text.endswith(
        "[cut here: the page is too large to be read whole]"
    )


def test_no_pdf_holds_the_reader_up() -> None:
    """A page that unfolds to very many operations is given up, and the pages before it are shown."""
    clock = Clock()
    bomb = b"BT /F1 12 Tf " + b"(aaaaaaaa) Tj " * 99_999 + b"ET"
    read = read_pdf(pdf(line("First page."), bomb, flate=True), Limits(pdf_s=5 * LOOKS, clock=clock))
    assert read.text == "First page.\n\n[cut here: the first of 2 pages is shown]"
    assert clock.looks <= 5 * LOOKS + 3


@pytest.mark.usefixtures("reader")
def test_no_file_is_read_through_an_entity(tmp_path: Path) -> None:
    """An entity that names a file or an address brings nothing of it in."""
    (tmp_path / "secret").write_text("canary", "utf-8")
    doctype = f'<!DOCTYPE html [<!ENTITY x SYSTEM "{(tmp_path / "secret").as_uri()}">]>'
    page = f"{doctype}<html><body><p>A sentence with &x; in it, and some more words.</p></body></html>"
    read = extract(page.encode(), "application/xhtml+xml", None, URL)
    assert "canary" not in read.text
    assert "A sentence with" in read.text


def test_reading_imports_what_it_needs_only_then() -> None:
    """The module itself costs no package of the extra."""
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, fusion_cli.web.extract; print({'trafilatura', 'pypdf', 'lxml'} & {*sys.modules})",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "set()\n"
