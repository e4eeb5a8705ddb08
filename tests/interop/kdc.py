"""A private real KDC (MIT): its own realm, database, port on loopback and keytab, and what can happen to such a server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import SEARCH_PATH
from tests.interop.addresses import free_ports, listens
from tests.interop.server import Server
from tests.interop.waiting import PATIENCE

REALM = "TEST.INVALID"
SERVICE = "host/mx.test"
SYSTEM_PACKAGES = Path("/usr/lib/python3/dist-packages")

_KRB5 = """\
[libdefaults]
default_realm = {realm}
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
rdns = false
udp_preference_limit = 1
[realms]
{realm} = {{
 kdc = 127.0.0.1:{port}
}}
[domain_realm]
.test = {realm}
"""

_KDC = """\
[kdcdefaults]
kdc_listen = 127.0.0.1:{port}
kdc_tcp_listen = 127.0.0.1:{port}
[realms]
{realm} = {{
 database_name = {directory}/principal
 key_stash_file = {directory}/stash
 acl_file = {directory}/kadm5.acl
 supported_enctypes = aes256-cts-hmac-sha1-96:normal
 master_key_type = aes256-cts-hmac-sha1-96
}}
[logging]
kdc = FILE:{directory}/kdc.log
"""


class Kdc(Server):
    """Files below `directory`; a server on the same port whenever it runs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (self.port,) = free_ports(1)
        command = ["krb5kdc", "-n", "-r", REALM, "-P", str(directory / "kdc.pid")]
        super().__init__(command, lambda: listens(self.port), [directory / "kdc.out"], self.variables)

    @property
    def keytab(self) -> Path:
        return self.directory / "keytab"

    @property
    def configuration(self) -> Path:
        return self.directory / "krb5.conf"

    @property
    def variables(self) -> Mapping[str, str]:
        """For the tools and the server; clients need KRB5_CONFIG alone."""
        return {"KRB5_CONFIG": str(self.configuration), "KRB5_KDC_PROFILE": str(self.directory / "kdc.conf"), "PATH": SEARCH_PATH}

    def furnish(self) -> None:
        """A realm with the service and its keytab, and nobody else."""
        words = {"realm": REALM, "port": self.port, "directory": self.directory}
        self.configuration.write_text(_KRB5.format(**words))
        (self.directory / "kdc.conf").write_text(_KDC.format(**words))
        self._run("kdb5_util", "create", "-s", "-r", REALM, "-P", "master")
        self.admin(f"addprinc -randkey {SERVICE}", f"ktadd -k {self.keytab} {SERVICE}")
        self.keytab.chmod(0o644)  # a test's user must read it, whoever that is

    def admin(self, *commands: str) -> None:
        """kadmin.local's own commands."""
        said = self._run("kadmin.local", "-r", REALM, stdin="".join(f"{command}\n" for command in commands))
        assert "while" not in said, said  # com_err(3): "... while creating ..."

    def _run(self, program: str, *arguments: str, stdin: str = "") -> str:
        path = shutil.which(program, path=SEARCH_PATH)
        assert path is not None
        command, variables = [path, *arguments], {**os.environ, **self.variables, "LC_ALL": "C"}
        done = subprocess.run(command, env=variables, input=stdin, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr


@contextmanager
def kdc(directory: Path) -> Iterator[Kdc]:
    """A new one in an empty directory of its own, running; stopped at the end."""
    made = Kdc(directory)
    made.furnish()
    with made.serving():
        yield made


def system_gssapi(directory: Path) -> Path:
    """A directory for `sys.path` with python-gssapi as the system has it, and nothing else of the system's."""
    for name in ("gssapi", "decorator.py"):
        (directory / name).symlink_to(SYSTEM_PACKAGES / name)
    built = [path.name for path in (SYSTEM_PACKAGES / "gssapi" / "raw").glob("creds.*.so")]
    assert any(sys.implementation.cache_tag in name for name in built), f"the system's gssapi is for another Python: {built}"
    return directory
