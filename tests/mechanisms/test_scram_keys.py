"""RFC 5802 section 3: keys from a secret, the records that keep them, and the salts of accounts that have none."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py import passwords
from saslauthd_py.credential import Encoding
from saslauthd_py.keys import AccountKeys, Hash, Keys
from saslauthd_py.mechanisms.scram import base64, keys
from saslauthd_py.mechanisms.scram.keys import Unusable, decoy, derive, gather, read_record, write_record
from saslauthd_py.secret import Secret
from tests.mechanisms.scram_samples import BOTH, PENCIL, SHA1, SHA256, Sample

RANDOM_KEY = Secret(b"k" * 32)


@pytest.mark.parametrize("sample", BOTH)
def test_keys_are_those_of_the_rfc(sample: Sample) -> None:
    assert derive(sample.function, PENCIL, sample.keys.salt, 4096) == sample.keys


def test_salted_password_is_that_of_the_rfc() -> None:
    salted = keys.salted_password(Hash.SHA1, PENCIL, SHA1.keys.salt, 4096)
    assert salted.hex() == "1d96ee3a529b5a5f9e47c01f229a2cb8a6e15f7d"


def test_sizes_and_names_are_those_of_hashlib_and_the_rfcs() -> None:
    assert [(item.mechanism, item.size) for item in Hash] == [("SCRAM-SHA-256", 32), ("SCRAM-SHA-1", 20)]
    assert all(hashlib.new(item).digest_size == item.size for item in Hash)


def test_a_password_is_prepared_before_it_is_hashed() -> None:
    salt = SHA256.keys.salt
    assert derive(Hash.SHA256, Secret("I\u00adX".encode()), salt, 1) == derive(Hash.SHA256, Secret("\u2168".encode()), salt, 1)


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        (b"p\xe4ss", "not UTF-8"),
        (b"", "empty password"),
        ("\u00ad".encode(), "empty password"),
        (b"pass\tword", "control"),
        (b"pass\0word", "control"),
        ("\U0001f511pass".encode(), "newer than Unicode 3.2"),
    ],
)
def test_what_has_no_keys_is_said_without_the_password(secret: bytes, why: str) -> None:
    with pytest.raises(Unusable, match=why) as refused:
        derive(Hash.SHA256, Secret(secret), b"salt", 1)
    assert "pass\t" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("sample", BOTH)
def test_the_right_proof_alone_proves(sample: Sample) -> None:
    proof = base64.decode(sample.proof)
    assert proof is not None
    signed = b",".join([sample.client_first[3:], sample.server_first, sample.client_final.rpartition(b",p=")[0]])
    assert keys.proves(sample.function, sample.keys.stored_key, signed, proof)
    assert base64.encode(keys.signature(sample.function, sample.keys.server_key, signed)) == sample.verifier
    for bit in range(8 * len(proof)):
        other = (int.from_bytes(proof) ^ 1 << bit).to_bytes(len(proof))
        assert not keys.proves(sample.function, sample.keys.stored_key, signed, other)
    assert not keys.proves(sample.function, sample.keys.stored_key, signed + b",", proof)


def test_keys_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    original = hmac.compare_digest

    def watched(a: bytes, b: bytes) -> bool:
        compared.append(b)
        return original(a, b)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    assert not keys.proves(Hash.SHA256, SHA256.keys.stored_key, b"signed", bytes(32))
    assert compared == [SHA256.keys.stored_key]


@pytest.mark.parametrize("sample", BOTH)
def test_record_is_written_and_read(sample: Sample) -> None:
    text = write_record(sample.function, sample.keys)
    assert text.startswith(f"{{{sample.function.mechanism}}}4096,{base64.encode(sample.keys.salt)},")
    assert read_record(text) == (sample.function, sample.keys)


@pytest.mark.parametrize("function", Hash)
def test_passwords_and_mechanisms_agree_on_records(function: Hash) -> None:
    scheme = function.mechanism.lower()
    assert passwords.verify(Encoding(scheme, write_record(function, derive(function, PENCIL, b"sixteen bytes ..", 4096))), PENCIL)
    made = passwords.make(scheme, PENCIL, elsewhere=True)
    read = read_record(made.text)
    assert read is not None
    assert read == (function, derive(function, PENCIL, read[1].salt, read[1].rounds))
    assert len(read[1].salt) == keys.SALT_SIZE


GOOD = write_record(Hash.SHA256, SHA256.keys)


@pytest.mark.parametrize(
    "text",
    [
        "",
        GOOD + "\n",
        GOOD.replace("SHA-256", "SHA-1"),
        GOOD.replace("SHA-256", "SHA-512"),
        GOOD.replace("4096", "0"),
        GOOD.replace("4096", "04096"),
        GOOD.replace("4096", "٤٠٩٦"),
        GOOD.replace("gQ==", "gQ="),
        GOOD.replace("gQ==", "gR=="),
        GOOD.replace("W22ZaJ0SNY7soEsUEjb6gQ==", ""),
        GOOD.replace("W22ZaJ0SNY7soEsUEjb6gQ==", "===="),
        GOOD + ",AAAA",
        GOOD.removeprefix("{SCRAM-SHA-256}"),
        GOOD.rpartition(",")[0],
    ],
)
def test_what_is_no_record_is_none(text: str) -> None:
    assert read_record(text) is None


@given(st.text() | st.from_regex(r"\{SCRAM-SHA-(1|256)\}[0-9]{1,4},[A-Za-z0-9+/=]{1,9},[A-Za-z0-9+/=]*,[A-Za-z0-9+/=]*", fullmatch=True))
def test_any_text_is_a_record_or_none(text: str) -> None:
    read = read_record(text)
    assert read is None or write_record(*read) == text


def test_keys_do_not_show_themselves() -> None:
    shown = repr([SHA256.keys, SHA256.account()])
    assert repr(SHA256.keys.stored_key) not in shown
    assert repr(SHA256.keys.server_key) not in shown


def test_f3_secrets_of_an_account_share_the_salt_and_rounds_of_its_main_one() -> None:
    main, app = derive(Hash.SHA256, PENCIL, b"salt", 1), derive(Hash.SHA256, Secret(b"app"), b"salt", 1)
    assert gather([(1, main), (2, app)]) == AccountKeys(b"salt", 1, ((1, main), (2, app)))


def test_f3_imported_keys_with_another_salt_serve_the_main_secret_only() -> None:
    main = derive(Hash.SHA256, PENCIL, b"imported", 2)
    others = [Keys(b"salt", 2, b"a", b"b"), Keys(b"imported", 1, b"a", b"b")]
    assert gather([(1, main), *enumerate(others, 2)]) == AccountKeys(b"imported", 2, ((1, main),))


def test_f3_a_decoy_is_stable_and_has_the_rounds_of_real_keys_and_no_key() -> None:
    first = decoy(RANDOM_KEY, Hash.SHA256, "nobody@example.org", 100_000)
    assert first == AccountKeys(first.salt, 100_000, ())
    assert first == decoy(Secret(b"k" * 32), Hash.SHA256, "nobody@example.org", 100_000)
    assert len(first.salt) == keys.SALT_SIZE
    # for ever: another value than in the last release tells unknown accounts from known ones
    assert first.salt.hex() == "7b5e001b2cdabc9ed21cb20a63297ffd"


def test_f3_decoys_differ_by_account_hash_and_key() -> None:
    salts = {
        keys.stable_salt(key, function, account)
        for key in (RANDOM_KEY, Secret(b"other"))
        for function in Hash
        for account in ("a@example.org", "b@example.org", "")
    }
    assert len(salts) == 12


@given(st.binary())
def test_base64_comes_back(raw: bytes) -> None:
    assert base64.decode(base64.encode(raw)) == raw


@given(st.text("Ag+/=\n -_", max_size=12) | st.text())
def test_base64_of_any_text_is_strict(text: str) -> None:
    raw = base64.decode(text)
    assert raw is None or base64.encode(raw) == text


@pytest.mark.parametrize("text", ["A", "AA", "AAA", "AA=", "AB==", "AAAA=", "AAAA\n", "AA AA", "AA-_", "=", "AAA=A", "A===", "é"])
def test_what_is_not_strictly_base64_is_none(text: str) -> None:
    assert base64.decode(text) is None
