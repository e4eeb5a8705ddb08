"""A private real Exim with the authenticators of conf/exim, which ask a Dovecot socket; own spool and logs, nothing under /etc.

Debian's package conflicts with Postfix, so its files are unpacked beside it (packaging/peers.txt).
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop.addresses import free_ports, listens
from tests.interop.postfix import Dialogue, make_certificate
from tests.interop.server import Server
from tests.interop.waiting import PATIENCE

PROGRAM = "/var/cache/saslauthd-py/peers/exim4-daemon-heavy/usr/sbin/exim4"
CONF = Path(__file__).resolve().parents[2] / "conf" / "exim"
USER = "Debian-exim"
"""Whom it becomes: compiled in. As this user it asks the daemon."""

_CONFIGURATION = """\
exim_path = {program}
primary_hostname = mx.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
spool_directory = {directory}/spool
log_file_path = {directory}/log/%slog
pid_file_path = {directory}/spool/exim.pid
keep_environment =
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts = *
tls_certificate = {directory}/conf/cert.pem
tls_privatekey = {directory}/conf/key.pem
acl_smtp_rcpt = recipient
log_selector = +smtp_protocol_error

begin acl
recipient:
  accept authenticated = *
  deny

begin routers
begin transports
begin retry
begin rewrite

begin authenticators
"""

SOCKET = "/run/saslauthd-py/auth"
"""The socket's path in conf/exim."""

_AUTHENTICATORS = (CONF / "authenticators").read_text()


def listener(path: Path) -> str:
    """conf/exim/listen.toml, with the socket at `path`."""
    text = (CONF / "listen.toml").read_text()
    assert text.count(f'"{SOCKET}"') == 1
    return text.replace(SOCKET, str(path))


@dataclass(frozen=True, slots=True)
class Exim:
    """A running Exim."""

    directory: Path
    port: int

    def swaks(self, *arguments: str) -> Dialogue:
        """One session of a mail client over TLS."""
        fixed = [
            "--server",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--helo",
            "client.test",
            "--from",
            "a@example.test",
            "--to",
            "b@sink.test",
        ]
        command = ["swaks", *fixed, "-tls", *arguments]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False)
        return Dialogue(done.returncode, done.stdout + done.stderr)

    def login(self, name: str, password: str, mechanism: str = "PLAIN") -> Dialogue:
        """A login and nothing after it."""
        return self.swaks("-a", mechanism, "-au", name, "-ap", password, "--quit-after", "AUTH")

    def log(self) -> str:
        """What it has logged so far."""
        return "".join(path.read_text() for path in sorted((self.directory / "log").iterdir()))


@contextmanager
def running(directory: Path, auth: Path) -> Iterator[Exim]:
    """An Exim in `directory`, which every user must be able to search, asking at `auth`; stopped at the end."""
    conf = directory / "conf"
    conf.mkdir(parents=True)
    for name in ("spool", "log"):
        (directory / name).mkdir()
        shutil.chown(directory / name, USER, USER)
    make_certificate(conf)
    shutil.chown(conf / "key.pem", USER)
    [port] = free_ports(1)
    text = _CONFIGURATION.format(program=PROGRAM, directory=directory, port=port) + _AUTHENTICATORS.replace(f" = {SOCKET}", f" = {auth}")
    (conf / "exim.conf").write_text(text)
    command = [PROGRAM, "-C", str(conf / "exim.conf"), "-bdf"]
    logs = [directory / "exim.out", *(directory / "log" / f"{kind}log" for kind in ("main", "panic"))]
    with Server(command, lambda: listens(port), logs).serving():
        yield Exim(directory, port)
