"""`user rename`."""

from __future__ import annotations

import argparse

from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.report import Record
from saslauthd_py.cli.user import place
from saslauthd_py.cli.user.changed import changed


def run(arguments: argparse.Namespace, environment: Environment) -> Record:
    """Give an account another name. Raises NoSuchUser, NameExists."""
    at = place.find(arguments, environment)
    identity, to = at.identity(arguments.user), at.identity(arguments.to)
    with place.opened(at) as store:
        return changed(store.rename(identity, to), "renamed", at.store.path)
