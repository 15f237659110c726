"""Promises of `fusion models`, and of a name that is not in the list: told before it costs, and without a request."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from fusion_cli.api import catalogue_cache
from fusion_cli.api.catalogue import Catalogue, ListedModel
from fusion_cli.local.weights import WEIGHTS
from tests.e2e.command import CANARY, MODELS, fusion, on_a_terminal
from tests.wire.server import WireServer, deliberation, document, failure

PATH = "/api/v1/models"


@pytest.fixture
def server() -> Iterator[WireServer]:
    """Serve a deliberation, and a list of two models."""
    with WireServer(deliberation()) as server:
        yield server


def keep(server: WireServer, *slugs: str, age_s: float = 3 * 3600) -> None:
    """Keep a list of these models that was told so long ago."""
    listed = Catalogue(server.url, time.time() - age_s, tuple(map(ListedModel, slugs)))
    catalogue_cache.store(platformdirs.user_cache_path("fusion", appauthor=False), listed)


def own_server(url: str, more: str = "") -> None:
    """Configure a server of one's own."""
    path = platformdirs.user_config_path("fusion", appauthor=False) / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(f'[providers.lab]\nbase_url = "{url}"\n{more}')


class TestList:
    """The command."""

    def test_the_catalogue_is_listed_and_kept(self, server: WireServer) -> None:
        """One request a day is enough; no key goes along with it."""
        first = fusion("models", server=server)
        assert first.status == 0
        assert first.stdout.splitlines() == [
            "anthropic/claude-opus-4.8\t200000\t1\t4\tyes\tyes\t\tanthropic/claude-opus-4.8",
            "openai/gpt-5\t200000\t1\t4\tyes\tyes\t\topenai/gpt-5",
        ]
        assert fusion("models", "GPT", server=server).stdout.splitlines() == first.stdout.splitlines()[1:]
        (request,) = server.requests
        assert CANARY.encode() not in request.head

    def test_refresh_asks_again(self, server: WireServer) -> None:
        """However new the list is."""
        keep(server, "old/model", age_s=1)
        assert "old/model" in fusion("models", server=server).stdout
        assert "old/model" not in fusion("models", "--refresh", server=server).stdout
        assert "old/model" not in fusion("models", server=server).stdout
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        ("age_s", "said"),
        [(0, "less than a minute"), (90, "1 minute"), (3 * 3600 + 60, "3 hours"), (9 * 86400 + 60, "9 days")],
    )
    def test_offline_the_kept_list_is_shown_with_its_age(self, server: WireServer, age_s: float, said: str) -> None:
        """Standard output is the list as ever."""
        keep(server, "a/b", age_s=age_s)
        server.script(PATH, failure(503))
        told = fusion("models", "--refresh", server=server)
        assert (told.status, told.stdout) == (0, "a/b\t\t\t\t\t\t\t\n")
        assert told.stderr.endswith(f"could not be fetched: the one kept is {said} old\n")

    @pytest.mark.parametrize("reply", [failure(503), document({"data": []}), document({})])
    def test_offline_and_nothing_kept_is_status_6(self, server: WireServer, reply: Any) -> None:
        """One line says what is wrong, and one what to do."""
        server.script(PATH, reply)
        told = fusion("models", server=server)
        assert (told.status, told.stdout) == (6, "")
        said, todo = told.stderr.splitlines()
        assert said.startswith("fusion: the model list of openrouter could not be fetched, and none is kept: ")
        assert todo == "fusion config doctor looks for the cause."

    def test_json_is_an_array(self, server: WireServer) -> None:
        """Of what was searched for; an empty one where nothing is found."""
        told = fusion("models", "--json", "gpt", server=server)
        assert [(model["id"], model["tools"], model["images"]) for model in told.json()] == [
            ("openai/gpt-5", True, None)
        ]
        assert fusion("models", "--json", "nothing", server=server).json() == []

    def test_nothing_found_is_said(self, server: WireServer) -> None:
        """On standard error; it is no failure."""
        told = fusion("models", "nothing", server=server)
        assert (told.status, told.stdout, told.stderr) == (
            0,
            "",
            "No model of openrouter is called so; it lists 2 models.\n",
        )

    def test_embedded_models_are_listed(self) -> None:
        """Without a key they are the default provider's; where OpenRouter's are is said."""
        told = fusion("models")
        assert [line.partition("\t")[0] for line in told.stdout.splitlines()] == sorted(WEIGHTS)
        assert "fusion models --provider openrouter" in told.stderr
        assert fusion("models", "--provider", "local").stderr == ""

    def test_a_server_of_ones_own_lists_its_ids(self, server: WireServer) -> None:
        """Its key goes along, as it may list its models to nobody else."""
        own_server(server.url, 'api_key_env = "LAB_KEY"\n')
        server.script(PATH, document({"object": "list", "data": [{"id": "llama", "object": "model"}]}))
        told = fusion("models", "--provider", "lab", env={"LAB_KEY": "sk-of-the-lab"})
        assert told.stdout == "llama\t\t\t\t\t\t\t\n"
        (request,) = server.requests
        assert request.headers["authorization"] == "Bearer sk-of-the-lab"
        (kept,) = platformdirs.user_cache_path("fusion", appauthor=False).iterdir()
        assert "sk-of-the-lab" not in kept.read_text()

    def test_an_unknown_provider_is_a_mistake(self) -> None:
        """One line names those that there are."""
        told = fusion("models", "--provider", "nobody")
        assert told.status == 2
        assert "expected one of openrouter, local" in told.stderr

    def test_on_a_terminal_it_is_a_table(self, server: WireServer) -> None:
        """As wide as that is."""
        status, shown = on_a_terminal("models", server=server, env={"COLUMNS": "80"})
        assert status == 0
        assert shown.splitlines()[0].split() == ["MODEL", "CONTEXT", "IN", "$/M", "OUT", "$/M", "CAN"]
        _, narrow = on_a_terminal("models", "gpt", server=server, env={"COLUMNS": "40"})
        assert narrow == "openai/gpt-5\n  200k  $1.00/$4.00  tools json\n"


class TestMisspelt:
    """A model that is not in the list that is kept."""

    def test_the_nearest_names_are_told(self, server: WireServer) -> None:
        """In a warning, before the run; it goes on, as the list may be old, and nobody is asked for a new one."""
        keep(server, "openai/gpt-5", "anthropic/claude-opus-4.8", "z/judges", age_s=9e6)
        told = fusion("ask", *MODELS, "--tool-choice", "required", "--json", "Which?", server=server)
        assert told.status == 0
        (warning,) = [line for line in told.json()["warnings"] if "model list" in line]
        assert warning == "z/judge is not in the model list of 104 days ago; did you mean z/judges?"
        assert warning in told.stderr
        assert [request.path for request in server.requests if request.path == PATH] == []

    def test_a_dry_run_tells_them_too(self, server: WireServer) -> None:
        """Nobody has to be asked for that."""
        keep(server, "openai/gpt-5", "anthropic/claude-opus-4.8", "z/judges")
        told = fusion("ask", *MODELS, "--dry-run", "Which?", server=server)
        assert "z/judge is not in the model list" in told.stderr + told.stdout

    @pytest.mark.parametrize("slug", ["openai/gpt-5:nitro", "~openai/gpt-latest", "openai/gpt-5"])
    def test_what_can_be_meant_is_not_questioned(self, server: WireServer, slug: str) -> None:
        """Variants of a listed model and aliases are fine."""
        keep(server, "openai/gpt-5")
        told = fusion("ask", "--tool-choice", "none", "-m", slug, "--json", "Which?", server=server)
        assert told.status == 0
        assert told.json()["warnings"] == []

    def test_without_a_list_nothing_is_said(self, server: WireServer) -> None:
        """Nor is one fetched; a broken one is left to whoever needs it."""
        cache = platformdirs.user_cache_path("fusion", appauthor=False)
        for broken in (False, True):
            if broken:
                cache.mkdir(parents=True)
                catalogue_cache.path_of(cache, server.url).write_text("{")
            told = fusion("ask", "--tool-choice", "none", "-m", "z/typo", "--json", "Which?", server=server)
            assert told.json()["warnings"] == []
        assert {request.path for request in server.requests} == {"/api/v1/chat/completions"}
        assert len(list(cache.iterdir())) == 1


def test_the_list_on_disk_is_json(server: WireServer) -> None:
    """It is what the server said, as far as it is understood, and can be read without this tool."""
    fusion("models", server=server)
    (path,) = platformdirs.user_cache_path("fusion", appauthor=False).iterdir()
    assert [model["id"] for model in json.loads(Path(path).read_text())["data"]] == [
        "openai/gpt-5",
        "anthropic/claude-opus-4.8",
    ]
