"""The embedded engine starts once, answers only to its key, fails in one line, and never outlives its owner."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from fusion_cli.chat import Endpoint
from fusion_cli.errors import ConfigError, EngineError, UnreachableError, UsageError
from fusion_cli.events import EngineStarting, Event, Warned
from fusion_cli.fitting import is_too_long
from fusion_cli.local.engine import CONTEXT, Engine, installed, memory_is_short
from fusion_cli.local.lock import held
from tests.local.processes import children, lives, wait_for

if TYPE_CHECKING:
    from pathlib import Path

SMALL = "qwen2.5-coder-0.5b"
QUESTION = [{"role": "user", "content": "Name one prime number."}]


def ignore(event: Event) -> None:
    """Take an event and do nothing."""


async def serve_own(model: Path, folder: Path) -> Endpoint:
    """Start the engine on a file, and end it."""
    async with Engine(folder, ignore, own_model=model) as engine:
        return await engine.serve("anything", 1)


async def complete(endpoint: Endpoint, body: dict[str, Any], key: str | None = None) -> httpx.Response:
    """Ask for a chat completion."""
    headers = {"Authorization": f"Bearer {key or endpoint.api_key}"}
    async with httpx.AsyncClient(timeout=60) as client:
        return await client.post(f"{endpoint.base_url}/chat/completions", json=body, headers=headers)


def test_import_is_cheap() -> None:
    """Importing the engine's wall loads neither the engine nor an HTTP client."""
    code = "import sys, fusion_cli.local.engine; print({'httpx', 'xllamacpp', 'zipfile', 'rich'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n"


def test_key_is_not_shown() -> None:
    """An endpoint can be printed without giving its key away."""
    assert "canary" not in repr(Endpoint("http://127.0.0.1:1/v1", "canary"))


@pytest.mark.parametrize(
    ("available_kib", "limit", "short"),
    [(8 << 20, "max\n", False), (2 << 20, "max\n", True), (8 << 20, "2147483648\n", True), (8 << 20, None, False)],
)
def test_short_memory_is_noticed(tmp_path: Path, available_kib: int, limit: str | None, *, short: bool) -> None:
    """Both the machine's free memory and a container's limit decide whether the default model fits."""
    (tmp_path / "meminfo").write_text(f"MemTotal: 99999999 kB\nMemAvailable: {available_kib} kB\n")
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit)
    assert memory_is_short(tmp_path / "meminfo", tmp_path / "memory.max") is short


def test_missing_engine_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the engine's package there is one error that says what to install."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    assert not installed()
    with pytest.raises(EngineError, match="not installed") as caught:
        asyncio.run(serve_own(tmp_path / "x.gguf", tmp_path))
    assert caught.value.hint == "pip install 'fusion-deliberation[local]'"


def test_unknown_slug_names_the_known(tmp_path: Path) -> None:
    """A slug that is no local model is a usage error that lists the models there are."""

    async def serve() -> None:
        async with Engine(tmp_path, ignore) as engine:
            await engine.serve("gpt-5", 1)

    with pytest.raises(UsageError, match=r"'gpt-5'; known are qwen2\.5-coder-0\.5b, qwen2\.5-coder-1\.5b"):
        asyncio.run(serve())


def test_missing_own_file_is_a_configuration_error(tmp_path: Path) -> None:
    """An own model that is not there is named, with the setting that names it."""
    with pytest.raises(ConfigError, match=r"^FUSION_LOCAL_MODEL: there is no file .*/nowhere\.gguf$"):
        asyncio.run(serve_own(tmp_path / "nowhere.gguf", tmp_path))


@pytest.mark.usefixtures("no_child_left")
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"#!/bin/sh\n", r"is not a GGUF file$"),
        (b"", r"is not a GGUF file$"),
        (b"GGUF\x03\x00\x00\x00 and then nothing sensible", r"the engine cannot load .*: broken, of an unknown"),
    ],
    ids=["script", "empty", "broken"],
)
def test_unusable_model_is_one_line(tmp_path: Path, content: bytes, reason: str) -> None:
    """A file that is no model ends the child, and its reason becomes one short line."""
    model = tmp_path / "own.gguf"
    model.write_bytes(content)
    with pytest.raises(EngineError, match=reason) as caught:
        asyncio.run(serve_own(model, tmp_path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("line", [b"no json\n", b"{}\n"])
def test_server_without_orders_ends(line: bytes) -> None:
    """The child alone, fed nonsense, ends with status 1 and a word about it instead of waiting."""
    command = [sys.executable, "-P", "-m", "fusion_cli.local.server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(line)
        server.stdin.flush()
        assert json.loads(server.stdout.read())["error"]
        assert server.wait(timeout=10) == 1


def test_cancelled_download_leaves_no_thread(tmp_path: Path) -> None:
    """Leaving the block while weights are on their way (here: waited for) ends that too, and soon."""
    events: list[Event] = []

    async def begin(waits: asyncio.Event) -> None:
        def emit(event: Event) -> None:
            events.append(event)
            waits.set()

        async with Engine(tmp_path, emit) as engine:
            await engine.serve(SMALL, 1)

    async def cancel() -> float:
        waits = asyncio.Event()
        task = asyncio.create_task(begin(waits))
        await waits.wait()
        task.cancel()
        started = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - started

    with held(tmp_path / f"{SMALL}.lock", lambda: None, lambda: None):
        assert asyncio.run(cancel()) < 1
    assert events == [Warned(f"another fusion is downloading {SMALL}; waiting for it")]
    assert [path.name for path in tmp_path.iterdir()] == [f"{SMALL}.lock"]


def test_download_ends_with_the_runs_time(tmp_path: Path) -> None:
    """Weights that are not there in time are an error of time, which says how they can be had, and leave nothing."""

    async def begin() -> None:
        async with Engine(tmp_path, ignore, within_s=0.2) as engine:
            await engine.serve(SMALL, 1)

    started = time.monotonic()
    with held(tmp_path / f"{SMALL}.lock", lambda: None, lambda: None):
        with pytest.raises(UnreachableError, match=rf"^{SMALL} could not be .* before the run's deadline$") as caught:
            asyncio.run(begin())
        assert 0.2 <= time.monotonic() - started < 10
    assert "--deadline 0" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == [f"{SMALL}.lock"]


@pytest.mark.embedded
def test_one_process_answers_all(embedded_model: Path) -> None:
    """Concurrent callers share one process, which answers with the key, and is gone after the block."""

    async def use() -> set[int]:
        events: list[Event] = []
        before = children(os.getpid())
        async with Engine(embedded_model.parent, events.append) as engine:
            endpoints = await asyncio.gather(*(engine.serve(SMALL, 2) for _ in range(3)))
            started = children(os.getpid()) - before
            assert len(set(endpoints)) == len(started) == 1
            assert events == [EngineStarting(SMALL)]
            bodies = [{"messages": QUESTION, "max_tokens": 8}] * 2
            answers = await asyncio.gather(*(complete(endpoints[0], body) for body in bodies))
            for answer in answers:
                assert answer.status_code == httpx.codes.OK
                assert answer.json()["choices"][0]["message"]["content"]
        return started

    (pid,) = asyncio.run(use())
    assert not lives(pid)


@pytest.mark.embedded
@pytest.mark.usefixtures("no_child_left")
def test_server_is_closed_to_others(embedded_model: Path) -> None:
    """Without the key: 401. No page, no slots, no properties, and no browser page may read what it says."""

    async def knock() -> None:
        async with Engine(embedded_model.parent, ignore) as engine:
            endpoint = await engine.serve(SMALL, 1)
            assert (await complete(endpoint, {"messages": QUESTION}, key="guess")).status_code == 401
            root = endpoint.base_url.removesuffix("/v1")
            async with httpx.AsyncClient(headers={"Authorization": f"Bearer {endpoint.api_key}"}) as client:
                for path in ("/", "/slots", "/metrics"):
                    assert (await client.get(root + path)).status_code in {404, 501}
                origin = {"Origin": "https://attacker.example"}
                allowed = (await client.get(f"{root}/health", headers=origin)).headers
                assert "attacker" not in allowed.get("Access-Control-Allow-Origin", "")
                assert allowed.get("Access-Control-Allow-Origin") != "*"
                assert allowed.get("Access-Control-Allow-Credentials") != "true"

    asyncio.run(knock())


@pytest.mark.embedded
@pytest.mark.usefixtures("no_child_left")
def test_too_long_a_prompt_is_refused_cleanly(embedded_model: Path) -> None:
    """A prompt over a slot's context is a 400 that says so, and the server lives on."""

    async def overflow() -> None:
        async with Engine(embedded_model.parent, ignore) as engine:
            endpoint = await engine.serve(SMALL, 2)
            long = [{"role": "user", "content": "prime " * (CONTEXT + 10)}]
            refused = await complete(endpoint, {"messages": long, "max_tokens": 8})
            assert refused.status_code == 400
            assert refused.json()["error"]["type"] == "exceed_context_size_error"
            assert is_too_long(refused.json()["error"]["message"], 400)
            assert endpoint.context_tokens == CONTEXT
            answer = await complete(endpoint, {"messages": QUESTION, "max_tokens": 8})
            assert answer.status_code == httpx.codes.OK

    asyncio.run(overflow())


@pytest.mark.embedded
def test_own_model_stands_in_for_every_slug(embedded_model: Path, tmp_path: Path) -> None:
    """With the user's file, all local slugs are that file, in one process, and nothing is fetched."""

    async def use() -> None:
        async with Engine(tmp_path, ignore, own_model=embedded_model) as engine:
            first, second = await asyncio.gather(engine.serve("own", 1), engine.serve("qwen2.5-coder-1.5b", 1))
            assert first == second

    asyncio.run(use())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.embedded
@pytest.mark.usefixtures("no_child_left")
@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.3, 0.8])
def test_cancelled_start_leaves_nothing(embedded_model: Path, after_s: float) -> None:
    """Whenever a start is cancelled, the process is gone when the block is left, and that is soon."""

    async def begin() -> None:
        async with Engine(embedded_model.parent, ignore) as engine:
            await engine.serve(SMALL, 1)
            await asyncio.sleep(60)

    async def cancel() -> float:
        task = asyncio.create_task(begin())
        await asyncio.sleep(after_s)
        task.cancel()
        started = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - started

    assert asyncio.run(cancel()) < 2


@pytest.mark.embedded
def test_lost_process_is_started_again(embedded_model: Path) -> None:
    """A server that was killed (by the kernel, say, for memory) is replaced at the next request for it."""

    async def lose() -> None:
        before = children(os.getpid())
        async with Engine(embedded_model.parent, ignore) as engine:
            first = await engine.serve(SMALL, 1)
            (pid,) = children(os.getpid()) - before
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: not lives(pid))
            await asyncio.sleep(0.2)
            second = await engine.serve(SMALL, 1)
            assert first != second
            assert (await complete(second, {"messages": QUESTION, "max_tokens": 2})).status_code == 200

    asyncio.run(lose())


OWNER = """
import asyncio, sys
from pathlib import Path
from fusion_cli.local.engine import Engine

async def own():
    async with Engine(Path(sys.argv[1]), lambda event: print(event, flush=True)) as engine:
        await engine.serve(sys.argv[2], 1)
        print("serving", flush=True)
        await asyncio.sleep(60)

asyncio.run(own())
"""


@pytest.mark.embedded
@pytest.mark.parametrize("moment", ["EngineStarting", "serving"])
def test_server_dies_with_a_killed_parent(embedded_model: Path, moment: str) -> None:
    """After kill -9 of the owner, while loading or while serving, the server is gone within two seconds."""
    command = [sys.executable, "-c", OWNER, str(embedded_model.parent), SMALL]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        while moment not in owner.stdout.readline():
            pass
        wait_for(lambda: bool(children(owner.pid)))
        if moment == "EngineStarting":
            time.sleep(0.5)  # in the middle of loading
        (server,) = children(owner.pid)
        owner.kill()
    wait_for(lambda: not lives(server), limit_s=2)
