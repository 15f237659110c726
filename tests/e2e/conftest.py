"""The command that these tests run has been imported once for all of them."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def warm(warm_command: None) -> None:
    """Run the command in forks."""
