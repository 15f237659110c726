"""Promises of `analysis` on what judges write in place of the shape they were asked for, and on what is cleaned."""

import json
import random
import time
from typing import Any

import pytest

from fusion_cli.analysis import AnalysisError, Checked, Quoted, read_analysis

LABELS = {"A": "openai/gpt-5", "B": "x/y#1", "C": "sceptic"}
A, B, C = LABELS.values()
EMPTY: dict[str, Any] = {
    "consensus": [],
    "contradictions": [],
    "partial_coverage": [],
    "unique_insights": [],
    "blind_spots": [],
}
KEPT = {"topic": "when", "stances": {"A": "now", "B": "later"}}


def read(**changes: Any) -> Checked:
    """Return what becomes of an analysis that has nothing else than these sections."""
    return read_analysis(json.dumps(EMPTY | {"blind_spots": ["Something else."]} | changes), LABELS)


def dropped(checked: Checked) -> dict[str, int]:
    """Return how many of what were dropped."""
    lines = [line.removeprefix("the judge's analysis: ").split(" ", 1) for line in checked.dropped]
    return {what.removesuffix(" dropped"): int(count) for count, what in lines}


@pytest.mark.parametrize(
    "text",
    [
        "Response B: WAL lets readers go on.",
        "Respondent B: WAL lets readers go on.",
        "B: WAL lets readers go on.",
        "[B] WAL lets readers go on.",
        "(B) WAL lets readers go on.",
        "**B**: WAL lets readers go on.",
        "**Response B:** WAL lets readers go on.",
        "- Response B: WAL lets readers go on.",
        "Response B (the optimist): WAL lets readers go on.",
        "Response B — WAL lets readers go on.",
        "x/y#1: WAL lets readers go on.",
        "WAL lets readers go on. (Response B)",
        "WAL lets readers go on. [B].",
        {"B": "WAL lets readers go on."},
        {"model": "B", "text": "WAL lets readers go on."},
        {"respondent": "Response B", "point": "WAL lets readers go on."},
        {"label": ["B"], "zzz": "WAL lets readers go on."},
        {"models": ["B"], "insight": "WAL lets readers go on.", "quote": None},
    ],
)
def test_an_insight_in_another_shape_finds_its_panelist(text: Any) -> None:
    """A bare string or an object with other keys is attributed to whom it names, and loses only the name."""
    checked = read(unique_insights=[text])
    (row,) = checked.analysis.unique_insights
    assert (row.model, row.insight) == (B, "WAL lets readers go on.")
    assert checked.quotes == [Quoted("unique_insights[0]", B, "")]
    assert checked.dropped == []


@pytest.mark.parametrize(
    "text",
    [
        "WAL lets readers go on.",
        "A posteriori, WAL wins.",
        "Bonus: WAL lets readers go on.",
        "Response D: WAL lets readers go on.",
        "Plan (B) lets readers go on.",
        "A and C: WAL lets readers go on.",
        {"insight": "WAL lets readers go on."},
        {"model": ["A", "B"], "insight": "WAL lets readers go on."},
    ],
)
def test_an_insight_of_no_single_panelist_is_dropped_and_counted(text: Any) -> None:
    """Nobody is made an author by a guess, and what several share is not unique."""
    checked = read(unique_insights=[text])
    assert checked.analysis.unique_insights == []
    assert checked.quotes == []
    assert sum(dropped(checked).values()) == 1


@pytest.mark.parametrize(
    "row",
    [
        "A and C: Back-ups matter.",
        "A, C: Back-ups matter.",
        "A & C: Back-ups matter.",
        "Responses A and C: Back-ups matter.",
        "Response A, Response C: Back-ups matter.",
        "[A, C] Back-ups matter.",
        "Back-ups matter. (A, C)",
        "Back-ups matter. (Responses A and C)",
        {"models": "A, C", "point": "Back-ups matter."},
        {"models": "A and C", "text": "Back-ups matter."},
        {"models": ["A", "Response C (the sceptic)"], "insight": "Back-ups matter."},
        {"models": ["A and C"], "point": "Back-ups matter."},
        {"support": [{"model": "A"}, {"model": "C", "quote": None}], "point": "Back-ups matter."},
        {"support": ["A", "C"], "point": "Back-ups matter."},
    ],
)
def test_partial_coverage_in_another_shape_finds_its_panelists(row: Any) -> None:
    """Several letters in one string are several panelists."""
    checked = read(partial_coverage=[row])
    (kept,) = checked.analysis.partial_coverage
    assert (kept.models, kept.point) == ([A, C], "Back-ups matter.")
    assert checked.quotes == [Quoted("partial_coverage[0]", label, "") for label in (A, C)]
    assert checked.dropped == []


@pytest.mark.parametrize(
    "stances",
    [
        {"A": "now", "B": "later"},
        [{"A": "now"}, {"Response B": "later"}],
        ["Response A: now", "B: later"],
        [{"model": "A", "position": "now"}, {"response": "B", "view": "later"}],
        [{"respondent": "A", "claim": "now"}, {"label": "B", "text": "later"}],
    ],
)
def test_stances_in_another_shape_are_read(stances: Any) -> None:
    """A mapping from panelist to stance, strings that name one, and other keys are understood."""
    (row,) = read(contradictions=[{"topic": "when", "stances": stances}]).analysis.contradictions
    assert [(stance.model, stance.stance) for stance in row.stances] == [(A, "now"), (B, "later")]


def test_a_contradiction_in_a_string_cannot_be_kept() -> None:
    """It holds no two stances, and is counted."""
    checked = read(contradictions=["A says now, B says later."])
    assert checked.analysis.contradictions == []
    assert dropped(checked) == {"contradiction without two stances": 1}


@pytest.mark.parametrize(
    "name",
    [
        *("A", "a", "A.", "[A]", "(A)", "**A**", "`A`", "Response A", "response a.", "Respondent A", "RESPONSE A:"),
        *("Response **A**", "Response A (the sceptic)", "A (cheap, fast)", "openai/gpt-5", "`openai/gpt-5`", ["A"]),
    ],
)
def test_a_name_in_any_dress_is_a_panelist(name: Any) -> None:
    """What judges put around a name does not hide it."""
    checked = read(unique_insights=[{"model": name, "insight": "i"}])
    assert [row.model for row in checked.analysis.unique_insights] == [A]
    assert checked.dropped == []


def test_a_letter_goes_before_a_label_that_is_one() -> None:
    """The judge knows letters alone, so `B` is the letter, whatever users call their panelists."""
    text = json.dumps(
        EMPTY
        | {"unique_insights": [{"model": "B", "insight": "i"}, "B: j", {"model": "response b", "insight": "k"}]}
        | {"consensus": ["Response B is right."]}
    )
    analysis = read_analysis(text, {"A": "B", "B": "A"}).analysis
    assert [row.model for row in analysis.unique_insights] == ["A", "A", "A"]
    assert analysis.consensus == ["A is right."]


@pytest.mark.parametrize(
    ("mine", "other"),
    [
        *(("A, A", "A"), ("and A", "A and"), (" A", "A "), ("A A", "A A A"), ("Response B", "Response A")),
        *(("Response x", "x"), ("Respondents A", "A, Response A"), ("response a", "Response"), ("[A", "A)")),
    ],
)
def test_labels_that_read_like_lists_or_letters_do_not_stall(mine: str, other: str) -> None:
    """A label that could be taken apart does not make a list ambiguous, and is known where it stands alone."""
    pieces = ("A, ", "A and ", "A & ", "A, and ", "and A, ", "Response A, ", "Response A and ", "Response x, ", "A A, ")
    rows = [f"{piece * times}zzz" for piece in pieces for times in (24, 40, 300)]
    rows += [f"[{row}" for row in rows] + [f"z ({row})" for row in rows] + [pieces[0] * 5000 + "x"]
    started = time.process_time()
    for at in range(0, len(rows), 40):
        text = json.dumps(EMPTY | {"unique_insights": [{"model": "A", "insight": "i"}, *rows[at : at + 40]]})
        rows_kept = read_analysis(text, {"A": mine, "B": other}).analysis.unique_insights
        assert (rows_kept[0].model, rows_kept[0].insight) == (mine, "i")
    assert time.process_time() - started < 5


@pytest.mark.parametrize("shape", ["{}: it forgets", "[{}] it forgets", "it forgets ({})", "**{}** - it forgets"])
@pytest.mark.parametrize("label", ["Response A", "Respondent A", "A.", "`A`", "[A]"])
def test_a_letter_goes_before_a_label_that_reads_like_one(label: str, shape: str) -> None:
    """`Response A` is the judge's letter in a bare string as in an object, or nobody's: never the label's."""
    rows: list[Any] = [shape.format(label), {"model": label, "insight": "it repeats"}]
    text = json.dumps(EMPTY | {"unique_insights": rows})
    analysis = read_analysis(text, {"A": "Response B", "B": label}).analysis
    assert {row.model for row in analysis.unique_insights} == {"Response B"}
    if label.startswith("Response "):
        assert [row.insight for row in analysis.unique_insights] == ["it forgets", "it repeats"]


def test_labels_that_differ_in_case_are_two() -> None:
    """What is spelt exactly like a label is that one, in a bare string as in an object."""
    rows: list[Any] = ["notes: one", {"model": "notes", "insight": "two"}, "Notes: three"]
    text = json.dumps(EMPTY | {"unique_insights": rows})
    analysis = read_analysis(text, {"A": "notes", "B": "Notes"}).analysis
    assert [row.model for row in analysis.unique_insights] == ["notes", "notes", "Notes"]


@pytest.mark.parametrize(("value", "kept"), [(None, []), ("c d", ["c d"]), ({"point": "c d"}, ["c d"]), ([], [])])
def test_what_is_nearly_a_list_is_one(value: Any, kept: list[str]) -> None:
    """Null is empty, one string or object is a list of one."""
    assert read(consensus=value).analysis.consensus == kept


def test_insights_by_panelist_are_a_list() -> None:
    """An object of panelists and what each said is a row for each."""
    rows = read(unique_insights={"A": "one", "Response B": "two"}).analysis.unique_insights
    assert [(row.model, row.insight) for row in rows] == [(A, "one"), (B, "two")]


def test_line_breaks_and_tabs_within_strings_are_read() -> None:
    """Judges write them raw, which strict JSON forbids."""
    text = json.dumps(EMPTY | {"consensus": ["one@two"]}).replace("@", "\n\t")
    assert read_analysis(text, LABELS).analysis.consensus == ["one\n\ttwo"]


def test_several_responses_in_running_text_become_labels() -> None:
    """`Responses A and C` are two labels; a letter after one response is left alone."""
    points = ["Responses A, B and C agree.", "Respondent A and B-trees.", "Respondents A and Bs"]
    assert read(consensus=points).analysis.consensus == [
        f"{A}, {B} and {C} agree.",
        f"{A} and B-trees.",
        f"{A} and Bs",
    ]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("### Use WAL for everything here", "Use WAL for everything here"),
        ("- Use WAL", "Use WAL"),
        ("* 1. Use WAL", "Use WAL"),
        ("2) Use WAL", "Use WAL"),
        ("-5 degrees", "-5 degrees"),
        ("1.5 GB will do", "1.5 GB will do"),
        ("### 预写日志让读者继续", "预写日志让读者继续"),
    ],
)
def test_marks_before_a_sentence_are_taken_off(text: str, kept: str) -> None:
    """A bullet, a number or a heading's mark is not part of the point."""
    assert read(consensus=[text]).analysis.consensus == [kept]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        *((text, "stray headings") for text in ("## Point", "# A short one", "**Consensus**", "Consensus:")),
        *((text, "stray headings") for text in ("__Blind Spots:__", "- unique insights", "### 共识")),
        *((text, "empty items") for text in ("", " \n", "-", "---", "none", "None.", "N/A.", "n/a", "**nothing**")),
    ],
)
@pytest.mark.parametrize("key", ["consensus", "partial_coverage", "unique_insights", "blind_spots"])
def test_what_says_nothing_is_dropped_and_counted(key: str, text: str, what: str) -> None:
    """Headings and placeholders are no points in any section, with a panelist or without."""
    owned = {"models": ["A"], "model": "A", "text": text}
    checked = read(**{"contradictions": [text, KEPT], key: [text, owned]})
    assert getattr(checked.analysis, key) == []
    assert dropped(checked) == {what: 3}


def test_a_point_is_kept_where_it_stands_first() -> None:
    """The same sentence in several places, in whatever dress, is one point; the others are counted."""
    checked = read(
        consensus=["SQLite is enough.", "**SQLite**  is enough", "C++ is fast.", "C is fast."],
        partial_coverage=[{"models": ["A"], "point": "sqlite is enough!"}, {"models": ["A"], "point": "Back-ups."}],
        unique_insights=[
            {"model": "B", "insight": "back-ups"},
            {"model": "A", "insight": "WAL."},
            {"model": "B", "insight": "WAL."},
            {"model": "D", "insight": "Deployment."},
        ],
        blind_spots=["- Wal", "Deployment."],
    )
    analysis = checked.analysis
    assert analysis.consensus == ["SQLite is enough.", "C++ is fast.", "C is fast."]
    assert [row.point for row in analysis.partial_coverage] == ["Back-ups."]
    assert [(row.model, row.insight) for row in analysis.unique_insights] == [(A, "WAL.")]
    assert analysis.blind_spots == ["Deployment."]
    assert "the judge's analysis: 5 repeated points dropped" in checked.dropped


def test_every_attribution_that_is_kept_has_its_quote() -> None:
    """The place of a quote is the one in the cleaned analysis, and a quote is passed on word for word."""
    checked = read(
        contradictions=[
            "dropped",
            {
                "topic": "when",
                "stances": [
                    {"model": "D", "stance": "never", "quote": "no"},
                    {"model": "A", "stance": "now", "quote": "Response A: *now*"},
                    {"model": "B", "stance": "later"},
                ],
            },
        ],
        partial_coverage=[
            {"models": ["D"], "point": "dropped"},
            {"point": "p", "support": [{"model": "A", "quote": "qa"}, {"model": "Response C", "quote": "qc"}]},
            {"point": "q", "models": ["A", "B"], "quotes": [{"model": "B", "quote": "qb"}]},
            {"point": "r", "support": {"A": "ra"}},
            {"point": "s", "models": ["A"], "quote": "sa"},
        ],
        unique_insights=["", {"model": "C", "insight": "i", "quote": "half \ud83d"}, {"model": "A", "insight": "j"}],
    )
    assert checked.quotes == [
        Quoted("contradictions[0].stances[0]", A, "Response A: *now*"),
        Quoted("contradictions[0].stances[1]", B, ""),
        Quoted("partial_coverage[0]", A, "qa"),
        Quoted("partial_coverage[0]", C, "qc"),
        Quoted("partial_coverage[1]", A, ""),
        Quoted("partial_coverage[1]", B, "qb"),
        Quoted("partial_coverage[2]", A, "ra"),
        Quoted("partial_coverage[3]", A, "sa"),
        Quoted("unique_insights[0]", C, "half ?"),
        Quoted("unique_insights[1]", A, ""),
    ]


@pytest.mark.parametrize(
    "filler",
    [
        *(" ", "(", "[", "A, ", "Response A, ", "A and ", "*", "- ", "# ", ") ", "\n", "A & ", "A, and "),
        *("Responses A and ", "A (x) ", "[A] ", "x/y#1, ", "1. ", "_`"),
    ],
)
def test_a_name_or_a_string_of_any_length_is_read(filler: str) -> None:
    """Repeated characters where a name, a string or a quote belongs cost no time, be they thousands or 190,000."""
    started = time.process_time()
    assert read(unique_insights=[filler * (190_000 // len(json.dumps(filler))) + "x"])
    long = filler * (8000 // len(filler))
    rows: list[Any] = [long, f"{long}x", f"B{long}", f"B: {long}x ({long})", {"model": long, "insight": long + "y"}]
    rows.append({"model": f"A{long}", "insight": "z", "quote": long})
    for key in EMPTY:
        assert read(**{"contradictions": [KEPT], key: [*rows, KEPT]})
    assert time.process_time() - started < 5


LOOSE = json.dumps(
    {
        "result": {
            "consensus": "- One thing holds",
            "contradictions": {"topic": "when", "stances": {"A": "now", "Response B": "later"}},
            "partial_coverage": [{"point": "p", "support": [{"model": "A", "quote": "q"}]}, "A and C: both of them"],
            "unique_insights": [{"model": ["B"], "text": "i", "quote": "r"}, "[C] a third"],
            "blind_spots": None,
        }
    }
)


def mutated(dice: random.Random) -> str:
    """Return the loose reply cut, with bytes swapped or with a piece of it doubled."""
    text = LOOSE
    for _ in range(dice.randint(1, 2)):
        one, other = sorted(dice.randrange(len(text)) for _ in range(2))
        match dice.randrange(4):
            case 0:
                text = text[:one] + text[one + dice.randint(1, 12) :]
            case 1:
                text = text[:one] + text[other] + text[one + 1 : other] + text[one] + text[other + 1 :]
            case 2:
                text = text[:other] + text[one : one + dice.randint(1, 60)] + text[other:]
            case 3:
                text = text[:one] + dice.choice(["null", "7", "[]", '"A"', '{"A":"x"}', "\\ud800", "# "]) + text[one:]
    return text


def test_mutations_of_a_loose_reply_keep_to_known_panelists() -> None:
    """Of 800 mutated replies (fixed seed) none raises anything else, and every place that is quoted for exists."""
    dice = random.Random(5)  # noqa: S311 - reproducible, not secret
    kept = 0
    for _ in range(800):
        try:
            checked = read_analysis(mutated(dice), LABELS)
        except AnalysisError:
            continue
        kept += 1
        analysis = checked.analysis
        expected = [
            (f"contradictions[{at}].stances[{index}]", stance.model)
            for at, row in enumerate(analysis.contradictions)
            for index, stance in enumerate(row.stances)
        ]
        expected += [
            (f"partial_coverage[{at}]", name) for at, row in enumerate(analysis.partial_coverage) for name in row.models
        ]
        expected += [(f"unique_insights[{at}]", row.model) for at, row in enumerate(analysis.unique_insights)]
        assert [(quoted.where, quoted.model) for quoted in checked.quotes] == expected
        assert {name for _, name in expected} <= set(LABELS.values())
        analysis.model_dump_json().encode()
    assert 100 < kept < 800
