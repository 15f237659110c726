"""Web pages as a server or a file names them: an address and a title that are fit to be shown, or nothing.

Pure; opens no page.
"""

from collections.abc import Mapping
from typing import Any

from fusion_cli.chat import Citation
from fusion_cli.terminal import one_line

MAX_CITATIONS = 200  # of one call
MAX_URL_CHARS = 2000


def fit_citation(page: Mapping[str, Any]) -> Citation | None:
    """Return the page with that `url` and `title`, on one line each; None where it has no address of the web."""
    url = page.get("url")
    # Behind white space a second address could stand, and what does not show could make it another one.
    if not isinstance(url, str) or len(url) > MAX_URL_CHARS or not url.isprintable() or " " in url:
        return None
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in {"http", "https"} or not rest:
        return None
    title = page.get("title")
    return Citation(url, (one_line(title) if isinstance(title, str) else "") or url)
