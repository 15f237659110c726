"""What the environment says of the screen, and whether it gets colours. Reads nothing itself."""

from typing import NamedTuple

from fusion_cli.values import COLOR


class Screen(NamedTuple):
    """What the environment says of the screen.

    Attributes:
        term: What kind of terminal it is.
        is_ci: Whether no person but a machine's log is looking.
        no_color: NO_COLOR (https://no-color.org) is set.
        force_color: FORCE_COLOR is, and not 0.
        columns: How wide a page is that no screen shows (COLUMNS).
    """

    term: str = ""
    is_ci: bool = False
    no_color: bool = False
    force_color: bool = False
    columns: int = 80

    def has_colour(self, flag: str | None, *, by_itself: bool) -> bool:
        """Tell whether standard output gets colours.

        Args:
            flag: What `--color` says, if anything; it wins over the environment.
            by_itself: Whether it would get them if nobody said anything.

        Raises:
            UsageError: The flag says none of auto, always and never.
        """
        if flag is not None:
            flag = COLOR.fit(COLOR.read(flag), "--color")
        if flag in ("always", "never"):
            return flag == "always"
        return not self.no_color and (self.force_color or by_itself)
