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
from fusion_cli.web.extract import DEFAULT_TOKENS, MAX_PDF_PAGES, Extract, extract
from fusion_cli.web.guard import WebError

PAGES = Path(__file__).parent / "pages"
URL = "https://example.com/guide/page.html"
MOST_S = 15.0  # of processor time, on a slow machine
MEBI = 1 << 20


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


def html(body: str, head: str = "") -> Extract:
    """Read a page made of a piece of HTML."""
    page = f"<!doctype html><html><head>{head}</head><body>{body}</body></html>"
    return extract(page.encode(), "text/html", None, URL)


def words(text: str) -> str:
    """Return a text on one line."""
    return " ".join(text.split())


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


def read_pdf(body: bytes) -> Extract:
    """Read a PDF."""
    return extract(body, "application/pdf", None, URL)


@pytest.mark.usefixtures("reader")
def test_an_article_is_read_without_what_surrounds_it() -> None:
    """A news page is its story: no navigation, advertisement, form, list of other stories or script."""
    page = saved("news")
    assert page.title == "Harbour town votes to keep its night ferry"
    assert not page.truncated
    for sentence in (
        "by 2,318 votes to 2,207, that the ferry between the fish market and the northern shore will go on",
        "## What happens next",
        "leaves at 00:20 on 1 April",
        "“Nobody builds a bakery on the other side of a river that closes at midnight.”",
        "- the price of diesel, which has doubled since 2019;",
        "takes place on 22 March in the old customs house.",
    ):
        assert sentence in words(page.text)
    for other in ("Weather radar", "ADVERTISEMENT", "cookies", "Subscribe", "gulls", "Imprint", "TRACKING", "margin"):
        assert other not in page.text


@pytest.mark.usefixtures("reader")
def test_documentation_keeps_its_code_and_its_tables() -> None:
    """Code is verbatim, empty lines and indentation included; a table's rows stay rows."""
    text = saved("documentation").text
    assert (
        """```
class Doubling:
    def wait(self, attempt: int) -> float:
        if attempt > 5 and self.limit_s < 60:
            raise GaveUp("too many *attempts*")

        return 0.25 * 2 ** attempt
```
"""
        in text
    )
    assert '    policy=Doubling(),\n)\ncourier.get("/items")["data"]\n```\n' in text
    assert "| Name | Default | Meaning |\n|---|---|---|\n| `max_attempts` | 6 | How often" in text
    assert "unless you say `retry_unsafe=True`." in text
    assert "1. The header `Retry-After` wins over the policy." in text
    assert "\n# Retrying requests\n" in f"\n{text}"
    for other in ("Installation steps", "Docs home", "Built with", "¶"):
        assert other not in text


def test_links_lead_where_the_page_means_them_to() -> None:
    """A relative link is written out; one that a model cannot follow is its text alone."""
    text = saved("documentation").text
    assert "[how dates are parsed](https://example.com/guide/dates.html#parsing)" in text
    sentence = "<p>A sentence that is long enough to be taken for the story of this page, with {}.</p>"
    for target in ("javascript:alert(1)", "#top", "data:text/html,x", "http://[", "/" + "x" * 400):
        story = sentence.format(f'<a href="{target}">a link</a>') + sentence.format('<a href="/b">another</a>')
        text = html(f"<article>{story}</article>").text
        assert "with a link." in text
        assert "with [another](https://example.com/b)." in text


@pytest.mark.usefixtures("reader")
def test_a_thread_keeps_every_answer() -> None:
    """Of a question and its answers, none is left out, nor any code; the site around them is."""
    text = saved("thread").text
    for each in (
        "What do I have to change so that the planner takes the index?",
        "EXPLAIN SELECT id\n  FROM customers\n WHERE name LIKE 'Mül%';",
        "CREATE INDEX customers_name_prefix\n    ON customers (name text_pattern_ops);",
        "Keep the old index if you also sort by name.",
        "CREATE INDEX ON customers USING gin (name gin_trgm_ops);",
        "The index is about three times as large, and slower to write.",
        "was all that was missing.",
    ):
        assert each in text
    for other in ("Browse questions", "Tags overview", "chewing gum", "Thanks for contributing", "Terms of service"):
        assert other not in text


@pytest.mark.usefixtures("reader")
def test_a_board_keeps_every_post() -> None:
    """Posts that are nothing but nested boxes are all there, in their order."""
    text = saved("board").text
    places = [text.index(part) for part in ("nail varnish", "It is hungry", "pink streaks", "smells of apples")]
    assert places == sorted(places)
    assert "Register an account" not in text


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
    read = read_pdf(pdf(*(line(f"Page {number}.") for number in range(1, MAX_PDF_PAGES + 3))))
    assert read.truncated
    assert read.text.endswith(f"Page {MAX_PDF_PAGES}.\n\n[cut here: the first 50 of 52 pages are shown]")


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
    "nested": b"<div>" * MEBI,
    "nested formats": b"<p>" + b"<b>x" * 50_000,
    "unclosed tags": b"<a " * MEBI,
    "unclosed quotes": b"<a x='" * (MEBI // 2),
    "unclosed comments": b"<!--" * MEBI,
    "unclosed declarations": b"<!" * MEBI,
    "half ends": b"</" * MEBI,
    "long attribute": b"<p class='" + b"a " * (MEBI // 2) + b"'>A sentence.</p>",
    "many attributes": b"<p " + b"a=b " * (MEBI // 2) + b">A sentence.</p>",
    "NUL": b"<p>" + b"a\0" * MEBI,
    "endless entity": b"<p>&" + b"a" * (5 * MEBI),
    "numbers": b"&#1" * MEBI,
    "list": b"<article><ol>" + b"<li>An item of a list</li>" * 25_000,
    "links": b"<article>" + b"<p>See <a href='/x'>this</a> now</p>" * 14_000,
    "table": b"<article><table>" + b"<tr><td>one<td>two</tr>" * 18_000,
    "entities": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (each, b"&%c;" % (each - 1) * 9) for each in range(98, 115))
    + b"]><html><body><p>&r;</p></body></html>",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_no_page_holds_the_reader_up(body: bytes) -> None:
    """Whatever is in a page, there is a text or a refusal of it in bounded time."""
    started = process_time()
    with suppress(WebError):
        read = extract(body, "text/html", None, URL)
        assert estimated_tokens(read.text) <= DEFAULT_TOKENS + 50
    assert process_time() - started < MOST_S
    assert sys.getprofile() is None


def test_no_pdf_holds_the_reader_up() -> None:
    """A page that unfolds to many millions of operations is given up."""
    started = process_time()
    with pytest.raises(WebError):
        read_pdf(pdf(b"BT /F1 12 Tf " + b"(aaaaaaaa) Tj " * 3_000_000 + b"ET", flate=True))
    assert process_time() - started < MOST_S


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
