"""Whether a server is up: how it is found to be down, and the tries in the background that find it back (rule D8)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Hashable

import trio

from saslauthd_py.backends.ldap.link import LinkBroken, Silent
from saslauthd_py.backends.ldap.opening import Refused
from saslauthd_py.backends.ldap.pool import Pool

_logger = logging.getLogger(__name__)

FAILURES = 3
"""Accounts in a row that a server that can be reached does not answer for, before it counts as down."""

TRY_EVERY = 1.0
"""Seconds between the beginnings of two tries to reach a server that is down, each cut off when the next one is due."""

REST_AFTER_REFUSAL = 30.0
"""Seconds between two tries where the service's bind was refused again and again: a directory may lock whoever is wrong too often."""


class Standing:
    """What is known of one server. `cause`: why it is down, one line; empty: it is up. `epoch` is another whenever it is back.

    `nursery` runs checks and tries, and nothing in them ends it.
    """

    def __init__(self, name: str, pool: Pool, timeout: float, nursery: trio.Nursery) -> None:
        self.cause = ""
        self.epoch = 0
        self._name = name
        self._pool = pool
        self._timeout = timeout
        self._nursery = nursery
        self._failed: set[Hashable] = set()
        self._checked: trio.Event | None = None
        self._patient = False
        self._closed = False
        self._under_way: set[trio.CancelScope] = set()

    def answered(self) -> None:
        """It has answered a request."""
        if self._failed:
            self._failed.clear()

    def failed(self, account: Hashable, why: str, epoch: int) -> None:
        """It has not answered one, which was asked in this epoch, of this account: one account's fault may be that account's."""
        if self.cause or epoch != self.epoch:
            return
        self._failed.add(account)
        if len(self._failed) >= FAILURES:
            self.down(why)
        else:
            self.check()

    def check(self) -> trio.Event:
        """Reach it anew in the background, which no login cuts short; where that fails it is down. The event comes when this is known."""
        if self._checked is None:
            self._checked = trio.Event()
            self._begin(self._check)
        return self._checked

    def down(self, why: str) -> None:
        """It cannot be used: its connections are closed, and it is tried in the background until it is back."""
        if not self.cause:
            self.cause = why
            _logger.error("%s is down: %s; it is tried in the background", self._name, why)
            self._pool.close()
            self._begin(self._try)

    def close(self) -> None:
        """Ask nothing any more."""
        self._closed = True
        self.cause = self.cause or "closed"
        for scope in self._under_way:
            scope.cancel()

    async def _check(self) -> None:
        try:
            await self._reach(self._timeout)
        except LinkBroken as error:
            self.down(str(error))
        finally:
            checked, self._checked = self._checked, None
            if checked is not None:
                checked.set()

    async def _try(self) -> None:
        pause, epoch = TRY_EVERY, self.epoch
        await trio.sleep(pause)
        while self.cause and epoch == self.epoch:
            began = trio.current_time()
            try:
                await self._reach(min(TRY_EVERY, self._timeout))
            except LinkBroken as error:
                self.cause = self.cause and str(error)
                pause = min(2 * pause, REST_AFTER_REFUSAL) if isinstance(error, Refused) else TRY_EVERY
                if isinstance(error, Silent) and self._timeout > TRY_EVERY and not self._patient:
                    self._begin(self._try_patiently)
            else:
                self._back()
                return
            await trio.sleep_until(began + pause)

    async def _try_patiently(self) -> None:
        """Beside the others: a server that is slow has its whole time."""
        self._patient = True
        try:
            await self._reach(self._timeout)
        except LinkBroken:
            return
        finally:
            self._patient = False
        self._back()

    def _back(self) -> None:
        if self.cause:
            self.cause = ""
            self.epoch += 1
            self._failed.clear()
            _logger.warning("%s is back", self._name)

    async def _reach(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self._pool.reach()
            if self._closed:
                self._pool.close()
                raise LinkBroken("closed")
            return
        raise Silent(f"no answer within {seconds:g} s")

    def _begin(self, work: Callable[[], Awaitable[None]]) -> None:
        self._nursery.start_soon(self._run, work)

    async def _run(self, work: Callable[[], Awaitable[None]]) -> None:
        with trio.CancelScope() as scope:
            self._under_way.add(scope)
            if self._closed:  # before this task began
                scope.cancel()
            try:
                await work()
            except Exception:
                _logger.exception("%s: a fault of this program", self._name)
            finally:
                self._under_way.discard(scope)
