"""The embedded store as a backend. Reads run in the loop (4 us, no wait), hashes in threads, writes never within a login."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress

import trio

from saslauthd_py import identity, keying, passwords
from saslauthd_py.backend import Attempt, BackendBusy, BackendUnreadable, KeysFound
from saslauthd_py.backends.store import census
from saslauthd_py.backends.store.census import MOST_BUSY_WAIT, Census
from saslauthd_py.backends.store.options import StoreOptions
from saslauthd_py.backends.store.renewal import Proved, Renewal
from saslauthd_py.credential import Credential, Encoding, Kind
from saslauthd_py.hashing import Hashing
from saslauthd_py.identity import Identity, InvalidIdentity, Key
from saslauthd_py.keying import Salts
from saslauthd_py.keys import AccountKeys, Hash
from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.secret import Secret
from saslauthd_py.store import connection, reader, usage
from saslauthd_py.store.errors import StoreError
from saslauthd_py.store.model import Account
from saslauthd_py.store.watch import Watch
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict

__all__ = ["StoreBackend", "StoreOptions"]

_logger = logging.getLogger(__name__)

HOUSEKEEPING = 10.0
"""Seconds between two writes of last use, and two looks at what most accounts are like (rules F5, D6)."""

_NOBODYS = Secret(b"nobody's")


class StoreBackend:
    """Implements `Backend`, `Keyed` and `Watched`. `used` is last use by credential, written by `keep_house`.

    `watch` is open, and closed by whoever opened it. `nursery` runs renewals: a login that was accepted does not wait for them.
    """

    def __init__(self, path: str, watch: Watch, hashing: Hashing, nursery: trio.Nursery, options: StoreOptions) -> None:
        self.used: dict[int, float] = {}
        self._path = path
        self._watch = watch
        self._hashing = hashing
        self._options = options
        self._renewal = Renewal(path, hashing, nursery, options)
        self._pending: list[str] | None = []
        self._stale = True
        self._counting = trio.Lock()
        self._census: Census | None = None
        self._salts = Salts(watch.decoy_key, options.scram_rounds)
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
        found = await self._open(attempt.identity)
        return await self._compare(found, attempt) if isinstance(found, Account) else found

    async def pretend(self, secret: Secret) -> None:
        """As `Backend.pretend`: the kind of hash that most of the store's secrets have."""
        try:
            await self._hashing.verify(self._decoy, secret)
        except BrokenRecord as error:  # an outage for unknown accounts alone would tell who is known
            _logger.warning("%s: no work like that of the common hash can be done here: %s", self._path, error)
            self._decoy = _decoy(None, self._options.scheme)
            await self._hashing.verify(self._decoy, secret)

    async def find_keys(self, name: Identity, function: Hash) -> KeysFound | Rejected | UnknownUser | Unavailable:
        """As `Keyed.find_keys`. Where most accounts are kept in clear text, one without keys costs what deriving theirs does (rule D6)."""
        found = await self._open(name)
        told = await self._keys(found, name, function) if isinstance(found, Account) else found
        if isinstance(told, Rejected | UnknownUser) and self._census is not None and self._census.derives(function):
            await self._hashing.derive(function, _NOBODYS, self.decoy(name, function).salt, self._options.scram_rounds)
        return told

    async def find_account(self, name: Identity) -> Verdict:
        """As `Keyed.find_account`: an account that has a main secret, and one that is not disabled."""
        found = await self._open(name)
        if not isinstance(found, Account):
            return found
        main = next((credential for credential in found.credentials if credential.kind is Kind.MAIN), None)
        if main is None or main.disabled:
            return Rejected(Reason.NO_CREDENTIAL if main is None else Reason.DISABLED)
        return Accepted(found.identity, main.restrictions, main.id, sole=len(found.credentials) == 1, replayable=False)

    def decoy(self, name: Identity, function: Hash) -> AccountKeys:
        """As `Keyed.decoy`: with the rounds that most accounts show for this hash."""
        rounds = self._census.kept[function].common(self._options.scram_rounds) if self._census is not None else None
        return self._salts.decoy(self.account(name) or str(name), function, rounds)

    def lack(self, function: Hash) -> str:
        """As `Keyed.lack`."""
        if self._census is None:
            return "its accounts are not counted yet"
        commanded = "saslauthd-py user passwd --scram"
        upgraded = "a PLAIN or LOGIN login makes them" if self._options.scram_upgrade else "scram_upgrade = true"
        return self._census.keyless[function].line(function, f"{commanded}, or {upgraded}")

    @property
    def counted(self) -> bool:
        """As `Keyed.counted`."""
        return not (self._stale or self._counting.locked())

    async def count_keys(self) -> None:
        """Count who has keys, if anything has changed since it was counted; what `lack` says is up to date then."""
        async with self._counting:
            with suppress(BackendUnreadable):
                self._look()  # nobody else may, where nobody logs in
            if not self._stale:
                return
            self._stale = False
            try:
                self._census = await trio.to_thread.run_sync(census.count, self._path)
                self._salts = Salts(self._census.key, self._options.scram_rounds)
                self._decoy = _decoy(self._census.profile, self._options.scheme)
            except Exception as error:  # whatever it is, it is no reason to stop answering logins
                self._stale = True
                _logger.warning("%s: its accounts are not counted, and taken for what they were before: %s", self._path, error)

    async def keep_house(self) -> None:
        """Until cancelled: what logins must not wait for. The last uses are written once more at the end."""
        try:
            while True:
                await self.count_keys()
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
            self._stale = True
        else:
            new = list(changed)
            self._stale = self._stale or bool(new)
            if self._pending is not None:
                self._pending += new

    async def _open(self, name: Identity) -> Account | Rejected | UnknownUser | Unavailable:
        """The account, if it may log in by one of its secrets at least."""
        try:
            account = await self._find(self._login(name))
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
        return account if _enabled(account) else Rejected(Reason.DISABLED)

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

    async def _compare(self, account: Account, attempt: Attempt) -> Verdict:
        """A secret that matches one record is right, whatever another record is like; one broken record alone is an outage (rule D8)."""
        credentials = _enabled(account)
        broken: BrokenRecord | None = None
        for credential in credentials:
            try:
                encoding = passwords.strongest(credential.encodings)
                form = await self._hashing.matching(encoding, attempt.secret)
            except BrokenRecord as error:
                broken = error
                continue
            if form is not None:
                self._renewal.consider(Proved(self.account(attempt.identity), credentials, credential, encoding, form), self._salts)
                sole = len(account.credentials) == 1
                return Accepted(account.identity, credential.restrictions, credential.id, sole=sole)
        if broken is not None:
            return Unavailable(self._broken(account, broken), judged=len(credentials) > 1)
        return Rejected(Reason.WRONG_SECRET)

    async def _keys(self, account: Account, name: Identity, function: Hash) -> KeysFound | Rejected | Unavailable:
        credentials = _enabled(account)
        try:
            keys = await keying.find(self.account(name), credentials, function, self._salts, self._hashing.derive)
        except BrokenRecord as error:
            return Unavailable(self._broken(account, error))
        if keys is None:
            return Rejected(Reason.NO_CREDENTIAL)
        limits = {credential.id: credential.restrictions for credential in credentials}
        return KeysFound(account.identity, keys, {number: limits[number] for number, _ in keys.secrets})

    def _broken(self, account: Account, fault: BrokenRecord) -> str:
        return f"{self._path}: record {account.id}: {fault}; set the password anew with `saslauthd-py user passwd`"

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


def _enabled(account: Account) -> list[Credential]:
    return [credential for credential in account.credentials if not credential.disabled]


def _decoy(profile: str | None, scheme: str) -> Encoding:
    return passwords.decoy(profile or passwords.cost_to_make(scheme).profile)
