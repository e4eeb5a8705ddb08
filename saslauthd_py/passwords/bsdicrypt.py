"""bsdicrypt, `_`: BSDI's extended DES. Takes secrets of any length, and ignores the eighth bit of each byte. Verified only."""

from __future__ import annotations

import re

from saslauthd_py.passwords.libcrypt import ALPHABET, CryptScheme, salt
from saslauthd_py.passwords.scheme import BrokenRecord, Parameters

_MOST_ROUNDS = 1 << 23
"""0.11 us a round, whatever the secret; the form goes to twice as many."""


class BsdiCrypt(CryptScheme):
    """Four letters with the rounds (least significant first), four of salt, eleven of digest."""

    name = "bsdicrypt"
    sigils = ("_",)
    most_work = _MOST_ROUNDS
    form = re.compile(r"_(?P<rounds>[./0-9A-Za-z]{4})[./0-9A-Za-z]{15}")
    impossible = "z" * 11

    def read(self, found: re.Match[str]) -> Parameters:
        return {"rounds": sum(ALPHABET.index(letter) << 6 * place for place, letter in enumerate(found["rounds"]))}

    def price(self, parameters: Parameters) -> tuple[int, int]:
        if not parameters["rounds"]:
            raise BrokenRecord("bsdicrypt record has no rounds")
        return parameters["rounds"], super().price(parameters)[1]

    def setting(self, parameters: Parameters) -> str:
        rounds = "".join(ALPHABET[parameters["rounds"] >> 6 * place & 63] for place in range(4))
        return f"_{rounds}{salt(4)}"


SCHEME = BsdiCrypt()
