"""The real slappasswd and slapd with their password modules: what the one makes we verify, and what we make the other verifies."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from saslauthd_py import passwords
from saslauthd_py.secret import Secret
from tests.interop.addresses import listens
from tests.interop.server import Server
from tests.interop.waiting import PATIENCE

pytestmark = pytest.mark.peer("slapd")

MODULES = {
    "": ["SSHA", "SHA", "SMD5", "MD5", "CRYPT"],
    "pw-sha2": ["SSHA256", "SHA256", "SSHA384", "SHA384", "SSHA512", "SHA512"],
    "pw-pbkdf2": ["PBKDF2", "PBKDF2-SHA1", "PBKDF2-SHA256", "PBKDF2-SHA512"],
    "pw-apr1": ["APR1", "BSDMD5"],
    "argon2": ["ARGON2"],
}
"""Its schemes, by the module that brings them."""
SECRET = "pä ß€"


def written(scheme: str) -> str:
    """A record of SECRET with a label that OpenLDAP knows."""
    encoding = passwords.make(scheme, Secret(SECRET.encode()), elsewhere=True)
    label = "" if encoding.text.startswith("{") else "{ARGON2}" if scheme == "argon2id" else "{CRYPT}"
    return label + encoding.text


def slappasswd(scheme: str, module: str, secret: str) -> str:
    modules = ["-o", "module-path=/usr/lib/ldap", "-o", f"module-load={module}"] if module else []
    kind = ["-c", "$6$rounds=6000$%.16s"] if scheme == "CRYPT" else ["-h", f"{{{scheme}}}"]
    command = ["/usr/sbin/slappasswd", *modules, *kind, "-n", "-s", secret]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout


@contextmanager
def slapd(records: Mapping[str, str]) -> Iterator[str]:
    """A slapd with an empty database for each record, whose root's password it is; gives its address."""
    directory = Path(tempfile.mkdtemp(prefix="saslauthd-py-slapd-"))
    modules = [f"moduleload {module}" for module in ("back_null", *filter(None, MODULES))]
    databases = [
        line
        for name, record in records.items()
        for line in ("database null", f'suffix "cn={name}"', f'rootdn "cn=root,cn={name}"', f'rootpw "{record}"')
    ]
    (directory / "slapd.conf").write_text("\n".join(["modulepath /usr/lib/ldap", *modules, f"pidfile {directory}/pid", *databases, ""]))
    address = f"ldapi://{str(directory / 'ldapi').replace('/', '%2F')}"
    command = ["/usr/sbin/slapd", "-d", "0", "-h", address, "-f", str(directory / "slapd.conf")]
    try:
        with Server(command, lambda: listens(directory / "ldapi"), [directory / "log"]).serving():
            yield address
    finally:
        shutil.rmtree(directory)


def bound(address: str, name: str, secret: str) -> int:
    command = ["ldapwhoami", "-x", "-H", address, "-D", f"cn=root,cn={name}", "-w", secret]
    return subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False).returncode


@pytest.mark.parametrize(("scheme", "module"), [(scheme, module) for module, schemes in MODULES.items() for scheme in schemes])
def test_what_slappasswd_makes_is_verified(scheme: str, module: str) -> None:
    for secret in ("test", SECRET, "a long passphrase " * 10):
        encoding = passwords.recognise(slappasswd(scheme, module, secret))
        assert passwords.verify(encoding, Secret(secret.encode())) is True
        assert passwords.verify(encoding, Secret(secret.encode() + b"x")) is False


def test_what_we_make_is_verified_by_slapd() -> None:
    names = [name for name in passwords.makeable(elsewhere=True) if name not in {"pbkdf2", "scram-sha-256", "scram-sha-1"}]  # Dovecot's
    with slapd({name: written(name) for name in names}) as address:
        for name in names:
            assert bound(address, name, SECRET) == 0, name
            assert bound(address, name, SECRET + "x") == 49, name  # invalidCredentials
