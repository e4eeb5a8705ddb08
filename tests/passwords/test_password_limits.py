"""What is refused: secrets that a scheme would cut (rule D7), and records that would cost too much (rule D11)."""

from __future__ import annotations

import hashlib

import pytest
from argon2 import low_level

from saslauthd_py import passwords
from saslauthd_py.credential import Encoding
from saslauthd_py.passwords import SCHEMES, BrokenRecord, SecretTooLong, libcrypt
from saslauthd_py.secret import Secret

CRYPT_SCHEMES = [name for name, scheme in SCHEMES.items() if isinstance(scheme, libcrypt.CryptScheme) and name != "apr1"]
PBKDF2_SCHEMES = ["pbkdf2-sha512", "pbkdf2-sha256", "pbkdf2-sha1", "pbkdf2", "scram-sha-256", "scram-sha-1"]
CHEAPEST = {
    "argon2id": "argon2id m=8,t=1,p=1",
    "argon2i": "argon2i m=8,t=1,p=1",
    "yescrypt": "yescrypt N=256,r=1",
    "gost-yescrypt": "gost-yescrypt N=256,r=1",
    "scrypt": "scrypt N=256,r=1,p=1",
    "bcrypt": "bcrypt cost=4",
    "sha512crypt": "sha512crypt rounds=1000",
    "sha256crypt": "sha256crypt rounds=1000",
    "sha1crypt": "sha1crypt rounds=1",
    "sunmd5crypt": "sunmd5crypt rounds=0",
    "md5crypt": "md5crypt",
    "bsdicrypt": "bsdicrypt rounds=1",
    "descrypt": "descrypt",
    "nt": "nt",
}

LONGEST = {"bcrypt": 72, "descrypt": 8}
"""Bytes of secret, where it is not crypt_rn's own limit."""


class Work(list[tuple[int, str]]):
    """The calls of hash functions since the start of a test: bytes of secret, and the record or setting."""


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    calls = Work()
    crypt, verify_secret = libcrypt.crypt, low_level.verify_secret

    def counted_crypt(secret: bytes, setting: str) -> str:
        calls.append((len(secret), setting))
        return crypt(secret, setting)

    def counted_argon2(record: bytes, secret: bytes, kind: low_level.Type) -> bool:
        calls.append((len(secret), record.decode()))
        return verify_secret(record, secret, kind)

    monkeypatch.setattr(libcrypt, "crypt", counted_crypt)
    monkeypatch.setattr(low_level, "verify_secret", counted_argon2)
    return calls


def record(scheme: str, secret: bytes) -> Encoding:
    """A record of a secret, by a scheme of crypt(3), as cheap as it can be."""
    return Encoding(scheme, libcrypt.crypt(secret, passwords.decoy(CHEAPEST[scheme]).text))


@pytest.mark.parametrize("scheme", CRYPT_SCHEMES)
def test_d7_secret_of_the_longest_length_is_told_apart_to_the_last_byte(scheme: str) -> None:
    longest = LONGEST.get(scheme, 511)
    whole = record(scheme, b"a" * longest)
    assert passwords.verify(whole, Secret(b"a" * longest)) is True
    assert passwords.verify(whole, Secret(b"a" * (longest - 1) + b"b")) is False


@pytest.mark.parametrize("scheme", CRYPT_SCHEMES)
@pytest.mark.parametrize("more", [1, 2, 16000])
def test_d7_longer_secret_is_false_after_the_work_of_the_longest(scheme: str, more: int, work: Work) -> None:
    longest = LONGEST.get(scheme, 511)
    for letter in (b"a", b"x"):  # x: what is hashed in its place
        whole = record(scheme, letter * longest)
        work.clear()
        assert passwords.verify(whole, Secret(letter * (longest + more))) is False
        assert work == [(longest, whole.text)]


@pytest.mark.parametrize("scheme", CRYPT_SCHEMES)
def test_d7_secret_with_a_nul_is_false_after_the_work_of_the_longest(scheme: str, work: Work) -> None:
    for secret, presented in ((b"pw", b"pw\0"), (b"pw", b"pw\0tail"), (b"", b"\0"), (b"", b"\0tail")):
        cut = record(scheme, secret)
        assert passwords.verify(cut, Secret(secret)) is True
        work.clear()
        assert passwords.verify(cut, Secret(presented)) is False
        assert work == [(LONGEST.get(scheme, 511), cut.text)]


def test_d7_argon2_takes_any_secret_whole() -> None:
    long = b"x" * 16000 + b"\0"
    new = passwords.make("argon2id", Secret(long))
    assert passwords.verify(new, Secret(long)) is True
    for cut in (long[:-1], long + b"\0", long[:511], b""):
        assert passwords.verify(new, Secret(cut)) is False


@pytest.mark.parametrize("scheme", [scheme for scheme in passwords.makeable() if scheme != "argon2id"])
def test_d7_secret_that_would_be_cut_is_refused_when_a_record_is_made(scheme: str, work: Work) -> None:
    longest = LONGEST.get(scheme, 511)
    with pytest.raises(SecretTooLong, match=f"^{scheme} takes a password of at most {longest} bytes: "):
        passwords.make(scheme, Secret(b"x" * (longest + 1)))
    with pytest.raises(SecretTooLong, match=f"^{scheme} ends a password at its first NUL byte: "):
        passwords.make(scheme, Secret(b"pw\0tail"))
    assert not work
    assert passwords.verify(passwords.make(scheme, Secret(b"x" * longest)), Secret(b"x" * longest))


def test_d6_decoy_costs_what_its_profile_says_and_matches_nothing(work: Work) -> None:
    for scheme, cheapest in CHEAPEST.items():
        decoy = passwords.decoy(cheapest)
        assert (decoy.scheme, passwords.cost(decoy).profile) == (scheme, cheapest)
        for secret in (b"", b"x", b"x" * 600, b"\0"):
            work.clear()
            assert passwords.verify(decoy, Secret(secret)) is False
            assert [text for _, text in work] == [decoy.text]


@pytest.mark.parametrize("scheme", passwords.makeable())
def test_d6_decoy_of_a_made_record_differs_from_it_in_salt_and_digest_only(scheme: str) -> None:
    made, decoy = passwords.make(scheme, Secret(b"x")), passwords.decoy(passwords.cost_to_make(scheme).profile)
    assert passwords.cost(decoy) == passwords.cost(made)
    assert len(decoy.text) == len(made.text)
    assert decoy.text != passwords.decoy(passwords.cost(made).profile).text


@pytest.mark.parametrize(
    "profile",
    [
        "yescrypt N=1024,r=8,p=2",
        "yescrypt N=1024,r=8,t=1",
        "gost-yescrypt N=1024,r=8,p=3,t=3",
        "scrypt N=1024,r=1,p=3",
        "sha512crypt rounds=1000,salt=0",
        "sha256crypt rounds=1000,salt=8",
        "md5crypt salt=2",
        "argon2id m=64,t=3,p=4",
    ],
)
def test_d6_decoy_of_rare_parameters_is_taken_by_the_hash_function(profile: str) -> None:
    decoy = passwords.decoy(profile)
    assert passwords.cost(decoy).profile == profile
    assert passwords.verify(decoy, Secret(b"x")) is False


@pytest.mark.parametrize(
    "profile",
    [
        "",
        "foo",
        "foo rounds=1",
        "sha512crypt",
        "sha512crypt rounds=10",
        "sha512crypt rounds=5000,salt=16",
        "sha512crypt rounds=5000,salt=9999999999",
        "sha512crypt rounds=5000 ",
        "sha512crypt rounds=x",
        "sha512crypt rounds=-1",
        "sha512crypt rounds=5000,rounds=6000",
        "sha512crypt rounds=9999999999",
        "md5crypt salt=9",
        "bcrypt cost=3",
        "bcrypt cost=9999999999",
        "yescrypt N=4096",
        "yescrypt N=0,r=8",
        "yescrypt N=1000,r=8",
        "yescrypt N=4,r=8,p=2",
        "yescrypt N=4096,r=9999999999",
        "yescrypt N=4096,r=32,p=1",
        "yescrypt N=4096,r=32,t=0",
        "yescrypt N=9999999999,r=32",
        "scrypt N=9999999999,r=9999999999,p=1",
        "scrypt N=0,r=1,p=1",
        "argon2id m=1,t=1",
        "argon2id m=0,t=1,p=1",
        "bsdicrypt rounds=0",
        "nt rounds=5",
        "x" * 5000,
    ],
)
def test_unknown_profile_has_no_decoy(profile: str) -> None:
    with pytest.raises(BrokenRecord):
        passwords.decoy(profile)


COSTLY = {
    "argon2id of 4 GiB": "$argon2id$v=19$m=4194304,t=1,p=1$" + "A" * 22 + "$" + "A" * 43,
    "argon2id of 130 MiB": "$argon2id$v=19$m=133120,t=1,p=1$" + "A" * 22 + "$" + "A" * 43,
    "argon2id of many passes": "$argon2id$v=19$m=8,t=4294967295,p=1$" + "A" * 22 + "$" + "A" * 43,
    "argon2id of many lanes": "$argon2id$v=19$m=1024,t=1,p=17$" + "A" * 22 + "$" + "A" * 43,
    "argon2id of many passes of lanes": "$argon2id$v=19$m=128,t=200,p=16$" + "A" * 22 + "$" + "A" * 43,
    "argon2id of less than its lanes need": "$argon2id$v=19$m=31,t=1,p=4$" + "A" * 22 + "$" + "A" * 43,
    "pbkdf2 of many rounds": "{PBKDF2}$1$salt$2000001$" + "0" * 40,
    "pbkdf2 of all rounds": "{PBKDF2}$1$salt$9999999999$" + "0" * 40,
    "pbkdf2-sha1 of all rounds": "{PBKDF2-SHA1}9999999999$c2FsdA$" + "A" * 27,
    "pbkdf2-sha256 of all rounds": "{PBKDF2-SHA256}9999999999$c2FsdA$" + "A" * 43,
    "pbkdf2-sha512 of all rounds": "{PBKDF2-SHA512}9999999999$c2FsdA$" + "A" * 86,
    "scram-sha-1 of all rounds": "{SCRAM-SHA-1}9999999999,c2FsdA==," + "A" * 27 + "=," + "A" * 27 + "=",
    "scram-sha-256 of all rounds": "{SCRAM-SHA-256}9999999999,c2FsdA==," + "A" * 43 + "=," + "A" * 43 + "=",
    "argon2i of 4 GiB": "$argon2i$v=19$m=4194304,t=1,p=1$" + "A" * 22 + "$" + "A" * 43,
    "yescrypt of 256 MiB": "$y$jDT$" + "." * 22 + "$" + "z" * 43,
    "yescrypt of 1 GiB": "$y$jFT$" + "." * 22 + "$" + "z" * 43,
    "yescrypt of many rounds": "$y$j9T/zzzzzz$" + "." * 22 + "$" + "z" * 43,
    "yescrypt of a giant r": "$y$j.zzzzzz$" + "." * 22 + "$" + "z" * 43,
    "yescrypt of a giant N": "$y$jzzzzzzz$" + "." * 22 + "$" + "z" * 43,
    "gost-yescrypt of 256 MiB": "$gy$jDT$" + "." * 22 + "$" + "z" * 43,
    "scrypt of 256 MiB": "$7$EU..../...." + "." * 22 + "$" + "z" * 43,
    "scrypt of a giant N": "$7$z6..../...." + "." * 22 + "$" + "z" * 43,
    "scrypt of a giant r": "$7$/zzzzz/...." + "." * 22 + "$" + "z" * 43,
    "scrypt of a giant p": "$7$A6....zzzzz" + "." * 22 + "$" + "z" * 43,
    "bcrypt of 2**15 rounds": "$2b$15$" + "." * 22 + "z" * 31,
    "bcrypt of 2**31 rounds": "$2b$31$" + "." * 22 + "z" * 31,
    "sha512crypt of all rounds": "$6$rounds=999999999$" + "." * 16 + "$" + "z" * 86,
    "sha256crypt of all rounds": "$5$rounds=999999999$" + "." * 16 + "$" + "z" * 43,
    "sha1crypt of all rounds": "$sha1$4294967295$" + "." * 16 + "$" + "z" * 28,
    "sunmd5crypt of all rounds": "$md5,rounds=4294963199$" + "." * 8 + "$$" + "z" * 22,
    "bsdicrypt of all rounds": "_zzzz...." + "z" * 11,
    "bsdicrypt of no rounds": "_........" + "z" * 11,
}


@pytest.mark.parametrize("name", COSTLY)
def test_d11_costly_record_is_broken_before_any_work(name: str, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    text = COSTLY[name]
    costly = Encoding(name.partition(" ")[0], text)
    monkeypatch.setattr(hashlib, "pbkdf2_hmac", None)
    for attempt in (lambda: passwords.cost(costly), lambda: passwords.verify(costly, Secret(b"x"))):
        with pytest.raises(BrokenRecord) as broken:
            attempt()
        assert text not in str(broken.value)
        assert "\n" not in str(broken.value)
    assert not work


@pytest.mark.parametrize(
    ("last", "first_refused"),
    [
        ("argon2id m=131072,t=8,p=1", "argon2id m=131072,t=9,p=1"),
        ("argon2id m=132096,t=1,p=1", "argon2id m=132097,t=1,p=1"),
        ("argon2id m=1024,t=1,p=16", "argon2id m=1024,t=1,p=17"),
        ("yescrypt N=32768,r=32", "yescrypt N=65536,r=32"),
        ("yescrypt N=32768,r=32,t=7", "yescrypt N=32768,r=32,t=8"),
        ("gost-yescrypt N=32768,r=32", "gost-yescrypt N=65536,r=32"),
        ("scrypt N=32768,r=32,p=2", "scrypt N=32768,r=32,p=3"),
        ("bcrypt cost=14", "bcrypt cost=15"),
        ("sha512crypt rounds=1000000", "sha512crypt rounds=1000001"),
        ("sha256crypt rounds=800000", "sha256crypt rounds=800001"),
        ("sha1crypt rounds=1500000", "sha1crypt rounds=1500001"),
        ("sunmd5crypt rounds=795904", "sunmd5crypt rounds=795905"),
        ("bsdicrypt rounds=8388608", "bsdicrypt rounds=8388609"),
        *((f"{name} rounds=2000000", f"{name} rounds=2000001") for name in PBKDF2_SCHEMES),
    ],
)
def test_d11_bound_of_each_scheme(last: str, first_refused: str) -> None:
    assert passwords.cost(passwords.decoy(last)).profile == last
    with pytest.raises(BrokenRecord, match=r"to verify|lanes"):
        passwords.decoy(first_refused)


@pytest.mark.parametrize("scheme", passwords.makeable(elsewhere=True))
def test_d11_new_records_are_far_from_their_bound(scheme: str) -> None:
    usual = passwords.cost_to_make(scheme, elsewhere=True)
    assert usual.work * 3 < SCHEMES[scheme].most_work or scheme.startswith("ssha")
    assert usual.memory * 2 <= 129 << 20
