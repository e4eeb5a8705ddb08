"""`user show`."""

from __future__ import annotations

import argparse

from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.report import Record
from saslauthd_py.cli.user import account, place
from saslauthd_py.cli.user.last_logins import LastLogins


def run(arguments: argparse.Namespace, environment: Environment) -> Record:
    """Everything about one account but what is stored of a password. Raises NoSuchUser."""
    at = place.find(arguments, environment)
    identity = at.identity(arguments.user)
    with place.opened(at) as store:
        found = store.get(identity)
        seen = account.Seen(found, LastLogins(at.store.path, environment.stderr).of([found]))
    return Record(account.fields(seen), account.lines(seen))
