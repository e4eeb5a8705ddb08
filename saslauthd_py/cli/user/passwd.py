"""`user passwd`."""

from __future__ import annotations

import argparse
from dataclasses import replace

from saslauthd_py import passwords
from saslauthd_py.cli import secret_input
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.report import Record
from saslauthd_py.cli.user import new_secret, place, restrictions
from saslauthd_py.cli.user.account import hindrances
from saslauthd_py.cli.user.changed import changed
from saslauthd_py.credential import UNRESTRICTED, Kind, Restrictions
from saslauthd_py.store.model import Account


def run(arguments: argparse.Namespace, environment: Environment) -> Record:
    """Give an account another main secret. Raises NoSuchUser, and what `new_secret.make` raises."""
    at = place.find(arguments, environment)
    identity = at.identity(arguments.user)
    given = secret_input.given(arguments, environment)
    passwords.preload()  # the owner of the store may not be able to read where a library lies
    with place.opened(at) as store:
        _limits(arguments, store.get(identity))  # what is wrong is said before anybody is asked
        secret = given or secret_input.asked(environment, str(identity))
        present = store.get(identity)  # a person has been waited for: it may be another by now
        new = new_secret.make(arguments, at, store, present, secret)
        account = store.set_secret(identity, replace(new, restrictions=_limits(arguments, present)))
        keyless = new_secret.keyless(at, store, account, "password changed")
    return changed(account, "password changed", at.store.path, but=hindrances(account), warnings=keyless)


def _limits(arguments: argparse.Namespace, account: Account) -> Restrictions | None:
    """None: no flag speaks of them, they stay."""
    if not arguments.unrestricted and arguments.service is arguments.network is arguments.expires is None:
        return None
    main = (credential.restrictions for credential in account.credentials if credential.kind is Kind.MAIN)
    return restrictions.given(arguments, UNRESTRICTED if arguments.unrestricted else next(main, UNRESTRICTED))
