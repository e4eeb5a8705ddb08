"""What all differential tests do: the same questions to two daemons, differences of the kinds that are meant, and how any other is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

OUTAGE, REFUSED, ACCEPTED = ("NO", "closed"), ("OK", "NO"), ("NO", "OK")
"""Stock's answer and ours. Closed without an answer is an outage."""

EXAMPLES = 3
"""Of each group of differences, how many are shown."""


class Asked(Protocol):
    """What was asked; its text shows all of it. `kind` says what it tries."""

    @property
    def kind(self) -> str: ...


A = TypeVar("A", bound=Asked)
S = TypeVar("S", contravariant=True)


@dataclass(frozen=True, slots=True)
class Difference(Generic[A]):
    """One question to which the two said different things: OK, NO, nothing (closed without an answer), or what went wrong."""

    attempt: A
    one: str
    other: str


@dataclass(frozen=True)  # with slots Python 3.11 cannot make one of a Kind[...]
class Kind(Generic[S]):
    """One kind of difference. `answers`: as they may be; `applies` to what was seen."""

    name: str
    why: str
    answers: tuple[tuple[str, str], ...]
    applies: Callable[[S], bool]


def first(kinds: Iterable[Kind[S]], answers: tuple[str, str], seen: S) -> Kind[S] | None:
    """The first that it is of. None: it is a fault."""
    return next((kind for kind in kinds if answers in kind.answers and kind.applies(seen)), None)


def told_faults(faults: Sequence[Difference[A]]) -> list[str]:
    """Each group of differences that are alike, with examples, a line each."""
    lines = []
    groups: dict[tuple[str, str, str], list[Difference[A]]] = {}
    for difference in faults:
        groups.setdefault((difference.attempt.kind, difference.one, difference.other), []).append(difference)
    for (kind, one, other), alike in groups.items():
        lines.append(f"    {len(alike)} x {kind}: stock {one}, the other {other}")
        lines += [f"        {difference.attempt}" for difference in alike[:EXAMPLES]]
    return lines


def summed(kinds: Iterable[Kind[S]], meant: Counter[str]) -> str:
    """All kinds of differences that are meant, how often each has come, and why it is."""
    return "\n".join(f"{meant[kind.name]:6}  {kind.name}: {kind.why}" for kind in kinds)
