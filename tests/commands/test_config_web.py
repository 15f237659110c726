"""Promises of `fusion config` for web search and fetch: hosts as people write them, and keys that stay unseen."""

import json
import tomllib
from pathlib import Path

import pytest

from fusion_cli.errors import FusionError, UsageError
from tests.commands.test_config import done, refused, written

BRAVE = "BSAcanary_1-cD2ef_3-gH4ij_5-kL6"


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the config file would be; there is none yet, and no key."""
    path = tmp_path / "folder" / "config.toml"
    monkeypatch.setenv("FUSION_CONFIG", str(path))
    for name in ("BRAVE_API_KEY", "TAVILY_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return path


@pytest.mark.parametrize(
    ("key", "value", "printed", "stored"),
    [
        ("web.search", "brave", "brave", "brave"),
        ("web.searxng_url", "http://127.0.0.1:8888", "http://127.0.0.1:8888", "http://127.0.0.1:8888"),
        ("web.allow_hosts", "a:1", "a:1", ["a:1"]),
        ("web.allow_hosts", "a:1, b:2", "a:1,b:2", ["a:1", "b:2"]),
        ("web.allow_hosts", "[::1]:1,b:2", "[::1]:1,b:2", ["[::1]:1", "b:2"]),
        ("web.allow_hosts", '["a:1", "[::1]:2"]', "a:1,[::1]:2", ["a:1", "[::1]:2"]),
        ("web.allow_hosts", "[]", "[]", []),
    ],
)
def test_what_was_set_is_got_and_unset(path: Path, key: str, value: str, printed: str, stored: object) -> None:
    """A value, as TOML or as people write it, is stored as what it is, printed as `set` takes it, and removed."""
    written(path, "")
    assert refused(FusionError, "get", key).args == (f"{key} is not set",)
    done("set", key, value)
    before = path.read_text()
    assert tomllib.loads(before) == {"web": {key.removeprefix("web."): stored}}
    assert done("get", key) == f"{printed}\n"
    done("set", key, printed)
    assert path.read_text() == before
    done("unset", "web")
    assert path.read_text() == ""


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("web.allow_hosts", "a:1,b", "web.allow_hosts[1]: expected host:port, like localhost:8000, found no port"),
        ("web.allow_hosts", "[::1]", "web.allow_hosts[0]: expected host:port, like localhost:8000, found no port"),
        ("web.allow_hosts", '["a:1"', "web.allow_hosts: expected TOML, found: Unclosed array"),
        ("web.allow_hosts", '"a:1", "b:2"', "web.allow_hosts: expected TOML, found: Expected newline"),
        ("web.search", BRAVE, "web.search: expected one of searxng, brave, tavily, duckduckgo, found (not shown"),
        ("web.api_key", BRAVE, "web.api_key: unknown key"),
    ],
)
def test_a_bad_value_is_refused_before_writing(path: Path, key: str, value: str, said: str) -> None:
    """The line says what was expected, never a secret, and nothing is written."""
    error = refused(UsageError, "set", key, value)
    assert str(error).startswith(said)
    assert BRAVE not in str(error) + error.hint
    assert not path.parent.exists()


def test_show_tells_of_keys_only_that_they_are_set(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For people and for scripts there is whose key is set, and which variable it came from."""
    written(path, '[web]\nallow_hosts = ["A:1", "b:2"]\n')
    monkeypatch.setenv("BRAVE_API_KEY", BRAVE)
    printed, as_json = done("show"), done("show", "--json")
    assert BRAVE not in printed + as_json
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert "web.allow_hosts a:1,b:2 (file)" in lines
    assert "web.brave_api_key set (environment BRAVE_API_KEY)" in lines
    assert "web.tavily_api_key not set" in lines
    told = json.loads(as_json)["values"]
    assert told["web.brave_api_key"] == {"value": "set", "source": "environment BRAVE_API_KEY"}
    assert told["web.tavily_api_key"] == {"value": None, "source": "default"}
