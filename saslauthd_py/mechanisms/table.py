"""The mechanisms that a server of ours can offer. A further one is a file with its `begin`, and its line here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from saslauthd_py.keys import Hash
from saslauthd_py.mechanisms import external, login, plain
from saslauthd_py.mechanisms.exchange import Begin
from saslauthd_py.mechanisms.scram.server import Server


class Need(StrEnum):
    """What decides an exchange. With PASSWORD the secret itself is sent; with KEYS the server proves itself too."""

    PASSWORD = "password"  # noqa: S105 - a word, not a password
    KEYS = "keys"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class Mechanism:
    """`function` is the hash whose keys a SCRAM mechanism needs; None for others."""

    name: str
    need: Need
    begin: Begin
    function: Hash | None = None


MECHANISMS = {
    mechanism.name: mechanism
    for mechanism in (
        Mechanism(Hash.SHA256.mechanism, Need.KEYS, Server(Hash.SHA256).begin, Hash.SHA256),
        Mechanism(Hash.SHA1.mechanism, Need.KEYS, Server(Hash.SHA1).begin, Hash.SHA1),
        Mechanism("EXTERNAL", Need.CERTIFICATE, external.begin),
        Mechanism("PLAIN", Need.PASSWORD, plain.begin),
        Mechanism("LOGIN", Need.PASSWORD, login.begin),
    )
}
"""By name, the strongest first."""


def named(name: str) -> Mechanism | None:
    """The mechanism that a client asks for, in small letters or capitals (Postfix passes on what its client typed)."""
    return MECHANISMS.get(name.upper()) if name.isascii() else None
