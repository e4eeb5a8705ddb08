"""`user list`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice

from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.report import Column, Rows
from saslauthd_py.cli.user import account, place
from saslauthd_py.cli.user.last_logins import LastLogins
from saslauthd_py.identity import Identity, key

COLUMNS = (Column("USER", 36), Column("PASSWORD", 10), Column("LAST LOGIN", 16), Column("LOCKED", 10), Column("RESTRICTIONS", 12))

_AT_ONCE = 1000
"""Accounts whose last logins are read together."""


def run(arguments: argparse.Namespace, environment: Environment) -> Rows[account.Seen]:
    """All accounts, or a realm's, by realm and name. Nothing is read before the first row is asked for; a million never stand in memory."""
    at = place.find(arguments, environment)
    if arguments.realm:
        key(Identity("x", arguments.realm))  # raises for what is no realm
    return Rows(COLUMNS, _seen(at, arguments.realm, LastLogins(at.store.path, environment.stderr)), account.cells, account.fields)


def _seen(at: place.Place, realm: str | None, logins: LastLogins) -> Iterator[account.Seen]:
    with place.opened(at) as store:
        accounts = store.accounts(realm)
        while some := list(islice(accounts, _AT_ONCE)):
            uses = logins.of(some)
            for one in some:
                yield account.Seen(one, uses)
