"""`hash`: a stored password for another program's file, or for nobody's: nothing is written anywhere."""

from __future__ import annotations

import argparse

from saslauthd_py import passwords
from saslauthd_py.cli import secret_input
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.report import Column, Fields, Record, Rows
from saslauthd_py.mechanisms.scram.keys import Unusable, prepared
from saslauthd_py.passwords.scheme import Scheme
from saslauthd_py.secret import Secret

COLUMNS = (Column("SCHEME", 14), Column("MADE BY", 10), Column("AT A COST OF", 18), Column("READ AS", 30))


def run(arguments: argparse.Namespace, environment: Environment) -> Record | Rows[Scheme]:
    """Hash a secret, or list the schemes. Raises CommandFailed, and what `passwords.make` raises: UnknownScheme before anybody is asked."""
    if arguments.list:
        return Rows(COLUMNS, passwords.SCHEMES.values(), _cells, _fields)
    name = arguments.scheme
    cost = passwords.cost_to_make(name, elsewhere=True)
    if arguments.bare and passwords.SCHEMES[name].sigils[0].startswith("{"):
        raise CommandFailed(Exit.USAGE, f"a record of {name} says nothing without its label: leave out --bare")
    secret = secret_input.given(arguments, environment) or secret_input.asked(environment)
    encoding = passwords.make(name, _as_clients_hash(name, secret), elsewhere=True)
    text = encoding.text if arguments.bare else passwords.labelled(encoding)
    return Record({"hash": text, "scheme": name, "profile": cost.profile}, (text,))


def _as_clients_hash(scheme: str, secret: Secret) -> Secret:
    """For SCRAM a mail program prepares the password before it hashes it (RFC 5802 section 2.2)."""
    if scheme not in passwords.SCRAM_SCHEMES:
        return secret
    try:
        return Secret(prepared(secret))
    except Unusable as error:
        raise CommandFailed(Exit.BAD_INPUT, str(error)) from None


def _cells(scheme: Scheme) -> tuple[str, ...]:
    usual = ",".join(f"{name}={value}" for name, value in (scheme.usual or {}).items())
    return scheme.name, ", ".join(_makers(scheme)), usual, " ".join(_spellings(scheme))


def _fields(scheme: Scheme) -> Fields:
    return {"scheme": scheme.name, "made_by": _makers(scheme), "cost": scheme.usual, "read_as": _spellings(scheme)}


def _makers(scheme: Scheme) -> list[str]:
    """The commands that make it; none: it is verified only."""
    kinds = {"user": passwords.makeable(), "hash": passwords.makeable(elsewhere=True)}
    return [command for command, names in kinds.items() if scheme.name in names]


def _spellings(scheme: Scheme) -> list[str]:
    """How a text begins that may be one of it."""
    bare = [sigil for sigil in scheme.sigils if sigil and not sigil.startswith("{")]
    return [*(f"{{{label}}}" for label in dict.fromkeys((*scheme.labels, scheme.name.upper()))), *bare]
