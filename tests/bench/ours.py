"""`saslauthd-py serve` on accounts of the bench's, as a service manager starts it: ready by sd_notify, standard error into a file."""

from __future__ import annotations

import grp
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import saslauthd_py
from tests.bench import processes
from tests.bench.accounts import Account, fill
from tests.bench.failures import BenchError
from tests.interop.daemon import front_of
from tests.interop.directory_tree import PEOPLE
from tests.interop.pam_machine import PamMachine
from tests.interop.slapd import Slapd

_SERVE = (sys.executable, "-m", "saslauthd_py", "serve")
_USER = "nobody"
_PATIENCE = 30.0

UNLIMITED = """
[admission]   # what is measured are wrong secrets without end
per_account = "off"
per_network = "off"
per_pair = "off"
"""
UNDELAYED = """
[failure]
delay = "0s"
"""
"""Sections, for what shows only without limit or delay."""

_CONFIGURATION = """\
[server]
user = "{user}"
group = "{group}"

[control]
path = "{directory}/control"

[[listen]]
protocol = "{protocol}"
path = "{directory}/mux"

{backend}{sections}"""

_STORE = """\
[backend.users]
type = "store"
path = "{directory}/store/users.db"
rehash = false   # the bench's hashes are cheap, so that it is set up in seconds; what is measured is what the cache decides

[[route]]
realm = "*"
backends = ["users"]
"""

_PASSWD_FILE = """\
[backend.users]
type = "passwd_file"
path = "{path}"
{cache}
[[route]]
realm = "*"
backends = ["users"]
"""

_LDAP = """\
[backend.directory]
type = "ldap"
servers = ["{server.ldap}"]
bind_dn = "{server.service}"
password_file = "{password}"
base = "{base}"
{dn_cache}
[[route]]
realm = "{realm}"
backends = ["directory"]
"""

_SYSTEM = """\
[backend.system]
type = "{kind}"

[[route]]
realm = ""
backends = ["system"]
"""


@dataclass(frozen=True, slots=True)
class Installation:
    """A directory with a configuration. `prefix`: words before the daemon's command, which put it into a machine of its own.

    `lifetime`: seconds that the daemon remembers a login; 0: it has no cache.
    """

    directory: str
    prefix: tuple[str, ...] = ()
    lifetime: float = 60.0

    @property
    def configuration(self) -> str:
        return os.path.join(self.directory, "saslauthd-py.toml")


@dataclass(slots=True)
class Ours:
    """A running daemon. `ready`: seconds from its start to READY; `lifetime`: seconds that it remembers a login."""

    directory: str
    process: subprocess.Popen[bytes]
    ready: float
    lifetime: float
    name: str = "ours"

    @property
    def socket(self) -> str:
        """Where it listens."""
        return os.path.join(self.directory, "mux")

    @property
    def front(self) -> int:
        """The process that reads what clients send."""
        return front_of(self.process.pid)

    @property
    def monitor(self) -> int | None:
        """The process that does what needs root; there is none where the bench is not root."""
        return self.process.pid if self.process.pid != self.front else None

    def pids(self) -> tuple[int, ...]:
        """Its processes: the monitor, the front, the workers."""
        return processes.below(self.process.pid)

    def misses(self) -> int | None:
        """How many accepted logins the cache has not decided since the last call, by the log, which is emptied; None: it has none."""
        path = os.path.join(self.directory, "log")
        with open(path, "rb") as log:
            lines = log.read().splitlines()
        os.truncate(path, 0)
        return sum(b" accepted " in line and b" cached=yes" not in line for line in lines) if self.lifetime else None


def install(directory: str, accounts: Sequence[Account], sections: str = "") -> Installation:
    """A store of these accounts, and the configuration to serve it; `sections` are added. BenchError: the store cannot be made."""
    os.mkdir(directory, 0o755)
    installation = _configured(Installation(directory), _STORE.format(directory=directory), sections)
    fill(os.path.join(directory, "store", "users.db"), accounts, owner())
    return installation


def install_dovecot(directory: str, path: str, *, cached: bool = True) -> Installation:
    """The configuration to serve the accounts of a passwd-file at `path` over Dovecot's protocol; `cached`: by default, or not at all."""
    os.mkdir(directory, 0o755)
    backend = _PASSWD_FILE.format(path=path, cache="" if cached else 'cache = "0s"\n')
    installation = Installation(directory) if cached else Installation(directory, lifetime=0.0)
    return _configured(installation, backend, protocol="dovecot")


def install_ldap(directory: str, server: Slapd, realm: str, *, dn_cache: bool) -> Installation:
    """The configuration to serve logins in `realm` by the people of a directory; `dn_cache`: as by default, or not at all."""
    os.mkdir(directory, 0o755)
    password = Path(directory, "password")
    password.touch(0o600)
    os.chown(password, owner().pw_uid, owner().pw_gid)
    password.write_text(server.service_password)
    cache = "" if dn_cache else 'dn_cache = "0s"\n'
    backend = _LDAP.format(server=server, password=password, base=PEOPLE, dn_cache=cache, realm=realm)
    return _configured(Installation(directory, lifetime=0.0), backend)


def install_in(machine: PamMachine, kind: Literal["pam", "shadow"], sections: str = "") -> Installation:
    """The configuration to serve a machine's own accounts; `sections` are added."""
    directory = machine.directory / "daemon"
    directory.mkdir(mode=0o755)
    return _configured(Installation(str(directory), tuple(machine.prefix)), _SYSTEM.format(kind=kind), sections)


def _configured(installation: Installation, backend: str, sections: str = "", protocol: str = "saslauthd") -> Installation:
    user = owner()
    names = {"user": user.pw_name, "group": grp.getgrgid(user.pw_gid).gr_name}
    text = _CONFIGURATION.format(**names, directory=installation.directory, protocol=protocol, backend=backend, sections=sections)
    Path(installation.configuration).write_text(text)
    return installation


def owner() -> pwd.struct_passwd:
    """Who the daemon becomes, and who owns what it reads."""
    return pwd.getpwuid(os.geteuid()) if os.geteuid() else pwd.getpwnam(_USER)


@contextmanager
def started(installation: Installation, wrapper: Sequence[str] = _SERVE) -> Iterator[Ours]:
    """The daemon, ready, until the end of the block. `wrapper`: the command to which --config is added. BenchError: it does not start."""
    notify = os.path.join(installation.directory, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard, open(os.path.join(installation.directory, "log"), "ab") as log:
        log.truncate(0)
        heard.bind(notify)
        os.chmod(notify, 0o666)  # noqa: S103 - the daemon speaks after it has dropped its privileges
        begun = time.monotonic()
        command = [*installation.prefix, *wrapper, "--config", installation.configuration]
        process = subprocess.Popen(command, stderr=log, cwd="/", env=_environment(notify))
        try:
            yield Ours(installation.directory, process, _wait(process, heard, log.name) - begun, installation.lifetime)
        finally:
            _stop(process)
            os.unlink(notify)


def _environment(notify: str) -> dict[str, str]:
    """Ours, without what make or a service manager has set for us, and the same package."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LISTEN_", "WATCHDOG_", "JOURNAL_"))}
    package = os.path.dirname(os.path.dirname(os.path.abspath(saslauthd_py.__file__)))
    return {**kept, "PYTHONPATH": package, "NOTIFY_SOCKET": notify}


def _wait(process: subprocess.Popen[bytes], heard: socket.socket, log: str) -> float:
    """The monotonic time of READY."""
    until = time.monotonic() + _PATIENCE
    heard.settimeout(0.05)
    while time.monotonic() < until:
        try:
            if b"READY=1" in heard.recv(4096).split(b"\n"):
                return time.monotonic()
        except TimeoutError:
            if process.poll() is not None:
                break
    with open(log) as file:
        last = file.read().splitlines()[-1:]
    raise BenchError(f"saslauthd-py serve does not get ready: {''.join(last) or 'it says nothing'}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
