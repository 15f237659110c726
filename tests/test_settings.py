"""Promises of `settings` and `config_file`: what wins, where it came from, and what each mistake is told."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from fusion_cli import settings, values
from fusion_cli.chat import ModelName, Reasoning, ServerTool
from fusion_cli.choices import Choices, Seat
from fusion_cli.errors import ConfigError, CredentialError, FusionError, UsageError
from fusion_cli.providers import Provider

CANARY = "sk-or-v1-canary0123456789"
LAB_URL = "http://127.0.0.1:8000/v1"
LAB = f'[providers.lab]\nbase_url = "{LAB_URL}"\n'


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test a home of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for kind in ("CONFIG", "DATA", "CACHE"):
        monkeypatch.delenv(f"XDG_{kind}_HOME", raising=False)
    return tmp_path


def configured(tmp_path: Path, text: str | bytes, environ: Mapping[str, str] | None = None) -> settings.Settings:
    """Load a config file of this text, as named by --config."""
    path = tmp_path / "c.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return settings.load(path, environ=environ or {})


def refusal(tmp_path: Path, text: str | bytes, environ: Mapping[str, str] | None = None) -> str:
    """Return the one line with which such a config is refused, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, text, environ)
    line = str(caught.value)
    assert "\n" not in line
    assert line.isprintable()
    assert CANARY not in line + caught.value.hint
    return line.removeprefix(f"{tmp_path / 'c.toml'}: ")


def test_nothing_configured_is_none_everywhere() -> None:
    """Without file and environment no value is invented."""
    loaded = settings.load(environ={})
    assert list(loaded.providers) == ["openrouter", "local"]
    assert loaded.providers["openrouter"].base_url == "https://openrouter.ai/api/v1"
    assert loaded.providers["openrouter"].api_key is None
    assert {entry.key for entry in settings.entries(loaded) if entry.value is not None} == {
        "providers.openrouter.base_url",
        "providers.openrouter.api_key_env",
    }
    assert loaded.fusion_depth == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the folders differ by system")
def test_the_folders_are_the_users(tmp_path: Path) -> None:
    """Config, data and cache lie where the system wants them, in folders of our name."""
    loaded = settings.load(environ={})
    assert loaded.config_path == tmp_path / ".config/fusion/config.toml"
    assert loaded.runs_dir == tmp_path / ".local/share/fusion/runs"
    assert loaded.models_dir == tmp_path / ".cache/fusion/models"


def test_the_working_directory_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cloned repository cannot redirect a key, whatever it calls its config."""
    clone = tmp_path / "clone"
    for name in ("config.toml", "fusion.toml", ".fusion.toml", ".config/fusion/config.toml"):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text('[providers.openrouter]\nbase_url = "https://evil.example/v1"\n')
    monkeypatch.chdir(clone)
    assert settings.load(environ={}).providers["openrouter"].base_url == "https://openrouter.ai/api/v1"


def test_an_unknown_home_is_not_a_folder_called_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no home folder is known, nothing below the working directory takes its place."""
    monkeypatch.setenv("HOME", "relative")
    monkeypatch.setattr(os, "getuid", lambda: 54321)  # of whom passwd knows nothing
    with pytest.raises(ConfigError, match="no home folder is known"):
        settings.load(environ={})


def test_everything_in_the_file_arrives(tmp_path: Path) -> None:
    """Each key of the file reaches its field, and tells that it came from there."""
    text = (
        'provider = "lab"\nmodel = "m"\njudge = "lab:j"\npreset = "general-high"\ntool_choice = "required"\n'
        'panel = ["a/b:free", {model = "~c/d", temperature = 0.5, label = "d"}]\nstrict = true\nmax_tool_calls = 16\n'
        "max_completion_tokens = 1\ntemperature = 2\nseed = 0\nquotes = false\nsecond_look = true\n"
        'timeout = 90\nidle_timeout = "1h30m"\ndeadline = "none"\nquorum = 2\ngrace = 0\nmax_cost = "$0.50"\n'
        "allow_unknown_cost = false\nsave = false\n"
        'system = """Be\nbrief."""\n[[tools]]\ntype = "openrouter:web_fetch"\nparameters.max_uses = 2\n'
        "[reasoning]\nmax_tokens = 9\n"
        '[web]\nsearch = "tavily"\nsearxng_url = "http://h/"\nallow_hosts = ["H:1"]\n'
        '[local]\nmodel = "~/own.gguf"\n' + LAB + 'api_key_env = "LAB_KEY"\n'
        'api_key_file = "~/k"\napi_key_command = "pass show lab"\n'
    )
    loaded = configured(tmp_path, "\ufeff" + text.replace("\n", "\r\n"), {"LAB_KEY": f" {CANARY}\r\n"})
    assert (loaded.default_provider, loaded.sources["provider"]) == ("lab", "file")
    assert loaded.configured == Choices(
        panel=(Seat("a/b:free"), Seat("~c/d", temperature=0.5, label="d")),
        judge="lab:j",
        model="m",
        preset="general-high",
        tool_choice="required",
        max_tool_calls=16,
        max_completion_tokens=1,
        temperature=2.0,
        reasoning=Reasoning(max_tokens=9),
        system="Be\nbrief.",
        seed=0,
        tools=(ServerTool("openrouter:web_fetch", {"max_uses": 2}),),
        quotes=False,
        second_look=True,
        timeout=90.0,
        idle_timeout=5400.0,
        deadline=0.0,
        quorum=2,
        grace=0.0,
        max_cost=0.5,
        allow_unknown_cost=False,
    )
    assert (loaded.strict, loaded.save) == (True, False)
    assert loaded.local_model == tmp_path / "own.gguf"
    assert loaded.providers["lab"] == Provider("lab", LAB_URL, CANARY, "LAB_KEY", "~/k", "pass show lab")
    assert loaded.web == settings.Web("tavily", "http://h", ("h:1",))
    sources = {entry.key: entry.source for entry in settings.entries(loaded)}
    assert sources.pop("providers.lab.api_key") == "environment LAB_KEY"
    assert {key for key, source in sources.items() if source == "default"} == {
        "web.brave_api_key",
        "web.tavily_api_key",
        "providers.openrouter.base_url",
        "providers.openrouter.api_key_env",
        "providers.openrouter.api_key_file",
        "providers.openrouter.api_key_command",
        "providers.openrouter.api_key",
    }


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """FUSION_* and OPENROUTER_BASE_URL override the file, and are named as the source."""
    text = 'provider = "local"\n[local]\nmodel = "/x"\n[providers.openrouter]\nbase_url = "https://a.example/v1"\n'
    environ = {
        "FUSION_PROVIDER": "openrouter",
        "FUSION_LOCAL_MODEL": "y.gguf",
        "OPENROUTER_BASE_URL": "https://b.example/v1/",
        "FUSION_DEPTH": "2",
    }
    loaded = configured(tmp_path, text, environ)
    assert loaded.default_provider == "openrouter"
    assert loaded.local_model == Path("y.gguf")
    assert loaded.providers["openrouter"].base_url == "https://b.example/v1"
    assert loaded.fusion_depth == 2
    assert loaded.sources == {
        "provider": "environment FUSION_PROVIDER",
        "local.model": "environment FUSION_LOCAL_MODEL",
        "providers.openrouter.base_url": "environment OPENROUTER_BASE_URL",
    }


def test_config_flag_wins_over_fusion_config(tmp_path: Path) -> None:
    """The flag, then FUSION_CONFIG, then the user's folder; an empty variable counts for nothing."""
    for name in ("flag", "variable"):
        (tmp_path / name).write_text(f'judge = "{name}"')
    environ = {"FUSION_CONFIG": str(tmp_path / "variable")}
    assert settings.load(tmp_path / "flag", environ=environ).configured.judge == "flag"
    assert settings.load(environ=environ).config_source == "environment FUSION_CONFIG"
    assert settings.load(environ=environ).configured.judge == "variable"
    assert settings.load(environ={"FUSION_CONFIG": ""}).config_source == "default"


@pytest.mark.parametrize("named", ["flag", "environment FUSION_CONFIG"])
def test_a_named_config_must_exist(tmp_path: Path, named: str) -> None:
    """A typo in --config is not silently an empty configuration."""
    path = tmp_path / "no\nsuch.toml"
    flag, environ = (path, {}) if named == "flag" else (None, {"FUSION_CONFIG": str(path)})
    with pytest.raises(ConfigError) as caught:
        settings.load(flag, environ=environ)
    said = str(caught.value)
    assert said == f"{tmp_path}/no\\nsuch.toml: expected a config file, found none (named by {named})"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('judg = "x"', "judg: unknown key, did you mean judge?"),
        ("[local]\nmodl = 1", "local.modl: unknown key, did you mean local.model?"),
        ("qqqqq = 1", "qqqqq: unknown key"),
        ('"a\\u001b[31m" = 1', "a\\x1b[31m: unknown key"),
        ("strict = 1", "strict: expected true or false, found 1"),
        ("temperature = true", "temperature: expected a number from 0 to 2, found true"),
        ("temperature = nan", "temperature: expected a number from 0 to 2, found nan"),
        ("temperature = 2.1", "temperature: expected a number from 0 to 2, found 2.1"),
        ("max_completion_tokens = 0", "max_completion_tokens: expected a whole number from 1, found 0"),
        (f"max_completion_tokens = 0x{'f' * 6000}", "max_completion_tokens: expected a whole number from 1, found a"),
        ("max_completion_tokens = 1979-05-27", "max_completion_tokens: expected a whole number from 1, found a date"),
        ('tool_choice = "\\u001b[2J"', 'tool_choice: expected auto, required or none, found "\\x1b[2J"'),
        (f'tool_choice = "{"y!" * 500}"', f'tool_choice: expected auto, required or none, found "{"y!" * 28}y..."'),
        ("tool_choice = []", "tool_choice: expected auto, required or none, found an array"),
        ('judge = "a\\nb"', f'judge: expected {values.MODEL.expects}, found "a\\nb"'),
        ('judge = ""', f'judge: expected {values.MODEL.expects}, found ""'),
        ("panel = []", f"panel: expected {values.PANEL.expects}, found 0 of them"),
        ('panel = "a"', f'panel: expected {values.PANEL.expects}, found "a"'),
        ('panel = ["a b"]', f'panel[0]: expected {values.MODEL.expects} or a table with one as model, found "a b"'),
        ("reasoning = {effort = 1}", f"reasoning.effort: expected {values.EFFORT.expects}, found 1"),
        ('provider = "lap"\n' + LAB, 'provider: expected one of openrouter, local, lab; found "lap"'),
        ("local = 3", "local: expected a table, found 3"),
        ('[local]\nmodel = "x.gguf"', 'local.model: expected the full path of a GGUF file (~'),
        ('[providers.local]\nbase_url = "x"', "providers.local: expected another name: local is the embedded engine"),
        ('[providers."a b"]', "providers.a b: expected a provider's name of letters, digits, - and _"),
        ("[providers.lab]", f"providers.lab.base_url: expected {values.URL.expects}, found nothing"),
        ("judge = ", "expected TOML, found: Invalid value"),
        ("a = 1\na = 2", "expected TOML, found: Cannot overwrite a value"),
        (f"judge = {'[' * 20000}", "expected TOML, found deeper nesting than can be read"),
        (f"judge = {'9' * 5000}", "expected TOML, found: "),
        (b"judge = '\xff'", "expected text in UTF-8, found other bytes"),
        ("#" * 1_000_001, "expected a config file, found more than 1,000,000 bytes"),
    ],
)  # fmt: skip
def test_each_mistake_in_the_file_has_its_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    """A mistake names key, expectation and what was found, on one clean line."""
    assert refusal(tmp_path, text).startswith(said)


@pytest.mark.parametrize("text", ["judge = [", "temperature = 9", "local = 3", b"\xff"])
def test_a_mistake_in_the_file_has_a_next_step(tmp_path: Path, text: str | bytes) -> None:
    """The command that opens the very file, whoever named it."""
    path = tmp_path / "my config.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    for flag, command in ((None, "fusion config edit"), (path, f"fusion --config '{path}' config edit")):
        with pytest.raises(ConfigError) as caught:
            settings.load(flag, environ={"FUSION_CONFIG": str(path)})
        assert caught.value.hint == f"Correct it with: {command}"


def test_a_provider_without_its_address_is_told_how_to_get_one(tmp_path: Path) -> None:
    """The very command, with the provider's name in it."""
    path = tmp_path / "config.toml"
    path.write_text("[providers.lab]")
    with pytest.raises(ConfigError) as caught:
        settings.load(path, environ={})
    assert "fusion config set providers.lab.base_url URL" in caught.value.hint


def test_a_directory_as_config_is_one_line(tmp_path: Path) -> None:
    """What cannot be read as a file is named, with the system's reason, and what else there is."""
    with pytest.raises(ConfigError, match="expected a readable file, found: Is a directory") as caught:
        settings.load(tmp_path, environ={})
    assert "--config" in caught.value.hint


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("ftp://x", "no http:// or https:// at the start"),
        ("x.example/v1", "no http:// or https:// at the start"),
        ("https://", "no host"),
        ("https:///v1", "no host"),
        ("https://:80", "no host"),
        ("https://x:99999", "a host or port that is none"),
        ("https://x:0", "a host or port that is none"),
        ("https://[::1", "a host or port that is none"),
        ("https://a%2eb", "a host or port that is none"),
        ("https://u@x", "a user name or password"),
        ("https://x/?", "a query or fragment"),
        ("https://x/#", "a query or fragment"),
        ("https://x/a b", "white space or another character that has no place there"),
        ("https://x/\r\nX-Evil: 1", "white space or another character that has no place there"),
        ("https://x\\@y", "white space or another character that has no place there"),
    ],
)
def test_a_base_url_is_an_address_and_nothing_else(url: str, found: str) -> None:
    """A bad OPENROUTER_BASE_URL names the variable and the fault."""
    with pytest.raises(ConfigError) as caught:
        settings.load(environ={"OPENROUTER_BASE_URL": url})
    assert str(caught.value) == f"OPENROUTER_BASE_URL: expected {values.URL.expects}, found {found}"


@pytest.mark.parametrize("depth", ["-1", "x", "1.5", "\u0663", "9" * 5000])
def test_a_junk_depth_is_refused(depth: str) -> None:
    """Recursion protection never rests on a depth that could not be read."""
    with pytest.raises(ConfigError, match=r"^FUSION_DEPTH: expected a whole number from 0, found"):
        settings.load(environ={"FUSION_DEPTH": depth})


def test_the_default_provider_is_resolved_in_order(tmp_path: Path) -> None:
    """Flag, environment, file, then OpenRouter with a key, then the engine."""
    with_file = configured(tmp_path, 'provider = "lab"\n' + LAB, {"OPENROUTER_API_KEY": CANARY})
    assert settings.resolve_provider(with_file, "local", lambda: True) == "local"
    assert settings.resolve_provider(with_file, None, lambda: True) == "lab"
    with_key = settings.load(environ={"OPENROUTER_API_KEY": CANARY})
    assert settings.resolve_provider(with_key, None, lambda: True) == "openrouter"
    assert settings.resolve_provider(settings.load(environ={}), None, lambda: True) == "local"


def test_no_way_to_a_model_names_both_ways_out() -> None:
    """Without key and engine the one line says how to get either."""
    with pytest.raises(CredentialError) as caught:
        settings.resolve_provider(settings.load(environ={}), None, lambda: False)
    said = str(caught.value)
    assert "OPENROUTER_API_KEY" in said
    assert "https://openrouter.ai/keys" in said
    assert "pip install 'fusion-deliberation[local]'" in said
    assert "\n" not in said


def test_an_unknown_provider_lists_the_known() -> None:
    """Flag and environment alike name what there is, and quote neither escapes nor secrets."""
    with pytest.raises(UsageError) as caught:
        settings.resolve_provider(settings.load(environ={}), "x\x1b", lambda: True)
    assert str(caught.value) == '--provider: expected one of openrouter, local; found "x\\x1b"'
    with pytest.raises(UsageError) as caught:
        settings.load(environ={"FUSION_PROVIDER": CANARY})
    assert str(caught.value).startswith("FUSION_PROVIDER: expected one of openrouter, local; found (not shown")


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("openai/gpt-5", ModelName("lab", "openai/gpt-5")),
        ("x/y:free", ModelName("lab", "x/y:free")),
        ("openrouter:~x/y:free", ModelName("openrouter", "~x/y:free")),
        ("local:lab:x", ModelName("local", "lab:x")),
        ("Local:x", ModelName("lab", "Local:x")),
    ],
)
def test_only_a_provider_that_exists_is_a_prefix(tmp_path: Path, name: str, model: ModelName) -> None:
    """Colons belong to the slug unless a provider of that name exists."""
    assert settings.parse_model(name, configured(tmp_path, LAB), "lab") == model


@pytest.mark.parametrize(
    "name", ["", " ", "local:", "a b", "a\r\nX-Evil: 1", "a\x00", "a\u202eb", "a\udcff", "a\u00a0b", "x" * 201]
)
def test_a_name_that_could_be_injected_is_refused(name: str) -> None:
    """Nothing that breaks a header or a log line passes as a model, and the refusal is one clean line."""
    with pytest.raises(UsageError) as caught:
        settings.parse_model(name, settings.load(environ={}), "local")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def test_the_editor_is_the_users() -> None:
    """VISUAL wins over EDITOR, and a system's own editor stands behind both."""
    assert settings.editor(environ={"VISUAL": "code --wait", "EDITOR": "nano"}) == "code --wait"
    assert settings.editor(environ={"VISUAL": " ", "EDITOR": "nano"}) == "nano"
    assert settings.editor(environ={}) == ("notepad" if os.name == "nt" else "vi")


def test_importing_settings_is_cheap() -> None:
    """Nothing that costs start-up time is loaded with the module."""
    heavy = ("tomllib", "tomlkit", "platformdirs", "pydantic", "httpx", "rich", "typer", "difflib", "json")
    code = f"import sys, fusion_cli.settings; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_a_long_hostile_text_is_refused_quickly() -> None:
    """The search for secrets stays linear: a megabyte of one letter is an error, not a hang."""
    with pytest.raises(FusionError):
        settings.parse_model("a" * 1_000_000, settings.load(environ={}), "local")


def test_the_summary_of_a_job_is_where_github_says() -> None:
    """The variable's file; without the variable, or with an empty one, there is none."""
    assert settings.step_summary(environ={"GITHUB_STEP_SUMMARY": "/tmp/step_1"}) == Path("/tmp/step_1")  # noqa: S108
    assert settings.step_summary(environ={"GITHUB_STEP_SUMMARY": ""}) is None
    assert settings.step_summary(environ={}) is None


def test_its_own_files_are_the_config_and_what_holds_keys(tmp_path: Path) -> None:
    """A key's file may lie in the home folder; a provider without one has none."""
    config = tmp_path / "config.toml"
    config.write_text('[providers.lab]\nbase_url = "https://lab.example/v1"\napi_key_file = "~/lab.key"\n')
    assert settings.load(config, environ={}).own_files == [str(config), str(Path("~/lab.key").expanduser())]
