"""Proofs: this secret was this account's a moment ago. Never a permission, never a NO (rules C1 to C6).

A proof is found by a MAC over the listener's number and the request's length-prefixed fields, with a random key that lives in this
object's memory only. Before any proof is used, the backends whose changes we see are looked at, at most `OLDEST_LOOK` ago.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from saslauthd_py.backend import Address, BackendBusy, BackendUnreadable, Watched
from saslauthd_py.credential import UNRESTRICTED, Restrictions

OLDEST_LOOK = 0.002
"""Seconds. Commands that change a credential return at the earliest 5 ms after their commit, so a request that is sent after one has
returned never meets an older look (rule C6)."""

_MAC_SIZE = 16


@dataclass(slots=True)
class Proof:
    """What was proved. Times are on the cache's clock; the last backend of `asked` proved it.

    `inline_until` is 0 where rules must be judged at every hit: the loop then leaves the request to a task (rule C1). It is 0 too from
    the moment on at which the cache forgets the proof, for whoever holds on to it. `address`: the
    mail client's, where a backend that was asked looks at it; the proof counts for requests from there alone (rule C2). `tally` is one
    integer that counts the logins that the loop answers by this proof, `line` the log's ready text of them; None and empty: none yet.
    """

    until: float
    inline_until: float
    accounts: tuple[str, ...]
    secret: bytes
    user: str
    asked: tuple[str, ...]
    line: bytes = b""
    restrictions: Restrictions = UNRESTRICTED
    used: dict[int, float] | None = None
    credential: int = 0
    address: Address | None = None
    tally: list[int] | None = None
    service: str = ""


class Cache:
    """At most `most` proofs, the oldest go first. `clock` gives seconds; the front reads it after a request's last byte.

    `unreadable`: the backends that could not be looked at, and why. `flushes` counts those that an admin ordered: what was asked before
    one is not remembered after it.
    """

    def __init__(self, most: int, clock: Callable[[], float], watched: Iterable[tuple[str, Watched]] = ()) -> None:
        self.clock = clock
        self.proofs: dict[bytes, Proof] = {}
        self.looked_until = float("-inf")
        self.unreadable: dict[str, str] = {}
        self.flushes = 0
        self.most = most
        self._watched = tuple(watched)
        self._key = os.urandom(32)
        self._accounts: dict[str, dict[bytes, None]] = {}

    def state(self, listener: int) -> hashlib.blake2b:
        """A keyed MAC that has taken the listener's number: `copy()` of it and `update(span)` make a proof's key (rule C2)."""
        mac = hashlib.blake2b(key=self._key, digest_size=_MAC_SIZE)
        mac.update(listener.to_bytes(4, "big"))
        return mac

    def secret_mac(self, secret: bytes) -> bytes:
        """Tells two secrets apart without keeping either."""
        return hashlib.blake2b(secret, key=self._key, digest_size=_MAC_SIZE, person=b"secret").digest()

    def look(self, now: float) -> bool:
        """Forget what has changed. False: nobody can tell what has, so nothing may be answered from memory.

        `now` was read from the clock before this call, and after the last byte of the request that will be answered.
        """
        if now < self.looked_until:
            return True
        sure = True
        for backend, watched in self._watched:
            try:
                changed = watched.changes()
            except BackendBusy:
                sure = False
            except BackendUnreadable as error:
                sure = False
                if backend not in self.unreadable:  # nothing of it is remembered until it is readable again
                    self.unreadable[backend] = str(error)
                    self._forget_backend(backend)
            else:
                self.unreadable.pop(backend, None)
                self._forget(backend, changed)
        if sure:
            self.looked_until = now + OLDEST_LOOK
        return sure

    def find(self, key: bytes, now: float) -> Proof | None:
        """The proof under `key`, for as long as it holds; the caller has looked."""
        proof = self.proofs.get(key)
        return proof if proof is not None and proof.until > now else None

    def remember(self, key: bytes, proof: Proof, *, sole: bool) -> None:
        """Keep a proof. `sole`: the account has one secret, so proofs of another one are over (rule C5)."""
        self.forget(key)
        if sole:
            for account in proof.accounts:
                for other in tuple(self._accounts.get(account, ())):
                    if self.proofs[other].secret != proof.secret:
                        self.forget(other)
        self._trim()
        self.proofs[key] = proof
        for account in proof.accounts:
            self._accounts.setdefault(account, {})[key] = None

    def forget(self, key: bytes) -> None:
        """A backend has refused that very secret, or its proof is too old."""
        proof = self.proofs.pop(key, None)
        if proof is None:
            return
        proof.inline_until = 0.0
        for account in proof.accounts:
            keys = self._accounts[account]
            del keys[key]
            if not keys:
                del self._accounts[account]

    def forget_account(self, account: str) -> None:
        """The account has changed: `account` as `identity.account` makes it."""
        for key in tuple(self._accounts.get(account, ())):
            self.forget(key)

    def flush(self, accounts: Iterable[str] | None) -> int:
        """Forget what was proved of these accounts (as `identity.account` makes them), None: of all; how many proofs."""
        before = len(self.proofs)
        self.flushes += 1
        if accounts is None:
            for key in tuple(self.proofs):
                self.forget(key)
        else:
            for account in accounts:
                self.forget_account(account)
        return before - len(self.proofs)

    def _forget(self, backend: str, changed: Iterable[str] | None) -> None:
        if changed is None:
            self._forget_backend(backend)
        else:
            for account in changed:
                self.forget_account(account)

    def _forget_backend(self, backend: str) -> None:
        for key in [key for key, proof in self.proofs.items() if backend in proof.asked]:
            self.forget(key)

    def _trim(self) -> None:
        now = self.clock()
        while self.proofs:
            oldest = next(iter(self.proofs))
            if len(self.proofs) < self.most and self.proofs[oldest].until > now:
                return
            self.forget(oldest)
