"""What the models say in the README's tour. Nobody asked real ones: the texts are written for the pictures.

The facts in them are meant to be true, the pages that they cite exist, and the prices are about those of November 2026.
"""

from typing import Any, NamedTuple

QUESTION = "SQLite or PostgreSQL for a small web app?"
GPT, CLAUDE, GEMINI = "openai/gpt-5", "anthropic/claude-opus-4.8", "google/gemini-3-pro"
PANEL = (GPT, CLAUDE, GEMINI)
DOLLARS_A_MILLION = {GPT: (1.25, 10.0), CLAUDE: (5.0, 25.0), GEMINI: (2.0, 12.0)}


class Response(NamedTuple):
    """What a panelist says, and how.

    Attributes:
        first_s: How long it takes to its first word.
        chunk_s: How long between two pieces of its text.
        tokens: In and out, as its server counts them: pages that were searched and thoughts included.
        pages: What it cites, by address.
    """

    text: str
    first_s: float
    chunk_s: float
    tokens: tuple[int, int]
    pages: dict[str, str]


RESPONSES = {
    GPT: Response(
        """**Start with SQLite.** A small web app reads far more than it writes, and a read from SQLite is a function \
call, not a trip over the network. There is no server to install, patch or pay for.

Turn on write-ahead logging, so that readers and the one writer do not block each other:

    PRAGMA journal_mode = WAL;
    PRAGMA busy_timeout = 5000;

Its limit is clear: one writer at a time, on one machine. Leave when a second machine has to write to the same data. \
Until then, do not copy the file of a running app as a back-up; use `VACUUM INTO`, or Litestream, which streams \
changes to object storage.

Moving later is a weekend's work if you keep to portable SQL. Do run your tests on the engine that you deploy on.
""",
        first_s=4.2,
        chunk_s=0.1,
        tokens=(3900, 1420),
        pages={
            "https://sqlite.org/whentouse.html": "Appropriate Uses For SQLite",
            "https://sqlite.org/wal.html": "Write-Ahead Logging",
        },
    ),
    CLAUDE: Response(
        """It depends less on traffic than on **where the app runs**.

On one virtual machine with a disk that stays, SQLite is the simpler choice, and simplicity is worth a lot to a small \
team. On a platform whose disks are thrown away at each deploy, the database file goes with them: take a managed \
PostgreSQL there, whatever the traffic.

I would also begin with PostgreSQL if you already know that workers on other machines will write, or that you want \
row-level security or extensions such as PostGIS.

Do not count on an easy move later. SQLite accepts a text in an integer column, has no date type, and lets one writer \
in at a time: code that has grown around this fails in ways that tests on the old engine do not show. Decide before \
there is data.

Either way, back up while the app runs (`VACUUM INTO`, `pg_dump`) and restore from it once, to know that it works.
""",
        first_s=2.1,
        chunk_s=0.125,
        tokens=(4200, 510),
        pages={"https://sqlite.org/whentouse.html": "Appropriate Uses For SQLite"},
    ),
    GEMINI: Response(
        """**SQLite** for most small web apps. Its makers say that any site with fewer than 100,000 hits a day should \
be fine, and that is a careful figure. Past that, plan the move.

- Use WAL mode, or a long read will hold up every write.
- Declare tables as `STRICT`: then a column takes only its own type.
- Reach the database through an ORM. Then the move to PostgreSQL is a new connection string and a copy of the data.

Choose **PostgreSQL** from the start for several application servers, or for heavy reports beside the live traffic.
""",
        first_s=1.4,
        chunk_s=0.115,
        tokens=(3100, 980),
        pages={
            "https://sqlite.org/whentouse.html": "Appropriate Uses For SQLite",
            "https://sqlite.org/stricttables.html": "STRICT Tables",
        },
    ),
}

JUDGE_TOKENS, CONSULT_TOKENS, ANSWER_TOKENS = (2100, 1650), (310, 48), (2400, 760)


def analysis(names: dict[str, str]) -> dict[str, Any]:
    """Return what the judge finds.

    Args:
        names: The letter under which it read each panelist.
    """
    gpt, claude, gemini = (names[model] for model in PANEL)
    return {
        "consensus": [
            "SQLite is enough for a small web app on one machine whose disk stays.",
            "PostgreSQL is the choice once several machines write.",
        ],
        "contradictions": [
            {
                "topic": "What a later move costs",
                "stances": [
                    {"model": gpt, "stance": "A weekend, if the SQL is portable."},
                    {"model": claude, "stance": "More than it seems: types, dates and locks differ. Decide now."},
                    {"model": gemini, "stance": "Little behind an ORM: a new connection string."},
                ],
            },
            {
                "topic": "When to leave SQLite",
                "stances": [
                    {"model": gpt, "stance": "When a second machine has to write."},
                    {"model": gemini, "stance": "Past about 100,000 hits a day."},
                ],
            },
        ],
        "partial_coverage": [
            {"models": [gpt, gemini], "point": "Write-ahead logging lets readers go on during a write."},
            {"models": [gpt, claude], "point": "A running database is backed up with VACUUM INTO, not copied."},
            {"models": [claude, gemini], "point": "SQLite takes a value of any type unless it is told not to."},
        ],
        "unique_insights": [
            {"model": gpt, "insight": "Tests should run on the engine that is deployed."},
            {"model": claude, "insight": "Where disks are thrown away at each deploy, the database goes with them."},
            {"model": gemini, "insight": "STRICT tables make SQLite check types."},
        ],
        "blind_spots": ["Nobody asked who will run the database: patches, upgrades, alerts at night."],
    }


ANSWER = """\
**SQLite, if the app runs on one machine whose disk stays.** Otherwise a managed PostgreSQL.

| your app | take |
|---|---|
| one machine, one disk that stays | SQLite |
| disks thrown away at each deploy | PostgreSQL |
| several machines that write | PostgreSQL |

Traffic is seldom the reason to leave: SQLite's makers are comfortable with 100,000 hits a day [1]. With SQLite, turn \
on write-ahead logging [2], declare tables as `STRICT` [3], and back up with `VACUUM INTO`:

```sql
PRAGMA journal_mode = WAL;
PRAGMA busy_timeout = 5000;
```

The panel did not agree on what a later move costs. Take the careful view: an ORM hides the dialect, but not the types \
and the locks. If you expect a second writing machine within a year, begin with PostgreSQL.

Nobody considered who will look after the database. For a team without such a person, that speaks for SQLite, too.
"""
