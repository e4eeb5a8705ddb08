"""Many accounts at once: put aside in a file of their own, judged there, then written in one transaction (rule F1).

So the store is locked for its own part of the work only, a million accounts take some seconds of that, and whatever ends the process
before the commit leaves the store as it was. The file has lost its name before anything is in it.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import groupby

from saslauthd_py.identity import Identity
from saslauthd_py.store import access, merging, usage
from saslauthd_py.store.connection import check_version, give_room_back, translated, writer
from saslauthd_py.store.errors import StoreError
from saslauthd_py.store.incoming import COLUMNS, USUAL, Row
from saslauthd_py.store.merging import Name, Wanted, Written
from saslauthd_py.store.migrations import open_current
from saslauthd_py.store.store import SETTLE

_CACHE = 128 << 10
"""KiB of pages that either file keeps in memory: a random index of a million names fits."""

_SORTED = 8 << 10
"""KiB of names that are sorted at once: what is sorted goes to another core, and to an unnamed file of SQLite's, while more are read."""

_PLACES = {
    len(names): f"INSERT INTO staged.row ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608 - words of ours
    for names in ([column.split()[0] for column in columns.split(", ")] for columns in (USUAL, COLUMNS))
}
"""By how much a row says: to Python's module a NULL is more work than a text, and nearly all that there is in most files is the usual."""

_NAMES = """
    CREATE INDEX staged.row_name ON row (realm_key, local_key, line, local, realm, locked, created, changed) WHERE local IS NOT NULL
"""

_REPEATED = """
    SELECT later.line, later.local, later.realm, first.line, first.local, first.realm
    FROM (
        SELECT realm_key, local_key, min(line) AS line FROM staged.row WHERE local IS NOT NULL
        GROUP BY realm_key, local_key HAVING count(*) > 1
    ) AS name
    JOIN staged.row AS first ON (first.realm_key, first.local_key, first.line) = (name.realm_key, name.local_key, name.line)
    JOIN staged.row AS later ON (later.realm_key, later.local_key) = (name.realm_key, name.local_key) AND later.line > name.line
    WHERE first.local IS NOT NULL AND later.local IS NOT NULL
"""

_USES_AT_ONCE = 10_000


class Staging:
    """Accounts put aside for one store. For one thread."""

    def __init__(self, connection: sqlite3.Connection, path: str, *, has_store: bool = True) -> None:
        self._connection = connection
        self._path = path
        self._has_store = has_store
        for setting in ("journal_mode = MEMORY", "synchronous = OFF", "locking_mode = EXCLUSIVE", f"cache_size = -{_CACHE}"):
            connection.execute(f"PRAGMA staged.{setting}")
        connection.execute(f"PRAGMA main.cache_size = -{_SORTED}")  # to SQLite the cache of main is how much it may sort in memory
        connection.execute("PRAGMA threads = 1")
        connection.execute(f"CREATE TABLE staged.row ({COLUMNS})")
        connection.execute("BEGIN")

    def put(self, rows: Iterable[Row]) -> None:
        """Put accounts aside: the rows that `incoming.row_list` makes, each account's together."""
        with translated(self._path):
            for length, some in groupby(rows, len):
                self._connection.executemany(_PLACES[length], some)

    def repeated(self) -> Iterator[tuple[Name, Name]]:
        """Once all are put aside: drops every account whose name an earlier line has too; tells each, and that earlier one."""
        with translated(self._path):
            self._connection.execute(_NAMES)
            self._connection.execute(f"CREATE TABLE staged.repeated AS {_REPEATED}")
            self._connection.execute("DELETE FROM staged.row WHERE line IN (SELECT line FROM staged.repeated)")
            for found in self._connection.execute("SELECT * FROM staged.repeated ORDER BY line"):
                yield Name(Identity(*found[1:3]), found[0]), Name(Identity(*found[4:6]), found[3])

    def write(self, wanted: Wanted, tell: Callable[[Name, Identity], None], *, dry: bool = False) -> Written:
        """After `repeated`: one transaction, after which no daemon takes what was before; or with `dry` only what it would come to.

        `tell` hears of each name that the store has already, and how it is spelt there. Raises StoreError.
        """
        with translated(self._path):
            self._connection.execute("COMMIT")
            self._connection.execute(f"PRAGMA main.cache_size = -{_CACHE}")
            if not self._has_store:
                return Written(merging.staged(self._connection), 0, 0)
            self._connection.execute("BEGIN" if dry else "BEGIN IMMEDIATE")
            try:
                check_version(self._connection, self._path)
                written, base = merging.merge(self._connection, wanted, tell, dry=dry)
                nothing = dry or not (written.added or written.replaced)
                self._connection.execute("ROLLBACK" if nothing else "COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            if not nothing:
                give_room_back(self._connection)
        if not nothing:
            time.sleep(SETTLE)
            written = replace(written, unnoted=self._note_uses(base))
        return written

    def _note_uses(self, base: int) -> str:
        """Last uses are in a database of their own (rule F5): the accounts are written by now, with or without them."""
        uses = self._connection.execute("SELECT ? + rowid, used FROM staged.row WHERE used IS NOT NULL", (base,))
        try:
            while some := uses.fetchmany(_USES_AT_ONCE):
                usage.write(self._path, dict(some))
        except StoreError as error:
            return str(error)
        return ""


@contextmanager
def opened(path: str, *, fresh: bool = False) -> Iterator[Staging]:
    """A place beside the store at `path`, which is migrated where it is older. Raises StoreError.

    `fresh`: nobody knows the store yet, and it goes with a failure: nothing need be on the disk before it is named.
    """
    path = os.path.abspath(path)
    with closing(open_current(path)) as connection, translated(path):
        if fresh:
            connection.execute("PRAGMA main.journal_mode=MEMORY").fetchall()
            connection.execute("PRAGMA main.synchronous=OFF")
        descriptor, name = tempfile.mkstemp(prefix=f"{os.path.basename(path)}.import-", dir=os.path.dirname(path))
        try:
            os.close(descriptor)
            connection.execute("ATTACH ? AS staged", (name,))
        finally:
            os.unlink(name)
        yield Staging(connection, path)
        if fresh:
            connection.execute("PRAGMA main.journal_mode=WAL").fetchall()


@contextmanager
def rehearsed(path: str | None) -> Iterator[Staging]:
    """For `write(dry=True)`, at the store as it is, or at none. Nothing is made and nothing changed beside an unnamed file of SQLite's."""
    if path is None:
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            connection.execute("ATTACH '' AS staged")
            yield Staging(connection, "the file of SQLite's own", has_store=False)
        return
    path = os.path.abspath(path)
    access.check(path)
    with translated(path), closing(writer(path)) as connection:
        check_version(connection, path)
        connection.execute("ATTACH '' AS staged")
        yield Staging(connection, path)
