"""The other peer: Dovecot's own auth, with its accounts in a passwd-file, in a PID namespace of its own."""

from __future__ import annotations

import math
import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import processes
from tests.bench.contained import check, contained, wait
from tests.bench.failures import BenchError

_VERSION = "2.3."
_PROCESSES = frozenset({"anvil", "auth", "config", "dovecot", "log", "stats"})

_CONFIGURATION = """\
base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/log
protocols =
ssl = no
auth_verbose = no
auth_debug = no
auth_cache_size = 0   # the default; accounts of a passwd-file are never in that cache

passdb {{
  driver = passwd-file
  args = username_format=%u {path}
}}
service auth {{
  unix_listener {directory}/auth-client {{
    mode = 0600
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0   # not there: else it is asked before each login of a client with an address, and Dovecot is slower
  }}
}}
"""

_START = """
set -e
dovecot -c "$1/dovecot.conf"
exec cat >/dev/null
"""


@dataclass(slots=True)
class StockDovecot:
    """A running Dovecot without a mail protocol. It has no cache for a passwd-file, so it remembers its lines for as long as it runs."""

    path: str
    namespace: subprocess.Popen[bytes]
    name: str = "dovecot"
    lifetime: float = math.inf

    @property
    def socket(self) -> str:
        """Where its auth listens."""
        return os.path.join(self.path, "auth-client")

    def pids(self) -> tuple[int, ...]:
        """The auth process and those that Dovecot always has beside it, without those that hold the namespace."""
        return tuple(pid for pid in processes.below(self.namespace.pid) if processes.name(pid) in _PROCESSES)

    def misses(self) -> int | None:
        """None: there is no cache."""
        return None


def install(directory: str, path: str) -> None:
    """The configuration to serve the accounts of a passwd-file at `path`. `directory` is made, and only for one run."""
    for made in (directory, os.path.join(directory, "run"), os.path.join(directory, "state")):
        os.mkdir(made, 0o755)
    Path(directory, "dovecot.conf").write_text(_CONFIGURATION.format(directory=directory, path=path))


def group() -> int:
    """As which Dovecot's auth reads its files. BenchError: no root, or not installed."""
    check("dovecot", "dovecot-core")
    return pwd.getpwnam("dovecot").pw_gid


@contextmanager
def started(directory: str, path: str) -> Iterator[StockDovecot]:
    """Dovecot, while it knows the accounts of a passwd-file. BenchError: no root, not installed, another version, does not start."""
    check("dovecot", "dovecot-core")
    version = subprocess.run(["dovecot", "--version"], check=False, capture_output=True, text=True).stdout.split(" ")[0]
    if not version.startswith(_VERSION):
        raise BenchError(f"Dovecot {version}: the bench can configure {_VERSION}x alone")
    install(directory, path)
    with contained(_START, directory) as namespace:
        daemon = StockDovecot(directory, namespace)
        wait(namespace, lambda: os.path.exists(daemon.socket), f"Dovecot does not start, see above and {directory}/log")
        yield daemon
