"""Connections to the store: how SQLite is opened, what is ours, and what its errors mean to an admin.

Nothing here or elsewhere in the process opens the database by `open`: closing such a descriptor would drop SQLite's locks.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from urllib.parse import quote

from saslauthd_py import passwords
from saslauthd_py.store import schema
from saslauthd_py.store.errors import PUT_BACK, BrokenStore, BusyStore, NewerStore, NoSuchStore, StoreError, UnsafeStore, restoring

_ADVICE = {
    sqlite3.SQLITE_IOERR: "; is the disk full? If not: look at the kernel's log; then restart the daemon",
    sqlite3.SQLITE_FULL: "; is the disk full? Make room there",
    sqlite3.SQLITE_READONLY: "; is its file system mounted read-only?",
    sqlite3.SQLITE_CANTOPEN: "; is its file system mounted read-only?"
    " If not: look at its permissions, and how many files this process has open",
}

COMMAND_WAIT = 5.0
"""Seconds that a command waits for another writer."""

UNSETTLED = 50_000_000
"""Nanoseconds after its last write in which a file may be written again within the same tick of its mtime, or may be half checkpointed."""


_held: Counter[tuple[str, int, int]] = Counter()


def hold(path: str, inode: int, device: int) -> None:
    """From now on this process reads `path` (absolute) as this file for good, and opens no other one there: see `other_file`."""
    _held[path, inode, device] += 1


def release(path: str, inode: int, device: int) -> None:
    """Undo one `hold`."""
    _held[path, inode, device] -= 1


def other_file(path: str) -> UnsafeStore:
    """What to say of a file that took the place of one that is held. SQLite finds the -wal by name, and would mix the two."""
    return UnsafeStore(
        f"{path}: another file is in its place; put the old one back; or, to restore from this one: "
        f"stop the daemon, remove {path}-wal and {path}-shm, start it"
    )


def connect(path: str, how: str, wait: float) -> sqlite3.Connection:
    """Open `path`, whatever letters it holds, in autocommit, with these URI parameters; foreign keys on, nothing trusted (rule F4)."""
    uri = f"file://{quote(os.fsencode(os.path.abspath(path)))}?{how}"
    connection = sqlite3.connect(uri, timeout=wait, isolation_level=None, check_same_thread=False, uri=True)
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA trusted_schema=OFF")
    return connection


def reader(path: str, wait: float = 0.0) -> sqlite3.Connection:
    """A connection that reads a store that is there, in autocommit, and waits `wait` seconds at most; usable from any one thread at a time.

    It is opened for writing, because a reader of a WAL database that cannot write its -shm breaks; `query_only` keeps it from doing so.
    Raises UnsafeStore where another file is held (`hold`), sqlite3.Error.
    """
    connection = _connect_file(path, wait)
    connection.execute("PRAGMA query_only=ON")
    return connection


def writer(path: str, wait: float = COMMAND_WAIT) -> sqlite3.Connection:
    """As `reader`, for writing: every commit is on the disk when it returns (rule F1)."""
    connection = _connect_file(path, wait)
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def check_file(path: str) -> None:
    """Look at the first page as it is in the file. A connection to the store would take it from the -wal, and not see the damage.

    Raises BrokenStore, and BusyStore where a checkpoint may be at work: it writes the new size before the new pages.
    """
    # immutable: no -wal, no locks; and SQLite, unlike close(2), keeps the locks of this process's other connections.
    with translated(path):
        try:
            with closing(connect(path, "mode=ro&immutable=1", 0.0)) as connection:
                _check_ours(connection, path)
        except sqlite3.DatabaseError as error:
            if _kind(error) == sqlite3.SQLITE_CORRUPT and unsettled(os.lstat(path).st_mtime_ns):
                raise BusyStore(f"{path}: being written") from None
            raise


def check_version(connection: sqlite3.Connection, path: str) -> int:
    """The schema's version. Raises BrokenStore for a database that is not ours, NewerStore for a schema that is too new (rule F4)."""
    _check_ours(connection, path)
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(schema.MIGRATIONS):
        raise NewerStore(
            f"{path}: schema {version} is newer than this program's {len(schema.MIGRATIONS)}: restart the daemon, or upgrade this program"
        )
    return version


def give_room_back(connection: sqlite3.Connection) -> None:
    """After a large write: the -wal, which had to hold all of it, is emptied. Where a reader keeps it that is for the next one to do."""
    connection.execute("PRAGMA main.wal_checkpoint(TRUNCATE)").fetchall()


def unsettled(modified: int) -> bool:
    """Whether a file with this mtime (ns) was written so lately that an equal mtime would not say that it is unchanged since."""
    return 0 <= time.time_ns() - modified < UNSETTLED


def store_error(path: str, error: sqlite3.Error) -> StoreError:
    """What SQLite said, as one of ours."""
    if not hasattr(error, "sqlite_errorcode"):
        # Of Python's module and not SQLite's: a text that is not UTF-8, which its message would show.
        return BrokenStore(f"{path}: a record cannot be read; {restoring(path)}")
    kind = _kind(error)
    if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return BusyStore(f"{path}: locked by another process; try again")
    if kind in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return BrokenStore(f"{path}: damaged ({error}); {restoring(path)}")
    if kind == sqlite3.SQLITE_CANTOPEN and not os.path.lexists(path):
        return NoSuchStore(f"{path}: no such store; {PUT_BACK}")
    return StoreError(f"{path}: {error}{_ADVICE.get(kind, '')}")


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn what SQLite raises in here, and a record that cannot be read, into StoreError."""
    try:
        yield
    except passwords.BrokenRecord as error:
        raise BrokenStore(f"{path}: {error}") from None
    except sqlite3.Error as error:
        raise store_error(path, error) from error


def _connect_file(path: str, wait: float) -> sqlite3.Connection:
    path = os.path.abspath(path)
    held = [file for (name, *file), count in list(_held.items()) if name == path and count > 0]
    if held:
        with suppress(FileNotFoundError):
            found = os.lstat(path)
            if [found.st_ino, found.st_dev] not in held:
                raise other_file(path)
    return connect(path, "mode=rw", wait)


def _kind(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF


def _check_ours(connection: sqlite3.Connection, path: str) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != schema.APPLICATION_ID:
        raise BrokenStore(f"{path}: not a store of saslauthd-py; name another path, or {restoring(path)}")
