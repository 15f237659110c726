"""What the tests of the embedded engine share: the real small model, and a look at our own child processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import platformdirs
import pytest

from fusion_cli.local.weights import WEIGHTS, obtain
from tests.local.processes import children

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def embedded_model() -> Path:
    """Return the real 0.5B model's file, fetched once for all runs on this machine."""
    models_dir = platformdirs.user_cache_path("fusion") / "models"
    return obtain(WEIGHTS["qwen2.5-coder-0.5b"], models_dir, lambda event: None)


@pytest.fixture
def no_child_left() -> Iterator[None]:
    """Fail a test that leaves a child process behind."""
    before = children(os.getpid())
    yield
    assert children(os.getpid()) <= before
