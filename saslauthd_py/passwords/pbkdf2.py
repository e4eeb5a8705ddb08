"""PBKDF2 (RFC 8018), in the form of passlib, of OpenLDAP's pw-pbkdf2 and of 389-ds; and what the other forms of it share with this one."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from dataclasses import dataclass

from saslauthd_py.passwords.scheme import UNLIMITED, BrokenRecord, Parameters
from saslauthd_py.passwords.written import Written, base64, from_base64

SIZES = {"sha1": 20, "sha256": 32, "sha512": 64}
"""Bytes of a digest, and so of a key."""

ROUNDS = r"(?P<rounds>[1-9][0-9]{0,9})"

MOST_SALT = 128
"""Bytes; programs take 4 to 32. It is hashed once, so its length is no part of the cost."""

_USUAL = {"rounds": 100_000}
"""20-45 ms, as argon2id and yescrypt at their usual cost."""

_MOST_ROUNDS = 2_000_000
"""0.2-0.45 us a round, up to 0.6 us where the processor has no instructions for it; whatever the secret, which is hashed once."""

_AB64 = r"[./+0-9A-Za-z]+={0,2}"


@dataclass(frozen=True, slots=True)
class Derived:
    """What a record says; `kept` is the key that comes out, or what is stored in its place."""

    salt: bytes
    rounds: int
    kept: bytes


class Pbkdf2:
    """A form of PBKDF2, as `scheme.Scheme` describes one; hashlib's call releases the interpreter lock.

    This one is `{LABEL}rounds$salt$key`, both in base64 with `.` for `+` and without padding; passlib also writes `$pbkdf2-sha256$`
    in the place of the label, and 389-ds has `+` and padding. A subclass is another form: its `read`, `write` and `keep`.
    """

    ends_at_nul: bool = True  # HMAC fills a key up with NULs: one at the end would make no difference
    longest: int = UNLIMITED
    usual: Parameters | None = _USUAL
    elsewhere: bool = True
    most_work: int = _MOST_ROUNDS

    def __init__(self, function: str, *labels: str, bare: str = "") -> None:
        """`function` as hashlib calls it; texts have the first label here; `bare` is what other programs put in its place."""
        self.name = labels[0].lower()
        self.labels = labels
        self.sigils: tuple[str, ...] = (f"{{{labels[0]}}}", *filter(None, [bare]))
        self.function = function
        self.size = SIZES[function]

    def read(self, body: str) -> Derived | None:
        """A record's text after its label; None where it is none, or not of this digest."""
        found = re.fullmatch(rf"{ROUNDS}\$(?P<salt>{_AB64})\$(?P<key>{_AB64})", body)
        if found is None:
            return None
        salt, key = _from_ab64(found["salt"]), _from_ab64(found["key"])
        return None if salt is None or key is None else Derived(salt, int(found["rounds"]), key)

    def write(self, salt: bytes, rounds: int, key: bytes) -> str:
        """As `read` reads it."""
        return f"{rounds}${_ab64(salt)}${_ab64(key)}"

    def keep(self, key: bytes) -> bytes:
        """What of a key is compared, of as many bytes."""
        return key

    def salt(self) -> bytes:
        """A new one."""
        return os.urandom(16)

    def adopt(self, written: Written) -> str | None:
        body = written.text()
        if body is None:
            return None
        text = self.sigils[0] + (body if written.label else body.removeprefix(self.sigils[-1]))
        return None if self._derived(text) is None else text

    def parameters(self, text: str) -> Parameters | None:
        derived = self._derived(text)
        return None if derived is None else {"rounds": derived.rounds}

    def price(self, parameters: Parameters) -> tuple[int, int]:
        return parameters["rounds"], 0

    def matches(self, text: str, secret: bytes) -> bool:
        derived = self._derived(text)
        if derived is None:
            raise BrokenRecord(f"malformed {self.name} record")
        return hmac.compare_digest(self.keep(self._key(secret, derived.salt, derived.rounds)), derived.kept)

    def make(self, secret: bytes) -> str:
        salt, rounds = self.salt(), _USUAL["rounds"]
        return self.sigils[0] + self.write(salt, rounds, self._key(secret, salt, rounds))

    def decoy(self, parameters: Parameters) -> str:
        """The key is random: nobody knows a secret for it."""
        return self.sigils[0] + self.write(self.salt(), parameters["rounds"], os.urandom(self.size))

    def preload(self) -> None:
        """Nothing to."""

    def _key(self, secret: bytes, salt: bytes, rounds: int) -> bytes:
        return hashlib.pbkdf2_hmac(self.function, secret, salt, rounds)

    def _derived(self, text: str) -> Derived | None:
        derived = self.read(text.removeprefix(self.sigils[0])) if text.startswith(self.sigils[0]) else None
        return derived if derived and len(derived.kept) == self.size and 0 < len(derived.salt) <= MOST_SALT else None


def _from_ab64(text: str) -> bytes | None:
    padding = "" if text.endswith("=") else "=" * (-len(text) % 4)
    return from_base64(text.replace(".", "+") + padding)


def _ab64(raw: bytes) -> str:
    return base64(raw).rstrip("=").replace("+", ".")


SHA512 = Pbkdf2("sha512", "PBKDF2-SHA512", bare="$pbkdf2-sha512$")
SHA256 = Pbkdf2("sha256", "PBKDF2-SHA256", bare="$pbkdf2-sha256$")
SHA1 = Pbkdf2("sha1", "PBKDF2-SHA1", "PBKDF2", bare="$pbkdf2$")
