"""The files of a private slapd: its certificates, its configuration, and its database with the tree in it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.interop import directory_tree as tree
from tests.interop.waiting import PATIENCE

ADDRESS = "127.0.0.1"
"""What its certificate holds for, beside `localhost` and the machine's own name."""

_USER = "openldap"
_LOADER = "/usr/sbin/slapadd"

_CONFIGURATION = """\
{schemata}
modulepath /usr/lib/ldap
{modules}
TLSCACertificateFile {directory}/ca.pem
TLSCertificateFile {directory}/server.pem
TLSCertificateKeyFile {directory}/server.key
TLSVerifyClient never
authz-regexp ".*,cn=peercred,cn=external,cn=auth" "{service}"
{settings}
database mdb
maxsize 268435456
suffix {base}
rootdn {admin}
rootpw {password}
directory {directory}/database
index objectClass,uid,mail,member,uniqueMember,memberUid eq
dbnosync
access to attrs=userPassword by anonymous auth by self write by * none
access to * by users read by anonymous auth by * none
overlay dynlist
dynlist-attrset groupOfURLs memberURL member+memberOf@groupOfNames*
overlay ppolicy
"""
_SCHEMATA = ("core", "cosine", "nis", "inetorgperson", "dyngroup")
_MODULES = ("back_mdb", "argon2", "pw-sha2", "dynlist", "ppolicy")

_CERTIFICATES = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
"""


def write(directory: Path, users: int, settings: Sequence[str]) -> None:
    """Everything that slapd needs in `directory`, with so many numbered people. AssertionError: slapd refuses one of the `settings`."""
    _make_certificates(directory)
    _load(directory, users, settings)


def user() -> str | None:
    """The package's own, where root starts it: a slapd that was never root can remove its socket when it ends."""
    return _USER if os.geteuid() == 0 else None


def _load(directory: Path, users: int, settings: Sequence[str]) -> None:
    """slapd.conf and the database, all of it slapd's own."""
    text = _CONFIGURATION.format(
        schemata="\n".join(f"include /etc/ldap/schema/{name}.schema" for name in _SCHEMATA),
        modules="\n".join(f"moduleload {name}" for name in _MODULES),
        settings="\n".join(settings),
        directory=directory,
        service=tree.SERVICE,
        base=tree.BASE,
        admin=tree.ADMIN,
        password=tree.ADMIN_PASSWORD,
    )
    configuration = directory / "slapd.conf"
    configuration.write_text(text)
    configuration.chmod(0o600)
    (directory / "database").mkdir(mode=0o700)
    if os.geteuid() == 0:
        for path in (directory, directory / "database", directory / "server.key", configuration):
            shutil.chown(path, _USER, _USER)
    loaded = subprocess.run(
        [_LOADER, "-q", "-f", str(configuration)],
        user=user(),
        group=user(),
        extra_groups=[] if user() else None,
        cwd="/",
        input="".join(tree.ldif(users)).encode(),
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr.decode(errors="replace")


def _make_certificates(directory: Path) -> None:
    """A CA and a certificate of its for the server, with host and IP names; and a CA that has nothing to do with it."""
    names = ",".join(f"DNS:{name}" for name in dict.fromkeys(("localhost", socket.gethostname()))) + f",IP:{ADDRESS}"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    for name, out, more in (
        ("CA of the tests", "ca", ["-extensions", "authority"]),
        ("another CA", "other-ca", ["-extensions", "authority"]),
        ("slapd", "server", ["-extensions", "server", "-CA", str(directory / "ca.pem"), "-CAkey", str(directory / "ca.key")]),
    ):
        files = ["-config", "/dev/stdin", "-keyout", str(directory / f"{out}.key"), "-out", str(directory / f"{out}.pem")]
        subprocess.run(
            ["openssl", "req", "-x509", *key, *more, *files],
            input=_CERTIFICATES.format(name=name, names=names).encode(),
            check=True,
            capture_output=True,
            timeout=PATIENCE,
        )
