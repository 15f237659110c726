"""Promises of Tab at a real bash, for which a colon ends a word: a name is completed, and no half of it comes twice."""

import contextlib
import os
import pty
import select
import shutil
import time
from pathlib import Path

import platformdirs
import pytest

from fusion_cli.api import catalogue_cache
from fusion_cli.api.catalogue import Catalogue, ListedModel
from tests.e2e.command import FUSION
from tests.test_house import ROOT

LAB = "http://127.0.0.1:9/v1"

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")


def typed(line: str, until: str) -> str:
    """Type a line and a Tab at the prompt of an interactive bash; return what the line is once it ends so."""
    pid, screen = pty.fork()
    if pid == 0:
        path = f"{Path(FUSION).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "PS1": "ready> ", "TERM": "dumb", "INPUTRC": "/dev/null"}
        os.execvpe("bash", ["bash", "--norc", "-i"], environment)  # noqa: S606, S607  # whichever there is
    os.write(screen, f"source {ROOT}/completions/fusion.bash; printf 'loa''ded\\n'\n".encode())
    shown, deadline, is_typed = "", time.monotonic() + 30, False
    with contextlib.suppress(OSError):
        while time.monotonic() < deadline and not (is_typed and shown.replace("\a", "").endswith(until)):
            if select.select([screen], [], [], 0.2)[0]:
                shown += os.read(screen, 65536).decode()
            if not is_typed and "loaded\r\nready> " in shown:
                is_typed, shown = True, ""
                os.write(screen, f"{line}\t".encode())
    os.close(screen)
    os.waitpid(pid, 0)
    return shown.replace("\a", "")


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("fusion ask -p lab:lla", "fusion ask -p lab:llama "),
        ("fusion ask -p openai/gpt-5,lab:llam", "fusion ask -p openai/gpt-5,lab:llama "),
        ("fusion ask -m lab:", "fusion ask -m lab:llama "),
        ("fusion ask -p lab:llama -j deepseek/r1:f", "fusion ask -p lab:llama -j deepseek/r1:free "),
        ("fusion ask -j deep", "fusion ask -j deepseek/r1:free "),
        ("fusion ask 'what : is' '' -j deepseek/r1:f", "fusion ask 'what : is' '' -j deepseek/r1:free "),
    ],
)
def test_a_name_with_a_colon_is_completed(line: str, completed: str) -> None:
    """Behind a provider, behind a comma, and in a variant of a model."""
    config = platformdirs.user_config_path("fusion", appauthor=False) / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f'[providers.lab]\nbase_url = "{LAB}"\n')
    cache = platformdirs.user_cache_path("fusion", appauthor=False)
    for url, slug in ((LAB, "llama"), ("https://openrouter.ai/api/v1", "deepseek/r1:free")):
        catalogue_cache.store(cache, Catalogue(url, time.time(), (ListedModel(slug),)))
    assert typed(line, completed) == completed
