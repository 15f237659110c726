"""Prose in lines of a given width. Pure; counts characters, so that it is for what is our own, and mostly ASCII."""


def in_lines(text: str, width: int, first: str = "", further: str = "") -> list[str]:
    """Return a text in lines, broken between words alone: an address, an option or a name with a hyphen stays whole.

    Args:
        text: The text, on one line.
        width: How wide the lines are, but for a word that is wider.
        first: What stands before the first line.
        further: What stands before the others.
    """
    import textwrap  # which takes long to import

    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=further, break_long_words=False, break_on_hyphens=False
    )
