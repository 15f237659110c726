"""Promises of `amounts`: how times and money are read, from flags and files alike, and what is told of the rest."""

import pytest

from fusion_cli.amounts import DURATION, GRACE, MONEY
from fusion_cli.values import QUORUM, Kind, as_data
from tests.test_values import refusal

MONTH = 30 * 24 * 3600.0


@pytest.mark.parametrize(
    ("kind", "text", "made"),
    [
        (DURATION, "90", 90.0),
        (DURATION, " 90s ", 90.0),
        (DURATION, "2.5m", 150.0),
        (DURATION, ".5", 0.5),
        (DURATION, "1.s", 1.0),
        (DURATION, "1h", 3600.0),
        (DURATION, "1h30m", 5400.0),
        (DURATION, "1h5s", 3605.0),
        (DURATION, "720h", MONTH),
        (DURATION, "0", 0.0),
        (DURATION, "0s", 0.0),
        (DURATION, "none", 0.0),
        (GRACE, "0", 0.0),
        (GRACE, "1m1s", 61.0),
        (MONEY, "0.50", 0.5),
        (MONEY, "$0.50", 0.5),
        (MONEY, " $3 ", 3.0),
        (MONEY, ".01", 0.01),
        (MONEY, "1000000", 1_000_000.0),
        (QUORUM, "8", 8),
    ],
)
def test_what_fits_is_read_as_people_write_it(kind: Kind, text: str, made: float) -> None:
    """A time is seconds, money is dollars, from a flag and as text or number in a file, and both can be read again."""
    fitting = kind.fit(kind.read(text), "--x")
    assert (fitting, str(fitting)) == (made, str(made))
    assert kind.fit(as_data(fitting), "here") == made
    assert kind == QUORUM or kind.fit(text, "here") == made


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        *((kind, text, f'"{text}"') for kind in (DURATION, GRACE) for text in ("", "soon", "1d", "90x", "1m1h", "m")),
        *((DURATION, text, f'"{text}"') for text in ("1h30", "1 h", "-5m", "1_0", "None", "1e3s", "s", "\u0663")),
        (DURATION, "9" * 50, '"999'),
        (DURATION, "721h", '"721h"'),
        (DURATION, -1, "-1"),
        (DURATION, MONTH + 1, "2592001.0"),
        (DURATION, 10**400, "a huge number"),
        (DURATION, float("nan"), "nan"),
        (DURATION, float("inf"), "inf"),
        (DURATION, True, "true"),
        (DURATION, None, "null"),
        (DURATION, [1], "an array"),
        (GRACE, "none", '"none"'),
        (GRACE, -0.5, "-0.5"),
        *((MONEY, text, f'"{text}"') for text in ("", "abc", "$", "$$1", "-$1", "1 USD", "0,50", "$nan", "$-1")),
        (MONEY, 0, "0"),
        (MONEY, -1, "-1"),
        (MONEY, 1_000_000.5, "1000000.5"),
        (MONEY, float("nan"), "nan"),
        (MONEY, float("inf"), "inf"),
        (MONEY, True, "true"),
        (MONEY, {}, "a table"),
        (QUORUM, 0, "0"),
        (QUORUM, 9, "9"),
        (QUORUM, 1.5, "1.5"),
    ],
)
def test_what_does_not_fit_is_told_so(kind: Kind, value: object, found: str) -> None:
    """What is no time and no sum, or an endless one, is refused with what is taken instead."""
    assert refusal(kind, value).startswith(f"here: expected {kind.expects}, found {found}")


def test_a_negative_zero_is_one() -> None:
    """No limit is stored as one number, however it was written."""
    assert [str(kind.fit(kind.read("-0"), "--x")) for kind in (DURATION, GRACE)] == ["0.0", "0.0"]


@pytest.mark.parametrize(("kind", "text"), [(DURATION, "-1"), (DURATION, "nan"), (GRACE, "inf"), (MONEY, "nan")])
def test_a_flags_number_that_is_none_is_refused(kind: Kind, text: str) -> None:
    """What a flag's text means as a number is refused like a number of the file."""
    assert refusal(kind, kind.read(text)).startswith(f"here: expected {kind.expects}, found {float(text)}")
