"""The schemes we know: the one explicit table. A further scheme is its file and its line here."""

from __future__ import annotations

from saslauthd_py.passwords import (
    argon2i,
    argon2id,
    bcrypt,
    bsdicrypt,
    descrypt,
    gost_yescrypt,
    md5crypt,
    nt,
    scrypt,
    sha1crypt,
    sha256crypt,
    sha512crypt,
    sunmd5crypt,
    yescrypt,
)
from saslauthd_py.passwords.scheme import Scheme

DEFAULT_SCHEME = "argon2id"

_IN_ORDER: tuple[Scheme, ...] = (
    argon2id.SCHEME,
    argon2i.SCHEME,
    yescrypt.SCHEME,
    gost_yescrypt.SCHEME,
    scrypt.SCHEME,
    bcrypt.SCHEME,
    sha512crypt.SCHEME,
    sha256crypt.SCHEME,
    sha1crypt.SCHEME,
    sunmd5crypt.SCHEME,
    md5crypt.SCHEME,
    bsdicrypt.SCHEME,
    nt.SCHEME,
    descrypt.SCHEME,
)
"""Strongest first, as a user is shown them; the one without a sign of its own last."""

SCHEMES: dict[str, Scheme] = {scheme.name: scheme for scheme in _IN_ORDER}


def makeable() -> tuple[str, ...]:
    """The schemes that new records may have, strongest first. The others are verified, so that an import works, and replaced."""
    return tuple(scheme.name for scheme in SCHEMES.values() if scheme.usual is not None)


def preload() -> None:
    """Import and open whatever any scheme can need: a process that has dropped its privileges may find nothing more (rule A2)."""
    for scheme in SCHEMES.values():
        scheme.preload()
