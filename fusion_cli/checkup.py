"""Looks at this machine for `fusion config doctor`: one finding a check, each with a verdict and a next step.

Nothing is changed, fetched or sent, and no key is opened; what is asked of servers is `doctor`'s.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from fusion_cli import __version__
from fusion_cli.counts import count, lapse
from fusion_cli.errors import ConfigError, EngineError, FusionError
from fusion_cli.regular_files import open_regular
from fusion_cli.values import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from fusion_cli.local.weights import Weights
    from fusion_cli.settings import Settings

Verdict = Literal["ok", "warning", "problem"]

NARROW = 40  # columns
SCARCE = 100 << 20  # bytes: journals are small, but a full disk loses them
_MAX_CATALOGUE_BYTES = 32 << 20
_GGUF_HEAD_BYTES = 24  # magic, version and two counts
_CORRECT_MODEL = "Correct local.model, or FUSION_LOCAL_MODEL where that is set."
_GET_ENGINE = "pip install 'fusion-deliberation[local]'"


class Finding(NamedTuple):
    """What one check found.

    Attributes:
        check: python, terminal, config, engine, weights, catalogue, data, key, provider or run.
        verdict: "problem" is what no run could start with.
        detail: One clean line.
        next_step: What to do about it; empty where nothing has to be done.
        about: The provider, model or server that was looked at, where there are several.
        took_s: How long the server took to answer, in seconds.
        kind: The error that a run would end with, of a problem.
    """

    check: str
    verdict: Verdict
    detail: str
    next_step: str = ""
    about: str | None = None
    took_s: float | None = None
    kind: type[FusionError] = FusionError


def problem(check: str, error: FusionError, about: str | None = None) -> Finding:
    """Return the finding that an error is."""
    return Finding(check, "problem", str(error), error.hint, about, kind=type(error))


def python() -> Finding:
    """Tell which Python runs which fusion."""
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", "ok", f"Python {version} runs fusion {__version__} ({printable(sys.executable)})")


def terminal(*, on_screen: bool, encoding: str, columns: int, variables: Mapping[str, str]) -> Finding:
    """Judge what the answer is shown on.

    Args:
        on_screen: Whether standard output and error are terminals.
        encoding: Of standard output, as Python calls it.
        columns: How wide it is.
        variables: What the environment says, as `settings.terminal_variables` has it.
    """
    if not on_screen:
        return Finding("terminal", "ok", f"output goes to a pipe or a file, in {encoding}, without colours")
    is_dumb = variables.get("TERM", "dumb") in ("dumb", "unknown")
    colours = "no colours" if is_dumb or "NO_COLOR" in variables else "colours"
    said = f"{columns} columns, {colours}, {encoding}"
    if "utf" not in encoding.lower():
        return Finding("terminal", "warning", f"{said}: characters that it lacks become ?", "Set LANG=C.UTF-8.")
    if columns < NARROW:
        return Finding("terminal", "warning", f"{said}: the view needs {NARROW}", "Make the window wider.")
    return Finding("terminal", "ok", said)


def config(settings: Settings) -> Finding:
    """Tell which config file was read, or would be."""
    where = printable(str(settings.config_path))
    if settings.config_path.exists():
        return Finding("config", "ok", f"{where} is valid ({settings.config_source})")
    return Finding(
        "config", "ok", f"{where} does not exist yet: what is built in holds", "fusion config init makes it."
    )


def engine(*, installed: bool, is_needed: bool, memory_is_short: bool) -> Finding:
    """Judge whether embedded models can run.

    Args:
        installed: Whether the engine is there.
        is_needed: Whether a run without flags asks an embedded model.
        memory_is_short: Whether the default embedded model does not fit.
    """
    if not installed:
        if is_needed:
            return Finding("engine", "problem", "the embedded engine is not installed", _GET_ENGINE, kind=EngineError)
        return Finding("engine", "ok", "not installed, and not needed", f"For embedded models: {_GET_ENGINE}")
    if is_needed and memory_is_short:
        return Finding("engine", "warning", "installed, but memory is short for the larger model", "Close something.")
    return Finding("engine", "ok", "installed")


def weights(known: Weights, models_dir: Path, *, is_needed: bool) -> Finding | None:
    """Judge the file of an embedded model, by size and hash; None where it is neither there nor needed.

    What is missing is fetched by the first run, so only a disk without room for it is a problem.
    """
    path = models_dir / f"{known.name}.gguf"
    size = _size(path)
    if size is None:
        return _missing(known, models_dir) if is_needed else None
    if size != known.size:
        said = f"{printable(str(path))} has {size:,} of {known.size:,} bytes"
        return Finding("weights", "warning", said, "The next run that needs it fetches it anew.", known.name)
    try:
        with open_regular(path) as file:
            is_intact = hashlib.file_digest(file, "sha256").hexdigest() == known.sha256
    except OSError as error:
        return Finding("weights", _worst(is_needed), f"{printable(str(path))}: {error.strerror}", "", known.name)
    if not is_intact:
        said = f"{printable(str(path))} has another SHA-256 than it should"
        step = "Remove it: the next run that needs it fetches it anew."
        return Finding("weights", _worst(is_needed), said, step, known.name, kind=EngineError)
    return Finding("weights", "ok", f"{known.size / 1e6:,.0f} MB, intact", about=known.name)


def own_weights(path: Path) -> Finding:
    """Judge a model file of the user's own, by how it begins."""
    where = printable(str(path))
    try:
        with open_regular(path) as file:
            head = file.read(_GGUF_HEAD_BYTES)
    except OSError as error:
        return Finding("weights", "problem", f"{where}: {error.strerror}", _CORRECT_MODEL, kind=ConfigError)
    if not head.startswith(b"GGUF"):
        return Finding("weights", "problem", f"{where} is no GGUF file", _CORRECT_MODEL, kind=EngineError)
    if len(head) < _GGUF_HEAD_BYTES:
        return Finding("weights", "problem", f"{where} breaks off where it begins", _CORRECT_MODEL, kind=EngineError)
    return Finding("weights", "ok", f"{where} ({(_size(path) or 0) / 1e6:,.0f} MB)")


def catalogues(cache_dir: Path, servers: Iterable[str], now: float | None = None) -> tuple[Finding, ...]:
    """Tell how old the kept lists of models are.

    Args:
        cache_dir: Where they are.
        servers: The base addresses of those who are configured; what is kept of others is of no use any more.
        now: The time in seconds since 1970.
    """
    from fusion_cli.api.catalogue_cache import path_of

    now = time.time() if now is None else now
    paths = dict.fromkeys(path_of(cache_dir, server) for server in servers)
    found = tuple(_catalogue(path, now) for path in paths if os.path.lexists(path))
    return found or (Finding("catalogue", "ok", "no list of models is kept yet"),)


def data_folder(folder: Path, *, is_kept: bool) -> Finding:
    """Judge whether journals of runs can be written; a run that cannot be kept goes on all the same.

    Args:
        folder: Where they go.
        is_kept: Whether runs are kept at all.
    """
    where = printable(str(folder))
    if not is_kept:
        return Finding("data", "ok", "runs are not kept (save = false)")
    step = "Make it writable, or switch it off: fusion config set save false"
    try:
        there = next(each for each in (folder, *folder.parents) if each.exists())
        if there == folder:
            tempfile.TemporaryFile(dir=folder).close()
        elif not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
            return Finding("data", "warning", f"runs cannot be kept: {where} cannot be made", step)
        free = shutil.disk_usage(there).free
    except OSError as error:
        return Finding("data", "warning", f"runs cannot be kept: {where}: {error.strerror}", step)
    if free < SCARCE:
        return Finding("data", "warning", f"{where}: {free >> 20} MiB are free", "Make room.")
    return Finding("data", "ok", f"runs are kept in {where}")


def _worst(is_needed: bool) -> Verdict:
    return "problem" if is_needed else "warning"


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def _missing(known: Weights, models_dir: Path) -> Finding:
    from fusion_cli.local.weights import HEADROOM

    needed = known.size + HEADROOM
    try:
        there = next(each for each in (models_dir, *models_dir.parents) if each.exists())
        free = shutil.disk_usage(there).free
    except OSError:
        free = needed
    if free < needed:
        said = f"not fetched yet, and {free >> 20} of {needed >> 20} MiB are free"
        return Finding("weights", "problem", said, "Make room.", known.name, kind=EngineError)
    said = f"not fetched yet: the first run does, {known.size / 1e6:,.0f} MB"
    return Finding("weights", "warning", said, 'fusion ask "Ready?" fetches them.', known.name)


def _catalogue(path: Path, now: float) -> Finding:
    where = printable(str(path))
    try:
        with open_regular(path) as file:
            value: Any = json.loads(file.read(_MAX_CATALOGUE_BYTES))
        fetched_at, server, models = float(value["fetched_at"]), str(value["base_url"]), len(value["data"])
        said = f"{count(models, 'model')}, {lapse(now - fetched_at)} old"
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return Finding("catalogue", "warning", f"{where} cannot be read", "The next run that needs it fetches it anew.")
    return Finding("catalogue", "ok", said, about=printable(server[:200]))
