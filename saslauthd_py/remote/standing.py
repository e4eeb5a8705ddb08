"""Whether an external system is up: how it is found to be down, and the tries in the background that find it back (rule D8)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

import trio

from saslauthd_py.remote.failing import Failed

_logger = logging.getLogger(__name__)

FAILURES = 3
"""Accounts in a row that a system which can be reached does not answer for, before it counts as down."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 2.0
"""Seconds between two tries to find it back: each pause is twice as long as the one before."""

Probe = Callable[[], Awaitable[object]]
_Answer = TypeVar("_Answer")


class Standing:
    """What is known of one system. `cause`: why it is down, one line; empty: it is up.

    `probe` asks it something without a login, within a time of its own, and raises Failed. `nursery` runs probes; nothing in them ends it.
    """

    def __init__(self, name: str, probe: Probe, nursery: trio.Nursery) -> None:
        self.cause = ""
        self._name = name
        self._probe = probe
        self._nursery = nursery
        self._failed: set[Hashable] = set()
        self._epoch = 0
        self._checking = False

    async def ask(self, account: Hashable, question: Callable[[], Awaitable[_Answer]], *, telling: bool = True) -> _Answer:
        """The answer to a question of this account. Raises Failed, at once where the system is down.

        What fails before a secret was sent is no account's fault: the system is down. Whatever else is one account's, until a probe or
        others say otherwise; so is one that is cancelled, for a deadline may be shorter than the system's own time. `telling` is false
        for a question that a sound system may refuse to hear: its failure says nothing of it.
        """
        if self.cause:
            raise Failed(self.cause)
        epoch = self._epoch
        try:
            answer = await question()
        except Failed as error:
            if telling and epoch == self._epoch:
                self._note(account, error)
            raise
        except trio.Cancelled:
            if telling:
                self._check()
            raise
        self._failed.clear()
        return answer

    async def warm(self) -> None:
        """Find out whether it is up before a login does."""
        self._check()

    def _note(self, account: Hashable, error: Failed) -> None:
        self._failed.add(account)
        if len(self._failed) >= FAILURES or not (error.sent or error.silent):
            self._down(str(error))
        else:
            self._check()

    def _check(self) -> None:
        if not self._checking and not self.cause:
            self._checking = True
            self._nursery.start_soon(self._run, self._check_once)

    async def _check_once(self) -> None:
        try:
            await self._probe()
        except Failed as error:
            self._down(str(error))
        finally:
            self._checking = False

    def _down(self, why: str) -> None:
        if not self.cause:
            self.cause = why
            _logger.error("%s is down: %s; it is tried in the background", self._name, why)
            self._nursery.start_soon(self._run, self._try)

    async def _try(self) -> None:
        pause = FIRST_PAUSE
        while True:
            await trio.sleep(pause)
            try:
                await self._probe()
            except Failed as error:
                self.cause = str(error)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                break
        self.cause = ""
        self._epoch += 1
        self._failed.clear()
        _logger.warning("%s is back", self._name)

    async def _run(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception:
            self.cause = ""  # nobody tries it any more, so the next login does
            _logger.exception("%s: a fault of this program", self._name)
