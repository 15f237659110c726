"""Starting and stopping the embedded engine: one child process a model file.

Owns the processes, their keys and their ends; what is asked of a model, and how, belongs to `api`. Importing
this module loads neither the engine nor an HTTP client.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import threading
from collections import deque
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Self

from fusion_cli.chat import Endpoint
from fusion_cli.errors import ConfigError, EngineError, FusionError, UnreachableError, UsageError
from fusion_cli.events import EngineStarting
from fusion_cli.local.weights import WEIGHTS, obtain

if TYPE_CHECKING:
    from types import TracebackType

    from fusion_cli.events import Emit, Event
    from fusion_cli.local.weights import Weights

CONTEXT = 8192  # tokens a slot; 28 KiB of memory each with the 1.5B, 12 with the 0.5B
START_S = 120.0
STOP_S = 1.0
NEEDED_BY_DEFAULT = 2400 << 20  # bytes: the 1.5B with three slots takes 1,900 MiB, and others want to live
MEMINFO = Path("/proc/meminfo")
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
COMMAND = (sys.executable, "-P", "-m", "fusion_cli.local.server")  # -P: the working directory is not trusted


def installed() -> bool:
    """Say whether the engine is there, without loading it."""
    return find_spec("xllamacpp") is not None


def memory_is_short(meminfo: Path = MEMINFO, limit: Path = CGROUP_LIMIT) -> bool:
    """Say whether the default model does not fit into the memory that is free; False when nobody can tell.

    Args:
        meminfo: Where Linux tells what is available.
        limit: Where a container's limit is told.
    """
    free = []
    with suppress(OSError, ValueError, StopIteration):
        lines = meminfo.read_text("ascii").splitlines()
        free.append(int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) << 10)
    with suppress(OSError, ValueError):  # "max" is not a number: there is no limit
        free.append(int(limit.read_text("ascii")))
    if not free and hasattr(os, "sysconf"):
        with suppress(OSError, ValueError):
            free.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return bool(free) and min(free) < NEEDED_BY_DEFAULT


class Engine:
    """The embedded models of one run: started when first asked for, ended with the `async with` block.

    Args:
        models_dir: Where weights are kept.
        emit: Gets the progress of downloads and starts, always in the event loop's thread.
        own_model: The user's GGUF file; it stands in for every local model.
        within_s: How long all may take until they answer, in seconds, downloads included; None is any time.
    """

    def __init__(
        self, models_dir: Path, emit: Emit, own_model: Path | None = None, within_s: float | None = None
    ) -> None:
        self._models_dir = models_dir
        self._emit = emit
        self._own_model = own_model
        self._until = None if within_s is None else asyncio.get_running_loop().time() + within_s
        self._starts: dict[str, asyncio.Task[_Child]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every process and every download; nothing of either is left when this returns."""
        starts = list(self._starts.values())
        self._starts.clear()
        for start in starts:
            start.cancel()  # a finished one does not mind
        children = await asyncio.gather(*starts, return_exceptions=True)
        await asyncio.gather(*(child.stop() for child in children if isinstance(child, _Child)))

    async def serve(self, slug: str, slots: int) -> Endpoint:
        """Return where the model answers, after fetching and starting it if need be.

        Callers that ask for the same model share one process; the first one's `slots` count.

        Args:
            slug: A name in `WEIGHTS`; with an own model, anything.
            slots: How many requests are answered at a time; each slot has a context of `CONTEXT` tokens.

        Raises:
            UsageError: There is no such local model.
            ConfigError: The own model's file is not there.
            EngineError: The engine is not installed or did not start, or the disk cannot take the weights.
            UnreachableError: The weights cannot be had, or not in the time that there is.
        """
        if not installed():
            raise EngineError("the embedded engine is not installed", hint="pip install 'fusion-deliberation[local]'")
        if self._own_model is None and slug not in WEIGHTS:
            raise UsageError(f"there is no local model {slug!r}; known are {', '.join(WEIGHTS)}")
        name = slug if self._own_model is None else self._own_model.name
        start = self._starts.get(name)
        if start is None or _is_lost(start):
            start = self._starts[name] = asyncio.create_task(self._start(name, slots))
        try:
            async with asyncio.timeout_at(self._until):
                child = await asyncio.shield(start)
        except TimeoutError:
            raise UnreachableError(
                f"{name} could not be fetched and started before the run's deadline",
                hint="Once fetched, it stays. To let one run take the time that needs: --deadline 0",
            ) from None
        return child.endpoint

    async def _start(self, name: str, slots: int) -> _Child:
        model = self._own_model
        if model is None:
            model = await self._obtain(WEIGHTS[name])
        elif not model.is_file():
            raise ConfigError(f"FUSION_LOCAL_MODEL: there is no file {model}")
        self._emit(EngineStarting(name))
        return await _Child.start(model, slots)

    async def _obtain(self, weights: Weights) -> Path:
        """Fetch in a thread that never outlives this call."""
        loop = asyncio.get_running_loop()
        cancelled = threading.Event()

        def emit(event: Event) -> None:
            loop.call_soon_threadsafe(self._emit, event)

        fetching = asyncio.ensure_future(
            asyncio.to_thread(obtain, weights, self._models_dir, emit, cancelled=cancelled)
        )
        try:
            return await asyncio.shield(fetching)
        except asyncio.CancelledError:
            cancelled.set()
            with suppress(FusionError):
                await fetching
            raise


def _is_lost(start: asyncio.Task[_Child]) -> bool:
    """Say whether a start failed, or its process has ended since."""
    return start.done() and (
        start.cancelled() or start.exception() is not None or start.result().process.returncode is not None
    )


class _Child:
    """One server process, its key, and the last lines it wrote to stderr."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.endpoint = Endpoint("", secrets.token_urlsafe(32))
        self._said: deque[str] = deque(maxlen=20)
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, model: Path, slots: int) -> Self:
        """Return a child that answers.

        Raises:
            EngineError: It ended, or took longer than `START_S`.
        """
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the parent, which ends us in its own time
        )
        child = cls(process)
        try:
            async with asyncio.timeout(START_S):
                await child._hand_over(model, slots)
        except TimeoutError:
            await child.stop()
            hint = "A smaller model starts sooner: --preset local-small"
            raise EngineError(f"the embedded engine did not start within {START_S:.0f} s", hint=hint) from None
        except BaseException:
            await child.stop()
            raise
        return child

    async def _hand_over(self, model: Path, slots: int) -> None:
        settings = {"model": str(model), "slots": slots, "context": CONTEXT, "api_key": self.endpoint.api_key}
        assert self.process.stdin is not None and self.process.stdout is not None  # noqa: S101, PT018
        with suppress(ConnectionError):  # it ended already, and stderr says why
            self.process.stdin.write(json.dumps(settings).encode() + b"\n")
            await self.process.stdin.drain()
        told = None
        try:
            told = json.loads(await self.process.stdout.readline())
            self.endpoint = Endpoint(f"{told['url']}/v1", self.endpoint.api_key, context_tokens=CONTEXT, is_free=True)
        except (ValueError, KeyError, TypeError):
            await self.stop()
            reason = told.get("error") if isinstance(told, dict) else None
            hint = "fusion config doctor looks at the engine and its files."
            raise EngineError(f"the embedded engine did not start: {self._reason(reason)}", hint=hint) from None

    async def _listen(self) -> None:
        """Keep the last of stderr, and keep the pipe from filling up."""
        assert self.process.stderr is not None  # noqa: S101
        pending = b""
        while chunk := await self.process.stderr.read(4096):
            *lines, pending = (pending + chunk).split(b"\n")
            pending = pending[-4096:]
            self._said.extend(line.decode("utf-8", "replace") for line in lines if line.strip())
        if pending.strip():
            self._said.append(pending.decode("utf-8", "replace"))

    def _reason(self, told: str | None) -> str:
        """Return what the child told, or its last words, as one printable line: it may quote an unchecked file."""
        last = told or (self._said[-1] if self._said else f"it ended with status {self.process.returncode}")
        return "".join(char for char in last.strip() if char.isprintable())[:200]

    async def stop(self) -> None:
        """End the process: ask by closing its stdin, then insist."""
        assert self.process.stdin is not None and self.process.stdout is not None  # noqa: S101, PT018
        self.process.stdin.close()
        try:
            async with asyncio.timeout(STOP_S):
                await self.process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
        await self.process.stdout.read()
        await self._listening
