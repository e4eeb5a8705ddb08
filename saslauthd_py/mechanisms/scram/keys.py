"""What a server keeps for SCRAM, how it comes from a secret, and what can be proved with it (RFC 5802 section 3).

A record is the form that Dovecot gave the keys as a stored password, `{SCRAM-SHA-256}rounds,salt,StoredKey,ServerKey`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

from saslauthd_py.keys import AccountKeys, Hash, Keys
from saslauthd_py.mechanisms.saslprep import Unprepared, prepare
from saslauthd_py.mechanisms.scram import base64
from saslauthd_py.secret import Secret

SALT_SIZE = 16
"""Bytes of a salt that we make, as in the records of `passwords`: a decoy's must not be told from them."""

_RECORD = re.compile(r"\{SCRAM-(?P<name>SHA-1|SHA-256)\}(?P<rounds>[1-9][0-9]{0,9}),(?P<keys>[^,]+,[^,]+,[^,]+)")


class Unusable(ValueError):
    """A secret of which no keys can be made. Its text says why in one line, and holds nothing of the secret."""


def gather(secrets: Sequence[tuple[int, Keys]]) -> AccountKeys:
    """The keys of an account with one secret at least, the main one first: the others serve where they share its salt and rounds (F3)."""
    first = secrets[0][1]
    shared = [(number, keys) for number, keys in secrets if (keys.salt, keys.rounds) == (first.salt, first.rounds)]
    return AccountKeys(first.salt, first.rounds, tuple(shared))


def decoy(key: Secret, function: Hash, account: str, rounds: int) -> AccountKeys:
    """For an account without keys: always the same salt, the same `rounds` as real ones, and nothing that a proof could fit (F3)."""
    return AccountKeys(stable_salt(key, function, account), rounds)


def stable_salt(key: Secret, function: Hash, account: str) -> bytes:
    """The salt of an account that has none stored, be it unknown or kept in clear text: without `key`, it looks like a random one.

    `account` is what `identity.account` makes of the name, so that its spellings share a salt as those of a stored account do.
    """
    return hmac.digest(key.reveal(), b"SCRAM salt\0" + function.encode() + b"\0" + account.encode(), "sha256")[:SALT_SIZE]


def derive(function: Hash, secret: Secret, salt: bytes, rounds: int) -> Keys:
    """The keys of a clear-text secret. Raises Unusable. Blocks for 0.2-0.45 us a round; releases the interpreter lock meanwhile."""
    salted = salted_password(function, secret, salt, rounds)
    stored_key = hashlib.new(function, client_key(function, salted)).digest()
    return Keys(salt, rounds, stored_key, server_key(function, salted))


def salted_password(function: Hash, secret: Secret, salt: bytes, rounds: int) -> bytes:
    """SaltedPassword, of the secret as `prepared` makes it. As `derive`."""
    return hashlib.pbkdf2_hmac(function, prepared(secret), salt, rounds)


def prepared(secret: Secret) -> bytes:
    """The secret as SASLprep prepares it, and as every client does (RFC 5802 section 2.2). Raises Unusable. Quick."""
    try:
        found = prepare(secret.reveal().decode(), stored=True).encode()
    except UnicodeDecodeError:
        raise Unusable("a password that is not UTF-8 has no SCRAM keys") from None
    except Unprepared as fault:
        raise Unusable(f"this password has no SCRAM keys: {fault}") from None
    if not found:
        raise Unusable("an empty password has no SCRAM keys")
    return found


def client_key(function: Hash, salted: bytes) -> bytes:
    """ClientKey, of the SaltedPassword: with it one can log in, so a server does not keep it."""
    return hmac.digest(salted, b"Client Key", function)


def server_key(function: Hash, salted: bytes) -> bytes:
    """ServerKey, of the SaltedPassword."""
    return hmac.digest(salted, b"Server Key", function)


def signature(function: Hash, key: bytes, auth_message: bytes) -> bytes:
    """ClientSignature by StoredKey, or ServerSignature by ServerKey."""
    return hmac.digest(key, auth_message, function)


def masked(key: bytes, mask: bytes) -> bytes:
    """ClientKey XOR ClientSignature: the proof; and the proof with it: ClientKey. Both are of one length."""
    return bytes(a ^ b for a, b in zip(key, mask, strict=True))


def proves(function: Hash, stored_key: bytes, auth_message: bytes, proof: bytes) -> bool:
    """Whether `proof`, of the hash's size, was made with the secret of `stored_key`. In constant time."""
    presented = masked(proof, signature(function, stored_key, auth_message))
    return hmac.compare_digest(hashlib.new(function, presented).digest(), stored_key)


def read_record(text: str) -> tuple[Hash, Keys] | None:
    """The keys in a record; None where it is not one of SCRAM's, to the last letter."""
    found = _RECORD.fullmatch(text)
    if found is None:
        return None
    function = Hash.SHA1 if found["name"] == "SHA-1" else Hash.SHA256
    salt, stored, server = (base64.decode(part) for part in found["keys"].split(","))
    if salt is None or stored is None or server is None or {len(stored), len(server)} != {function.size}:
        return None
    return function, Keys(salt, int(found["rounds"]), stored, server)


def write_record(function: Hash, keys: Keys) -> str:
    """As `read_record` reads it."""
    return f"{{{function.mechanism}}}{keys.rounds}," + ",".join(map(base64.encode, (keys.salt, keys.stored_key, keys.server_key)))
