"""The peer: Cyrus saslauthd in namespaces of its own, with its shadow mechanism and its cache, with PAM, its own database, or LDAP.

It sees a passwd and a shadow file of ours in place of the machine's.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from tests.bench import processes
from tests.bench.contained import check, contained, wait
from tests.bench.failures import BenchError
from tests.interop.pam_machine import PamMachine

_PROCESSES = 5  # saslauthd(8): the default of -n, itself included
_START_SHADOW = """
set -e
mount --make-rprivate / 2>/dev/null || true  # not in a chroot whose / is no mount point: there nothing is shared to begin with
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/shadow" /etc/shadow
saslauthd -a shadow -c -s 8192 -m "$1"
exec cat >/dev/null
"""
"""Without -d, which would log every login, and end by killing its caller's process group."""

_START_IN_MACHINE = f"""
set -e
saslauthd -a MECHANISM -n {_PROCESSES} -m "$1"
exec cat >/dev/null
"""

_START_SASLDB = f"""
set -e
mount --make-rprivate / 2>/dev/null || true
mount --bind "$1/sasldb2" /etc/sasldb2
saslauthd -a sasldb -n {_PROCESSES} -m "$1"
exec cat >/dev/null
"""
"""The file's name is compiled in; the package makes an empty one, which is what the mount needs."""

_START_LDAP = f"""
set -e
LDAPNOINIT=1 saslauthd -a ldap -n {_PROCESSES} -O "$1/saslauthd.conf" -m "$1"
exec cat >/dev/null
"""
"""Its own file alone says how, and not the machine's ldap.conf."""


class CacheStatistics(NamedTuple):
    """The head of cache.mmap behind its 64 bytes of magic (saslauthd/cache.h: struct stats)."""

    hits: int
    misses: int
    lock_failures: int
    attempts: int
    slots: int
    buckets_per_slot: int
    bucket_size: int
    size: int
    timeout: int


def cache_statistics(path: str) -> CacheStatistics:
    """BenchError: the file does not look as Cyrus SASL 2.1.28 makes it."""
    with open(path, "rb") as file:
        head = file.read(100)
    if len(head) < 100 or not head.startswith(b"SASLAUTHD_CACHE_MAGIC\0"):
        raise BenchError(f"{path}: not the cache of a saslauthd that we know, so its misses cannot be counted")
    return CacheStatistics(*struct.unpack("=9I", head[64:]))


@dataclass(slots=True)
class Stock:
    """A running daemon. `path` is its directory; `lifetime`: seconds that it remembers a login, of one with a cache."""

    path: str
    namespace: subprocess.Popen[bytes]
    name: str = "stock"
    lifetime: float = 28800.0
    _misses: int = 0

    @property
    def socket(self) -> str:
        """Where it listens."""
        return os.path.join(self.path, "mux")

    def pids(self) -> tuple[int, ...]:
        """The daemon's processes, without those that hold its namespaces."""
        return tuple(pid for pid in processes.below(self.namespace.pid) if processes.name(pid) == "saslauthd")

    def misses(self) -> int | None:
        """How many logins the cache has not decided since the last call. Several are never counted as none, though races may lose one.

        None: it has no cache.
        """
        cache = os.path.join(self.path, "cache.mmap")
        if not os.path.exists(cache):
            return None
        before, self._misses = self._misses, cache_statistics(cache).misses
        return self._misses - before


@contextmanager
def started(directory: str, names: list[str], encoding: str) -> Iterator[Stock]:
    """The daemon, while it knows these names, all with one secret as `encoding`. BenchError: no root, not installed, does not start."""
    check("saslauthd", "sasl2-bin")
    path = os.path.join(directory, "stock")
    os.mkdir(path, 0o755)
    _write_accounts(path, names, encoding)
    with contained(_START_SHADOW, path, ("--mount", "--propagation", "unchanged")) as namespace:
        yield _ready(Stock(path, namespace))


@contextmanager
def started_in(machine: PamMachine, mechanism: str = "pam") -> Iterator[Stock]:
    """The daemon in a machine that has its own accounts and PAM. BenchError as `started`."""
    check("saslauthd", "sasl2-bin")
    path = machine.directory / "daemon"
    path.mkdir(mode=0o755)
    script = _START_IN_MACHINE.replace("MECHANISM", mechanism)
    with contained(script, str(path), prefix=machine.prefix) as namespace:
        yield _ready(Stock(str(path), namespace))


@contextmanager
def started_sasldb(path: str) -> Iterator[Stock]:
    """The daemon with its own database, the file `sasldb2` in the directory `path`. BenchError as `started`."""
    check("saslauthd", "sasl2-bin")
    with contained(_START_SASLDB, path, ("--mount", "--propagation", "unchanged")) as namespace:
        yield _ready(Stock(path, namespace))


@contextmanager
def started_ldap(path: str, configuration: str) -> Iterator[Stock]:
    """The daemon with LDAP, and `configuration` as its saslauthd.conf. `path` is made, and only for one run. BenchError as `started`."""
    check("saslauthd", "sasl2-bin")
    os.mkdir(path, 0o755)
    with open(os.path.join(path, "saslauthd.conf"), "w", opener=_private) as file:
        file.write(configuration)
    with contained(_START_LDAP, path) as namespace:
        yield _ready(Stock(path, namespace))


def _write_accounts(path: str, names: list[str], encoding: str) -> None:
    with open("/etc/passwd") as real, open(os.path.join(path, "passwd"), "w") as passwd:
        passwd.write(real.read() + "".join(f"{name}:x:59001:59001::/nonexistent:/usr/sbin/nologin\n" for name in names))
    with open("/etc/shadow") as real, open(os.path.join(path, "shadow"), "w", opener=_private) as shadow:
        shadow.write(real.read() + "".join(f"{name}:{encoding}:19000:0:99999:7:::\n" for name in names))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _ready(daemon: Stock) -> Stock:
    """It, once it listens and all of its processes are there: the first of them listens before it forks the others."""
    complaint = "stock saslauthd does not start, see above; it needs root and mount namespaces"
    wait(daemon.namespace, lambda: len(daemon.pids()) >= _PROCESSES and _listens(daemon.socket), complaint)
    return daemon


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0
