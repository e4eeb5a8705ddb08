"""One digest of a password, salted or not: RFC 2307's `{SHA}` and `{MD5}`, Netscape's `{SSHA}`, and their later kin. Quick to guess."""

from __future__ import annotations

import hashlib
import hmac
import os

from saslauthd_py.passwords.scheme import UNLIMITED, Parameters
from saslauthd_py.passwords.written import Written, base64, from_base64

_SIZES = {"md4": 16, "md5": 16, "sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}

_MOST_SALT = 128
"""Bytes. Programs take 4 to 20; up to here it makes no difference in time, so a profile need not speak of it."""

_NEW_SALT = 16

_NEW: Parameters = {}


class Digest:
    """`{LABEL}` and the base64 of digest and salt; of what others write, also the hexadecimal of a digest without salt.

    The function is called once. For a secret short enough to matter that is a microsecond, and a longer one releases the lock.
    """

    ends_at_nul: bool = False
    longest: int = UNLIMITED
    most_work: int = 1
    elsewhere: bool = True

    def __init__(self, function: str, *labels: str, salted: bool = False, usual: Parameters | None = None) -> None:
        """`function` as hashlib calls it; the first label is the one that texts have here."""
        self.name = labels[0].lower()
        self.labels = labels
        self.sigils: tuple[str, ...] = (f"{{{labels[0]}}}",)
        self.usual = usual
        self._function = function
        self._size = _SIZES[function]
        self._salted = salted

    def digest(self, content: bytes) -> bytes:
        """The function's."""
        return hashlib.new(self._function, content, usedforsecurity=False).digest()

    def adopt(self, written: Written) -> str | None:
        raw = self._whole(written.raw(None if self._salted else self._size))
        return None if raw is None else self.sigils[0] + base64(raw)

    def parameters(self, text: str) -> Parameters | None:
        return None if self._raw(text) is None else {}

    def price(self, parameters: Parameters) -> tuple[int, int]:  # noqa: ARG002 - it has none
        return 1, 0

    def matches(self, text: str, secret: bytes) -> bool:
        raw = self._raw(text) or b""
        return hmac.compare_digest(self.digest(secret + raw[self._size :]), raw[: self._size])

    def make(self, secret: bytes) -> str:
        salt = os.urandom(_NEW_SALT * self._salted)
        return self.sigils[0] + base64(self.digest(secret + salt) + salt)

    def decoy(self, parameters: Parameters) -> str:  # noqa: ARG002 - as `price`
        """Digest and salt are random: nobody knows a secret for them."""
        return self.sigils[0] + base64(os.urandom(self._size + _NEW_SALT * self._salted))

    def preload(self) -> None:
        """Nothing to."""

    def _raw(self, text: str) -> bytes | None:
        label = self.sigils[0]
        return self._whole(from_base64(text.removeprefix(label))) if text.startswith(label) else None

    def _whole(self, raw: bytes | None) -> bytes | None:
        salts = range(1, _MOST_SALT + 1) if self._salted else range(1)
        return raw if raw is not None and len(raw) - self._size in salts else None


MD5 = Digest("md5", "MD5", "PLAIN-MD5", "LDAP-MD5")
SMD5 = Digest("md5", "SMD5", salted=True)
SHA = Digest("sha1", "SHA", "SHA1")
SSHA = Digest("sha1", "SSHA", salted=True)
SHA256 = Digest("sha256", "SHA256")
SSHA256 = Digest("sha256", "SSHA256", salted=True, usual=_NEW)
SHA384 = Digest("sha384", "SHA384")
SSHA384 = Digest("sha384", "SSHA384", salted=True)
SHA512 = Digest("sha512", "SHA512")
SSHA512 = Digest("sha512", "SSHA512", salted=True, usual=_NEW)
