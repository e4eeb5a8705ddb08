"""Logins over Dovecot's protocol, beside Dovecot's own auth with the same passwd-file: turn about in one run.

Passwords in clear, which Dovecot compares with its lines in memory and we with our cache; and sha512-crypt without any cache, where
each login is a hash.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from tests.bench import beside, ours, stock_dovecot
from tests.bench.bench import REALM, SECRET, SHA512CRYPT, Bench, Daemon, Sample, Warmth, sample
from tests.bench.beside import Rounds
from tests.bench.generator import Connections, DovecotGenerator, Login
from tests.bench.report import Section, at_least

_WARM_UP = 64
"""Requests before the first that counts, where there is no cache to be filled: the file is read, and the hashing threads are there."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of run: `part` of the requests that a run has, and what the ratio of the rates must be."""

    title: str
    connections: Connections
    part: float
    least: float


CLEAR = (
    Kind("1 connection", Connections(1), 0.25, 1.0),
    Kind("8 connections", Connections(8), 2, 1.0),
    Kind("64 connections", Connections(64), 2, 1.0),
    Kind("8 connections with 16 in flight", Connections(8, 16), 2, 1.3),
)
HASHED = (Kind("8 connections", Connections(8), 0.015, 1.5),)


def run(bench: Bench) -> Iterator[Section]:
    """One section for each number of connections; what hashes comes last."""
    clients = _Clients(bench, DovecotGenerator(bench.directory))
    clear = PasswdFile(os.path.join(bench.directory, "clear"), f"{{PLAIN}}{SECRET}", cached=True)
    yield from (section("passwords in clear", *found) for found in clients.beside(clear, CLEAR).items())
    hashed = PasswdFile(os.path.join(bench.directory, "sha512-crypt"), f"{{SHA512-CRYPT}}{SHA512CRYPT}", cached=False)
    yield from (section("sha512-crypt, no cache", *found) for found in clients.beside(hashed, HASHED).items())


def section(subject: str, kind: Kind, rounds: Rounds) -> Section:
    """The budget of one kind of run."""
    return beside.section(f"Dovecot's protocol, {subject}, {kind.title}", rounds, {"requests/s": lambda ratio: at_least(ratio, kind.least)})


@dataclass(frozen=True, slots=True)
class PasswdFile:
    """Both daemons' accounts, all with one secret as `stored`; `cached`: with our cache as by default, or without it."""

    directory: str
    stored: str
    cached: bool

    def write(self, users: Iterable[str], group: int) -> str:
        """The file, in the directory, which is made. Our daemon reads it as its owner, Dovecot's auth by its group."""
        os.mkdir(self.directory, 0o755)
        path = os.path.join(self.directory, "passwd")
        with open(path, "w") as file:
            os.fchmod(file.fileno(), 0o640)
            os.fchown(file.fileno(), ours.owner().pw_uid, group)
            file.writelines(f"{user}:{self.stored}\n" for user in users)
        return path


class _Clients:
    """Good logins, one account after the other, each from an address of its own."""

    def __init__(self, bench: Bench, generator: DovecotGenerator) -> None:
        self._bench = bench
        self._generator = generator
        self._users = [f"{name}@{REALM}" for name in bench.names]
        self._file = generator.requests(Login(user, SECRET, _address(number)) for number, user in enumerate(self._users))

    def beside(self, accounts: PasswdFile, kinds: Iterable[Kind]) -> Mapping[Kind, Rounds]:
        """What both daemons do with these accounts."""
        path = accounts.write(self._users, stock_dovecot.group())
        installation = ours.install_dovecot(os.path.join(accounts.directory, "ours"), path, cached=accounts.cached)
        with stock_dovecot.started(os.path.join(accounts.directory, "dovecot"), path) as peer, ours.started(installation) as own:
            warm = [(daemon, self._warmed(daemon, cached=accounts.cached)) for daemon in (peer, own)]
            return beside.interleaved(self._bench, warm, {kind: kind.title for kind in kinds}, self._measure)

    def _warmed(self, daemon: Daemon, *, cached: bool) -> Warmth | None:
        if cached:
            return Warmth(self._bench, daemon, partial(self._run, daemon, Connections(8), self._bench.identities))
        self._run(daemon, Connections(8), _WARM_UP)
        return None

    def _measure(self, daemon: Daemon, kind: Kind) -> Sample:
        return self._run(daemon, kind.connections, max(1, int(self._bench.requests * kind.part)))

    def _run(self, daemon: Daemon, connections: Connections, requests: int) -> Sample:
        return sample(daemon, lambda: self._generator.run(daemon.socket, connections, requests, self._file))


def _address(number: int) -> str:
    """One of those that are meant for benchmarks (RFC 2544)."""
    return f"198.18.{number // 256 % 256}.{number % 256}"
