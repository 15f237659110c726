"""Streams that are full, closed or somebody else's: an answer is delivered or kept, and the status is the truth."""

import os
import subprocess

import pytest

from tests.e2e.command import FUSION, MODELS, environment
from tests.wire.server import Reply, WireServer, deliberation

ASK = f"'{FUSION}' ask {' '.join(MODELS)} --tool-choice required x"


def shell(line: str, server: WireServer) -> "subprocess.CompletedProcess[str]":
    """Run a line of bash."""
    done = subprocess.run(
        ["bash", "-c", line],  # noqa: S607
        env=environment(server),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


def test_full_disk_keeps_the_panel() -> None:
    """An answer that cannot be written is an error of one line, and what was paid for is kept."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        done = shell(f"{ASK} > /dev/full", server)
    assert done.returncode == 1
    assert "fusion: standard output: No space left on device" in done.stderr
    assert "To go on: fusion ask --resume 2" in done.stderr


@pytest.mark.parametrize(
    "command",
    ["--version", "--version -h", "--help", "ask --help", "runs -h", "ask --json-schema", "--show-completion bash"],
)
def test_what_is_only_printed_needs_a_standard_output(command: str) -> None:
    """Where that is closed or full, one line says so, and the status is that of a mistake."""
    with WireServer() as server:
        closed, full = (shell(f"'{FUSION}' {command} >{where}", server) for where in ("&-", "/dev/full"))
    assert closed.returncode == 2
    assert closed.stderr.startswith("fusion: standard output is closed")
    assert (full.returncode, full.stderr) == (1, "fusion: standard output: No space left on device\n")


def test_what_prints_nothing_needs_no_standard_output() -> None:
    """A value that was written is a success."""
    with WireServer() as server:
        done = shell(f"'{FUSION}' config set seed 3 >&- && '{FUSION}' config show", server)
    assert (done.returncode, done.stderr) == (0, "")
    assert " 3 (file)" in done.stdout


@pytest.mark.parametrize("home", ["/proc", "/dev/null"])
def test_a_completion_that_cannot_be_installed_says_where(home: str) -> None:
    """A home that cannot be written is named, and so is the way out."""
    with WireServer() as server:
        done = shell(f"HOME={home} '{FUSION}' --install-completion bash", server)
    assert done.returncode == 1
    first, hint = done.stderr.splitlines()
    assert first.startswith(f"fusion: the completion cannot be installed: {home}")
    assert "--show-completion" in hint


def test_closed_output_is_said_before_anything_is_paid() -> None:
    """Without a standard output nobody is asked."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        done = shell(f"{ASK} >&-", server)
        assert server.requests == []
    assert done.returncode == 2
    assert "standard output is closed" in done.stderr


@pytest.mark.parametrize("nobody", ["2>&-", "2>/dev/full", "2> >(head -c1 >/dev/null)"])
def test_nobody_reads_the_notes(nobody: str) -> None:
    """What happens to standard error changes neither the answer nor the status."""
    with WireServer(default=deliberation(latency_s=0)) as server:
        done = shell(f"{ASK} {nobody}", server)
    assert (done.returncode, done.stdout[:6]) == (0, "SQLite")


def test_pipe_that_does_not_block() -> None:
    """A pipe that its owner made non-blocking gets the whole answer."""
    with WireServer() as server:
        server.script("openai/gpt-5", Reply("line\n" * 60_000))
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        command = [FUSION, "ask", *MODELS, "x"]
        with subprocess.Popen(
            command, env=environment(server), stdin=subprocess.DEVNULL, stdout=writing, stderr=subprocess.DEVNULL
        ) as process:
            os.close(writing)
            with os.fdopen(reading) as pipe:
                assert pipe.read() == "line\n" * 60_000
    assert process.returncode == 0


@pytest.mark.parametrize(("signal", "ignored"), [("HUP", "nohup"), ("INT", "trap '' INT;")])
def test_signal_that_is_ignored_stays_so(signal: str, ignored: str) -> None:
    """A run under nohup, or in the background of a script, is not ended by what its parent has it ignore."""
    with WireServer(default=deliberation(latency_s=0.3)) as server:
        done = shell(f"{ignored} {ASK} & sleep 0.7; kill -{signal} $!; wait $!", server)
    assert done.returncode == 0
    assert done.stdout.startswith("SQLite")


@pytest.mark.parametrize("command", ["config show", "--help", "--version"])
def test_closed_pipe_has_one_status(command: str) -> None:
    """What prints little ends with 141, too, when nobody reads it."""
    with WireServer() as server:
        done = shell(f"{{ sleep 0.5; '{FUSION}' {command}; echo $? >&2; }} | true", server)
    assert done.stderr.strip().splitlines()[-1] == "141"


def test_closed_pipe_is_not_forgotten() -> None:
    """A run ends with 141 also where its responses were what nobody read, and the answer came later."""
    with WireServer(default=deliberation()) as server:
        done = shell(f"{{ sleep 0.5; {ASK} --show-responses; echo $? >&2; }} | true", server)
    assert done.stderr.strip().splitlines()[-1] == "141"


@pytest.mark.parametrize(
    ("variable", "value"), [("ALL_PROXY", "socks5://127.0.0.1:1"), ("HTTPS_PROXY", "foo://x"), ("SSL_CERT_FILE", "/no")]
)
def test_unusable_network_settings_are_named(variable: str, value: str) -> None:
    """A proxy or certificate setting that cannot be used is a configuration error, not one of ours."""
    reached = {"OPENROUTER_BASE_URL": "https://127.0.0.1:1/v1", variable: value}
    done = subprocess.run(
        [FUSION, "ask", *MODELS, "x"],
        env={**environment(), "OPENROUTER_API_KEY": "k", **reached},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert variable in done.stderr
    assert "internal" not in done.stderr


def test_key_does_not_go_through_a_proxy() -> None:
    """A key on plain http is for this machine, whichever of its addresses: a proxy does not get to see it."""
    with WireServer(default=deliberation(latency_s=0)) as server, WireServer() as proxy:
        through = {"HTTP_PROXY": proxy.origin, "http_proxy": proxy.origin, "ALL_PROXY": proxy.origin}
        done = subprocess.run(
            [FUSION, "ask", *MODELS, "--tool-choice", "required", "x"],
            env=environment(server, through),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert proxy.requests == []
    assert done.returncode == 0
