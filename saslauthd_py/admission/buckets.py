"""Token buckets in bounded memory. Times are whole nanoseconds, so that what is taken and given back adds up to nothing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from heapq import nlargest
from itertools import islice

from saslauthd_py.config.settings.admission import Rate

MOST = 1 << 15
"""Buckets that are not full, of one kind."""

SECOND = 1_000_000_000

_SLOTS = 64
_LOOKED_AT = 1000


class Buckets:
    """A bucket of `rate.count` tokens for every key, which fills evenly within `rate.seconds`. `cause` says what an empty one means.

    A bucket is one number: when it will be full again. A full one is not kept; over `most`, those that are nearest to it go first.
    Names made up by the million so push each other out, and a guesser at its limit last of all.
    `refused` logins met an empty one: whoever refuses them counts.
    """

    def __init__(self, rate: Rate, cause: str, most: int = MOST) -> None:
        self.cause = cause
        self.refused = 0
        self.count = rate.count
        self._step = round(rate.seconds * SECOND / rate.count)
        self._size = self._step * rate.count
        self._slot = max(self._size // _SLOTS, 1)
        self._most = most
        self._full_at: dict[Hashable, int] = {}
        self._slots: dict[int, OrderedDict[Hashable, None]] = {}  # keys by the slot of time in which they are full: about _SLOTS of them

    def __len__(self) -> int:
        return len(self._full_at)

    def used(self, key: Hashable, now: int) -> float:
        """How many tokens are out, in parts of one too: they come back evenly."""
        return max(self._full_at.get(key, now) - now, 0) / self._step

    def emptiest(self, most: int) -> list[Hashable]:
        """The keys of the emptiest buckets, the emptiest first, so far as `_LOOKED_AT` of them show: never a long walk."""
        found: list[Hashable] = []
        for slot in sorted(self._slots, reverse=True):
            found += islice(self._slots[slot], _LOOKED_AT - len(found))
            if len(found) >= most:
                break
        return nlargest(most, found, key=self._full_at.__getitem__)

    def fill(self, key: Hashable) -> bool:
        """Give all tokens back. False: the bucket is full."""
        empty = key in self._full_at
        self._forget(key)
        return empty

    def fill_all(self, wanted: Callable[[Hashable], bool]) -> int:
        """The same for the keys that are wanted; how many were not full."""
        return sum(self.fill(key) for key in [key for key in self._full_at if wanted(key)])

    def has_token(self, key: Hashable, now: int) -> bool:
        """Whether one can be taken."""
        return self._full_at.get(key, now) - now <= self._size - self._step

    def take(self, key: Hashable, now: int) -> None:
        """One token less; none below none."""
        self._put(key, min(max(self._full_at.get(key, now), now) + self._step, now + self._size), now)

    def give_back(self, key: Hashable, now: int) -> None:
        """One token more, in a bucket that is not full."""
        if key in self._full_at:
            self._put(key, self._full_at[key] - self._step, now)

    def _put(self, key: Hashable, full_at: int, now: int) -> None:
        self._forget(key)
        self._forget_full(now)
        if full_at <= now:
            return
        while len(self._full_at) >= self._most:
            self._forget(next(iter(self._slots[min(self._slots)])))
        self._full_at[key] = full_at
        self._slots.setdefault(full_at // self._slot, OrderedDict())[key] = None

    def _forget(self, key: Hashable) -> None:
        full_at = self._full_at.pop(key, None)
        if full_at is not None:
            slot = full_at // self._slot
            del self._slots[slot][key]
            if not self._slots[slot]:
                del self._slots[slot]

    def _forget_full(self, now: int) -> None:
        """More than are added, and never many at once: the loop waits for it."""
        for _ in range(2):
            oldest = min(self._slots, default=now)
            if (oldest + 1) * self._slot > now:
                return
            self._forget(next(iter(self._slots[oldest])))
