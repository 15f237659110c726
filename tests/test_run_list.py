"""Promises of `run_list`: a list fits the screen, whatever the questions are, and a pipe gets every value whole."""

from pathlib import Path

import pytest

from fusion_cli.run_files import RunSummary
from fusion_cli.run_list import as_objects, as_rows, as_table, cut, width_of

LONG = "Which database " * 30
SUMMARIES = [
    RunSummary(
        "20261128T091819000-4d8632",
        Path("/x/20261128T091819000-4d8632.jsonl"),
        "unfinished",
        "2026-11-28T09:18:19Z",
        "ask",
        question=LONG,
        panel=tuple(f"author/model-{n}" for n in range(8)),
    ),
    RunSummary(
        "20261128T091818000-78c84d",
        Path("/x/20261128T091818000-78c84d.jsonl"),
        "ok",
        "2026-11-28T09:18:18Z",
        "analyze",
        question="數據庫哪個好?\n\x1b[31m\tred\x9b2J " * 9,
        panel=("a/one", "b\t/two"),
        cost=0.000597,
        total_tokens=339,
    ),
    RunSummary("20261128T091817000-000000", Path("/x/20261128T091817000-000000.jsonl"), "damaged"),
    RunSummary("20261128T091816000-000000", Path("/x"), "ok", "?", "ask", question="e\u0301" * 200, cost=123456.7),
]  # fmt: skip


@pytest.mark.parametrize("width", range(40, 181))
def test_no_line_is_wider_than_the_screen(width: int) -> None:
    """From 40 columns on every line fits, whatever is in it, and every run is named whole with its status."""
    lines = as_table(SUMMARIES, width)
    assert max(map(width_of, lines)) <= width
    assert all(line.isprintable() for line in lines)
    for each in SUMMARIES:
        assert sum(f"{each.run}  {each.status}" in line for line in lines) == 1
    assert any("Which" in line for line in lines)


def test_columns_stand_below_one_another() -> None:
    """Wide characters take two columns, and what follows them stands where it should."""
    head, *rows = as_table(SUMMARIES, 130)
    assert head.split() == ["TIME", "RUN", "STATUS", "COST", "PANEL", "QUESTION"]
    at = head.index("STATUS")
    assert [row[at:].split()[0] for row in rows] == ["unfinished", "ok", "damaged", "ok"]
    assert "$0.0006" in rows[1]
    assert "one, two" in rows[1]


def test_a_pipe_gets_values_between_tabs() -> None:
    """Six of them a run, clean and whole."""
    rows = [row.split("\t") for row in as_rows(SUMMARIES)]
    assert [len(row) for row in rows] == [6] * 4
    assert all(cell.isprintable() for row in rows for cell in row)
    at, run, status, cost, panel, question = rows[1]
    assert (run, at, status, cost) == ("20261128T091818000-78c84d", "2026-11-28T09:18:18Z", "ok", "0.000597")
    assert panel == "a/one,b /two"
    assert question.startswith("數據庫哪個好? red")
    assert rows[0][3] == ""
    assert rows[0][4].count(",") == 7


def test_objects_have_what_a_script_needs() -> None:
    """Every key is there for every run; what is unknown is null."""
    objects = as_objects(SUMMARIES)
    assert {tuple(each) for each in objects} == {tuple(RunSummary._fields)}
    assert objects[1]["panel"] == ["a/one", "b\t/two"]
    assert objects[1]["path"] == "/x/20261128T091818000-78c84d.jsonl"
    assert objects[2]["cost"] is None


@pytest.mark.parametrize(
    ("text", "room", "kept"),
    [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("數據庫", 6, "數據庫"),
     ("數據庫", 5, "數據…"), ("數據庫", 4, "數…"), ("a b c", 3, "a…")],
)  # fmt: skip
def test_cutting_counts_columns(text: str, room: int, kept: str) -> None:
    """What is cut ends in an ellipsis, and fits."""
    assert cut(text, room) == kept
