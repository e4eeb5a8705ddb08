"""`user lock`."""

from __future__ import annotations

import argparse

from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.report import Record
from saslauthd_py.cli.user import place
from saslauthd_py.cli.user.changed import changed


def run(arguments: argparse.Namespace, _: Environment) -> Record:
    """Refuse every login of an account from now on. Raises NoSuchUser; CommandFailed for a reason that is none."""
    if not arguments.reason.strip() or not arguments.reason.isprintable():
        raise CommandFailed(Exit.USAGE, "--reason: some words on one line")
    at = place.find(arguments)
    identity = at.identity(arguments.user)
    with place.opened(at) as store:
        return changed(store.lock(identity, arguments.reason), "locked", at.store.path)
