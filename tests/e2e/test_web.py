"""Web search and fetch, end to end: a plain server whose models call tools, a search, and pages on loopback."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import Ended, fusion
from tests.web.searxng_server import SearxngServer
from tests.web.site import site as serving
from tests.wire.server import Call, Reply, Request, WireServer, deliberation, failure

PAGES = Path(__file__).parent.parent / "web" / "pages"
QUESTION = "Which river does the bridge cross?"


@contextmanager
def site() -> Iterator[tuple[str, list[str]]]:
    """Serve the saved pages on loopback; yield the address, and the paths asked for."""

    def saved(path: str) -> bytes | None:
        page = PAGES / path.lstrip("/")
        return page.read_bytes() if page.is_file() else None

    with serving(saved) as (host, asked):
        yield f"http://{host}", asked


def researcher(*urls: str, query: str = "bridge river") -> Callable[[Request], Reply]:
    """Return a panelist that searches, reads pages, then answers; it does each as soon as it is offered."""

    def respond(request: Request) -> Reply:
        tools = {tool["function"]["name"] for tool in request.body.get("tools", ())}
        told = [message for message in request.body["messages"] if message["role"] == "tool"]
        if "web_search" in tools and not told:
            return Reply(tool_calls=(Call("web_search", json.dumps({"query": query})),))
        if "web_fetch" in tools and len(told) < 1 + len(urls):
            calls = (Call("web_fetch", json.dumps({"url": url}), f"call_{n}") for n, url in enumerate(urls))
            return Reply(tool_calls=tuple(calls))
        return Reply(f"{request.model}: the Arlen, as the pages say.")

    return respond


def config(server: WireServer, **web: Any) -> str:
    """Write a config file with the server as provider `lab`; return its path."""
    lines = ["[providers.lab]", f'base_url = "{server.url}"', "[web]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in web.items()]
    Path("own.toml").write_text("\n".join(lines), "utf-8")
    return "own.toml"


def ask(path: str, *more: str) -> Ended:
    """Ask a panel of two on the plain server."""
    who = ("-p", "lab:a", "-p", "lab:b", "-j", "lab:j", "-m", "lab:o", "--seed", "3")
    return fusion("--config", path, "ask", "--tool-choice", "required", *who, *more, QUESTION)


def test_a_panel_on_a_plain_server_searches_and_reads() -> None:
    """It searches through SearXNG, reads pages from loopback, and the run's sources are those pages, once each."""
    with WireServer(default=deliberation()) as server, site() as (address, asked):
        news, thread = f"{address}/news.html", f"{address}/thread.html"
        found = [{"url": news, "title": "News", "content": "A bridge."}]
        with SearxngServer(found) as searx:
            server.script("a", researcher(news), role="panel")
            server.script("b", researcher(thread, news), role="panel")
            path = config(server, searxng_url=searx.url, allow_hosts=[address.removeprefix("http://")])
            ended = ask(path, "--json")
            queries = list(searx.queries)
    assert ended.status == 0, ended.stderr
    run = ended.json()
    assert [source["url"] for source in run["sources"]] == [news, thread]
    cited = {call["label"]: [source["url"] for source in call["sources"]] for call in run["calls"]}
    assert (cited["a"], cited["b"], cited["o"]) == ([news], [thread, news], [])
    used = {call["label"]: sorted((use["tool"], use["error"]) for use in call["tool_calls"]) for call in run["calls"]}
    assert used["a"] == [("web_fetch", None), ("web_search", None)]
    assert {call["role"]: call["tools"] for call in run["calls"]} == {
        "panel": ["web_search", "web_fetch"],
        "judge": ["web_search", "web_fetch"],
        "outer": [],
    }
    assert queries == ["bridge river"], "the same search is sent once a run"
    assert sorted(asked) == ["/news.html", "/thread.html"], "a page is fetched once a run"
    for line in (
        "panel   a  searches bridge river",
        f"panel   b  reads {thread}",
        "search and fetch, run here (searxng)",
    ):
        assert line in ended.stderr
    assert f"[1] {news} {run['sources'][0]['title']}" in str(server.calls("judge")[0].texts), "who cites what"
    outer = server.calls("outer")[0]
    told = json.loads(next(it["content"] for it in outer.body["messages"] if it["role"] == "tool"))
    assert [(page["number"], page["url"]) for page in told["sources"]] == [(1, news), (2, thread)]
    assert [tool["function"]["name"] for tool in outer.body["tools"]] == ["fusion"]


def test_the_answer_ends_with_its_sources() -> None:
    """In a pipe the numbered sources stand below the answer, with who cites them."""
    with WireServer(default=deliberation()) as server, site() as (address, _):
        server.script("a", researcher(f"{address}/news.html"), role="panel")
        ended = ask(config(server, allow_hosts=[address.removeprefix("http://")]))
    assert ended.status == 0, ended.stderr
    footer = ended.stdout.split("\nSources:\n")[1]
    assert footer.startswith(f"[1] {address}/news.html (a)\n    ")
    assert "web     fetch, run here" in ended.stderr, "without a search, fetch alone"


def test_what_may_not_be_read_is_an_answer_to_the_model() -> None:
    """A loopback page that the user did not open is refused, told to the model, and never asked for."""
    with WireServer(default=deliberation()) as server, site() as (address, asked):
        server.script("a", researcher(f"{address}/news.html"), role="panel")
        ended = ask(config(server), "--json")
        last = [request for request in server.calls("panel") if request.model == "a"][-1]
    assert ended.status == 0, ended.stderr
    assert asked == []
    told = json.loads(next(it["content"] for it in last.body["messages"] if it["role"] == "tool"))
    assert told["status"] == "failed"
    assert told["url"] == f"{address}/news.html"
    run = ended.json()
    assert run["sources"] == []
    uses = next(call for call in run["calls"] if call["label"] == "a")["tool_calls"]
    assert {use["error"] for use in uses} == {told["error"]}
    assert not run["degraded"]


def test_a_search_that_its_administrator_closed() -> None:
    """SearXNG's 403 says what its administrator has to do, to the model and on standard error."""
    with WireServer(default=deliberation()) as server, SearxngServer(formats=("html",)) as searx:
        server.script("a", researcher(), role="panel")
        ended = ask(config(server, searxng_url=searx.url))
    assert ended.status == 0, ended.stderr
    assert "searches bridge river: failed: searxng: HTTP 403: the server's administrator has to allow JSON" in (
        " ".join(ended.stderr.split())
    )


def test_off_means_that_no_request_carries_tools() -> None:
    """With --no-web nobody but the outer model is sent a tool."""
    with WireServer(default=deliberation()) as server:
        ended = ask(config(server), "--no-web", "--json")
        inner = server.calls("panel") + server.calls("judge")
    assert ended.status == 0, ended.stderr
    assert "web     off" in ended.stderr
    assert not any("tools" in request.body for request in inner)
    assert all(call["tools"] == [] for call in ended.json()["calls"])


def test_a_server_that_refuses_tools_answers_without() -> None:
    """A model that cannot call functions is asked once more without them; the run says so and is whole."""

    def refusing(request: Request) -> Reply:
        if any(tool["function"]["name"] != "fusion" for tool in request.body.get("tools", ())):
            return Reply(
                status=400,
                content_type="application/json",
                body=b'{"error": {"message": "this model does not support tools", "code": 400}}',
            )
        return deliberation()(request)

    with WireServer(default=refusing) as server:
        ended = ask(config(server), "--json")
    assert ended.status == 0, ended.stderr
    run = ended.json()
    assert run["result"]["analysis"]
    assert len(run["result"]["responses"]) == 2
    assert not run["degraded"]
    assert "does not support tools" in " ".join(run["warnings"])


@pytest.mark.parametrize(
    ("web", "said"),
    [
        ({"search": "brave"}, "set BRAVE_API_KEY"),
        ({"search": "searxng"}, "fusion config set web.searxng_url"),
        ({"search": "duckduckgo"}, "pip install 'fusion-deliberation[ddgs]'"),
    ],
)
def test_a_search_that_cannot_be_used_is_said_before_anything_is_sent(web: dict[str, str], said: str) -> None:
    """A configured search without its key, address or package is an error with a way out, and no request."""
    with WireServer() as server:
        ended = ask(config(server, **web))
    assert ended.status in (2, 4)
    assert said in ended.stderr
    assert server.requests == []


def test_the_judge_may_look_things_up() -> None:
    """The judge reads a page before it judges; its source is the run's, and its calls are shown."""
    with WireServer(default=deliberation()) as server, site() as (address, _):
        page = f"{address}/news.html"

        def judge(request: Request) -> Reply:
            if not any(message["role"] == "tool" for message in request.body["messages"]):
                return Reply(tool_calls=(Call("web_fetch", json.dumps({"url": page})),))
            return deliberation()(request)

        server.script("j", judge, role="judge")
        ended = ask(config(server, allow_hosts=[address.removeprefix("http://")]), "--json")
    assert ended.status == 0, ended.stderr
    run = ended.json()
    assert [source["url"] for source in run["sources"]] == [page]
    assert run["result"]["analysis"]
    assert f"judge   j  reads {page}" in ended.stderr


@pytest.mark.parametrize(
    "said", ["tools param requires --jinja flag", "Function calling is not enabled", "bad request"]
)
def test_servers_without_tools_refuse_in_many_ways(said: str) -> None:
    """Whatever a server says to functions that it cannot take, its panelists and its judge answer without them."""
    status = 500 if "jinja" in said else 400

    def refusing(request: Request) -> Reply:
        if any(tool["function"]["name"] != "fusion" for tool in request.body.get("tools", ())):
            return failure(status, said)
        return deliberation()(request)

    with WireServer(default=refusing) as server:
        ended = ask(config(server), "--json")
        requests = len(server.calls("panel")), len(server.calls("judge"))
    assert ended.status == 0, ended.stderr
    assert len(ended.json()["result"]["responses"]) == 2
    assert ended.json()["result"]["analysis"]
    assert requests[0] == 4
