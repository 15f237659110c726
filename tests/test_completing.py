"""Promises of Tab for models, presets and providers: from the disk, at once, and nothing that a shell could run."""

import os
import subprocess
import sys
import time
from pathlib import Path

import platformdirs
import pytest

from fusion_cli.api import catalogue_cache
from fusion_cli.api.catalogue import Catalogue, ListedModel
from fusion_cli.local.weights import WEIGHTS
from fusion_cli.presets import PRESETS, embedded_models
from tests.e2e.command import FUSION

OPENROUTER = "https://openrouter.ai/api/v1"
LAB = "http://127.0.0.1:9/v1"
CONFIG = f'[providers.lab]\nbase_url = "{LAB}"\n[presets.mine]\npanel = ["lab:llama"]\n'


def keep(url: str, *slugs: str) -> Path:
    """Keep an old list of these models; return its file."""
    folder = platformdirs.user_cache_path("fusion", appauthor=False)
    catalogue_cache.store(folder, Catalogue(url, time.time() - 9e6, tuple(map(ListedModel, slugs))))
    return catalogue_cache.path_of(folder, url)


def configure(text: str = CONFIG) -> Path:
    """Write the config file."""
    path = platformdirs.user_config_path("fusion", appauthor=False) / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def tab(line: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """Ask the installed command what a Tab after this line offers."""
    asked = {"_FUSION_COMPLETE": "complete_fish", "_TYPER_COMPLETE_ARGS": line}
    environment = {**os.environ, **asked, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    command = [sys.executable, *options, FUSION]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment)


def offered(line: str) -> list[str]:
    """Return the words that a Tab offers; nothing is said on standard error."""
    told = tab(line)
    assert told.stderr == ""
    return told.stdout.split()


@pytest.mark.parametrize("flag", ["-p", "--panel", "-j", "-m"])
def test_models_are_completed(flag: str) -> None:
    """Those of the kept list that begin so; providers that have their own are named first."""
    keep(OPENROUTER, "openai/gpt-5", "openai/gpt-5-mini", "anthropic/claude", "deepseek/r1:free")
    assert offered(f"fusion ask {flag} op") == ["openai/gpt-5", "openai/gpt-5-mini"]
    assert offered(
        f"fusion analyze --preset mine {flag} deepseek/r1:f" if flag != "-m" else f"fusion ask {flag} de"
    ) == ["deepseek/r1:free"]
    assert offered(f"fusion ask {flag} openrouter:a") == ["openrouter:anthropic/claude"]
    assert offered(f"fusion ask {flag} l") == ["local:"]


def test_a_list_between_commas_goes_on() -> None:
    """Every further panelist is completed behind those that stand there, whoever serves it."""
    configure()
    keep(OPENROUTER, "openai/gpt-5", "anthropic/claude")
    keep(LAB, "llama")
    assert offered("fusion ask -p openai/gpt-5,a") == ["openai/gpt-5,anthropic/claude"]
    assert offered("fusion ask -p openai/gpt-5,lab:") == ["openai/gpt-5,lab:llama"]


def test_a_provider_of_ones_own_is_offered() -> None:
    """By its name first, then with what it serves; --provider, or the configuration, makes its name unnecessary."""
    path = configure()
    keep(LAB, "llama", "lava")
    assert offered("fusion ask -m la") == ["lab:"]
    assert offered("fusion ask -m lab:ll") == ["lab:llama"]
    assert offered("fusion ask --provider lab -m ll") == ["llama"]
    assert offered("fusion models --provider l") == ["local", "lab"]
    path.write_text(f'provider = "lab"\n{CONFIG}')
    assert offered("fusion ask -m la") == ["lava"]
    assert offered("fusion ask -m o") == ["openrouter:"]


def test_presets_are_completed_the_users_too() -> None:
    """Those of the config file that the line names, or else of the usual one."""
    Path("other.toml").write_text(CONFIG.replace("mine", "mint"))
    configure()
    assert offered("fusion ask --preset ") == [*PRESETS, "mine"]
    assert offered("fusion --config other.toml ask --preset mi") == ["mint"]


def test_embedded_models_are_offered_without_a_list() -> None:
    """Their names are known, and are those that there are weights of."""
    assert offered("fusion ask -j local:") == [f"local:{slug}" for slug in embedded_models()]
    assert set(embedded_models()) == set(WEIGHTS)


@pytest.mark.parametrize("broken", ["{", "", '{"data": 7}'])
def test_what_cannot_be_read_offers_nothing(broken: str) -> None:
    """Neither a list nor a config file that is broken is moved, nor makes a noise; what is built in is offered."""
    path = keep(OPENROUTER, "openai/gpt-5")
    path.write_text(broken)
    config = configure("= broken")
    assert offered("fusion ask -m op") == []
    assert offered("fusion ask --preset local") == ["local", "local-small"]
    assert path.read_text() == broken
    assert config.read_text() == "= broken"
    assert sorted(path.parent.iterdir()) == [path]


def test_a_server_puts_nothing_into_the_shell() -> None:
    """Of a list, only names are offered that hold nothing but letters, digits and what stands in slugs."""
    hostile = (
        "a/$(touch x)",
        "a/`x`",
        "a/b c",
        "a/b\nc",
        'a/"b',
        "a/'b",
        "a/b;c",
        "-a/b",
        "a/\x1b[31m",
        "a/b\\c",
        "a/é",
    )
    keep(OPENROUTER, "a/fine-1.5_b:free@v+", *hostile)
    assert offered("fusion ask -m a") == ["a/fine-1.5_b:free@v+"]


def test_tab_waits_for_nothing_heavy() -> None:
    """A list of the size of OpenRouter's is read with json alone."""
    keep(OPENROUTER, *(f"maker-{at}/model-{at}" for at in range(500)))
    told = tab("fusion ask -p maker-49", "-X", "importtime")
    assert len(told.stdout.split()) == 11
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.stderr.splitlines()}
    assert imported & {"httpx", "rich", "pydantic", "asyncio", "tomlkit", "ssl"} == set()
    if sys.platform == "linux":
        assert "platformdirs" not in imported


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"XDG_CACHE_HOME": "/x/cache", "XDG_CONFIG_HOME": "/x/config"},
        {"XDG_DATA_HOME": "relative"},
        {"HOME": "/h/"},
    ],
)
def test_the_folders_are_those_of_platformdirs(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The way around that import leads to the same place."""
    from fusion_cli.settings import Settings, config_path

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = Settings({}, Path())
    assert found.cache_dir == platformdirs.user_cache_path("fusion", appauthor=False)
    assert found.data_dir == platformdirs.user_data_path("fusion", appauthor=False)
    assert config_path().parent == platformdirs.user_config_path("fusion", appauthor=False)
