"""What tells a proof of an account from one of before its last change: a number each, for whoever promises `Watched.generation`."""

from __future__ import annotations

COUNTED = 10_000
"""Accounts with a number of their own in `Generations`."""


class Generations:
    """A number for every account, another one after each of its changes, in bounded memory."""

    def __init__(self) -> None:
        self._last = 0
        self._floor = 0
        self._numbers: dict[str, int] = {}

    def __getitem__(self, name: str) -> int:
        return self._numbers.get(name, self._floor)

    def count(self, changed: frozenset[str] | None) -> None:
        """These accounts have changed; None: any may have."""
        self._last += 1
        if changed is None or len(self._numbers) + len(changed) > COUNTED:
            self._numbers.clear()
            self._floor = self._last
        else:
            self._numbers.update(dict.fromkeys(changed, self._last))
