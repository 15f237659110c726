"""Promises of the model lists that are kept on disk: fetched once a day, never in the way, and never a key in them."""

import asyncio
import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fusion_cli.api import catalogue_cache
from fusion_cli.api.catalogue import Catalogue, ListedModel, parse
from fusion_cli.api.client import ChatClient
from fusion_cli.chat import Endpoint, ModelName, Price
from fusion_cli.errors import UnreachableError
from tests.wire.server import Reply, WireServer, document, failure

MODEL = ModelName("openrouter", "openai/gpt-5")
PATH = "/api/v1/models"
KEY = "sk-canary-0123456789"
LISTED = ListedModel(
    MODEL.slug, "GPT-5 \u2028\ud800", "openai/gpt-5-2026", 400_000, Price(1.25e-6, 1e-5, 0.01), ("tools",), ("text",)
)


@pytest.fixture
def server() -> Iterator[WireServer]:
    """Serve what the test scripts."""
    with WireServer() as server:
        yield server


def ask(server: WireServer | str, cache: Path | None, **endpoint: Any) -> tuple[int | None, Price | None, list[str]]:
    """Return what a new client says of the model: context, price and notices."""
    url = server if isinstance(server, str) else server.url

    async def put() -> tuple[int | None, Price | None, list[str]]:
        endpoints = {MODEL: Endpoint(url, KEY, **{"has_catalogue": True, **endpoint})}
        async with ChatClient(endpoints, cache_dir=cache, catalogue_s=5) as client:
            return await client.context_tokens(MODEL), await client.price(MODEL), client.notices

    return asyncio.run(put())


def kept(server: WireServer, cache: Path, age_s: float = 0.0) -> Path:
    """Keep a list of one model that was told so long ago; return its file."""
    catalogue_cache.store(cache, Catalogue(server.url, time.time() - age_s, (LISTED,)))
    return catalogue_cache.path_of(cache, server.url)


def test_a_list_is_the_same_read_back(tmp_path: Path) -> None:
    """Every field of a model survives the file, and so does the time."""
    stored = Catalogue("https://openrouter.ai/api/v1", 1_790_000_000.5, (LISTED, ListedModel("a/b"), ListedModel("c")))
    catalogue_cache.store(tmp_path, stored)
    assert catalogue_cache.load(tmp_path, stored.base_url) == stored
    assert catalogue_cache.load(tmp_path, "https://elsewhere.test/v1") is None


def test_whoever_is_not_listed_is_found_without_reading_the_list(tmp_path: Path) -> None:
    """By the id alone: no other name and no half of one counts; and where no list is kept, nobody is missing."""
    stored = Catalogue(
        "https://openrouter.ai/api/v1", 1.79e9, (LISTED, ListedModel("ä/b"), ListedModel("d/mini", "d/e"))
    )
    catalogue_cache.store(tmp_path, stored)
    asked = (MODEL.slug, "ä/b", "d/e", "openai/gpt-5-2026", "openai/gpt")
    assert catalogue_cache.missing(tmp_path, stored.base_url, asked) == ["d/e", "openai/gpt-5-2026", "openai/gpt"]
    assert catalogue_cache.missing(tmp_path, "https://elsewhere.test/v1", asked) == []


def test_a_day_long_one_request_is_enough(server: WireServer, tmp_path: Path) -> None:
    """The first run asks, the next ones read; the file is the user's alone and holds no key, nor does the request."""
    found = ask(server, tmp_path / "cache")
    assert found == (200_000, Price(1e-6, 4e-6, 0.0), [])
    assert ask(server, tmp_path / "cache") == found
    (request,) = server.requests
    (file,) = (tmp_path / "cache").iterdir()
    assert KEY.encode() not in request.head + file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("age_s", [25 * 3600, -7200], ids=["old", "from the future"])
def test_an_old_list_is_fetched_anew(server: WireServer, tmp_path: Path, age_s: float) -> None:
    """After a day the server is asked again, and what it says is kept."""
    kept(server, tmp_path, age_s)
    assert ask(server, tmp_path)[0] == 200_000
    assert ask(server, tmp_path)[0] == 200_000
    assert len(server.requests) == 1


def test_an_old_list_is_better_than_none(server: WireServer, tmp_path: Path) -> None:
    """Where the server cannot be asked, what is kept counts, and its age is told."""
    kept(server, tmp_path, 3 * 86400)
    server.script(PATH, failure(503))
    context, price, (notice,) = ask(server, tmp_path)
    assert (context, price) == (LISTED.context_tokens, LISTED.price)
    assert notice.endswith("could not be fetched: the one kept is 3 days old")


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"\xff\x00", b"[]", b"[" * 100_000, b"{}", b'{"data": []}'),
        b'{"base_url": "URL", "fetched_at": 1}',
        b'{"base_url": "URL", "fetched_at": 1, "data": [7]}',
        *(
            b'{"base_url": "URL", "fetched_at": %b, "data": [{"id": "a"}]}' % at
            for at in (b"null", b"-1", b"true", b"NaN")
        ),
        b'{"base_url": "http://other.test", "fetched_at": 1, "data": [{"id": "a"}]}',
    ],
    ids=lambda content: repr(content[:48]),
)
def test_a_broken_file_is_set_aside(server: WireServer, tmp_path: Path, content: bytes) -> None:
    """What cannot be read is neither used nor lost: it has another name, one line says so, and the list is fetched."""
    path = catalogue_cache.path_of(tmp_path, server.url)
    path.write_bytes(content.replace(b"URL", server.url.encode()))
    context, _, (notice,) = ask(server, tmp_path)
    assert context == 200_000
    (aside,) = tmp_path.glob("*.corrupt-*")
    assert aside.name in notice
    assert aside.read_bytes() == content.replace(b"URL", server.url.encode())
    assert ask(server, tmp_path)[2] == []
    assert len(server.requests) == 1


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is unwritable to root")
def test_an_unwritable_folder_costs_the_cache(server: WireServer, tmp_path: Path) -> None:
    """The list is used, silently, and fetched again by the next run."""
    tmp_path.chmod(0o500)
    for _ in range(2):
        assert ask(server, tmp_path / "cache") == (200_000, Price(1e-6, 4e-6, 0.0), [])
    assert len(server.requests) == 2


def test_a_folder_that_is_a_file_costs_the_cache(server: WireServer, tmp_path: Path) -> None:
    """Whatever stands where the cache should be is left alone."""
    (tmp_path / "cache").write_text("mine")
    for folder in (tmp_path / "cache", tmp_path / "cache" / "deeper"):
        assert ask(server, folder)[0] == 200_000
    assert (tmp_path / "cache").read_text() == "mine"
    assert [it.name for it in tmp_path.iterdir()] == ["cache"]


def test_half_a_file_is_never_there(server: WireServer, tmp_path: Path) -> None:
    """A list that cannot be written whole leaves the old one, and no litter."""
    path = kept(server, tmp_path, 3 * 86400)
    before = path.read_bytes()
    path.with_name("x").mkdir()
    broken = Catalogue(server.url, float("nan"), (LISTED._replace(name=b"no text"),))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        catalogue_cache.store(tmp_path, broken)
    assert path.read_bytes() == before
    assert sorted(it.name for it in tmp_path.iterdir()) == sorted([path.name, "x"])


JUNK: list[Any] = [None, "", "free", True, [], {}, "nan", "inf", "1e9", "9" * 5000, 10**400]


class TestPrices:
    """What a model costs."""

    @pytest.mark.parametrize(
        ("pricing", "price"),
        [
            ({"prompt": "0.000001", "completion": "0.000004"}, Price(1e-6, 4e-6, 0.0)),
            ({"prompt": "1e-6", "completion": 0.000004, "request": "0.01", "image": "7"}, Price(1e-6, 4e-6, 0.01)),
            ({"prompt": "0", "completion": "0", "request": None}, Price(0.0, 0.0, 0.0)),
            ({"prompt": "-1", "completion": "-1"}, None),
            ({"prompt": "1", "completion": "1", "request": "-1"}, None),
            *(({"prompt": "0.1", "completion": junk}, None) for junk in JUNK),
            *(({"prompt": junk, "completion": "0.1"}, None) for junk in JUNK),
            *((junk, None) for junk in JUNK),
        ],
        ids=lambda value: repr(value)[:60],
    )
    def test_a_price_is_dollars_a_token_or_unknown(self, server: WireServer, pricing: Any, price: Price | None) -> None:
        """Text or number; below zero, as routers have it, and junk of any shape are unknown, which is not 0."""
        server.script(PATH, document({"data": [{"id": MODEL.slug, "context_length": 8000, "pricing": pricing}]}))
        assert ask(server, None)[:2] == (8000, price)

    def test_another_server_may_name_prices_too(self, server: WireServer) -> None:
        """Any server's list is asked for prices, and only for those: its contexts may be what the model could do."""
        assert ask(server, None, has_catalogue=False)[:2] == (None, Price(1e-6, 4e-6, 0.0))
        server.script(PATH, Reply(status=401, body=b"no"))
        assert ask(server, None, has_catalogue=False)[:2] == (None, None)

    @pytest.mark.parametrize(
        ("reply", "has_catalogue", "why"),
        [
            (Reply(status=401, body=b"no"), True, "HTTP 401"),
            (Reply(status=502, body=b"no"), False, "HTTP 502"),
            (Reply(body=b"<html>"), True, "what came is no list of models"),
        ],
    )
    def test_a_list_that_should_be_there_is_missed(
        self, server: WireServer, reply: Reply, has_catalogue: bool, why: str
    ) -> None:
        """Nobody takes a server that cannot be asked for one whose prices are unknown."""
        server.script(PATH, reply)
        with pytest.raises(UnreachableError, match=rf"^the model list of openrouter could not be fetched: {why}$"):
            ask(server, None, has_catalogue=has_catalogue)

    def test_what_runs_here_is_free(self, server: WireServer) -> None:
        """The embedded engine's models cost nothing, and nobody is asked for that."""
        assert ask(server, None, is_free=True, has_catalogue=False)[1] == Price(0.0, 0.0, 0.0)
        assert server.requests == []


def test_a_list_of_hostile_size_is_bounded() -> None:
    """Of endless models some are kept, and of endless names none."""
    entries = [{"id": f"m/{at}"} for at in range(30_000)]
    assert len(parse(json.dumps({"data": entries}).encode())) == 20_000
    long = [{"id": "x" * 10_000}, {"id": "a", "name": "x" * 10_000, "supported_parameters": ["p"] * 1000}]
    (only,) = parse(json.dumps({"data": long}).encode())
    assert (only.slug, only.name, len(only.parameters)) == ("a", "", 100)
