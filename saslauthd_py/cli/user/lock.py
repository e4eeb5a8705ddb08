"""`user lock`."""

from __future__ import annotations

import argparse

from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.report import Record
from saslauthd_py.cli.user import place
from saslauthd_py.cli.user.changed import changed

UNSAID = "by command"
"""The reason of a lock for which none was given."""


def run(arguments: argparse.Namespace, environment: Environment) -> Record:
    """Refuse every login of an account from now on; without --reason one that is there stays.

    Raises NoSuchUser; CommandFailed for a reason that is none.
    """
    reason: str | None = arguments.reason
    if reason is not None and not (reason.strip() and reason.isprintable()):
        raise CommandFailed(Exit.USAGE, "--reason: some words on one line")
    at = place.find(arguments, environment)
    identity = at.identity(arguments.user)
    with place.opened(at) as store:
        return changed(store.lock(identity, reason or UNSAID, keep=reason is None), "locked", at.store.path)
