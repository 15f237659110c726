"""`fusion config init` at a pseudo-terminal: the key is tried, kept and never shown, and who leaves changes nothing."""

import os
import re
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from tests.e2e.command import CANARY, fusion
from tests.e2e.person import CTRL_C, CTRL_D, Person
from tests.wire.server import Reply, Request, WireServer, deliberation, document, failure

WITHOUT_KEY = {"OPENROUTER_API_KEY": ""}
ASKS_KEY = "(not shown as you type):"


@pytest.fixture
def folder() -> Path:
    """Return the user's config folder."""
    return platformdirs.user_config_path("fusion", appauthor=False)


def takes_the_canary(request: Request) -> Reply:
    """Answer as OpenRouter does for `GET /key`."""
    if request.headers.get("authorization") != f"Bearer {CANARY}":
        return failure(401, f"no user for {request.headers.get('authorization')}")
    return document({"data": {"limit_remaining": 7.25}})


@pytest.fixture
def server() -> Iterator[WireServer]:
    """Serve in the place of OpenRouter; it takes the canary alone."""
    with WireServer(default=deliberation(latency_s=0), api_key=CANARY) as server:
        server.script("/api/v1/key", takes_the_canary)
        yield server


def at_init(*options: str, server: WireServer | None = None, env: dict[str, str] | None = None) -> Person:
    """Return somebody before `fusion config init` who has set no key."""
    return Person(["config", "init", *options], server, {**WITHOUT_KEY, **(env or {})})


def written(folder: Path) -> dict[str, Any]:
    """Return what the config file says."""
    return tomllib.loads((folder / "config.toml").read_text())


def test_openrouter_from_nothing_to_a_run(server: WireServer, folder: Path) -> None:
    """A wrong key is asked for again, the right one is kept for its owner alone, and the next run has it."""
    person = at_init(server=server)
    person.answer("Number [1]:", "1")
    person.answer_unseen(ASKS_KEY, f"{CANARY}-mistyped")
    person.answer_unseen(ASKS_KEY, CANARY)
    person.answer("for you alone? (y/n) [y]:", "")
    person.answer("Number [1]:", "2")
    assert person.end() == 0
    assert CANARY not in person.screen
    assert "It was refused (HTTP 401)." in person.screen
    assert "It is accepted, $7.25 left." in person.screen
    key_path = folder / "openrouter.key"
    assert written(folder) == {
        "provider": "openrouter",
        "preset": "general-budget",
        "providers": {"openrouter": {"api_key_file": str(key_path)}},
    }
    assert key_path.read_text() == f"{CANARY}\n"
    assert os.name == "nt" or stat.S_IMODE(key_path.stat().st_mode) == 0o600
    assert CANARY not in (folder / "config.toml").read_text()
    ended = fusion("analyze", "q", server=server, env=WITHOUT_KEY)
    assert ended.status == 0
    assert {request.model for request in server.calls()} >= {"deepseek/deepseek-v3.2"}
    assert fusion("config", "doctor", server=server, env=WITHOUT_KEY).status == 0


def test_a_key_may_stay_in_the_environment(server: WireServer, folder: Path) -> None:
    """Who keeps no file, or types no key, is told which variable to set, and nothing secret is written."""
    for key in (CANARY, ""):
        person = at_init("--provider", "openrouter", "--preset", "general-fast", "--yes", server=server)
        person.answer_unseen(ASKS_KEY, key)
        if key:
            person.answer("(y/n) [y]:", "n")
        assert person.end() == 0
        assert "Set the environment variable OPENROUTER_API_KEY to the key." in person.screen
        assert CANARY not in person.screen
        assert written(folder) == {"provider": "openrouter", "preset": "general-fast"}
        assert not (folder / "openrouter.key").exists()


def test_a_key_that_is_set_is_used(server: WireServer, folder: Path) -> None:
    """With a good key in the environment and the rest said by options nobody is asked, so no terminal is needed."""
    options = ("--provider", "openrouter", "--preset", "general-high", "--yes")
    ended = fusion("config", "init", *options, server=server)
    assert (ended.status, ended.stdout) == (0, "")
    assert "There is a key (environment OPENROUTER_API_KEY).\nIt is accepted, $7.25 left." in ended.stderr
    assert written(folder) == {"provider": "openrouter", "preset": "general-high"}
    refused = fusion("config", "init", *options, server=server, env={"OPENROUTER_API_KEY": "stale"})
    assert refused.status == 4
    assert "Unset or correct OPENROUTER_API_KEY" in refused.stderr


@pytest.mark.parametrize(("typed", "status"), [(CTRL_C, 130), (CTRL_D, 1)])
@pytest.mark.parametrize("question", ["Number [1]:", ASKS_KEY, "for you alone? (y/n) [y]:"])
def test_who_leaves_changes_nothing(server: WireServer, folder: Path, question: str, typed: str, status: int) -> None:
    """Ctrl-C and Ctrl-D at whatever question leave no file, a line of their own, and a terminal with echo."""
    person = at_init("--preset", "general-high", server=server)
    for each, answer in (("Number [1]:", "1"), (ASKS_KEY, CANARY), ("for you alone? (y/n) [y]:", "")):
        ask = person.answer_unseen if each == ASKS_KEY else person.answer
        ask(each, typed if each == question else answer)
        if each == question:
            break
    assert person.end() == status
    assert re.search(r"\n(\^C)?fusion: ", person.screen)  # the terminal may show what was typed after the signal came
    assert CANARY not in person.screen
    assert not folder.exists()


def test_an_existing_file_is_changed_with_its_owners_consent(server: WireServer, folder: Path) -> None:
    """What changes is shown first; no leaves every byte, yes changes what was said and keeps comments and the rest."""
    before = '# mine\njudge = "a/b" # old\nseed = 7\n\n[presets.two]\npanel = ["a/b", "c/d"] # both\n'
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(before)
    for consent, status in (("n", 1), ("y", 0)):
        person = at_init("--provider", "openrouter", "--preset", "two", server=server)
        person.answer_unseen(ASKS_KEY, CANARY)
        person.answer("(y/n) [y]:", "y")
        person.answer("Change it? (y/n) [y]:", consent)
        assert person.end() == status
        assert '  preset = "two"' in person.screen
        assert "  judge is removed" in person.screen
        if consent == "n":
            assert (folder / "config.toml").read_text() == before
            assert not (folder / "openrouter.key").exists()
    told = written(folder)
    assert (told["preset"], told["seed"], "judge" in told) == ("two", 7, False)
    assert "# mine" in (folder / "config.toml").read_text()
    assert "# both" in (folder / "config.toml").read_text()


def test_a_server_of_ones_own(folder: Path) -> None:
    """Its models are listed and chosen from, its key goes to it alone, and a run asks it."""
    with WireServer(default=deliberation(latency_s=0), api_key=CANARY) as server:
        server.script("/api/v1/models", lambda request: document({"data": [{"id": "m-1"}, {"id": "m-2"}]}))
        person = at_init()
        person.answer("Number [1]:", "2")
        person.answer("A short name for the server [own]:", "local")
        person.answer("A short name for the server [own]:", "lab")
        person.answer("/v1:", "lab.example")
        person.answer("/v1:", server.url)
        person.answer_unseen("empty for none):", CANARY)
        person.answer("for you alone? (y/n) [y]:", "y")
        person.answer("Panel [m-1]:", "m-2, m-1")
        assert person.end() == 0
        assert CANARY not in person.screen
        assert "It serves m-1, m-2." in person.screen
        assert written(folder) == {
            "provider": "lab",
            "panel": ["lab:m-2", "lab:m-1"],
            "judge": "lab:m-2",
            "model": "lab:m-2",
            "providers": {"lab": {"base_url": server.url, "api_key_file": str(folder / "lab.key")}},
        }
        assert fusion("analyze", "q").status == 0
        assert {request.model for request in server.calls()} == {"m-1", "m-2"}


def test_the_embedded_engine_needs_no_question(folder: Path) -> None:
    """Everything is said by options: nothing is asked, and the file is written."""
    assert fusion("config", "init", "--provider", "local", "--preset", "local-small").status == 0
    assert written(folder) == {"provider": "local", "preset": "local-small"}


def test_a_server_that_does_not_answer_is_said_before_anything_is_kept(folder: Path) -> None:
    """Who does not go on then has kept nothing; who does has."""
    env = {"OPENROUTER_BASE_URL": "http://127.0.0.1:1/v1"}
    for typed, status in (("n", 6), ("y", 0)):
        person = at_init("--provider", "openrouter", "--preset", "general-high", env=env)
        person.answer_unseen(ASKS_KEY, CANARY)
        person.answer("Go on all the same? (y/n) [n]:", typed)
        if typed == "y":
            person.answer("(y/n) [y]:", "")
        assert person.end() == status
        assert "The key could not be tried." in " ".join(person.screen.split())
        assert folder.exists() is (typed == "y")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "there is no terminal to ask on\nSet OPENROUTER_API_KEY"),
        (("--provider", "lba"), '--provider: expected one of openrouter, local, found "lba"'),
        (("--provider", "lab", "--base-url", "lab.example"), "--base-url: expected "),
        (("--provider", "local", "--base-url", "http://127.0.0.1:1"), "--base-url is for a server of your own"),
        (("--provider", "local", "--preset", "loacl"), "--preset: expected one of general-high"),
    ],
)
def test_what_cannot_be_asked_or_used_is_status_2(folder: Path, options: tuple[str, ...], said: str) -> None:
    """Without a terminal, and with options that mean nothing, it is said what to do, and nothing is written."""
    ended = fusion("config", "init", *options)
    assert (ended.status, ended.stdout) == (2, "")
    assert said in ended.stderr
    assert not folder.exists()


def test_a_file_that_is_named_need_not_exist(tmp_path: Path, folder: Path) -> None:
    """`--config` makes the file that it names."""
    path = tmp_path / "new" / "fusion.toml"
    assert fusion("--config", str(path), "config", "init", "--provider", "local", "--preset", "local").status == 0
    assert tomllib.loads(path.read_text())["preset"] == "local"
    assert not folder.exists()
