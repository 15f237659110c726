"""Numbers of things in words. Pure."""


def counted(number: int, noun: str) -> str:
    """Return how many there are of what the noun names."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
