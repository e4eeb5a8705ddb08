"""A private real KDC (MIT): its own realm, database, port on loopback and keytab, and what can happen to such a server."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import SEARCH_PATH
from tests.interop.waiting import PATIENCE, until

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


@dataclass(eq=False)
class Kdc:
    """Files below `directory`; a server on the same port whenever it runs."""

    directory: Path
    port: int
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

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

    def start(self) -> None:
        """Returns when it answers."""
        command = ["krb5kdc", "-n", "-r", REALM, "-P", str(self.directory / "kdc.pid")]
        with (self.directory / "kdc.out").open("ab") as out:
            self._process = subprocess.Popen(command, env=dict(self.variables), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        until(self._answers, "the KDC listens")

    def stop(self) -> None:
        """Its port refuses connections."""
        if self._process is not None:
            self._process.terminate()
            self._process.send_signal(signal.SIGCONT)
            self._process.wait(PATIENCE)
            self._process = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Until the end of the block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The kernel takes connections for it, and nobody answers, until the end of the block."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.directory / "kdc.out").read_text()
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        made = Kdc(directory, free.getsockname()[1])
    made.furnish()
    made.start()
    try:
        yield made
    finally:
        made.stop()


def system_gssapi(directory: Path) -> Path:
    """A directory for `sys.path` with python-gssapi as the system has it, and nothing else of the system's."""
    for name in ("gssapi", "decorator.py"):
        (directory / name).symlink_to(SYSTEM_PACKAGES / name)
    built = [path.name for path in (SYSTEM_PACKAGES / "gssapi" / "raw").glob("creds.*.so")]
    assert any(sys.implementation.cache_tag in name for name in built), f"the system's gssapi is for another Python: {built}"
    return directory
