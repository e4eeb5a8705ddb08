"""What is stored of a new password: a hash of it and, where they are wanted, its SCRAM keys."""

from __future__ import annotations

import argparse

from saslauthd_py import identity, keying, passwords
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.user.place import Place
from saslauthd_py.credential import Credential, Encoding, Kind
from saslauthd_py.identity import Identity
from saslauthd_py.keying import Salts
from saslauthd_py.mechanisms.scram.keys import Unusable
from saslauthd_py.secret import Secret
from saslauthd_py.store.model import Account, NewSecret
from saslauthd_py.store.store import Store


def make(arguments: argparse.Namespace, at: Place, store: Store, whose: Account | Identity, secret: Secret) -> NewSecret:
    """For an account that is there, or for one that is to be added; with the restrictions that are there.

    Raises CommandFailed for a password of which no keys can be made that are wanted, and what `passwords.make` raises.
    """
    credentials = whose.credentials if isinstance(whose, Account) else ()
    main = next((credential for credential in credentials if credential.kind is Kind.MAIN), None)
    keys: tuple[Encoding, ...] = ()
    if _wanted(arguments, at, main):
        account = identity.account(whose.identity if isinstance(whose, Account) else whose)
        others = [credential for credential in credentials if credential is not main]
        try:
            keys = keying.make(account, secret, others, Salts(store.decoy_key(), at.store.scram_rounds))
        except Unusable as fault:
            raise CommandFailed(Exit.BAD_INPUT, f"{fault}; choose another, or say --no-scram") from None
    return NewSecret(passwords.make(arguments.scheme or at.store.scheme, secret), beside=keys)


def keyless(at: Place, store: Store, account: Account, done: str) -> tuple[str, ...]:
    """What to say where an account, after what was `done`, has no SCRAM keys: one line, or none where nobody misses them."""
    main = next((credential for credential in account.credentials if credential.kind is Kind.MAIN), None)
    if main is None or _serves(main):
        return ()
    if at.store.scram_upgrade:
        return (
            f"{account.identity}: {done}, without SCRAM keys for now: scram_upgrade = true, so the next login by PLAIN or LOGIN makes them",
        )
    if not store.any_keyed():
        return ()
    line = "SCRAM is offered only while every account has them; `user passwd --scram`, or scram_upgrade = true"
    return (f"{account.identity}: {done}, without SCRAM keys: {line}",)


def _wanted(arguments: argparse.Namespace, at: Place, main: Credential | None) -> bool:
    """Without --scram and --no-scram: where every password gets keys, and where the one before served SCRAM logins."""
    if arguments.scram is not None:
        return bool(arguments.scram)
    return at.store.scram_upgrade or (main is not None and _serves(main))


def _serves(main: Credential) -> bool:
    stored = any(encoding.scheme in passwords.SCRAM_SCHEMES for encoding in main.encodings)
    return stored or passwords.clear_text(main.encodings) is not None
