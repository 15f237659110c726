"""Records the README's run anew: the installed command asks the tests' server, which plays `said`, in real time.

`python -m tests.tour.record`, and then `python -m tests.tour.pictures`; it takes half a minute.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.tour import said
from tests.tour.replay import RUN, plain_lines
from tests.wire.server import Call, Reply, Request, Responder, WireServer
from tests.wire.server_deliberation import letters, wanted_tool

FUSION = str(Path(sys.executable).parent / "fusion")
JUDGE_S, ANSWER_S, CONSULT_S, CHUNK_S = 7.4, 1.6, 0.9, 0.05


def player(pace: float = 1.0) -> Responder:
    """Return what plays the panel, the judge and the outer model, its waits so many times as long."""

    def respond(request: Request) -> Reply:
        if request.role == "judge":
            found = json.dumps(said.analysis(letters_of(request)))
            return Reply(found, delay_first_s=JUDGE_S * pace, usage=usage(request.model, said.JUDGE_TOKENS))
        if request.role == "panel":
            response = said.RESPONSES[request.model]
            return Reply(
                response.text,
                delay_first_s=response.first_s * pace,
                delay_chunk_s=response.chunk_s * pace,
                usage=usage(request.model, response.tokens),
                annotations=tuple(cited(url, title) for url, title in response.pages.items()),
            )
        if tool := wanted_tool(request):
            calls = (Call(tool, json.dumps({"prompt": said.QUESTION})),)
            took = usage(request.model, said.CONSULT_TOKENS)
            return Reply(tool_calls=calls, delay_first_s=CONSULT_S * pace, usage=took)
        took = usage(request.model, said.ANSWER_TOKENS)
        return Reply(said.ANSWER, delay_first_s=ANSWER_S * pace, delay_chunk_s=CHUNK_S * pace, usage=took)

    return respond


def letters_of(request: Request) -> dict[str, str]:
    """Return the letter under which the judge reads each panelist: responses stand in the order of the letters."""
    read = "\n".join(request.texts)
    in_order = sorted(said.PANEL, key=lambda model: read.index(said.RESPONSES[model].text[:40]))
    return dict(zip(in_order, letters(request.texts), strict=True))


def usage(model: str, tokens: tuple[int, int]) -> dict[str, Any]:
    """Return what a call took, as OpenRouter counts it."""
    cost = sum(count * price / 1e6 for count, price in zip(tokens, said.DOLLARS_A_MILLION[model], strict=True))
    named = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    return {**named, "cost": round(cost, 6)}


def cited(url: str, title: str) -> dict[str, Any]:
    """Return a citation as the wire has it."""
    return {"type": "url_citation", "url_citation": {"url": url, "title": title, "start_index": 0, "end_index": 0}}


def listed(model: dict[str, Any], slug: str) -> dict[str, Any]:
    """Return a model's entry in the catalogue, with its prices."""
    prompt, completion = (f"{price / 1e6:.8f}" for price in said.DOLLARS_A_MILLION[slug])
    pricing = {**model["pricing"], "prompt": prompt, "completion": completion}
    return {**model, "id": slug, "canonical_slug": slug, "name": slug, "pricing": pricing}


def command_in(home: str, server: WireServer) -> Callable[..., str]:
    """Return what runs the command in an empty home, and returns what it said on standard error."""
    reached = {"OPENROUTER_BASE_URL": server.url, "OPENROUTER_API_KEY": "sk-or-none"}
    environment = {"HOME": home, "LANG": "C.UTF-8", **reached}

    def run(*arguments: str) -> str:
        done = subprocess.run([FUSION, *arguments], env=environment, capture_output=True, text=True, check=True)
        return done.stderr

    return run


def record(to: Path, pace: float = 1.0) -> list[str]:
    """Have the installed command ask, keep its journal in a file, and return what it said on standard error."""
    with WireServer(player(pace)) as server, tempfile.TemporaryDirectory() as home:
        server.models = [listed(server.models[0], slug) for slug in said.PANEL]
        fusion = command_in(home, server)
        fusion("config", "set", "panel", ",".join(said.PANEL))
        told = fusion("ask", said.QUESTION)
        fusion("runs", "export", "last", "-o", str(to), "--force")
    return told.splitlines()


def main() -> None:
    """Record the run, and prove that what is replayed of it is what was said."""
    told = record(RUN)
    print("\n".join(told))
    assert told == plain_lines(), "\n".join(plain_lines())


if __name__ == "__main__":
    main()
