"""Rule F6: a password is tried as it came, then as SASLprep and as OpaqueString prepare it, only where that makes a difference."""

from __future__ import annotations

import hashlib

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py import passwords
from saslauthd_py.credential import Encoding
from saslauthd_py.hashing import LONGEST_PREPARED, Hashing, forms
from saslauthd_py.keying import encoded
from saslauthd_py.keys import Hash
from saslauthd_py.mechanisms.scram.keys import Unusable, derive
from saslauthd_py.secret import Secret

DECOMPOSED = "cafe\u0301 \u2168"
"""Raw, in SASLprep and in OpaqueString it has three forms."""

DIFFERENT = [DECOMPOSED, "café IX", "café \u2168"]


def sha(text: str) -> Encoding:
    return passwords.recognise("{SHA256.HEX}" + hashlib.sha256(text.encode()).hexdigest())


def revealed(secret: bytes) -> list[bytes]:
    return [form.reveal() for form in forms(Secret(secret))]


@pytest.mark.parametrize(
    ("presented", "expected"),
    [
        (b"plain ascii", [b"plain ascii"]),
        (b"tab\tand\x7f", [b"tab\tand\x7f"]),
        ("café".encode(), ["café".encode()]),
        (DECOMPOSED.encode(), [form.encode() for form in DIFFERENT]),
        ("a\u00a0b".encode(), ["a\u00a0b".encode(), b"a b"]),
        ("\u00ad".encode(), ["\u00ad".encode()]),
        ("I\u00adX".encode(), ["I\u00adX".encode(), b"IX"]),
        (b"caf\xe9", [b"caf\xe9"]),
        ("\U0001f511é".encode(), ["\U0001f511é".encode()]),
    ],
)
def test_f6_forms_are_tried_only_where_they_differ_in_bytes(presented: bytes, expected: list[bytes]) -> None:
    assert revealed(presented) == expected


def test_f6_long_secret_is_taken_as_it_is() -> None:
    assert len(revealed(("e\u0301" * (LONGEST_PREPARED // 3)).encode())) == 2
    assert len(revealed(("e\u0301" * LONGEST_PREPARED).encode())) == 1


@given(st.text(min_size=1) | st.binary())
def test_f6_any_secret_has_one_to_three_different_forms_the_presented_first(secret: str | bytes) -> None:
    try:
        presented = secret if isinstance(secret, bytes) else secret.encode()
    except UnicodeEncodeError:
        return
    found = revealed(presented)
    assert found[0] == presented
    assert 1 <= len(found) == len(set(found)) <= 3
    assert all(found[1:])


@pytest.mark.parametrize("stored", DIFFERENT)
async def test_f6_any_form_that_was_stored_is_found_and_named(stored: str) -> None:
    hashing = Hashing()
    form = await hashing.matching(sha(stored), Secret(DECOMPOSED.encode()))
    assert form == Secret(stored.encode())
    assert await hashing.verify(sha(stored), Secret(DECOMPOSED.encode()))
    assert not await hashing.verify(sha("another"), Secret(DECOMPOSED.encode()))


@pytest.mark.parametrize(("secret", "hashes"), [("wrong", 1), ("fälsch", 1), (DECOMPOSED, 3)])
async def test_f6_d6_wrong_secret_costs_as_many_hashes_by_a_decoy_as_by_a_record_and_one_turn(
    secret: str, hashes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    verify = passwords.verify

    def counted(encoding: Encoding, form: Secret) -> bool:
        tried.append(encoding.text)
        return verify(encoding, form)

    monkeypatch.setattr(passwords, "verify", counted)
    hashing = Hashing(threads=1)
    record, decoy = sha("right"), passwords.decoy("sha256")
    for encoding in (record, decoy):
        assert not await hashing.verify(encoding, Secret(secret.encode()))
    assert tried == [record.text] * hashes + [decoy.text] * hashes
    assert hashing.counts() == (0, 0)


async def test_f6_scram_record_made_of_a_prepared_password_is_verified_by_what_was_typed() -> None:
    made = derive(Hash.SHA256, Secret(DECOMPOSED.encode()), b"sixteen bytes ..", 4096)
    assert await Hashing().verify(encoded(Hash.SHA256, made), Secret(DECOMPOSED.encode()))


async def test_keys_are_derived_in_a_thread_of_the_pool_and_a_secret_without_keys_says_so() -> None:
    hashing = Hashing(threads=1)
    with trio.fail_after(60):
        assert await hashing.derive(Hash.SHA1, Secret(b"pencil"), b"salt", 4096) == derive(Hash.SHA1, Secret(b"pencil"), b"salt", 4096)
        with pytest.raises(Unusable):
            await hashing.derive(Hash.SHA1, Secret(b"\0"), b"salt", 4096)
    assert hashing.counts() == (0, 0)
