"""SCRAM keys of stored credentials: which serve (rules D8, F3), which are missing, and what is said of who has none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from saslauthd_py import keying, passwords
from saslauthd_py.credential import Credential, Encoding, Kind
from saslauthd_py.keying import MOST_COUNTED, Keyless, Salts
from saslauthd_py.keys import AccountKeys, Hash, Keys
from saslauthd_py.mechanisms.scram import keys
from saslauthd_py.mechanisms.scram.keys import Unusable
from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.secret import Secret

ACCOUNT = "alice@example.org"
SALTS = Salts(Secret(b"k" * 32), 4096)
PENCIL = Secret(b"pencil")
HASHED = Encoding("argon2id", "x")
CLEAR = passwords.recognise("{PLAIN}pencil")
BROKEN = Encoding("scram-sha-256", "{SCRAM-SHA-256}nonsense")


def made(salt: bytes = b"imported", rounds: int = 5000, function: Hash = Hash.SHA256) -> Encoding:
    return keying.encoded(function, keys.derive(function, PENCIL, salt, rounds))


def secret(number: int, *encodings: Encoding) -> Credential:
    return Credential(number, Kind.MAIN if number == 1 else Kind.APP, "" if number == 1 else str(number), encodings)


async def derive(function: Hash, secret: Secret, salt: bytes, rounds: int) -> Keys:
    return keys.derive(function, secret, salt, rounds)


async def find(*credentials: Credential, function: Hash = Hash.SHA256) -> AccountKeys | None:
    return await keying.find(ACCOUNT, credentials, function, SALTS, derive)


@pytest.mark.parametrize("function", Hash)
def test_keys_are_stored_in_the_form_that_verifies_a_password(function: Hash) -> None:
    encoding = made(function=function)
    assert passwords.verify(encoding, PENCIL)
    assert not passwords.verify(encoding, Secret(b"pen"))
    assert passwords.recognise(encoding.text) == encoding
    assert keying.stored(secret(1, HASHED, encoding), function) == keys.derive(function, PENCIL, b"imported", 5000)


async def test_nothing_is_found_where_nothing_is_kept() -> None:
    assert await find() is None
    assert await find(secret(1, HASHED)) is None
    assert await find(secret(1, made(function=Hash.SHA1))) is None
    assert keying.stored(secret(1, HASHED), Hash.SHA1) is None


async def test_f3_imported_keys_rule_the_account_and_others_with_another_salt_are_left_out() -> None:
    found = await find(secret(1, made()), secret(2, made(b"another")), secret(3, made()), secret(4, made(rounds=5001)))
    assert found is not None
    assert (found.salt, found.rounds) == (b"imported", 5000)
    assert [number for number, _ in found.secrets] == [1, 3]


async def test_f3_clear_text_is_derived_with_the_salt_that_a_decoy_of_the_account_shows() -> None:
    found = await find(secret(1, CLEAR))
    decoy = SALTS.decoy(ACCOUNT, Hash.SHA256)
    assert found == AccountKeys(decoy.salt, 4096, ((1, keys.derive(Hash.SHA256, PENCIL, decoy.salt, 4096)),))


async def test_f3_clear_text_is_derived_with_the_salt_that_its_account_has_already() -> None:
    found = await find(secret(1, CLEAR), secret(2, made()))
    assert found is not None
    assert (found.salt, found.rounds, len(found.secrets)) == (b"imported", 5000, 2)


async def test_stored_keys_go_before_those_of_a_clear_text() -> None:
    found = await find(secret(1, CLEAR, made()))
    assert found is not None
    assert found.salt == b"imported"


async def test_clear_text_of_which_no_keys_can_be_made_has_none() -> None:
    assert await find(secret(1, passwords.recognise("{PLAIN}a\tb"))) is None
    assert await find(secret(1, Encoding("plain", "malformed"))) is None


@pytest.mark.parametrize("text", [BROKEN.text, "", made(function=Hash.SHA1).text])
async def test_d8_broken_keys_are_that_record_s_fault_alone(text: str) -> None:
    broken = Encoding("scram-sha-256", text)
    found = await find(secret(1, broken), secret(2, made()))
    assert found is not None
    assert [number for number, _ in found.secrets] == [2]
    with pytest.raises(BrokenRecord, match="malformed scram-sha-256 record") as told:
        await find(secret(1, HASHED, broken))
    assert text == "" or text not in str(told.value)


async def test_d11_keys_of_too_many_rounds_are_a_broken_record_and_nobody_else_s_measure() -> None:
    costly = keying.encoded(Hash.SHA256, Keys(b"salt", keying.MOST_ROUNDS + 1, bytes(32), bytes(32)))
    with pytest.raises(BrokenRecord, match="rounds: over 10000000 is refused"):
        await find(secret(1, HASHED, costly))
    assert SALTS.shared(ACCOUNT, [secret(1, costly)], Hash.SHA256)[1] == 4096
    found = await find(secret(1, costly), secret(2, CLEAR))
    assert found is not None
    assert found.rounds == 4096


def test_f3_new_keys_take_the_salt_of_the_account_s_other_secrets_else_the_decoy_s() -> None:
    others = [secret(2, HASHED), secret(3, BROKEN), secret(4, made())]
    for function in Hash:
        decoy = SALTS.decoy(ACCOUNT, function)
        assert SALTS.shared(ACCOUNT, [], function) == SALTS.shared(ACCOUNT, others[:2], function) == (decoy.salt, 4096)
    assert SALTS.shared(ACCOUNT, others, Hash.SHA256) == (b"imported", 5000)


def test_keys_are_made_for_both_hashes() -> None:
    encodings = keying.make(ACCOUNT, PENCIL, [secret(2, made())], SALTS)
    assert [encoding.scheme for encoding in encodings] == ["scram-sha-256", "scram-sha-1"] == list(passwords.SCRAM_SCHEMES)
    whole = secret(1, *encodings)
    assert keying.stored(whole, Hash.SHA256) == keys.derive(Hash.SHA256, PENCIL, b"imported", 5000)
    assert keying.stored(whole, Hash.SHA1) == keys.derive(Hash.SHA1, PENCIL, SALTS.decoy(ACCOUNT, Hash.SHA1).salt, 4096)
    with pytest.raises(Unusable):
        keying.make(ACCOUNT, Secret(b"\xff"), [], SALTS)


def test_what_is_missing() -> None:
    both = (Hash.SHA256, Hash.SHA1)
    main, app = secret(1, HASHED), secret(2, HASHED)
    assert keying.missing(main, [main]) == both
    main = secret(1, HASHED, *keying.make(ACCOUNT, PENCIL, [], SALTS))
    assert keying.missing(main, [main, app]) == ()
    assert keying.missing(app, [main, app]) == both
    app = secret(2, *keying.make(ACCOUNT, PENCIL, [main], SALTS))
    assert keying.missing(app, [main, app]) == ()
    app = secret(2, made(), keying.make(ACCOUNT, PENCIL, [main], SALTS)[1])
    assert keying.missing(app, [main, app]) == (Hash.SHA256,), "by another salt than the main secret's nobody can log in"
    assert keying.missing(main, [main, app]) == ()
    main = secret(1, HASHED, BROKEN, made(function=Hash.SHA1))
    assert keying.missing(main, [main]) == (Hash.SHA256,)
    main = secret(1, CLEAR)
    assert keying.missing(main, [main]) == both


def test_f3_decoys_have_the_rounds_that_are_said_or_those_of_new_keys() -> None:
    assert SALTS.decoy(ACCOUNT, Hash.SHA1, 7000).rounds == 7000
    assert SALTS.decoy(ACCOUNT, Hash.SHA1) == SALTS.decoy(ACCOUNT, Hash.SHA1, 4096)
    assert "kkkk" not in repr(SALTS)


def test_who_has_no_keys_is_counted_and_told_with_an_example() -> None:
    assert Keyless(nobody=True).line(Hash.SHA1, "x") == "no accounts yet"
    assert Keyless.of([]).line(Hash.SHA256, "do this") == ""
    assert Keyless.of(["bob"]).line(Hash.SHA256, "do this") == "1 account has no scram-sha-256 keys, bob; do this"
    some = Keyless.of(["bob", "carol", "dave"])
    assert some.line(Hash.SHA1, "do this") == "3 accounts have no scram-sha-1 keys, bob among them; do this"


def test_counting_ends_early() -> None:
    taken: list[int] = []

    def names() -> Iterator[str]:
        for number in range(10 * MOST_COUNTED):
            taken.append(number)
            yield f"u{number}"

    line = Keyless.of(names()).line(Hash.SHA256, "do this")
    assert line == "over 1000 accounts have no scram-sha-256 keys, u0 among them; do this"
    assert len(taken) == MOST_COUNTED + 1
