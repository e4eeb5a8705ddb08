"""When each secret was last used (rule F5): a database of its own, so that a login neither waits for the disk nor looks like a change.

`path` is always the store's; `usage.db` is beside it, and may serve several stores there.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress

from saslauthd_py.store.connection import COMMAND_WAIT, connect, reader, store_error, translated
from saslauthd_py.store.errors import BrokenStore

_TABLE = """
    CREATE TABLE IF NOT EXISTS use (
        store TEXT NOT NULL,
        secret INTEGER NOT NULL,
        last REAL NOT NULL,
        PRIMARY KEY (store, secret)
    ) STRICT, WITHOUT ROWID
"""

_USED = """
    INSERT INTO use (store, secret, last) VALUES (?, ?, ?)
    ON CONFLICT (store, secret) DO UPDATE SET last = max(last, excluded.last)
"""

_LAST = "SELECT secret, last FROM use WHERE store = ? AND secret IN (SELECT value FROM json_each(?))"


def write(path: str, uses: Mapping[int, float]) -> None:
    """Note when these secrets (by id) were used (Unix time); an earlier time than the one noted is ignored.

    For a thread: it waits for the disk, and up to 5 s for other writers. Raises StoreError.
    """
    store, beside = _store(path), _beside(path)
    with suppress(FileExistsError):
        os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    with _opened(beside) as connection:
        connection.execute(_TABLE)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_USED, [(store, secret, last) for secret, last in uses.items()])
        connection.execute("COMMIT")


def read(path: str, secrets: Iterable[int]) -> dict[int, float]:
    """When these secrets (by id) were last used; those of which nothing was noted yet are left out. Raises StoreError."""
    store, beside = _store(path), _beside(path)
    if not os.path.lexists(beside):
        return {}
    with _opened(beside) as connection:
        connection.execute(_TABLE)
        return dict(connection.execute(_LAST, (store, json.dumps(list(secrets)))))


def _beside(path: str) -> str:
    return os.path.join(os.path.dirname(os.path.abspath(path)), "usage.db")


def _store(path: str) -> str:
    with translated(path), closing(reader(path, COMMAND_WAIT)) as connection:
        found: str = connection.execute("SELECT id FROM store").fetchone()[0]
        return found


@contextmanager
def _opened(beside: str) -> Iterator[sqlite3.Connection]:
    try:
        with closing(connect(beside, "mode=rw", COMMAND_WAIT)) as connection:
            yield connection
    except sqlite3.Error as error:
        fault = store_error(beside, error)
        if isinstance(fault, BrokenStore):
            raise BrokenStore(f"{beside}: damaged; remove it, it holds only when secrets were last used") from None
        raise fault from None
