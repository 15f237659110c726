"""One process shows one long run, and says what that cost in CPU time: what moves is drawn, or the plain sink used.

`python -m tests.benchmarks.draw panel|answer live|plain TOKENS`. Time is not waited for: a frame is drawn after each
twelfth of a second's worth of tokens, which come as they do from a quick model, four characters each.
"""

import json
import os
import sys
import time
from typing import TYPE_CHECKING

from fusion_cli import events
from fusion_cli.sinks.drawing import Look
from fusion_cli.sinks.live.sink import LiveSink
from fusion_cli.sinks.live.state import Cast
from fusion_cli.sinks.plain import PlainSink
from fusion_cli.terminal import Terminal

if TYPE_CHECKING:
    from fusion_cli.events import Event

SEATS, TOKENS_A_SECOND, FRAMES_A_SECOND = 8, 60, 12
TOKEN_CHARS = 4
COLUMNS, LINES = 100, 40
PARAGRAPH = (
    "SQLite keeps **everything in one file**, see [its page](https://sqlite.org), and `WAL` lets readers go on. "
)
TEXT = f"""## A heading

{PARAGRAPH * 4}

- one **bold** point of a list that says a little more
- another point, with `code` in it
  - and one below it

```sh
sqlite3 app.db 'PRAGMA journal_mode = WAL'
cp --reflink=auto app.db backup.db && ls -l backup.db
```

{PARAGRAPH * 3}

| case | pick |
|---|---|
| one writer | SQLite |
| many | PostgreSQL |

"""


class Nowhere(Terminal):
    """A terminal whose output is written, and read by nobody."""

    def __init__(self) -> None:
        super().__init__()
        self._file = os.open(os.devnull, os.O_WRONLY)

    def write(self, text: str) -> None:
        """Write to nowhere."""
        os.write(self._file, text.encode())

    def note(self, text: str) -> None:
        """Write to nowhere."""
        self.write(text + "\n")


def cpu_ms(what: str, how: str, tokens: int) -> float:
    """Return the CPU milliseconds that showing so many tokens takes, a first part of a run not counted."""
    terminal, labels = Nowhere(), tuple(f"author/model-{number}" for number in range(SEATS))
    clock = 0.0
    live = LiveSink(
        terminal,
        Cast(labels, "author/outer", consults=False, answers=True),
        Look(COLUMNS, has_colour=True),
        lambda: (COLUMNS, LINES),
        lambda: clock,
    )
    sink: LiveSink | PlainSink = live if how == "live" else PlainSink(terminal, show_answer=True)
    streams = SEATS if what == "panel" else 1
    each_frame = streams * TOKENS_A_SECOND // FRAMES_A_SECOND
    long = TEXT * (1 + (tokens + 2000) * TOKEN_CHARS // streams // len(TEXT))
    for label in labels if what == "panel" else ():
        sink(events.PanelAdded(label, label))

    def show(first: int, last: int) -> float:
        nonlocal clock
        before = time.process_time()
        for number in range(first, last):
            at = number // streams * TOKEN_CHARS
            piece = long[at : at + TOKEN_CHARS]
            event: Event = events.AnswerDelta(piece)
            if what == "panel":
                event = events.PanelDelta(labels[number % streams], piece, "")
            sink(event)
            if number % each_frame == 0 and how == "live":
                clock += 1 / FRAMES_A_SECOND
                live.draw()
        return (time.process_time() - before) * 1000

    show(0, 1000)  # imports and caches
    return show(1000, 1000 + tokens)


if __name__ == "__main__":
    what, how, tokens = sys.argv[1:]
    print(json.dumps({"cpu_ms": cpu_ms(what, how, int(tokens))}))
