"""All that the store knows of its accounts, at one moment: for `export`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

from saslauthd_py.identity import fold_realm
from saslauthd_py.secret import Secret
from saslauthd_py.store import rows, usage
from saslauthd_py.store.connection import COMMAND_WAIT, reader, translated
from saslauthd_py.store.migrations import open_current
from saslauthd_py.store.model import Account
from saslauthd_py.store.reader import decoy_key

_AT_ONCE = 1000
"""Accounts whose last uses are read together."""

_ALL = f"""
    {rows.ACCOUNT}, secret.created, secret.changed
    FROM identity LEFT JOIN secret ON secret.identity = identity.id LEFT JOIN encoding ON encoding.secret = secret.id
    WHERE :realm IS NULL OR identity.realm_key = :realm
    ORDER BY identity.realm_key, identity.local_key, {rows.IN_ORDER}
"""
_SECRET, _CREATED, _CHANGED = 6, 16, 17


@dataclass(frozen=True, slots=True)
class Times:
    """Of a secret, in Unix seconds. `last_use` None: none is known."""

    created: float
    changed: float
    last_use: float | None


@dataclass(frozen=True, slots=True)
class Whole:
    """An account, and the times of its secrets by their ids."""

    account: Account
    times: Mapping[int, Times]


def accounts(path: str, realm: str | None = None) -> Iterator[Secret | Whole]:
    """First the store's decoy key (rule F3), then its accounts, or those of one realm, by realm and name as folded.

    All of one moment, however long the reader takes; meanwhile the -wal grows with what others write. Raises StoreError; BrokenStore for a
    record that cannot be read.
    """
    path = os.path.abspath(path)
    wanted = {"realm": None if realm is None else fold_realm(realm)}
    open_current(path).close()
    with translated(path), closing(reader(path, COMMAND_WAIT)) as connection:
        connection.execute("BEGIN")
        yield decoy_key(connection)
        found = (list(group) for _, group in groupby(connection.execute(_ALL, wanted), key=itemgetter(0)))
        while some := list(islice(found, _AT_ONCE)):
            uses = usage.read(path, [row[_SECRET] for one in some for row in one if row[_SECRET] is not None])
            for one in some:
                yield from (Whole(account, _times(one, uses)) for account in rows.accounts(one))


def _times(found: list[tuple[Any, ...]], uses: Mapping[int, float]) -> dict[int, Times]:
    return {row[_SECRET]: Times(row[_CREATED], row[_CHANGED], uses.get(row[_SECRET])) for row in found if row[_SECRET] is not None}
