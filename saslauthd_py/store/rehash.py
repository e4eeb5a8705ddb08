"""A better encoding of a secret that has just been proved (rule F2)."""

from __future__ import annotations

import os
from contextlib import closing

from saslauthd_py.credential import Encoding, Kind
from saslauthd_py.store import rows
from saslauthd_py.store.changes import trim
from saslauthd_py.store.connection import translated
from saslauthd_py.store.migrations import open_current


def replace_encoding(path: str, secret_id: int, generation: int, old: Encoding, new: Encoding) -> bool:
    """Put `new` in the place of `old`; both encode the same secret. False: the secret is another one by now, and nothing was written.

    Compare and swap, on the secret's generation and the old text: a rehash that comes late never brings an old password back. The
    generation stays, since the secret does. For a thread: it waits for the disk, and up to 5 s for other writers. Raises StoreError.
    """
    path = os.path.abspath(path)
    with translated(path), closing(open_current(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        found = connection.execute("SELECT kind FROM secret WHERE id = ? AND generation = ?", (secret_id, generation)).fetchone()
        removed = connection.execute("DELETE FROM encoding WHERE secret = ? AND scheme = ? AND text = ?", (secret_id, old.scheme, old.text))
        if found is None or removed.rowcount != 1:
            connection.execute("ROLLBACK")
            return False
        rows.add_encoding(connection, secret_id, Kind(found[0]), new)
        trim(connection)
        connection.execute("COMMIT")
        return True
