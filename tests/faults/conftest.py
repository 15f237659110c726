"""One misbehaving server for all tests of a process, which finds nothing of an earlier test in its log."""

from collections.abc import Iterator

import pytest

from tests.faults.running import Faults


@pytest.fixture(scope="session", autouse=True)
def warm(warm_command: None) -> None:
    """Run the command in forks."""


@pytest.fixture(scope="session")
def running_server() -> Iterator[Faults]:
    """Start the server once."""
    with Faults() as server:
        yield server


@pytest.fixture
def faults(running_server: Faults) -> Faults:
    """Return the server, with an empty log."""
    running_server.reset()
    return running_server
