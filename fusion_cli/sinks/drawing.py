"""What the sinks draw with: the one rich console, the panelists' colours, and the way from a style to escape codes.

Nothing here reads the environment: width and colour are handed in. Cleans sources alone; markup, emoji codes and
highlighting are off, so that a text is what it says.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from fusion_cli.paragraphs import in_lines
from fusion_cli.terminal import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console, RenderableType

# Of the sixteen that every terminal has, so that they fit its own scheme; red is for what failed.
_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta", "bright_green")
# Each is as wide as what stands for it, or lines would change their length.
_ASCII = str.maketrans("●○✓✗·…•▌─━┃│┌┐└┘├┤┬┴┼╇╪═", "*o+x.~*|--||+++++++++++=")


class Look(NamedTuple):
    """What a screen can show.

    Attributes:
        width: Columns.
        has_colour: Whether any style is shown at all, bold and dim included.
        is_ascii: Whether other characters are beyond its encoding.
    """

    width: int
    has_colour: bool = False
    is_ascii: bool = False


def colours_of(labels: Iterable[str]) -> dict[str, str]:
    """Return each panelist's colour, by the order of the panel: the same wherever it is drawn."""
    return {label: _COLOURS[number % len(_COLOURS)] for number, label in enumerate(dict.fromkeys(labels))}


def rendered(renderable: RenderableType, look: Look) -> str:
    """Return what rich makes of it, with escape codes for styles alone; lines end in line feeds, not in spaces."""
    console = console_for(look)
    with console.capture() as capture:
        console.print(renderable)
    text = "\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n")) + "\n"
    return shown_in(text, look)


def console_for(look: Look) -> Console:
    """Return a console that writes nowhere by itself, and takes nothing from the environment."""
    import io

    from rich.console import Console

    return Console(
        file=io.StringIO(),
        width=look.width,
        height=1000,
        force_terminal=look.has_colour,
        color_system="standard" if look.has_colour else None,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
        _environ={},
    )


def shown_in(text: str, look: Look) -> str:
    """Return a text with our own signs replaced where the encoding lacks them."""
    return text.translate(_ASCII) if look.is_ascii else text


def styled(spans: Sequence[tuple[str, str]], look: Look) -> str:
    """Return a line of texts with their styles as what the terminal is sent."""
    if not look.has_colour:
        return shown_in("".join(text for text, _ in spans), look)
    return shown_in("".join(_start(style) + text + ("\x1b[0m" if style else "") for text, style in spans), look)


def sources_below(lines: Sequence[str], width: int | None = None) -> str:
    """Return the lines of sources under their heading, or nothing where there are none.

    Args:
        lines: Each page's, numbered.
        width: How wide they may be where a person reads them; None leaves them whole.
    """
    if width:
        lines = [part for line in lines for part in in_lines(clean(line), width, further=" " * 4)]
    return "\n".join(["Sources:", *lines]) if lines else ""


@lru_cache(maxsize=64)
def _start(style: str) -> str:
    from rich.color import ColorSystem
    from rich.style import Style

    return Style.parse(style).render("\0", color_system=ColorSystem.STANDARD).partition("\0")[0] if style else ""
