"""`fusion judge` as its user sees it: a saved file or texts of one's own, for one call."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import fusion
from tests.wire.server import WireServer, deliberation

JUDGE = ("-j", "z/judge", "--json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with responses of one's own, and one that `analyze --json` could have printed."""
    (tmp_path / "a.txt").write_text("SQLite, now.\n")
    (tmp_path / "b.txt").write_text("PostgreSQL, later.\n")
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "asked.txt").write_text("\nWhich one?\n")
    rows = [{"model": "x/a", "label": "ann", "content": "now"}, {"model": "x/a", "label": "bob", "content": "later"}]
    failed = [{"model": "x/a", "label": "eve", "error": "no"}]
    shape = {"prompt": "SQLite?", "responses": rows, "failed_models": failed}
    (tmp_path / "saved.json").write_text(json.dumps(shape))
    return tmp_path


def judged(*arguments: str, stdin: bytes | None = None) -> tuple[Any, str]:
    """Judge for exactly one call; return the printed object, and what the judge read."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        ended = fusion("judge", *JUDGE, *arguments, server=server, stdin=stdin)
        [request] = server.calls()
    assert ended.status == 0, ended.stderr
    assert request.role == "judge"
    return ended.json(), request.body["messages"][-1]["content"]


def attributed(shape: Any) -> set[str]:
    """Return everybody that the analysis names."""
    stances = [stance["model"] for row in shape["analysis"]["contradictions"] for stance in row["stances"]]
    return {*stances, *(row["model"] for row in shape["analysis"]["unique_insights"])}


def test_saved_file_is_judged_under_its_labels(folder: Path) -> None:
    """A saved file costs one call, and its labels name the responses and what is attributed to them."""
    shape, read = judged(f"{folder}/saved.json")
    assert [(row["model"], row["label"]) for row in shape["responses"]] == [("x/a", "ann"), ("x/a", "bob")]
    assert attributed(shape) == {"ann", "bob"}
    assert shape["prompt"] == "SQLite?"
    assert "1 further respondent(s) gave no response" in read
    assert "ann" not in read


def test_what_was_asked_can_be_said_otherwise(folder: Path) -> None:
    """`--prompt` and `--prompt-file` win over what the file says."""
    assert judged(f"{folder}/saved.json", "--prompt", "Why?")[0]["prompt"] == "Why?"
    shape, read = judged(f"{folder}/saved.json", "--prompt-file", f"{folder}/asked.txt")
    assert shape["prompt"] == "Which one?"
    assert "\nWhich one?\n" in read


def test_texts_of_ones_own(folder: Path) -> None:
    """Text files under labels are judged for one call; the labels come back."""
    ours = ("--response", f"ann={folder}/a.txt", "--response", f"bob={folder}/b.txt", "--prompt", "Which?")
    shape, read = judged(*ours)
    assert [(row["label"], row["content"]) for row in shape["responses"]] == [
        ("ann", "SQLite, now.\n"),
        ("bob", "PostgreSQL, later.\n"),
    ]
    assert attributed(shape) == {"ann", "bob"}
    assert "SQLite, now." in read
    assert "ann" not in read


def test_a_response_or_the_prompt_from_standard_input(folder: Path) -> None:
    """A dash is standard input, for one of them."""
    one = judged("--response", "ann=-", "--response", f"bob={folder}/b.txt", "--prompt", "Which?", stdin=b"piped")
    assert one[0]["responses"][0]["content"] == "piped"
    other = judged("--response", f"bob={folder}/b.txt", "--prompt-file", "-", stdin=b"piped?\n")
    assert other[0]["prompt"] == "piped?"


def test_options_reach_the_judge(folder: Path) -> None:
    """Limits, reasoning and seed are the judge's."""
    flags = ("--max-completion-tokens", "99", "--reasoning-effort", "low", "--seed", "7", "--no-web")
    with WireServer(default=deliberation(latency_s=0)) as server:
        ended = fusion("judge", *JUDGE, *flags, f"{folder}/saved.json", server=server)
        [request] = server.calls()
    assert ended.json()["seed"] == 7
    assert (request.body["max_completion_tokens"], request.body["seed"]) == (99, 7)
    assert request.body["reasoning"] == {"effort": "low"}
    assert "tools" not in request.body


ASKED = ("--prompt", "q")
MISUSES = {
    "nothing": ((), "there is nothing to judge"),
    "file and response": (("saved.json", "--response", "a=a.txt"), "choose one"),
    "no equals sign": (("--response", "a.txt", *ASKED), "expected LABEL=FILE, found a.txt"),
    "no label": (("--response", "=a.txt", *ASKED), "expected a short name in one line"),
    "a label of two lines": (("--response", "a\nb=a.txt", *ASKED), "expected a short name in one line"),
    "the same label": (("--response", "a=a.txt", "--response", "a=b.txt", *ASKED), "two responses are called a"),
    "nine of them": (
        (*[word for number in range(9) for word in ("--response", f"{number}=a.txt")], *ASKED),
        "at most 8",
    ),
    "an empty response": (("--response", "a=empty.txt", *ASKED), "the response of a is empty"),
    "no such file": (("--response", "a=no.txt", *ASKED), "no.txt: No such file or directory"),
    "no prompt": (("--response", "a=a.txt"), "say it with --prompt or --prompt-file"),
    "two prompts": (("--response", "a=a.txt", *ASKED, "--prompt-file", "asked.txt"), "choose one"),
    "an empty prompt": (("saved.json", "--prompt", " "), "the prompt is empty"),
    "an empty prompt file": (("saved.json", "--prompt-file", "empty.txt"), "the prompt is empty"),
    "standard input twice": (("-", "--prompt-file", "-"), "standard input can be read once"),
    "two responses from it": (("--response", "a=-", "--response", "b=-", *ASKED), "standard input can be read once"),
    "a limit out of range": (("saved.json", "--max-tool-calls", "17"), "--max-tool-calls: expected a whole number"),
    "a panel": (("saved.json", "--panel", "a"), "No such option"),
}


@pytest.mark.parametrize("name", MISUSES)
def test_misuse_is_one_line_and_status_2(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each misuse is said in one line before anything is sent."""
    arguments, said = MISUSES[name]
    monkeypatch.chdir(folder)
    with WireServer() as server:
        ended = fusion("judge", *JUDGE, *arguments, server=server)
        assert server.requests == []
    assert (ended.status, ended.stdout) == (2, "")
    [line] = [line for line in ended.stderr.splitlines() if said in line]
    assert line.startswith(("fusion: ", "Error: "))


def test_schema_of_what_is_printed() -> None:
    """`--json-schema` needs nothing to judge."""
    ended = fusion("judge", "--json-schema")
    assert ended.status == 0
    assert "responses" in ended.json()["properties"]
