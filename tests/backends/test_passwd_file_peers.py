"""What the real htpasswd and doveadm write, as a password file; and where they and we must agree on who may log in."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from saslauthd_py.identity import Identity
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable
from tests.backends.passwd_files import ask, backend, written
from tests.interop.waiting import PATIENCE

ALICE = Identity("alice")

CRYPT = ("CRYPT", "SHA512-CRYPT", "SHA256-CRYPT", "BLF-CRYPT", "MD5-CRYPT", "ARGON2ID")
DIGESTS = ("SSHA", "SSHA256", "SSHA512", "SHA1", "PBKDF2", "SCRAM-SHA-256", "SSHA512.HEX", "SHA256.B64", "PLAIN", "PLAIN-MD5")


def run(*command: str) -> str:
    program = shutil.which(command[0])
    assert program
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=PATIENCE, check=True)
    return done.stdout.strip()


@pytest.mark.peer("htpasswd")
@pytest.mark.parametrize("kind", ["m", "B", "s", "d", "2", "5"])
@pytest.mark.parametrize("form", ["auto", "htpasswd"])
async def test_file_of_htpasswd(tmp_path: Path, kind: str, form: str) -> None:
    path = tmp_path / "users"
    run("htpasswd", "-cb" + kind, str(path), "alice", "secret1")
    run("htpasswd", "-b" + kind, str(path), "bob@example.test", "secret2")
    path.chmod(0o640)
    async with backend(path, format=form) as it:
        assert await ask(it, "secret1", ALICE) == Accepted(ALICE)
        assert await ask(it, "secret2", ALICE) == Rejected(Reason.WRONG_SECRET)
        bob = Identity("bob", "example.test")
        assert await ask(it, "secret2", bob) == Accepted(bob)


@pytest.mark.peer("htpasswd")
async def test_d8_password_that_htpasswd_left_in_clear_is_never_accepted(tmp_path: Path) -> None:
    path = tmp_path / "users"
    run("htpasswd", "-cbp", str(path), "alice", "secret")
    async with backend(path) as it:
        assert isinstance(await ask(it, "secret", ALICE), Unavailable)


@pytest.mark.peer("doveadm")
@pytest.mark.parametrize("scheme", CRYPT + DIGESTS)
async def test_file_with_hashes_of_doveadm(tmp_path: Path, scheme: str) -> None:
    hashed = run("doveadm", "pw", "-s", scheme, "-p", "secret", "-u", "alice")
    path = written(tmp_path / "users", f"alice:{hashed}:1000:1000::/mail/alice::userdb_mail=maildir:~/Mail\n", "bob:x\n")
    for form in ("auto", "dovecot"):
        async with backend(path, format=form) as it:
            assert await ask(it, "secret", ALICE) == Accepted(ALICE)
            assert await ask(it, "Secret", ALICE) == Rejected(Reason.WRONG_SECRET)
