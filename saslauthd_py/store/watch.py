"""Rule C6: what has changed in the store since the last look, and whether it can be trusted at all.

A commit moves SQLite's data_version, even across processes. A checkpoint or a damage moves the file's size or mtime; then the
store is opened anew and read, beside the old connection, before the old one is closed: the last connection that closes writes
the -wal into the file, which must not happen to a damaged one. A file renamed over the store moves neither, and beside the old
-wal SQLite would read a mix of both: the inode tells.
"""

from __future__ import annotations

import ctypes
import os
import sqlite3
from contextlib import closing
from typing import NamedTuple

from saslauthd_py.backend import BackendBusy, BackendUnreadable
from saslauthd_py.generations import Generations
from saslauthd_py.secret import Secret
from saslauthd_py.store import access, changes
from saslauthd_py.store.changes import Position
from saslauthd_py.store.connection import check_file, hold, other_file, reader, release, store_error, translated, unsettled
from saslauthd_py.store.errors import BusyStore, NoSuchStore, StoreError, UnsafeStore, restoring
from saslauthd_py.store.migrations import open_current
from saslauthd_py.store.reader import decoy_key

_NOTHING: frozenset[str] = frozenset()


class _File(NamedTuple):
    """What os.lstat says of the database and its -wal: equal as long as neither was touched other than by a commit."""

    inode: int
    device: int
    mode: int
    uid: int
    size: int
    modified: int
    shm: int
    wal: int


class Watch:
    """The daemon's view of one store, for one thread at a time. A look costs a few microseconds and never waits.

    `connection` is for reading right after a look; a look may put another in its place, and after one that raised it is not to be used.
    `decoy_key` is that of the beginning (`reader.decoy_key`).
    """

    connection: sqlite3.Connection
    decoy_key: Secret
    _cursor: sqlite3.Cursor
    _position: Position
    _unchanged: _File | None

    def __init__(self, path: str) -> None:
        """Open the store at `path`, migrated where it is older. Raises StoreError."""
        self._path = os.path.abspath(path)
        self._generations = Generations()
        self._broken = self._closed = False
        with closing(open_current(self._path)), translated(self._path):
            self._first = _file(self._path)
            self._open(None)
            self.decoy_key = decoy_key(self.connection)
        hold(self._path, self._first.inode, self._first.device)

    def look(self) -> frozenset[str] | None:
        """The accounts (as `identity.account` makes them) changed since the last look that did not raise; None: any may have.

        Raises BackendBusy when the store is locked or half written at this moment; BackendUnreadable when its file is gone, another
        one, damaged, open to others, or of another schema: until that is mended, or the daemon restarted.
        """
        try:
            changed = self._changed()
        except BusyStore as error:
            raise BackendBusy(str(error)) from None
        except StoreError as error:
            self._broken = True
            raise BackendUnreadable(str(error)) from None
        if changed != _NOTHING:
            self._generations.count(changed)
        return changed

    def generation(self, account: str) -> int:
        """A number that is another one after every change of the account that a look has seen."""
        return self._generations[account]

    def close(self) -> None:
        """Close the store; a damaged file is left as it is. A second time does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._broken:
            _leave_open(self.connection)
        else:
            self.connection.close()
            release(self._path, self._first.inode, self._first.device)

    def _changed(self) -> frozenset[str] | None:
        file = self._file()
        try:
            if file != self._unchanged or self._broken:
                return self._reopen()
            version = self._cursor.execute("PRAGMA data_version").fetchone()[0]
            if version == self._position.version:
                return _NOTHING
            self._position, changed = changes.read(self.connection, self._path, self._position)
            return changed or None
        except sqlite3.Error as error:
            raise store_error(self._path, error) from None

    def _reopen(self) -> frozenset[str] | None:
        old = self.connection
        changed = self._open(None if self._broken else self._position)
        old.close()
        self._broken = False
        return changed

    def _open(self, since: Position | None) -> frozenset[str] | None:
        before = self._file()
        access.check(self._path)
        check_file(self._path)
        connection = reader(self._path)
        try:
            position, changed = changes.read(connection, self._path, since)
            after = self._file()
        except UnsafeStore:
            _leave_open(connection)
            raise
        except BaseException:
            connection.close()
            raise
        # Written meanwhile, or so lately that its mtime could stand still over another write: the next look opens it again.
        certain = before[:-1] == after[:-1] and not unsettled(after.modified)
        self._unchanged = after if certain else None
        self.connection, self._position = connection, position
        self._cursor = connection.cursor()
        return changed

    def _file(self) -> _File:
        file = _file(self._path)
        if file.inode != self._first.inode or file.device != self._first.device:
            raise other_file(self._path)
        if file.shm != self._first.shm:
            raise UnsafeStore(f"{self._path}-shm: removed or replaced: changes are not seen any more; restart the daemon")
        return file


def _file(path: str) -> _File:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        raise NoSuchStore(f"{path}: the file is gone; put it back, or {restoring(path)}") from None
    except OSError as error:
        if isinstance(error, PermissionError):
            access.check_directory(path)  # says which mode it should have
        raise StoreError(f"{path}: {error.strerror}") from None
    shm, wal = _inode(path + "-shm"), _inode(path + "-wal")
    return _File(found.st_ino, found.st_dev, found.st_mode, found.st_uid, found.st_size, found.st_mtime_ns, shm, wal)


def _inode(path: str) -> int:
    try:
        return os.lstat(path).st_ino
    except OSError:
        return 0


def _leave_open(connection: sqlite3.Connection) -> None:
    # Closed, or collected at the interpreter's end, it would write the -wal into a file that is damaged or not its own.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
