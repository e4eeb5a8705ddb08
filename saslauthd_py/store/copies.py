"""A copy of the store while it is in use, and the way back: into the live file, by SQLite's backup API (rule F1).

A running daemon sees a restored store as it sees any write: by its data_version, in the same file. It takes every account as changed.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO

from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.store import access, schema
from saslauthd_py.store.connection import COMMAND_WAIT, give_room_back, reader, translated
from saslauthd_py.store.errors import BrokenStore, BusyStore, NoBackup, restoring
from saslauthd_py.store.migrations import apply, created, empty_file, make_directory, open_current, put_aside
from saslauthd_py.store.reader import decoy_key
from saslauthd_py.store.store import SETTLE

HEAD = 100
"""Bytes by which a backup is told from other files: those of SQLite's header."""

_MAGIC = b"SQLite format 3\0"
_APPLICATION_ID = slice(68, 72)

_BEYOND = 1 << 20
"""Ids that are left out after a restore: more than anybody gives between the look at the store and its end (rule F4)."""


@dataclass(frozen=True, slots=True)
class Restored:
    """How many accounts a backup has, and the store had, whose copy is at `before`; None and empty: there was no store."""

    accounts: int
    had: int | None = None
    before: str = ""


def open_backup(name: str, path: str) -> BinaryIO:
    """The backup `name`, open, for `restore` to `path`. For a process that has not yet become the store's owner.

    Raises NoBackup for what is none, for a store that is in use, and for the one at `path`; OSError.
    """
    file = open(name, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY))  # noqa: SIM115 - returned
    try:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or not is_backup(file.read(HEAD)):
            raise NoBackup(f"{name}: not a backup of saslauthd-py")
        if os.path.exists(path) and os.path.samestat(found, os.stat(path)):
            raise NoBackup(f"{name}: this is the store itself")
        with suppress(FileNotFoundError):
            if os.path.getsize(f"{name}-wal"):
                raise NoBackup(f"{name}: a store in use, whose last changes are in {name}-wal: make a backup of it by saslauthd-py backup")
        file.seek(0)
        return file
    except BaseException:
        file.close()
        raise


def is_backup(head: bytes) -> bool:
    """Whether a file that begins so is a store of ours, or the copy of one."""
    return head.startswith(_MAGIC) and head[_APPLICATION_ID] == schema.APPLICATION_ID.to_bytes(4, "big")


def write_backup(path: str, to: BinaryIO) -> int:
    """Write a copy of the store at `path` to a file that is open, whole and of one moment; the number of its accounts.

    It stands beside the store until it has been looked through. Raises StoreError, OSError.
    """
    path = os.path.abspath(path)
    access.check(path)
    with _beside(path) as copy, translated(path):
        with closing(reader(path, COMMAND_WAIT)) as source, closing(sqlite3.connect(copy, isolation_level=None)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE").fetchall()  # a file by itself, that nothing beside it belongs to
            if _damage(target):
                raise BrokenStore(f"{path}: damaged; {restoring(path)}")
            accounts = _accounts(target)
        with open(copy, "rb") as file:
            shutil.copyfileobj(file, to, 1 << 20)
    return accounts


def restore(path: str, backup: BinaryIO, name: str, *, dry: bool = False) -> Restored:
    """Put what is in the backup, called `name`, in the place of what the store at `path` holds, in one transaction; owner and mode stay.

    Where there is no store one is made, and what a lost one left beside it is removed. What was there before is kept beside the store. With
    `dry` the backup is looked through, and no more. Raises StoreError: NoBackup for a file that is none, BusyStore, NewerStore.
    """
    path = os.path.abspath(path)
    lost = not os.path.lexists(path)
    if not lost:
        access.check(path)
    elif not dry:
        make_directory(path)
    with _beside(path) as copy:
        with open(copy, "wb") as file:
            shutil.copyfileobj(backup, file, 1 << 20)
        with _read_as(name), closing(sqlite3.connect(copy, isolation_level=None)) as source:
            accounts = _made_fit(source, name)
            if dry:
                return Restored(accounts)
            if lost:
                return _into_new(path, source, accounts)
            return _into_live(path, source, accounts)


def _into_new(path: str, source: sqlite3.Connection, accounts: int) -> Restored:
    for side in access.SIDE_FILES:
        with suppress(FileNotFoundError):
            os.unlink(path + side)
    with created(path) as fresh, translated(path), closing(open_current(fresh)) as live:
        _copy_over(source, live, path)
    return Restored(accounts)


def _into_live(path: str, source: sqlite3.Connection, accounts: int) -> Restored:
    before = f"{path}.before-restore"
    with translated(path), closing(open_current(path)) as live:
        put_aside(path, before)
        had = _accounts(live)
        sizes = [one.execute("PRAGMA page_size").fetchone()[0] for one in (live, source)]
        if sizes[0] != sizes[1]:  # into a -wal go only pages of its own size
            source.execute(f"PRAGMA page_size={sizes[0]}")
            source.execute("VACUUM")
        _forget_no_id(source, live)
        _copy_over(source, live, path)
        give_room_back(live)
    time.sleep(SETTLE)
    return Restored(accounts, had, before)


def _copy_over(source: sqlite3.Connection, live: sqlite3.Connection, path: str) -> None:
    def judge(status: int, _remaining: int, _total: int) -> None:
        # Left alone it would try for ever; SQLite itself has waited for as long as a command waits.
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise BusyStore(f"{path}: locked by another process; try again")

    source.backup(live, progress=judge)


def _forget_no_id(source: sqlite3.Connection, live: sqlite3.Connection) -> None:
    """Ids that the live store has given are not given again: a rehash that is on its way, or a last use, would meet another's secret."""
    source.execute("BEGIN")
    for table, last in live.execute("SELECT name, seq FROM sqlite_sequence").fetchall():
        source.execute("INSERT INTO sqlite_sequence SELECT ?, 0 WHERE ? NOT IN (SELECT name FROM sqlite_sequence)", (table, table))
        source.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", (last + _BEYOND, table))
    source.execute("INSERT INTO change (local, realm) VALUES ('', '')")  # of anybody
    source.execute("COMMIT")


def _made_fit(source: sqlite3.Connection, name: str) -> int:
    """Look through the copy of a backup, and bring it to the current schema; the number of its accounts. Raises NoBackup."""
    if source.execute("PRAGMA application_id").fetchone()[0] != schema.APPLICATION_ID:
        raise NoBackup(f"{name}: not a backup of saslauthd-py")
    version, ours = source.execute("PRAGMA user_version").fetchone()[0], len(schema.MIGRATIONS)
    if not 1 <= version <= ours:
        raise NoBackup(f"{name}: a backup of schema {version}, and this program has {ours}: upgrade it")
    source.execute("PRAGMA journal_mode=DELETE").fetchall()
    source.execute("PRAGMA trusted_schema=OFF")
    source.execute("PRAGMA foreign_keys=ON")
    _refuse_other_schema(source, version, name)
    if _damage(source):
        raise NoBackup(f"{name}: damaged; take another backup")
    if version < ours:
        source.execute("BEGIN")
        apply(source, version)
        source.execute("COMMIT")
    if source.execute("SELECT count(*) FROM store").fetchone()[0] != 1:
        raise NoBackup(f"{name}: the store's own number is gone; take another backup")
    try:
        decoy_key(source)
    except BrokenRecord as fault:
        raise NoBackup(f"{name}: {fault}; take another backup") from None
    return _accounts(source)


def _refuse_other_schema(source: sqlite3.Connection, version: int, name: str) -> None:
    """What is not ours would come to life in the store: a trigger can bring an old password back as often as it is changed (rule F2)."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as empty:
        apply(empty, 0, version)
        ours, found = _schema(empty), _schema(source)
    if not ours <= found:
        raise NoBackup(f"{name}: not a backup of saslauthd-py, for it lacks what a store has")
    if found - ours:
        kind, called, _ = min(found - ours)
        raise NoBackup(f"{name}: holds the {kind} {called[:64]!a}, which no store has: somebody else put it there; take another backup")


def _schema(connection: sqlite3.Connection) -> set[tuple[str, str, str]]:
    """All but what ANALYZE leaves."""
    return set(connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_schema WHERE name NOT GLOB 'sqlite_stat[0-9]'"))


def _damage(connection: sqlite3.Connection) -> bool:
    if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        return True
    return connection.execute("PRAGMA foreign_key_check").fetchone() is not None


def _accounts(connection: sqlite3.Connection) -> int:
    found: int = connection.execute("SELECT count(*) FROM identity").fetchone()[0]
    return found


@contextmanager
def _read_as(name: str) -> Iterator[None]:
    """What SQLite raises is of the backup's copy here; what is the store's has become StoreError before."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise NoBackup(f"{name}: not a backup of saslauthd-py, or a damaged one ({error})") from None


@contextmanager
def _beside(path: str) -> Iterator[str]:
    """A file in the store's directory (before that is made: elsewhere), 0600, that goes with the block."""
    home = path if os.path.isdir(os.path.dirname(path)) else os.path.join(tempfile.gettempdir(), os.path.basename(path))
    with empty_file(home) as name:
        yield name
