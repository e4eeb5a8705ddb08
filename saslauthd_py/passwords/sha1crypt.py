"""sha1crypt, `$sha1$`: NetBSD's, PBKDF1 with HMAC-SHA1. Verified only."""

from __future__ import annotations

import re

from saslauthd_py.passwords.libcrypt import CryptScheme, salt
from saslauthd_py.passwords.scheme import Parameters

_MOST_ROUNDS = 1_500_000
"""0.5 us a round with a secret of 64 bytes, 1.3 us with 511."""


class Sha1Crypt(CryptScheme):
    """Rounds, `$`, up to 64 letters of salt, `$`, digest."""

    name = "sha1crypt"
    sigils = ("$sha1$",)
    most_work = _MOST_ROUNDS
    form = re.compile(r"\$sha1\$(?P<rounds>[1-9][0-9]{0,9})\$[./0-9A-Za-z]{1,64}\$[./0-9A-Za-z]{28}")
    impossible = "z" * 24 + ".zzz"
    """Its coding leaves no bit at zero but says the first byte twice: here differently."""

    def read(self, found: re.Match[str]) -> Parameters:
        return {"rounds": int(found["rounds"])}

    def price(self, parameters: Parameters) -> tuple[int, int]:
        return parameters["rounds"], super().price(parameters)[1]

    def setting(self, parameters: Parameters) -> str:
        return f"{self.sigils[0]}{parameters['rounds']}${salt(16)}$"


SCHEME = Sha1Crypt()
