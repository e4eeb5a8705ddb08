"""A private real Postfix made from the files in conf/postfix: own configuration, queue and data directories, nothing under /etc.

It runs the three services that an admin would have: port 25 by main.cf alone, and submission and submissions from master.cf, each on a
free port of 127.0.0.1. The client's address is what the PROXY line says, so that the `mynetworks` of conf/postfix is judged as it stands.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop.addresses import free_ports, listens
from tests.interop.server import Server
from tests.interop.waiting import PATIENCE

CONF = Path(__file__).resolve().parents[2] / "conf" / "postfix"
MUX = "/run/saslauthd/mux"
"""The socket's path in conf/postfix/sasl/smtpd.conf; a chrooted smtpd finds it below the queue directory."""
OUTSIDE = "203.0.113.7"
"""A client in no `mynetworks` (TEST-NET-3, RFC 5737)."""

LOCAL = "rcpt@sink.test"
"""A recipient of this Postfix, whose mail it delivers."""

DAEMONS = "/usr/lib/postfix/sbin"
SERVICES = ("smtp", "submission", "submissions")

_SERVER = """\
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
daemon_directory = {daemons}
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {directory}/mail.log
maillog_file_prefixes = {directory}
myhostname = mx.test
mydomain = test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtpd_error_sleep_time = 0
smtpd_upstream_proxy_protocol = haproxy
smtpd_tls_chain_files = {directory}/conf/key.pem, {directory}/conf/cert.pem
smtpd_sasl_authenticated_header = yes
virtual_mailbox_domains = sink.test
virtual_mailbox_base = {directory}/mail
virtual_mailbox_maps = static:mbox
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
default_transport = discard:
relay_transport = discard:

"""

_SERVICES = """\
smtp      inet  n - n - - smtpd
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
proxymap  unix  - - n - - proxymap
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
virtual   unix  - n n - - virtual
anvil     unix  - - n - 1 anvil
postlog   unix-dgram n - n - 1 postlogd

"""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What swaks made of one SMTP session: its exit code (0 done, 24 recipient refused, 28 login refused) and the whole session."""

    code: int
    text: str

    def says(self, reply: str) -> bool:
        """Whether the server sent a line that begins so."""
        return any(line.startswith("<") and line[4:].startswith(reply) for line in self.text.splitlines())


@dataclass(frozen=True, slots=True)
class Postfix:
    """A running Postfix; the daemon's socket belongs at `mux`."""

    directory: Path
    ports: dict[str, int]
    mux: Path

    def swaks(self, *arguments: str, service: str = "smtp", client: str = OUTSIDE) -> Dialogue:
        """One session of a mail client at address `client`, with `arguments` as swaks takes them."""
        port = self.ports[service]
        tls = ["--tlsc"] if service == "submissions" else []
        proxy = ["--proxy", f"TCP4 {client} 127.0.0.1 40000 {port}"]
        fixed = ["--server", "127.0.0.1", "--port", str(port), "--helo", "client.test", "--from", "sender@example.test", "--to", LOCAL]
        command = ["swaks", *fixed, *proxy, *tls, *arguments]  # of a flag given twice, swaks takes the later one
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False)
        return Dialogue(done.returncode, done.stdout + done.stderr)

    def login(self, name: str, password: str, mechanism: str = "PLAIN", service: str = "smtp") -> Dialogue:
        """A login over TLS and nothing after it."""
        tls = [] if service == "submissions" else ["-tls"]
        return self.swaks(*tls, "-a", mechanism, "-au", name, "-ap", password, "--quit-after", "AUTH", service=service)

    def mailbox(self) -> str:
        """The mail delivered to sink.test so far."""
        try:
            return (self.directory / "mail" / "mbox").read_text()
        except FileNotFoundError:
            return ""

    def log(self) -> str:
        """What Postfix has logged so far."""
        try:
            return (self.directory / "mail.log").read_text()
        except FileNotFoundError:
            return ""


def write_configuration(directory: Path, ports: Mapping[str, int], *, chroot: bool, main: str = "main.cf") -> Path:
    """main.cf, master.cf and sasl/smtpd.conf in `directory`/conf: those of conf/postfix, after the lines that any server has.

    Returns where the daemon's socket belongs. Of conf/postfix the ports change, and without chroot its column and the socket's path.
    """
    conf = directory / "conf"
    (conf / "sasl").mkdir(parents=True)
    owner = pwd.getpwnam("postfix")
    server = _SERVER.format(directory=directory, daemons=DAEMONS, uid=owner.pw_uid, gid=owner.pw_gid)
    (conf / "main.cf").write_text(server + (CONF / main).read_text())
    services = _SERVICES + (CONF / "master.cf").read_text()
    (conf / "master.cf").write_text("".join(_moved(line, ports, chroot) for line in services.splitlines(keepends=True)))
    smtpd = (CONF / "sasl" / "smtpd.conf").read_text()
    mux = directory / "queue" / MUX.lstrip("/") if chroot else directory / "run" / "mux"
    assert f"saslauthd_path: {MUX}\n" in smtpd
    (conf / "sasl" / "smtpd.conf").write_text(smtpd if chroot else smtpd.replace(f"saslauthd_path: {MUX}", f"saslauthd_path: {mux}"))
    make_old(conf)
    return mux


def make_old(conf: Path) -> None:
    """A main.cf younger than 2 s is read again and again at the start, until it is "stable"."""
    for name in ("main.cf", "master.cf"):
        os.utime(conf / name, (0, time.time() - 60))


def listeners(plain: Path, chrooted: Path) -> str:
    """conf/postfix/listen.toml, with the socket of an smtpd outside a chroot at `plain`, and of one inside at `chrooted`."""
    text = (CONF / "listen.toml").read_text()
    for written, wanted in ((f'"/var/spool/postfix{MUX}"', chrooted), (f'"{MUX}"', plain)):
        assert text.count(written) == 1
        text = text.replace(written, f'"{wanted}"')
    return text


@contextmanager
def running(directory: Path, *, chroot: bool = False) -> Iterator[Postfix]:
    """A Postfix in `directory`, which every user must be able to search; stopped at the end, by its process id."""
    ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
    mux = write_configuration(directory, ports, chroot=chroot)
    mux.parent.mkdir(parents=True)
    make_surroundings(directory)
    with started(directory, ports, mux) as postfix:
        yield postfix


@contextmanager
def started(directory: Path, ports: dict[str, int], mux: Path) -> Iterator[Postfix]:
    """The Postfix that `directory` has the configuration and surroundings of, listening on all its `ports`; stopped at the end."""
    conf = directory / "conf"
    command = [f"{DAEMONS}/master", "-c", str(conf), "-d"]
    master = Server(command, lambda: all(map(listens, ports.values())), [directory / "master.out", directory / "mail.log"])
    with master.serving():
        yield Postfix(directory, ports, mux)


def make_surroundings(directory: Path) -> None:
    """What Postfix needs beside its configuration: queue, data and mail directories, a certificate."""
    _make_directories(directory)
    make_certificate(directory / "conf")


def _moved(line: str, ports: Mapping[str, int], chroot: bool) -> str:
    """A line of master.cf: an inet service goes to its port on loopback, into the chroot or out of it; any other line stays."""
    match line.split():
        case [name, "inet", private, unprivileged, _, *rest] if not line.startswith((" ", "#")):
            return " ".join([f"127.0.0.1:{ports[name]}", "inet", private, unprivileged, "y" if chroot else "n", *rest]) + "\n"
    return line


def _make_directories(directory: Path) -> None:
    queue = directory / "queue"
    for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace"):
        _own(queue / name, 0o700)
    _own(queue / "maildrop", 0o730, "postdrop")
    _own(queue / "public", 0o710, "postdrop")
    (queue / "pid").mkdir()
    _own(directory / "data", 0o700)
    _own(directory / "mail", 0o755)


def _own(path: Path, mode: int, group: str | None = None) -> None:
    path.mkdir(parents=True)
    shutil.chown(path, "postfix", group)
    path.chmod(mode)


def make_certificate(conf: Path) -> None:
    """key.pem and cert.pem in `conf`, of mx.test and 127.0.0.1."""
    kind = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=mx.test", "-addext", "subjectAltName=DNS:mx.test,IP:127.0.0.1"]
    files = ["-keyout", str(conf / "key.pem"), "-out", str(conf / "cert.pem")]
    subprocess.run(["openssl", *kind, *names, *files], check=True, capture_output=True, timeout=PATIENCE)
