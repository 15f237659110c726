"""Runs `fusion` against the test server, and keeps how it ended and what each role was asked.

By default the command line runs in this process, which is ten times as fast as the installed command and the same code.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from fusion_cli.cli import app
from fusion_cli.delivery import describe_error
from fusion_cli.errors import FusionError
from tests.e2e.command import Ended, environment, fusion
from tests.wire.server import Reply, Request, Responder, WireServer, deliberation
from tests.wire.server_reply import Role

ASK = [{"role": "user", "content": "SQLite?"}]
PANEL = ("-p", "a/one", "-p", "b/two")
MODELS = (*PANEL, "-j", "z/judge", "-m", "o/outer")
CONVENED = ("ask", "--json", "--tool-choice", "required", "--seed", "3")
WEB = [{"type": "openrouter:web_search"}, {"type": "openrouter:web_fetch"}]


Script = tuple[str, Role, Sequence[Reply | Responder]]


class Seen:
    """One run: how it ended, its object, and the requests that each role got."""

    def __init__(self, ended: Ended, requests: Sequence[Request]) -> None:
        self.ended = ended
        self.status = ended.status
        self.run: Any = json.loads(ended.stdout) if ended.stdout.startswith("{") else None
        self.requests = [request for request in requests if request.path.endswith("/chat/completions")]
        self.others = [request for request in requests if request not in self.requests]

    def bodies(self, *roles: Role) -> list[Any]:
        """Return what these roles were sent, or everybody."""
        return [request.body for request in self.requests if not roles or request.role in roles]

    def models(self, *roles: Role) -> list[str]:
        """Return whom these roles were, sorted."""
        return sorted(body["model"] for body in self.bodies(*roles))

    @property
    def panel(self) -> list[Any]:
        """What the panelists were sent."""
        return self.bodies("panel")

    @property
    def judge(self) -> list[Any]:
        """What the judge was sent, call by call."""
        return self.bodies("judge")

    @property
    def outer(self) -> list[Any]:
        """What the outer model was sent, call by call."""
        return self.bodies("outer")

    @property
    def told(self) -> list[Any]:
        """The tool results that stand before the outer model when it writes, in order."""
        return [json.loads(it["content"]) for it in self.outer[-1]["messages"] if it["role"] == "tool"]

    def call(self, model: str) -> Any:
        """Return the run's note of the one call to a model."""
        [call] = [call for call in self.run["calls"] if call["model"] == model]
        return call


Rows = Mapping[str, Callable[[Seen], bool]]


def untrue(rows: Rows, seen: Seen) -> list[str]:
    """Return the statements that a run does not bear out."""
    return [statement for statement, holds in rows.items() if not holds(seen)]


def run(
    *arguments: str,
    script: Sequence[Script] = (),
    config: str | None = None,
    body: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    installed: bool = False,
) -> Seen:
    """Run `fusion` to its end.

    Args:
        arguments: The command and its flags.
        script: Models, roles and replies; whatever has none is answered by a happy deliberation.
        config: What the config file holds.
        body: The request that `--request` names.
        env: More of the environment.
        installed: Whether to start a process.
    """
    if config is not None:
        Path("own.toml").write_text(config, "utf-8")
        arguments = ("--config", "own.toml", *arguments)
    if body is not None:
        Path("body.json").write_text(json.dumps(body), "utf-8")
        arguments = (*arguments, "--request", "body.json")
    with WireServer(default=deliberation()) as server:
        for model, role, replies in script:
            server.script(model, *replies, role=role)
        ended = fusion(*arguments, server=server, env=env) if installed else here(*arguments, server=server, env=env)
        return Seen(ended, server.requests)


def here(*arguments: str, server: WireServer, env: Mapping[str, str] | None = None) -> Ended:
    """Run the command line in this process."""
    out, err = StringIO(), StringIO()
    status: Any = 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name, value in environment(server, env).items():
            patch.setenv(name, value)
        try:
            app(list(arguments), prog_name="fusion")
        except SystemExit as end:
            status = end.code
        except FusionError as error:
            status = error.exit_status
            err.write("\n".join(describe_error(error)) + "\n")
    return Ended(status, out.getvalue(), err.getvalue())


def judged(**sections: Any) -> Reply:
    """Return a judge's reply with these sections, the others empty."""
    keys = ("consensus", "contradictions", "partial_coverage", "unique_insights", "blind_spots")
    return Reply(json.dumps({key: sections.get(key, []) for key in keys}))
