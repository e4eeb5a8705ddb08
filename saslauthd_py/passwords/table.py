"""The schemes we know: the one explicit table. A further one is its file (those that differ in a digest alone share one) and its line."""

from __future__ import annotations

from saslauthd_py.passwords import (
    apr1,
    argon2i,
    argon2id,
    bcrypt,
    bsdicrypt,
    cram_md5,
    descrypt,
    digests,
    dovecot_pbkdf2,
    gost_yescrypt,
    md5crypt,
    nt,
    pbkdf2,
    plain,
    plain_md4,
    scram,
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
    pbkdf2.SHA512,
    pbkdf2.SHA256,
    pbkdf2.SHA1,
    dovecot_pbkdf2.SCHEME,
    scram.SHA256,
    scram.SHA1,
    sha1crypt.SCHEME,
    sunmd5crypt.SCHEME,
    apr1.SCHEME,
    md5crypt.SCHEME,
    bsdicrypt.SCHEME,
    digests.SSHA512,
    digests.SSHA384,
    digests.SSHA256,
    digests.SSHA,
    digests.SMD5,
    digests.SHA512,
    digests.SHA384,
    digests.SHA256,
    digests.SHA,
    digests.MD5,
    cram_md5.SCHEME,
    plain_md4.SCHEME,
    nt.SCHEME,
    plain.SCHEME,
    descrypt.SCHEME,
)
"""Strongest first, as a user is shown them; the one without a sign of its own last."""

SCHEMES: dict[str, Scheme] = {scheme.name: scheme for scheme in _IN_ORDER}

BY_LABEL: dict[str, tuple[Scheme, ...]] = {
    label: tuple(scheme for scheme in _IN_ORDER if label in (*scheme.labels, scheme.name.upper()))
    for label in {label for scheme in _IN_ORDER for label in (*scheme.labels, scheme.name.upper())}
}
"""What a label in braces points to."""

SCRAM_SCHEMES = (scram.SHA256.name, scram.SHA1.name)
"""What serves SCRAM, and tells a password only where there is no hash of it."""

_STRENGTH = {name: place for place, name in enumerate((*(name for name in SCHEMES if name not in SCRAM_SCHEMES), *SCRAM_SCHEMES))}


def strength(name: str) -> int:
    """The less, the rather a presented password is verified by this scheme; the most for one that is not known."""
    return _STRENGTH.get(name, len(_STRENGTH))


def makeable(*, elsewhere: bool = False) -> tuple[str, ...]:
    """The schemes that new records may have, strongest first; with `elsewhere` those too that are made for other programs only.

    The rest are verified, so that an import works, and replaced.
    """
    return tuple(scheme.name for scheme in SCHEMES.values() if scheme.usual is not None and (elsewhere or not scheme.elsewhere))


def preload() -> None:
    """Import and open whatever any scheme can need: a process that has dropped its privileges may find nothing more (rule A2)."""
    for scheme in SCHEMES.values():
        scheme.preload()
