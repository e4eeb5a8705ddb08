"""The real `doveadm pw`: what it makes we verify, and what we make it verifies."""

from __future__ import annotations

import functools
import subprocess

import pytest

from saslauthd_py import passwords
from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.secret import Secret
from tests.interop.waiting import PATIENCE

pytestmark = pytest.mark.peer("doveadm")

REFUSED = {"PLAIN-TRUNC", "OTP", "DIGEST-MD5"}
"""What it makes and we do not verify, for a reason each."""
SHORT = {"DES-CRYPT": 8, "BLF-CRYPT": 72, "CRYPT": 72}
"""Bytes that are looked at."""
SECRETS = ["test", "pä ß€", " 'q\"\\$`", "a passphrase of words, longer than a block of any digest that takes part here " * 3]


def pw(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["doveadm", "pw", *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False)


def made(scheme: str, secret: str) -> str:
    done = pw("-s", scheme, "-u", "alice@example.test", "-p", secret)
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip("\n")


@functools.cache
def schemes() -> frozenset[str]:
    """All that this Dovecot has."""
    return frozenset(pw("-l").stdout.split())


def test_every_scheme_of_this_dovecot_is_verified_or_refused_with_a_reason() -> None:
    assert {"CRYPT", "SSHA512", "PBKDF2", "SCRAM-SHA-256", "CRAM-MD5"} <= schemes()
    for scheme in schemes():
        text = made(scheme, "test")
        if scheme in REFUSED:
            with pytest.raises(BrokenRecord, match=f"^scheme {scheme} is not verified: "):
                passwords.recognise(text)
            continue
        encoding = passwords.recognise(text)
        assert passwords.verify(encoding, Secret(b"test")) is True, scheme
        assert passwords.verify(encoding, Secret(b"tesT")) is False, scheme


@pytest.mark.parametrize(("coding", "secret"), [*(("", secret) for secret in SECRETS), (".b64", SECRETS[1]), (".hex", SECRETS[1])])
def test_what_it_makes_in_any_coding_is_verified(coding: str, secret: str) -> None:
    raw = secret.encode()
    for scheme in schemes() - REFUSED:
        cut = len(raw) > SHORT.get(scheme, len(raw))
        encoding = passwords.recognise(made(scheme + coding, secret))
        assert passwords.verify(encoding, Secret(raw)) is not cut, scheme
        assert passwords.verify(encoding, Secret(raw + b"x")) is False, scheme


@pytest.mark.parametrize("secret", ["test", "pä ß€"])
@pytest.mark.parametrize("scheme", passwords.makeable(elsewhere=True))
def test_what_we_make_is_verified_by_it(scheme: str, secret: str) -> None:
    text = passwords.labelled(passwords.make(scheme, Secret(secret.encode()), elsewhere=True))
    right, wrong = pw("-t", text, "-p", secret), pw("-t", text, "-p", secret + "x")
    if text[1:].partition("}")[0] not in schemes():
        assert scheme in {"pbkdf2-sha512", "pbkdf2-sha256", "pbkdf2-sha1"}  # LDAP's
        assert right.returncode != 0
        return
    assert right.returncode == 0, right.stderr
    assert "(verified)" in right.stdout
    assert wrong.returncode != 0
    assert "Password mismatch" in wrong.stderr
