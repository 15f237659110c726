"""Bad input: one clear line on standard error, the documented status, and no request."""

import re
from pathlib import Path

import pytest

from tests.e2e.command import CANARY, MODELS, fusion, on_a_terminal
from tests.wire.server import Reply, WireServer, deliberation, failure

BAD = {
    "no question": ((), None, "there is no question"),
    "empty question": (("",), None, "the question is empty"),
    "blank question": ((" \n\t",), None, "the question is empty"),
    "blank standard input": ((), b" \n", "the question is empty"),
    "missing file": (("-f", "/no/such.py", "x"), None, "/no/such.py: No such file or directory"),
    "a folder": (("-f", "/", "x"), None, "/: Is a directory"),
    "no file's name": (("-f", "", "x"), None, "--file: expected the name of a file, found an empty one"),
    "escape codes in a name": (("-f", "\x1b[31mx", "x"), None, "x: No such file or directory"),
    "binary standard input": (("x",), b"\x89PNG\0\0", "standard input is binary, not text"),
    "latin-1 standard input": (("x",), b"caf\xe9", "standard input is not UTF-8 text (byte 3)"),
    "5 MB on standard input": (("x",), b"x" * 5_000_000, "standard input is larger than 4 MB"),
    "UTF-16 on standard input": (("-",), "a".encode("utf-16"), "standard input is binary, not text"),
    "half a character": ((b"x\xff",), None, "the question is not UTF-8 text"),
    "half a character in a slug": (("-m", b"x\xff", "x"), None, "--model: expected"),
    "half a character in a system prompt": (("-s", b"x\xff", "x"), None, "--system: expected text"),
    "half a character in a preset": (("--preset", b"x\xff", "x"), None, "preset: expected one of"),
    "half a character in a file's name": (("-f", b"x\xff", "x"), None, "No such file or directory"),
    "half a character in a request": (("--request", "-"), b'{"model": "\\ud800"}', "that JSON cannot carry"),
    "no number in a request": (("--request", "-"), b'{"temperature": NaN}', "that JSON cannot carry"),
    "no panelist": (("-p", "", "x"), None, "--panel: expected"),
    "unknown provider": (("--provider", "labb", "x"), None, "expected one of openrouter, local"),
    "nine panelists": (("-p", "a,b,c,d,e,f,g,h,i", "x"), None, "the panel has 9 models; it takes 1 to 8"),
    "an empty panelist": (("-p", "a,,b", "x"), None, "--panel: expected"),
    "a line feed in a slug": (("-m", "a\nb: c", "x"), None, "--model: expected"),
    "a fusion in the panel": (("-p", "openrouter/fusion", "x"), None, "cannot start another one"),
    "unknown preset": (("--preset", "best", "x"), None, "preset: expected one of general-high"),
    "unknown tool choice": (("--tool-choice", "maybe", "x"), None, "expected auto, required or none"),
    "alias against none": (("-m", "openrouter/fusion", "--tool-choice", "none", "x"), None, "choose one"),
    "unknown option": (("--pannel", "x"), None, "No such option: --pannel"),
    "a question without quotes": (("what", "is"), None, "Got unexpected extra argument"),
    "a question that begins like an option": (("-what is it?",), None, "No such option: -w"),
    "a line feed in an option": (("--a\nb: c", "x"), None, "No such option: --a"),
    "an option without its value": (("x", "-p"), None, "requires an argument"),
    "a key as an argument": (("x", f"{CANARY}0123456789"), None, "(not shown: it looks like a secret)"),
    "17 tool calls": (("--max-tool-calls", "17", "x"), None, "--max-tool-calls: expected a whole number from 1 to 16"),
    "no tokens": (("--max-completion-tokens", "0", "x"), None, "--max-completion-tokens: expected a whole number"),
    "too warm": (("--temperature", "2.1", "x"), None, "--temperature: expected a number from 0 to 2"),
    "no such effort": (("--reasoning-effort", "much", "x"), None, "--reasoning-effort: expected one of max, xhigh"),
    "thinking below 0": (("--reasoning-max-tokens", "-1", "x"), None, "--reasoning-max-tokens: expected a whole"),
    "a seed below 0": (("--seed", "-1", "x"), None, "--seed: expected a whole number from 0"),
    "a time below 0": (("--timeout", "-1", "x"), None, "--timeout: expected seconds"),
    "a time that is none": (("--timeout", "nan", "x"), None, "--timeout: expected seconds"),
    "an endless deadline": (("--deadline", "inf", "x"), None, "--deadline: expected seconds"),
    "money in words": (("--max-cost", "abc", "x"), None, "--max-cost: expected US dollars"),
    "no money": (("--max-cost", "0", "x"), None, "--max-cost: expected US dollars"),
    "a quorum of 9": (("--quorum", "9", "x"), None, "--quorum: expected a whole number from 1 to 8"),
    "a quorum over the panel": (("-p", "a,b", "--quorum", "3", "x"), None, "the quorum is 3, but the panel has 2"),
    "an empty system prompt": (("-s", "", "x"), None, "--system: expected text"),
    "a range before the question": (("--seed", "-1"), b"", "--seed: expected a whole number from 0"),
    "a request beside a question": (("--request", "-", "x"), b"{}", "give neither PROMPT nor --file with it"),
    "a request beside a file": (("--request", "-", "-f", "x"), b"{}", "give neither PROMPT nor --file with it"),
    "a request that is missing": (("--request", "/no/such.json"), None, "/no/such.json: No such file or directory"),
    "a request without a name": (("--request", ""), None, "--request: expected the name of a file, found an empty one"),
    "a request that is none": (("--request", "-"), b"[]", "standard input: expected a request"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_status_2(name: str) -> None:
    """What is wrong is said in one line, before anything is sent, and `--json` prints nothing either."""
    arguments, stdin, said = BAD[name]
    with WireServer() as server:
        ended = fusion("ask", "--json", *arguments, server=server, stdin=stdin)
        assert server.requests == []
    assert (ended.status, ended.stdout) == (2, "")
    [line] = [line for line in ended.stderr.splitlines() if said in line]
    assert line.startswith("fusion: ")
    assert "\x1b" not in ended.stderr
    assert ended.stderr.splitlines()[0] == line
    assert len(ended.stderr.splitlines()) <= 2  # the other one says what to do


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("OPENROUTER_BASE_URL", "ftp://x", "OPENROUTER_BASE_URL"),
        ("OPENROUTER_BASE_URL", "http://example.com/v1", "https"),
        ("OPENROUTER_BASE_URL", "https://user:pass@example.com", "OPENROUTER_BASE_URL"),
        ("OPENROUTER_API_KEY", "sk-a\nb", "OPENROUTER_API_KEY"),
        ("FUSION_PROVIDER", "labb", "FUSION_PROVIDER"),
        ("FUSION_DEPTH", "1", "cannot start another one"),
        ("FUSION_DEPTH", "many", "FUSION_DEPTH"),
        ("FUSION_CONFIG", "/no/such.toml", "/no/such.toml"),
    ],
)
def test_bad_environment_is_one_line_and_status_2(variable: str, value: str, said: str) -> None:
    """A variable that cannot be used is named."""
    with WireServer() as server:
        ended = fusion("ask", *MODELS, "x", server=server, env={variable: value})
        assert server.requests == []
    assert ended.status == 2
    assert said in ended.stderr.splitlines()[0]
    assert "sk-a" not in ended.stderr


@pytest.mark.parametrize("text", ["panel = ", "pannel = ['a']", "judge = 5", "\x00", "[providers.x]\nbase_url = 'y'"])
def test_malformed_config_is_one_line_and_stays(text: str, tmp_path: Path) -> None:
    """A config file that cannot be used is named, and neither ignored nor overwritten."""
    path = tmp_path / "bad.toml"
    path.write_text(text)
    ended = fusion("--config", str(path), "ask", "x")
    assert ended.status == 2
    assert str(path) in ended.stderr.splitlines()[0]
    assert path.read_text() == text


def test_config_in_the_working_directory_is_not_read() -> None:
    """A cloned repository cannot redirect a key."""
    for name in ("config.toml", "fusion.toml", ".fusion.toml"):
        Path(name).write_text("this is no TOML")
    with WireServer() as server:
        server.script("openai/gpt-5", Reply("ok"))
        assert fusion("ask", *MODELS, "x", server=server).stdout == "ok\n"


def test_no_key_is_status_4_with_json() -> None:
    """A key that is missing is said with where to get one, and `--json` still prints its object."""
    ended = fusion("ask", "--json", "--provider", "openrouter", "x")
    assert ended.status == 4
    assert "OPENROUTER_API_KEY" in ended.stderr
    assert "https://openrouter.ai/keys" in ended.stderr
    assert ended.json()["status"] == "error"
    assert ended.json()["usage"]["cost"] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("ask", "-p", "openai/gpt-5", "q"),
        ("ask", "--request", "body.json"),
        ("analyze", "-j", "openai/gpt-5", "q"),
        ("judge", "saved.json", "-j", "openai/gpt-5"),
    ],
)
def test_a_hosted_model_without_a_key_is_status_4(arguments: tuple[str, ...]) -> None:
    """A hosted model's name without a key is told as what it is, and not as an embedded model that does not exist."""
    Path("body.json").write_text('{"model": "openai/gpt-5", "messages": [{"role": "user", "content": "q"}]}')
    Path("saved.json").write_text('{"prompt": "q", "responses": [{"model": "a", "content": "x"}]}')
    ended = fusion(*arguments)
    assert (ended.status, ended.stdout) == (4, "")
    assert "OPENROUTER_API_KEY" in ended.stderr.splitlines()[0]
    assert "no embedded model" not in ended.stderr


@pytest.mark.parametrize("command", ["ask", "analyze", "judge"])
def test_the_schema_needs_nothing(command: str, tmp_path: Path) -> None:
    """`--json-schema` prints a JSON Schema at once: without a question, and whatever is in the config file."""
    path = tmp_path / "bad.toml"
    path.write_text("this is no TOML")
    with WireServer() as server:
        ended = fusion("--config", str(path), command, "--seed", "none", "--json-schema", server=server)
        assert server.requests == []
    schema = ended.json()
    assert (ended.status, ended.stderr, schema["type"]) == (0, "", "object")
    references = set(re.findall(r'"\$ref": "#/\$defs/(\w+)"', ended.stdout))
    assert references == set(schema["$defs"])


def test_the_schema_is_that_of_the_object() -> None:
    """What `--json` prints has every key that the schema requires, and none that it does not know."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        asked = fusion("ask", "--json", *MODELS, "--tool-choice", "required", "x", server=server)
        analyzed = fusion("analyze", "--json", *MODELS[:-2], "x", server=server)
    for command, ended in (("ask", asked), ("analyze", analyzed)):
        schema = fusion(command, "--json-schema").json()
        assert set(schema["required"]) <= set(ended.json()) <= set(schema["properties"])


def test_unwritable_home_does_not_cost_the_answer() -> None:
    """Where nothing can be written, a run is answered all the same, and what cannot be kept is said, if only that."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        fine = fusion("ask", *MODELS, "--tool-choice", "required", "x", server=server, env={"HOME": "/proc"})
        quiet = fusion("ask", "-q", *MODELS, "--tool-choice", "required", "x", server=server, env={"HOME": "/proc"})
        server.script("openai/gpt-5", failure(400, "no"), role="outer")
        failed = fusion("ask", *MODELS, "--tool-choice", "required", "x", server=server, env={"HOME": "/proc"})
    assert (quiet.status, quiet.stdout) == (0, fine.stdout)
    [line] = quiet.stderr.splitlines()
    assert line.startswith("warning: this run is not kept: /proc/")
    assert fine.status == 0
    assert fine.stdout.startswith("SQLite")
    assert failed.status == 1
    assert failed.stderr.count("warning: this run is not kept: /proc/") == 1


def test_slug_with_colons() -> None:
    """Only the name of a provider that exists counts as one: the rest of a slug may hold colons."""
    with WireServer() as server:
        server.script("x/y:free", Reply("ok"))
        assert fusion("ask", "-p", "a", "-j", "a", "-m", "x/y:free", "q", server=server).stdout == "ok\n"


def test_prompt_that_begins_with_a_dash() -> None:
    """After `--` a question may begin as it likes."""
    with WireServer() as server:
        server.script("openai/gpt-5", Reply("ok"))
        assert fusion("ask", *MODELS, "--", "-v or not?", server=server).stdout == "ok\n"
        assert server.requests[0].body["messages"][-1]["content"] == "-v or not?"


def test_a_locale_without_unicode_reads_the_same_question() -> None:
    """What Python makes of the arguments in such a locale is read as the UTF-8 that the terminal sent."""
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    with WireServer() as server:
        server.script("openai/gpt-5", Reply("naïve"))
        ended = fusion("ask", *MODELS, "naïve?".encode(), server=server, env=ascii_only)
        assert server.requests[0].body["messages"][-1]["content"] == "naïve?"
    assert (ended.status, ended.stdout) == (0, "na?ve\n")


@pytest.mark.parametrize(
    "env",
    [{"TERM": "dumb"}, {"TERM": ""}, {"TERM": "no-such"}, {"NO_COLOR": "1"}, {"COLUMNS": "20"}, {"COLUMNS": "-1"}],
)
def test_any_terminal_is_good_enough(env: dict[str, str]) -> None:
    """A dumb, unknown or narrow terminal gets the whole answer, and one without colours no escape codes."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        status, screen = on_a_terminal("ask", *MODELS, "--tool-choice", "required", "x", server=server, env=env)
    assert status == 0
    assert "SQLite: one file, no server to run" in screen
    assert CANARY not in screen
    assert "COLUMNS" in env or "\x1b" not in screen


def test_the_key_is_in_no_file(isolated: Path) -> None:
    """Neither a run that was delivered nor one whose answer failed leaves the key anywhere in the home folder."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        ask = ("ask", *MODELS, "--tool-choice", "required", "x", "--json")
        assert fusion(*ask, server=server).status == 0
        server.script("openai/gpt-5", failure(400, f"your key {CANARY} is fine"), role="outer")
        assert fusion(*ask, server=server).status == 1
    files = [path for path in isolated.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []
