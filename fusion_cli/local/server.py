"""The child process that runs the engine: one model, one port on 127.0.0.1, gone when its stdin closes.

Run as `python -m fusion_cli.local.server`. Reads one line of JSON from stdin (`model`, `slots`, `context`,
`api_key`) and prints one line of JSON on stdout: `url` once it can answer, `error` when it cannot. Knows nothing of
prompts, weights or their names; imports nothing else of this program.
"""

from __future__ import annotations

import json
import os
import select
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

GGUF_MAGIC = b"GGUF"
CGROUP_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


def main() -> NoReturn:
    """Serve until stdin closes."""
    line = _read_line()
    _die_with_parent()
    try:
        server = _start(json.loads(line))
    except (ValueError, KeyError, OSError, RuntimeError, ImportError) as error:
        print(json.dumps({"error": str(error)}), flush=True)  # the engine's own words may still follow on stderr
        os._exit(1)
    print(json.dumps({"url": server.listening_address}), flush=True)
    os.dup2(2, 1)  # the protocol on stdout is over
    threading.Event().wait()
    os._exit(0)


def _read_line() -> bytes:
    """Read unbuffered, so that nothing but the end of the file is left to be read."""
    line = b""
    while not line.endswith(b"\n"):
        if not (byte := os.read(0, 1)):
            os._exit(1)
        line += byte
    return line


def _die_with_parent() -> None:
    """End this process when stdin closes, whatever it is doing.

    The engine holds the interpreter's lock for the seconds in which it loads a model, so a thread alone would
    come late; on Linux the kernel itself ends the process (SIGIO's default action) when the other end closes.
    """

    def watch() -> None:
        while os.read(0, 64):
            pass
        os._exit(0)

    if sys.platform == "linux":
        import fcntl

        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
        if select.select([0], [], [], 0)[0]:  # closed before the kernel was asked
            os._exit(0)
    threading.Thread(target=watch, daemon=True).start()


def _start(settings: dict[str, Any]) -> Any:
    """Return a server that has loaded its model and listens; what this raises has a message for the user."""
    model = Path(settings["model"])
    with model.open("rb") as file:
        if file.read(len(GGUF_MAGIC)) != GGUF_MAGIC:
            raise ValueError(f"{model} is not a GGUF file")
    os.putenv("GOMP_SPINCOUNT", "2000")  # OpenMP's threads spin for too long when the machine is busy
    import xllamacpp  # type: ignore[import-untyped]

    params = _parameters(settings, xllamacpp)
    try:
        return xllamacpp.Server(params)
    except RuntimeError:
        message = f"the engine cannot load {model}: broken, of an unknown kind, or too large for this machine"
        raise RuntimeError(message) from None


def _parameters(settings: dict[str, Any], xllamacpp: Any) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = str(settings["model"])
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [settings["api_key"]]
    params.cors_origins = "http://127.0.0.1"
    params.cors_credentials = False
    params.sse_ping_interval = 10  # a long prompt takes minutes before its first word
    params.ui = False
    params.endpoint_slots = False
    params.endpoint_props = False
    params.endpoint_metrics = False
    params.verbosity = 1
    params.model_alias = {Path(settings["model"]).stem}  # else answers name the whole path
    params.n_parallel = settings["slots"]
    params.n_ctx = settings["slots"] * settings["context"]
    params.kv_unified = False  # a slot's context is its own: no neighbour's long prompt can break an answer off
    params.cache_ram_mib = 0
    params.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE  # mapping keeps a second copy: +600 MiB
    params.fit_params = len(xllamacpp.get_device_info()) > 1  # only a GPU needs it, and it reads the model twice
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = _threads()
    return params


def _threads() -> int:
    """Return how many physical cores this process may use; two threads on one core slow each other down."""
    if not hasattr(os, "sched_getaffinity"):
        return max(1, (os.cpu_count() or 2) // 2)
    cpus = os.sched_getaffinity(0)
    cores = len({_siblings(cpu) for cpu in cpus})
    return max(1, min(cores, _quota(cores)))


def _siblings(cpu: int) -> str:
    try:
        return Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text("ascii")
    except OSError:
        return str(cpu)


def _quota(unlimited: int) -> int:
    """Return the container's CPU limit: threads beyond it would only be throttled."""
    try:
        quota, period = CGROUP_CPU_MAX.read_text("ascii").split()
        return int(quota) // int(period)
    except (OSError, ValueError):
        return unlimited


if __name__ == "__main__":
    main()
