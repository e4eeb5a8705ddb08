"""nt, `$3$`: the NT hash, MD4 without salt. As libcrypt does it: right for secrets in ASCII. Verified only."""

from __future__ import annotations

import re

from saslauthd_py.passwords.libcrypt import CryptScheme
from saslauthd_py.passwords.scheme import Parameters


class Nt(CryptScheme):
    """`$3$$` and 32 hexadecimal digits."""

    name = "nt"
    sigils = ("$3$",)
    form = re.compile(r"\$3\$\$[0-9a-f]{32}")
    impossible = "f" * 32
    """Hexadecimal leaves no bit at zero: nobody knows a secret for this one, which is as good."""

    def setting(self, parameters: Parameters) -> str:  # noqa: ARG002 - it has none
        return "$3$$"


SCHEME = Nt()
