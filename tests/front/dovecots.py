"""A Dovecot listener on a real socket, in this process and on virtual time; only the backend is scripted."""

from __future__ import annotations

import hashlib
import os
import socket
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from saslauthd_py.admission import Admission
from saslauthd_py.authenticator import Authenticator, Grounds
from saslauthd_py.backend import KeysFound
from saslauthd_py.cache import Cache
from saslauthd_py.config.settings import AdmissionSettings, Listen
from saslauthd_py.config.settings.proxy_user import ProxyUser
from saslauthd_py.credential import UNRESTRICTED, Restrictions
from saslauthd_py.front.connections import Connections
from saslauthd_py.front.dovecot import DovecotPort, Reading
from saslauthd_py.front.held import Held
from saslauthd_py.front.loop import Loop
from saslauthd_py.front.ports import Front, PortSettings
from saslauthd_py.front.record import Record
from saslauthd_py.identity import Identity
from saslauthd_py.keys import AccountKeys, Hash
from saslauthd_py.log.destination import Descriptor
from saslauthd_py.log.output import Output
from saslauthd_py.mechanisms.scram.keys import decoy, derive
from saslauthd_py.metrics import Counters
from saslauthd_py.proxy_users import ProxyUsers
from saslauthd_py.queue import Queue
from saslauthd_py.routing import Member, Route, Routes
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Rejected, Unavailable, UnknownUser, Verdict
from tests.front.fronts import ScriptedBackend

ROUNDS = 4096
PASSWORD = "pw1"
ALL = ("PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-1")
POSTFIX = b"service=smtp\tnologin\tlip=192.0.2.25\trip=198.51.100.7\tsecured"


@dataclass
class KeyedBackend(ScriptedBackend):
    """As ScriptedBackend, and it can make keys of the passwords that it knows."""

    answers: list[Rejected | UnknownUser | Unavailable] = field(default_factory=list)
    restrictions: Restrictions = UNRESTRICTED

    async def find_keys(self, name: Identity, function: Hash) -> KeysFound | Rejected | UnknownUser | Unavailable:
        if self.gate is not None:
            await self.gate.wait()
        await trio.lowlevel.checkpoint()
        if self.answers:
            return self.answers.pop(0)
        known = self.accounts.get(str(name))
        if known is None:
            return UnknownUser()
        salt = hashlib.sha256(str(name).encode()).digest()[:16]
        keys = AccountKeys(salt, ROUNDS, ((7, derive(function, Secret(known), salt, ROUNDS)),))
        return KeysFound(name, keys, {7: self.restrictions})

    async def find_account(self, name: Identity) -> Verdict:
        await trio.lowlevel.checkpoint()
        return Accepted(name, self.restrictions) if str(name) in self.accounts else UnknownUser()

    def decoy(self, name: Identity, function: Hash) -> AccountKeys:
        return decoy(Secret(b"k" * 32), function, str(name), ROUNDS)

    def lack(self, function: Hash) -> str:
        return ""

    @property
    def counted(self) -> bool:
        return True


@dataclass(frozen=True)
class Build:
    """How a listener is made; `replace` one field for a test."""

    listen: Listen = field(default_factory=lambda: Listen(protocol="dovecot", path="/run/saslauthd-py/auth"))
    offered: tuple[str, ...] = ALL
    delay: float = 2.0
    ttl: float = 60.0
    most: int = 100
    deadline: float = 8.0
    allowed: frozenset[int] | None = None
    admission: AdmissionSettings = field(default_factory=AdmissionSettings)
    grants: tuple[ProxyUser, ...] = ()
    withheld: str = ""


class Client:
    """One connection, which has read the server's handshake."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._buffer = b""

    async def begin(self, minor: int = 0) -> list[bytes]:
        """Shake hands as Postfix does; returns the server's lines."""
        await self.send(b"VERSION\t1\t%d\nCPID\t4711\n" % minor)
        lines = [await self.line()]
        while lines[-1] != b"DONE":
            lines.append(await self.line())
        return lines

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def auth(self, number: int, mechanism: str, initial: bytes | None = None, parameters: bytes = POSTFIX) -> None:
        resp = b"" if initial is None else b"\tresp=" + b64encode(initial)
        await self.send(b"AUTH\t%d\t%b\t%b%b\n" % (number, mechanism.encode(), parameters, resp))

    async def cont(self, number: int, message: bytes) -> None:
        await self.send(b"CONT\t%d\t%b\n" % (number, b64encode(message)))

    async def line(self) -> bytes:
        """The next line; b"": the server has closed the connection."""
        while b"\n" not in self._buffer:
            try:
                more = await self.stream.receive_some(65536)
            except trio.BrokenResourceError:
                more = b""
            if not more:
                return b""
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    async def challenge(self, number: int) -> bytes:
        """The message in the CONT that comes next."""
        word, its, message = (await self.line()).split(b"\t")
        assert (word, int(its)) == (b"CONT", number)
        return b64decode(message)

    async def close(self) -> None:
        await self.stream.aclose()


@dataclass
class Running:
    """What a test has in its hands while a listener serves."""

    path: str
    backend: KeyedBackend
    port: DovecotPort
    loop: Loop
    cache: Cache
    counters: Counters
    output: Output
    log: Path
    front: Front
    build: Build
    clients: list[Client] = field(default_factory=list)

    async def connect(self, minor: int = 0) -> Client:
        """A client whose handshake is over."""
        client = await self.dial()
        await client.begin(minor)
        return client

    async def dial(self) -> Client:
        connected = trio.socket.socket(socket.AF_UNIX)
        await connected.connect(self.path)
        self.clients.append(Client(trio.SocketStream(connected)))
        return self.clients[-1]

    def another(self) -> DovecotPort:
        """A port as a reload would make it for the same listener."""
        port = _port(self.port._listener, self.path, self.build, self.front)
        port.offer(self.build.offered)
        return port

    def lines(self) -> list[str]:
        """The log so far; the last thing that a test asks for."""
        self.output.writer.close()
        return self.log.read_text().splitlines()


def plain(name: str = "alice@example.test", secret: str = PASSWORD, authzid: str = "") -> bytes:
    return f"{authzid}\0{name}\0{secret}".encode()


def _port(listener: socket.socket, path: str, build: Build, front: Front) -> DovecotPort:
    async def withheld(_mechanism: str) -> str:
        return build.withheld

    settings = PortSettings(0, path, build.deadline, build.allowed, withheld=withheld)
    return DovecotPort(listener, Reading(build.listen), settings, front, Held(build.delay, 50))


@asynccontextmanager
async def running(directory: Path, build: Build | None = None, backend: KeyedBackend | None = None) -> AsyncIterator[Running]:
    build, backend = build or Build(), backend or KeyedBackend()
    path, log = str(directory / "auth"), directory / "log"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1024)
    listener.setblocking(False)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    output, counters = Output(Descriptor(descriptor)), Counters()
    cache = Cache(1000, trio.current_time, [("users", backend)])
    loop = Loop(Connections(build.most, build.most), lambda: None)
    everything = frozenset({"*"})
    member = Member("users", backend, Queue(64), build.ttl, watched=backend, used={}, keyed=backend)
    routes = Routes([Route(frozenset({"example.test", ""}), everything, everything, (member,))])
    try:
        async with trio.open_nursery() as nursery:
            grounds = Grounds(routes, cache, Admission(build.admission, trio.current_time), ProxyUsers(build.grants))
            authenticator = Authenticator(grounds, nursery, build.deadline)
            front = Front(loop, authenticator, cache, Record(output, counters), nursery)
            port = _port(listener, path, build, front)
            port.offer(build.offered)
            loop.add(listener, port)
            nursery.start_soon(loop.serve)
            clients: list[Client] = []
            try:
                yield Running(path, backend, port, loop, cache, counters, output, log, front, build, clients)
            finally:
                for client in clients:
                    await trio.aclose_forcefully(client.stream)
            nursery.cancel_scope.cancel()
    finally:
        loop.shut()
        listener.close()
        output.close()
        os.close(descriptor)
