"""Bringing a store to the current schema: made whole or not at all, migrated in one transaction after a copy was put aside (rule F4)."""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

from saslauthd_py.store import access, schema
from saslauthd_py.store.connection import COMMAND_WAIT, check_file, check_version, reader, translated, writer
from saslauthd_py.store.errors import BrokenStore, BusyStore, StoreError, StoreExists, restoring


def open_current(path: str) -> sqlite3.Connection:
    """A writer on the store at `path`, which is checked (rule A7) and has the current schema then. Raises StoreError."""
    access.check(path)
    _await_file(path)
    with translated(path):
        connection = writer(path)
        try:
            if check_version(connection, path) < len(schema.MIGRATIONS):
                _migrate(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def create(path: str) -> None:
    """Make an empty store at `path`, and its directory where that alone is missing. One that another process makes meanwhile stays.

    Raises StoreError.
    """
    with suppress(StoreExists), created(path):
        pass


@contextmanager
def created(path: str) -> Iterator[str]:
    """A new store, empty under another name, to be filled there; at the end of the block it has its own: whoever finds the name finds all.

    An exception in the block, and there is no store. Raises StoreError; StoreExists where another process has made one meanwhile.
    """
    make_directory(path)
    _refuse_leftovers(path)
    with ExitStack() as stack:
        try:
            fresh = stack.enter_context(empty_file(path))
        except OSError as error:
            raise StoreError(f"{path}: cannot be made: {error.strerror}") from None
        _fill(fresh)
        yield fresh
        _name(fresh, path)


def make_directory(path: str) -> None:
    """The directory of a store at `path`, which is checked; made where it alone is missing. Raises StoreError."""
    try:
        with suppress(FileExistsError):
            os.mkdir(os.path.dirname(path), 0o700)
    except OSError as error:
        raise StoreError(f"{path}: cannot be made: {error.strerror}") from None
    access.check_directory(path)


def _name(fresh: str, path: str) -> None:
    try:
        sync(fresh)
        os.link(fresh, path)
        sync(os.path.dirname(path))
    except FileExistsError:
        raise StoreExists(f"{path}: another process has made it meanwhile; try again") from None
    except OSError as error:
        raise StoreError(f"{path}: cannot be made: {error.strerror}") from None


def _await_file(path: str) -> None:
    until = time.monotonic() + COMMAND_WAIT
    while True:
        try:
            return check_file(path)
        except BusyStore:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def _refuse_leftovers(path: str) -> None:
    # SQLite would play the -wal of the store that was here into the new one.
    for side in access.SIDE_FILES:
        if os.path.lexists(path + side) and not os.path.lexists(path):  # else another process has just made it
            raise BrokenStore(
                f"{path} is gone, but {path + side} is here: put the store back, or {restoring(path)}; "
                f"for a new store remove both side files: the changes that only {path}-wal holds are lost then"
            )


def _fill(path: str) -> None:
    with translated(path), closing(writer(path)) as connection:
        if connection.execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":
            raise StoreError(f"{path}: this file system cannot hold the store (no shared memory; a network mount?)")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA application_id={schema.APPLICATION_ID}")
        apply(connection, 0)
        connection.execute("COMMIT")


def _migrate(connection: sqlite3.Connection, path: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = check_version(connection, path)
        if version < len(schema.MIGRATIONS):
            put_aside(path, f"{path}.before-{len(schema.MIGRATIONS)}")
            apply(connection, version)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def apply(connection: sqlite3.Connection, version: int, to: int | None = None) -> None:
    """Bring a store of this version to the current one, or to version `to`, within the transaction that is open."""
    steps = schema.MIGRATIONS[:to]
    connection.create_function("os_urandom", 1, os.urandom)
    for statements in steps[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version={len(steps)}")


def put_aside(path: str, to: str) -> None:
    """A copy of the store at `path`, whole or not at all, 0600, in the place of what `to` was. Raises StoreError, sqlite3.Error."""
    try:
        with empty_file(to) as fresh:
            with closing(reader(path)) as source, closing(sqlite3.connect(fresh)) as copy:
                source.backup(copy)
            os.replace(fresh, to)
    except OSError as error:
        raise StoreError(f"{to}: cannot be written: {error.strerror}") from None
    sync(os.path.dirname(to))


@contextmanager
def empty_file(path: str) -> Iterator[str]:
    """A new file beside `path`, 0600, with a name of its own, which goes with the block. So do those that killed processes left.

    Whoever makes one holds a flock(2) on it, to which SQLite's locks are strangers, until nobody here has it open. Raises OSError.
    """
    directory, name = os.path.split(os.path.abspath(path))
    left = re.compile(re.escape(name) + r"\.new-[a-z0-9_]{8}")
    for entry in os.listdir(directory):
        if left.fullmatch(entry):
            _remove_left(os.path.join(directory, entry))
    with ExitStack() as stack:
        while True:
            descriptor, fresh = tempfile.mkstemp(prefix=f"{name}.new-", dir=directory)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:  # else somebody came before the lock, and took it for left
                break
        stack.callback(_remove, fresh)
        yield fresh


def _remove_left(name: str) -> None:
    with suppress(OSError), closing(open(name, "rb", buffering=0, opener=_no_link)) as file:
        found = os.fstat(file.fileno())
        if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(name)


def _no_link(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _remove(name: str) -> None:
    for one in (*(f"{name}{end}" for end in ("-journal", *access.SIDE_FILES)), name):
        with suppress(FileNotFoundError):
            os.unlink(one)


def sync(name: str) -> None:
    """A file, that nobody has open; a directory: the names in it. On the disk then."""
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
