"""What every scenario is given: where to work, how much to do, the generator, a store of many accounts; and how a daemon is measured."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Protocol

from saslauthd_py.credential import Encoding
from saslauthd_py.identity import Identity
from tests.bench import ours, processes
from tests.bench.accounts import Account
from tests.bench.failures import BenchError
from tests.bench.generator import Generator, Load, login

REALM = "bench.example"
SECRET = "correct horse battery"
MD5CRYPT = "$1$benching$/DRztBkvbEiA7Hq1.g.zN1"
ARGON2ID = "$argon2id$v=19$m=8,t=1,p=1$YmVuY2hpbmdiZW5jaGluZw$E+qBBX3+DI0e+N48K55cfw"
"""SECRET, stored as cheaply as can be: what is measured is what a cache decides, and filling it should take seconds."""

SHA512CRYPT = "$6$benching$dR.1r/4bEGlhlYVdrEIDt9BE/qhAOB.QFESfHcB.oTbHQROKK5K/H30J.a7AHGWUZb0yyzjBiQt7HqEc2.L7./"
YESCRYPT = "$y$j9T$benchingbenchingbench.$s/20CmerBN3Tq7JBOF/HsdXmcpBGwNOGSZ7NOqld009"
"""SECRET at each scheme's own cost, as passwd(1) stores it: most shadow files hold one of the two."""

_SETTLE = 0.05
"""Seconds after a run, in which a daemon ends what it does behind its answers: the last block of its log."""


class Daemon(Protocol):
    """A running daemon. `lifetime`: seconds that it remembers a login."""

    name: str
    lifetime: float

    @property
    def socket(self) -> str:
        """Where it listens."""

    def pids(self) -> tuple[int, ...]:
        """Its processes at this moment."""

    def misses(self) -> int | None:
        """How many good logins were not decided by its cache since the last call; None: it has no cache."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run against one daemon. `cpu`: seconds a request, of all its processes; `elsewhere`: the part of the machine that others took."""

    load: Load
    cpu: float
    misses: int | None
    memory: processes.Memory
    elsewhere: float = 0.0

    def figures(self) -> dict[str, Any]:
        """Everything, for a program."""
        return asdict(self)


@dataclass(frozen=True)
class Bench:
    """`rounds` and `requests` say how much to measure; `tries` how many logins a cause; `say` shows progress.

    `scheme` is that of the system accounts' passwords in the flood.
    """

    directory: str
    generator: Generator
    identities: int
    rounds: int
    requests: int
    tries: float
    scheme: str
    say: Callable[[str], None]

    @cached_property
    def names(self) -> list[str]:
        """Of all accounts, the same for the peer as for us."""
        return [f"bench{number:05d}" for number in range(self.identities)]

    @cached_property
    def installation(self) -> ours.Installation:
        """The default configuration on a store of all accounts."""
        self.say(f"a store of {self.identities} accounts")
        accounts = [Account(Identity(name, REALM), Encoding("argon2id", ARGON2ID)) for name in self.names]
        return ours.install(os.path.join(self.directory, "ours"), accounts)

    @cached_property
    def logins(self) -> str:
        """A good login of each account."""
        return self.generator.requests(login(name, SECRET, REALM) for name in self.names)

    def measure(self, daemon: Daemon, clients: int, requests: int, file: str = "") -> Sample:
        """One run of the requests in `file`: without one, of good logins, one account after the other."""
        return sample(daemon, lambda: self.generator.run(daemon.socket, clients, requests, file or self.logins))


def sample(daemon: Daemon, run: Callable[[], Load]) -> Sample:
    """One run of a generator against the daemon."""
    begun, busy, used, generating = time.monotonic(), processes.busy(), processes.cpu(daemon.pids()), _children()
    load = run()
    time.sleep(_SETTLE)
    pids = daemon.pids()
    used = processes.cpu(pids) - used
    others = processes.busy() - busy - used - (_children() - generating)
    elsewhere = max(0.0, others / (time.monotonic() - begun) / (os.cpu_count() or 1))
    return Sample(load, used / load.requests, daemon.misses(), processes.memory(pids), elsewhere)


def _children() -> float:
    """Seconds of CPU of the generators that have ended."""
    times = os.times()
    return times.children_user + times.children_system


class Warmth:
    """Keeps a daemon's cache full of all accounts. `ask`: a good login of each of them."""

    def __init__(self, bench: Bench, daemon: Daemon, ask: Callable[[], Sample]) -> None:
        self._bench = bench
        self._daemon = daemon
        self._ask = ask
        self._first_ends = 0.0
        self._last_ends = 0.0

    def keep(self, seconds: float) -> None:
        """Every account is in the cache for so long. Where one is not, all have to go first: nothing there is renewed before its end.

        BenchError: the cache does not hold all of them, or a good login is refused.
        """
        if time.monotonic() + seconds <= self._first_ends:
            return
        self._bench.say(f"{self._daemon.name}: warming its cache")
        time.sleep(max(0.0, self._last_ends - time.monotonic()))
        self._first_ends = time.monotonic() + self._daemon.lifetime
        self._pass()
        self._last_ends = time.monotonic() + self._daemon.lifetime
        if missing := self._pass():
            raise BenchError(
                f"{self._daemon.name}: its cache has lost {missing} of {self._bench.identities} accounts as soon as it was full"
            )
        if time.monotonic() + seconds > self._first_ends:
            raise BenchError(f"{self._daemon.name}: its cache forgets before anything can be measured; take fewer --identities")

    def _pass(self) -> int:
        """A good login of each account; returns how many its cache did not decide."""
        found = self._ask()
        if found.load.not_ok:
            raise BenchError(f"{self._daemon.name}: {found.load.not_ok} of {found.load.requests} good logins were not answered OK")
        return found.misses or 0
