"""The text of a PDF, by pypdf of the extra `web`: the first pages, whatever the others hold.

Knows no network and no budget of tokens.
"""

import logging
from io import BytesIO
from typing import Any

from fusion_cli.web.extract_limits import Found, Limits, bounded
from fusion_cli.web.guard import WebError


def read_pdf(body: bytes, limits: Limits) -> Found:
    """Return a PDF's title and text.

    Raises:
        WebError: It has no text, or none that can be read here.
    """
    try:
        from pypdf import PdfReader
    except ImportError:
        raise WebError("the page is a PDF; to read those: pip install 'fusion-deliberation[web]'") from None
    logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)
    title, total, broken = "", 0, 0
    pages: list[str] = []

    def read() -> None:
        nonlocal title, total, broken
        document = PdfReader(BytesIO(body))
        if document.is_encrypted and not document.decrypt(""):
            raise WebError("the page is a PDF that only a password opens")
        total = len(document.pages)
        title = _title(document)
        for number in range(min(total, limits.pdf_pages)):
            try:
                pages.append(document.pages[number].extract_text())
            except Exception:  # noqa: BLE001  # the other pages need not suffer for it
                pages.append("")
                broken += 1

    stopped = ""
    try:
        bounded(limits.pdf_s, limits.clock, read)
    except TimeoutError:
        stopped = "it takes too long to read"
    except WebError:
        raise
    except Exception:  # noqa: BLE001  # a broken file breaks its reader in every way there is
        stopped = "it is broken, or encrypted in a way that is not understood here"
    text = "\n\n".join(filter(None, (page.strip() for page in pages)))
    if not text:
        reason = stopped or ("it is broken" if broken else "its pages are pictures")
        raise WebError(f"the page is a PDF without text: {reason}")
    missing = ""
    if (shown := len(pages)) < total:
        first, are = ("first", "is") if shown == 1 else (f"first {shown}", "are")
        missing = f"the {first} of {total} pages {are} shown"
    if broken:
        are = "it is" if broken == 1 else "they are"
        missing = f"{missing or f'{total} pages'}, {broken} of them without text, as {are} broken"
    return Found(title, text, missing)


def _title(document: Any) -> str:
    try:
        return str(document.metadata.title or "")
    except Exception:  # noqa: BLE001  # many files have none, or a broken one
        return ""
