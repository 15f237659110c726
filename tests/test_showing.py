"""Promises of `showing`: what a person does to a run's terminal is done, whatever becomes of the view."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fusion_cli.settings import read_screen

ROOT = Path(__file__).parent.parent
STOPPED = """
import asyncio, os, signal
from fusion_cli.showing import given_back_when_stopped

class Torn:
    def pause(self):
        raise OSError("no screen")

async def run():
    with given_back_when_stopped(Torn()):
        os.kill(os.getpid(), signal.SIGTSTP)
        await asyncio.sleep(0.1)
    print("went on")

asyncio.run(run())
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no Ctrl-Z")
def test_a_stop_is_one_though_the_screen_cannot_be_given_back() -> None:
    """Ctrl-Z stops the process, no error is told of it, and continued it goes on."""
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
        process.send_signal(signal.SIGCONT)
        assert process.communicate(timeout=30) == ("went on\n", "")


@pytest.mark.parametrize(
    ("said", "columns"), [("", 80), ("40", 40), ("200", 200), ("5", 80), ("wide", 80), ("-1", 80), ("99999", 80)]
)
def test_a_page_is_as_wide_as_the_environment_says(said: str, columns: int) -> None:
    """COLUMNS, where that is a width that can be used."""
    assert read_screen({"COLUMNS": said}).columns == columns
    assert read_screen({}).columns == 80
