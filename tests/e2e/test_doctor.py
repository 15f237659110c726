"""`fusion config doctor` as its user sees it: what it finds, what it advises, its status, and never a key."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import CANARY, fusion
from tests.wire.server import WireServer, document

KEY = "/api/v1/key"


def doctor(
    *options: str, status: int, server: WireServer | None = None, env: dict[str, str] | None = None
) -> tuple[dict[str, Any], str]:
    """Return the findings by check and what they are about, and what was said at the end."""
    ended = fusion("config", "doctor", "--json", *options, server=server, env=env)
    assert ended.status == status, ended
    told = ended.json()
    assert list(told) == ["version", "ready", "checks"]
    assert told["ready"] is (status == 0)
    assert all(list(each) == ["check", "about", "verdict", "detail", "next_step", "took_s"] for each in told["checks"])
    return {" ".join(filter(None, (each["check"], each["about"]))): each for each in told["checks"]}, ended.stderr


def test_all_is_well() -> None:
    """With a key that is taken there is no problem, status 0, and one request that is no call of a model."""
    with WireServer() as server:
        server.script(KEY, document({"data": {"limit_remaining": 3.5}}))
        found, said = doctor(status=0, server=server)
        [request] = server.requests
    assert (request.path, request.headers["authorization"]) == (KEY, f"Bearer {CANARY}")
    assert said == ""
    assert found["key openrouter"]["detail"] == "set (environment OPENROUTER_API_KEY), accepted, $3.50 left"
    assert 0 <= found["provider openrouter"]["took_s"] < 15
    assert found["run"]["detail"].startswith("panel ~anthropic/claude-opus-latest, ")
    assert {each["verdict"] for each in found.values()} == {"ok"}


def test_a_fresh_home_says_what_comes_next(isolated: Path) -> None:
    """Without key and file a run starts on the embedded engine, nothing is written, and the next steps are named."""
    before = sorted(isolated.rglob("*"))
    found, _ = doctor("--offline", status=0)
    assert found["config"]["next_step"] == "fusion config init makes it."
    assert "does not exist yet" in found["config"]["detail"]
    assert found["key openrouter"]["detail"] == "not set, and not needed"
    assert found["run"]["detail"].startswith("panel local:")
    [weights] = [each for name, each in found.items() if name.startswith("weights")]
    assert (weights["verdict"], weights["detail"][:15]) == ("warning", "not fetched yet")
    assert sorted(isolated.rglob("*")) == before


def test_a_key_that_is_needed_and_missing_is_status_4() -> None:
    """A provider without its key is a problem that says which variable to set."""
    with WireServer() as server:
        server.script(KEY, document({"error": {"code": 401, "message": "No auth"}}, status=401))
        env = {"OPENROUTER_API_KEY": "", "FUSION_PROVIDER": "openrouter"}
        found, said = doctor(status=4, server=server, env=env)
    assert found["key openrouter"]["verdict"] == found["run"]["verdict"] == "problem"
    assert found["provider openrouter"]["verdict"] == "ok"
    assert "Set OPENROUTER_API_KEY" in said


def test_a_refused_key_is_status_4() -> None:
    """The finding says that it was refused and where it comes from; what the server repeats of it is not shown."""
    with WireServer() as server:
        error = {"error": {"code": 401, "message": f"{CANARY} is not known"}}
        server.script(KEY, document(error, status=401))
        found, said = doctor(status=4, server=server)
    assert found["key openrouter"]["detail"].endswith("and refused (HTTP 401)")
    assert said.startswith("fusion: no run could start: openrouter: set (environment OPENROUTER_API_KEY), and refused")


def test_a_key_that_is_used_up_is_status_5() -> None:
    """A key that may spend nothing more could not start a run."""
    with WireServer() as server:
        server.script(KEY, document({"data": {"limit_remaining": 0}}))
        found, _ = doctor(status=5, server=server)
    assert found["key openrouter"]["detail"].endswith("and used up")


def test_an_unreachable_server_is_status_6() -> None:
    """Nobody listens there: the address is named, and what to look at; offline nobody is asked."""
    env = {"OPENROUTER_API_KEY": CANARY, "OPENROUTER_BASE_URL": "http://127.0.0.1:1/v1"}
    found, said = doctor(status=6, env=env)
    assert found["provider openrouter"]["verdict"] == "problem"
    assert "http://127.0.0.1:1/v1: cannot connect" in said
    found, _ = doctor("--offline", status=0, env=env)
    assert found["key openrouter"]["detail"] == "set (environment OPENROUTER_API_KEY), not tried"


@pytest.mark.parametrize("text", ["judge = [", "jugde = 'a/b'", "temperature = 9"])
def test_a_broken_config_is_status_2(tmp_path: Path, text: str) -> None:
    """The file and what is wrong in it are named, the rest is looked at all the same."""
    path = tmp_path / "broken.toml"
    path.write_text(text)
    found, said = doctor(status=2, env={"FUSION_CONFIG": str(path)})
    assert found["config"]["verdict"] == found["run"]["verdict"] == "problem"
    assert str(path) in found["config"]["detail"]
    assert found["config"]["next_step"]
    assert {"python", "terminal", "engine"} <= found.keys()
    assert said.startswith("fusion: no run could start: ")


def test_a_server_of_ones_own_is_asked_for_its_models() -> None:
    """A model that the server does not list is a warning; a server that no run needs is never a problem."""
    with WireServer() as server:
        assert fusion("config", "set", "providers.lab.base_url", server.url).status == 0
        assert fusion("config", "set", "panel", "lab:openai/gpt-5,lab:openai/gtp-5").status == 0
        found, _ = doctor(status=0)
        assert [request.path for request in server.requests] == ["/api/v1/models"]
        assert "authorization" not in server.requests[0].headers
    assert found["provider lab"]["verdict"] == "warning"
    assert found["provider lab"]["detail"].endswith("does not list openai/gtp-5")
    assert fusion("config", "set", "panel", "local:qwen2.5-coder-0.5b").status == 0
    found, _ = doctor(status=0)
    assert "cannot connect" in found["provider lab"]["detail"]
    assert found["provider lab"]["verdict"] == "warning"


def test_a_key_of_ones_own_server_is_not_called_good() -> None:
    """A server that lists its models to everybody says nothing of the key, and no more than that is claimed."""
    with WireServer() as server:
        assert fusion("config", "set", "providers.lab.base_url", server.url).status == 0
        assert fusion("config", "set", "providers.lab.api_key_env", "LAB_KEY").status == 0
        assert fusion("config", "set", "panel", "lab:openai/gpt-5").status == 0
        found, _ = doctor(status=0, env={"LAB_KEY": CANARY})
        assert found["key lab"]["detail"] == "set (environment LAB_KEY), not refused"
        server.script("/api/v1/models", document({}, status=403))
        found, said = doctor(status=4, env={"LAB_KEY": CANARY})
        assert found["key lab"]["detail"].endswith("and refused (HTTP 403)")
        assert said.endswith("Set LAB_KEY.\n")


def test_a_command_for_a_key_is_run_once_and_only_where_needed() -> None:
    """A password is asked for once, and not for a provider that a run without flags does not need."""
    assert fusion("config", "set", "providers.openrouter.api_key_command", "sh -c 'echo x >> runs; echo k'").status == 0
    with WireServer() as server:
        server.script(KEY, document({"data": {}}))
        found, _ = doctor(status=0, server=server, env={"OPENROUTER_API_KEY": ""})
    assert found["key openrouter"]["detail"] == "set (command), accepted"
    assert Path("runs").read_text() == "x\n"
    found, _ = doctor(status=0, env={"FUSION_PROVIDER": "local"})
    assert "not run" in found["key openrouter"]["detail"]
    assert Path("runs").read_text() == "x\n"


def test_a_command_that_fails_is_run_once() -> None:
    """Its failure is told with the provider's name, and nobody has to refuse a password twice."""
    assert fusion("config", "set", "providers.openrouter.api_key_command", "sh -c 'echo x >> runs; exit 3'").status == 0
    found, said = doctor(status=4)
    assert found["key openrouter"]["detail"] == "no key for openrouter: sh ended with status 3"
    assert said.startswith("fusion: no run could start: openrouter: no key for openrouter: sh ended")
    assert Path("runs").read_text() == "x\n"


def test_people_read_lines_that_fit() -> None:
    """Without --json each finding begins with its verdict, fits 80 columns, and a next step has an arrow."""
    ended = fusion("config", "doctor", "--offline", env={"COLUMNS": "80"})
    assert ended.status == 0
    lines = ended.stdout.splitlines()
    assert max(len(line) for line in lines if "/" not in line) <= 80
    assert [line.split()[0] for line in lines if not line.startswith(" ")][:4] == ["ok"] * 4
    assert any(line.strip().startswith("-> ") for line in lines)
