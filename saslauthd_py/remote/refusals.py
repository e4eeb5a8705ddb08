"""How long a no takes there, for those that are made here without asking (rule D6)."""

from __future__ import annotations

from collections import deque
from contextvars import ContextVar
from statistics import median

import trio

from saslauthd_py.secret import Secret

LONGEST = 1.0
"""Seconds that a pretended question takes, at most, for being like those that were refused."""

_MEMORY = 31

_COMPARED: ContextVar[Secret | None] = ContextVar("remote_compared", default=None)


class Refusals:
    """The last refusals of one backend. Nothing is sent for a login that only pretends: a server may count it, and bar this machine."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_MEMORY)

    def note(self, seconds: float) -> None:
        """The system took so long to say that a secret is wrong."""
        self._seconds.append(min(seconds, LONGEST))

    def judged(self, secret: Secret) -> None:
        """The system has judged this task's login, by whatever rule: it owes no more work."""
        _COMPARED.set(secret)

    async def pretend(self, secret: Secret) -> None:
        """As `Backend.pretend`."""
        if _COMPARED.get() is not secret:
            await trio.sleep(median(self._seconds or (0.0,)))
