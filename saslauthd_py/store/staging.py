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
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby

from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.store import access, changes, schema, usage
from saslauthd_py.store.connection import check_version, give_room_back, translated, writer
from saslauthd_py.store.errors import StoreError
from saslauthd_py.store.incoming import COLUMNS, USUAL, Row
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

_PRESENT = """
    CREATE TABLE staged.present AS
    SELECT new.line, new.local, new.realm, identity.id AS identity, identity.local AS old_local, identity.realm AS old_realm
    FROM staged.row AS new
    JOIN main.identity ON (identity.realm_key, identity.local_key) = (new.realm_key, new.local_key)
    WHERE new.local IS NOT NULL
"""

_KEEP_RULES = """
    UPDATE staged.row SET
        services = coalesce(row.services, old.services), networks = coalesce(row.networks, old.networks),
        expires = coalesce(row.expires, old.expires), disabled = coalesce(row.disabled, old.disabled),
        made = coalesce(row.made, old.created)
    FROM staged.present JOIN main.secret AS old USING (identity)
    WHERE present.line = row.line AND (old.kind, old.label) = (row.kind, row.label)
"""

_DROP_REPLACED = """
    DELETE FROM main.secret WHERE id IN (
        SELECT old.id FROM staged.present JOIN main.secret AS old USING (identity)
        JOIN staged.row ON row.line = present.line AND (old.kind, old.label) = (row.kind, row.label)
    )
"""

_TOUCH = """
    UPDATE main.identity SET changed = :now, locked = coalesce(row.locked, identity.locked)
    FROM staged.present JOIN staged.row ON row.line = present.line
    WHERE identity.id = present.identity AND row.local IS NOT NULL
"""

_ADD_IDENTITIES = """
    INSERT INTO main.identity (id, local, realm, local_key, realm_key, locked, created, changed)
    SELECT :identities + line, local, realm, local_key, realm_key, locked, coalesce(created, :now), coalesce(changed, :now)
    FROM staged.row WHERE local IS NOT NULL AND line NOT IN (SELECT line FROM staged.kept)
    ORDER BY realm_key, local_key
"""
"""In the order of the index that makes a name unique: elsewhere in a large index each new name costs twice as much."""

_ADD_SECRETS = """
    INSERT INTO main.secret (id, identity, kind, label, services, networks, expires, disabled, generation, created, changed)
    SELECT :secrets + row.rowid, coalesce(kept.identity, :identities + row.line), kind, label, coalesce(services, '[]'),
        coalesce(networks, '[]'), expires, coalesce(disabled, 0), 1, coalesce(made, :now), coalesce(replaced, :now)
    FROM staged.row LEFT JOIN staged.kept ON kept.line = row.line WHERE kind IS NOT NULL
"""

_ADD_ENCODINGS = """
    INSERT INTO main.encoding (secret, scheme, profile, text)
    SELECT :secrets + rowid - back, scheme, profile, text FROM staged.row WHERE scheme IS NOT NULL
"""

_NAME_CHANGED = "INSERT INTO main.change (local, realm) SELECT local, realm FROM staged.row WHERE local IS NOT NULL"
_NAME_NOBODY = "INSERT INTO main.change (local, realm) VALUES ('', '')"
_LAST = "SELECT coalesce(max(seq), 0) FROM main.sqlite_sequence WHERE name = ?"

_USES_AT_ONCE = 10_000


class OnConflict(StrEnum):
    """What becomes of an account whose name the store has already."""

    FAIL = "fail"
    SKIP = "skip"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True)
class Name:
    """An account, and the line of the file that names it; 0: it is the store's."""

    identity: Identity
    line: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """How to write. `whole`: an incoming account is all that there is to say of it; else one that is there keeps its other secrets, its
    lock, and the restrictions of which nothing is said. `decoy_key`: for a store that has no account yet (rule F3).
    """

    on_conflict: OnConflict = OnConflict.FAIL
    whole: bool = False
    decoy_key: Secret | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """How many accounts were added, how many replaced, and how many names the store had. FAIL and one of those: nothing is written.

    `unnoted`: why last uses are not known to the store; empty: they are, or there were none.
    """

    added: int
    replaced: int
    present: int
    unnoted: str = ""


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
                return Written(self._count("row WHERE local IS NOT NULL"), 0, 0)
            self._connection.execute("BEGIN" if dry else "BEGIN IMMEDIATE")
            try:
                check_version(self._connection, self._path)
                written, bases = self._write(wanted, tell, dry=dry)
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
            written = replace(written, unnoted=self._note_uses(bases["secrets"]))
        return written

    def _write(self, wanted: Wanted, tell: Callable[[Name, Identity], None], *, dry: bool) -> tuple[Written, dict[str, float]]:
        connection = self._connection
        connection.execute(_PRESENT)
        for line, local, realm, _, *old in connection.execute("SELECT * FROM staged.present ORDER BY line"):
            tell(Name(Identity(local, realm), line), Identity(*old))
        present, all_of_them = self._count("present"), self._count("row WHERE local IS NOT NULL")
        replaced = present if wanted.on_conflict is OnConflict.REPLACE else 0
        added = 0 if present and wanted.on_conflict is OnConflict.FAIL else all_of_them - present
        bases = {"now": time.time(), "identities": self._last("identity"), "secrets": self._last("secret")}
        if not dry and added + replaced:
            if wanted.on_conflict is OnConflict.SKIP:
                connection.execute("DELETE FROM staged.row WHERE line IN (SELECT line FROM staged.present)")
            if wanted.decoy_key is not None:
                taken = "UPDATE main.decoy SET key = ? WHERE NOT EXISTS (SELECT 1 FROM main.identity)"
                connection.execute(taken, (wanted.decoy_key.reveal(),))
            with _unnamed(connection):
                self._make_room(wanted, bases)
                for statement in (_ADD_IDENTITIES, _ADD_SECRETS, _ADD_ENCODINGS):
                    connection.execute(statement, bases)
            connection.execute(_NAME_CHANGED if added + replaced <= changes.MOST_NAMED else _NAME_NOBODY)
            changes.trim(connection)
        return Written(added, replaced, present), bases

    def _make_room(self, wanted: Wanted, bases: dict[str, float]) -> None:
        """`kept` are the accounts whose row in the store stays."""
        self._connection.execute("CREATE TABLE staged.kept (line INTEGER PRIMARY KEY, identity INTEGER)")
        if wanted.on_conflict is not OnConflict.REPLACE:
            return
        if wanted.whole:
            self._connection.execute("DELETE FROM main.identity WHERE id IN (SELECT identity FROM staged.present)")
            return
        self._connection.execute("INSERT INTO staged.kept SELECT line, identity FROM staged.present")
        self._connection.execute(_KEEP_RULES)
        self._connection.execute(_DROP_REPLACED)
        self._connection.execute(_TOUCH, {"now": bases["now"]})

    def _note_uses(self, base: float) -> str:
        """Last uses are in a database of their own (rule F5): the accounts are written by now, with or without them."""
        uses = self._connection.execute("SELECT ? + rowid, used FROM staged.row WHERE used IS NOT NULL", (base,))
        try:
            while some := uses.fetchmany(_USES_AT_ONCE):
                usage.write(self._path, dict(some))
        except StoreError as error:
            return str(error)
        return ""

    def _count(self, what: str) -> int:
        found: int = self._connection.execute(f"SELECT count(*) FROM staged.{what}").fetchone()[0]  # noqa: S608 - words of ours
        return found

    def _last(self, table: str) -> int:
        found: int = self._connection.execute(_LAST, (table,)).fetchone()[0]
        return found


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


@contextmanager
def _unnamed(connection: sqlite3.Connection) -> Iterator[None]:
    """Without the triggers that name each account: a million names say no more than one line does, and take longer than all else."""
    found = connection.execute("SELECT name, sql FROM main.sqlite_schema WHERE type = 'trigger'").fetchall()
    ours = [(name, statement) for name, statement in found if name in schema.TRIGGERS]
    for name, _ in ours:
        connection.execute(f"DROP TRIGGER main.{name}")
    yield
    for _, statement in ours:
        connection.execute(statement)
