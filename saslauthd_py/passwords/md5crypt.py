"""md5crypt, `$1$`: Kamp's, of FreeBSD 1994, and everybody's for ten years. Verified only."""

from __future__ import annotations

import re

from saslauthd_py.passwords.libcrypt import SALT, CryptScheme, salt
from saslauthd_py.passwords.scheme import Parameters

_FULL_SALT = 8


class Md5Crypt(CryptScheme):
    """Up to 8 letters of salt, `$`, digest; always 1,000 rounds (0.1-0.3 ms; 1.4 ms with the longest secret)."""

    name = "md5crypt"
    labels = ("MD5-CRYPT", "CRYPT")
    sigils = ("$1$",)
    form = re.compile(rf"\$1\$(?P<salt>{SALT}{{0,8}})\$[./0-9A-Za-z]{{22}}")
    impossible = "z" * 22

    def read(self, found: re.Match[str]) -> Parameters:
        size = len(found["salt"])  # it is hashed in every round, and can make a block more of it
        return {} if size == _FULL_SALT else {"salt": size}

    def setting(self, parameters: Parameters) -> str:
        return f"{self.sigils[0]}{salt(min(parameters.get('salt', _FULL_SALT), _FULL_SALT))}$"


SCHEME = Md5Crypt()
