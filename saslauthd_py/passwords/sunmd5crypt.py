"""sunmd5crypt, `$md5,rounds=N$`: Muffett's, of Solaris. Verified only."""

from __future__ import annotations

import re

from saslauthd_py.passwords.libcrypt import CryptScheme, salt
from saslauthd_py.passwords.scheme import Parameters

_ALWAYS = 4096
"""Rounds that come before those that a text names."""

_MOST_ROUNDS = 800_000
"""1.2 us a round, whatever the secret."""


class SunMd5Crypt(CryptScheme):
    """Optional `,rounds=N` (Solaris also wrote `$rounds=N`), `$`, salt, one `$` or two (a fault that became the form), digest."""

    name = "sunmd5crypt"
    sigils = ("$md5,", "$md5$")
    most_work = _MOST_ROUNDS
    form = re.compile(r"\$md5(?:[,$]rounds=(?P<rounds>[1-9][0-9]{0,9}))?\$[./0-9A-Za-z]{0,32}\${1,2}[./0-9A-Za-z]{22}")
    impossible = "z" * 22

    def read(self, found: re.Match[str]) -> Parameters:
        return {"rounds": int(found["rounds"] or 0)}

    def price(self, parameters: Parameters) -> tuple[int, int]:
        return parameters["rounds"] + _ALWAYS, super().price(parameters)[1]

    def setting(self, parameters: Parameters) -> str:
        rounds = f",rounds={parameters['rounds']}" if parameters["rounds"] else ""
        return f"$md5{rounds}${salt(8)}$$"


SCHEME = SunMd5Crypt()
