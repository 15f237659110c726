"""The misbehaving server, in a process of its own: `python -m tests.faults.server` serves until standard input ends.

The slug that is asked for says how it misbehaves: `fault/NAME` for a name of `behaviours`; all others are well-behaved.
What it was asked stands at `LOG`, and `RESET` forgets that, and how often each model was asked.
"""

import sys
from collections import Counter
from typing import Any

from tests.faults.behaviours import PREFIX, UNKNOWN, behaviour
from tests.wire.server import CHAT, Reply, Request, WireServer, deliberation, document

LOG = "/faults/log"
RESET = "/faults/reset"


class Server:
    """Choose a behaviour for each request.

    Attributes:
        wire: What serves it.
    """

    def __init__(self) -> None:
        self.wire = WireServer(self._respond)
        self.wire.script(LOG, self._log)
        self.wire.script(RESET, self._reset)
        self._behaves = deliberation()
        self._asked: Counter[tuple[str, str]] = Counter()

    def _respond(self, request: Request) -> Reply:
        name = request.model.removeprefix(PREFIX) if request.model != UNKNOWN else "404"
        if name == request.model:
            return self._behaves(request)
        before = self._asked[name, request.role]
        self._asked[name, request.role] += 1
        return behaviour(name)(request, before)

    def _log(self, _: Request) -> Reply:
        return document([_row(request) for request in self.wire.requests if request.path not in (LOG, RESET)])

    def _reset(self, _: Request) -> Reply:
        self.wire.forget()
        self._asked.clear()
        return document({})


def _row(request: Request) -> dict[str, Any]:
    return {
        "path": request.path,
        "model": request.model,
        "role": request.role if request.path == CHAT else None,
        "body": request.body,
        "head": request.head.decode("latin-1"),
        "received_s": request.received_s,
        "ended_s": request.ended_s,
        "outcome": request.outcome,
    }


def main() -> None:
    """Serve until standard input ends, as it does when whoever started this has gone."""
    server = Server()
    with server.wire as wire:
        print(wire.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
