"""scram-sha-1 and scram-sha-256: what a server keeps for SCRAM (RFC 5802 section 3), in Dovecot's form, as a stored password."""

from __future__ import annotations

import hashlib
import hmac
import re

from saslauthd_py.passwords.pbkdf2 import ROUNDS, Derived, Pbkdf2
from saslauthd_py.passwords.written import base64, from_base64

_BASE64 = r"[+/0-9A-Za-z]+={0,2}"


class Scram(Pbkdf2):
    """`rounds,salt,StoredKey,ServerKey`, the last three in base64. The secret is taken as it is presented, not prepared."""

    form = re.compile(rf"{ROUNDS},(?P<salt>{_BASE64}),(?P<stored>{_BASE64}),(?P<server>{_BASE64})")

    def read(self, body: str) -> Derived | None:
        found = self.form.fullmatch(body)
        if found is None:
            return None
        salt, stored, server = (from_base64(found[name]) for name in ("salt", "stored", "server"))
        if salt is None or stored is None or server is None or len(server) != self.size:
            return None
        return Derived(salt, int(found["rounds"]), stored)

    def write(self, salt: bytes, rounds: int, key: bytes) -> str:
        return f"{rounds},{base64(salt)},{base64(self.keep(key))},{base64(hmac.digest(key, b'Server Key', self.function))}"

    def keep(self, key: bytes) -> bytes:
        """StoredKey, of the SaltedPassword: it proves a secret, and does not let who reads it log in."""
        return hashlib.new(self.function, hmac.digest(key, b"Client Key", self.function)).digest()


SHA256 = Scram("sha256", "SCRAM-SHA-256")
SHA1 = Scram("sha1", "SCRAM-SHA-1")
