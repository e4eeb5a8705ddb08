"""Fair turns for slow work: tickets first, then one network after the other, and in a network one account after the other (D3, D4).

So two hundred wrong secrets for one account, or for as many accounts from one network, take turns with somebody else's single one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import trio

_ENOUGH_TO_KEEP_ONE = 4


class Caller(NamedTuple):
    """Whose work it is. `network`: None where it is unknown or trusted, these take turns by account; `urgent`: holds a ticket."""

    account: str = ""
    network: Hashable | None = None
    urgent: bool = False


CALLER: ContextVar[Caller] = ContextVar("caller", default=Caller())  # noqa: B039 - frozen
"""Whose work the running task does: the hashes of a login are asked for deep within its backend, and wait in its caller's name."""


@dataclass(eq=False, slots=True)
class _Waiter:
    caller: Caller
    size: int
    served: trio.Event = field(default_factory=trio.Event)


class Turn:
    """One turn of a queue, for one `async with`."""

    __slots__ = ("_caller", "_queue", "_size")

    def __init__(self, queue: Queue, caller: Caller, size: int) -> None:
        self._queue = queue
        self._caller = caller
        self._size = size

    async def __aenter__(self) -> None:
        await self._queue.enter(self._caller, self._size)

    async def __aexit__(self, *_: object) -> None:
        self._queue.leave(self._size)


class Queue:
    """`places` at once, and `room` for what they weigh together; the last `kept` places are for tickets alone.

    Who waits is bounded by who asks: the connections of the daemon.
    """

    def __init__(self, places: int, kept: int = 0, room: int = 0) -> None:
        self.places = places
        self._free = places
        self._kept = kept
        self._room = room
        self._tickets = _Line()
        self._others = _Line()
        self._waiting = 0

    @classmethod
    def of_backend(cls, places: int) -> Self:
        """For so many calls of a backend. Of four or more one is kept: calls of newcomers that hang never hold them all (rule D3)."""
        return cls(places, kept=1 if places >= _ENOUGH_TO_KEEP_ONE else 0)

    def turn(self, caller: Caller, size: int = 0) -> Turn:
        """For `async with`: `enter`, and `leave` at the end of the block."""
        return Turn(self, caller, size)

    async def enter(self, caller: Caller, size: int = 0) -> None:
        """Take a place, and `size` of the room, after waiting for both; at once where they are free and nobody waits before it.

        A heavy one is never overtaken for being heavy. Cancelled while it waits, or too late when its turn comes, it leaves nothing
        behind and its place goes to the next.
        """
        if self._is_free(caller, size):
            self._free -= 1
            self._room -= size
        else:
            await self._wait(_Waiter(caller, size))
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
        except trio.Cancelled:
            self.leave(size)
            raise

    def leave(self, size: int = 0) -> None:
        """Give back what `enter` took."""
        self._free += 1
        self._room += size
        self._serve()

    def counts(self) -> tuple[int, int]:
        """How many places are taken, and how many wait for one."""
        return self.places - self._free, self._waiting

    def _is_free(self, caller: Caller, size: int) -> bool:
        before = self._waiting and (self._tickets or not caller.urgent)
        return not before and self._free > (0 if caller.urgent else self._kept) and size <= self._room

    async def _wait(self, waiter: _Waiter) -> None:
        line = self._tickets if waiter.caller.urgent else self._others
        line.add(waiter)
        self._waiting += 1
        try:
            await waiter.served.wait()
        except trio.Cancelled:
            if waiter.served.is_set():  # after its cancellation, in the same turn of the loop
                self.leave(waiter.size)
            else:
                line.remove(waiter)
                self._waiting -= 1
                self._serve()
            raise

    def _serve(self) -> None:
        while self._waiting:
            line, kept = (self._tickets, 0) if self._tickets else (self._others, self._kept)
            waiter = line.first()
            if self._free <= kept or waiter.size > self._room:
                return
            line.pass_on(waiter)
            self._waiting -= 1
            self._free -= 1
            self._room -= waiter.size
            waiter.served.set()


_Accounts = OrderedDict[str, OrderedDict[_Waiter, None]]


class _Line:
    """Waiters by network and account. What stands first is served and goes to the end; an OrderedDict does each step in O(1)."""

    def __init__(self) -> None:
        self._networks: OrderedDict[Hashable, _Accounts] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._networks)

    def add(self, waiter: _Waiter) -> None:
        accounts = self._networks.setdefault(_network(waiter), OrderedDict())
        accounts.setdefault(waiter.caller.account, OrderedDict())[waiter] = None

    def first(self) -> _Waiter:
        accounts = next(iter(self._networks.values()))
        return next(iter(next(iter(accounts.values()))))

    def pass_on(self, waiter: _Waiter) -> None:
        """It has its turn; those who wait for the same network or account have theirs after all others."""
        self.remove(waiter)
        network, account = _network(waiter), waiter.caller.account
        if network in self._networks:
            self._networks.move_to_end(network)
            if account in self._networks[network]:
                self._networks[network].move_to_end(account)

    def remove(self, waiter: _Waiter) -> None:
        network, account = _network(waiter), waiter.caller.account
        accounts = self._networks[network]
        del accounts[account][waiter]
        if not accounts[account]:
            del accounts[account]
        if not accounts:
            del self._networks[network]


def _network(waiter: _Waiter) -> Hashable:
    return waiter.caller.network or waiter.caller.account
