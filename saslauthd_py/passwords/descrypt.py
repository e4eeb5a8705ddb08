"""descrypt: the crypt(3) of 1979. It looks at eight bytes of a secret and ignores the eighth bit of each. Verified only."""

from __future__ import annotations

import re

from saslauthd_py.passwords.libcrypt import CryptScheme, salt
from saslauthd_py.passwords.scheme import Parameters


class DesCrypt(CryptScheme):
    """Two letters of salt, eleven of digest, nothing to tell it by: the last of the table that is asked."""

    name = "descrypt"
    labels = ("DES-CRYPT", "CRYPT")
    sigils = ("",)
    longest = 8
    form = re.compile(r"[./0-9A-Za-z]{13}")
    impossible = "z" * 11

    def setting(self, parameters: Parameters) -> str:  # noqa: ARG002 - it has none
        return salt(2)


SCHEME = DesCrypt()
