"""A run whose every text tries to get out of the page, and a reader that notes what a page would have a browser do."""

from html.parser import HTMLParser
from typing import Any

from fusion_cli.results import AskRun
from fusion_cli.timeline import Row, Segment
from tests.sinks.shown_runs import HAPPY, OPUS

VOID = {"meta", "br", "hr"}


def attacks(trap: str) -> str:
    """Return a text of many ways to run a script, or to fetch from this address."""
    run = "document.title='pwned'"
    return "\n\n".join(
        [
            f"<script>{run};fetch('{trap}script')</script>",
            f'<img src="{trap}img" onerror="{run}">',
            f"<svg/onload={run}><style>@import '{trap}import';</style></svg>",
            f'</title></style></script></details></section></main><script src="{trap}src"></script>',
            f'"><iframe src="{trap}frame" srcdoc="<script>parent.{run}</script>"></iframe>',
            f"' autofocus onfocus={run} x='",
            f"[click](javascript:{run}) [click](JaVaScRiPt&#58;{run}) <javascript:{run}>",
            f"[click](data:text/html,<script>{run}</script>) [click](vbscript:x) [file](file:///etc/passwd)",
            f'[title](https://example.org "\\" onmouseover={run} x=\\"")',
            f'[quote](https://example.org/"onmouseover="{run}) [tab](java\tscript:{run})',
            f'![picture]({trap}picture "title") ![picture](data:image/svg+xml,<svg onload={run}>)',
            f"![<script>{run}</script>](javascript:{run})",
            f"[reference]\n\n[reference]: javascript:{run}",
            f"```<script>{run}</script>\n</code></pre><script>{run}</script>\n```",
            f'| <script>{run}</script> | a |\n|:-:|--|\n| <img src={trap}cell onerror={run}> | "onclick="{run} |',
            f"# </h3><script>{run}</script>",
            f'<link rel="stylesheet" href="{trap}css"><base href="{trap}">',
            f'<meta http-equiv="refresh" content="0;{trap}meta">',
            f'<a ping="{trap}ping" href="x">x</a><form action="{trap}form"><input autofocus onfocus="{run}"></form>',
            "&#x202e;reversed &#27;[31m [entity](https://example.org/&#x202e;)",
            "`unclosed <!-- <![CDATA[ <? \x1b[31m \x00 \u202e",
            "```\nunclosed fence",
        ]
    )


def hostile(trap: str) -> tuple[AskRun, str, list[str], list[Row]]:
    """Return what a page is made of, with attacks in each text of it."""
    text = attacks(trap)

    def infected(value: Any) -> Any:
        if isinstance(value, str):
            return value if value in LITERAL else text if value != OPUS else f"{OPUS}<script>{text}"
        if isinstance(value, dict):
            return {key: infected(inner) for key, inner in value.items()}
        return [infected(inner) for inner in value] if isinstance(value, list) else value

    run = infected(HAPPY.run.model_dump())
    run["result"]["responses"][0]["content"] = "<b onclick=x>" + "a" * 1_000_000
    run["result"]["failed_models"] = [{"model": text, "label": "x" + text, "error": text, "content": text}]
    run["sources"] += [{"url": url, "title": text} for url in ("javascript:alert(1)", 'https://x.example/"onclick="x')]
    waited, wrote = Segment("waiting", 0.0, 1.0), Segment("writing", 1.0, 2.0)
    rows = [Row("panel", text, (waited,), failed=True), Row("judge", text, (wrote,), failed=False)]
    return AskRun.model_validate(run), text, [text], rows


LITERAL = {"ok", "error", "panel", "judge", "outer"}


class Page(HTMLParser):
    """Notes each tag with its attributes, and whether every tag that is opened is closed, in its order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.misnested: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that has no end."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Note where a tag ends."""
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.misnested.append(tag)

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text.append(data)
