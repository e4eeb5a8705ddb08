"""The id of a request: the same word on every line of the log that is about it, so that one grep finds them.

It is unique within a run of the process: what the run began with, a hyphen, a number.
"""

from __future__ import annotations

import itertools
import time
from contextvars import ContextVar

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_STARTS = 36**5
"""Seconds until a start may be called what another was: almost two years."""

NUMBERS = itertools.count(1)
"""Of requests, in the order in which they are taken from here."""

_CURRENT: ContextVar[int] = ContextVar("request", default=0)


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits.rjust(5, "0")


START = f"{_base36(int(time.time()) % _STARTS)}-"
"""What every id of this run begins with; the number follows in hexadecimal."""


def begin() -> None:
    """This task, and whatever it starts, works on a new request from now on."""
    _CURRENT.set(next(NUMBERS))


def current() -> int:
    """The number of the request that this task works on; 0: none."""
    return _CURRENT.get()


def written(number: int) -> str:
    """A request's number as its id."""
    return f"{START}{number:x}"
