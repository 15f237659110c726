"""Promises of settings and values for the web: which search is in use, whose keys there are, which hosts are let in."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from fusion_cli import settings, values
from fusion_cli.errors import ConfigError, UsageError
from fusion_cli.settings import Web
from fusion_cli.web.guard import WebError, check_url

BRAVE = "BSAcanary_1-cD2ef_3-gH4ij_5-kL6"
TAVILY = "tvly-dev-canary0123456789abcdef"
BOTH = {"BRAVE_API_KEY": f" {BRAVE}\n", "TAVILY_API_KEY": TAVILY}
SAID_OF_KEYS = (
    "the keys of web are search, searxng_url, allow_hosts; "
    "API keys are never in this file: they are read from BRAVE_API_KEY and TAVILY_API_KEY"
)


def configured(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None) -> settings.Settings:
    """Load a config file of this text."""
    path = tmp_path / "c.toml"
    path.write_text(text)
    return settings.load(path, environ=environ or {})


def refusal(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None) -> ConfigError:
    """Return the error with which such a config is refused, on one line and without a key."""
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, text, environ)
    said = str(caught.value)
    assert said.isprintable()
    assert not any(secret in said + caught.value.hint for secret in (BRAVE, TAVILY))
    return caught.value


def shown(loaded: settings.Settings) -> dict[str, tuple[object, str]]:
    """Return value and source of what `fusion config show` has of the web."""
    return {
        entry.key.removeprefix("web."): (entry.value, entry.source)
        for entry in settings.entries(loaded)
        if entry.key.startswith("web.")
    }


def test_nothing_configured_is_no_search() -> None:
    """Without file and environment there is neither a search, nor a key, nor a private host."""
    loaded = settings.load(environ={"BRAVE_API_KEY": " \n", "TAVILY_API_KEY": ""})
    assert loaded.web == Web()
    assert loaded.web.backend is None
    names = ("search", "searxng_url", "allow_hosts", "brave_api_key", "tavily_api_key")
    assert shown(loaded) == dict.fromkeys(names, (None, "default"))


def test_each_value_tells_where_it_came_from(tmp_path: Path) -> None:
    """File and environment are told apart, and of a key only that it is set."""
    text = '[web]\nsearch = "brave"\nsearxng_url = "http://10.0.0.1:8888/"\nallow_hosts = ["LocalHost:8000"]\n'
    loaded = configured(tmp_path, text, BOTH)
    keys = {"brave": BRAVE, "tavily": TAVILY}
    assert loaded.web == Web("brave", "http://10.0.0.1:8888", ("localhost:8000",), keys)
    assert shown(loaded) == {
        "search": ("brave", "file"),
        "searxng_url": ("http://10.0.0.1:8888", "file"),
        "allow_hosts": (["localhost:8000"], "file"),
        "brave_api_key": ("set", "environment BRAVE_API_KEY"),
        "tavily_api_key": ("set", "environment TAVILY_API_KEY"),
    }


def test_no_hosts_can_be_said(tmp_path: Path) -> None:
    """An empty array is told as one, not as what was never set."""
    assert shown(configured(tmp_path, "[web]\nallow_hosts = []\n"))["allow_hosts"] == ([], "file")


@pytest.mark.parametrize(
    ("web", "backend"),
    [
        (Web(), None),
        (Web(api_keys={"tavily": "t"}), "tavily"),
        (Web(api_keys={"tavily": "t", "brave": "b"}), "brave"),
        (Web(None, "http://h", (), {"tavily": "t", "brave": "b"}), "searxng"),
        (Web("tavily", "http://h", (), {"tavily": "t", "brave": "b"}), "tavily"),
        (Web("duckduckgo", "http://h", (), {"brave": "b"}), "duckduckgo"),
        (Web("brave", "http://h"), "brave"),
        (Web(allow_hosts=("h:1",)), None),
    ],
)
def test_the_search_in_use_is_the_one_asked_for_or_usable(web: Web, backend: str | None) -> None:
    """The user's word counts, usable or not; then SearXNG, Brave, Tavily, and never DuckDuckGo unasked."""
    assert web.backend == backend


def test_a_key_is_not_in_the_repr(tmp_path: Path) -> None:
    """Settings can be logged: of a key there is whose it is."""
    loaded = configured(tmp_path, '[web]\nsearch = "tavily"\n', BOTH)
    assert repr(loaded.web) == "Web('tavily', None, (), keys of ['brave', 'tavily'])"
    assert not any(secret in repr(loaded) + str(settings.entries(loaded)) for secret in (BRAVE, TAVILY))


@pytest.mark.parametrize("variable", ["BRAVE_API_KEY", "TAVILY_API_KEY"])
@pytest.mark.parametrize("key", ["a\nb", "a b", "a\u00e9b"])
def test_a_key_that_cannot_stand_in_a_header_is_refused(variable: str, key: str) -> None:
    """A broken key is named by its variable alone."""
    with pytest.raises(ConfigError) as caught:
        settings.load(environ={variable: key})
    said = f"{variable} holds a line break or another character that cannot stand in a header"
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'[web]\napi_key = "{BRAVE}"', "web.api_key: unknown key"),
        (f'[web]\nbrave_api_key = "{BRAVE}"', "web.brave_api_key: unknown key"),
        (f'[web]\ntavily_api_key = "{TAVILY}"', "web.tavily_api_key: unknown key"),
        (f'[web]\nbrave = {{key = "{BRAVE}"}}', "web.brave: unknown key"),
        (f'[web]\n"{BRAVE}" = 1', "(not shown: it looks like a secret): unknown key"),
        (f'BRAVE_API_KEY = "{BRAVE}"', "BRAVE_API_KEY: unknown key"),
        (f'[tavily]\napi_key = "{TAVILY}"', "tavily: unknown key"),
        ('[web]\nserch = "brave"', "web.serch: unknown key, did you mean web.search?"),
        ('[web]\nallowed_hosts = ["h:1"]', "web.allowed_hosts: unknown key, did you mean web.allow_hosts?"),
    ],
)
def test_a_wrong_key_is_told_where_keys_are_read_from(tmp_path: Path, text: str, said: str) -> None:
    """Whoever pastes a search's key into the file reads which variable it belongs in, and not the key."""
    error = refusal(tmp_path, text)
    assert (str(error), error.hint) == (f"{tmp_path / 'c.toml'}: {said}", SAID_OF_KEYS)


@pytest.mark.parametrize(
    "text",
    [
        f'web = "{BRAVE}"',
        f'web = "{TAVILY}"',
        f'[web]\nsearch = "{BRAVE}"',
        f'[web]\nsearch = "{TAVILY}"',
        f'[web]\nsearxng_url = "{BRAVE}"',
        f'[web]\nsearxng_url = "https://me:{BRAVE}@h"',
        f'[web]\nsearxng_url = "https://h/?key={BRAVE}"',
        f'[web]\nallow_hosts = "{BRAVE}"',
        f'[web]\nallow_hosts = ["{BRAVE}"]',
        f'[web]\nallow_hosts = ["me:{TAVILY}@h:1"]',
    ],
)
def test_a_secret_in_the_wrong_place_is_never_quoted(tmp_path: Path, text: str) -> None:
    """A key pasted as a value is refused without its being repeated (see `refusal`)."""
    assert "web" in str(refusal(tmp_path, text))


@pytest.mark.parametrize(
    "written",
    ["LocalHost:8000", "nas_2.lan:080", "10.0.0.1:8080", "[0:0::0:1]:9", "[::FFFF:127.0.0.1]:9", "xn--bcher-kva.lan:1"],
)
def test_a_host_is_written_as_fetching_compares_it(written: str) -> None:
    """What a user lets in as it stands in a URL is let in, and its neighbour on another port is not."""
    hosts = values.HOSTS.fit([written], "here")
    assert check_url(f"http://{written}/", allow_hosts=hosts).port == int(written.rpartition(":")[2])
    with pytest.raises(WebError):
        check_url(f"http://{written}7/", allow_hosts=hosts)


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("", "nothing"),
        ("localhost", "no port"),
        ("localhost:", "no port"),
        ("[::1]", "no port"),
        (TAVILY, "no port"),
        ("a:0", "a port that is none"),
        ("a:65536", "a port that is none"),
        ("a:-1", "a port that is none"),
        ("a:\u0663", "a port that is none"),
        ("a:1\n", "a port that is none"),
        (":80", "a host that is none"),
        (" a:80", "a host that is none"),
        ("a..b:80", "a host that is none"),
        ("a\x1b[2J:80", "a host that is none"),
        ("b\u00fccher.example:80", "a host that is none"),
        (f"{'a' * 64}:80", "a host that is none"),
        (f"{'a.' * 127}:80", "a host that is none"),
        ("::1:80", "a host that is none"),
        ("[::1%eth0]:80", "a host that is none"),
        ("[10.0.0.1]:80", "a host that is none"),
        ("127.1:80", "a host that is none"),
        ("0x7f.0.0.1:80", "a host that is none"),
        ("10.0.0.256:80", "a host that is none"),
        ("http://a:80", "a whole URL"),
        ("a:80/x", "a path"),
        ("10.0.0.0/8:80", "a path"),
        ("*.lan:80", "a wildcard"),
        ("a:*", "a wildcard"),
        (f"u:{TAVILY}@a:80", "a user name or password"),
    ],
)
def test_a_private_host_is_named_exactly(host: str, found: str) -> None:
    """One host and one port, spelled in the one way that URLs are compared by; what was written is not repeated."""
    with pytest.raises(UsageError) as caught:
        values.HOSTS.fit(["h:1", host], "here")
    assert str(caught.value) == f"here[1]: expected host:port, like localhost:8000, found {found}"
