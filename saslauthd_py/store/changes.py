"""Which accounts changed: the rows that triggers write into `change`, read after the last one seen (rule C6)."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from saslauthd_py.identity import Identity, InvalidIdentity, account
from saslauthd_py.store import schema
from saslauthd_py.store.connection import check_version
from saslauthd_py.store.errors import NewerStore

MOST_NAMED = 1000
"""Rows read in one look. After more (an import) every account counts as changed, which costs the caller less."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a connection has read: its data_version, and the newest change. `mark` is random: another history has another one."""

    version: int
    id: int
    mark: int


def read(connection: sqlite3.Connection, path: str, since: Position | None) -> tuple[Position, frozenset[str] | None]:
    """Where the store is now, and the accounts (`identity.account`) changed after `since`; None: any may have.

    One read transaction, so that neither a change nor a version falls between. Raises StoreError, sqlite3.Error.
    """
    connection.execute("BEGIN")
    try:
        if check_version(connection, path) < len(schema.MIGRATIONS):
            raise NewerStore(f"{path}: its schema is older than this program's now; restart the daemon")
        rows: list[tuple[int, int, str, str]] = []
        if since is not None:
            select = "SELECT id, mark, local, realm FROM change WHERE id >= ? ORDER BY id LIMIT ?"
            rows = connection.execute(select, (since.id, MOST_NAMED + 2)).fetchall()
        known = since is not None and bool(rows) and rows[0][:2] == (since.id, since.mark) and len(rows) <= MOST_NAMED + 1
        newest = rows[-1][:2] if known else connection.execute("SELECT id, mark FROM change ORDER BY id DESC LIMIT 1").fetchone()
        version: int = connection.execute("PRAGMA data_version").fetchone()[0]
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return Position(version, *(newest or (0, 0))), _accounts(rows[1:]) if known else None


def trim(connection: sqlite3.Connection) -> None:
    """Leave the newest rows, for a writer before its commit."""
    connection.execute("DELETE FROM change WHERE id <= (SELECT max(id) FROM change) - ?", (schema.CHANGES_KEPT,))


def _accounts(rows: list[tuple[int, int, str, str]]) -> frozenset[str] | None:
    try:
        return frozenset(account(Identity(local, realm)) for local, realm in {row[2:] for row in rows})
    except InvalidIdentity:
        return None
