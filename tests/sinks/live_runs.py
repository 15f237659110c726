"""Runs for the live view, as the events that they are made of: a good one, a degraded one and one that failed."""

from fusion_cli import events
from fusion_cli.chat import Citation, Usage
from fusion_cli.events import Event
from fusion_cli.results import Analysis, Point, Quote, SecondLook, Supported
from fusion_cli.sinks.analysis_view import Findings
from fusion_cli.sinks.live.state import Cast

LABELS = ("openai/gpt-5", "anthropic/claude-opus-4.8", "google/gemini-3-pro")
CAST = Cast(LABELS, "openai/gpt-5", consults=False, answers=True)
TEXT = "SQLite is enough for one machine. " * 6 + "\n\n日本語でも同じです。🎉 " * 8
ANSWER = "# SQLite\n\nIt is **enough**, see [the docs](https://sqlite.org/).\n\n- one file\n- no server\n"
ANALYSIS = Analysis.model_validate(
    {
        "consensus": ["SQLite is enough for a small web app, as long as back-ups are taken.", "Use WAL."],
        "contradictions": [
            {
                "topic": "When to move to PostgreSQL",
                "stances": [
                    {"model": LABELS[0], "stance": "When a second server writes, as replication is needed then."},
                    {"model": LABELS[1], "stance": "From the start: migrations are costly."},
                ],
            },
            {
                "topic": "Full text search",
                "stances": [
                    {"model": LABELS[1], "stance": "FTS5 suffices."},
                    {"model": LABELS[2], "stance": "[red]It does not[/red]: 日本語 needs more."},
                ],
            },
        ],
        "partial_coverage": [
            {"models": [LABELS[0], LABELS[2]], "point": "Litestream takes back-ups while the app runs."},
            {"models": [LABELS[1]], "point": "Connections are pooled."},
        ],
        "unique_insights": [
            {"model": LABELS[2], "insight": "STRICT tables catch mistakes."},
            {"model": LABELS[0], "insight": "One writer at a time."},
        ],
        "blind_spots": ["Nobody asked what it costs."],
    }
)
QUOTES = (
    Quote(where="contradictions[0].stances[1]", model=LABELS[1], quote="", held=False),
    Quote(where="partial_coverage[0]", model=LABELS[2], quote="x", held=False),
    Quote(where="unique_insights[1]", model=LABELS[0], quote="y", held=False),
    Quote(where="unique_insights[0]", model=LABELS[2], quote="z", held=True),
)
LOOK_AGAIN = SecondLook(agreement=0.8, points=[Point(where="consensus[1]", stable=False)], analysis=ANALYSIS)
CHECKED = Findings(ANALYSIS, LABELS, QUOTES, Supported.over(QUOTES), LOOK_AGAIN, ("2 repeated points were dropped",))


def panel_at_work() -> list[Event]:
    """Return a panel in the middle: one writes, one waits for its server, one has failed."""
    return [
        events.FusionInProgress("prompt", "SQLite or PostgreSQL?"),
        *(events.PanelAdded(label, label) for label in LABELS),
        events.PanelDelta(LABELS[0], "", "Let me think."),
        events.PanelDelta(LABELS[0], TEXT, ""),
        events.CallRetried("panel", LABELS[1], 2, 12.0, "HTTP 429: slow down", 429),
        events.PanelFailed(LABELS[2], LABELS[2], "HTTP 403: flagged by moderation, category x", 403, "", 0.4),
    ]


def rest_of_panel(*, answers: bool = True) -> list[Event]:
    """Return how it ends: with two responses, or none."""
    if not answers:
        return [events.PanelFailed(label, label, "HTTP 500: no", 500, "", 2.0) for label in LABELS[:2]]
    usage = Usage(completion_tokens=412, cost=0.0123)
    page = (Citation("https://e.org/", "E"),)
    return [
        events.PanelCompleted(LABELS[0], LABELS[0], TEXT, 11.2, usage, truncated=False, citations=page),
        events.PanelCompleted(LABELS[1], LABELS[1], TEXT, 14.9, Usage(), truncated=True),
    ]


def judged() -> list[Event]:
    """Return a judge's work."""
    return [
        events.AnalysisInProgress("z/judge", 2),
        events.AnalysisDelta(0, 400),
        events.AnalysisDelta(80, 0),
        events.Warned("2 repeated points were dropped"),
        events.AnalysisCompleted(ANALYSIS, 9.8),
    ]


def answered(text: str = ANSWER, size: int = 7) -> list[Event]:
    """Return an answer that comes in pieces."""
    pieces = [events.AnswerDelta(text[at : at + size]) for at in range(0, len(text), size)]
    return [*pieces, events.AnswerCompleted(text)]
