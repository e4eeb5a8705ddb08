"""What the daemon asks of the store, inline: each one statement on a connection of `watch.Watch` or `connection.reader`."""

from __future__ import annotations

import sqlite3

from saslauthd_py import passwords
from saslauthd_py.identity import Key
from saslauthd_py.secret import Secret
from saslauthd_py.store import rows
from saslauthd_py.store.model import Account

_FIND = f"""
    {rows.ACCOUNT}
    FROM identity LEFT JOIN secret ON secret.identity = identity.id LEFT JOIN encoding ON encoding.secret = secret.id
    WHERE identity.realm_key = ? AND identity.local_key = ?
    ORDER BY {rows.IN_ORDER}
"""


def find(connection: sqlite3.Connection, key: Key) -> Account | None:
    """The account with this key (`identity.key`), None when there is none.

    Raises passwords.BrokenRecord for a record that cannot be read, and sqlite3.Error as it comes: BUSY is for the caller to judge.
    """
    try:
        found = connection.execute(_FIND, (key.realm, key.local)).fetchall()
    except sqlite3.OperationalError as error:
        if hasattr(error, "sqlite_errorcode"):
            raise
        raise passwords.BrokenRecord("a text of the record is not UTF-8") from None  # sqlite3's own words would show it
    return next(rows.accounts(found), None)


def decoy_key(connection: sqlite3.Connection) -> Secret:
    """The store's random key, by which a name that nobody has gets its salt (rule F3). Raises BrokenRecord, sqlite3.Error."""
    found = connection.execute("SELECT key FROM decoy").fetchone()
    if found is None:
        raise passwords.BrokenRecord("its key for the salts of unknown names is gone")
    return Secret(found[0])
