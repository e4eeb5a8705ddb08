"""bcrypt, `$2b$`: Provos and Mazieres 1999. `$2y$` is the same; `$2a$` and `$2x$` are older forms, verified with their faults."""

from __future__ import annotations

import re

from saslauthd_py.passwords.libcrypt import CryptScheme, salt
from saslauthd_py.passwords.scheme import Parameters

_USUAL = {"cost": 10}
"""48 ms, the least that OWASP asks for."""

_MOST_ROUNDS = 1 << 14
"""0.77 s, whatever the secret; the next step is 1.5 s, so 3 s on a slow core."""


class Bcrypt(CryptScheme):
    """Two digits of cost, the logarithm of the rounds; 22 letters of salt and 31 of digest without a mark between them."""

    name = "bcrypt"
    labels = ("BLF-CRYPT", "CRYPT")
    sigils = ("$2b$", "$2y$", "$2a$", "$2x$")
    longest = 72
    usual = _USUAL
    most_work = _MOST_ROUNDS
    form = re.compile(r"\$2[abxy]\$(?P<cost>0[4-9]|[12][0-9]|3[01])\$[./0-9A-Za-z]{53}")
    impossible = "z" * 31

    def read(self, found: re.Match[str]) -> Parameters:
        return {"cost": int(found["cost"])}

    def price(self, parameters: Parameters) -> tuple[int, int]:
        return 1 << min(parameters["cost"], 63), super().price(parameters)[1]

    def setting(self, parameters: Parameters) -> str:
        return f"{self.sigils[0]}{parameters['cost']:02}${salt(21)}."  # the 22nd letter holds two bits only


SCHEME = Bcrypt()
