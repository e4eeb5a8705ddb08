"""scrypt, `$7$`: RFC 7914, in the form of crypt(5)."""

from __future__ import annotations

import re

from saslauthd_py.passwords.libcrypt import ALPHABET, CryptScheme, salt
from saslauthd_py.passwords.scheme import BrokenRecord, Parameters

_BLOCK_SETUP = 32
"""A byte of the first block (128 * r * p of them) comes out of PBKDF2 and costs as much as this many bytes mixed."""

_USUAL = {"N": 16384, "r": 32, "p": 1}
"""64 MiB and 190 ms: libcrypt's own default, `CU`."""

_MOST_MIXED = 513 << 20
"""1.5 ms a MiB: the most memory that a record may have, gone through twice (p = 2)."""


class Scrypt(CryptScheme):
    """One letter with the logarithm of N, five with r, five with p (least significant first), the salt as it is, `$`, digest.

    Work is counted in bytes mixed: p times over, the memory is written once and read once.
    """

    name = "scrypt"
    sigils = ("$7$",)
    usual = _USUAL
    most_work = _MOST_MIXED
    form = re.compile(r"\$7\$(?P<N>[./0-9A-Za-z])(?P<r>[./0-9A-Za-z]{5})(?P<p>[./0-9A-Za-z]{5})[./0-9A-Za-z]{0,86}\$[./0-9A-Za-z]{43}")
    impossible = "z" * 43

    def read(self, found: re.Match[str]) -> Parameters:
        return {"N": 1 << ALPHABET.index(found["N"]), "r": _number(found["r"]), "p": _number(found["p"])}

    def price(self, parameters: Parameters) -> tuple[int, int]:
        blocks, size, lanes = parameters["N"], 128 * parameters["r"], parameters["p"]
        if blocks < 4 or not size or not lanes:
            raise BrokenRecord("scrypt record has no sensible N, r and p")
        return lanes * size * (2 * blocks + _BLOCK_SETUP), size * (blocks + lanes + 2)

    def setting(self, parameters: Parameters) -> str:
        cost = ALPHABET[parameters["N"].bit_length() - 1] if parameters["N"] >> 63 == 0 else "z"
        return f"{self.sigils[0]}{cost}{_code(parameters['r'])}{_code(parameters['p'])}{salt(22)}$"


def _number(code: str) -> int:
    return sum(ALPHABET.index(letter) << 6 * place for place, letter in enumerate(code))


def _code(value: int) -> str:
    return "".join(ALPHABET[value >> 6 * place & 63] for place in range(5))


SCHEME = Scrypt()
