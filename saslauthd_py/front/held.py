"""Replies that wait for their time. Waiting costs a timer, and a place among few: a flood of failures holds no MTA for long (rule D1)."""

from __future__ import annotations

import random

import trio

UNKNOWN_ADDRESS_MOST = 2.0
"""Seconds: without the client's address a longer delay would punish the MTA, not the guesser."""

_JITTER = 0.1


class Held:
    """The failures of one listener that are answered later, `most` of them at a time; over that the oldest go out at once."""

    def __init__(self, delay: float, most: int) -> None:
        self._delay = delay
        self._most = most
        self._waiting: dict[trio.Event, None] = {}
        self._released = False

    async def until_due(self, arrived: float, *, address_known: bool, hold: float = 0.0) -> None:
        """Wait until `arrived` plus the delay, less up to a tenth of it; the same for every cause of failure. trio's clock.

        `hold`: seconds from now on that the backend wants at least.
        """
        delay = self._delay if address_known else min(self._delay, UNKNOWN_ADDRESS_MOST)
        due = arrived + delay * (1 - _JITTER * random.random())  # noqa: S311 - spreads replies in time, hides nothing
        due = max(due, trio.current_time() + hold) if hold else due
        if self._released or due <= trio.current_time():
            return
        while len(self._waiting) >= self._most:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            oldest.set()
        mine = trio.Event()
        self._waiting[mine] = None
        try:
            with trio.move_on_at(due):
                await mine.wait()
        finally:
            self._waiting.pop(mine, None)

    def release(self) -> None:
        """The daemon is stopping: everything goes out now."""
        self._released = True
        for event in self._waiting:
            event.set()
