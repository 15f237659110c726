"""Promises of `fusion config`: what it prints, and that writing never loses or reveals anything."""

import json
import os
import shlex
import stat
import sys
import threading
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from unittest.mock import Mock

import pytest
import typer
from typer.testing import CliRunner, Result

from fusion_cli.commands import config
from fusion_cli.errors import ConfigError, FusionError, UsageError

CANARY = "sk-or-v1-canary0123456789"
COMMENTED = """\
# mine
judge = "a" # why

# the lab
[providers.lab] # in the cellar
base_url = "http://127.0.0.1:8000/v1"

# my weights
[local]
model = "/x.gguf"
"""

root = typer.Typer()
root.add_typer(config.app, name="config")


@root.callback()
def _global(ctx: typer.Context, config: Annotated[Path | None, typer.Option()] = None) -> None:
    """Stand in for the real root, of which this sub-app needs `ctx.obj` alone."""
    ctx.obj = config


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test a home of its own, with no config file; return where that would be."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith(("FUSION_", "OPENROUTER_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("VISUAL", raising=False)
    path = tmp_path / "folder" / "config.toml"
    monkeypatch.setenv("FUSION_CONFIG", str(path))
    return path


def written(path: Path, text: str) -> None:
    """Put a config file there."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def fusion(*arguments: str) -> Result:
    """Run `fusion config ...`."""
    return CliRunner().invoke(root, ["config", *arguments])


def done(*arguments: str) -> str:
    """Run `fusion config ...`, which must succeed; return what it printed."""
    result = fusion(*arguments)
    assert result.exception is None, result.exception
    return result.stdout


def refused(kind: type[FusionError], *arguments: str) -> FusionError:
    """Run `fusion config ...`, which must raise this error with one clean line and nothing secret."""
    result = fusion(*arguments)
    error = result.exception
    assert isinstance(error, kind), repr(error)
    assert type(error) is kind
    assert str(error).isprintable()
    assert CANARY not in result.output + str(error) + error.hint
    return error


def others(path: Path) -> list[Path]:
    """Return what lies beside the config file."""
    return [other for other in path.parent.iterdir() if other != path] if path.parent.exists() else []


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what makes $EDITOR a script whose body sees the file's path as `path`."""

    def install(body: str) -> None:
        script = tmp_path / "my editor.py"
        script.write_text(f"import os, pathlib, sys\npath = pathlib.Path(sys.argv[1])\n{body}\n")
        monkeypatch.setenv("EDITOR", shlex.join([sys.executable, str(script)]))

    return install


def test_path_prints_the_path_alone(path: Path, tmp_path: Path) -> None:
    """The path is printed whether or not there is a file, and a malformed one is no obstacle."""
    assert done("path") == f"{path}\n"
    written(path, "= broken")
    assert done("path") == f"{path}\n"
    name = os.fsencode(tmp_path) + b"/\xff"  # a file name may be any bytes
    result = CliRunner().invoke(root, ["--config", os.fsdecode(name), "config", "path"])
    assert result.stdout_bytes == name + b"\n"


def test_show_says_where_each_value_came_from(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File, environment and default are told apart, and of a key only whether it is set."""
    written(path, COMMENTED)
    monkeypatch.setenv("OPENROUTER_API_KEY", CANARY)
    monkeypatch.setenv("FUSION_PROVIDER", "lab")
    lines = [" ".join(line.split()) for line in done("show").splitlines()]
    assert lines[0] == f"# config file: {path} (environment FUSION_CONFIG)"
    assert "provider lab (environment FUSION_PROVIDER)" in lines
    assert "judge a (file)" in lines
    assert "providers.openrouter.base_url https://openrouter.ai/api/v1 (default)" in lines
    assert "providers.openrouter.api_key set (environment OPENROUTER_API_KEY)" in lines
    assert CANARY not in "".join(lines)


def test_show_as_json_says_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts get one object, with null for what is not set and no key."""
    written(path, 'panel = ["a", "b"]\nstrict = false')
    monkeypatch.setenv("OPENROUTER_API_KEY", CANARY)
    printed = done("show", "--json")
    shown = json.loads(printed)
    assert CANARY not in printed
    assert shown["paths"]["config"] == str(path)
    assert shown["values"]["panel"] == {"value": ["a", "b"], "source": "file"}
    assert shown["values"]["strict"] == {"value": False, "source": "file"}
    assert shown["values"]["judge"] == {"value": None, "source": "default"}
    assert shown["values"]["providers.openrouter.api_key"]["value"] == "set"


@pytest.mark.parametrize(
    ("key", "value", "printed"),
    [
        ("judge", "openai/gpt-5", "openai/gpt-5"),
        ("judge", "123", "123"),
        ("panel", "a/b:free, c", "a/b:free,c"),
        ("panel", '["a", "b"]', "a,b"),
        ("strict", "true", "true"),
        ("temperature", "0", "0.0"),
        ("local.model", "/a b/x.gguf", "/a b/x.gguf"),
        ("providers.lab.base_url", "http://localhost:1/v1/", "http://localhost:1/v1"),
    ],
)
def test_what_was_set_is_got(path: Path, key: str, value: str, printed: str) -> None:
    """A value, as TOML or as plain text, comes back alone; before, it is status 1 and one line."""
    written(path, "")
    assert refused(FusionError, "get", key).args == (f"{key} is not set",)
    assert done("set", key, value) == ""
    assert done("get", key) == f"{printed}\n"


def test_an_unknown_key_suggests_the_near_one() -> None:
    """A typo is a usage error that knows better."""
    for command, *value in (["get"], ["set", "x"], ["unset"]):
        error = refused(UsageError, command, "providers.lab.base_ul", *value)
        assert str(error) == "providers.lab.base_ul: unknown key, did you mean providers.lab.base_url?"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("temperature", "-1", "temperature: expected a number from 0 to 2, found -1"),
        ("max_completion_tokens", "1\njudge = 'x'", "max_completion_tokens: expected a whole number from 1, found"),
        ("panel", ",".join("abcdefghi"), "panel: expected an array of 1 to 8"),
        ("api_key", CANARY, "api_key: unknown key"),
        (CANARY, "x", "(not shown: it looks like a secret): unknown key"),
        (f"OPENROUTER_API_KEY={CANARY}", "x", "(not shown: it looks like a secret): unknown key"),
        ("providers.openrouter.api_key", CANARY, "providers.openrouter.api_key: unknown key, did you mean"),
        ("providers.openrouter.api_key_env", CANARY, "providers.openrouter.api_key_env: expected the NAME of an"),
        ("providers.openrouter.base_url", f"https://u:{CANARY}@x", "providers.openrouter.base_url: expected"),
    ],
)
def test_a_bad_value_is_refused_before_writing(path: Path, key: str, value: str, said: str) -> None:
    """The line names key and expectation, never a secret, and the folder is not even made."""
    assert str(refused(UsageError, "set", key, value)).startswith(said)
    assert not path.parent.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("set", "provider", "lap"), 'provider: expected one of openrouter, local, lab; found "lap"'),
        (("set", "providers.local.base_url", "http://x"), "providers.local: expected another name"),
        (("set", "providers.new.api_key_env", "NEW_KEY"), "providers.new.base_url: expected the address"),
        (("unset", "providers.lab"), 'provider: expected one of openrouter, local; found "lab"'),
    ],
)
def test_the_whole_document_is_checked_before_writing(path: Path, arguments: tuple[str, ...], said: str) -> None:
    """A value that fits alone but not with the rest leaves the file as it is, and no temporary one."""
    text = 'provider = "lab"\n' + COMMENTED
    written(path, text)
    assert str(refused(ConfigError, *arguments)).startswith(f"{path}: {said}")
    assert path.read_text() == text
    assert others(path) == []


@pytest.mark.parametrize(
    ("arguments", "old", "new"),
    [
        (("set", "judge", "b"), 'judge = "a" # why', 'judge = "b" # why'),
        (("set", "model", "m"), "# why\n", '# why\nmodel = "m"\n'),
        (("set", "panel", "a,b"), "# why\n", '# why\npanel = ["a", "b"]\n'),
        (("set", "providers.lab.api_key_env", "K"), ':8000/v1"\n', ':8000/v1"\napi_key_env = "K"\n'),
        (("set", "providers.n.base_url", "http://x"), 'uf"\n', 'uf"\n\n[providers.n]\nbase_url = "http://x"\n'),
        (("unset", "judge"), 'judge = "a" # why\n', ""),
        (("unset", "local.model"), '[local]\nmodel = "/x.gguf"\n', ""),
        (("unset", "providers.lab"), '[providers.lab] # in the cellar\nbase_url = "http://127.0.0.1:8000/v1"\n', ""),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_nothing_but_the_value_changes(path: Path, arguments: list[str], old: str, new: str, newline: str) -> None:
    """Comments, order, blank lines and line ends stay, and no comment comes to stand above a stranger."""
    path.parent.mkdir()
    path.write_bytes(COMMENTED.replace("\n", newline).encode())
    done(*arguments)
    assert old in COMMENTED
    assert path.read_bytes().decode() == COMMENTED.replace(old, new).replace("\n", newline)


@pytest.mark.parametrize(
    "text",
    [
        'local = {model = "/x"} # inline\n',
        'providers.lab.base_url = "http://x" # dotted\njudge = "j"\n',
        '# only\nprovider = "local"',
        '[providers]\nlab.base_url = "http://x"\n[local]\n',
        'panel = [\n  "a", # one\n  "b",\n]\n[providers.lab]\nbase_url = """http://x"""\n',
    ],
)
@pytest.mark.parametrize("key", ["judge", "local.model", "providers.lab.base_url", "providers.n.base_url"])
def test_any_way_of_writing_toml_can_be_changed(path: Path, text: str, key: str) -> None:
    """Inline, dotted and nested tables take a value too, and say nothing else afterwards."""
    written(path, text)
    wanted = tomllib.loads(text)
    *above, name = key.split(".")
    table = wanted
    for part in above:
        table = table.setdefault(part, {})
    table[name] = "/y" if key == "local.model" else "http://y"
    done("set", key, table[name])
    assert tomllib.loads(path.read_text()) == wanted


def test_unset_of_what_is_not_set_is_no_failure(path: Path) -> None:
    """Unsetting twice is as good as once, and says so on stderr; a key of another version can go too."""
    written(path, COMMENTED)
    result = fusion("unset", "model")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"model was not set in {path}\n")
    written(path, 'judg = "x"\n' + COMMENTED)
    done("unset", "judg")
    assert path.read_text() == COMMENTED


def test_a_malformed_file_is_never_overwritten(path: Path) -> None:
    """What cannot be understood is named and left alone."""
    written(path, "judge = \n")
    for arguments in (("set", "judge", "x"), ("unset", "judge"), ("show",), ("get", "judge")):
        assert str(refused(ConfigError, *arguments)).startswith(f"{path}: expected TOML, found: Invalid value")
    assert path.read_text() == "judge = \n"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_the_file_and_its_folder_are_private(path: Path) -> None:
    """The file is 0600 whatever it was, its folder 0700, and a reader of the old file goes on reading that."""
    done("set", "judge", "x")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with path.open() as reader:
        done("set", "judge", "y")
        assert reader.read() == 'judge = "x"\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == 'judge = "y"\n'
    assert others(path) == []


def test_a_full_disk_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the new file cannot be flushed, the old one stands, with no temporary one beside it."""
    written(path, COMMENTED)
    monkeypatch.setattr(os, "fsync", Mock(side_effect=OSError(28, "No space left on device")))
    error = refused(ConfigError, "set", "judge", "x")
    assert str(error) == f"{path}: expected a writable file, found: No space left on device"
    assert path.read_text() == COMMENTED
    assert others(path) == []


def test_a_folder_that_cannot_be_made_is_one_line(path: Path) -> None:
    """Where a file is in the folder's place, nothing can be written, and nothing is there to read."""
    path.parent.write_text("in the way")
    for arguments in (["set", "judge", "x"], ["edit"]):
        assert str(refused(ConfigError, *arguments)).endswith("found: Not a directory")


@pytest.mark.skipif(os.name == "nt", reason="on Windows only some users may make links")
def test_a_symlinked_config_stays_a_symlink(path: Path, tmp_path: Path) -> None:
    """Dotfile managers keep their link: its target is what changes."""
    target = tmp_path / "dotfiles" / "fusion.toml"
    written(target, "# kept\n")
    path.parent.mkdir()
    path.symlink_to(target)
    done("set", "judge", "x")
    assert path.is_symlink()
    assert target.read_text() == '# kept\n\njudge = "x"\n'
    assert others(target) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes with a path")
def test_what_is_no_file_is_not_replaced(path: Path) -> None:
    """FUSION_CONFIG=/dev/null stays /dev/null: only a regular file is ever replaced."""
    path.parent.mkdir()
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.open("wb").close())
    writer.start()  # so that a regression reads an empty file and fails, rather than hangs
    try:
        assert "expected a regular file" in str(refused(ConfigError, "set", "judge", "x"))
        assert stat.S_ISFIFO(path.stat().st_mode)
    finally:
        if path.is_fifo():
            path.open("rb").close()
        writer.join()


def test_edit_starts_from_a_template_in_which_every_example_holds(path: Path, editor: Callable[[str], None]) -> None:
    """With no file yet the editor shows every key, commented out; uncommented, all of it is valid."""
    editor("")
    done("edit")
    template = path.read_text()
    uncommented = [line[2:] for line in template.splitlines() if line.startswith("# [") or " = " in line]
    path.write_text("\n".join(uncommented))
    assert done("get", "providers.lab.api_key_env") == "LAB_API_KEY\n"
    path.write_text(template)
    done("set", "judge", "x")
    done("set", "local.model", "/y")
    assert path.read_text().index('\njudge = "x"') < path.read_text().index("# [local]")
    assert others(path) == []


def test_a_good_edit_replaces_the_file(path: Path, editor: Callable[[str], None]) -> None:
    """What was saved in the editor counts, is private, and leaves no copy; a malformed original can be mended."""
    written(path, "judge = \n")
    editor("assert path.read_text() == 'judge = \\n'; path.write_text('judge = \"x\"\\n')")
    done("edit")
    assert path.read_text() == 'judge = "x"\n'
    assert others(path) == []
    assert os.name == "nt" or stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_bad_edit_is_kept_aside(path: Path, editor: Callable[[str], None]) -> None:
    """The message names the problem, the original stays, and the hint says where the edit is."""
    written(path, COMMENTED)
    editor("path.write_text('judg = 1')")
    error = refused(ConfigError, "edit")
    assert str(error) == f"{path}: judg: unknown key, did you mean judge?"
    assert path.read_text() == COMMENTED
    [aside] = others(path)
    assert aside.read_text() == "judg = 1"
    assert error.hint == f"the file is unchanged; the edit is kept in {aside}"


def test_an_edit_does_not_undo_a_change_made_meanwhile(path: Path, editor: Callable[[str], None]) -> None:
    """When the file changed under the editor, neither version is lost."""
    written(path, 'judge = "old"\n')
    editor(f"path.write_text('judge = \"mine\"'); pathlib.Path({str(path)!r}).write_text('judge = \"theirs\"')")
    assert "changed by someone else" in str(refused(ConfigError, "edit"))
    assert path.read_text() == 'judge = "theirs"'
    assert [aside.read_text() for aside in others(path)] == ['judge = "mine"']


@pytest.mark.parametrize("text", ["", COMMENTED])
@pytest.mark.parametrize("body", ["", "path.unlink()", "sys.exit(3)"])
def test_an_edit_given_up_changes_nothing(path: Path, editor: Callable[[str], None], body: str, text: str) -> None:
    """No change, no file, or an editor that failed: the config is as before, with no copy beside it."""
    written(path, text)
    editor(body)
    result = fusion("edit")
    assert (result.exception is not None) == ("exit" in body)
    assert path.read_text() == text
    assert others(path) == []


@pytest.mark.parametrize(("name", "said"), [("no-such-editor -w", "No such file"), ('"', "not a command line")])
def test_a_wrong_editor_is_named(path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str) -> None:
    """A wrong $VISUAL is a usage error that says what to set."""
    monkeypatch.setenv("VISUAL", name)
    error = refused(UsageError, "edit")
    assert said in str(error)
    assert error.hint == "set VISUAL or EDITOR"
    assert others(path) == []
