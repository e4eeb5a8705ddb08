"""`user remove`."""

from __future__ import annotations

import argparse

from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.prompt import ask
from saslauthd_py.cli.report import Record
from saslauthd_py.cli.user import place
from saslauthd_py.cli.user.changed import changed


def run(arguments: argparse.Namespace, environment: Environment) -> Record:
    """Remove an account with every secret, after a question unless --yes. Raises NoSuchUser; CommandFailed for any answer but yes."""
    at = place.find(arguments, environment)
    identity = at.identity(arguments.user)
    with place.opened(at) as store:
        if not arguments.yes:
            question = f"Remove {store.get(identity).identity} with every password, yes or no? "
            if ask(environment.tty, question, "--yes") not in {"y", "yes"}:
                raise CommandFailed(Exit.BAD_INPUT, "nothing was removed")
        return changed(store.remove(identity), "removed", at.store.path)
