"""Reads pages for one run: each fetched once, made text once, whoever and however many ask for it.

Joins `fetch` and `extract`, and owns how much extraction runs at a time; decides neither what may be fetched nor what
of a page is its text. The packages that extraction needs are imported when there is the first page for them.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from fusion_cli.web.fetch import Fetcher
from fusion_cli.web.guard import WebError, check_domains, read_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from fusion_cli.web.body import Page
    from fusion_cli.web.extract import Extract

_MOST_EXTRACTIONS = 2  # at a time: each is a few seconds of a processor, which the rest of the run needs too


class WebPage(NamedTuple):
    """A page as a model reads it.

    Attributes:
        url: Where it was in the end, after redirects.
        title: On one line, cleaned; empty where the page has none.
        text: Cleaned, never empty; its last line says so where something is missing.
    """

    url: str
    title: str
    text: str


class Pages:
    """Read pages for one run: fetched once, extracted once, as text for a model.

    Args:
        fetcher: Where they come from; whoever made it closes it.
        extract: What makes text of them, in a thread; None is `extract.extract`.
    """

    def __init__(self, fetcher: Fetcher, *, extract: "Callable[..., Extract] | None" = None) -> None:
        self._fetcher = fetcher
        self._extract = extract
        self._turns = asyncio.Semaphore(_MOST_EXTRACTIONS)
        self._extractions: dict[tuple[str, int | None], asyncio.Task[Extract | WebError]] = {}

    async def read(
        self,
        url: str,
        *,
        max_content_tokens: int | None = None,
        allowed_domains: Sequence[str] = (),
        blocked_domains: Sequence[str] = (),
    ) -> WebPage:
        """Return the text of the page at `url`.

        Args:
            url: What the model wrote.
            max_content_tokens: What the text may take (see `extract.extract`); None is the usual.
            allowed_domains: Unless empty, only these and their subdomains, on every hop.
            blocked_domains: Not these, nor their subdomains, on any hop.

        Raises:
            WebError: There is no text; one line says why. Nothing else is raised, cancellation aside.
        """
        page = await self._fetcher.fetch(url, allowed_domains=allowed_domains, blocked_domains=blocked_domains)
        key = page.url, max_content_tokens
        task = self._extractions.get(key)
        if task is None:
            task = self._extractions[key] = asyncio.create_task(self._extracted(page, max_content_tokens))
        # Shielded: a reader that gives up does not take the text away from the others.
        outcome = await asyncio.shield(task)
        if isinstance(outcome, WebError):
            raise WebError(str(outcome))
        return WebPage(page.url, outcome.title, outcome.text)

    async def _extracted(self, page: "Page", max_content_tokens: int | None) -> "Extract | WebError":
        """Return the text or why there is none, waiting for a turn."""
        async with self._turns:
            return await asyncio.to_thread(_outcome, page, max_content_tokens, self._extract)


def may_read(url: str, *, allowed_domains: Sequence[str] = (), blocked_domains: Sequence[str] = ()) -> bool:
    """Say whether lists of domains let the page at `url` be read, such as one that a search found.

    That is not to say that it can be fetched: ports and addresses are checked when it is. Nothing passes a list that
    holds something which is no domain.
    """
    try:
        check_domains(read_url(url).host, allowed_domains, blocked_domains)
    except WebError:
        return False
    return True


def _outcome(
    page: "Page", max_content_tokens: int | None, extract: "Callable[..., Extract] | None"
) -> "Extract | WebError":
    """Extract, in a thread; an error that was raised would keep alive what it passed, so a new one is returned."""
    try:
        if extract is None:
            from fusion_cli.web.extract import extract as usual

            extract = usual
        found = extract(page.body, page.content_type, page.charset, page.url, max_content_tokens=max_content_tokens)
    except WebError as error:
        return WebError(str(error))
    # No cancellation and no Ctrl-C reaches a thread: what comes here is a fault, of ours or of the packages.
    except BaseException as error:  # noqa: BLE001 - whatever a hostile page finds to break costs that page alone
        return WebError(f"the page was fetched, but its text could not be extracted ({type(error).__name__})")
    if page.truncated and not found.truncated:
        part = f"[cut here: the page is longer than the {len(page.body):,} bytes that are read]"
        return found._replace(text=f"{found.text}\n\n{part}", truncated=True)
    return found
