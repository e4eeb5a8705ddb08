"""`user add`."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace

from saslauthd_py import passwords
from saslauthd_py.cli import secret_input
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.report import Record
from saslauthd_py.cli.user import new_secret, place, restrictions
from saslauthd_py.cli.user.changed import changed
from saslauthd_py.identity import Identity
from saslauthd_py.store.errors import NameExists, NoSuchUser
from saslauthd_py.store.store import Store


def run(arguments: argparse.Namespace, environment: Environment) -> Record:
    """Add an account with a main secret; --if-missing leaves one that is there. Raises NameExists, and what `new_secret.make` raises."""
    at = place.find(arguments, environment)
    identity, limits = at.identity(arguments.user), restrictions.given(arguments)
    given = secret_input.given(arguments, environment)
    path = at.store.path
    made = not os.path.lexists(path)
    passwords.preload()  # the owner of the store may not be able to read where a library lies
    with place.opened(at, create=True) as store:
        try:
            _refuse_present(store, identity)  # before anybody is asked for a password
            secret = given or secret_input.asked(environment, str(identity))
            new = replace(new_secret.make(arguments, at, store, identity, secret), restrictions=limits)
            account = store.add(identity, new)
            return changed(account, "added", path, made=made, warnings=new_secret.keyless(at, store, account, "added"))
        except NameExists:
            if not arguments.if_missing:
                raise
            return changed(store.get(identity), "exists", path)


def _refuse_present(store: Store, identity: Identity) -> None:
    try:
        present = store.get(identity)
    except NoSuchUser:
        return
    raise NameExists(f"{identity}: exists already, as {present.identity}; to change its password: saslauthd-py user passwd")
