"""What the readers of pages share: how much they may read and for how long, how they are stopped, what they found.

Knows no format and no package that reads one but by name.
"""

import sys
from collections.abc import Callable
from itertools import count
from time import thread_time
from types import FrameType
from typing import NamedTuple, TypeVar

# Only in these is work stopped. An exception that came up in a finalizer, or in a callback of a weak reference, would
# be printed and lost, and break off the work of whoever owns the object, which the garbage collector finds in any
# thread; none of these packages has such things.
_STOPPED_IN = (
    "fusion_cli.web.extract_",
    "trafilatura.",
    "htmldate.",
    "courlan.",
    "justext.",
    "lxml.",
    "pypdf.",
)

_T = TypeVar("_T")


class Limits(NamedTuple):
    """How much of a page is read.

    Attributes:
        plain_s: Seconds that `plain_html` may take, twice at most.
        rich_s: Seconds that trafilatura may take.
        pdf_s: Seconds that pypdf may take.
        clock: What tells the seconds: the thread's own processor time, so that a busy machine cuts no page short.
        html_chars: Characters of HTML besides scripts; a hostile page takes two hundred times their memory.
        rich_tags: Tags of a page that is given to trafilatura, which copies the tree several times.
        pdf_pages: Pages of a PDF.
    """

    plain_s: float = 1.5
    rich_s: float = 2.0
    pdf_s: float = 4.0
    clock: Callable[[], float] = thread_time
    html_chars: int = 2_000_000
    rich_tags: int = 60_000
    pdf_pages: int = 50


USUAL = Limits()


class Found(NamedTuple):
    """What a reader found in a page: its title, its text, and what of it is missing, if anything."""

    title: str
    text: str
    missing: str = ""


class _OutOfTimeError(BaseException):
    """Passes the `except Exception` of the packages that it stops."""


def alarm(seconds: float, clock: Callable[[], float]) -> Callable[[], None]:
    """Return what work has to call often, and what raises `TimeoutError` there after so many seconds."""
    deadline = clock() + seconds

    def look_at_the_clock() -> None:
        if clock() > deadline:
            raise TimeoutError

    return look_at_the_clock


def bounded(seconds: float, clock: Callable[[], float], work: Callable[[], _T]) -> _T:
    """Return what `work`, which calls no `alarm`, returns; it is stopped soon after so many seconds.

    It is stopped where the packages' Python code calls or returns; one long call of C is not broken off. Looking there
    makes it several times as slow.

    Raises:
        TimeoutError: It was stopped.
    """
    deadline, events = clock() + seconds, count()
    is_late, is_running = False, True

    def look_at_the_clock(frame: FrameType, *_: object) -> None:
        nonlocal is_late
        if not is_late:
            if next(events) & 15:  # looking takes longer than most calls
                return
            is_late = clock() > deadline
        if is_late and is_running and f"{frame.f_globals.get('__name__')}.".startswith(_STOPPED_IN):
            raise _OutOfTimeError

    previous = sys.getprofile()
    try:
        sys.setprofile(look_at_the_clock)
        return work()
    except _OutOfTimeError:
        raise TimeoutError from None
    finally:
        is_running = False  # the next line is a call, too
        sys.setprofile(previous)
