"""One completion of a scripted model with web tools: a web of given pages, and what was asked, told and returned."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from fusion_cli.chat import (
    ChatRequest,
    Completion,
    Delta,
    Message,
    ModelName,
    ServerTool,
    ToolCall,
    ToolStep,
)
from fusion_cli.errors import ModelError, ModelRejectedError
from fusion_cli.web.guard import WebError
from fusion_cli.web.pages import WebPage
from fusion_cli.web.research import ResearchingModels
from fusion_cli.web.search import Hit
from fusion_cli.web_tools import FetchLimits, SearchLimits
from tests.story.scripted import ScriptedModels, calls

LAB = ModelName("lab", "m")
BOTH = (ServerTool("openrouter:web_search"), ServerTool("openrouter:web_fetch"))
ONE, TWO = "https://one.example/", "https://two.example/"


class FakeWeb:
    """Finds and reads what it was given, and notes what was asked of it."""

    def __init__(self, pages: dict[str, str] | None = None) -> None:
        self.pages = {ONE: "page one", TWO: "page two"} if pages is None else pages
        self.searched: list[tuple[str, int]] = []
        self.read_with: list[tuple[str, int]] = []
        self.at_once = self._running = 0

    async def search(self, query: str, limits: SearchLimits, max_results: int) -> list[Hit]:
        """Find every page."""
        self.searched.append((query, max_results))
        return [Hit(url, f"title of {url}", text) for url, text in self.pages.items()][:max_results]

    async def read(self, url: str, limits: FetchLimits, max_content_tokens: int) -> WebPage:
        """Read a page, or fail as a page that is not there."""
        self.read_with.append((url, max_content_tokens))
        self._running += 1
        self.at_once = max(self.at_once, self._running)
        await asyncio.sleep(0)
        self._running -= 1
        if url not in self.pages:
            raise WebError("there is no such page")
        return WebPage(url, f"title of {url}", self.pages[url])


class Done:
    """One completion: what was returned or raised, what was asked turn by turn, and what was told on the way."""

    def __init__(
        self,
        *lines: Completion | ModelError | Callable[[ChatRequest], Completion],
        tools: tuple[ServerTool, ...] = BOTH,
        web: FakeWeb | None = None,
        steps: int = 4,
        **more: Any,
    ) -> None:
        self.web = web or FakeWeb()
        self.deltas: list[Delta] = []
        self.completion: Completion | None = None
        self.error: ModelError | None = None
        request = ChatRequest(
            LAB, (Message("user", "the question"),), server_tools=tools, max_tool_calls=steps, fusion_depth=1
        )._replace(**more)
        with ScriptedModels().script("panel", "m", *lines) as models:
            try:
                self.completion = asyncio.run(ResearchingModels(models, self.web).complete(request, self.deltas.append))
            except ModelError as error:
                self.error = error
            self.turns = models.requests("panel")

    @property
    def whole(self) -> Completion:
        """The completion, which must have come about."""
        assert self.completion, self.error
        return self.completion

    @property
    def steps(self) -> list[ToolStep]:
        """The steps that were told of."""
        return [delta.step for delta in self.deltas if delta.step]

    def answers(self, turn: int) -> list[Any]:
        """Return what the tool messages of a turn say."""
        told = [message.content for message in self.turns[turn].messages if message.role == "tool"]
        bare = (text if text.startswith("{") else text.split("\n")[1] for text in told)
        return [json.JSONDecoder().raw_decode(text)[0] for text in bare]


def search(query: str, **more: Any) -> ToolCall:
    """Return a call of web_search."""
    return ToolCall(f"s-{query}", "web_search", json.dumps({"query": query, **more}))


def fetch(url: str) -> ToolCall:
    """Return a call of web_fetch."""
    return ToolCall(f"f-{url}", "web_fetch", json.dumps({"url": url}))


def refused(said: str) -> ModelRejectedError:
    """Return a server's refusal in these words."""
    return ModelRejectedError(f"HTTP 400: {said}", status_code=400)


READ = calls(fetch(ONE))
