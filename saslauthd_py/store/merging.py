"""Accounts that were put aside become the store's: which of them are added, which replace one, and what is kept of that.

This happens in the transaction of `staging`. In the schema `staged`, `row` is its table; `present` and `kept` are made here.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.store import changes, schema

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


def staged(connection: sqlite3.Connection) -> int:
    """How many accounts are put aside."""
    return _count(connection, "row WHERE local IS NOT NULL")


def merge(connection: sqlite3.Connection, wanted: Wanted, tell: Callable[[Name, Identity], None], *, dry: bool) -> tuple[Written, int]:
    """Write, within the transaction that is open; with `dry` only what it would come to. `tell` as `Staging.write` has it.

    Returns too the number that a secret's row in `staged.row` is added to for its own in the store.
    """
    connection.execute(_PRESENT)
    for line, local, realm, _, *old in connection.execute("SELECT * FROM staged.present ORDER BY line"):
        tell(Name(Identity(local, realm), line), Identity(*old))
    present, all_of_them = _count(connection, "present"), staged(connection)
    replaced = present if wanted.on_conflict is OnConflict.REPLACE else 0
    added = 0 if present and wanted.on_conflict is OnConflict.FAIL else all_of_them - present
    secrets = _last(connection, "secret")
    if not dry and added + replaced:
        if wanted.on_conflict is OnConflict.SKIP:
            connection.execute("DELETE FROM staged.row WHERE line IN (SELECT line FROM staged.present)")
        if wanted.decoy_key is not None:
            taken = "UPDATE main.decoy SET key = ? WHERE NOT EXISTS (SELECT 1 FROM main.identity)"
            connection.execute(taken, (wanted.decoy_key.reveal(),))
        bases = {"now": time.time(), "identities": _last(connection, "identity"), "secrets": secrets}
        with _unnamed(connection):
            _make_room(connection, wanted, bases["now"])
            for statement in (_ADD_IDENTITIES, _ADD_SECRETS, _ADD_ENCODINGS):
                connection.execute(statement, bases)
        connection.execute(_NAME_CHANGED if added + replaced <= changes.MOST_NAMED else _NAME_NOBODY)
        changes.trim(connection)
    return Written(added, replaced, present), secrets


def _make_room(connection: sqlite3.Connection, wanted: Wanted, now: float) -> None:
    """`kept` are the accounts whose row in the store stays."""
    connection.execute("CREATE TABLE staged.kept (line INTEGER PRIMARY KEY, identity INTEGER)")
    if wanted.on_conflict is not OnConflict.REPLACE:
        return
    if wanted.whole:
        connection.execute("DELETE FROM main.identity WHERE id IN (SELECT identity FROM staged.present)")
        return
    connection.execute("INSERT INTO staged.kept SELECT line, identity FROM staged.present")
    connection.execute(_KEEP_RULES)
    connection.execute(_DROP_REPLACED)
    connection.execute(_TOUCH, {"now": now})


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


def _count(connection: sqlite3.Connection, what: str) -> int:
    found: int = connection.execute(f"SELECT count(*) FROM staged.{what}").fetchone()[0]  # noqa: S608 - words of ours
    return found


def _last(connection: sqlite3.Connection, table: str) -> int:
    found: int = connection.execute(_LAST, (table,)).fetchone()[0]
    return found
