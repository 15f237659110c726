"""Draws the README's pictures of the recorded run, as SVG in `.github/pictures`: `python -m tests.tour.pictures`.

Each is a dark window of its own, so that it is read on a light page and on a dark one; no font comes from outside.
"""

import io
import re
from itertools import takewhile
from pathlib import Path
from xml.sax.saxutils import escape

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from fusion_cli import events
from fusion_cli.paragraphs import in_lines
from tests.tour.replay import COLUMNS, closing, happened, live, opening, saved, sources

FOLDER = Path(__file__).parent.parent.parent / ".github" / "pictures"
# The moment of the live view's picture: one has answered, two are writing.
MOMENT_S = 10.6
_BACKGROUND, _TEXT = "161b22", "dce3ea"
_SIXTEEN = (  # black, red, green, yellow, blue, magenta, cyan, white, and the bright ones
    "282e36 ff7b72 56d364 e3b341 79aaff d7a0ff 56d4dd dce3ea 6e7681 ffa198 7ee787 f2cc60 a5cdff e2bfff 8cecf3 ffffff"
)
_FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>TITLE</title>
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace;
    font-size: {char_height}px;
    line-height: {line_height}px;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def pictures() -> dict[str, str]:
    """Return the pictures, by the names of their files."""
    run = list(happened())
    before = [each for each in run if each.t <= MOMENT_S]
    judged = list(takewhile(lambda each: not isinstance(each.event, events.AnswerDelta), run))
    analysis, record = live(judged), live(run)
    opened = "\n".join(map(_noted, opening()))
    answered = [record.removeprefix(analysis).strip("\n"), "", *sources(), _noted(closing())]
    return {
        "live.svg": drawn("live", "The panel at work", live(before, MOMENT_S)),
        "analysis.svg": drawn("analysis", "What the judge found", f"{opened}\n{analysis}"),
        "answer.svg": drawn("answer", "The answer", "\n".join(answered)),
    }


def drawn(name: str, what: str, text: str) -> str:
    """Return a picture of a terminal that shows this text.

    Args:
        name: What its classes are called after.
        what: What is to be seen.
        text: The text, with escape codes for styles.
    """
    console = Console(
        file=io.StringIO(),
        record=True,
        width=COLUMNS,
        color_system="standard",
        force_terminal=True,
        legacy_windows=False,
        _environ={},
    )
    console.print(Text.from_ansi("\n" + text.strip("\n") + "\n"))
    command = f'fusion ask "{saved().plan.prompt.question}"'
    svg = console.export_svg(
        title=command,
        theme=TerminalTheme(_rgb(_BACKGROUND), _rgb(_TEXT), [*map(_rgb, _SIXTEEN.split())]),
        code_format=_FORMAT.replace("TITLE", escape(f"{what}: {command}")),
        unique_id=name,
    )
    return "\n".join(line.strip() for line in re.sub(r"(?<=>)(?=<text|<rect|<clipPath)", "\n", svg).split("\n")) + "\n"


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour)
    return red, green, blue


def _noted(line: str) -> str:
    """Return a line of standard error as `Terminal.insist` breaks it on a screen."""
    return "\n".join(in_lines(line, COLUMNS - 1, further=" " * 8))


def main() -> None:
    """Write the pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, svg in pictures().items():
        (FOLDER / name).write_text(svg, "utf-8")
        print(f"{FOLDER / name}: {len(svg.encode()):,} bytes")


if __name__ == "__main__":
    main()
