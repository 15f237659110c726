"""`analyze`, `judge`, and a provider from the config file, as their user sees them."""

import json
import re
from pathlib import Path

import pytest

from tests.e2e.command import MODELS, fusion
from tests.wire.server import Reply, WireServer, deliberation, failure

PANEL = MODELS[:6]


def test_analysis_is_judged_again_for_one_call(tmp_path: Path) -> None:
    """What `analyze --json` wrote is judged by another judge for one call, in the same shape."""
    saved = tmp_path / "analysis.json"
    with WireServer(default=deliberation(latency_s=0)) as server:
        first = fusion("analyze", *PANEL, "--json", "SQLite?", server=server)
        saved.write_text(first.stdout)
        again = fusion("judge", str(saved), "-j", "y/other", "--json", server=server)
        piped = fusion("judge", "-", "-j", "y/other", server=server, stdin=first.stdout.encode())
        judges = [request.model for request in server.calls(role="judge")]
        panel = server.calls(role="panel")
    assert (first.status, again.status, piped.status) == (0, 0, 0)
    assert judges == ["z/judge", "y/other", "y/other"]
    assert len(panel) == 2
    assert list(again.json()) == list(first.json())
    assert again.json()["responses"] == first.json()["responses"]
    assert again.json()["judge"] == "y/other"


def test_analyze_without_a_question_names_itself() -> None:
    """What to do instead is said with the command that was called."""
    assert 'Try: fusion analyze "your question"' in fusion("analyze", "").stderr
    assert 'Try: fusion ask "your question"' in fusion("ask", "").stderr


def test_a_limit_that_stops_a_run_before_anything_was_answered_claims_nothing_kept() -> None:
    """Where a panel that is wanted cannot be paid for, nobody is told of answers that there are none of."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        own = ("-p", "openai/gpt-5", "-j", "openai/gpt-5", "-m", "openai/gpt-5", "--tool-choice", "required")
        ended = fusion("ask", *own, "--max-cost", "0.002", "x", server=server)
        assert server.calls() == []
    assert ended.status == 5
    assert "Raise --max-cost" in ended.stderr
    assert "Kept in" not in ended.stderr


def test_a_panel_that_cannot_be_paid_for_is_not_offered() -> None:
    """The outer model answers alone, which costs one call, and its user reads why and what would change it."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        own = ("-p", "openai/gpt-5", "-j", "openai/gpt-5", "-m", "openai/gpt-5")
        ended = fusion("ask", *own, "--max-cost", "0.002", "x", server=server)
        [request] = server.calls()
    assert ended.status == 0
    assert "tools" not in request.body
    assert "warning: openai/gpt-5 answers alone: the panel, the judge and the answer need about $" in ended.stderr
    assert "(to convene it: raise --max-cost)" in ended.stderr


def test_analyze_prints_the_tool_result_at_the_top() -> None:
    """The specification's keys come first, our own beside them."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        shape = fusion("analyze", *PANEL, "--json", "SQLite?", server=server).json()
    assert list(shape) == [
        "status",
        "analysis",
        "responses",
        "run",
        "parent",
        "degraded",
        "sources",
        "supported",
        "quotes",
        "second_look",
        "usage",
        "calls",
        "warnings",
        "seed",
        "version",
        "judge",
        "prompt",
    ]


def test_analyze_without_an_analysis_is_status_3_and_prints_the_responses() -> None:
    """A judge that fails takes the analysis with it and nothing else."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        server.script("z/judge", Reply("no idea"))
        plain = fusion("analyze", *PANEL, "SQLite?", server=server)
        as_json = fusion("analyze", *PANEL, "--json", "SQLite?", server=server)
    assert (plain.status, as_json.status) == (3, 3)
    assert "openai/gpt-5 says" in plain.stdout
    assert as_json.json()["failure_reason"] == "judge_not_valid_json"
    assert as_json.json()["status"] == "ok"


def test_analyze_when_all_fail() -> None:
    """Without a response the result is an error, with each model's reason."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        server.script("*", failure(400, "no"), role="panel")
        ended = fusion("analyze", *PANEL, "--json", "SQLite?", server=server)
    assert ended.status == 1
    assert (ended.json()["status"], ended.json()["failure_reason"]) == ("error", "all_panels_failed")
    assert len(ended.json()["failed_models"]) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no json", "is not JSON"),
        ("[]", "holds no responses"),
        ('{"responses": []}', "holds no responses"),
        ('{"responses": [{"model": "a", "content": "x"}]}', "does not say what was asked"),
        (json.dumps({"prompt": "q", "responses": [{"model": "a", "content": "x"}] * 9}), "at most 8"),
    ],
)
def test_unusable_file_is_status_2(text: str, said: str) -> None:
    """A file that holds no panel is named, with what was expected."""
    with WireServer() as server:
        ended = fusion("judge", "-", "-j", "y", server=server, stdin=text.encode())
        assert server.requests == []
    assert ended.status == 2
    assert said in ended.stderr


def test_provider_from_the_config_file() -> None:
    """An OpenAI-compatible server needs an address, and a key only where its entry names one."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        fusion("config", "set", "providers.lab.base_url", server.url)
        fusion("config", "set", "provider", "lab")
        ended = fusion("ask", "--tool-choice", "required", "-p", "a", "-p", "b", "--json", "x")
        assert all("authorization" not in request.headers for request in server.requests)
        fusion("config", "set", "providers.lab.api_key_env", "LAB_KEY")
        refused = fusion("ask", "-p", "a", "x")
        fusion("ask", "-p", "a", "x", env={"LAB_KEY": "lab-key"})
        assert server.requests[-1].headers["authorization"] == "Bearer lab-key"
    assert ended.json()["fused"] is True
    assert ended.json()["model"] == "a"
    assert refused.status == 4
    assert "LAB_KEY" in refused.stderr


def test_refused_key_is_said_once_with_the_way_out() -> None:
    """Three panelists whose key is refused are one line and one message, which names where the key comes from."""
    with WireServer(default=deliberation(latency_s=0), api_key="another") as server:
        router = fusion("analyze", "-p", "a,b,c", "q", server=server)
        fusion("config", "set", "providers.lab.base_url", server.url)
        lab = fusion("analyze", "-p", "lab:a", "q")
    assert (router.status, lab.status) == (4, 4)
    assert router.stderr.count("failed after") == 1
    assert router.stderr.splitlines()[-1] == "Set OPENROUTER_API_KEY (a key is at https://openrouter.ai/keys)."
    assert lab.stderr.splitlines()[-1].endswith("fusion config set providers.lab.api_key_env VARIABLE")


def test_two_providers_in_one_panel() -> None:
    """A key goes to its own provider only, also when both answer in one run."""
    with WireServer(default=deliberation(latency_s=0)) as router, WireServer(default=deliberation(latency_s=0)) as lab:
        fusion("config", "set", "providers.lab.base_url", lab.url)
        ended = fusion("analyze", "-p", "lab:x", "-p", "y", "-j", "y", "--json", "q", server=router)
        assert [request.model for request in lab.requests] == ["x"]
        assert "authorization" not in lab.requests[0].headers
        assert len(router.requests) == 2
    assert len(ended.json()["responses"]) == 2


def test_sceptic_and_optimist_on_one_model() -> None:
    """A preset's personas are told apart on the wire, on the screen and in the object, by their labels."""
    seats = (
        '{model = "m", label = "sceptic", system = "Doubt.", temperature = 0.2}',
        '{model = "m", label = "fan"}',
        '"m"',
    )
    panel = f"[{', '.join(seats)}]"
    with WireServer(default=deliberation(latency_s=0)) as server:
        fusion("config", "set", "presets.two.panel", panel)
        listed = fusion("config", "presets")
        ended = fusion("analyze", "--preset", "two", "--json", "q", server=server)
        sceptic = next(
            request for request in server.calls(role="panel") if request.body["messages"][0]["role"] == "system"
        )
    assert (sceptic.body["messages"][0]["content"], sceptic.body["temperature"]) == ("Doubt.", 0.2)
    assert "sceptic" in listed.stdout
    assert "plan    panel sceptic (m), fan (m), m; judge m" in ended.stderr
    assert [(row["model"], row["label"]) for row in ended.json()["responses"]] == [
        ("m", "sceptic"),
        ("m", "fan"),
        ("m", "m"),
    ]
    assert {row["model"] for row in ended.json()["analysis"]["contradictions"][0]["stances"]} <= {"sceptic", "fan", "m"}


def test_what_it_took_is_said() -> None:
    """Without an outer model, too, the tokens and dollars of the run are on standard error, by role."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        analyzed = fusion("analyze", "-p", "a,b", "-j", "j", "--json", "q", server=server)
        Path("run.json").write_text(analyzed.stdout)
        judged = fusion("judge", "run.json", "-j", "j", server=server)
    said = [
        next(line for line in ended.stderr.splitlines() if line.startswith("usage")) for ended in (analyzed, judged)
    ]
    assert re.fullmatch(r"usage   \d+ tokens, \$[\d.]+ \(panel <?\$[\d.]+, judge \$[\d.]+\)", said[0])
    assert re.fullmatch(r"usage   \d+ tokens, \$[\d.]+", said[1])
