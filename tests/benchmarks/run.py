"""Measure fusion beside its rivals, in interleaved pairs, and print a table: `python -m tests.benchmarks.run`.

It measures and does not judge: the targets stand beside the figures, and the exit status is 0. The rivals are an empty
Python program, `bare.py`, and plain httpx; the model server is the tests' own, in this process.
"""

import argparse
import json
import os
import pty
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from tests.benchmarks.draw import TEXT
from tests.wire.server import Reply, Request, WireServer, deliberation
from tests.wire.server_encode import events

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PROMPT = "SQLite or PostgreSQL for a small web app?"
MODELS = ["-p", "openai/gpt-5", "-p", "anthropic/claude-opus-4.8", "-p", "google/gemini-3-pro"]
ASK = ["ask", "--tool-choice", "required", *MODELS, "-j", "openai/gpt-5", "-m", "openai/gpt-5", PROMPT]
COMPLETION = {"_FUSION_COMPLETE": "complete_bash", "COMP_WORDS": "fusion a", "COMP_CWORD": "1"}
PANELISTS, CALLS, LEGS = 3, 5, 3  # three panelists at once, then the judge, then the answer
STREAM_EVENTS, STREAM_CHARS = 40_000, 8
DRAWN_TOKENS = (1_000, 10_000, 100_000)
TIMEOUT_S = 60

Sample = tuple[float, ...]


class UnmeasuredError(Exception):
    """A command did not do its work; the text says which and why."""


@dataclass(frozen=True)
class Bench:
    """What all measurements share: the command, the environment it runs in, and how often."""

    fusion: str
    home: str
    rounds: int
    latency_s: float

    def run(self, command: list[str], **extra: str) -> tuple[float, float, str]:
        """Return when a command started (`time.monotonic`), how long it took in seconds, and its stdout.

        Raises:
            UnmeasuredError: It failed, or is missing.
        """
        environment = {"PATH": os.environ["PATH"], "HOME": self.home, "LANG": "C.UTF-8", "TERM": "dumb", **extra}
        name = " ".join(Path(word).name for word in command)[:60]
        started = time.monotonic()
        try:
            done = subprocess.run(
                command, env=environment, cwd=ROOT, capture_output=True, stdin=subprocess.DEVNULL, timeout=TIMEOUT_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnmeasuredError(f"{name}: {error}") from error
        took = time.monotonic() - started
        if done.returncode:
            said = (done.stderr.decode(errors="replace").strip().splitlines() or ["nothing on stderr"])[-1]
            raise UnmeasuredError(f"{name}: status {done.returncode}: {said[:160]}")
        return started, took, done.stdout.decode()

    def pairs(self, ours: Callable[[], Sample], rival: Callable[[], Sample]) -> tuple[list[Sample], list[Sample]]:
        """Run both after a warm-up of each, round by round; who goes first alternates."""
        ours()
        rival()
        left, right = [], []
        for number in range(self.rounds):
            if number % 2:
                right.append(rival())
                left.append(ours())
            else:
                left.append(ours())
                right.append(rival())
        return left, right


def report(name: str, target: str, unit: str, ours: list[float], rivals: list[float], *, ratio: bool) -> None:
    """Print one row: minimum, median and maximum of both, and the median of what each pair gives."""
    compared = [a / b if ratio else a - b for a, b in zip(ours, rivals, strict=True)]
    shown = f"{median(compared):7.2f} x" if ratio else f"{median(compared):+7.1f} {unit}"
    ranges = "  ".join(f"{min(v):9,.1f} {median(v):9,.1f} {max(v):9,.1f}" for v in (ours, rivals))
    print(f"{name:<37}{unit:>4} {ranges}  {shown:<12} {target}", flush=True)


def start_up(bench: Bench) -> None:
    """Measure commands that must not wait for anything, against an empty Python program."""
    empty = [sys.executable, "-c", "pass"]
    cases: list[tuple[str, str, list[str], dict[str, str]]] = [
        ("a  fusion --version : python -c pass", "<= 1.5 x", ["--version"], {}),
        ("b  fusion --help    : python -c pass", "<= 7 x", ["--help"], {}),
        ("c  shell completion : python -c pass", "<= 7 x", [], COMPLETION),
    ]

    def sample(command: list[str], extra: dict[str, str]) -> Sample:
        return (bench.run(command, **extra)[1] * 1000,)

    for name, target, arguments, extra in cases:
        with measuring(name):
            ours, rivals = bench.pairs(partial(sample, [bench.fusion, *arguments], extra), partial(sample, empty, {}))
            report(name, target, "ms", column(ours, 0), column(rivals, 0), ratio=True)


def whole_runs(bench: Bench) -> None:
    """Measure a forced deliberation of five calls, each of fixed latency, against `bare.py`."""
    with WireServer(deliberation(bench.latency_s), api_key="canary") as server, measuring("d, e  fusion ask : bare.py"):

        def sample(*command: str) -> Sample:
            before = len(server.requests)
            started, took, stdout = bench.run(
                list(command), OPENROUTER_BASE_URL=server.url, OPENROUTER_API_KEY="canary"
            )
            requests = server.requests[before:]
            if len(requests) != CALLS or "SQLite" not in stdout:
                raise UnmeasuredError(f"{Path(command[0]).name}: {len(requests)} requests, stdout {stdout[:80]!r}")
            arrivals = [request.received_s - started for request in requests[:PANELISTS]]
            return arrivals[0] * 1000, arrivals[-1] * 1000, (took - LEGS * bench.latency_s) * 1000

        ours, rivals = bench.pairs(
            lambda: sample(bench.fusion, *ASK), lambda: sample(sys.executable, str(HERE / "bare.py"), PROMPT)
        )
        for at, (name, target) in enumerate(
            [
                ("d  start to first request : bare.py", "<= 0 ms"),
                ("   start to last panelist : bare.py", ""),
                ("e  added to the ideal     : bare.py", "< 0 ms, and fusion's <= 200 ms"),
            ]
        ):
            report(name, target, "ms", column(ours, at), column(rivals, at), ratio=False)


def stream_throughput(bench: Bench) -> None:
    """Measure events per CPU second of `api.client.ChatClient`, against plain httpx; the body comes in large reads."""
    text = "tokens, " * STREAM_EVENTS
    request = Request(0, b"", "POST", "", {}, b"", {"stream": True, "messages": []}, 0.0)
    plan = events(Reply(text, chunk_chars=STREAM_CHARS, model="bench/stream"), request)
    body = b"".join(step for step in plan if isinstance(step, bytes))
    name = "f  stream, events / CPU s : httpx"
    with WireServer() as server, measuring(name):
        server.script("*", Reply(body=body, content_type="text/event-stream"))

        def sample(client: str) -> Sample:
            command = [sys.executable, "-m", "tests.benchmarks.stream", client, server.url]
            figures = json.loads(bench.run(command)[2])
            if figures["chars"] != len(text):
                raise UnmeasuredError(f"{client}: read {figures['chars']} of {len(text)} characters")
            return (STREAM_EVENTS / figures["cpu_s"] / 1000,)

        ours, rivals = bench.pairs(lambda: sample("fusion"), lambda: sample("httpx"))
        report(name, ">= 100 k/s", "k/s", column(ours, 0), column(rivals, 0), ratio=True)


def drawing(bench: Bench) -> None:
    """Measure what the live view costs per 1,000 tokens, against the plain sink, and a run's time on a terminal."""
    for what, target in (("panel", "<= 35 ms"), ("answer", "<= 50 ms")):
        for tokens in DRAWN_TOKENS:
            name = f"g  draw {what}, {tokens:>7,} tokens : plain"
            with measuring(name):

                def sample(how: str, what: str = what, tokens: int = tokens) -> Sample:
                    command = [sys.executable, "-m", "tests.benchmarks.draw", what, how, str(tokens)]
                    return (json.loads(bench.run(command)[2])["cpu_ms"] / tokens * 1000,)

                ours, rivals = bench.pairs(partial(sample, "live"), partial(sample, "plain"))
                report(name, target, "ms", column(ours, 0), column(rivals, 0), ratio=False)
    with WireServer(streaming(bench.latency_s), api_key="canary") as server, measuring("h  on a terminal : -q"):

        def run(*options: str) -> Sample:
            environment = {"PATH": os.environ["PATH"], "HOME": bench.home, "LANG": "C.UTF-8", "TERM": "xterm"}
            reached = {"OPENROUTER_BASE_URL": server.url, "OPENROUTER_API_KEY": "canary"}
            started = time.monotonic()
            status = on_a_pty([bench.fusion, *ASK, *options], environment | reached)
            if status:
                raise UnmeasuredError(f"{options}: status {status}")
            return ((time.monotonic() - started) * 1000,)

        ours, rivals = bench.pairs(run, partial(run, "-q"))
        report("h  run on a terminal : the same, -q", "<= 1.03 x", "ms", column(ours, 0), column(rivals, 0), ratio=True)


def streaming(latency_s: float) -> Callable[[Request], Reply]:
    """Return the server's usual behaviour, but that panelists and outer model write some hundred tokens each."""
    usual = deliberation(latency_s)

    def respond(request: Request) -> Reply:
        if request.role == "judge":
            return usual(request)
        return Reply(TEXT * 2, delay_first_s=latency_s, delay_chunk_s=0.004, chunk_chars=8)

    return respond


def on_a_pty(command: list[str], environment: dict[str, str]) -> int:
    """Run a command on a terminal, whose output is read and dropped, and return its status."""
    screen, theirs = pty.openpty()
    process = subprocess.Popen(command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT)
    os.close(theirs)
    with suppress(OSError):  # Linux ends a terminal whose last user has gone with EIO
        while os.read(screen, 65536):
            pass
    os.close(screen)
    return process.wait(TIMEOUT_S)


class measuring:  # noqa: N801 - reads as a verb: with measuring(...)
    """Turn an UnmeasuredError into a line of the table."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, UnmeasuredError):
            print(f"{self._name:<42} not measured: {error}", flush=True)
            return True
        return False


def column(samples: list[Sample], at: int) -> list[float]:
    """Return one figure of every sample."""
    return [sample[at] for sample in samples]


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.run", description=__doc__)
    parser.add_argument("--rounds", type=int, default=11, help="how many pairs; default 11")
    parser.add_argument("--latency", type=float, default=0.3, metavar="S", help="of each model call; default 0.3")
    beside = str(Path(sys.executable).with_name("fusion"))
    parser.add_argument("--fusion", default=beside, help="the command; default: the one beside this Python")
    parser.add_argument("--only", choices=["start", "runs", "stream", "draw"], help="measure only this part")
    options = parser.parse_args()
    parts = {"start": start_up, "runs": whole_runs, "stream": stream_throughput, "draw": drawing}
    print(f"{options.rounds} pairs, {os.cpu_count()} cores, Python {sys.version.split()[0]}, {options.fusion}\n")
    print(f"{'':41}  {'fusion: min, median, max':>28}   {'rival: min, median, max':>28}  {'by pairs':<12} target")
    with tempfile.TemporaryDirectory() as home:
        bench = Bench(options.fusion, home, options.rounds, options.latency)
        for part, measure in parts.items():
            if options.only in (None, part):
                measure(bench)


if __name__ == "__main__":
    main()
