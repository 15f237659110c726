"""The house rules: what users read is generated or checked, and the package keeps its shape."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]  # public in its documentation
from typer.core import TyperGroup

from fusion_cli import __version__, config_file
from fusion_cli.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterator

UPDATE = os.environ.get("FUSION_UPDATE_SNAPSHOTS") == "1"  # read here: no test sees a FUSION_ variable
ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "fusion_cli"
SNAPSHOTS = Path(__file__).parent / "snapshots" / "help"
FUSION = Path(sys.executable).parent / "fusion"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
COMPLETIONS = {"bash": "fusion.bash", "zsh": "_fusion", "fish": "fusion.fish", "powershell": "fusion.ps1"}
TOP_LEVEL = {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "completions",
    "fusion_cli",
    "pyproject.toml",
    "tests",
}


def commands(command: Any, *path: str) -> Iterator[tuple[str, Any]]:
    """Yield every command with its path, the root first."""
    yield " ".join(("fusion", *path)), command
    if isinstance(command, TyperGroup):
        context = command.make_context("fusion", [], resilient_parsing=True)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), *path, name)


ROOT_COMMAND = typer.main.get_command(app)
COMMANDS = dict(commands(ROOT_COMMAND))
PARAMETERS = [parameter for command in COMMANDS.values() for parameter in command.params]
OPTIONS = {"--help", "-h", *(option for each in PARAMETERS for option in (*each.opts, *each.secondary_opts))}
AT_ONCE = {"--help", "-h", *(option for each in PARAMETERS if each.callback for option in each.opts)}


def relative(path: Path) -> str:
    """Name a file as it is named in the repository."""
    return path.relative_to(ROOT).as_posix()


def python(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter, which must succeed."""
    return subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, check=True)


def the_same(path: Path, generated: str) -> None:
    """Compare a generated text with its file, or write the file when asked to."""
    if UPDATE:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(generated, "utf-8")
    kept = path.read_text("utf-8") if path.exists() else ""
    assert kept == generated, f"{relative(path)} is stale: FUSION_UPDATE_SNAPSHOTS=1 pytest tests/test_house.py"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_as_it_was_reviewed(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command's help at 80 columns is the text in its snapshot."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit, match=r"^0$"):
        app([*name.split()[1:], "--help"], prog_name="fusion")
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 80
    the_same(SNAPSHOTS / f"{name.replace(' ', '-')}.txt", told)


def test_every_snapshot_has_its_command() -> None:
    """A command that is gone leaves no snapshot behind."""
    assert {path.stem for path in SNAPSHOTS.iterdir()} == {name.replace(" ", "-") for name in COMMANDS}


def test_the_installed_command_prints_that_help() -> None:
    """What the tests see in this process is what the installed command prints."""
    environment = {**os.environ, "COLUMNS": "80"}
    told = subprocess.run([FUSION, "ask", "--help"], capture_output=True, text=True, check=True, env=environment)
    assert told.stdout == (SNAPSHOTS / "fusion-ask.txt").read_text("utf-8")
    assert told.stderr == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_help(name: str) -> None:
    """No command, option or argument goes unexplained."""
    command = COMMANDS[name]
    assert command.help
    assert [parameter.name for parameter in command.params if not getattr(parameter, "help", None)] == []


@pytest.mark.parametrize(("shell", "file"), COMPLETIONS.items())
def test_completions_are_what_typer_generates(shell: str, file: str) -> None:
    """The completion files are generated, not edited."""
    script = get_completion_script(prog_name="fusion", complete_var="_FUSION_COMPLETE", shell=shell)
    the_same(ROOT / "completions" / file, script.rstrip("\n") + "\n")


def test_there_is_nothing_else_in_completions() -> None:
    """Every completion file belongs to a shell that is tested."""
    assert {path.name for path in (ROOT / "completions").iterdir()} == set(COMPLETIONS.values())


def pressed_tab(shell: str, line: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Ask the installed command what its completion file asks when a word is to be completed."""
    asked = {
        "_FUSION_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_WORD_TO_COMPLETE": line.split()[-1],
    }
    command = [sys.executable, *options, str(FUSION)]
    return subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **asked})


@pytest.mark.parametrize(
    ("shell", "pattern"),
    [
        ("bash", r"^(\S+)$"),
        ("zsh", r'^(?:_arguments .*\()?"(\w+)"'),
        ("fish", r"^(\w+)(?:\t|$)"),
        ("powershell", r"^(\w+):::\S"),
    ],
)
def test_the_command_answers_its_completion_file(shell: str, pattern: str) -> None:
    """What the shell asks for is answered with the commands that begin so, and nothing is said on stderr."""
    told = pressed_tab(shell, "fusion a")
    assert re.findall(pattern, told.stdout, re.MULTILINE) == ["ask", "analyze"]
    assert told.stderr == ""


def test_bash_completes_through_the_file() -> None:
    """In a real bash, the file completes an option's name and its values."""
    script = """
        source "$1"; set -- fusion ask --tool-choice re
        COMP_WORDS=("$@") COMP_CWORD=3; _fusion_completion fusion; echo "${COMPREPLY[*]}"
        COMP_WORDS=(fusion ask --stri) COMP_CWORD=2; _fusion_completion fusion; echo "${COMPREPLY[*]}"
    """
    environment = {**os.environ, "PATH": f"{FUSION.parent}{os.pathsep}{os.environ['PATH']}"}
    told = subprocess.run(
        ["bash", "--norc", "-c", script, "-", ROOT / "completions" / "fusion.bash"],  # noqa: S607  # whichever there is
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert told.stdout == "required\n--strict\n"


def test_the_version_is_the_changelogs() -> None:
    """The changelog's top entry describes the version that this is."""
    top = re.search(r"^## \[?v?([^\]\s]+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert top
    assert top[1] == __version__


def test_the_command_line_imports_nothing_heavy() -> None:
    """What every start pays for is Typer and ourselves."""
    heavy = {"httpx", "rich", "pydantic", "asyncio", "platformdirs", "tomlkit", "importlib.metadata"}
    told = python(f"import sys, fusion_cli.cli; print(sorted({heavy} & set(sys.modules)))")
    assert told.stdout == "[]\n"


@pytest.mark.parametrize("shell", COMPLETIONS)
def test_completion_imports_nothing_heavy(shell: str) -> None:
    """A press of the tab key does not wait for what only a run needs."""
    told = pressed_tab(shell, "fusion ask --pa", "-X", "importtime")
    assert "--panel" in told.stdout
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.stderr.splitlines()}
    assert imported & {"httpx", "rich", "pydantic", "asyncio", "platformdirs", "tomlkit"} == set()


def test_version_imports_almost_nothing() -> None:
    """`fusion --version` loads two modules of ours, and none of anybody else's."""
    told = python(
        "import sys; sys.argv = ['fusion', '--version']; from fusion_cli.__main__ import main; main()",
        "-X",
        "importtime",
    )
    assert told.stdout == f"fusion {__version__}\n"
    names = [line.rpartition("|")[2].strip() for line in told.stderr.splitlines()]
    ours = names.index("fusion_cli")
    assert names[ours:] == ["fusion_cli", "fusion_cli.__main__"]


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_only_settings_reads_the_environment(path: Path) -> None:
    """Whatever the environment decides is decided in `settings`; pip alone is handed it on, whole and unread."""
    if path in {PACKAGE / "settings.py", PACKAGE / "local" / "sources.py"}:
        return
    tree = ast.parse(path.read_text("utf-8"))
    names = {"environ", "environb", "getenv", "getenvb", "expandvars"}
    found = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in names]
    found += [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "os" and names & {alias.name for alias in node.names}
    ]
    assert found == []


@pytest.mark.parametrize("path", [*MODULES, *TESTS], ids=relative)
def test_modules_are_short_and_say_what_they_own(path: Path) -> None:
    """No module passes 400 lines or is a drawer for odds and ends; each opens with 1 to 6 lines, a drawing aside."""
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 400
    assert path.stem.lstrip("_") not in {"util", "utils", "helper", "helpers", "common", "misc", "shared"}
    docstring = ast.get_docstring(ast.parse(text)) or ""
    prose = [line for line in docstring.splitlines() if line and not line.startswith(" ")]
    assert 1 <= len(prose) <= 6


@pytest.mark.parametrize("path", [path for path in TESTS if path.name.startswith("test_")], ids=relative)
def test_every_test_states_its_promise(path: Path) -> None:
    """A test's docstring says in one line what is promised."""
    tests = [
        node
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    assert [test.name for test in tests if len((ast.get_docstring(test) or "").splitlines()) != 1] == []


def test_the_top_level_is_tidy() -> None:
    """The repository's top level holds what belongs there and nothing else, dot-files and builds aside."""
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")} - {"dist", "build"}
    assert {name for name in found if not name.endswith(".egg-info")} == TOP_LEVEL


def fenced(text: str) -> list[str]:
    """Return what stands in a document's fenced blocks."""
    return re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def fusion_calls(script: str) -> Iterator[list[str]]:
    """Yield the arguments of each call of `fusion` in a piece of shell script."""
    held = ""
    for line in script.splitlines():
        held += line.removeprefix("$ ")
        if held.endswith("\\"):
            held = held[:-1]
            continue
        lexer = shlex.shlex(held, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        try:
            words = [*lexer, ";"]
        except ValueError:  # an open quote: it goes on in the next line
            held += "\n"
            continue
        held = ""
        call: list[str] = []
        for word in words:
            if set(word) <= set("|;&()"):
                call = [entry for index, entry in enumerate(call) if not is_redirection(call, index)]
                while call and re.match(r"\w+=", call[0]):
                    del call[0]
                if call and Path(call[0]).name == "fusion":
                    yield call[1:]
                call = []
            else:
                call.append(word)
    assert not held, f"a quote that does not end: {held}"


def is_redirection(call: list[str], index: int) -> bool:
    """Say whether a word is a redirection, its file, or the number of its stream."""
    is_arrow = [word[:1] in ("<", ">") for word in (*call, "")]
    return is_arrow[index] or (index > 0 and is_arrow[index - 1]) or (call[index].isdecimal() and is_arrow[index + 1])


def parse(arguments: list[str]) -> None:
    """Parse a call of `fusion` as the program would, without running it."""
    if AT_ONCE & set(arguments):  # these act while they are parsed
        return
    command: Any = ROOT_COMMAND
    context, rest = None, arguments
    while True:
        context = command.make_context(command.name, list(rest), parent=context)
        if not isinstance(command, TyperGroup):
            return
        _, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])


def readme() -> str:
    """Return the README."""
    return (ROOT / "README.md").read_text("utf-8")


def test_the_readme_begins_with_its_two_commands() -> None:
    """The first fenced block sets up and asks, the second sets up and tests; one command each, before any section."""
    first, second = fenced(readme())[:2]
    for block in (first, second):
        assert len(block.replace("\\\n", "").splitlines()) == 1
    assert "pip install" in first
    assert next(fusion_calls(first))[0] == "ask"
    assert "pip install" in second
    assert "pytest" in second
    before = readme().partition(second)[0]
    assert re.findall(r"^##", before, re.MULTILINE) == []


def test_the_checks_install_and_test_as_the_readme_says() -> None:
    """`.ci/run` proves the README's second command, not one of its own."""
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    second = fenced(readme())[1]
    assert "-e '.[dev]'" in second
    assert "-e '.[dev]'" in script
    assert "\nstep pytest\n" in script
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_what_the_documents_call_exists(name: str) -> None:
    """Every call of `fusion` in a document parses, and every option it mentions exists."""
    text = (ROOT / name).read_text("utf-8")
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    calls = [call for block in fenced(text) for call in fusion_calls(block)]
    calls += [call for span in spans if re.match(r"fusion +\w[\w-]* .*[^.]$", span) for call in fusion_calls(span)]
    for call in calls:
        if call:
            parse(call)
    mentioned = {
        match for span in spans for match in re.findall(r"(?<!\S)--?[a-z][a-z-]*", span) if re.match("-|fusion ", span)
    }
    assert mentioned - OPTIONS == set()
    assert name != "README.md" or calls


def test_the_readmes_config_can_be_used() -> None:
    """What the README shows of the config file is one that is accepted."""
    [example] = re.findall(r"^```toml\n(.*?)^```", readme(), re.MULTILINE | re.DOTALL)
    path = Path("config.toml")
    assert config_file.check(config_file.parse(example.encode(), path), path)


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_in_the_help_parse(name: str) -> None:
    """An example in the help can be typed as it stands."""
    for example in re.findall(r"^Example: (.*)$", COMMANDS[name].help or "", re.MULTILINE):
        for call in fusion_calls(example):
            parse(call)


def test_contributing_names_what_exists() -> None:
    """Every `module.name` and every path in the guide for contributors is there."""
    spans = set(re.findall(r"`([^`\n]+)`", (ROOT / "CONTRIBUTING.md").read_text("utf-8")))
    paths = {span for span in spans if re.fullmatch(r"[\w./-]+(/|\.py|\.toml|\.md)|\.?[\w-]+(/[\w.-]+)+", span)}
    names = {span for span in spans - paths if re.fullmatch(r"[a-z_]+(\.\w+)+", span)}
    assert {path for path in paths if not ((ROOT / path).exists() or (PACKAGE / path).exists())} == set()
    assert {name for name in names if not is_ours(name)} == set()
    assert len(names) > 10


def is_ours(name: str) -> bool:
    """Say whether a dotted name leads to a module of the package, or to something in one."""
    parts = f"fusion_cli.{name}".split(".")
    for length in range(len(parts), 1, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part, None)
        return found is not None
    return False
