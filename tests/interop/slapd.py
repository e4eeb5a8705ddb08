"""A private real slapd: own configuration, database, certificates and ports on loopback, and what can happen to a directory server.

It can stop and come back on the same ports, freeze, close idle links, and have its passwords changed by OpenLDAP's own tools.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.interop import directory_tree as tree
from tests.interop import slapd_files
from tests.interop.slapd_files import ADDRESS
from tests.interop.waiting import PATIENCE, until

UNNAMED = "127.0.0.2"
"""Where it listens too: an address that its certificate does not have."""

_DAEMON = "/usr/sbin/slapd"


@dataclass(frozen=True, slots=True)
class Tool:
    """What one of OpenLDAP's tools made of its task: its exit code is the LDAP result code, or 255 without one."""

    code: int
    text: str
    complaint: str


class Slapd:
    """A running slapd. Its people, groups and passwords are those of `directory_tree`."""

    base, admin, admin_password = tree.BASE, tree.ADMIN, tree.ADMIN_PASSWORD
    service, service_password = tree.SERVICE, tree.SERVICE_PASSWORD

    def __init__(self, directory: Path, ports: tuple[int, int], debug: str) -> None:
        """`ports`: of ldap and of ldaps."""
        plain, tls = ports
        self.directory = directory
        self.port, self.tls_port = plain, tls
        self.ldap, self.ldaps = f"ldap://{ADDRESS}:{plain}", f"ldaps://{ADDRESS}:{tls}"
        self.ldap_unnamed, self.ldaps_unnamed = f"ldap://{UNNAMED}:{plain}", f"ldaps://{UNNAMED}:{tls}"
        self.ldapi = f"ldapi://{quote(str(directory / 'ldapi'), safe='')}"
        self.ca, self.other_ca = directory / "ca.pem", directory / "other-ca.pem"
        self._debug = debug
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen = False

    @property
    def pid(self) -> int:
        assert self._process is not None, "it is stopped"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Returns when it listens, on the same addresses as ever; AssertionError with its log when it ends instead."""
        assert self._process is None, "it runs already"
        uris = f"{self.ldap} {self.ldaps} {self.ldap_unnamed} {self.ldaps_unnamed} {self.ldapi}/????x-mod=0777"
        command = [_DAEMON, "-d", self._debug, "-f", str(self.directory / "slapd.conf"), "-h", uris]
        with (self.directory / "log").open("ab") as log:
            process = slapd_files.started(command, subprocess.DEVNULL, log.fileno())
        try:
            until(lambda: process.poll() is not None or self._listens(), "slapd listens")
        except AssertionError:
            process.kill()
            process.wait()
            raise
        assert process.poll() is None, f"slapd ends with {process.returncode}:\n{self.log()}"
        self._process = process

    def stop(self) -> None:
        """SIGTERM, also to a frozen one; its connections are closed, and a new one is refused. AssertionError: it had crashed before."""
        process, self._process = self._process, None
        assert process is not None, "it is stopped already"
        process.terminate()
        process.send_signal(signal.SIGCONT)
        self._frozen = False
        _end(process)
        log = self.log()
        in_its_cleanup = process.returncode == -signal.SIGSEGV and log.rstrip().endswith("slapd stopped.")  # 2.5.13 does so now and then
        assert process.returncode == 0 or in_its_cleanup, f"slapd ended with {process.returncode}:\n{log}"

    def restart(self) -> None:
        self.stop()
        self.start()

    def freeze(self) -> None:
        """SIGSTOP: the kernel takes connections and bytes for it, and nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)
        self._frozen = True
        while any(_state(thread) != "T" for thread in Path(f"/proc/{self.pid}/task").iterdir()):
            time.sleep(0.001)  # a thread on another core goes on for a moment

    def thaw(self) -> None:
        """SIGCONT: it answers everything that has come meanwhile."""
        os.kill(self.pid, signal.SIGCONT)
        self._frozen = False

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Frozen until the end of the block."""
        self.freeze()
        try:
            yield
        finally:
            if self._frozen:
                self.thaw()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stopped until the end of the block."""
        self.stop()
        try:
            yield
        finally:
            if not self.running:
                self.start()

    def log(self) -> str:
        """What it has written so far: with debug="stats" each operation, its base and filter and how many entries it found."""
        return (self.directory / "log").read_text(errors="replace")

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

    def _listens(self) -> bool:
        """The last of its addresses: it listens on them in their order."""
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(self.directory / "ldapi")) == 0


@contextmanager
def slapd(directory: Path, users: int = 1000, *, settings: Sequence[str] = (), debug: str = "none") -> Iterator[Slapd]:
    """A slapd in `directory`, which is made and has to lie where every user can search; stopped at the end, by its process id.

    `users`: how many numbered people it has beside the others. `settings`: global lines of slapd.conf, such as "idletimeout 1" or
    "security ssf=128". `debug`: as slapd -d; "stats" logs each operation.
    """
    directory.mkdir()
    directory.chmod(0o755)
    server = Slapd(directory, _free_ports(), debug)
    slapd_files.write(directory, users, settings)
    server.start()
    try:
        yield server
    finally:
        if server.running:
            server.stop()


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


def _state(thread: Path) -> str:
    return (thread / "stat").read_text().rpartition(") ")[2][0]


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def _free_ports() -> tuple[int, int]:
    """Of both addresses."""
    with socket.create_server((ADDRESS, 0)) as first, socket.create_server((ADDRESS, 0)) as second:
        ports = first.getsockname()[1], second.getsockname()[1]
        for port in ports:
            socket.create_server((UNNAMED, port)).close()
        return ports
