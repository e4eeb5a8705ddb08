"""Argon2 (RFC 9106) by argon2-cffi, whose native call releases the interpreter lock; PHC strings."""

from __future__ import annotations

import os
import re

from saslauthd_py.passwords.scheme import BrokenRecord, Parameters
from saslauthd_py.passwords.written import Written, base64

_MOST_LANES = 16
"""Each lane is a thread of the operating system while one record is verified."""

_LANE_PASS = 480
"""Starting a lane's threads costs as much as this many KiB filled (four starts a pass, 50-100 us each); one lane alone starts none."""

_MOST_FILLED = 1 << 20
"""0.7-1.1 us a KiB."""


class Argon2:
    """One variant of Argon2, as `scheme.Scheme` describes a scheme. Work is counted in KiB filled: memory times passes."""

    ends_at_nul: bool = False
    longest: int = 2**32 - 1  # RFC 9106 section 3.1
    elsewhere: bool = False
    most_work: int = _MOST_FILLED

    def __init__(self, variant: str, usual: Parameters | None) -> None:
        """`variant` is its letters in RFC 9106: "id" or "i"."""
        self.name = f"argon2{variant}"
        self.labels: tuple[str, ...] = (self.name.upper(), "ARGON2")
        self.sigils: tuple[str, ...] = (f"${self.name}$v=19$", f"${self.name}$")
        self.usual = usual
        self._variant = variant.upper()
        self._form = re.compile(
            rf"\${self.name}\$(?:v=(?:16|19)\$)?m=(?P<m>[1-9][0-9]{{0,9}}),t=(?P<t>[1-9][0-9]{{0,9}}),p=(?P<p>[1-9][0-9]{{0,7}})"
            r"\$[+/0-9A-Za-z]{11,64}\$[+/0-9A-Za-z]{22,86}"
        )

    def adopt(self, written: Written) -> str | None:
        text = written.text()
        return text if text is not None and self._form.fullmatch(text) else None

    def parameters(self, text: str) -> Parameters | None:
        found = self._form.fullmatch(text)
        return None if found is None else {name: int(found[name]) for name in ("m", "t", "p")}

    def price(self, parameters: Parameters) -> tuple[int, int]:
        memory, passes, lanes = parameters["m"], parameters["t"], parameters["p"]
        if lanes > _MOST_LANES or memory < 8 * lanes:
            raise BrokenRecord(f"{self.name} record has {lanes} lanes: at most {_MOST_LANES}, and 8 KiB each")
        starts = _LANE_PASS * lanes if lanes > 1 else 0
        return passes * (memory + starts), memory * 1024

    def matches(self, text: str, secret: bytes) -> bool:
        from argon2 import exceptions, low_level  # lazily: a site may have no record of it; `preload` is for the daemon

        try:
            return low_level.verify_secret(text.encode("ascii"), secret, low_level.Type[self._variant])
        except exceptions.VerifyMismatchError:
            return False
        except exceptions.VerificationError as error:
            raise BrokenRecord(f"libargon2 refuses the record: {error}") from None

    def make(self, secret: bytes) -> str:
        from argon2 import exceptions, low_level

        usual = self.usual or {}
        kind = low_level.Type[self._variant]
        try:
            text = low_level.hash_secret(secret, os.urandom(16), usual["t"], usual["m"], usual["p"], hash_len=32, type=kind)
        except exceptions.HashingError as error:
            raise BrokenRecord(f"libargon2 cannot make a record: {error}") from None
        return text.decode("ascii")

    def decoy(self, parameters: Parameters) -> str:
        """Salt and digest are random: to know a secret for 32 random bytes is to have broken Argon2."""
        cost = f"m={parameters['m']},t={parameters['t']},p={parameters['p']}"
        return f"{self.sigils[0]}{cost}${_unpadded(os.urandom(16))}${_unpadded(os.urandom(32))}"

    def preload(self) -> None:
        import argon2.low_level  # noqa: F401 - imported is all it has to be


def _unpadded(value: bytes) -> str:
    return base64(value).rstrip("=")
