"""Accounts in Cyrus SASL's own database, as saslpasswd2 writes them: passwords in clear, so that SCRAM works too. Never written by us.

The file is read by a thread and looked up in the loop. A change is seen by the next look: no password is accepted, and nothing is
answered from the cache, by what the file said before it (rule C6); logins that come meanwhile wait for the new index. What cannot be
read, or was caught half written, is an outage (rule D8).

A name without a realm gets `default_realm`, which is the machine's host name as gethostname(2) gives it, as the original's was; it is
asked for once a configuration, where the original asked at every login.
"""

from __future__ import annotations

import base64
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from operator import eq
from typing import TypeVar

import trio

from saslauthd_py import identity, keying, passwords, sasldb
from saslauthd_py.backend import Attempt, BackendBusy, KeysFound
from saslauthd_py.backends.sasldb import index
from saslauthd_py.backends.sasldb.index import Account, Index
from saslauthd_py.config.settings import SasldbSettings
from saslauthd_py.credential import Credential, Encoding, Kind
from saslauthd_py.hashing import Hashing
from saslauthd_py.identity import Identity, InvalidIdentity, Key
from saslauthd_py.keying import Salts
from saslauthd_py.keys import AccountKeys, Hash
from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from saslauthd_py.watching.changes import Changes, unovertaken
from saslauthd_py.watching.reading import Fault, Source
from saslauthd_py.watching.watched import Changed, WatchedFile

_logger = logging.getLogger(__name__)

_NUMBER = 1
"""Of the one secret that an account has."""

_Told = TypeVar("_Told")


@dataclass(frozen=True, slots=True)
class _Login:
    """A name as this backend knows it, with its realm: `key` is looked up; `account` is what `Watched` calls it."""

    name: Identity
    key: Key
    account: str


_Teller = Callable[[_Login, Account], Awaitable[_Told]]


class SasldbBackend:
    """Implements `Backend`, `Keyed` and `Watched`."""

    def __init__(self, settings: SasldbSettings, hashing: Hashing, nursery: trio.Nursery, name: str = "") -> None:
        """`nursery` runs the readings of the file, the first one at once. `name`: what the log calls this backend."""
        sasldb.preload()
        self._settings = settings
        self._hashing = hashing
        self._realm = socket.gethostname() if settings.default_realm is None else settings.default_realm
        self._name = name
        self._changes = Changes()
        self._warned = False
        self._decoy = _encoding(os.urandom(32))
        self._salts = Salts(settings.decoy_key or Secret(os.urandom(32)))
        build = partial(index.build, fold_case=settings.fold_case, keys=settings.decoy_key is not None)
        source: Source[Index] = Source(settings.path, build, Index.changed, sasldb.LARGEST)
        self._file = WatchedFile(source, nursery, self._published, name)
        self._file.unchanged()

    def changes(self) -> Iterable[str] | None:
        """As `Watched.changes`. BackendBusy while the file has changed and is read anew.

        A file that cannot be read is no reason to raise: all its accounts have changed once, into accounts that nobody can tell of.
        """
        if self._file.was_read and not self._file.unchanged():
            raise BackendBusy(f"{self._settings.path}: has changed and is read anew")
        return self._changes.taken()

    def account(self, name: Identity) -> str:
        """As `Watched.account`."""
        try:
            return self._login(name).account
        except InvalidIdentity:
            return ""

    def generation(self, name: Identity) -> int:
        """As `Watched.generation`."""
        return self._changes.generation(self.account(name))

    async def verify_password(self, attempt: Attempt) -> Verdict:
        """As `Backend.verify_password`. A verdict is given only by a record that is still the account's afterwards.

        Waits for the index of a file that has changed.
        """
        return await self._by_record(attempt.identity, lambda _, account: self._judge(account, attempt.secret), judges=True)

    async def pretend(self, secret: Secret) -> None:
        """As `Backend.pretend`."""
        await self._hashing.verify(self._decoy, secret)

    async def find_keys(self, name: Identity, function: Hash) -> KeysFound | Rejected | UnknownUser | Unavailable:
        """As `Keyed.find_keys`. Keys are derived of the password, so an account without them costs what deriving does (rule D6)."""
        if self._settings.decoy_key is None:
            return Unavailable(f"{self._settings.path}: {keying.NO_DECOY_KEY}")
        told = await self._by_record(name, lambda login, account: self._keys(login, account, function), judges=False)
        if isinstance(told, Rejected | UnknownUser):
            await keying.pretend(self.decoy(name, function), function, self._hashing.derive)
        return told

    async def find_account(self, name: Identity) -> Verdict:
        """As `Keyed.find_account`: an account that could log in with a password too."""
        return await self._by_record(name, self._vouched, judges=False)

    def decoy(self, name: Identity, function: Hash) -> AccountKeys:
        """As `Keyed.decoy`."""
        return self._salts.decoy(self.account(name) or str(name), function)

    def lack(self, function: Hash) -> str:
        """As `Keyed.lack`."""
        if self._settings.decoy_key is None:
            return keying.NO_DECOY_KEY
        self._file.unchanged()
        found = self._file.found
        if isinstance(found, Index):
            return found.keyless[function].line(function, "SCRAM takes UTF-8 without control characters; saslpasswd2 sets another password")
        return found.cause if found is not None else f"{self._settings.path}: not read yet"

    @property
    def counted(self) -> bool:
        """As `Keyed.counted`."""
        return True

    async def count_keys(self) -> None:
        """Wait until what `lack` says is up to date."""
        await self._file.current()

    async def _by_record(self, name: Identity, tell: _Teller[_Told], *, judges: bool) -> _Told | UnknownUser | Unavailable:
        """What `tell` says of the account, once its record is still the same afterwards; `judges`: it compares a secret."""
        try:
            login = self._login(name)
        except InvalidIdentity:
            return UnknownUser()
        lost = Unavailable(f"{self._settings.path}: the account kept changing while it was looked at", judged=judges)
        return await unovertaken(lambda: self._find(login), lambda account: tell(login, account), eq, lost)

    def _login(self, asked: Identity) -> _Login:
        """Raises InvalidIdentity."""
        name = identity.render(self._settings.login, asked)
        if not name.realm:
            name = Identity(name.local, self._realm)
        return _Login(name, identity.key(name, self._settings.fold_case), identity.account(name))

    async def _find(self, login: _Login) -> Account | UnknownUser | Unavailable:
        found = await self._file.current()
        if isinstance(found, Fault):
            return Unavailable(found.cause)
        return found.find(login.key, login.name) or UnknownUser()

    async def _judge(self, account: Account, secret: Secret) -> Verdict:
        if not account.password:
            return Rejected(Reason.NO_CREDENTIAL)
        if not await self._hashing.verify(_encoding(account.password), secret):
            return Rejected(Reason.WRONG_SECRET)
        return Accepted(account.identity)

    async def _keys(self, login: _Login, account: Account, function: Hash) -> KeysFound | Rejected | Unavailable:
        if not account.password:
            return Rejected(Reason.NO_CREDENTIAL)
        credential = Credential(_NUMBER, Kind.MAIN, "", (_encoding(account.password),))
        try:
            keys = await keying.find(login.account, (credential,), function, self._salts, self._hashing.derive)
        except BrokenRecord as error:
            return Unavailable(f"{self._settings.path}: {error}")
        if keys is None:
            return Rejected(Reason.NO_CREDENTIAL)
        return KeysFound(account.identity, keys, {_NUMBER: credential.restrictions})

    async def _vouched(self, _: _Login, account: Account) -> Verdict:
        return Accepted(account.identity, replayable=False) if account.password else Rejected(Reason.NO_CREDENTIAL)

    def _published(self, file: WatchedFile[Index], changed: Changed) -> None:
        self._changes.count(None if changed is None else {identity.account(name) for name in changed})
        if file.exposed and not self._warned and isinstance(file.found, Index) and len(file.found):
            self._warned = True
            path = self._settings.path
            whose = f"backend {self._name}: " if self._name else ""
            _logger.warning("%s%s: every user of this machine can read its passwords, in clear; run: chmod o= %s", whose, path, path)


def _encoding(password: bytes) -> Encoding:
    return passwords.recognise("{PLAIN.b64}" + base64.b64encode(password).decode())
