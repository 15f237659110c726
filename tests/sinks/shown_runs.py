"""Three runs that never were, whole, degraded and failed, for reports whose every word is reviewed."""

from typing import Any, NamedTuple

from fusion_cli.results import AnalysisRun, AskRun
from fusion_cli.timeline import Row, Segment

GPT, OPUS, GEMINI = "openai/gpt-5", "anthropic/claude-opus-4.8", "google/gemini-3-pro"
SQLITE = {"url": "https://sqlite.org/whentouse.html", "title": "Appropriate Uses For SQLite"}
WAL = {"url": "https://sqlite.org/wal.html", "title": "Write-Ahead Logging"}
QUESTION = "SQLite or PostgreSQL for a small web app?"
FACTS = ("ask 20261128T094000123-abcdef", "2026-11-28 09:40:00", "31.4 s, 4,810 tokens, $0.0712")

ANSWER = """**Start with SQLite**, and move when you can name the reason [1].

## When SQLite is enough

One machine, few writers, a *back-up that you have tested*:

```sql
PRAGMA journal_mode = WAL;  -- readers no longer wait for the writer
```

## When it is not

| sign | what to do |
|---|---|
| several machines write | PostgreSQL |
| long reports beside many writes | PostgreSQL, or a replica |

> The migration is a weekend. Doing it too early costs you every week.

1. Put the database access in one module.
2. See [the documentation](https://sqlite.org/whentouse.html).
"""

ANALYSIS: dict[str, Any] = {
    "consensus": [
        "SQLite is enough for one machine with few writers.",
        "`WAL` mode has to be switched on for a web app.",
    ],
    "contradictions": [
        {
            "topic": "When to move to PostgreSQL",
            "stances": [
                {"model": GPT, "stance": "As soon as a second process writes."},
                {"model": OPUS, "stance": "Only when more than one machine does; processes can share the file."},
                {"model": GEMINI, "stance": "From the start, since moving later is expensive."},
            ],
        },
        {
            "topic": "Full-text search",
            "stances": [
                {"model": GPT, "stance": "FTS5 does."},
                {"model": GEMINI, "stance": "PostgreSQL's is clearly better for languages other than English."},
            ],
        },
    ],
    "partial_coverage": [
        {"models": [GPT, OPUS], "point": "Back-ups: copying the file of a running database is not one."},
        {"models": [OPUS], "point": "What hosting costs."},
    ],
    "unique_insights": [
        {"model": OPUS, "insight": "A network file system breaks SQLite's locks."},
        {"model": GEMINI, "insight": "Extensions such as PostGIS decide it for some applications."},
    ],
    "blind_spots": ["Nobody asked how many users there are."],
}


def _ask(**fields: Any) -> AskRun:
    return AskRun.model_validate(fields)


def _call(
    role: str, model: str, took: float, tokens: tuple[int, int], cost: float | None, **more: Any
) -> dict[str, Any]:
    usage = dict.fromkeys(("reasoning_tokens", "cached_tokens", "server_tool_calls", "web_search_requests"))
    return {
        "role": role,
        "model": model,
        "answered_by": None,
        "label": model,
        "attempts": 1,
        "duration_s": took,
        "finish_reason": "stop",
        "usage": {
            "prompt_tokens": tokens[0],
            "completion_tokens": tokens[1],
            "total_tokens": sum(tokens),
            "cost": cost,
            **usage,
        },
        "tools": [],
        "tool_calls": [],
        "sources": [],
        **more,
    }


PANEL_CALLS: list[Any] = [
    _call("panel", GPT, 11.2, (420, 412), 0.02, sources=[SQLITE]),
    _call("panel", OPUS, 14.9, (420, 530), 0.03, answered_by="anthropic/claude-opus-4.8-20261001"),
    _call("panel", GEMINI, 9.1, (410, 380), 0.0),
]
JUDGE_CALL = _call("judge", GPT, 9.8, (1600, 300), 0.0112)
ANSWER_CALL = _call("outer", GPT, 6.3, (1900, 338), 0.01)
RESPONSES: list[dict[str, Any]] = [
    {"model": GPT, "label": GPT, "content": "# SQLite\n\nAs soon as a second process writes …", "sources": [SQLITE]},
    {"model": OPUS, "label": OPUS, "content": "It depends:\n\n- one machine: **SQLite**\n- several: PostgreSQL"},
    {"model": GEMINI, "label": GEMINI, "content": "PostgreSQL, from the start.", "truncated": True},
]
TOTALS: dict[str, Any] = {"prompt_tokens": 4750, "completion_tokens": 1960, "total_tokens": 6710, "cost": 0.0712}
COMMON: dict[str, Any] = {
    "run": "20261128T094000123-abcdef",
    "parent": None,
    "supported": {"checked": 7, "held": 6},
    "quotes": [{"where": "unique_insights[0]", "model": OPUS, "quote": "locks break", "held": False}],
    "second_look": {
        "agreement": 0.85,
        "points": [{"where": "blind_spots[0]", "stable": False}],
        "analysis": ANALYSIS,
    },
    "usage": {**TOTALS, "by_role": {"panel": TOTALS, "judge": None, "outer": None}},
    "seed": 7,
    "version": "1.0.0",
}


class Shown(NamedTuple):
    """A run, and what is told of it beside its result."""

    run: AskRun | AnalysisRun
    timeline: tuple[Row, ...]
    unfinished: str = ""


def _row(role: str, label: str, *states: tuple[Any, float], start: float = 0.0, failed: bool = False) -> Row:
    segments = []
    for state, end in states:
        segments.append(Segment(state, start, end))
        start = end
    return Row(role, label, tuple(segments), failed)


ROWS = (
    _row("panel", GPT, ("waiting", 1.1), ("thinking", 4.2), ("searching", 6.0), ("waiting", 6.8), ("writing", 11.2)),
    _row("panel", OPUS, ("waiting", 2.0), ("thinking", 9.5), ("writing", 14.9)),
    _row("panel", GEMINI, ("waiting", 0.8), ("writing", 9.1)),
    _row("judge", GPT, ("waiting", 16.3), ("thinking", 20.1), ("writing", 24.7), start=14.9),
    _row("answer", GPT, ("waiting", 25.9), ("writing", 31.0), start=24.7),
)

HAPPY = Shown(
    _ask(
        **COMMON,
        status="ok",
        answer=ANSWER,
        fused=True,
        model=GPT,
        result={"status": "ok", "analysis": ANALYSIS, "responses": RESPONSES},
        prompt=QUESTION,
        failure_reason=None,
        error=None,
        degraded=False,
        sources=[SQLITE, WAL],
        calls=[*PANEL_CALLS, JUDGE_CALL, ANSWER_CALL],
        warnings=[f"the response of {GEMINI} was cut off by its token limit"],
    ),
    ROWS,
)

_UNKNOWN = dict.fromkeys(TOTALS)
DEGRADED = Shown(
    _ask(
        **{
            **COMMON,
            "supported": None,
            "quotes": None,
            "second_look": None,
            "usage": {**_UNKNOWN, "by_role": {"panel": _UNKNOWN, "judge": None, "outer": None}},
        },
        status="ok",
        answer="SQLite.",
        fused=True,
        model=GPT,
        result={
            "status": "ok",
            "responses": RESPONSES[:1],
            "failed_models": [
                {"model": OPUS, "label": OPUS, "error": "HTTP 502: bad gateway", "status_code": 502},
                {
                    "model": GEMINI,
                    "label": GEMINI,
                    "error": "the stream broke off",
                    "partial": True,
                    "content": "PostgreSQL, from the",
                },
            ],
        },
        prompt=QUESTION,
        failure_reason="judge_not_valid_json",
        error=None,
        degraded=True,
        sources=[SQLITE],
        calls=[
            PANEL_CALLS[0],
            _call("panel", OPUS, 3.2, (0, 0), None, usage=None, attempts=3, error="HTTP 502: bad gateway"),
            ANSWER_CALL,
        ],
        warnings=[f"no analysis: the judge {GPT}: the reply is not valid JSON"],
    ),
    (
        ROWS[0],
        _row("panel", OPUS, ("waiting", 3.2), failed=True),
        _row("panel", GEMINI, ("waiting", 0.8), ("writing", 5.5), failed=True),
        _row("judge", GPT, ("waiting", 16.3), ("writing", 20.1), start=11.2, failed=True),
        _row("answer", GPT, ("waiting", 21.0), ("writing", 25.0), start=20.1),
    ),
)

FAILED = Shown(
    _ask(
        **{**COMMON, "supported": None, "quotes": None, "second_look": None, "run": None},
        status="error",
        answer=None,
        fused=False,
        model=GPT,
        result={
            "status": "error",
            "error": "all panel models failed",
            "failure_reason": "all_panels_failed",
            "failed_models": [
                {"model": GPT, "label": GPT, "error": "HTTP 500: oops", "status_code": 500},
                {"model": OPUS, "label": OPUS, "error": "no first words within 300 s"},
            ],
        },
        prompt=QUESTION,
        failure_reason="all_panels_failed",
        error="HTTP 500: oops",
        degraded=True,
        sources=[],
        calls=[],
        warnings=[],
    ),
    (
        _row("panel", GPT, ("waiting", 3.0), failed=True),
        _row("panel", OPUS, ("waiting", 300.0), failed=True),
        _row("answer", GPT, ("waiting", 301.2), ("writing", 302.0), start=300.0, failed=True),
    ),
    "SQLite is",
)
SHOWN = {"happy": HAPPY, "degraded": DEGRADED, "failed": FAILED}
