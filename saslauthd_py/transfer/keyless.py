"""Whether an import has left accounts by which SCRAM can no longer be offered to all."""

from __future__ import annotations

from contextlib import closing

from saslauthd_py import keying, passwords
from saslauthd_py.keys import Hash
from saslauthd_py.store import counts
from saslauthd_py.store.connection import COMMAND_WAIT, reader, translated


def example(path: str) -> str:
    """An account of the store without keys, while others have some; empty where nobody misses them. Raises StoreError."""
    with translated(path), closing(reader(path, COMMAND_WAIT)) as connection:
        if counts.any_keyed(connection):
            for name, clear in counts.without(connection, keying.scheme(Hash.SHA256)):
                if clear is None or not keying.usable(passwords.clear_text((clear,))):
                    return name
    return ""
