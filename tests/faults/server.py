"""The misbehaving server, in a process of its own: `python -m tests.faults.server` serves until standard input ends.

The slug that is asked for says how it misbehaves: `fault/NAME` for a name of `behaviours`; all others are well-behaved.
What it was asked stands at `LOG`; `FORGET` empties that, and `RESET` forgets how often each model was asked, too.
"""

import sys
from collections import Counter
from typing import Any

from tests.faults.behaviours import PREFIX, UNKNOWN, behaviour
from tests.wire.server import CHAT, Reply, Request, WireServer, deliberation, document

LOG = "/faults/log"
FORGET = "/faults/forget"
RESET = "/faults/reset"
_CONTROLS = (LOG, FORGET, RESET)


class Server:
    """Choose a behaviour for each request.

    Attributes:
        wire: What serves it.
    """

    def __init__(self) -> None:
        self.wire = WireServer(self._respond)
        self.wire.script(LOG, self._log)
        self.wire.script(FORGET, self._forget)
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
        return document([_row(request) for request in self.wire.requests if request.path not in _CONTROLS])

    def _forget(self, _: Request) -> Reply:
        self.wire.forget()
        return document({})

    def _reset(self, request: Request) -> Reply:
        self._asked.clear()
        return self._forget(request)


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
