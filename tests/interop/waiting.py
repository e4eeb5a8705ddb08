"""How long tests wait for other processes."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 20.0
"""Seconds until a process that does not do its part fails the test; longer than any deadline of the daemon."""


def until(happened: Callable[[], bool], what: str) -> None:
    """Wait where no event tells; AssertionError with `what` after PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"after {PATIENCE:.0f} s still not: {what}"
        time.sleep(0.01)
