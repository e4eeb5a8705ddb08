"""What is offered to an exchange that can only fail at its proof: always the same for a name, and like real keys (rule F3)."""

from __future__ import annotations

import hashlib
import os

from saslauthd_py.identity import Identity, InvalidIdentity
from saslauthd_py.keys import AccountKeys, Hash
from saslauthd_py.mechanisms.scram import keys
from saslauthd_py.routing import Route, Routes
from saslauthd_py.secret import Secret

ROUNDS = 100_000
"""Where no backend has keys, so that nobody's real ones could be told from these."""


class Decoys:
    """Made by the backend that would have the account's keys: by the route's first one that has any, else by the first there is."""

    def __init__(self, routes: Routes) -> None:
        self._members = tuple(routes.members.values())
        self._key = Secret(os.urandom(32))

    def of(self, route: Route | None, name: Identity, function: Hash) -> AccountKeys:
        """Of a name that this route took; None: no route did.

        Then nobody was asked, and it is another than where somebody was: if both were one, and an account's are two, that would tell
        the account.
        """
        members = (*(route.members if route else ()), *self._members)
        keyed = next((member.keyed for member in members if member.keyed is not None), None)
        if keyed is None:
            return self.spare(name, function)
        try:
            return keyed.decoy(name if route else _nobody(name), function)
        except InvalidIdentity:
            return keyed.decoy(_nobody(name), function)

    def spare(self, name: Identity, function: Hash) -> AccountKeys:
        """Without asking anybody."""
        return keys.decoy(self._key, function, str(name), ROUNDS)


def _nobody(name: Identity) -> Identity:
    """A name that no account has, always the same for this one."""
    return Identity(hashlib.blake2b(str(name).encode(), digest_size=16).hexdigest(), "invalid")
