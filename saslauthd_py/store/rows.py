"""Between rows and values: how an account's secrets and their restrictions are written down."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from itertools import groupby
from operator import itemgetter
from typing import Any

from saslauthd_py import passwords
from saslauthd_py.credential import UNRESTRICTED, Credential, Encoding, Kind, Restrictions
from saslauthd_py.identity import Identity
from saslauthd_py.store.model import Account

ACCOUNT = """
    SELECT identity.id, identity.local, identity.realm, identity.locked, identity.created, identity.changed,
        secret.id, secret.kind, secret.label, secret.services, secret.networks, secret.expires, secret.disabled, secret.generation,
        encoding.scheme, encoding.text
"""
"""The columns of `accounts`, before a FROM that gives identity, secret and encoding."""

IN_ORDER = "secret.kind DESC, secret.label, encoding.scheme"
"""Within one identity: the main secret first. The indexes give this order without sorting."""

_NONE = "[]"

_Row = tuple[Any, ...]


def accounts(rows: Iterable[_Row]) -> Iterator[Account]:
    """One account for each run of rows of the same identity. Raises passwords.BrokenRecord (rule D8) for what no command of ours wrote."""
    for _, group in groupby(rows, key=itemgetter(0)):
        yield _account(list(group))


def add_encodings(connection: sqlite3.Connection, secret: int, kind: Kind, encodings: Iterable[Encoding]) -> None:
    """Write encodings of a secret, each in the place of one of the same scheme."""
    for encoding in encodings:
        connection.execute(
            "INSERT INTO encoding (secret, scheme, profile, text) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (secret, scheme) DO UPDATE SET profile = excluded.profile, text = excluded.text",
            (secret, encoding.scheme, _profile(encoding) if kind is Kind.MAIN else None, encoding.text),
        )


def restriction_columns(restrictions: Restrictions) -> tuple[str, str, float | None]:
    """Services, networks and expiry as their columns hold them."""
    services = json.dumps(restrictions.services, ensure_ascii=False)
    networks = json.dumps([str(network) for network in restrictions.networks])
    return services, networks, restrictions.expires


def _account(rows: list[_Row]) -> Account:
    number, local, realm, locked, created, changed = rows[0][:6]
    try:
        credentials = () if rows[0][6] is None else tuple(_credential(list(group)) for _, group in groupby(rows, key=itemgetter(6)))
        return Account(number, Identity(local, realm), locked, created, changed, credentials)
    except (ValueError, RecursionError) as error:
        raise passwords.BrokenRecord(f"identity {number} of the store: {error}") from None


def _credential(rows: list[_Row]) -> Credential:
    number, kind, label, services, networks, expires, disabled, generation = rows[0][6:14]
    encodings = tuple(Encoding(row[14], row[15]) for row in rows if row[14] is not None)
    restrictions = _restrictions(services, networks, expires)
    return Credential(number, Kind(kind), label, encodings, restrictions, bool(disabled), generation)


def _restrictions(services: str, networks: str, expires: float | None) -> Restrictions:
    if services == networks == _NONE and expires is None:
        return UNRESTRICTED
    return Restrictions(_texts(services), tuple(ip_network(network) for network in _texts(networks)), expires)


def _texts(column: str) -> tuple[str, ...]:
    found = json.loads(column)
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise ValueError("restrictions that are no list of texts")
    return tuple(found)


def _profile(encoding: Encoding) -> str | None:
    try:
        return passwords.cost(encoding).profile
    except passwords.BrokenRecord:
        return None
