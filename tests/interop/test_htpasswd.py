"""The real htpasswd: each kind of line that it makes, but the one in clear; and it checks what we make."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from saslauthd_py import passwords
from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.secret import Secret
from tests.interop.waiting import PATIENCE

pytestmark = pytest.mark.peer("htpasswd")


def field(kind: str, secret: str) -> str:
    command = ["htpasswd", "-nb" + kind, "alice", secret]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    return done.stdout.strip().removeprefix("alice:")


@pytest.mark.parametrize(
    ("kind", "scheme"), [("m", "apr1"), ("s", "sha"), ("B", "bcrypt"), ("d", "descrypt"), ("2", "sha256crypt"), ("5", "sha512crypt")]
)
@pytest.mark.parametrize("secret", ["test", "pass $w", "pä ß€", "a passphrase of words " * 5])
def test_what_it_makes_is_verified(kind: str, scheme: str, secret: str) -> None:
    raw = secret.encode()
    encoding = passwords.recognise(field(kind, secret))
    assert encoding.scheme == scheme
    assert passwords.verify(encoding, Secret(raw)) is (len(raw) <= passwords.SCHEMES[scheme].longest)  # over it htpasswd has cut it
    assert passwords.verify(encoding, Secret(raw + b"x")) is False


def test_password_that_it_leaves_in_clear_is_no_record() -> None:
    assert field("p", "test") == "test"
    with pytest.raises(BrokenRecord):
        passwords.recognise("test")


@pytest.mark.parametrize("scheme", ["bcrypt", "sha512crypt", "sha256crypt"])
def test_what_we_make_is_verified_by_it(scheme: str, tmp_path: Path) -> None:
    (tmp_path / "users").write_text(f"alice:{passwords.make(scheme, Secret(b'secret')).text}\n")
    for secret, code in (("secret", 0), ("Secret", 3)):
        command = ["htpasswd", "-vb", str(tmp_path / "users"), "alice", secret]
        assert subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False).returncode == code
