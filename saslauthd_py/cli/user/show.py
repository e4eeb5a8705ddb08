"""`user show`."""

from __future__ import annotations

import argparse

from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.report import Record
from saslauthd_py.cli.user import account, place
from saslauthd_py.store import usage


def run(arguments: argparse.Namespace, _: Environment) -> Record:
    """Everything about one account but what is stored of a password. Raises NoSuchUser."""
    at = place.find(arguments)
    identity = at.identity(arguments.user)
    with place.opened(at) as store:
        found = store.get(identity)
        seen = account.Seen(found, usage.read(at.store.path, [credential.id for credential in found.credentials]))
    return Record(account.fields(seen), account.lines(seen))
