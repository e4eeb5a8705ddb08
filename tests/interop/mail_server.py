"""A private real Dovecot with IMAP: own configuration, accounts, certificate and ports on loopback; it can stop, come back and freeze."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.interop.certificates import ADDRESS, UNNAMED, key_of, self_signed
from tests.interop.waiting import PATIENCE, until

PASSWORDS = {
    "alice@example.test": "pw1",
    "bob": 'p"w \\2 {3} ü€',
    "disabled@example.test": "pw4",
    "long": "x" * 3000,
}
"""Whom it knows."""

_FIELDS = {"disabled@example.test": "nologin user_disabled=y"}

_CONFIGURATION = """\
base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/log
protocols = imap
listen = {addresses}
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = no
auth_mechanisms = plain
auth_failure_delay = 0
first_valid_uid = 1
mail_location = mbox:{directory}/mail/%u
passdb {{
  driver = passwd-file
  args = username_format=%u {directory}/passwd
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={directory}/mail
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0600
  }}
}}
"""


class MailServer:
    """A running Dovecot. `ca`: what its certificate comes from; `other_ca` has nothing to do with it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port, self.tls_port = _free_ports()
        self.imap, self.imaps = f"imap://{ADDRESS}:{self.port}", f"imaps://{ADDRESS}:{self.tls_port}"
        self.imap_unnamed, self.imaps_unnamed = f"imap://{UNNAMED}:{self.port}", f"imaps://{UNNAMED}:{self.tls_port}"
        self.ca, self.other_ca = self_signed(directory / "server.pem"), self_signed(directory / "other.pem")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None

    def configure(self) -> None:
        lines = [f"{name}:{{PLAIN}}{password}::::::{_FIELDS.get(name, '')}\n" for name, password in PASSWORDS.items()]
        (self.directory / "passwd").write_text("".join(lines))
        shutil.chown(self.directory / "passwd", "dovecot")
        (self.directory / "mail").mkdir()
        shutil.chown(self.directory / "mail", "nobody", "nogroup")
        names = {"directory": self.directory, "addresses": f"{ADDRESS}, {UNNAMED}", "port": self.port, "tls_port": self.tls_port}
        names |= {"certificate": self.ca, "key": key_of(self.ca)}
        (self.directory / "dovecot.conf").write_text(_CONFIGURATION.format(**names))

    def start(self) -> None:
        """Returns when it greets."""
        command = ["/usr/sbin/dovecot", "-F", "-c", str(self.directory / "dovecot.conf")]
        with (self.directory / "out").open("ab") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        self._process = process
        until(lambda: process.poll() is not None or self._greets(), "Dovecot listens")
        assert process.poll() is None, (self.directory / "out").read_text() + self.log()

    def stop(self) -> None:
        """SIGTERM to all its processes, also to frozen ones; its port is closed."""
        process, self._process = self._process, None
        assert process is not None
        os.killpg(process.pid, signal.SIGTERM)
        os.killpg(process.pid, signal.SIGCONT)
        process.wait(PATIENCE)
        with suppress(ProcessLookupError):  # a process that talks to a client keeps the port for a while
            os.killpg(process.pid, signal.SIGKILL)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP to all its processes: the kernel takes connections and bytes for it, and nobody answers."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self._process.pid, signal.SIGCONT)

    def log(self) -> str:
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def logins(self, name: str) -> int:
        """How often it let somebody in."""
        return self.log().count(f"Login: user=<{name}>")

    def _greets(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex((ADDRESS, self.tls_port)) == 0


@contextmanager
def mail_server(directory: Path) -> Iterator[MailServer]:
    """A Dovecot in `directory`, which is made and has to lie where every user can search. Needs root."""
    directory.mkdir()
    directory.chmod(0o755)
    server = MailServer(directory)
    server.configure()
    server.start()
    try:
        yield server
    finally:
        if server.running:
            server.stop()


def _free_ports() -> tuple[int, int]:
    """Of both addresses."""
    with socket.create_server((ADDRESS, 0)) as first, socket.create_server((ADDRESS, 0)) as second:
        ports = first.getsockname()[1], second.getsockname()[1]
        for port in ports:
            socket.create_server((UNNAMED, port)).close()
        return ports
