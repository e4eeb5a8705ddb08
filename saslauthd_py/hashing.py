"""The one place where hashes run: in threads, as many as cores, within a bound of memory, in the order in which they were asked for.

One `Hashing` a process (design decision 9, rule D11). The native call of every scheme releases the interpreter lock, so the loop
goes on and each core does a hash.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from saslauthd_py import passwords
from saslauthd_py.credential import Encoding
from saslauthd_py.passwords.scheme import MAX_MEMORY
from saslauthd_py.secret import Secret

MEMORY = 256 << 20
"""Bytes for all hashes of the process together (rule D11)."""


class Hashing:
    """Passwords verified and made in threads. Waiting for a turn is fair and may be cancelled; a hash that runs is waited for.

    So a cancelled call returns late, by one hash at most, and what it took is given back when its thread has really ended: a client
    that hangs up and comes again does not get a second core.
    """

    def __init__(self, threads: int | None = None, memory: int = MEMORY) -> None:
        """`threads` at once (None: one a core), `memory` bytes for them together.

        Raises ValueError for less memory than the costliest record that may be verified takes: it would wait for ever.
        """
        if memory < MAX_MEMORY:
            raise ValueError(f"hashes need {MAX_MEMORY >> 20} MiB at least")
        self._threads = trio.CapacityLimiter(threads or os.cpu_count() or 1)
        self._memory = _MemoryBudget(memory)

    async def verify(self, encoding: Encoding, secret: Secret) -> bool:
        """As `passwords.verify`. Raises BrokenRecord; at once, and without waiting, where the record may not be tried at all."""
        async with self._memory.taken(passwords.cost(encoding).memory):
            return await trio.to_thread.run_sync(passwords.verify, encoding, secret, limiter=self._threads)

    async def make(self, scheme: str, secret: Secret) -> Encoding:
        """As `passwords.make`. Raises UnknownScheme, SecretTooLong."""
        async with self._memory.taken(passwords.cost_to_make(scheme).memory):
            return await trio.to_thread.run_sync(passwords.make, scheme, secret, limiter=self._threads)


@dataclass(eq=False, slots=True)
class _Waiter:
    size: int
    served: trio.Event = field(default_factory=trio.Event)


class _MemoryBudget:
    """Bytes that are taken and given back, first come first served: a big job is not overtaken for ever by small ones."""

    def __init__(self, total: int) -> None:
        self._free = total
        self._queue: deque[_Waiter] = deque()

    @asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[None]:
        """Hold `size` bytes, after waiting for them. Cancelled while it waits, it leaves nothing behind."""
        await self._take(size)
        try:
            yield
        finally:
            self._give_back(size)

    async def _take(self, size: int) -> None:
        if size <= self._free and not self._queue:
            self._free -= size
            return
        waiter = _Waiter(size)
        self._queue.append(waiter)
        try:
            await waiter.served.wait()
        except BaseException:
            if waiter.served.is_set():  # in the same turn, after the cancellation and before it came here
                self._give_back(size)
            else:
                self._queue.remove(waiter)
                self._serve()
            raise

    def _give_back(self, size: int) -> None:
        self._free += size
        self._serve()

    def _serve(self) -> None:
        while self._queue and self._queue[0].size <= self._free:
            waiter = self._queue.popleft()
            self._free -= waiter.size
            waiter.served.set()
