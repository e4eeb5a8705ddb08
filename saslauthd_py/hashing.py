"""The one place where hashes run: in threads, as many as cores, within a bound of memory, in fair turns.

One `Hashing` a process (design decision 9, rules D4, D11). The native call of every scheme releases the interpreter lock, so the loop
goes on and each core does a hash.
"""

from __future__ import annotations

import os
from dataclasses import replace

import trio

from saslauthd_py import passwords
from saslauthd_py.credential import Encoding
from saslauthd_py.passwords.scheme import MAX_MEMORY
from saslauthd_py.queue import CALLER, Queue
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
        threads = threads or os.cpu_count() or 1
        self._threads = trio.CapacityLimiter(threads)  # apart from trio's own, which other work may have taken; never waited for
        self._queue = Queue(threads, room=memory)
        self.places = threads
        self.counts = self._queue.counts

    async def verify(self, encoding: Encoding, secret: Secret) -> bool:
        """As `passwords.verify`. Raises BrokenRecord; at once, and without waiting, where the record may not be tried at all."""
        async with self._queue.turn(CALLER.get(), passwords.cost(encoding).memory):
            return await trio.to_thread.run_sync(passwords.verify, encoding, secret, limiter=self._threads)

    async def make(self, scheme: str, secret: Secret) -> Encoding:
        """As `passwords.make`, and never before the login of a ticket. Raises UnknownScheme, SecretTooLong."""
        async with self._queue.turn(replace(CALLER.get(), urgent=False), passwords.cost_to_make(scheme).memory):
            return await trio.to_thread.run_sync(passwords.make, scheme, secret, limiter=self._threads)
