"""A better encoding, or a further one, of a secret that has just been proved (rule F2).

Compare and swap, on the secret's generation: it rises when the secret becomes another one, so nothing here brings an old password back.
It stays for what is written here, since the secret does. For a thread: it waits for the disk, and up to 5 s for other writers.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

from saslauthd_py.credential import Encoding, Kind
from saslauthd_py.store import rows
from saslauthd_py.store.changes import trim
from saslauthd_py.store.connection import translated
from saslauthd_py.store.migrations import open_current


def replace_encoding(path: str, secret_id: int, generation: int, old: Encoding, new: Encoding) -> bool:
    """Put `new` in the place of `old`; both encode the same secret. False: it is another one by now, and nothing was written.

    The old text is compared too: whoever was first with a better one has the last word. Raises StoreError.
    """
    path = os.path.abspath(path)
    with translated(path), closing(open_current(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        removed = connection.execute("DELETE FROM encoding WHERE secret = ? AND scheme = ? AND text = ?", (secret_id, old.scheme, old.text))
        return _finish(connection, secret_id, generation, (new,) if removed.rowcount == 1 else ())


def add_encodings(path: str, secret_id: int, generation: int, new: tuple[Encoding, ...]) -> bool:
    """Store `new` beside the other encodings of the same secret. False: it is another one by now, and nothing was written.

    Of the other encodings nothing is compared: a rehash that comes first takes nothing away, and loses nothing. Raises StoreError.
    """
    path = os.path.abspath(path)
    with translated(path), closing(open_current(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        return _finish(connection, secret_id, generation, new)


def _finish(connection: sqlite3.Connection, secret_id: int, generation: int, new: tuple[Encoding, ...]) -> bool:
    found = connection.execute("SELECT kind FROM secret WHERE id = ? AND generation = ?", (secret_id, generation)).fetchone()
    if found is None or not new:
        connection.execute("ROLLBACK")
        return False
    rows.add_encodings(connection, secret_id, Kind(found[0]), new)
    trim(connection)
    connection.execute("COMMIT")
    return True
