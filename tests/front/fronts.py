"""A whole front on a real socket, in this process and on virtual time; only the backend is scripted."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import trio

from saslauthd_py import identity
from saslauthd_py.admission import Admission
from saslauthd_py.authenticator import Authenticator, Grounds
from saslauthd_py.backend import Attempt, BackendUnreadable
from saslauthd_py.cache import Cache
from saslauthd_py.config.settings import AdmissionSettings
from saslauthd_py.front import saslauthd
from saslauthd_py.front.connections import Connections
from saslauthd_py.front.held import Held
from saslauthd_py.front.loop import Loop
from saslauthd_py.front.one_request import Dialect, OneRequestPort
from saslauthd_py.front.ports import Front, PortSettings
from saslauthd_py.front.record import Record
from saslauthd_py.identity import Identity
from saslauthd_py.log.destination import Descriptor
from saslauthd_py.log.output import Output
from saslauthd_py.metrics import Counters
from saslauthd_py.proxy_users import ProxyUsers
from saslauthd_py.queue import Queue
from saslauthd_py.routing import Member, Route, Routes
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, UnknownUser, Verdict
from saslauthd_py.wire import saslauthd as wire


@dataclass
class ScriptedBackend:
    """Knows `accounts`; says `verdicts` first, if any; waits for `gate` where there is one."""

    accounts: dict[str, bytes] = field(default_factory=lambda: {"alice@example.test": b"pw1"})
    verdicts: list[Verdict | Exception] = field(default_factory=list)
    accepted: Callable[[Attempt], Accepted] = lambda attempt: Accepted(attempt.identity)
    login: Callable[[Identity], Identity] = lambda name: name
    gate: trio.Event | None = None
    asked: list[Attempt] = field(default_factory=list)
    pretended: int = 0
    changed: list[Iterable[str] | BackendUnreadable | None] = field(default_factory=list)
    version: int = 0

    async def verify_password(self, attempt: Attempt) -> Verdict:
        self.asked.append(attempt)
        if self.gate is not None:
            await self.gate.wait()
        await trio.lowlevel.checkpoint()
        if self.verdicts:
            verdict = self.verdicts.pop(0)
            if isinstance(verdict, Exception):
                raise verdict
            return verdict
        known = self.accounts.get(str(attempt.identity))
        if known is None:
            return UnknownUser()
        return self.accepted(attempt) if Secret(known) == attempt.secret else Rejected(Reason.WRONG_SECRET)

    async def pretend(self, secret: Secret) -> None:
        self.pretended += 1

    def changes(self) -> Iterable[str] | None:
        answer = self.changed.pop(0) if self.changed else ()
        if isinstance(answer, BackendUnreadable):
            raise answer
        return answer

    def account(self, name: Identity) -> str:
        return identity.account(self.login(name))

    def generation(self, name: Identity) -> int:
        return self.version


@dataclass
class Running:
    """What a test has in its hands while a front serves."""

    path: str
    backend: ScriptedBackend
    loop: Loop
    cache: Cache
    counters: Counters
    output: Output
    log: Path
    pulses: list[None]
    used: dict[int, float]

    async def connect(self) -> trio.SocketStream:
        return trio.SocketStream(await _connected(self.path))

    def connect_now(self) -> socket.socket:
        """A plain socket, connected without giving the front a turn."""
        client = socket.socket(socket.AF_UNIX)
        client.connect(self.path)
        return client

    async def ask(self, login: bytes = b"alice", secret: bytes = b"pw1", realm: bytes = b"example.test", service: bytes = b"smtp") -> bytes:
        """One request, as libsasl sends it; returns everything up to the end of the connection."""
        return await self.send(wire.encode(wire.Request(login, Secret(secret), service, realm)))

    async def send(self, data: bytes) -> bytes:
        stream = await self.connect()
        async with stream:
            await stream.send_all(data)
            return await read_all(stream)

    def lines(self) -> list[str]:
        """The log so far; the last thing that a test asks for."""
        self.output.writer.close()
        return self.log.read_text().splitlines()


async def read_all(stream: trio.SocketStream) -> bytes:
    return b"".join([chunk async for chunk in stream])


async def _connected(path: str) -> trio.socket.SocketType:
    client = trio.socket.socket(socket.AF_UNIX)
    await client.connect(path)
    return client


@dataclass(frozen=True)
class Build:
    """How a front is made; `replace` one field for a test."""

    delay: float = 2.0
    held: int = 50
    ttl: float = 60.0
    most: int = 100
    per_peer: int = 100
    port: PortSettings = field(default_factory=lambda: PortSettings(0, "", 8.0))
    admission: AdmissionSettings = field(default_factory=AdmissionSettings)
    dialect: Dialect = field(default_factory=saslauthd.dialect)


@asynccontextmanager
async def running(directory: Path, build: Build, backend: ScriptedBackend | None = None) -> AsyncIterator[Running]:
    backend = backend or ScriptedBackend()
    path = str(directory / "mux")
    log = directory / "log"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1024)
    listener.setblocking(False)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    output, counters, pulses = Output(Descriptor(descriptor)), Counters(), list[None]()
    cache = Cache(1000, trio.current_time, [("users", backend)])
    loop = Loop(Connections(build.most, build.per_peer), lambda: pulses.append(None))
    everything = frozenset({"*"})
    used: dict[int, float] = {}
    member = Member("users", backend, Queue(64), build.ttl, watched=backend, used=used)
    routes = Routes([Route(frozenset({"example.test", ""}), everything, everything, (member,))])
    try:
        async with trio.open_nursery() as nursery:
            grounds = Grounds(routes, cache, Admission(build.admission, trio.current_time), ProxyUsers())
            authenticator = Authenticator(grounds, nursery, build.port.deadline)
            front = Front(loop, authenticator, cache, Record(output, counters), nursery)
            port = OneRequestPort(listener, build.dialect, replace(build.port, path=path), front, Held(build.delay, build.held))
            loop.add(listener, port)
            nursery.start_soon(loop.serve)
            yield Running(path, backend, loop, cache, counters, output, log, pulses, used)
            nursery.cancel_scope.cancel()
    finally:
        loop.shut()
        listener.close()
        output.close()
        os.close(descriptor)
