"""Promises of `quotes`: what stands in a response holds however it is dressed, what does not stand there does not."""

import time

import pytest

from fusion_cli.analysis import Quoted
from fusion_cli.quotes import check_quotes

RESPONSE = """\
# Storage

SQLite's **write-ahead log** lets readers go on — even while a `COMMIT` runs…

- It is impossible to lose data that way.
- You cannot write from two hosts, see [the “manual”](https://sqlite.org/wal.html).

1. Café sizes: 10 000 rows are fine.
> 预写日志让读者继续工作。
"""


def holds(quote: str, response: str = RESPONSE) -> bool:
    """Return whether a quote stands in a response."""
    (checked,) = check_quotes([Quoted("unique_insights[0]", "a/b", quote)], {"a/b": response})
    assert (checked.where, checked.model, checked.quote) == ("unique_insights[0]", "a/b", quote)
    return checked.held


@pytest.mark.parametrize(
    "quote",
    [
        "SQLite's **write-ahead log** lets readers go on",
        "sqlite's write-ahead LOG lets readers go on",
        "SQLite’s write‑ahead log",  # noqa: RUF001 - other characters for the same
        "lets readers go on - even while a COMMIT runs...",
        "lets readers go on—even while",
        '"lets readers go on"',
        "“lets readers go on.”",
        "'lets readers go on',",
        "lets\u00a0readers \n go on",
        "lets rea\u00adders\u200b go on",
        "while a COMMIT runs... It is impossible to lose",
        "It is impossible to lose data that way. You cannot write",
        "- It is impossible to lose data",
        'see the "manual".',
        "see [the 'manual'](https://sqlite.org/wal.html)",
        "Cafe\u0301 sizes: 10\u202f000 rows",
        "write-ahead log ... cannot write from two hosts",
        "write-ahead log [...] cannot write from two hosts.",
        "... write-ahead log (…) cannot write from two hosts …",
        "让读者继续工作",
        "预写日志",
    ],
)
def test_words_that_stand_in_the_response_hold(quote: str) -> None:
    """Case, space, typography, Markdown, surrounding marks and elisions make no difference."""
    assert holds(quote)


@pytest.mark.parametrize(
    "quote",
    [
        *("", " ", '""', "...", "*", "."),
        *("log", "go on", "the"),
        "possible to lose data",
        "You can",
        "You can write from two hosts",
        "lets writers go on",
        "cannot write from two hosts ... write-ahead log",
        "write-ahead log ... go",
        "write-ahead log ... cannot write from three hosts",
        "write-ahead log cannot write from two hosts",
        "读者预写",
    ],
)
def test_words_that_do_not_stand_there_do_not_hold(quote: str) -> None:
    """Nothing, too little, other words, half a word and another order prove nothing."""
    assert not holds(quote)


@pytest.mark.parametrize(("quote", "response"), [("Yes", "**Yes.**"), ("'42'", "42"), ("是", "是"), ("no.", "No")])
def test_a_short_response_may_be_quoted_whole(quote: str, response: str) -> None:
    """Too short to prove anything is not too short where it is all there is."""
    assert holds(quote, response)


@pytest.mark.parametrize(
    ("quote", "held"),
    [
        ("lets readers go on — even whi", True),
        ("It is impossible to lose da", True),
        ("It is impossible to lose da...", True),
        ("write-ahead log ... cannot write from two ho", True),
        ("cannot write fr", False),
        ("ossible to lose data that w", False),
        ("SQLite's wri ... cannot write from two hosts", False),
        ("It is impossible to lose db", False),
        ("Of this you can", False),
    ],
)
def test_a_longer_quote_may_be_cut_in_its_last_word(quote: str, held: bool) -> None:
    """The judge's token limit cuts where it likes: five words suffice, if it does not cut off a negation."""
    assert holds(quote, f"{RESPONSE}\nOf this you cannot be sure.") is held


def test_each_quote_is_looked_for_in_its_panelists_response() -> None:
    """Another panelist's words do not hold, nor do those of one who is not there; the order is kept."""
    quoted = [Quoted(f"partial_coverage[{at}]", model, "readers go on") for at, model in enumerate("bac")]
    checked = check_quotes(quoted, {"a": "readers go on", "b": "writers go on"})
    assert [(row.where[-2], row.model, row.held) for row in checked] == [
        ("0", "b", False),
        ("1", "a", True),
        ("2", "c", False),
    ]


def test_nothing_quoted_is_nothing_checked() -> None:
    """An analysis without attributions has no quotes."""
    assert check_quotes([], {"a": "x"}) == []


@pytest.mark.parametrize("piece", ["a", "ab ", " ", "[a](", "\n- ", "...", "\u0301\u0327"])
def test_400_quotes_from_two_megabytes_are_checked(piece: str) -> None:
    """A response of 2 MB is read once, and a quote that almost stands everywhere does not stall."""
    started = time.process_time()
    response = piece * (2_000_000 // len(piece))
    quotes = [Quoted("w", "a", piece * 40 + f"x{at}") for at in range(399)]
    checked = check_quotes([*quotes, Quoted("w", "a", "the end is here")], {"a": f"{response}. The end is here"})
    assert [row.held for row in checked] == [False] * 399 + [True]
    assert time.process_time() - started < 20
