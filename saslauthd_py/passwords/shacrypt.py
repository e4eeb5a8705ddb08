"""What sha512crypt and sha256crypt share: Drepper's "Unix crypt using SHA-256 and SHA-512", rounds of a digest."""

from __future__ import annotations

import re

from saslauthd_py.passwords.libcrypt import SALT, CryptScheme, salt
from saslauthd_py.passwords.scheme import Parameters

_UNSAID_ROUNDS = 5000
_FULL_SALT = 16

_USUAL = {"rounds": 100_000}
"""20-50 ms, as argon2id and yescrypt at their usual cost. The 5,000 of the scheme itself are of 2007, and 1-2 ms now."""


class ShaCrypt(CryptScheme):
    """`$5$` or `$6$`: optional `rounds=N$`, up to 16 letters of salt, `$`, digest."""

    usual = _USUAL

    def __init__(self, digit: str, bits: int, most_rounds: int) -> None:
        self.name = f"sha{bits}crypt"
        self.labels = (f"SHA{bits}-CRYPT", "CRYPT")
        self.sigils = (f"${digit}$",)
        letters = -(-bits // 6)
        # libcrypt reads a salt `rounds=N` as the rounds, and the digest as the salt: as many rounds as it likes, at the price of 5,000.
        self.form = re.compile(
            rf"\${digit}\$(?:rounds=(?P<rounds>[1-9][0-9]{{3,8}})\$)?(?!rounds=)(?P<salt>{SALT}{{0,16}})\$[./0-9A-Za-z]{{{letters}}}"
        )
        self.impossible = "z" * letters
        self.most_work = most_rounds

    def read(self, found: re.Match[str]) -> Parameters:
        rounds = int(found["rounds"] or _UNSAID_ROUNDS)
        size = len(found["salt"])  # it is hashed in every round, and can make a block more of it
        return {"rounds": rounds} if size == _FULL_SALT else {"rounds": rounds, "salt": size}

    def price(self, parameters: Parameters) -> tuple[int, int]:
        return parameters["rounds"], super().price(parameters)[1]

    def setting(self, parameters: Parameters) -> str:
        text = salt(min(parameters.get("salt", _FULL_SALT), _FULL_SALT))
        return f"{self.sigils[0]}rounds={parameters['rounds']}${text}$"
