"""What every test lives in: a home of its own, no network but loopback, and no child process or task left behind.

Covers this process alone: a child process that a test starts inherits the environment made here, but may connect
where it likes and start children of its own that are not seen.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import platformdirs
import pytest

from tests.local.processes import children

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Found before any test is isolated: a gigabyte of weights is fetched once a machine, not once a test.
_MODELS_DIR = platformdirs.user_cache_path("fusion", appauthor=False) / "models"

_ENVIRONMENT = ("FUSION_", "OPENROUTER_", "_FUSION", "XDG_", "_TYPER_", "BRAVE_", "TAVILY_")
_PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy", "ftp_proxy", "ws_proxy", "wss_proxy"}
_EDITORS = {"visual", "editor"}
_SCREENS = {"ci", "no_color", "force_color", "columns", "lines", "github_step_summary"}
_CHILD_GRACE_S = 2.0


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the torture tests be asked for at full length."""
    parser.addoption("--torture", action="store_true", help="kill, break and soak hundreds of times, not a few")


def pytest_configure() -> None:
    """Listen to Ctrl-C even in the background, where a shell has it ignored: the command inherits that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one process alone run the embedded model, which wants the whole machine."""
    for item in items:
        if item.get_closest_marker("embedded"):
            item.add_marker(pytest.mark.xdist_group("embedded"))


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """Return the folder of this machine's real weights, outside every isolated home."""
    _MODELS_DIR.mkdir(parents=True, exist_ok=True)
    return _MODELS_DIR


@pytest.fixture(scope="session")
def embedded_model(models_dir: Path) -> Path:
    """Return the real 0.5B model's file, fetched once for all runs on this machine."""
    from fusion_cli.local.weights import WEIGHTS, obtain

    return obtain(WEIGHTS["qwen2.5-coder-0.5b"], models_dir, lambda event: None)


@pytest.fixture(scope="session")
def warm_command(request: pytest.FixtureRequest) -> Iterator[None]:
    """Spare the command most of its starts, but where the tests are asked for at full length."""
    if sys.platform != "linux" or request.config.getoption("--torture"):
        yield
        return
    from tests.e2e.forks import Forks

    with Forks():
        yield


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Return a maker of fresh home folders."""
    root = tmp_path_factory.mktemp("homes")
    numbers = count()

    def make() -> Path:
        home = root / str(next(numbers))
        (home / "work").mkdir(parents=True)
        return home

    return make


@pytest.fixture(autouse=True)
def isolated(
    homes: Callable[[], Path], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Path]:
    """Give the test an empty home and working directory, and an environment without settings; return the home."""
    home = homes()
    for name in list(os.environ):
        if name.startswith(_ENVIRONMENT) or name.lower() in _PROXIES | _EDITORS | _SCREENS:
            monkeypatch.delenv(name)
    for name in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.chdir(home / "work")
    if request.node.get_closest_marker("embedded"):
        cache = platformdirs.user_cache_path("fusion", appauthor=False)
        cache.mkdir(parents=True)
        (cache / "models").symlink_to(request.getfixturevalue("models_dir"), target_is_directory=True)
    yield home
    if os.name == "nt":  # a folder that is somebody's working directory cannot be removed there
        monkeypatch.undo()


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """Refuse connections and look-ups that leave this machine, and fail the test that tried, even if it caught that."""
    tried: list[str] = []

    def refuse(where: object) -> None:
        tried.append(f"{request.node.nodeid} tried to reach {where}: only loopback is allowed in tests")
        raise RuntimeError(tried[-1])

    def guarded(connect: Callable[[socket.socket, Any], Any]) -> Callable[[socket.socket, Any], Any]:
        def connect_on_loopback(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
                refuse(address)
            return connect(self, address)

        return connect_on_loopback

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host is not None and not _is_loopback(host):
            refuse(host)
        return real_getaddrinfo(host, *args, **kwargs)

    real_getaddrinfo = socket.getaddrinfo
    monkeypatch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield
    assert not tried, tried[0]


@pytest.fixture(autouse=True)
def no_child_survives(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that leaves a child process running, and end that process for the sake of the next test."""
    before = _living_children()
    yield
    left = _living_children() - before
    deadline = monotonic() + _CHILD_GRACE_S
    while left and monotonic() < deadline:
        sleep(0.02)
        left = _living_children() - before
    if left:
        lines = [f"{pid}: {_command(pid)}" for pid in sorted(left)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        pytest.fail(f"{request.node.nodeid} left child processes: {'; '.join(lines)}")


class _LostTasks(logging.Handler):
    """Note what asyncio says of tasks that nobody waited for."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Note one record."""
        self.told.append(record.getMessage())


@pytest.fixture(scope="session", autouse=True)
def lost_tasks() -> Iterator[list[str]]:
    """Listen to asyncio's complaints through all tests; what only the last collection shows fails the last test."""
    handler = _LostTasks()
    logger = logging.getLogger("asyncio")
    logger.addHandler(handler)
    yield handler.told
    gc.collect()
    logger.removeHandler(handler)
    assert not handler.told, f"a test left a task behind: {handler.told}"


@pytest.fixture(autouse=True)
def no_task_lost(lost_tasks: list[str]) -> Iterator[None]:
    """Fail the test during which asyncio found a task that was dropped, or whose exception nobody took.

    The garbage collector decides when a dropped task is found: it may be an earlier test's.
    """
    yield
    told = lost_tasks.copy()
    lost_tasks.clear()
    assert not told, f"this test, or one before it, left a task behind: {told}"


def _is_loopback(host: object) -> bool:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    if name in ("", "localhost"):
        return True
    try:
        return ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _living_children() -> set[int]:
    """Return our children; the look through /proc is spared when the kernel says that there are none."""
    if not hasattr(os, "waitid") or not Path("/proc/self/stat").exists():
        return set()
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return set()
    return children(os.getpid())


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return "(ended since)"
