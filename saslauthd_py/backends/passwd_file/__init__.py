"""Accounts in a text file that others keep: htpasswd's, a Dovecot passwd-file, or one like /etc/passwd. Never written by us.

The files are read by threads and looked up in the loop. A change is seen by the next look: no password is accepted, and nothing is
answered from the cache, by what a file said before it (rule C6); logins that come meanwhile wait for the new index.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import trio

from saslauthd_py import identity, keying, password_lines
from saslauthd_py.backend import Attempt, BackendBusy, KeysFound
from saslauthd_py.backends.passwd_file import index, keyless
from saslauthd_py.backends.passwd_file.files import REALM, Files, WatchedFile
from saslauthd_py.backends.passwd_file.index import LARGEST, NO_ACCOUNTS, Index, Line
from saslauthd_py.backends.passwd_file.usual import Usual
from saslauthd_py.config.settings import PasswdFileSettings
from saslauthd_py.credential import Credential, Kind
from saslauthd_py.hashing import Hashing
from saslauthd_py.identity import Identity, InvalidIdentity, Key
from saslauthd_py.keying import Salts
from saslauthd_py.keys import AccountKeys, Hash
from saslauthd_py.password_lines import Record
from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from saslauthd_py.watching import watched
from saslauthd_py.watching.changes import Changes, unovertaken
from saslauthd_py.watching.reading import Fault, Source
from saslauthd_py.watching.watched import Changed

_logger = logging.getLogger(__name__)

_NUMBER = 1
"""Of the one secret that a line has."""

_Told = TypeVar("_Told")


@dataclass(frozen=True, slots=True)
class _Login:
    """A name as this backend knows it: `key` is looked up in the file of `realm`, folded; `account` is what `Watched` calls it."""

    realm: str
    key: Key
    account: str


_Teller = Callable[[_Login, Line], Awaitable[_Told]]


class PasswdFileBackend:
    """Implements `Backend`, `Keyed` and `Watched`."""

    def __init__(self, settings: PasswdFileSettings, hashing: Hashing, nursery: trio.Nursery, name: str = "") -> None:
        """`nursery` runs the readings of files; the one file for all realms is read at once. `name`: what the log calls this backend."""
        self._name = name
        self._settings = settings
        self._hashing = hashing
        self._nursery = nursery
        self._changes = Changes()
        self._warned = False
        self._usual = Usual()
        self._key: Secret = settings.decoy_key or Secret(os.urandom(32))
        self._files = Files(settings.path, self._watch, self._dropped)
        if not self._files.per_realm:
            file = self._files.find("")
            if isinstance(file, watched.WatchedFile):
                file.unchanged()

    def changes(self) -> Iterable[str] | None:
        """As `Watched.changes`. BackendBusy while a file that has changed is read anew.

        A file that cannot be read is no reason to raise: all its accounts have changed once, into accounts that nobody can tell of.
        """
        if self._files.home.changed():
            self._changes.any_may_have()
        stale = [file for file in self._files.watched() if file.was_read and not file.unchanged()]
        if stale:
            raise BackendBusy(f"{stale[0].source.path}: has changed and is read anew")
        return self._changes.taken()

    def account(self, name: Identity) -> str:
        """As `Watched.account`."""
        try:
            return self._login(name).account
        except InvalidIdentity:
            return ""

    def generation(self, name: Identity) -> int:
        """As `Watched.generation`."""
        try:
            login = self._login(name)
        except InvalidIdentity:
            return 0
        home = 0 if self._files.knows(login.realm) else self._files.home.generation
        return home << 64 | self._changes.generation(login.account)

    async def verify_password(self, attempt: Attempt) -> Verdict:
        """As `Backend.verify_password`. A verdict is given only by a line that is still the account's when its hash is done.

        Waits for the index of a file that has changed. Cancelled while a hash runs, it waits for that hash.
        """
        return await self._by_line(attempt.identity, lambda login, line: self._judge(login, line, attempt.secret), judges=True)

    async def pretend(self, secret: Secret) -> None:
        """As `Backend.pretend`: the kind of hash that most lines of the files in use have."""
        try:
            await self._hashing.verify(self._usual.decoy, secret)
        except BrokenRecord as error:  # an outage for unknown accounts alone would tell who is known
            _logger.warning("%s: no work like that of the common hash can be done here: %s", self._settings.path, error)
            self._usual.give_up_decoy()
            await self._hashing.verify(self._usual.decoy, secret)

    async def find_keys(self, name: Identity, function: Hash) -> KeysFound | Rejected | UnknownUser | Unavailable:
        """As `Keyed.find_keys`. Where most lines are clear text, an account without keys costs what deriving theirs does (rule D6)."""
        if self._settings.decoy_key is None:
            return Unavailable(f"{self._settings.path}: {keying.NO_DECOY_KEY}")
        told = await self._by_line(name, lambda login, line: self._keys(login, line, function), judges=False)
        if isinstance(told, Rejected | UnknownUser) and self._usual.derived(function):
            await keying.pretend(self.decoy(name, function), function, self._hashing.derive)
        return told

    async def find_account(self, name: Identity) -> Verdict:
        """As `Keyed.find_account`: an account by whose line it could log in with a password too."""
        return await self._by_line(name, self._vouched, judges=False)

    def decoy(self, name: Identity, function: Hash) -> AccountKeys:
        """As `Keyed.decoy`: with the rounds that most keys of this hash have in the files in use, stored and derived."""
        return self._salts(function).decoy(self.account(name) or str(name), function)

    def lack(self, function: Hash) -> str:
        """As `Keyed.lack`. Files for each realm cannot all be counted: a realm makes itself known by its logins."""
        if self._settings.decoy_key is None:
            return keying.NO_DECOY_KEY
        path = self._settings.path
        if self._files.per_realm:
            return f"{path}: nobody can count the accounts of every realm; if all have keys, name the mechanisms at the listener"
        file = self._files.find("")
        if isinstance(file, watched.WatchedFile):
            file.unchanged()
        found = file.found if isinstance(file, watched.WatchedFile) else file
        if not isinstance(found, Index):
            return found.cause if found is not None else f"{path}: not read yet"
        return found.keyless[function].line(function, f"`saslauthd-py hash --scheme {keying.scheme(function)}` makes what {path} needs")

    @property
    def counted(self) -> bool:
        """As `Keyed.counted`."""
        return True

    async def count_keys(self) -> None:
        """Wait until what `lack` says is up to date."""
        file = None if self._files.per_realm else self._files.find("")
        if isinstance(file, watched.WatchedFile):
            await file.current()

    async def _by_line(self, name: Identity, tell: _Teller[_Told], *, judges: bool) -> _Told | UnknownUser | Unavailable:
        """What `tell` says of the account's line, once that is still its line afterwards; `judges`: it compares a secret."""
        try:
            login = self._login(name)
        except InvalidIdentity:
            return UnknownUser()
        lost = Unavailable(f"{self._path(login.realm)}: the account kept changing while it was looked at", judged=judges)
        return await unovertaken(lambda: self._find(login), lambda line: tell(login, line), _is_same, lost)

    def _login(self, asked: Identity) -> _Login:
        """Raises InvalidIdentity. Names of two realms' files are two accounts, whatever `login` leaves of the realm."""
        realm = identity.fold_realm(asked.realm)
        name = identity.render(self._settings.login, asked)
        key = identity.key(name, self._settings.fold_case)
        return _Login(realm, key, identity.account(self._confirmed(realm, name)))

    def _confirmed(self, realm: str, name: Identity) -> Identity:
        return Identity(name.local, realm) if self._files.per_realm else name

    async def _find(self, login: _Login) -> Line | UnknownUser | Unavailable:
        file = self._files.find(login.realm)
        if file is None:
            return UnknownUser()
        if isinstance(file, watched.WatchedFile) and self._files.per_realm:
            file.note(login.account)
        found = await file.current() if isinstance(file, watched.WatchedFile) else file
        return Unavailable(found.cause) if isinstance(found, Fault) else found.find(login.key) or UnknownUser()

    async def _judge(self, login: _Login, line: Line, secret: Secret) -> Verdict:
        try:
            record = self._record(line)
            if isinstance(record.stored, Reason):
                return Rejected(record.stored)
            matches = await self._hashing.verify(record.stored, secret)
        except BrokenRecord as error:
            return self._broken(login, line, error)
        if not matches:
            return Rejected(Reason.WRONG_SECRET)
        return Accepted(self._confirmed(login.realm, record.identity), record.restrictions)

    async def _keys(self, login: _Login, line: Line, function: Hash) -> KeysFound | Rejected | Unavailable:
        try:
            record = self._record(line)
            if isinstance(record.stored, Reason):
                return Rejected(record.stored)
            credential = Credential(_NUMBER, Kind.MAIN, "", (record.stored,))
            keys = await keying.find(login.account, (credential,), function, self._salts(function), self._hashing.derive)
        except BrokenRecord as error:
            return self._broken(login, line, error)
        if keys is None:
            return Rejected(Reason.NO_CREDENTIAL)
        return KeysFound(self._confirmed(login.realm, record.identity), keys, {_NUMBER: record.restrictions})

    async def _vouched(self, login: _Login, line: Line) -> Verdict:
        try:
            record = self._record(line)
        except BrokenRecord as error:
            return self._broken(login, line, error)
        if isinstance(record.stored, Reason):
            return Rejected(record.stored)
        return Accepted(self._confirmed(login.realm, record.identity), record.restrictions, replayable=False)

    def _record(self, line: Line) -> Record:
        return password_lines.read(line.text, self._settings.format)

    def _broken(self, login: _Login, line: Line, fault: BrokenRecord) -> Unavailable:
        """Rule D8."""
        return Unavailable(f"{self._path(login.realm)}:{line.number}: {fault}")

    def _salts(self, function: Hash) -> Salts:
        return Salts(self._key, self._usual.rounds(function))

    def _path(self, realm: str) -> str:
        return self._settings.path.replace(REALM, realm)

    def _watch(self, realm: str) -> WatchedFile:
        def build(text: bytes) -> Index:
            built = index.build(text, self._settings.format, fold_case=self._settings.fold_case)
            if self._settings.decoy_key is not None:
                built.keyless = keyless.count(built, self._settings.format)
            return built

        source = Source(self._path(realm), build, Index.changed, LARGEST, whole=_ends_with_a_line)
        if self._files.per_realm:
            source = replace(source, missing=NO_ACCOUNTS, home=self._files.home.path)
        return WatchedFile(source, self._nursery, partial(self._published, realm), self._name)

    def _published(self, realm: str, file: WatchedFile, changed: Changed) -> None:
        self._changes.count(None if changed is None else {identity.account(self._confirmed(realm, name)) for name in changed})
        self._files.trim(file)
        self._usual.count(one.found.profiles for one in self._files.watched() if isinstance(one.found, Index))
        if file.exposed and not self._warned and isinstance(file.found, Index) and file.found.profiles:
            self._warned = True
            path = file.source.path
            _logger.warning("%s: every user of this machine can read its hashes; chgrp it to the daemon's group, then chmod 640", path)

    def _dropped(self, file: WatchedFile) -> None:
        """Nobody sees its changes any more, so what was said of its accounts is not remembered."""
        self._changes.count(file.asked)
        file.asked = set()


def _is_same(one: Line, other: Line) -> bool:
    """Wherever in the file it stands."""
    return one.text == other.text


def _ends_with_a_line(text: bytes) -> bool:
    return text.endswith(b"\n")
