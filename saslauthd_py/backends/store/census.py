"""What the store's accounts are like, counted now and then: decoys are made by it, and SCRAM is offered by it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from saslauthd_py import keying, passwords
from saslauthd_py.keying import Keyless
from saslauthd_py.keys import Hash
from saslauthd_py.secret import Secret
from saslauthd_py.store import connection, counts, reader
from saslauthd_py.store.counts import Kept

MOST_BUSY_WAIT = 2.0
"""Seconds that a thread waits for another process that holds the store."""


@dataclass(frozen=True, slots=True)
class Census:
    """`profile` is the common one of password hashes, None in a store without any; `key` is the store's now (`reader.decoy_key`)."""

    profile: str | None
    key: Secret
    kept: Mapping[Hash, Kept]
    keyless: Mapping[Hash, Keyless]

    def derives(self, function: Hash) -> bool:
        """Whether most keys for this hash are derived, at a login, from a clear text."""
        kept = self.kept[function]
        return kept.clear > kept.stored


def count(path: str) -> Census:
    """For a thread: a second or two for a million accounts. Raises StoreError."""
    with connection.translated(path), closing(connection.reader(path, MOST_BUSY_WAIT)) as opened:
        opened.text_factory = partial(str, encoding="utf-8", errors="replace")  # one bad text must not hide all others (rule D8)
        nobody = not counts.any_enabled(opened)
        return Census(
            counts.common_profile(opened),
            reader.decoy_key(opened),
            {function: counts.kept(opened, function) for function in Hash},
            {function: Keyless(nobody=True) if nobody else Keyless.of(_without(opened, function)) for function in Hash},
        )


def _without(opened: sqlite3.Connection, function: Hash) -> Iterator[str]:
    for name, clear in counts.without(opened, keying.scheme(function)):
        if clear is None or not keying.usable(passwords.clear_text((clear,))):
            yield name
