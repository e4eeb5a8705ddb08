"""pbkdf2, Dovecot's `{PBKDF2}`: PBKDF2 with HMAC-SHA1, in a form of its own."""

from __future__ import annotations

import re

from saslauthd_py.passwords import libcrypt
from saslauthd_py.passwords.pbkdf2 import MOST_SALT, ROUNDS, Derived, Pbkdf2


class DovecotPbkdf2(Pbkdf2):
    """`$1$`, the salt as it is, `$`, rounds, `$`, the key in hexadecimal."""

    form = re.compile(rf"\$1\$(?P<salt>[!-#%-~]{{1,{MOST_SALT}}})\${ROUNDS}\$(?P<key>[0-9A-Fa-f]{{40}})")

    def read(self, body: str) -> Derived | None:
        found = self.form.fullmatch(body)
        return None if found is None else Derived(found["salt"].encode("ascii"), int(found["rounds"]), bytes.fromhex(found["key"]))

    def write(self, salt: bytes, rounds: int, key: bytes) -> str:
        return f"$1${salt.decode('ascii')}${rounds}${key.hex()}"

    def salt(self) -> bytes:
        return libcrypt.salt(16).encode("ascii")


SCHEME = DovecotPbkdf2("sha1", "PBKDF2")
