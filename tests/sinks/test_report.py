"""Promises of whole runs as text, `sinks.report` and `run_text`: all of a run is there, each thing in its place."""

from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from fusion_cli.about import About
from fusion_cli.chat import Citation, Completion, Usage
from fusion_cli.errors import ServerFailedError
from fusion_cli.sinks.analysis_text import run_text
from fusion_cli.sinks.report import report
from tests.recording import record
from tests.story.scripted import JUDGE_REPLY, ScriptedModels, plan, says

EVIL = "</details>\n\n# Fake\n\n```\nunclosed <script>alert(1)</script> ![x](http://evil.example/)"
CITING = Completion("now", "stop", Usage(), citations=(Citation("https://x.example/a_b", "A [title]"),))
CUT = ServerFailedError("it broke\noff", partial="half a sen")
FACTS = ["ask 20261128T000000-abcdef", "2026-11-28 00:00:00", "1.0 s, $2.0000"]
ABOUT = About("q", ["f"])
UNPROVEN = """{"consensus": ["c"], "contradictions": [{"topic": "a|b", "stances": [
  {"model": "A", "stance": "now", "quote": "now"}, {"model": "B", "stance": "<b>later</b>", "quote": "not said"}]}],
  "partial_coverage": [{"models": ["A"], "point": "p", "quotes": ["now"]}], "unique_insights": [],
  "blind_spots": ["x"]}"""


def run_of(folder: Path, *said: Any, judge: str | None = JUDGE_REPLY, answer: Any = None, **of_plan: Any) -> Any:
    """Return the run of a panel that said this."""
    models = ScriptedModels()
    for slug, line in zip("ab", said, strict=True):
        models.script("panel", slug, line)
    if judge is not None:
        models.script("judge", "j", says(judge), *([] if judge.startswith("{") else [says(judge)]))
    if answer is not None:
        models.script("outer", "o", answer)
    command = "analyze" if answer is None else "ask"
    return record(folder, models, plan()._replace(**of_plan), command=command).run


def headings(text: str) -> list[str]:
    """Return a report's own headings, the first two levels."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    at = [n for n, token in enumerate(tokens) if token.type == "heading_open" and token.tag in ("h1", "h2")]
    return [tokens[n + 1].content for n in at]


def test_a_report_has_all_of_a_run(tmp_path: Path) -> None:
    """The question is its title; answer, analysis, responses, failures, sources and facts follow."""
    run = run_of(tmp_path, CITING, CUT, answer=says("It *depends*."))
    text = report(run, About("Which DB?\nSay why.", FACTS))
    assert headings(text) == [
        *("Which DB?", "Answer", "Consensus", "Contradictions", "Unique insights", "Responses", "Failed", "Sources"),
    ]
    assert "Which DB?\nSay why." in text
    assert "\nIt *depends*.\n" in text
    assert "| Topic | a | b |\n| --- | --- | --- |\n| when | now | later |\n" in text
    assert "<details>\n<summary>a</summary>\n\nnow\n\n</details>" in text
    assert "<summary>b (cut off: it broke off)</summary>\n\nhalf a sen\n\n</details>" in text
    assert "1. <https://x.example/a_b>: A \\[title\\] (a)" in text
    assert text.endswith("ask 20261128T000000-abcdef  \n2026-11-28 00:00:00  \n1.0 s, \\$2.0000\n")


def test_hostile_text_breaks_no_report(tmp_path: Path) -> None:
    """Whatever answer, responses and question hold, the headings are the report's, and so are its tags."""
    run = run_of(tmp_path, says(EVIL), says(EVIL), answer=says(EVIL))
    text = report(run, About(EVIL, ["x"]))
    own = ["Answer", "Consensus", "Contradictions", "Unique insights", "Responses"]
    assert headings(text) == ["\\</details\\>", *own]
    tokens = [inner for token in MarkdownIt("commonmark").parse(text) for inner in (token, *(token.children or ()))]
    tags = [token.content for token in tokens if token.type.startswith("html")]
    assert [tag.strip() for tag in tags if tag.strip() != "</details>"] == [
        f"<details>\n<summary>{label}</summary>" for label in "ab"
    ]
    assert sum(tag.strip() == "</details>" for tag in tags) == 2
    assert not any(token.type == "image" for token in tokens)


def cut(run: Any, most_bytes: int, question: str = "q") -> str:
    """Return a report that may have so many bytes, and has."""
    text = report(run, About(question, FACTS), most_bytes=most_bytes)
    assert len(text.encode()) <= most_bytes
    return text


def test_the_longest_response_goes_first(tmp_path: Path) -> None:
    """Where there is no room for it, it is named, with its size and where it is; all else stays as it was."""
    run = run_of(tmp_path, says("é" * 5000), says("short"), answer=says("done"))
    whole = report(run, About("q", FACTS))
    assert cut(run, len(whole.encode())) == whole
    text = cut(run, len(whole.encode()) - 1)
    assert headings(text) == [
        *("q", "Answer", "Consensus", "Contradictions", "Unique insights", "Responses", "Left out"),
    ]
    assert text.count("<details>") == 1
    assert "\n- the response of a (10,0" in text
    assert f"All of it: `fusion runs show {run.run} --format markdown`" in text
    assert text.endswith(whole[whole.index("---\n\nask") :])


def test_answer_and_analysis_go_last(tmp_path: Path) -> None:
    """After every response, and the question's text; the title, the sources and the facts never do."""
    judge = JUDGE_REPLY.replace("both agree", "both agree " * 100)
    run = run_of(tmp_path, CITING, says("later" * 100), judge=judge, answer=says("It depends. " * 400))
    question = "Which?\n\n" + "Long. " * 1000
    sections = {size: headings(cut(run, size, question)) for size in (8000, 7000, 2000, 1000)}
    found = ["Consensus", "Contradictions", "Unique insights"]
    assert sections[8000] == sections[7000] == ["Which?", "Answer", *found, "Left out", "Sources"]
    assert sections[2000] == ["Which?", *found, "Left out", "Sources"]
    assert "\n- the text of the question (6,0" in cut(run, 8000, question)
    assert sections[1000] == ["Which?", "Left out", "Sources"]


def test_a_run_that_is_kept_nowhere_says_how_to_have_all_of_it(tmp_path: Path) -> None:
    """There is no command that shows it."""
    run = run_of(tmp_path, says("x" * 5000), says("short"), answer=says("done")).model_copy(update={"run": None})
    text = cut(run, 3000)
    assert "another `-o` beside this one has all of it" in text
    assert "fusion runs show" not in text


@pytest.mark.parametrize("make", [report, run_text])
def test_what_failed_a_check_is_marked(tmp_path: Path, make: Any) -> None:
    """A quote that was not found, and a point of the first look alone, are said where they stand."""
    run = run_of(tmp_path, says("now"), says("later"), judge=UNPROVEN, quotes=True)
    lines = [line for line in make(run, ABOUT).splitlines() if "not found" in line]
    assert len(lines) == 1
    assert "later" in lines[0]


def test_cells_of_a_table_stay_in_it(tmp_path: Path) -> None:
    """Bars and HTML of the judge's are text."""
    run = run_of(tmp_path, says("now"), says("later"), judge=UNPROVEN, quotes=True)
    assert r"| a\|b | now | \<b\>later\</b\> *(quote not found)* |" in report(run, ABOUT)


@pytest.mark.parametrize("make", [report, run_text])
def test_why_there_is_no_analysis_or_answer(tmp_path: Path, make: Any) -> None:
    """A judge and an outer model that failed are told of with their reasons, and the responses stand there."""
    bad = ServerFailedError("HTTP 500: no", status_code=500)
    text = make(run_of(tmp_path, says("one"), says("two"), judge="no", answer=bad), About("q", ["f"], "It dep"))
    assert {"No answer", "Answer, cut off", "No analysis"} <= set(headings(text))
    assert "HTTP 500: no" in text
    assert "It dep" in text
    assert "one" in text
    assert "two" in text


def test_text_has_responses_where_nothing_else_is(tmp_path: Path) -> None:
    """Beside an answer they are shown when asked for; without answer and analysis, always."""
    whole = run_of(tmp_path, says("first said"), says("then said"), answer=says("done"))
    assert "first said" not in run_text(whole, ABOUT)
    assert "## Response of a\n\nfirst said" in run_text(whole, ABOUT, with_responses=True)
    without = run_of(tmp_path, says("first said"), CUT, judge="no")
    text = run_text(without, ABOUT)
    assert "## Response of a\n\nfirst said" in text
    assert "## Response of b, cut off\n\nhalf a sen" in text
    assert "- b: it broke off" in text


def test_text_is_in_sections(tmp_path: Path) -> None:
    """A run reads from the question to what it took."""
    run = run_of(tmp_path, CITING, says("later"), answer=says("done\n"))
    assert run_text(run, About("Which?\n", FACTS)) == (
        "## Question\n\nWhich?\n\n"
        "## Answer\n\ndone\n\n"
        "## Consensus\n\n- both agree\n\n"
        "## Contradictions\n\n- when\n  - a: now\n  - b: later\n\n"
        "## Unique insights\n\n- b: a forgot the back-ups\n\n"
        "## Sources\n\n[1] https://x.example/a_b (a)\n    A [title]\n\n" + "\n".join(FACTS)
    )
