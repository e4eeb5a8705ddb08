"""yescrypt, `$y$`: Debian's and others' default in /etc/shadow. Peslyak's scheme over scrypt; its parameters are in a code of its own."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from saslauthd_py.passwords.libcrypt import ALPHABET, CryptScheme, salt
from saslauthd_py.passwords.scheme import BrokenRecord, Parameters

_LANES, _TIME, _UPGRADES, _ROM = 1, 2, 4, 8
"""Bits of the optional fourth number: which numbers follow."""

_MOST_LOG_N = 31
"""libcrypt's own limit; also keeps a hostile number from becoming a giant one here."""

_SBOX = 12 * 1024 + 64
"""Bytes of S-boxes a lane."""

_BLOCK_SETUP = 32
"""A byte of the first block (128 * r * p of them) comes out of PBKDF2 and costs as much as this many bytes mixed."""

_USUAL = {"N": 4096, "r": 32}
"""16 MiB and 17 ms: libcrypt's own default, `j9T`."""

_MOST_MIXED = 1 << 30
"""0.75 ms a MiB."""


class Yescrypt(CryptScheme):
    """Flavour `j` (the only one libcrypt works with), N as a logarithm, r, optional p and t; `$`, salt, `$`, digest.

    Work is counted in bytes mixed. Hash upgrades and a ROM, which the code of the parameters also knows, libcrypt cannot do.
    """

    usual = _USUAL
    most_work = _MOST_MIXED
    impossible = "z" * 43

    def __init__(self, name: str, mark: str) -> None:
        self.name = name
        self.sigils = (f"${mark}$",)
        self.form = re.compile(rf"\${mark}\$j(?P<code>[./0-9A-Za-z]{{2,48}})\$[./0-9A-Za-z]{{0,86}}\$[./0-9A-Za-z]{{43}}")

    def read(self, found: re.Match[str]) -> Parameters | None:
        code = iter(found["code"])
        try:
            parameters = _decode(code)
        except StopIteration:
            return None
        return None if next(code, None) else parameters

    def price(self, parameters: Parameters) -> tuple[int, int]:
        blocks, size = parameters["N"], 128 * parameters["r"]
        lanes, time = parameters.get("p", 1), parameters.get("t", 0)
        if lanes * 4 > blocks:
            raise BrokenRecord(f"{self.name} record has more lanes than its memory allows")
        passes_by_three = 3 + (time + 1 if time < 2 else 3 * (time - 1))
        work = size * blocks * passes_by_three // 3 + lanes * (size * _BLOCK_SETUP + _SBOX)
        return work, size * (blocks + lanes + 2) + lanes * _SBOX

    def setting(self, parameters: Parameters) -> str:
        return f"{self.sigils[0]}j{_encode(parameters)}${salt(21)}.$"  # 16 bytes: the 22nd letter holds two bits only


def _decode(code: Iterator[str]) -> Parameters | None:
    """The numbers of the code; None for what libcrypt cannot do. Raises StopIteration where the code ends too early."""
    log_n = _number(code, 1)
    if log_n > _MOST_LOG_N:
        return None
    parameters = {"N": 1 << log_n, "r": _number(code, 1)}
    first = next(code, None)
    if first is None:
        return parameters
    more = _number(itertools.chain(first, code), 1)
    if more & ~(_LANES | _TIME):
        return None
    if more & _LANES:
        parameters["p"] = _number(code, 2)
    if more & _TIME:
        parameters["t"] = _number(code, 1)
    return parameters


def _encode(parameters: Parameters) -> str:
    numbers = [(parameters["N"].bit_length() - 1, 1), (parameters["r"], 1)]
    more = _LANES * ("p" in parameters) | _TIME * ("t" in parameters)
    if more:
        numbers.append((more, 1))
    if "p" in parameters:
        numbers.append((parameters["p"], 2))
    if "t" in parameters:
        numbers.append((parameters["t"], 1))
    return "".join(_code(number, least) for number, least in numbers)


def _ranges() -> Iterator[tuple[int, int, int]]:
    """First letter's values and bits that follow it: 48 values stand alone, then 8 with one letter more, 4 with two, ..."""
    first, last, bits = 0, 47, 0
    while True:
        yield first, last, bits
        first, last, bits = last + 1, last + 1 + (62 - last) // 2, bits + 6


def _number(code: Iterator[str], least: int) -> int:
    value, letter = least, ALPHABET.index(next(code))
    for first, last, bits in _ranges():
        if letter <= last:
            value += (letter - first) << bits
            break
        value += (last + 1 - first) << bits
    for shift in range(bits - 6, -1, -6):
        value += ALPHABET.index(next(code)) << shift
    return value


def _code(value: int, least: int) -> str:
    value -= least
    if value < 0:
        raise ValueError("a number below the least that the code has")
    for first, last, bits in _ranges():
        count = (last + 1 - first) << bits
        if value < count:
            break
        if last >= 63:
            raise ValueError("a number that the code has no letters for")
        value -= count
    letters = [first + (value >> bits), *((value >> shift) & 63 for shift in range(bits - 6, -1, -6))]
    return "".join(ALPHABET[letter] for letter in letters)


SCHEME = Yescrypt("yescrypt", "y")
