"""By which of its encodings a secret is verified, and which of them is the secret itself."""

from __future__ import annotations

from itertools import permutations

import pytest

from saslauthd_py import passwords
from saslauthd_py.credential import Encoding
from saslauthd_py.passwords import SCHEMES, SCRAM_SCHEMES, BrokenRecord
from saslauthd_py.secret import Secret


def of(*schemes: str) -> tuple[Encoding, ...]:
    return tuple(Encoding(scheme, "x") for scheme in schemes)


@pytest.mark.parametrize("schemes", list(permutations(["argon2id", "md5crypt", *SCRAM_SCHEMES])))
def test_the_strongest_hash_is_chosen_in_whatever_order_they_stand(schemes: tuple[str, ...]) -> None:
    assert passwords.strongest(of(*schemes)).scheme == "argon2id"


@pytest.mark.parametrize("hashed", [scheme for scheme in SCHEMES if scheme not in SCRAM_SCHEMES])
def test_scram_is_never_chosen_where_there_is_a_hash(hashed: str) -> None:
    assert passwords.strongest(of(*SCRAM_SCHEMES, hashed)).scheme == hashed


def test_scram_is_chosen_where_there_is_nothing_else_and_the_stronger_first() -> None:
    assert passwords.strongest(of("scram-sha-1")).scheme == "scram-sha-1"
    assert passwords.strongest(of("scram-sha-1", "scram-sha-256")).scheme == "scram-sha-256"


def test_an_unknown_scheme_is_chosen_last() -> None:
    assert passwords.strongest(of("from-the-future", "scram-sha-1")).scheme == "scram-sha-1"
    assert passwords.strongest(of("from-the-future")).scheme == "from-the-future"


def test_no_encoding_is_a_broken_record() -> None:
    with pytest.raises(BrokenRecord, match="no encoding"):
        passwords.strongest(())


def test_clear_text_is_found_among_the_encodings() -> None:
    clear = passwords.recognise("{PLAIN}pencil")
    assert passwords.clear_text((*of("argon2id"), clear)) == Secret(b"pencil")
    assert passwords.clear_text(of("argon2id", "scram-sha-1")) is None
    assert passwords.clear_text(of("plain")) is None
    assert passwords.clear_text(()) is None
