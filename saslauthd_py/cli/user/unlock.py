"""`user unlock`."""

from __future__ import annotations

import argparse

from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.report import Record
from saslauthd_py.cli.user import place
from saslauthd_py.cli.user.changed import changed


def run(arguments: argparse.Namespace, environment: Environment) -> Record:
    """End a lock. Raises NoSuchUser."""
    at = place.find(arguments, environment)
    identity = at.identity(arguments.user)
    with place.opened(at) as store:
        return changed(store.unlock(identity), "unlocked", at.store.path)
