"""nt, `$3$`: the NT hash, MD4 without salt. As libcrypt does it: right for secrets in ASCII. Verified only."""

from __future__ import annotations

import re

from saslauthd_py.passwords.libcrypt import CryptScheme
from saslauthd_py.passwords.scheme import Parameters
from saslauthd_py.passwords.written import Written

_SIZE = 16


class Nt(CryptScheme):
    """`$3$$` and 32 hexadecimal digits; these alone behind a label of its own, as Samba and older Dovecots have them."""

    name = "nt"
    labels = ("CRYPT", "NTLM")
    sigils = ("$3$",)
    form = re.compile(r"\$3\$\$[0-9a-f]{32}")
    impossible = "f" * 32
    """Hexadecimal leaves no bit at zero: nobody knows a secret for this one, which is as good."""

    def adopt(self, written: Written) -> str | None:
        digest = written.raw(_SIZE) if written.label in {"NT", "NTLM"} else None
        return f"$3$${digest.hex()}" if digest is not None and len(digest) == _SIZE else super().adopt(written)

    def setting(self, parameters: Parameters) -> str:  # noqa: ARG002 - it has none
        return "$3$$"


SCHEME = Nt()
