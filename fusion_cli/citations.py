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
    if not isinstance(url, str) or len(url) > MAX_URL_CHARS:
        return None
    url = one_line(url, 2 * MAX_URL_CHARS)  # cleaning can make it longer; half an address would lead elsewhere
    url = url.replace(" ", "%20")  # or a second address could stand behind the first
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in {"http", "https"} or not rest or len(url) > MAX_URL_CHARS:
        return None
    title = page.get("title")
    return Citation(url, (one_line(title) if isinstance(title, str) else "") or url)
