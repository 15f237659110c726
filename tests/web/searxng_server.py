"""A real HTTP server on loopback that answers searches as SearXNG does, with the results that it was given.

It records what was searched, and knows SearXNG's refusals of a format, but no search engine.
"""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

Results = Sequence[Mapping[str, Any]]

_STOP_S = 10.0
_LIKE_SEARXNG = {"engine": "stand-in", "engines": ["stand-in"], "category": "general", "score": 1.0}


class SearxngServer:
    """Serve on a free port for as long as the `with` block lasts.

    Args:
        results: What every search finds (url, title, content), or a function of the query that returns it.
        formats: What its administrator allows; without "json", a search for JSON gets SearXNG's 403.
        unresponsive: The engines that did not respond, each with its reason.

    Attributes:
        url: The server's address, as the user would configure it.
        queries: What was searched so far, refused searches included.
    """

    def __init__(
        self,
        results: Results | Callable[[str], Results] = (),
        *,
        formats: Sequence[str] = ("html", "json"),
        unresponsive: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.url = ""
        self.queries: list[str] = []
        self._results = results
        self._formats = formats
        self._unresponsive = unresponsive

    def __enter__(self) -> Self:
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, content_type, body = answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="searxng", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_STOP_S)
        assert not self._thread.is_alive(), "the search server did not stop"

    def _answer(self, target: str) -> tuple[int, str, bytes]:
        """Return status, type and body of the answer to a GET."""
        parts = urlsplit(target)
        asked = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        if parts.path != "/search":
            return _page(404, "Not Found")
        query = asked.get("q", "")
        self.queries.append(query)
        if asked.get("format", "html") not in self._formats:
            return _page(403, "Forbidden")
        if asked.get("format") != "json" or not query:
            return _page(200 if query else 400, "SearXNG")
        found = self._results(query) if callable(self._results) else self._results
        said = {
            "query": query,
            "number_of_results": 0,
            "results": [{**_LIKE_SEARXNG, **result} for result in found],
            "answers": [],
            "corrections": [],
            "infoboxes": [],
            "suggestions": [],
            "unresponsive_engines": [list(engine) for engine in self._unresponsive],
        }
        return 200, "application/json", json.dumps(said).encode()


def _page(status: int, title: str) -> tuple[int, str, bytes]:
    return status, "text/html; charset=utf-8", f"<!doctype html><title>{title}</title>".encode()
