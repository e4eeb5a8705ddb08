"""A private real slapd: own configuration, database, certificates and ports on loopback, and what can happen to a directory server.

It can stop and come back on the same ports, freeze, close idle links, and have its passwords changed by OpenLDAP's own tools.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.interop import directory_tree as tree
from tests.interop import slapd_files
from tests.interop.addresses import free_ports, listens
from tests.interop.server import Server
from tests.interop.slapd_files import ADDRESS
from tests.interop.waiting import PATIENCE

UNNAMED = "127.0.0.2"
"""Where it listens too: an address that its certificate does not have."""

_DAEMON = "/usr/sbin/slapd"


@dataclass(frozen=True, slots=True)
class Tool:
    """What one of OpenLDAP's tools made of its task: its exit code is the LDAP result code, or 255 without one."""

    code: int
    text: str
    complaint: str


class Slapd(Server):
    """A running slapd. Its people, groups and passwords are those of `directory_tree`."""

    base, admin, admin_password = tree.BASE, tree.ADMIN, tree.ADMIN_PASSWORD
    service, service_password = tree.SERVICE, tree.SERVICE_PASSWORD

    def __init__(self, directory: Path, debug: str) -> None:
        plain, tls = free_ports(2, UNNAMED)
        self.directory = directory
        self.port, self.tls_port = plain, tls
        self.ldap, self.ldaps = f"ldap://{ADDRESS}:{plain}", f"ldaps://{ADDRESS}:{tls}"
        self.ldap_unnamed, self.ldaps_unnamed = f"ldap://{UNNAMED}:{plain}", f"ldaps://{UNNAMED}:{tls}"
        self.ldapi = f"ldapi://{quote(str(directory / 'ldapi'), safe='')}"
        self.ca, self.other_ca = directory / "ca.pem", directory / "other-ca.pem"
        uris = f"{self.ldap} {self.ldaps} {self.ldap_unnamed} {self.ldaps_unnamed} {self.ldapi}/????x-mod=0777"
        command = [_DAEMON, "-d", debug, "-f", str(directory / "slapd.conf"), "-h", uris]
        last = directory / "ldapi"  # it listens on its addresses in their order
        super().__init__(command, lambda: listens(last), [directory / "log"], user=slapd_files.user())

    def stop(self) -> int:
        """As `Server.stop`. AssertionError too: it ends with a fault."""
        code, log = super().stop(), self.log()
        in_its_cleanup = code == -signal.SIGSEGV and log.rstrip().endswith("slapd stopped.")  # 2.5.13 does so now and then
        assert code == 0 or in_its_cleanup, f"slapd ended with {code}:\n{log}"
        return code

    def set_password(self, dn: str, password: str) -> None:
        """ldappasswd, as the administrator; what slapd stores is {SSHA}. It returns when the old one holds no more."""
        file = self.directory / "new-password"
        file.write_text(password)
        try:
            self._as_admin("ldappasswd", "-T", str(file), dn)
        finally:
            file.unlink()

    def add(self, *listed: tree.Person | tree.Group) -> None:
        """ldapadd of new entries."""
        self._as_admin("ldapadd", text="".join(tree.entry(each.dn, each.attributes()) for each in listed))

    def delete(self, dn: str) -> None:
        self._as_admin("ldapdelete", dn)

    def modify(self, ldif: str) -> None:
        """ldapmodify with any change records (RFC 2849): a member more, another RDN, another stored password."""
        self._as_admin("ldapmodify", text=ldif)

    def tool(self, name: str, *arguments: str, uri: str = "", text: str = "") -> Tool:
        """ldapwhoami, ldapsearch and so on, with `arguments`, on ldap or another `uri`; `text` is its standard input.

        It trusts the CA of this slapd, and knows nothing of the machine's own ldap.conf.
        """
        command = [name, "-H", uri or self.ldap, *arguments]
        variables = {**os.environ, "LDAPCONF": "/dev/null", "LDAPRC": "none", "HOME": "/nonexistent", "LDAPTLS_CACERT": str(self.ca)}
        done = subprocess.run(command, input=text, env=variables, cwd="/", capture_output=True, text=True, timeout=PATIENCE, check=False)
        return Tool(done.returncode, done.stdout, done.stderr)

    def _as_admin(self, name: str, *arguments: str, text: str = "") -> None:
        done = self.tool(name, "-x", "-D", self.admin, "-w", self.admin_password, *arguments, uri=self.ldapi, text=text)
        assert done.code == 0, f"{name}: {done.complaint}"


@contextmanager
def slapd(directory: Path, users: int = 1000, *, settings: Sequence[str] = (), debug: str = "none") -> Iterator[Slapd]:
    """A slapd in `directory`, which is made and has to lie where every user can search; stopped at the end, by its process id.

    `users`: how many numbered people it has beside the others. `settings`: global lines of slapd.conf, such as "idletimeout 1" or
    "security ssf=128". `debug`: as slapd -d; "stats" logs each operation, its base and filter and how many
    entries it found.
    """
    directory.mkdir()
    directory.chmod(0o755)
    server = Slapd(directory, debug)
    slapd_files.write(directory, users, settings)
    with server.serving():
        yield server


class BlackHole:
    """A TCP address that takes connections and never says a word. `connections`: those so far, for who wants to read what they sent."""

    def __init__(self, listener: socket.socket) -> None:
        self.port: int = listener.getsockname()[1]
        self.ldap, self.ldaps = f"ldap://{ADDRESS}:{self.port}", f"ldaps://{ADDRESS}:{self.port}"
        self.connections: list[socket.socket] = []
        self._listener = listener

    def swallow(self) -> None:
        """Take connections until the listener is shut down."""
        while True:
            try:
                self.connections.append(self._listener.accept()[0])
            except OSError:
                return


@contextmanager
def black_hole() -> Iterator[BlackHole]:
    """Until the end of the block; then every connection is closed."""
    with socket.create_server((ADDRESS, 0), backlog=128) as listener:
        hole = BlackHole(listener)
        thread = threading.Thread(target=hole.swallow)
        thread.start()
        try:
            yield hole
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in hole.connections:
                connection.close()
