"""The parameters in yescrypt's and scrypt's texts, against libcrypt's own way of writing them and another scrypt."""

from __future__ import annotations

import ctypes
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py import passwords
from saslauthd_py.passwords import yescrypt
from saslauthd_py.passwords.libcrypt import ALPHABET
from saslauthd_py.secret import Secret

LARGEST = 48 - 1 + (8 << 6) + (4 << 12) + (2 << 18) + (1 << 24) + (1 << 30)
"""What the longest code, of a first letter and five more, can say."""


def written_by_libcrypt(prefix: str, cost: int) -> str:
    output = ctypes.create_string_buffer(192)
    written = ctypes.CDLL("libcrypt.so.1").crypt_gensalt_rn(prefix.encode(), ctypes.c_ulong(cost), b"s" * 16, 16, output, 192)
    assert written
    return output.value.decode()


@pytest.mark.parametrize("scheme", ["yescrypt", "gost-yescrypt"])
@pytest.mark.parametrize("cost", range(1, 12))
def test_costs_that_libcrypt_writes_are_read(scheme: str, cost: int) -> None:
    sigil = passwords.SCHEMES[scheme].sigils[0]
    parameters = passwords.SCHEMES[scheme].parameters(f"{written_by_libcrypt(sigil, cost)}${'z' * 43}")
    assert parameters == ({"N": 1 << (cost + 9), "r": 8} if cost < 3 else {"N": 1 << (cost + 7), "r": 32})


@pytest.mark.parametrize("cost", range(6, 12))
def test_costs_of_scrypt_that_libcrypt_writes_are_read(cost: int) -> None:
    parameters = passwords.SCHEMES["scrypt"].parameters(f"{written_by_libcrypt('$7$', cost)}${'z' * 43}")
    assert parameters == {"N": 1 << (cost + 7), "r": 32, "p": 1}


@pytest.mark.parametrize("profile", ["scrypt N=16,r=1,p=1", "scrypt N=1024,r=8,p=1", "scrypt N=64,r=3,p=70"])
def test_scrypt_is_the_one_of_rfc_7914(profile: str) -> None:
    setting, _, _ = passwords.decoy(profile).text.rpartition("$")
    N, r, p = (int(pair.partition("=")[2]) for pair in profile.partition(" ")[2].split(","))  # noqa: N806 - the RFC's names
    digest = hashlib.scrypt(b"pw", salt=setting[14:].encode(), n=N, r=r, p=p, dklen=32)
    assert passwords.verify(passwords.recognise(f"{setting}${six_bits(digest)}"), Secret(b"pw"))


def six_bits(digest: bytes) -> str:
    text = ""
    for start in range(0, len(digest), 3):
        group = digest[start : start + 3]
        value = int.from_bytes(group, "little")
        text += "".join(ALPHABET[value >> shift & 63] for shift in range(0, 8 * len(group), 6))
    return text


@given(st.integers(0, LARGEST), st.integers(0, 2))
def test_numbers_survive_their_code(value: int, least: int) -> None:
    if value < least:
        with pytest.raises(ValueError, match="below"):
            yescrypt._code(value, least)
        return
    code = iter(yescrypt._code(value, least))
    assert yescrypt._number(code, least) == value
    assert next(code, None) is None


def test_number_without_a_code_is_refused() -> None:
    with pytest.raises(ValueError, match="no letters"):
        yescrypt._code(LARGEST + 1, 0)


@pytest.mark.parametrize(
    "code",
    [
        "9",  # no r
        "9k",  # r's second letter is missing
        "9T/",  # says that p or t follows, and ends
        "9T/..",  # a letter after t
        "9T1",  # an upgraded hash
        "9T1.",
        "9T5",  # needs a ROM
        "9T5.",
        "zzzzzz.",  # N of a thousand million bits
        "zzzzzzzzz",
        "9T" + "." * 60,
    ],
)
def test_code_that_libcrypt_could_not_use_is_malformed(code: str) -> None:
    assert passwords.SCHEMES["yescrypt"].parameters(f"$y$j{code}$salt${'z' * 43}") is None
