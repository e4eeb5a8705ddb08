"""The embedded store as a backend. Reads run in the loop (4 us, no wait), hashes in threads, writes never within a login."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass

import trio

from saslauthd_py import identity, passwords
from saslauthd_py.backend import Attempt, BackendBusy, BackendUnreadable
from saslauthd_py.credential import Credential, Encoding
from saslauthd_py.hashing import Hashing
from saslauthd_py.identity import Identity, InvalidIdentity, Key
from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.secret import Secret
from saslauthd_py.store import connection, reader, rehash, usage
from saslauthd_py.store.errors import StoreError
from saslauthd_py.store.model import Account
from saslauthd_py.store.watch import Watch
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict

_logger = logging.getLogger(__name__)

HOUSEKEEPING = 10.0
"""Seconds between two writes of last use, and two looks at which kind of hash is the common one (rules F5, D6)."""

MOST_BUSY_WAIT = 2.0
"""Seconds that a thread waits for another process that holds the store."""


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """The backend's settings that matter once its store is open."""

    login: str = "{local}@{realm}"
    fold_case: bool = True
    scheme: str = passwords.DEFAULT_SCHEME
    rehash: bool = True


class StoreBackend:
    """Implements `Backend` and `Watched`. `used` is last use by credential, written by `keep_house`.

    `watch` is open, and closed by whoever opened it. `nursery` runs rehashes: a login that was accepted does not wait for them.
    """

    def __init__(self, path: str, watch: Watch, hashing: Hashing, nursery: trio.Nursery, options: StoreOptions) -> None:
        self.used: dict[int, float] = {}
        self._path = path
        self._watch = watch
        self._hashing = hashing
        self._nursery = nursery
        self._options = options
        self._pending: list[str] | None = []
        self._stale_profile = True
        self._rehashing: set[int] = set()
        self._decoy = _decoy(None, options.scheme)

    def changes(self) -> Iterable[str] | None:
        """As `Watched.changes`."""
        self._look()
        seen, self._pending = self._pending, []
        return seen

    def account(self, name: Identity) -> str:
        """As `Watched.account`."""
        try:
            return identity.account(self._login(name))
        except InvalidIdentity:
            return ""

    def generation(self, name: Identity) -> int:
        """As `Watched.generation`."""
        return self._watch.generation(self.account(name))

    async def verify_password(self, attempt: Attempt) -> Verdict:
        """As `Backend.verify_password`. Cancelled while a hash runs, it waits for that hash."""
        try:
            account = await self._find(self._login(attempt.identity))
        except InvalidIdentity:
            return UnknownUser()
        except (BackendUnreadable, StoreError) as error:
            return Unavailable(str(error))
        except BrokenRecord as error:
            return Unavailable(f"{self._path}: {error}")
        except sqlite3.Error as error:
            return Unavailable(str(connection.store_error(self._path, error)))
        if account is None:
            return UnknownUser()
        if account.locked is not None:
            return Rejected(Reason.LOCKED)
        if not account.credentials:
            return Rejected(Reason.NO_CREDENTIAL)
        enabled = [credential for credential in account.credentials if not credential.disabled]
        return await self._compare(account, enabled, attempt.secret) if enabled else Rejected(Reason.DISABLED)

    async def pretend(self, secret: Secret) -> None:
        """As `Backend.pretend`: the kind of hash that most of the store's secrets have."""
        try:
            await self._hashing.verify(self._decoy, secret)
        except BrokenRecord as error:  # an outage for unknown accounts alone would tell who is known
            _logger.warning("%s: no work like that of the common hash can be done here: %s", self._path, error)
            self._decoy = _decoy(None, self._options.scheme)
            await self._hashing.verify(self._decoy, secret)

    async def keep_house(self) -> None:
        """Until cancelled: what logins must not wait for. The last uses are written once more at the end."""
        try:
            while True:
                await self._recount()
                await trio.sleep(HOUSEKEEPING)
                await self._write_uses()
        finally:
            with trio.CancelScope(shield=True):
                await self._write_uses()

    def _login(self, asked: Identity) -> Identity:
        return identity.render(self._options.login, asked)

    def _look(self) -> None:
        changed = self._watch.look()
        if changed is None:
            self._pending = None
            self._stale_profile = True
        else:
            new = list(changed)
            self._stale_profile = self._stale_profile or bool(new)
            if self._pending is not None:
                self._pending += new

    async def _find(self, name: Identity) -> Account | None:
        key = identity.key(name)
        try:
            self._look()
            account = reader.find(self._watch.connection, key)
        except BackendBusy:
            account = await trio.to_thread.run_sync(self._find_waiting, key)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            account = await trio.to_thread.run_sync(self._find_waiting, key)
        if (
            account is not None
            and not self._options.fold_case
            and identity.key(account.identity, fold_case=False) != identity.key(name, fold_case=False)
        ):
            return None
        return account

    def _find_waiting(self, key: Key) -> Account | None:
        with connection.translated(self._path), closing(connection.reader(self._path, MOST_BUSY_WAIT)) as opened:
            return reader.find(opened, key)

    async def _compare(self, account: Account, credentials: list[Credential], secret: Secret) -> Verdict:
        """A secret that matches one record is right, whatever another record is like; one broken record alone is an outage (rule D8)."""
        broken: BrokenRecord | None = None
        for credential in credentials:
            try:
                if not credential.encodings:
                    raise BrokenRecord("no encoding")
                encoding = credential.encodings[0]
                matches = await self._hashing.verify(encoding, secret)
            except BrokenRecord as error:
                broken = error
                continue
            if matches:
                self._renew(credential, encoding, secret)
                sole = len(account.credentials) == 1
                return Accepted(account.identity, credential.restrictions, credential.id, sole=sole)
        if broken is not None:
            cause = f"{self._path}: record {account.id}: {broken}; set the password anew with `saslauthd-py user passwd`"
            return Unavailable(cause, judged=len(credentials) > 1)
        return Rejected(Reason.WRONG_SECRET)

    def _renew(self, credential: Credential, encoding: Encoding, secret: Secret) -> None:
        due = self._options.rehash and passwords.needs_rehash(encoding, self._options.scheme)
        if due and credential.id not in self._rehashing:
            self._rehashing.add(credential.id)
            self._nursery.start_soon(self._rehash, credential, encoding, secret)

    async def _rehash(self, credential: Credential, encoding: Encoding, secret: Secret) -> None:
        try:
            new = await self._hashing.make(self._options.scheme, secret)
            await trio.to_thread.run_sync(rehash.replace_encoding, self._path, credential.id, credential.generation, encoding, new)
        except Exception as error:  # whatever it is, it is no reason to stop answering logins
            _logger.warning("%s: a password keeps its old hash for now: %s", self._path, error)
        finally:
            self._rehashing.discard(credential.id)

    async def _write_uses(self) -> None:
        if not self.used:
            return
        taken = self.used.copy()
        self.used.clear()
        try:
            await trio.to_thread.run_sync(usage.write, self._path, taken)
            taken.clear()
        except Exception as error:  # as above
            _logger.warning("%s: last use is not written yet: %s", self._path, error)
        finally:  # cancelled too
            for credential, when in taken.items():
                self.used.setdefault(credential, when)

    async def _recount(self) -> None:
        if not self._stale_profile:
            return
        self._stale_profile = False
        try:
            self._decoy = _decoy(await trio.to_thread.run_sync(self._common_profile), self._options.scheme)
        except Exception as error:  # as above
            self._stale_profile = True
            _logger.warning("%s: unknown accounts are pretended with the hash of before: %s", self._path, error)

    def _common_profile(self) -> str | None:
        with connection.translated(self._path), closing(connection.reader(self._path, MOST_BUSY_WAIT)) as opened:
            return reader.common_profile(opened)


def _decoy(profile: str | None, scheme: str) -> Encoding:
    return passwords.decoy(profile or passwords.cost_to_make(scheme).profile)
