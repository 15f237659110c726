"""Amounts of money as people read them. Pure."""

_DIGITS = 4  # of a dollar, for people


def shown_dollars(dollars: float, digits: int = _DIGITS) -> str:
    """Return dollars as a person reads them: to a hundredth of a cent, without empty digits behind the cents."""
    least = 10**-digits
    if 0 < dollars < least:
        return f"<${least:.{digits}f}"
    whole = f"{dollars:,.{digits}f}"
    end = len(whole) - digits + 2
    return f"${whole[:end]}{whole[end:].rstrip('0')}"


def digits_apart(one: float, other: float) -> int:
    """Return how many digits of a dollar it takes to see which of two amounts is larger."""
    apart = (digits for digits in range(_DIGITS, 9) if round(one, digits) != round(other, digits))
    return next(apart, _DIGITS)
