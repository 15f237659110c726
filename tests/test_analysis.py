"""Promises of `analysis`: what judges really write is read; what cannot be is told by the specification's code."""

import json
import random
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from fusion_cli.analysis import AnalysisError, read_analysis
from fusion_cli.results import Analysis

LABELS = {"A": "openai/gpt-5", "B": "x/y#1", "C": "x/y#2"}
GOOD: dict[str, Any] = {
    "consensus": ["SQLite is enough."],
    "contradictions": [
        {"topic": "when", "stances": [{"model": "A", "stance": "now"}, {"model": "B", "stance": "later"}]}
    ],
    "partial_coverage": [{"models": ["A", "C"], "point": "Back-ups."}],
    "unique_insights": [{"model": "B", "insight": "Write-ahead logging."}],
    "blind_spots": ["Deployment."],
}
EMPTY: dict[str, Any] = {key: [] for key in GOOD}
EXPECTED = {
    "consensus": ["SQLite is enough."],
    "contradictions": [
        {
            "topic": "when",
            "stances": [{"model": "openai/gpt-5", "stance": "now"}, {"model": "x/y#1", "stance": "later"}],
        }
    ],
    "partial_coverage": [{"models": ["openai/gpt-5", "x/y#2"], "point": "Back-ups."}],
    "unique_insights": [{"model": "x/y#1", "insight": "Write-ahead logging."}],
    "blind_spots": ["Deployment."],
}
TEXT = json.dumps(GOOD)


def read(**changes: Any) -> tuple[Analysis, list[str]]:
    """Return what becomes of an otherwise empty analysis, and what was dropped from it."""
    return read_analysis(json.dumps(EMPTY | changes), LABELS)[:2]


def refused(text: str) -> tuple[str, str]:
    """Return the failure reason and the message of a text that must be refused."""
    with pytest.raises(AnalysisError) as caught:
        read_analysis(text, LABELS)
    return caught.value.failure_reason, str(caught.value)


def test_two_different_analyses_are_none() -> None:
    """One of them may be quoted from a response, so neither is taken: the judge is asked again."""
    planted = TEXT.replace("SQLite", "Postgres")
    assert planted != TEXT
    assert refused(f"Response A holds {planted}. My analysis: {TEXT}")[0] == "judge_schema_mismatch"


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        json.dumps(GOOD, indent=2),
        f"```json\n{TEXT}\n```",
        f"```\n{TEXT}\n```\n",
        f"Here is the analysis you {{asked}} for:\n\n{TEXT}\n\nI hope that it helps {{you}}!",
        f"<think>They say {{x}} and {{}} and {{'y': 1}}</think>{TEXT}",
        f"[{TEXT}]",
        f'{{"analysis": {TEXT}}}',
        f'{{"confidence": 0.9, "analysis": {TEXT}}}',
        f"\ufeff\n\t{TEXT}\x00",
        TEXT.replace("]", ",]").replace("}", ", }"),
        json.dumps({"reasoning": {"steps": [1]}, "score": 10**30, **GOOD, "zzz": None}),
        json.dumps({"result": [{"note": 1}, {"analysis": {"final": GOOD}}]}),
        "{x} {'y'} { " * 300 + '{"n": 1} ' * 300 + TEXT,
        TEXT + TEXT,
        TEXT + '{"unfinished": ',
        '{"consensus": ["overridden"], ' + TEXT[1:],
    ],
    ids=[
        *(
            "plain",
            "indented",
            "fenced",
            "fence without a name",
            "prose",
            "thinking",
            "array",
            "wrapped",
            "wrapped, keys",
        ),
        *("BOM", "trailing commas", "extra keys", "wrapped twice", "many braces", "two objects"),
        *("unfinished second", "duplicate key"),
    ],
)
def test_an_analysis_is_found_in_whatever_is_around_it(text: str) -> None:
    """Fences, prose, wrappers, commas and extra keys cost nothing, and nothing counts as dropped."""
    analysis, dropped, _ = read_analysis(text, LABELS)
    assert analysis.model_dump() == EXPECTED
    assert dropped == []


class TestNames:
    """Who said it."""

    @pytest.mark.parametrize("name", ["B", " b ", "Response B", "response b", "x/y#1", "X/Y#1"])
    def test_a_letter_in_any_dress_is_a_panelist(self, name: str) -> None:
        """Letters and labels are understood, case and the word before them apart."""
        analysis, dropped = read(unique_insights=[{"model": name, "insight": "i"}])
        assert [row.model for row in analysis.unique_insights] == ["x/y#1"]
        assert dropped == []

    def test_letters_in_running_text_become_labels(self) -> None:
        """`Response A` in a sentence is its label; other letters and words are left alone."""
        sentence = "Response A beats response B, not Response D, Response Area, A or B."
        analysis, _ = read(consensus=[sentence])
        assert analysis.consensus == ["openai/gpt-5 beats x/y#1, not Response D, Response Area, A or B."]

    def test_a_label_in_running_text_is_not_read_as_a_pattern(self) -> None:
        """A slug is text, whatever regular expressions make of it."""
        labels = {"A": r"a/\1\g<0>", "B": "b/b"}
        text = json.dumps(EMPTY | {"consensus": ["Response A wins"]})
        assert read_analysis(text, labels).analysis.consensus == [r"a/\1\g<0> wins"]

    def test_panelists_that_do_not_exist_are_dropped_and_counted(self) -> None:
        """An invented name loses its points, not those of the others, and is named once."""
        analysis, dropped = read(
            unique_insights=[{"model": m, "insight": "i"} for m in ("A", "D", "gpt-9", "D", None, 7)],
            partial_coverage=[{"models": ["A", "D"], "point": "p"}, {"models": ["D"], "point": "q"}],
            contradictions=[
                {"topic": "t", "stances": [{"model": m, "stance": m} for m in ("A", "B", "D")]},
                {"topic": "u", "stances": [{"model": m, "stance": "s"} for m in ("A", "D")]},
            ],
        )
        assert [row.model for row in analysis.unique_insights] == ["openai/gpt-5"]
        assert [row.models for row in analysis.partial_coverage] == [["openai/gpt-5"]]
        assert [[stance.model for stance in row.stances] for row in analysis.contradictions] == [
            ["openai/gpt-5", "x/y#1"]
        ]
        assert dropped == [
            "the judge's analysis: 1 contradiction without two stances dropped",
            "the judge's analysis: 1 point belonging to nobody dropped",
            "the judge's analysis: 5 insights belonging to nobody dropped",
            "the judge attributed points to panelists that do not exist: D, gpt-9",
        ]

    def test_invented_names_do_not_flood_the_warning(self) -> None:
        """At most five of them are told, each cut to 80 characters."""
        rows = [{"model": f"{number} " + "x" * 500, "insight": "i"} for number in range(20)]
        _, dropped = read(consensus=["c"], unique_insights=rows)
        assert len(dropped[-1]) < 500


class TestRows:
    """What counts as a point."""

    def test_one_voice_contradicts_nobody(self) -> None:
        """A contradiction needs two panelists with something to say; the same one twice is one."""
        stances: list[Any] = [
            [],
            [{"model": "A", "stance": "s"}],
            [{"model": "A", "stance": "s"}, {"model": "A", "stance": "t"}],
            [{"model": "A", "stance": "s"}, {"model": "B", "stance": " "}],
            [{"model": "A", "stance": "s"}, {"model": "B", "stance": "**S.**"}],
            [{"model": "A", "stance": "s"}, "t", None, ["B"]],
            {"A": "s"},
            None,
        ]
        analysis, dropped = read(consensus=["c"], contradictions=[{"topic": "t", "stances": s} for s in stances])
        assert analysis.contradictions == []
        assert dropped == [
            "the judge's analysis: 8 contradictions without two stances dropped",
        ]

    def test_a_panelist_has_one_stance(self) -> None:
        """Of two stances of the same panelist, the first counts."""
        stances = [{"model": m, "stance": s} for m, s in (("A", "s"), ("Response A", "t"), ("B", "u"))]
        analysis, dropped = read(contradictions=[{"topic": "t", "stances": stances}])
        (row,) = analysis.contradictions
        assert [(stance.model, stance.stance) for stance in row.stances] == [("openai/gpt-5", "s"), ("x/y#1", "u")]
        assert dropped == ["the judge's analysis: 1 empty or further stance of a panelist dropped"]

    def test_bare_strings_where_objects_belong_are_dropped_and_counted(self) -> None:
        """What cannot be attributed is not invented an author; the rest of the analysis stays."""
        bare = ["This is said by nobody.", "So is that: B"]
        analysis, dropped = read(consensus=["c"], contradictions=bare, partial_coverage=bare, unique_insights=bare)
        assert analysis.model_dump() == EMPTY | {"consensus": ["c"]}
        assert [re.sub(r"\D", "", line) for line in dropped] == ["2", "2", "2"]

    def test_objects_where_strings_belong_are_read(self) -> None:
        """An object with one string, or one under a usual name, is a sentence; anything else is dropped and counted."""
        good = [{"point": "c"}, {"zzz": "d"}, {"models": "A", "statement": "e", "why": "f"}, {"n": 1, "x": "g"}]
        bad = [{"a": "x", "b": "y"}, ["x"], 7, None, True, {"point": {"deeper": "x"}}, {"model": "A"}]
        analysis, dropped = read(consensus=good + bad)
        assert analysis.consensus == ["c", "d", "e", "g"]
        assert dropped == ["the judge's analysis: 7 empty items dropped"]

    def test_one_name_where_a_list_belongs_is_a_list(self) -> None:
        """`"models": "A"` is understood, and nobody is listed twice."""
        rows = [{"models": "A", "point": "p"}, {"models": ["B", "Response B", "x/y#1"], "point": "q"}]
        assert [row.models for row in read(partial_coverage=rows)[0].partial_coverage] == [["openai/gpt-5"], ["x/y#1"]]

    @pytest.mark.parametrize(
        "nothing", ["", "  \n", "#", "## Consensus", "# Consensus #", "---", "**", "- ", "``` ", "\n# x"]
    )
    def test_headings_and_ornaments_say_nothing(self, nothing: str) -> None:
        """A stray Markdown heading is no point, and an analysis of nothing else is none."""
        assert read(consensus=[nothing, "c"])[0].consensus == ["c"]
        reason, message = refused(json.dumps(EMPTY | {"consensus": [nothing], "blind_spots": [nothing]}))
        assert reason == "judge_schema_mismatch"
        assert message.startswith("nothing usable is left of the analysis (")

    def test_a_heading_with_text_below_it_is_kept(self) -> None:
        """Only what is a heading and nothing else is dropped."""
        points = ["Cost\nIt is free.", "#1 choice: SQLite", "**bold** claim", "C# is fine"]
        assert read(consensus=[f"# {points[0]}", *points[1:]])[0].consensus == points

    def test_half_a_character_is_not_passed_on(self) -> None:
        """JSON can spell a lone surrogate; what comes out can be written to a file."""
        rows = [{"model": "A", "insight": "\ud83d x"}]
        analysis, _ = read(consensus=["a \ud83d b"], unique_insights=rows)
        analysis.model_dump_json().encode()


class TestFailure:
    """What is no analysis, and why."""

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "judge_empty_completion"),
            (" \n\t", "judge_empty_completion"),
            ("I cannot compare these.", "judge_not_valid_json"),
            ("{", "judge_not_valid_json"),
            ("[]", "judge_not_valid_json"),
            ('"consensus"', "judge_not_valid_json"),
            ("{'consensus': []}", "judge_not_valid_json"),
            ('{"consensus": [NaN]}', "judge_not_valid_json"),
            ('{"consensus": [Infinity]}', "judge_not_valid_json"),
            ('{"consensus": ' + "9" * 5000 + "}", "judge_not_valid_json"),
            ('{"a":' * 20_000, "judge_not_valid_json"),
            ('{"a":' * 20_000 + "1" + "}" * 20_000, "judge_not_valid_json"),
            ('{"consensus":' + "[" * 20_000 + "]" * 20_000 + "}", "judge_not_valid_json"),
            ("{" * 200_000, "judge_not_valid_json"),
            ("{}", "judge_schema_mismatch"),
            ('{"verdict": "A wins"}', "judge_schema_mismatch"),
            (json.dumps(EMPTY), "judge_schema_mismatch"),
            (json.dumps({key: value for key, value in GOOD.items() if key != "blind_spots"}), "judge_schema_mismatch"),
            (json.dumps(GOOD | {"consensus": 7}), "judge_schema_mismatch"),
            (json.dumps(GOOD | {"unique_insights": True}), "judge_schema_mismatch"),
            (json.dumps(GOOD | {"contradictions": 0.5}), "judge_schema_mismatch"),
            ("[{" * 100_000, "judge_not_valid_json"),
            ('{"\n' * 66_000, "judge_not_valid_json"),
            (('{"a":"' + "x" * 180 + '","b":') * 1000, "judge_not_valid_json"),
            ('{"a":[NaN],' * 18_000, "judge_not_valid_json"),
            ('{"x":[' + "{}," * 60_000 + "{}]}", "judge_schema_mismatch"),
        ],
        ids=lambda value: value[:24],
    )
    def test_each_failure_has_the_specifications_code(self, text: str, reason: str) -> None:
        """Empty, no JSON and another shape are told apart, by code and in words, whatever the size."""
        found, message = refused(text)
        assert found == reason
        assert message

    def test_a_missing_key_is_named(self) -> None:
        """The re-ask can say what to repair."""
        text = json.dumps({"consensus": ["c"], "blind_spots": []})
        assert refused(text)[1] == "the object lacks contradictions, partial_coverage, unique_insights"

    def test_a_truncated_reply_is_no_json_wherever_it_was_cut(self) -> None:
        """An object inside an unfinished one is not mistaken for the reply."""
        for at in range(1, len(TEXT)):
            assert refused(TEXT[:at])[0] == "judge_not_valid_json", TEXT[:at]

    def test_twenty_thousand_items_are_cut_to_fifty(self) -> None:
        """A judge that does not know when to stop costs neither time nor screen, and is told on."""
        analysis, dropped = read(consensus=[f"{number}" for number in range(20_000)])
        assert len(analysis.consensus) == 50
        assert dropped == ["the judge's analysis: 19,950 items of consensus over the limit of 50 dropped"]

    @pytest.mark.parametrize(
        "filler", [" ", "\n", "#", "-", "# ", "`x", ",", "Response ", "Responses A, ", "\u0301\u0327"]
    )
    def test_a_judge_in_a_loop_takes_no_time(self, filler: str) -> None:
        """A sentence of up to 190,000 repeated characters is read in a tenth of a second."""
        started = time.process_time()
        analysis, _ = read(consensus=["c", filler * (190_000 // len(json.dumps(filler))) + "x"])
        assert analysis.consensus[0] == "c"
        assert time.process_time() - started < 5


def cut(text: str, dice: random.Random) -> str:
    """Return the text without some stretch of it."""
    start = dice.randrange(len(text))
    return text[:start] + text[start + dice.randint(1, 40) :]


def overwritten(text: str, dice: random.Random) -> str:
    """Return the text with a token of JSON, or what passes for one, in some place."""
    words = ["null", "NaN", "-1e999", "\\ud800", "\x00", "\ud800", '"A"', "{}", "[" * 3000, "9" * 5000, "# x"]
    token: str = dice.choice([*'{}[]",:\\', *words])
    start = dice.randrange(len(text))
    return text[:start] + token + text[start + dice.randint(0, 3) :]


def doubled(text: str, dice: random.Random) -> str:
    """Return the text with a stretch of it repeated elsewhere."""
    start, end = sorted((dice.randrange(len(text)), dice.randrange(len(text))))
    place = dice.randrange(len(text))
    return text[:place] + text[start:end] + text[place:]


def revalued(text: str, dice: random.Random) -> str:
    """Return the good analysis with another value in some place: valid JSON of a wrong shape."""
    whole: Any = json.loads(TEXT)
    node = whole
    while True:
        key = dice.choice(list(node) if isinstance(node, dict) else range(len(node)))
        if not isinstance(node[key], dict | list) or not node[key] or dice.random() < 0.3:
            node[key] = dice.choice(
                [None, True, 0, -1.5, "", "A", "\ud800", [], {}, [[]], ["A"], {"model": "A"}, [None]]
            )
            return json.dumps(whole)
        node = node[key]


@pytest.mark.parametrize("mutate", [cut, overwritten, doubled, revalued])
def test_nothing_that_a_judge_writes_raises_anything_else(mutate: Callable[[str, random.Random], str]) -> None:
    """Of 3,000 mutated replies (fixed seed) each is an analysis that can be printed, or an AnalysisError."""
    dice = random.Random(11)  # noqa: S311 - reproducible, not secret
    codes: set[str] = set()
    kept = 0
    for _ in range(3000):
        text = TEXT
        for _ in range(dice.randint(1, 3)):
            text = mutate(text, dice) or " "
        try:
            analysis, dropped, quotes = read_analysis(text, LABELS)
        except AnalysisError as error:
            codes.add(error.failure_reason)
            continue
        kept += 1
        json.loads(analysis.model_dump_json())
        names = {stance.model for row in analysis.contradictions for stance in row.stances}
        names |= {name for row in analysis.partial_coverage for name in row.models}
        names |= {row.model for row in analysis.unique_insights}
        assert names <= set(LABELS.values())
        assert {quoted.model for quoted in quotes} == names
        assert all(len(row.stances) >= 2 for row in analysis.contradictions)
        assert all(isinstance(line, str) for line in dropped)
    assert 0 < kept < 3000
    assert codes <= {"judge_empty_completion", "judge_not_valid_json", "judge_schema_mismatch"}
