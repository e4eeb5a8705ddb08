"""Which accounts of watched files have changed: what a backend tells as `Watched`, and how it gives a verdict that no change overtakes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from saslauthd_py.generations import Generations
from saslauthd_py.verdict import Unavailable, UnknownUser

_MOST_PENDING = 10_000
"""Changed accounts that wait to be taken by name; more count as all."""

_TRIES = 3
"""Proofs of one login whose record changes while they are made. After that many nobody can tell (as rule C8)."""

_Record = TypeVar("_Record")
_Told = TypeVar("_Told")


class Changes:
    """Accounts, as `identity.account` makes them, until they are taken; and a generation of each."""

    def __init__(self) -> None:
        self._generations = Generations()
        self._pending: list[str] | None = []

    def count(self, changed: set[str] | None) -> None:
        """These have changed; None: any may have."""
        if changed == set():
            return
        self._generations.count(None if changed is None else frozenset(changed))
        if changed is None or self._pending is None or len(self._pending) + len(changed) > _MOST_PENDING:
            self._pending = None
        else:
            self._pending += changed

    def any_may_have(self) -> None:
        """All are told as changed; their generations are counted elsewhere."""
        self._pending = None

    def taken(self) -> list[str] | None:
        """Those that have changed since this was last called; None: any may have."""
        seen, self._pending = self._pending, []
        return seen

    def generation(self, account: str) -> int:
        """Another number after each of its changes."""
        return self._generations[account]


async def unovertaken(
    find: Callable[[], Awaitable[_Record | UnknownUser | Unavailable]],
    tell: Callable[[_Record], Awaitable[_Told]],
    same: Callable[[_Record, _Record], bool],
    lost: Unavailable,
) -> _Told | UnknownUser | Unavailable:
    """What `tell` says of a record that is still the `same` afterwards; `lost` where it changes again and again.

    An outage that is found afterwards is `judged` where `lost` is: a secret may have been compared by then (rule D9).
    """
    record = await find()
    for _ in range(_TRIES):
        if isinstance(record, UnknownUser | Unavailable):
            return record
        told = await tell(record)
        after = await find()
        if not isinstance(after, UnknownUser | Unavailable) and same(after, record):
            return told
        record = replace(after, judged=lost.judged) if isinstance(after, Unavailable) else after
    return lost
