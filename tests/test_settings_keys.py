"""Promises of settings for keys: where one is read from, where it may go, and that it is never shown."""

from pathlib import Path

import pytest

from fusion_cli import settings
from fusion_cli.errors import ConfigError
from tests.test_settings import CANARY, configured, refusal


@pytest.mark.parametrize(
    "text",
    [
        f'api_key = "{CANARY}"',
        f'"{CANARY}" = 1',
        f'OPENROUTER_API_KEY = "{CANARY}"',
        f'[providers.lab]\nbase_url = "https://x.example"\napi_key = "{CANARY}"',
        f'[providers.lab]\nbase_url = "https://x.example"\napi_key_env = "{CANARY}"',
        f'[providers.lab]\nbase_url = "{CANARY}"',
        f'[providers.lab]\nbase_url = "https://user:{CANARY}@x.example/v1"',
        f'[providers.lab]\nbase_url = "https://x.example/v1?key={CANARY}"',
        f'provider = "{CANARY}"',
        f'tool_choice = "Bearer {CANARY}"',
        f'judge = "{CANARY} "',
        f"[{CANARY}]\n[{CANARY}]",
    ],
)
def test_a_secret_in_the_wrong_place_is_never_quoted(tmp_path: Path, text: str) -> None:
    """Whoever pastes a key into the file is told so without its being repeated (see `refusal`)."""
    assert refusal(tmp_path, text)


@pytest.mark.parametrize("key", ["a\nb", "a b", "a\x00b", "a\u00e9b", "a\udcffb", "a\x7fb"])
def test_a_key_that_cannot_stand_in_a_header_is_refused(key: str) -> None:
    """A broken key is named by its variable alone."""
    with pytest.raises(ConfigError) as caught:
        settings.load(environ={"OPENROUTER_API_KEY": key})
    said = "OPENROUTER_API_KEY holds a line break or another character that cannot stand in a header"
    assert str(caught.value) == said


def test_a_blank_key_is_no_key() -> None:
    """White space alone is an unset key."""
    assert settings.load(environ={"OPENROUTER_API_KEY": " \n"}).providers["openrouter"].api_key is None


def test_a_key_is_not_in_the_repr() -> None:
    """Settings can be logged."""
    loaded = settings.load(environ={"OPENROUTER_API_KEY": CANARY})
    assert loaded.providers["openrouter"].api_key == CANARY
    assert CANARY not in repr(loaded) + repr(settings.entries(loaded))


@pytest.mark.parametrize(
    "host", ["x.example", "10.0.0.1", "localhost.evil.example", "127.0.0.1.evil.example", "0.0.0.0", "[::2]"]  # noqa: S104
)  # fmt: skip
def test_a_key_does_not_travel_in_the_clear(tmp_path: Path, host: str) -> None:
    """Plain http with a key is refused before any request, from the environment and from the file."""
    environ = {"OPENROUTER_API_KEY": CANARY, "OPENROUTER_BASE_URL": f"http://{host}/v1"}
    assert refusal(tmp_path, "", environ).startswith("OPENROUTER_BASE_URL: expected https://")
    text = f'[providers.lab]\nbase_url = "http://{host}/v1"\napi_key_env = "LAB_KEY"\n'
    assert refusal(tmp_path, text, {"LAB_KEY": CANARY}).startswith("providers.lab.base_url: expected https://")
    assert configured(tmp_path, text).providers["lab"].base_url == f"http://{host}/v1"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1", "127.9.9.9:8", "[::1]:8000"])
def test_a_key_may_go_to_this_machine(host: str) -> None:
    """Loopback needs no https."""
    environ = {"OPENROUTER_API_KEY": CANARY, "OPENROUTER_BASE_URL": f"http://{host}/v1"}
    assert settings.load(environ=environ).providers["openrouter"].api_key == CANARY


def test_openrouters_key_may_have_another_variable(tmp_path: Path) -> None:
    """An overridden api_key_env is the only variable that is read."""
    text = '[providers.openrouter]\napi_key_env = "OTHER"\n'
    assert configured(tmp_path, text, {"OPENROUTER_API_KEY": CANARY}).providers["openrouter"].api_key is None
    assert configured(tmp_path, text, {"OTHER": CANARY}).providers["openrouter"].api_key == CANARY


FILE, COMMAND = 'api_key_file = "~/lab.key"\n', 'api_key_command = "no-such-program show lab"\n'


@pytest.mark.parametrize(
    ("text", "environ", "source"),
    [
        (FILE, {}, "key file"),
        (COMMAND, {}, "command"),
        (FILE + COMMAND, {}, "key file"),
        (FILE + COMMAND, {"OPENROUTER_API_KEY": CANARY}, "environment OPENROUTER_API_KEY"),
        (FILE + COMMAND, {"OPENROUTER_API_KEY": " "}, "key file"),
    ],
)
def test_where_a_key_comes_from_is_told(tmp_path: Path, text: str, environ: dict[str, str], source: str) -> None:
    """A file or a command counts as a key, and neither is touched to tell so: these two do not exist."""
    loaded = configured(tmp_path, f"[providers.openrouter]\n{text}", environ)
    [entry] = [entry for entry in settings.entries(loaded) if entry.key == "providers.openrouter.api_key"]
    assert entry == settings.Entry("providers.openrouter.api_key", "set", source)
    assert settings.resolve_provider(loaded, None, lambda: True) == "openrouter"


@pytest.mark.parametrize(("text", "key"), [(FILE, "api_key_file"), (COMMAND, "api_key_command")])
def test_no_key_of_any_source_travels_in_the_clear(tmp_path: Path, text: str, key: str) -> None:
    """Plain http with a key's file or command is refused on loading, and fine on this machine."""
    lab = f'[providers.lab]\nbase_url = "http://{{}}/v1"\n{text}'
    said = f"providers.lab.base_url: expected https://, found http:// with {key} set: a key never travels in the clear"
    assert refusal(tmp_path, lab.format("lab.example")) == said
    assert configured(tmp_path, lab.format("127.0.0.1:8000")).providers["lab"].has_key


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (f'api_key_file = "{CANARY}"', "api_key_file: expected the full path of the file"),
        ('api_key_file = "hunter2"', "api_key_file: expected the full path of the file"),
        ("api_key_file = 1", "api_key_file: expected the full path of the file"),
        (f'api_key_command = "{CANARY}"', "api_key_command: expected the command that prints the key"),
        (f'api_key_command = "echo {CANARY}0123456789"', "api_key_command: expected the command that prints"),
        ('api_key_command = "aB3dE5fG7hI9jK1lM2nO3pQ4"', "api_key_command: expected the command that prints"),
        ('api_key_command = "pass \'lab"', "api_key_command: expected the command that prints the key"),
        ('api_key_command = ""', "api_key_command: expected the command that prints the key"),
        ('api_key_command = "a\\nb"', "api_key_command: expected the command that prints the key"),
        ('api_key_command = ["pass", "lab"]', "api_key_command: expected the command that prints the key"),
    ],
)
def test_a_key_in_the_place_of_its_source_is_not_quoted(tmp_path: Path, line: str, found: str) -> None:
    """Whatever is neither a path nor a command may be the key itself."""
    said = refusal(tmp_path, f'[providers.lab]\nbase_url = "https://x.example"\n{line}')
    assert said.startswith(f"providers.lab.{found}")
    assert said.endswith(", found something else (not shown)")
