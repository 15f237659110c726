"""Promises of `counts`: one thing is never spoken of as several, nor several as one."""

import pytest

from fusion_cli.counts import count, lapse


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0 tokens"), (1, "1 token"), (2, "2 tokens"), (1200, "1,200 tokens"), ("1", "1 token"), ("0-1", "0-1 tokens")],
)
def test_a_number_has_its_noun(number: int | str, said: str) -> None:
    """One is one; none, several and a span are several."""
    assert count(number, "token") == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "less than a minute"),
        (59, "less than a minute"),
        (60, "1 minute"),
        (7199, "119 minutes"),
        (7200, "2 hours"),
        (2 * 86400 - 1, "47 hours"),
        (2 * 86400, "2 days"),
        (1500 * 86400, "1,500 days"),
    ],
)
def test_a_stretch_of_time_has_a_fitting_unit(seconds: float, said: str) -> None:
    """A clock that was set back makes nothing younger than new."""
    assert lapse(seconds) == said
