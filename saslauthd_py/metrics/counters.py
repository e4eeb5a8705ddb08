"""What happened so far, as plain integers: the hot path adds, whoever reports reads.

A login that the loop answers from the cache costs one addition, to a cell that its proof holds on to; where it belongs was looked up
once for the proof. A login of the task path costs one to the cell of its kind, and two for the time it took.
"""

from __future__ import annotations

import collections
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import NamedTuple, assert_never

from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: the upper bounds of a histogram's buckets; one more bucket takes what is over the last."""

ACCEPTED, REJECTED, UNAVAILABLE = "accepted", "rejected", "unavailable"
OUTAGE, LIMIT, UNKNOWN_USER = "outage", "limit", "unknown-user"

OUTCOMES: tuple[tuple[str, str], ...] = (
    (ACCEPTED, ""),
    *((REJECTED, str(reason)) for reason in Reason),
    (REJECTED, UNKNOWN_USER),
    (UNAVAILABLE, OUTAGE),
    (UNAVAILABLE, LIMIT),
)
"""All there are: the word for a verdict, and that for the class of its reason."""


PASSWORD = frozenset({"", "PLAIN", "LOGIN"})
"""The mechanisms in which a secret is sent, so that the cache can be looked at for it; empty: there is none, or nobody knows."""


class Where(NamedTuple):
    """Where a login was decided: for which listener, by which backend (empty: none was asked), whether from the cache.

    `mechanism`: SASL's, where we decoded it and a task decided; the loop does not look at it, and answers none but PASSWORD.
    """

    listener: str
    backend: str = ""
    cached: bool = False
    mechanism: str = ""


class Kind(NamedTuple):
    """What is counted together. Every part comes from the configuration or from this program, so there are few (never a user's name)."""

    where: Where
    verdict: str
    reason: str


class Times:
    """Of logins of one kind: how many took so long, by bucket, and the seconds of all together."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.buckets)

    def copy(self) -> Times:
        """The same, that grows no more."""
        return Times() + self

    def __add__(self, other: Times) -> Times:
        both = Times()
        both.buckets = [mine + more for mine, more in zip(self.buckets, other.buckets, strict=True)]
        both.seconds = self.seconds + other.seconds
        return both

    def add(self, seconds: float) -> None:
        """One more, that took so long."""
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds


class Counters:
    """Of one process since its start; a reload keeps them. The loop alone adds, and who reads on the loop reads them whole.

    `protocols` are the listeners so far, by their names. Requests that nobody was asked about are counted by listener: `refused_at`,
    and `incomplete_at` for those that never became whole. `faults` are bugs that a client met.
    """

    def __init__(self) -> None:
        self.protocols: dict[str, str] = {}
        self.refused_at: collections.Counter[str] = collections.Counter()
        self.incomplete_at: collections.Counter[str] = collections.Counter()
        self.faults = 0
        self._decided: collections.defaultdict[Kind, Times] = collections.defaultdict(Times)
        self._inline: dict[Where, list[int]] = {}

    def serves(self, listener: str, protocol: str) -> None:
        """There is a listener of that name: it is reported from now on, with zeros."""
        self.protocols[listener] = protocol

    def inline_cell(self, listener: str, backend: str) -> list[int]:
        """One integer, to be added to for each login that the loop answers there by a proof of this backend's: the same for all proofs."""
        return self._inline.setdefault(Where(listener, backend, cached=True), [0])

    def decided(self, verdict: Verdict, seconds: float, where: Where) -> None:
        """Count one verdict of the task path. `seconds`: from arrival to verdict, without any delay of the answer."""
        self._decided[Kind(where, *outcome(verdict))].add(seconds)

    def kinds(self) -> Iterator[tuple[Kind, Times]]:
        """Copies of all that was decided; inline too, as logins that took less than the first bound, and no time that was measured."""
        for kind, times in self._decided.items():
            yield kind, times.copy()
        for where, cell in self._inline.items():
            times = Times()
            times.buckets[0] = cell[0]
            yield Kind(where, ACCEPTED, ""), times

    @property
    def accepted(self) -> int:
        """By a task; `inline` ones are accepted too."""
        return self._total(lambda kind: kind.verdict == ACCEPTED)

    @property
    def rejected(self) -> int:
        """For whatever reason."""
        return self._total(lambda kind: kind.verdict == REJECTED)

    @property
    def unavailable(self) -> int:
        """For whatever cause."""
        return self._total(lambda kind: kind.verdict == UNAVAILABLE)

    @property
    def limited(self) -> int:
        """Those of `unavailable` that met a limit of failed logins."""
        return self._total(lambda kind: kind.reason == LIMIT)

    @property
    def cached(self) -> int:
        """By a task, with a proof from the cache."""
        return self._total(lambda kind: kind.where.cached)

    @property
    def looked_up_in_vain(self) -> int:
        """By a task that found no proof. None is looked for where no secret was sent, or the name has no route."""
        return self._total(lambda kind: not kind.where.cached and kind.reason != Reason.NO_ROUTE and kind.where.mechanism in PASSWORD)

    @property
    def inline(self) -> int:
        """By the loop, with a proof from the cache."""
        return sum(cell[0] for cell in self._inline.values())

    @property
    def refused(self) -> int:
        """Whole requests that nobody was asked about."""
        return self.refused_at.total()

    @property
    def incomplete(self) -> int:
        """Clients that were closed because their request never became whole."""
        return self.incomplete_at.total()

    def __str__(self) -> str:
        return " ".join(f"{name}={getattr(self, name)}" for name in _IN_TEXT)

    def _total(self, counts: Callable[[Kind], bool]) -> int:
        return sum(times.count for kind, times in self._decided.items() if counts(kind))


_IN_TEXT = ("accepted", "rejected", "unavailable", "limited", "refused", "inline", "cached", "incomplete", "faults")


def outcome(verdict: Verdict) -> tuple[str, str]:
    """Which of OUTCOMES this is."""
    match verdict:
        case Accepted():
            return ACCEPTED, ""
        case Rejected(reason):
            return REJECTED, str(reason)
        case UnknownUser():
            return REJECTED, UNKNOWN_USER
        case Unavailable(limited=limited):
            return UNAVAILABLE, LIMIT if limited else OUTAGE
    assert_never(verdict)
