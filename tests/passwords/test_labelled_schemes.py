"""The schemes that neither libcrypt nor libargon2 does: every secret whole, beside libpass, and at a cost that is told."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from passlib import hash as libpass  # type: ignore[import-untyped]  # libpass has no types

from saslauthd_py import passwords
from saslauthd_py.credential import Encoding
from saslauthd_py.passwords import SCHEMES, BrokenRecord, SecretTooLong, cram_md5, libcrypt
from saslauthd_py.passwords.digests import Digest
from saslauthd_py.passwords.pbkdf2 import Pbkdf2
from saslauthd_py.passwords.scheme import Scheme
from saslauthd_py.secret import Secret

DIGESTS = [name for name, scheme in SCHEMES.items() if isinstance(scheme, Digest)]
KEYS = [name for name, scheme in SCHEMES.items() if isinstance(scheme, Pbkdf2)]
WHOLE = [*(name for name in DIGESTS if name != "plain-md4"), *KEYS, "plain", "cram-md5"]
"""Those that take every secret whole."""
PROFILES = [*(f"{name} rounds=10" for name in KEYS), *DIGESTS, "plain", "cram-md5", "apr1", "apr1 salt=3"]

LIBPASS = {
    "md5": libpass.ldap_md5,
    "smd5": libpass.ldap_salted_md5,
    "sha": libpass.ldap_sha1,
    "ssha": libpass.ldap_salted_sha1,
    "ssha256": libpass.ldap_salted_sha256,
    "ssha512": libpass.ldap_salted_sha512,
    "pbkdf2-sha1": libpass.ldap_pbkdf2_sha1.using(rounds=3),
    "pbkdf2-sha256": libpass.pbkdf2_sha256.using(rounds=3),
    "pbkdf2-sha512": libpass.ldap_pbkdf2_sha512.using(rounds=3),
    "apr1": libpass.apr_md5_crypt,
}
"""Another maker for some of the schemes."""

NULS = [b"pw\0", b"\0", b"pw\0tail", b"x" * 16000 + b"\0"]


def states(secret: bytes) -> bytes:
    """Outer and inner state of HMAC-MD5 with this key."""
    key = secret if len(secret) <= 64 else hashlib.md5(secret, usedforsecurity=False).digest()
    blocks = (bytes(byte ^ pad for byte in key.ljust(64, b"\0")) for pad in (0x5C, 0x36))
    return b"".join(cram_md5.compressed(cram_md5.START, block) for block in blocks)


def record(scheme: str, secret: bytes) -> Encoding:
    """A record of a secret, cheap where its cost can be chosen."""
    kind = SCHEMES[scheme]
    if isinstance(kind, Pbkdf2):
        salt = kind.salt()
        return Encoding(scheme, kind.sigils[0] + kind.write(salt, 10, hashlib.pbkdf2_hmac(kind.function, secret, salt, 10)))
    return Encoding(scheme, "{CRAM-MD5}" + states(secret).hex() if scheme == "cram-md5" else kind.make(secret))


@pytest.mark.parametrize(
    ("scheme", "secret"),
    [
        *(
            (scheme, secret)
            for scheme in WHOLE
            for secret in (b"pw", b"p\xe4\xff\x80", "pä ss€".encode(), b"x" * 64, b"x" * 65, b"x" * 16000)
        ),
        *((scheme, secret) for scheme in WHOLE for secret in NULS if not SCHEMES[scheme].ends_at_nul),
    ],
)
def test_d7_secret_is_told_apart_to_the_last_byte_whatever_its_length(scheme: str, secret: bytes) -> None:
    encoding = record(scheme, secret)
    assert passwords.verify(encoding, Secret(secret)) is True
    for wrong in (secret[:-1] + b"?", secret + b"?", b"?" + secret, secret[:-1], b"", secret + b"\0"):
        assert passwords.verify(encoding, Secret(wrong)) is False


@pytest.mark.parametrize("letter", [b"a", b"x"])  # x: what is hashed in its place
@pytest.mark.parametrize("scheme", ["apr1", "plain-md4"])
def test_d7_secret_longer_than_a_scheme_in_python_takes_is_false_after_the_work_of_the_longest(
    scheme: str, letter: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoding = Encoding(scheme, SCHEMES[scheme].make(letter * 511) if scheme == "plain-md4" else libpass.apr_md5_crypt.hash(letter * 511))
    assert passwords.verify(encoding, Secret(letter * 511)) is True
    matches, sizes = type(SCHEMES[scheme]).matches, []

    def counted(self: Scheme, text: str, secret: bytes) -> bool:
        sizes.append(len(secret))
        return matches(self, text, secret)

    monkeypatch.setattr(type(SCHEMES[scheme]), "matches", counted)
    for longer in (letter * 512, letter * 16000):
        assert passwords.verify(encoding, Secret(longer)) is False
    assert sizes == [511, 511]


@pytest.mark.parametrize("scheme", [*KEYS, "cram-md5"])
def test_d7_secret_with_a_nul_that_hmac_would_not_see_is_false(scheme: str) -> None:
    encoding = record(scheme, b"pw")
    for presented in (b"pw\0", b"pw\0\0", b"pw\0tail"):
        assert passwords.verify(encoding, Secret(presented)) is False
    if scheme in KEYS:
        with pytest.raises(SecretTooLong):
            passwords.make(scheme, Secret(b"pw\0"), elsewhere=True)


def test_d7_apr1_secret_with_a_nul_is_false() -> None:
    encoding = Encoding("apr1", libpass.apr_md5_crypt.hash(b"pw"))
    for presented in (b"pw\0", b"pw\0tail", b"\0"):
        assert passwords.verify(encoding, Secret(presented)) is False


@pytest.mark.parametrize("scheme", [*WHOLE, "apr1", "plain-md4"])
def test_empty_secret_is_as_wrong_as_any_other(scheme: str) -> None:
    decoy = passwords.decoy(next(profile for profile in PROFILES if profile.partition(" ")[0] == scheme))
    assert passwords.verify(decoy, Secret(b"")) is False
    for empty in ("", SCHEMES[scheme].sigils[0]):
        with pytest.raises(BrokenRecord):
            passwords.verify(Encoding(scheme, empty), Secret(b""))


@settings(max_examples=30)
@given(st.sampled_from(sorted(LIBPASS)), st.binary(max_size=80), st.binary(max_size=80))
def test_record_of_libpass_is_verified(scheme: str, secret: bytes, other: bytes) -> None:
    secret, other = (text.replace(b"\0", b"") for text in (secret, other))
    encoding = passwords.recognise(LIBPASS[scheme].hash(secret))
    assert encoding.scheme == scheme
    assert passwords.verify(encoding, Secret(secret)) is True
    assert passwords.verify(encoding, Secret(other)) is (other == secret)


@pytest.mark.parametrize("scheme", sorted(LIBPASS.keys() - {"apr1", "pbkdf2-sha256"}))
def test_record_of_ours_is_verified_by_libpass(scheme: str) -> None:
    text = record(scheme, b"secret").text
    assert LIBPASS[scheme].verify(b"secret", text.replace("{PBKDF2-SHA1}", "{PBKDF2}"))
    assert not LIBPASS[scheme].verify(b"Secret", text.replace("{PBKDF2-SHA1}", "{PBKDF2}"))


@given(st.binary(min_size=64, max_size=64))
def test_md5_of_a_block_is_that_of_hashlib(block: bytes) -> None:
    padding = b"\x80" + bytes(55) + (512).to_bytes(8, "little")
    assert cram_md5.compressed(cram_md5.compressed(cram_md5.START, block), padding) == hashlib.md5(block, usedforsecurity=False).digest()


@given(st.binary(max_size=150).filter(lambda secret: b"\0" not in secret), st.binary(max_size=55))
def test_states_of_cram_md5_are_those_of_hmac(secret: bytes, message: bytes) -> None:
    def ended(state: bytes, rest: bytes) -> bytes:
        return cram_md5.compressed(state, rest + b"\x80" + bytes(55 - len(rest)) + (512 + 8 * len(rest)).to_bytes(8, "little"))

    outer, inner = states(secret)[:16], states(secret)[16:]
    assert ended(outer, ended(inner, message)) == hmac.digest(secret, message, "md5")
    assert passwords.verify(passwords.recognise("{CRAM-MD5}" + (outer + inner).hex()), Secret(secret)) is True


@given(st.binary(min_size=1, max_size=40))
def test_password_in_clear_is_read_as_the_bytes_of_its_file(secret: bytes) -> None:
    encoding = passwords.recognise("{PLAIN}" + secret.decode(errors="surrogateescape"))
    assert encoding.scheme == "plain"
    assert encoding.text.isascii()
    assert passwords.verify(encoding, Secret(secret)) is True
    assert passwords.verify(encoding, Secret(secret + b"\0")) is False
    assert passwords.recognise("{CLEAR.hex}" + secret.hex()) == encoding


@pytest.mark.parametrize("profile", PROFILES)
def test_d6_decoy_costs_what_its_profile_says_and_matches_no_secret(profile: str) -> None:
    decoy = passwords.decoy(profile)
    assert passwords.cost(decoy).profile == profile
    assert passwords.recognise(decoy.text) == decoy
    assert decoy.text != passwords.decoy(profile).text
    for secret in (b"", b"x", b"x" * 600, b"\0", decoy.text.encode()):
        assert passwords.verify(decoy, Secret(secret)) is False


@pytest.mark.parametrize("scheme", KEYS)
def test_d6_decoy_does_the_rounds_of_a_record_once(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, int]] = []
    derive = hashlib.pbkdf2_hmac
    whole = record(scheme, b"pw")

    def counted(function: str, secret: bytes, salt: bytes, rounds: int) -> bytes:
        calls.append((function, rounds))
        return derive(function, secret, salt, rounds)

    monkeypatch.setattr(hashlib, "pbkdf2_hmac", counted)
    for encoding in (whole, passwords.decoy(passwords.cost(whole).profile)):
        assert passwords.verify(encoding, Secret(b"wrong")) is False
    assert calls[0] == calls[1]
    assert [rounds for _, rounds in calls] == [10, 10]


@pytest.mark.parametrize("scheme", [*DIGESTS, *KEYS, "cram-md5"])
def test_d6_decoy_is_as_long_as_a_record(scheme: str) -> None:
    whole = record(scheme, b"pw")
    assert len(passwords.decoy(passwords.cost(whole).profile).text) == len(whole.text)


@pytest.mark.parametrize(
    "profile", ["ssha rounds=1", "pbkdf2", "pbkdf2 rounds=0", "pbkdf2-sha256 rounds=10,salt=4", "scram-sha-1 rounds=3000000", "apr1 salt=9"]
)
def test_profile_that_no_record_has_has_no_decoy(profile: str) -> None:
    with pytest.raises(BrokenRecord):
        passwords.decoy(profile)


@pytest.mark.parametrize("name", ["SSHA", "SMD5", "SSHA256", "SSHA512"])
def test_salt_may_be_of_any_length_that_programs_take(name: str) -> None:
    function = {"SSHA": "sha1", "SMD5": "md5"}.get(name, name[1:].lower())
    for size in (1, 4, 8, 20, 128):
        salt = bytes(range(size))
        encoding = passwords.recognise(f"{{{name}.hex}}{hashlib.new(function, b'pw' + salt).hexdigest()}{salt.hex()}")
        assert passwords.verify(encoding, Secret(b"pw")) is True
        assert passwords.cost(encoding).profile == name.lower()
    with pytest.raises(BrokenRecord):
        passwords.recognise(f"{{{name}.hex}}{hashlib.new(function, b'pw').hexdigest()}{'00' * 129}")


@pytest.mark.parametrize("scheme", KEYS)
def test_salt_of_a_key_is_bounded(scheme: str) -> None:
    kind = SCHEMES[scheme]
    assert isinstance(kind, Pbkdf2)
    texts = [kind.sigils[0] + kind.write(b"s" * size, 10, b"k" * kind.size) for size in (128, 129)]
    assert passwords.cost(passwords.recognise(texts[0])).profile == f"{scheme} rounds=10"
    for broken in (lambda: passwords.recognise(texts[1]), lambda: passwords.cost(Encoding(scheme, texts[1]))):
        with pytest.raises(BrokenRecord):
            broken()


@pytest.mark.parametrize("scheme", [*DIGESTS, *KEYS, "plain", "cram-md5"])
def test_record_without_its_label_is_broken_whatever_the_store_calls_it(scheme: str) -> None:
    text = record(scheme, b"test").text.partition("}")[2]
    for encoding in (Encoding(scheme, text), Encoding(scheme, f"{{OTHER}}{text}")):
        for secret in (b"test", text.encode()):
            with pytest.raises(BrokenRecord, match=f"^malformed {scheme} record$"):
                passwords.verify(encoding, Secret(secret))


def test_scram_record_whose_server_key_is_another_still_proves_the_password() -> None:
    """The ServerKey proves the server to a client; a secret that is presented is judged by the StoredKey alone."""
    start, _, _ = record("scram-sha-1", b"pw").text.rpartition(",")
    encoding = Encoding("scram-sha-1", f"{start},{'A' * 27}=")
    assert passwords.verify(encoding, Secret(b"pw")) is True
    assert passwords.verify(encoding, Secret(b"wrong")) is False


def test_rehash_is_due_for_every_scheme_that_is_verified_only() -> None:
    for name in SCHEMES.keys() - set(passwords.makeable()):
        assert passwords.needs_rehash(Encoding(name, "whatever"), passwords.DEFAULT_SCHEME)


def test_apr1_that_libpass_refuses_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: object) -> bool:
        raise ValueError("with the record in it")

    monkeypatch.setattr(libpass.apr_md5_crypt, "verify", refusing)
    with pytest.raises(BrokenRecord, match=r"^libpass refuses the record: ValueError$"):
        passwords.verify(passwords.decoy("apr1"), Secret(b"x"))


def test_shortest_salt_of_apr1_is_verified() -> None:
    assert passwords.verify(Encoding("apr1", f"$apr1$${libcrypt.ALPHABET[0] * 22}"), Secret(b"x")) is False
