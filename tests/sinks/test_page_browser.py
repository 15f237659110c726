"""Promises of `sinks.page` that a real browser is asked for: a hostile page runs nothing and fetches nothing.

Where there is no Chromium these are skipped; `test_page.TestHostile` holds the page to the same by its text.
"""

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fusion_cli.about import About
from fusion_cli.sinks.page.document import page
from tests.sinks.hostile_page import attacks, hostile
from tests.sinks.shown_runs import FACTS, QUESTION, SHOWN

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here: test_page reads the page's text instead"),
]


class Trap:
    """A server that notes what is asked of it."""

    def __init__(self) -> None:
        asked = self.asked = list[str]()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # http.server's name
                asked.append(self.path)
                self.send_response(204)
                self.end_headers()

            do_POST = do_GET  # noqa: N815  # http.server's name

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def trap() -> Iterator[Trap]:
    """Return a trap that is open."""
    trap = Trap()
    thread = threading.Thread(target=trap.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield trap
    trap.server.shutdown()
    thread.join()
    trap.server.server_close()


def opened(html: str, *options: str) -> str:
    """Open a page in a browser of its own, for some seconds of its time; return what it has become."""
    path = Path("page.html").absolute()
    path.write_text(html, "utf-8")
    # A container seldom lets Chromium make its sandbox; and the browser must not look for updates and the like.
    quiet = (
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", f"--user-data-dir={path.parent}/profile"),
    )
    command = [CHROMIUM or "", *quiet, "--virtual-time-budget=3000", *options, path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


def title(dom: str) -> str:
    """Return the title of a page, as the browser has it at the end."""
    found = re.search("<title>(.*?)</title>", dom, re.DOTALL)
    return found[1] if found else ""


def test_a_hostile_page_runs_and_fetches_nothing(trap: Trap) -> None:
    """Whatever every text of a run holds, no script changes the title and no address is asked for."""
    run, question, facts, rows = hostile(trap.url)
    dom = opened(page(run, About(question, facts, attacks(trap.url), rows)), "--dump-dom")
    assert "a" * 1_000_000 in dom
    assert title(dom) not in ("", "pwned")
    assert trap.asked == []


def test_the_trap_would_have_noticed(trap: Trap) -> None:
    """The same texts, put in as they are into a page without a policy, run and fetch: the test above can fail."""
    dom = opened(f"<!DOCTYPE html><title>mine</title><body>{attacks(trap.url)}", "--dump-dom")
    assert title(dom) == "pwned"
    assert "/img" in trap.asked


def test_all_of_it_is_printed() -> None:
    """On paper the folded responses are open: the page is longer than one without them."""
    run = SHOWN["happy"].run
    texts = []
    for with_responses in (True, False):
        html = page(run, About(QUESTION, FACTS, timeline=SHOWN["happy"].timeline), with_responses=with_responses)
        long = html.replace("PostgreSQL, from the start.", "<p>long</p>" * 400)
        opened(long, "--print-to-pdf=page.pdf")
        texts.append(Path("page.pdf").read_bytes().count(b"/Type /Page\n"))
    assert texts[0] > texts[1] + 5
