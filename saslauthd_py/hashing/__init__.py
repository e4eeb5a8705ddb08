"""The one place where hashes run: in as many threads as cores, within a bound of memory, in fair turns.

One `Hashing` a process (design decision 9, rules D4, D11). The native call of every scheme releases the interpreter lock, so the loop
goes on and each core does a hash. One hash more than threads has its turn: it is there for the thread that ends first, which with short
hashes (sha512crypt's 1.7 ms) is some tenth more a second.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from saslauthd_py import passwords
from saslauthd_py.credential import Encoding
from saslauthd_py.hashing.threads import Threads
from saslauthd_py.keys import Hash, Keys
from saslauthd_py.mechanisms import opaque_string, saslprep
from saslauthd_py.mechanisms.saslprep import Unprepared
from saslauthd_py.mechanisms.scram import keys
from saslauthd_py.passwords.scheme import MAX_MEMORY
from saslauthd_py.queue import CALLER, Queue
from saslauthd_py.secret import Secret

MEMORY = 256 << 20
"""Bytes for all hashes of the process together (rule D11)."""

LONGEST_PREPARED = 1024
"""Bytes of a secret that is also tried as it is prepared: to prepare 16 KiB of letters would hold the interpreter for some 20 ms."""

_PREPARATIONS: tuple[Callable[[str], str], ...] = (partial(saslprep.prepare, stored=False), opaque_string.prepare)


class Hashing:
    """Passwords verified and made in threads. Waiting for a turn is fair and may be cancelled; a hash that has it is waited for.

    So a cancelled call returns late, by two verifications at most, and what it took is given back when its thread has really ended: a
    client that hangs up and comes again does not get a second core.
    """

    def __init__(self, threads: int | None = None, memory: int = MEMORY, ahead: int = 1) -> None:
        """`threads` at once (None: as many as cores), `memory` bytes for all that have their turn: so many, and `ahead`.

        Raises ValueError for less memory than the costliest record that may be verified takes: it would wait for ever.
        """
        if memory < MAX_MEMORY:
            raise ValueError(f"hashes need {MAX_MEMORY >> 20} MiB at least")
        self._threads = Threads(threads or os.cpu_count() or 1)
        self.places = self._threads.count + ahead
        self._queue = Queue(self.places, room=memory)
        self.counts = self._queue.counts

    async def verify(self, encoding: Encoding, secret: Secret) -> bool:
        """Whether `matching` finds a form of `secret`."""
        return await self.matching(encoding, secret) is not None

    async def matching(self, encoding: Encoding, secret: Secret) -> Secret | None:
        """The form of `secret` that was encoded, None where none was: one attempt, and one turn, however many are tried (rule F6).

        How many hashes a wrong secret costs depends on the secret alone, and so tells nothing of the record (rule D6). Raises
        BrokenRecord; at once, and without waiting, where the record may not be tried at all.
        """
        async with self._queue.turn(CALLER.get(), passwords.cost(encoding).memory):
            return await self._threads.run(partial(_matching, encoding, secret))

    async def make(self, scheme: str, secret: Secret) -> Encoding:
        """As `passwords.make`, and never before the login of a ticket. Raises UnknownScheme, SecretTooLong."""
        async with self._queue.turn(CALLER.get()._replace(urgent=False), passwords.cost_to_make(scheme).memory):
            return await self._threads.run(partial(passwords.make, scheme, secret))

    async def derive(self, function: Hash, secret: Secret, salt: bytes, rounds: int) -> Keys:
        """As `mechanisms.scram.keys.derive`. Raises Unusable."""
        async with self._queue.turn(CALLER.get()):
            return await self._threads.run(partial(keys.derive, function, secret, salt, rounds))


def forms(secret: Secret) -> tuple[Secret, ...]:
    """The secret as it is, then as SASLprep and as OpaqueString (RFC 8265) prepare it, each only where it differs in bytes."""
    presented = secret.reveal()
    if presented.isascii() or len(presented) > LONGEST_PREPARED:
        return (secret,)
    try:
        text = presented.decode()
    except UnicodeDecodeError:
        return (secret,)
    found = [presented]
    for prepare in _PREPARATIONS:
        with suppress(Unprepared):
            form = prepare(text).encode()
            if form and form not in found:
                found.append(form)
    return (secret, *map(Secret, found[1:]))


def _matching(encoding: Encoding, secret: Secret) -> Secret | None:
    return next((form for form in forms(secret) if passwords.verify(encoding, form)), None)
