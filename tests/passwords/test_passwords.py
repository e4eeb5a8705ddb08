"""Encodings verified, made, recognised and weighed, by every scheme of the table."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from saslauthd_py import passwords
from saslauthd_py.credential import Encoding
from saslauthd_py.passwords import SCHEMES, BrokenRecord, UnknownScheme
from saslauthd_py.secret import Secret
from tests.passwords.password_vectors import CHEAP, NO_RECORDS, SPELLINGS, VECTORS, Vector

every_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.text[:20])
every_makeable = pytest.mark.parametrize("scheme", passwords.makeable())
FOR_ELSEWHERE = tuple(name for name in passwords.makeable(elsewhere=True) if name not in passwords.makeable())
RIGHT, WRONG = Secret(b"tanstaaftanstaaf"), Secret(b"tanstaaftanstaaF")


def encoded(vector: Vector) -> Encoding:
    return Encoding(vector.scheme, vector.text)


def test_every_scheme_has_a_foreign_record() -> None:
    assert {vector.scheme for vector in VECTORS} == set(SCHEMES)
    assert [scheme.name for scheme in SCHEMES.values()] == list(SCHEMES)


@every_vector
def test_record_of_another_program_is_verified(vector: Vector) -> None:
    assert passwords.verify(encoded(vector), Secret(vector.secret.encode())) is True
    assert passwords.verify(encoded(vector), Secret(vector.secret[:-1].encode() + b"~")) is False


@every_vector
def test_record_of_another_program_is_recognised_and_weighed(vector: Vector) -> None:
    assert passwords.recognise(vector.text) == encoded(vector)
    assert passwords.cost(encoded(vector)).profile == vector.profile


@every_makeable
def test_new_record_matches_its_secret_alone_and_is_never_twice_the_same(scheme: str) -> None:
    new = passwords.make(scheme, RIGHT)
    assert new.scheme == scheme
    assert passwords.verify(new, RIGHT) is True
    assert passwords.verify(new, WRONG) is False
    assert passwords.verify(new, Secret(b"")) is False
    assert passwords.make(scheme, RIGHT).text != new.text
    assert passwords.recognise(new.text) == new
    assert passwords.cost(new) == passwords.cost_to_make(scheme)


def test_makeable_schemes_begin_with_the_default_and_leave_out_the_weak() -> None:
    assert passwords.makeable() == ("argon2id", "yescrypt", "gost-yescrypt", "scrypt", "bcrypt", "sha512crypt", "sha256crypt")
    assert passwords.DEFAULT_SCHEME == "argon2id"
    assert passwords.cost_to_make("argon2id").profile == "argon2id m=19456,t=2,p=1"
    assert passwords.cost_to_make("argon2id").memory == 19456 * 1024


@pytest.mark.parametrize("scheme", FOR_ELSEWHERE)
def test_record_for_another_program_is_made_when_asked_for_and_only_then(scheme: str) -> None:
    new = passwords.make(scheme, RIGHT, elsewhere=True)
    assert passwords.verify(new, RIGHT) is True
    assert passwords.verify(new, WRONG) is False
    assert passwords.make(scheme, RIGHT, elsewhere=True).text != new.text
    assert passwords.recognise(new.text) == new
    assert passwords.cost(new) == passwords.cost_to_make(scheme, elsewhere=True)
    for refused in (lambda: passwords.make(scheme, RIGHT), lambda: passwords.needs_rehash(new, scheme)):
        with pytest.raises(
            UnknownScheme, match=f"^made for other programs only, by `saslauthd-py hash`, is scheme '{scheme}': choose one of "
        ):
            refused()
    assert all(passwords.needs_rehash(new, better) for better in passwords.makeable())


def test_schemes_made_for_other_programs_are_those_that_are_hard_to_guess_or_widely_wanted() -> None:
    pbkdf2 = ("pbkdf2-sha512", "pbkdf2-sha256", "pbkdf2-sha1", "pbkdf2")
    assert (*pbkdf2, "scram-sha-256", "scram-sha-1", "ssha512", "ssha256") == FOR_ELSEWHERE
    assert passwords.makeable(elsewhere=True)[0] == passwords.DEFAULT_SCHEME


@pytest.mark.parametrize("scheme", ["md5", "ssha", "sha512", "plain", "cram-md5", "plain-md4", "apr1", "md5crypt", "nt", "descrypt", ""])
def test_weak_scheme_is_made_for_nobody(scheme: str) -> None:
    with pytest.raises(UnknownScheme, match=r"^[^\n]*argon2id, yescrypt[^\n]*scram-sha-256"):
        passwords.make(scheme, RIGHT, elsewhere=True)


@pytest.mark.parametrize("name", ["nonsense", "", "md5crypt", "argon2i", "descrypt", "nt", "ssha", "plain"])
def test_what_cannot_be_made_is_refused_with_what_can(name: str) -> None:
    with pytest.raises(UnknownScheme, match=r"^[^\n]*argon2id, yescrypt"):
        passwords.make(name, RIGHT)
    with pytest.raises(UnknownScheme):
        passwords.cost_to_make(name)
    with pytest.raises(UnknownScheme):
        passwords.needs_rehash(Encoding("argon2id", ""), name)


@pytest.mark.parametrize("vector", [vector for vector in CHEAP if vector.text[0] != "{"], ids=lambda vector: vector.scheme)
def test_labels_of_other_programs_are_understood(vector: Vector) -> None:
    labels = SCHEMES[vector.scheme].labels
    assert {"CRYPT", "ARGON2", "APR1"}.intersection(labels)
    for label in (*labels, vector.scheme):
        assert passwords.recognise(f"{{{label.upper()}}}{vector.text}") == encoded(vector)
        assert passwords.recognise(f"{{{label.lower()}}}{vector.text}") == encoded(vector)


@pytest.mark.parametrize(("text", "scheme"), SPELLINGS, ids=lambda text: text[:24])
def test_record_spelt_otherwise_is_recognised_in_the_form_it_has_here(text: str, scheme: str) -> None:
    encoding = passwords.recognise(text)
    assert encoding.scheme == scheme
    assert encoding.text.isascii()
    assert passwords.recognise(encoding.text) == encoding
    assert passwords.verify(encoding, Secret(b"test")) is True
    assert passwords.verify(encoding, Secret(b"tesT")) is False


@every_vector
def test_record_of_a_label_is_recognised_whatever_its_case_and_with_its_label_once(vector: Vector) -> None:
    text = passwords.labelled(encoded(vector))
    label, _, body = text[1:].partition("}")
    assert vector.text in (text, body)
    for spelt in (label, label.lower(), label.title()):
        assert passwords.recognise(f"{{{spelt}}}{body}") == encoded(vector)


def test_label_of_a_scheme_is_the_one_that_dovecot_and_ldap_call_it_by() -> None:
    labels = {name: passwords.labelled(Encoding(name, "x")) for name in ("argon2id", "yescrypt", "bcrypt", "sha512crypt", "md5crypt")}
    assert labels == {
        "argon2id": "{ARGON2ID}x",
        "yescrypt": "{CRYPT}x",
        "bcrypt": "{BLF-CRYPT}x",
        "sha512crypt": "{SHA512-CRYPT}x",
        "md5crypt": "{MD5-CRYPT}x",
    }
    assert passwords.labelled(Encoding("ssha", "{SSHA}x")) == "{SSHA}x"
    with pytest.raises(BrokenRecord, match=r"^unknown scheme 'foo'$"):
        passwords.labelled(Encoding("foo", "x"))


@pytest.mark.parametrize(
    ("label", "scheme"),
    [
        ("BLF-CRYPT", "bcrypt"),
        ("SHA512-CRYPT", "sha512crypt"),
        ("SHA256-CRYPT", "sha256crypt"),
        ("MD5-CRYPT", "md5crypt"),
        ("DES-CRYPT", "descrypt"),
        ("ARGON2ID", "argon2id"),
        ("ARGON2I", "argon2i"),
    ],
)
def test_dovecot_label_names_its_scheme_and_no_other(label: str, scheme: str) -> None:
    for vector in CHEAP:
        if vector.scheme == scheme:
            assert passwords.recognise(f"{{{label}}}{vector.text}").scheme == scheme
        else:
            with pytest.raises(BrokenRecord):
                passwords.recognise(f"{{{label}}}{vector.text}")


@pytest.mark.parametrize("text", NO_RECORDS)
def test_what_is_no_record_is_not_recognised(text: str) -> None:
    with pytest.raises(BrokenRecord):
        passwords.recognise(text)


@pytest.mark.parametrize("scheme", [*SCHEMES, "foo"])
@pytest.mark.parametrize("text", ["", "*", "!", "\0", "ü", "$6$", "{SSHA}x"])
def test_empty_or_malformed_text_matches_no_secret(scheme: str, text: str) -> None:
    broken = Encoding(scheme, text)
    for secret in (b"", text.encode(), b"x"):
        with pytest.raises(BrokenRecord):
            passwords.verify(broken, Secret(secret))
    with pytest.raises(BrokenRecord):
        passwords.cost(broken)


@every_vector
def test_record_under_another_schemes_name_is_broken(vector: Vector) -> None:
    for scheme in SCHEMES.keys() - {vector.scheme}:
        with pytest.raises(BrokenRecord, match=f"^malformed {scheme} record$"):
            passwords.verify(Encoding(scheme, vector.text), Secret(vector.secret.encode()))


def test_broken_record_says_what_and_never_the_record() -> None:
    with pytest.raises(BrokenRecord, match=r"^unknown scheme 'foo'$"):
        passwords.verify(Encoding("foo", "hidden"), RIGHT)
    with pytest.raises(BrokenRecord, match=r"^malformed sha512crypt record$"):
        passwords.verify(Encoding("sha512crypt", "$6$hidden$"), RIGHT)
    with pytest.raises(BrokenRecord, match=r"^empty password record$"):
        passwords.verify(Encoding("sha512crypt", ""), RIGHT)
    with pytest.raises(BrokenRecord, match=r"^unknown scheme 'a\\nb"):
        passwords.verify(Encoding("a\nb" * 100, "hidden"), RIGHT)


@pytest.mark.parametrize(
    ("scheme", "text", "reason"),
    [
        ("yescrypt", "$y$j9T$zz$" + "z" * 43, "libcrypt refuses the record: Invalid argument"),  # a salt that is no whole bytes
        ("argon2id", "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAB$" + "A" * 43, "libargon2 refuses the record: "),  # stray bits in the salt
    ],
)
def test_record_that_the_hash_function_refuses_is_broken(scheme: str, text: str, reason: str) -> None:
    with pytest.raises(BrokenRecord, match=f"^{reason}"):
        passwords.verify(Encoding(scheme, text), RIGHT)


@every_makeable
def test_rehash_is_due_for_another_scheme_and_not_for_the_same(scheme: str) -> None:
    new = passwords.make(scheme, RIGHT)
    assert not passwords.needs_rehash(new, scheme)
    for other in set(passwords.makeable()) - {scheme}:
        assert passwords.needs_rehash(new, other)
    assert passwords.needs_rehash(Encoding("foo", "of a scheme that we do not know"), scheme)


@pytest.mark.parametrize(
    ("profile", "due"),
    [
        ("argon2id m=19456,t=2,p=1", False),
        ("argon2id m=65536,t=3,p=4", False),
        ("argon2id m=19456,t=1,p=1", True),
        ("argon2id m=19455,t=3,p=1", True),
        ("argon2id m=8,t=20000,p=1", True),
        ("yescrypt N=4096,r=32", False),
        ("yescrypt N=4096,r=32,t=2", False),
        ("yescrypt N=2048,r=32", True),
        ("yescrypt N=2048,r=32,t=4", True),
        ("gost-yescrypt N=1024,r=8", True),
        ("scrypt N=16384,r=32,p=2", False),
        ("scrypt N=16384,r=8,p=1", True),
        ("bcrypt cost=10", False),
        ("bcrypt cost=12", False),
        ("bcrypt cost=9", True),
        ("sha512crypt rounds=100000", False),
        ("sha512crypt rounds=100000,salt=8", False),
        ("sha512crypt rounds=5000", True),
        ("sha256crypt rounds=99999", True),
    ],
)
def test_rehash_is_due_for_what_is_cheaper_in_time_or_memory(profile: str, due: bool) -> None:
    encoding = passwords.decoy(profile)
    assert passwords.needs_rehash(encoding, encoding.scheme) is due


@pytest.mark.parametrize(
    ("profile", "now", "then"),
    [
        ("bcrypt cost=12", "$2b$", "$2x$"),
        ("bcrypt cost=12", "$2b$", "$2a$"),
        ("argon2id m=65536,t=3,p=1", "v=19$", "v=16$"),
        ("argon2id m=65536,t=3,p=1", "v=19$", ""),
    ],
)
def test_rehash_is_due_for_an_older_form(profile: str, now: str, then: str) -> None:
    encoding = passwords.recognise(passwords.decoy(profile).text.replace(now, then))
    assert passwords.needs_rehash(encoding, encoding.scheme)


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("PLAIN-TRUNC", "it lets whoever knows the beginning in"),
        ("Lanman", "it is blind to case"),
        ("DIGEST-MD5", "it holds a name beside the password"),
        ("OTP", "it is for one-time passwords"),
        ("SASL", "it names another system"),
    ],
)
def test_d7_scheme_that_would_accept_another_secret_or_none_is_refused_with_the_reason(label: str, why: str) -> None:
    for coding in ("", ".b64"):
        with pytest.raises(BrokenRecord, match=f"^scheme {label.upper()} is not verified: {why}"):
            passwords.recognise(f"{{{label}{coding}}}4-test")


def test_recognised_record_that_is_malformed_says_of_which_label() -> None:
    with pytest.raises(BrokenRecord, match=r"^malformed SSHA record$"):
        passwords.recognise("{ssha.hex}hidden")
    with pytest.raises(BrokenRecord, match=r"^unknown scheme 'FO\\u0415O\\n'$"):
        passwords.recognise("{fo\u0435o\n}hidden")
    with pytest.raises(BrokenRecord, match=r"^empty password record$"):
        passwords.recognise("{ssha}")


def test_records_are_verified_side_by_side() -> None:
    cheap = [vector for vector in CHEAP if vector.scheme in {"md5crypt", "descrypt", "nt", "bsdicrypt", "bcrypt", "argon2i"}]
    tries = [(vector, right) for _ in range(25) for vector in cheap for right in (True, False)]

    def verified(case: tuple[Vector, bool]) -> bool:
        vector, right = case
        return passwords.verify(encoded(vector), Secret((vector.secret if right else "wrong").encode()))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(verified, tries)) == [right for _, right in tries]


AFTER_PRELOAD = """
import sys
from saslauthd_py import passwords
from saslauthd_py.secret import Secret
passwords.preload()
seen = []
sys.addaudithook(lambda event, arguments: seen.append((event, arguments)) if event in {"import", "open", "ctypes.dlopen"} else None)
for scheme in passwords.makeable(elsewhere=True):
    assert passwords.verify(passwords.make(scheme, Secret(b"x"), elsewhere=True), Secret(b"x"))
for profile in ("argon2i m=8,t=1,p=1", "apr1", "plain-md4", "cram-md5", "sha384", "md5", "nt", "plain"):
    assert not passwords.verify(passwords.decoy(profile), Secret(b"x"))
assert not seen, seen
"""


def test_a2_nothing_is_imported_or_opened_after_preload() -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", AFTER_PRELOAD], check=True)


def test_importing_the_table_loads_neither_argon2_nor_libpass_nor_libcrypt() -> None:
    code = (
        "import sys, saslauthd_py.passwords; assert sys.modules.keys().isdisjoint({'argon2', 'passlib'})\n"
        "assert 'libcrypt.so' not in open('/proc/self/maps').read()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
