"""The store as commands use it. A method that writes is one transaction, and returns when no daemon takes the old state any more."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from saslauthd_py.credential import UNRESTRICTED, Credential, Kind
from saslauthd_py.identity import Identity, Key, fold_realm, key
from saslauthd_py.secret import Secret
from saslauthd_py.store import migrations, rows
from saslauthd_py.store.changes import trim
from saslauthd_py.store.connection import check_version, translated
from saslauthd_py.store.counts import any_keyed
from saslauthd_py.store.errors import NameExists, NoSuchUser
from saslauthd_py.store.model import Account, NewSecret
from saslauthd_py.store.reader import decoy_key, find

SETTLE = 0.005
"""Seconds between a commit and the return: a daemon's look at the store is at most 2 ms old (rule C6)."""

_PAGE = 1000

_LIST = """
    {columns}, identity.realm_key, identity.local_key
    FROM (SELECT * FROM identity WHERE {page} ORDER BY realm_key, local_key LIMIT {limit}) AS identity
    LEFT JOIN secret ON secret.identity = identity.id LEFT JOIN encoding ON encoding.secret = secret.id
    ORDER BY identity.realm_key, identity.local_key, {order}
"""
_LIST_ALL = _LIST.format(columns=rows.ACCOUNT, page="(realm_key, local_key) > (?, ?)", limit=_PAGE, order=rows.IN_ORDER)
_LIST_REALM = _LIST.format(columns=rows.ACCOUNT, page="realm_key = ? AND local_key > ?", limit=_PAGE, order=rows.IN_ORDER)


class Store:
    """An open store. Identities are found by their key (case folded, rule B5) and keep the name as it was given.

    Any method raises StoreError: BusyStore after 5 s behind another writer, NewerStore, BrokenStore. For one thread at a time.
    """

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    @classmethod
    def open(cls, path: str, *, create: bool = False) -> Store:
        """Open the store at `path`, migrated where it is older. `create`: make it, and its directory, where there is none.

        Raises NoSuchStore, UnsafeStore (it is another user's, or open to others; see `access.become_owner`), NewerStore, BrokenStore.
        """
        path = os.path.abspath(path)
        if create and not os.path.lexists(path):
            migrations.create(path)
        return cls(path, migrations.open_current(path))

    def close(self) -> None:
        """Close it. A second time does nothing."""
        self._connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def add(self, identity: Identity, new: NewSecret | None = None) -> Account:
        """A new account, with `new` as its main secret. Raises NameExists."""
        wanted = key(identity)
        with self._writing():
            self._refuse_taken(wanted, identity)
            now = time.time()
            [(added,)] = self._connection.execute(
                "INSERT INTO identity (local, realm, local_key, realm_key, created, changed) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
                (identity.local, identity.realm, wanted.local, wanted.realm, now, now),
            ).fetchall()
            if new is not None:
                self._add_main(added, new, now)
            return self._existing(wanted, identity)

    def set_secret(self, identity: Identity, new: NewSecret) -> Account:
        """Give the account this main secret: all encodings of the old one go with it (rule F2). Raises NoSuchUser."""
        wanted = key(identity)
        with self._writing():
            account = self._existing(wanted, identity)
            now = time.time()
            main = next((credential for credential in account.credentials if credential.kind is Kind.MAIN), None)
            if main is None:
                self._add_main(account.id, new, now)
            else:
                self._change(main, new, now)
            self._connection.execute("UPDATE identity SET changed = ? WHERE id = ?", (now, account.id))
            return self._existing(wanted, identity)

    def decoy_key(self) -> Secret:
        """As `reader.decoy_key`."""
        with translated(self._path):
            return decoy_key(self._connection)

    def any_keyed(self) -> bool:
        """As `counts.any_keyed`."""
        with translated(self._path):
            return any_keyed(self._connection)

    def get(self, identity: Identity) -> Account:
        """The account with this key. Raises NoSuchUser."""
        with translated(self._path):
            return self._existing(key(identity), identity)

    def accounts(self, realm: str | None = None) -> Iterator[Account]:
        """All accounts, or those of one realm, ordered by realm and name as folded; a million take no more memory than a thousand.

        Read in pages of 1000, each at its own moment, so that a reader who pauses keeps no other process from anything.
        """
        statement = _LIST_ALL if realm is None else _LIST_REALM
        after = (fold_realm(realm or ""), "")
        while True:
            with translated(self._path):
                page = self._connection.execute(statement, after).fetchall()
                accounts = list(rows.accounts(page))
            if not page:
                return
            yield from accounts
            after = page[-1][-2:]

    def remove(self, identity: Identity) -> Account:
        """Remove the account and its secrets; return it as it was. Raises NoSuchUser."""
        with self._writing():
            account = self._existing(key(identity), identity)
            self._connection.execute("DELETE FROM identity WHERE id = ?", (account.id,))
            return account

    def rename(self, identity: Identity, to: Identity) -> Account:
        """Give the account another name, or another spelling of its own. Raises NoSuchUser, NameExists."""
        old, wanted = key(identity), key(to)
        with self._writing():
            account = self._existing(old, identity)
            if wanted != old:
                self._refuse_taken(wanted, to)
            self._connection.execute(
                "UPDATE identity SET local = ?, realm = ?, local_key = ?, realm_key = ?, changed = ? WHERE id = ?",
                (to.local, to.realm, wanted.local, wanted.realm, time.time(), account.id),
            )
            return self._existing(wanted, to)

    def lock(self, identity: Identity, reason: str, *, keep: bool = False) -> Account:
        """Refuse every login of the account, whatever its secret. Locked already: the reason is replaced, unless `keep`.

        Raises NoSuchUser.
        """
        return self._set_lock(identity, reason, keep=keep)

    def unlock(self, identity: Identity) -> Account:
        """Undo `lock`; nothing where it is not locked. Raises NoSuchUser."""
        return self._set_lock(identity, None)

    def _set_lock(self, identity: Identity, reason: str | None, *, keep: bool = False) -> Account:
        wanted = key(identity)
        with self._writing():
            account = self._existing(wanted, identity)
            if account.locked != reason and not (keep and account.locked is not None):
                self._connection.execute("UPDATE identity SET locked = ?, changed = ? WHERE id = ?", (reason, time.time(), account.id))
            return self._existing(wanted, identity)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with translated(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                check_version(self._connection, self._path)
                yield
                trim(self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        time.sleep(SETTLE)

    def _existing(self, wanted: Key, identity: Identity) -> Account:
        account = find(self._connection, wanted)
        if account is None:
            raise NoSuchUser(f"{identity}: no such user")
        return account

    def _refuse_taken(self, wanted: Key, identity: Identity) -> None:
        taken = find(self._connection, wanted)
        if taken is not None:
            raise NameExists(f"{identity}: exists already, as {taken.identity}")

    def _add_main(self, account: int, new: NewSecret, now: float) -> None:
        columns = rows.restriction_columns(new.restrictions or UNRESTRICTED)
        [(added,)] = self._connection.execute(
            "INSERT INTO secret (identity, kind, label, services, networks, expires, disabled, generation, created, changed)"
            " VALUES (?, ?, '', ?, ?, ?, 0, 1, ?, ?) RETURNING id",
            (account, Kind.MAIN, *columns, now, now),
        ).fetchall()
        rows.add_encodings(self._connection, added, Kind.MAIN, new.encodings)

    def _change(self, old: Credential, new: NewSecret, now: float) -> None:
        columns = rows.restriction_columns(old.restrictions if new.restrictions is None else new.restrictions)
        self._connection.execute(
            "UPDATE secret SET services = ?, networks = ?, expires = ?, generation = generation + 1, changed = ? WHERE id = ?",
            (*columns, now, old.id),
        )
        self._connection.execute("DELETE FROM encoding WHERE secret = ?", (old.id,))
        rows.add_encodings(self._connection, old.id, old.kind, new.encodings)
