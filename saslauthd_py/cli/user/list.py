"""`user list`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice

from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.report import Column, Rows
from saslauthd_py.cli.user import account, place
from saslauthd_py.identity import Identity, key
from saslauthd_py.store import usage

COLUMNS = (Column("USER", 36), Column("PASSWORD", 10), Column("LAST LOGIN", 16), Column("LOCKED", 10), Column("RESTRICTIONS", 12))

_AT_ONCE = 1000
"""Accounts whose last logins are read together."""


def run(arguments: argparse.Namespace, _: Environment) -> Rows[account.Seen]:
    """All accounts, or a realm's, by realm and name. Nothing is read before the first row is asked for; a million never stand in memory."""
    at = place.find(arguments)
    if arguments.realm:
        key(Identity("x", arguments.realm))  # raises for what is no realm
    return Rows(COLUMNS, _seen(at, arguments.realm), account.cells, account.fields)


def _seen(at: place.Place, realm: str | None) -> Iterator[account.Seen]:
    with place.opened(at) as store:
        accounts = store.accounts(realm)
        while some := list(islice(accounts, _AT_ONCE)):
            uses = usage.read(at.store.path, [credential.id for one in some for credential in one.credentials])
            for one in some:
                yield account.Seen(one, uses)
