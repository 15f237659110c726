"""`fusion judge` as its user sees it: a saved file or texts of one's own, for one call."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import FUSION, MODELS, environment, fusion
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
    assert "1 further respondent gave no response" in read
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


def test_what_a_large_panel_wrote_is_judged(folder: Path) -> None:
    """A file that is larger than any prompt may be is judged all the same, and so is a text of that size."""
    rows = [{"model": name, "content": "\u4e2d" * 500_000} for name in ("x/a", "x/b")]
    (folder / "large.json").write_text(json.dumps({"prompt": "SQLite?", "responses": rows}))
    assert (folder / "large.json").stat().st_size > 6_000_000
    assert len(judged(f"{folder}/large.json")[0]["responses"]) == 2
    (folder / "large.txt").write_text("\u4e2d" * 1_500_000)
    assert len(judged("--response", f"ann={folder}/large.txt", "--prompt", "Which?")[0]["responses"]) == 1


def test_without_a_judge_the_runs_own_is(folder: Path) -> None:
    """A recorded run, or what its --json printed, is judged by who judged it; -j and --preset name another."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        seen = fusion("analyze", *MODELS[:-2], "--json", "q", server=server)
        (folder / "run.json").write_text(seen.stdout)
        foreign = {**seen.json(), "run": None, "judge": "openrouter:z/other"}
        (folder / "foreign.json").write_text(json.dumps(foreign))
        (folder / "slug.json").write_text(json.dumps({**foreign, "judge": "z/other"}))

        def judge_of(*arguments: str) -> str:
            ended = fusion("judge", *arguments, "--json", server=server)
            assert ended.status == 0, ended.stderr
            return str(ended.json()["judge"])

        assert [judge_of(name) for name in ("last", f"{folder}/run.json")] == ["z/judge", "z/judge"]
        assert judge_of(f"{folder}/foreign.json") == "z/other"
        usual = judge_of(f"{folder}/slug.json")  # nobody knows whose model that is
        assert usual not in ("z/judge", "z/other")
        assert judge_of(f"{folder}/run.json", "--preset", "general-high") == usual
        assert judge_of("last", "-j", "y/judge") == "y/judge"


def test_labels_of_a_file_cannot_forge_a_line(folder: Path) -> None:
    """A label with control characters is not used, which is said once; nothing of it reaches the screen."""
    rows = [{"model": "x/a", "label": "z\x1b]0;x\nfusion: fake", "content": "x"}, {"model": "x/b", "content": " "}]
    (folder / "forged.json").write_text(json.dumps({"prompt": "q", "responses": rows}))
    with WireServer(default=deliberation(latency_s=0)) as server:
        ended = fusion("judge", *JUDGE, f"{folder}/forged.json", server=server)
    assert [row["label"] for row in ended.json()["responses"]] == ["x/a"]
    assert len([line for line in ended.json()["warnings"] if "labels" in line]) == 1
    assert "fake" not in ended.stdout + ended.stderr


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
    "a response without a file": (("--response", "a=", *ASKED), "expected LABEL=FILE, found a="),
    "a file without a name": (("",), "FILE: expected the name of a file, found an empty one"),
    "a prompt file without a name": (("saved.json", "--prompt-file", ""), "--prompt-file: expected the name of a file"),
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


def test_paid_judgement_that_cannot_be_printed_is_kept(folder: Path) -> None:
    """On a full disk the new analysis is, with the responses, in a file that `fusion judge` reads."""
    with WireServer(default=deliberation(latency_s=0)) as server, Path("/dev/full").open("wb") as disk:
        full = subprocess.run(
            [FUSION, "judge", str(folder / "saved.json"), *JUDGE],
            env=environment(server),
            stdin=subprocess.DEVNULL,
            stdout=disk,
            stderr=subprocess.PIPE,
            check=False,
            text=True,
        )
        kept = Path(full.stderr.split("Kept in ")[1].splitlines()[0])
        again = fusion("judge", str(kept), *JUDGE, server=server)
    assert full.returncode == 1
    assert b'"type":"fusion_call.analysis.completed"' in kept.read_bytes()
    assert [row["label"] for row in again.json()["responses"]] == ["ann", "bob"]


def test_texts_from_anywhere_are_of_no_run(tmp_path: Path) -> None:
    """What is said of texts under labels names no run, as there is none."""
    (tmp_path / "a.txt").write_text("SQLite.")
    with WireServer(default=deliberation()) as server:
        texts = ("--response", f"ann={tmp_path}/a.txt", "--prompt", "Which?")
        ended = fusion("judge", *texts, "-j", "z/judge", server=server)
    assert ended.status == 0
    assert "input   judges 1 response; asks z/judge" in ended.stderr
    assert "panel   ann  said what its file holds" in ended.stderr
    assert "the run" not in ended.stderr
