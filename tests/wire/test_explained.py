"""Promises of what an error says beyond the server's own words: the size of a prompt, the slug and what was meant."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fusion_cli.api import catalogue_cache
from fusion_cli.api.catalogue import Catalogue, ListedModel, near
from fusion_cli.api.client import ChatClient
from fusion_cli.chat import ChatRequest, Endpoint, Message, ModelName
from fusion_cli.errors import ModelError, ModelRejectedError
from fusion_cli.fitting import context_named, is_too_long
from tests.wire.calling import MODEL, REQUEST, failed
from tests.wire.server import Fault, Reply, WireServer, failure, html

PATH = "/api/v1/models"
SLUGS = [
    "openai/gpt-5",
    "openai/gpt-5-mini",
    "openai/gpt-4.1",
    "anthropic/claude-opus-4.8",
    "qwen/qwen3-235b-a22b:free",
]
LISTED = tuple(ListedModel(slug) for slug in SLUGS)


@pytest.fixture
def server() -> Iterator[WireServer]:
    """Serve what the test scripts."""
    with WireServer() as server:
        server.models = [{"id": slug} for slug in SLUGS]
        yield server


def refused(server: WireServer, slug: str, **client: Any) -> ModelError:
    """Return the error of a call for a model at a server with a list."""

    async def put() -> None:
        model = ModelName("openrouter", slug)
        async with ChatClient({model: Endpoint(server.url, has_catalogue=True)}, **client) as asked:
            await asked.complete(ChatRequest(model, REQUEST.messages), lambda delta: None)

    with pytest.raises(ModelError) as caught:
        asyncio.run(put())
    return caught.value


def test_fault_9_a_prompt_that_is_too_large_is_measured(server: WireServer) -> None:
    """413 says how many tokens and bytes were sent, and nothing in that reads as the model's context."""
    server.script(MODEL.slug, failure(413, "Request over the limit"))
    request = REQUEST._replace(messages=(Message("system", "x" * 600), Message("user", "y" * 36_000)))
    error = failed(server, ModelRejectedError, "", request)
    size = len(server.requests[0].raw_body)
    assert str(error) == f"HTTP 413 for a prompt of about 12,200 tokens ({size:,} bytes): Request over the limit"
    assert is_too_long(str(error), error.status_code)
    assert context_named(str(error).lower()) is None


@pytest.mark.parametrize(
    ("slug", "meant"),
    [
        ("openai/gpt-55", "; did you mean openai/gpt-5, openai/gpt-4.1, openai/gpt-5-mini?"),
        ("OpenAI/GPT-5", "; did you mean openai/gpt-5, openai/gpt-4.1, openai/gpt-5-mini?"),
        ("claude-opus-4.8", "; did you mean anthropic/claude-opus-4.8?"),
        ("antropic/claude-opus", "; did you mean anthropic/claude-opus-4.8?"),
        ("x/zzzzzzzzzz", ""),
        ("openai/gpt-5", ""),
    ],
)
def test_fault_8_a_slug_that_is_not_there_is_named_with_what_was_meant(
    server: WireServer, slug: str, meant: str
) -> None:
    """A typo costs one look into the server's list; a model that is in it was refused for another reason."""
    server.script(slug, failure(404, "No endpoints found"))
    error = refused(server, slug)
    assert str(error) == f"HTTP 404: No endpoints found ({slug}){meant}"
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("said", "is_named"),
    [
        ("openai/gpt-55 is not a valid model ID", True),
        ("The model `openai/gpt-55` does not exist", True),
        ("Invalid model: openai/gpt-55", True),
        ("model 'openai/gpt-55' not found, try pulling it first", True),
        ("temperature: must be at most 2", False),
        ("This model's maximum context length is 8192 tokens", False),
    ],
)
def test_a_400_may_say_so_too(server: WireServer, said: str, is_named: bool) -> None:
    """OpenRouter calls an unknown model a bad request; other bad requests cost no look into the list."""
    server.script("openai/gpt-55", failure(400, said))
    error = refused(server, "openai/gpt-55")
    assert str(error).startswith(f"HTTP 400: {said}")
    assert ("; did you mean openai/gpt-5," in str(error)) == is_named
    assert len(server.requests) == (2 if is_named else 1)


def test_the_list_that_is_kept_suffices(server: WireServer, tmp_path: Path) -> None:
    """With a list of today on disk, nobody is asked what was meant."""
    catalogue_cache.store(tmp_path, Catalogue(server.url, time.time(), (ListedModel("kept/model-1"),)))
    server.script("kept/model-2", failure(404))
    assert str(refused(server, "kept/model-2", cache_dir=tmp_path)).endswith("; did you mean kept/model-1?")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "reply", [failure(500), html(status=200), Reply("x", fault=Fault("stall", after=None)), Reply(body=b"[]")]
)
def test_without_a_list_the_error_is_what_it_was(server: WireServer, reply: Reply) -> None:
    """A list that cannot be had, or not soon, changes nothing."""
    server.script(PATH, reply)
    server.script("openai/gpt-55", failure(404, "no"))
    started = time.monotonic()
    error = refused(server, "openai/gpt-55", catalogue_s=0.3)
    assert time.monotonic() - started < 2
    assert (type(error), str(error)) == (ModelRejectedError, "HTTP 404: no (openai/gpt-55)")


def test_a_hostile_list_names_nothing_that_could_hurt(server: WireServer) -> None:
    """What a server calls its models is cleaned like everything that it says."""
    server.models = [{"id": "openai/gpt-5\x1b[31m\n5"}]
    server.script("openai/gpt-55", failure(404, "no"))
    told = str(refused(server, "openai/gpt-55"))
    assert "; did you mean openai/gpt-5" in told
    assert told.isprintable()


def test_near_is_quick_and_knows_no_double() -> None:
    """Of thousands of models, few are named, each once."""
    many = tuple(ListedModel(f"maker-{at % 50}/model-{at}") for at in range(5000))
    started = time.process_time()
    found = near((*LISTED, *many, *LISTED), "openai/gpt-5-min")
    assert time.process_time() - started < 3
    assert found[0] == "openai/gpt-5-mini"
    assert len(set(found)) == len(found) <= 3
