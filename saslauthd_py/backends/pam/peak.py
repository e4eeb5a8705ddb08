"""The highest value of late."""

from __future__ import annotations

from collections.abc import Callable


class Peak:
    """The highest value noted within the last `memory` seconds, or up to twice that. A flood of low ones does not push it out."""

    def __init__(self, memory: float, clock: Callable[[], float]) -> None:
        self._memory = memory
        self._clock = clock
        self._turn = float("-inf")
        self._now = self._before = 0.0

    def note(self, value: float) -> None:
        """Take a value into account."""
        self._advance()
        self._now = max(self._now, value)

    def highest(self) -> float:
        """0.0 where there was none."""
        self._advance()
        return max(self._now, self._before)

    def _advance(self) -> None:
        passed = self._clock() - self._turn
        if passed >= self._memory:
            self._before = self._now if passed < 2 * self._memory else 0.0
            self._now = 0.0
            self._turn = self._clock()
