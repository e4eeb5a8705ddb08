"""The server's end of an LDAP connection, for what no real server sends: each test writes its part."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from saslauthd_py.backends.ldap.connection import Connection
from saslauthd_py.backends.ldap.link import Link
from saslauthd_py.backends.ldap.opening import Manner
from saslauthd_py.backends.ldap.server import Server
from saslauthd_py.config.settings.ldap_server import LdapServer
from saslauthd_py.secret import Secret
from saslauthd_py.wire.ldap import (
    AnonymousBind,
    BindRequest,
    Compare,
    CompareRequest,
    Place,
    ResultCode,
    Search,
    SearchRequest,
    Stream,
    ber,
)

SUCCESS, WRONG = ResultCode.SUCCESS, ResultCode.INVALID_CREDENTIALS

BIND, ENTRY, DONE, REFERENCE, COMPARED, EXTENDED, INTERMEDIATE = 0x61, 0x64, 0x65, 0x73, 0x6F, 0x78, 0x79
"""Answers, by their tags."""

A_BIND, UNBIND, A_SEARCH, ABANDON, A_COMPARE, AN_EXTENDED = 0x60, 0x42, 0x63, 0x50, 0x6E, 0x77
"""Requests."""

ANONYMOUS = Manner(None, False, AnonymousBind())
AS_SERVICE = Manner(None, False, BindRequest(b"cn=service", Secret(b"service pw")))

_SEARCH = Search(Compare(b"uid", (Place("U"),)), size_limit=2)


def search(uid: str = "alice") -> SearchRequest:
    return SearchRequest(_SEARCH, b"dc=test", {"U": uid.encode()})


def bind(uid: str = "alice") -> BindRequest:
    return BindRequest(b"uid=" + uid.encode(), Secret(b"pw"))


def compare(uid: str = "alice") -> CompareRequest:
    return CompareRequest(b"cn=mail", b"member", uid.encode())


def message(number: int, operation: bytes) -> bytes:
    return ber.element(ber.SEQUENCE, ber.number(ber.INTEGER, number) + operation)


def result(number: int, tag: int, code: int = 0, diagnostic: bytes = b"", more: bytes = b"") -> bytes:
    said = ber.number(ber.ENUMERATED, code) + ber.element(ber.OCTETS, b"") + ber.element(ber.OCTETS, diagnostic)
    return message(number, ber.element(tag, said + more))


def entry(number: int, name: bytes = b"uid=alice", padding: int = 0) -> bytes:
    value = ber.element(ber.OCTETS, b"description") + ber.element(ber.SET, ber.element(ber.OCTETS, bytes(padding)))
    attributes = ber.element(ber.SEQUENCE, value) if padding else b""
    return message(number, ber.element(ENTRY, ber.element(ber.OCTETS, name) + ber.element(ber.SEQUENCE, attributes)))


def notice(code: int = ResultCode.UNAVAILABLE, diagnostic: bytes = b"", name: bytes = b"1.3.6.1.4.1.1466.20036") -> bytes:
    """Unsolicited (RFC 4511 section 4.4)."""
    return result(0, EXTENDED, code, diagnostic, ber.element(0x8A, name))


class Peer:
    """The server's end."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.last = b""  # the whole of the last request
        self._received = b""

    async def request(self) -> tuple[int, int]:
        """Number and tag of the next request. EndOfChannel: there is none."""
        while True:
            try:
                begin, end = ber.expect(ber.SEQUENCE, self._received, 0, len(self._received))
            except ber.Malformed:
                data = await self.stream.receive_some()
                if not data:
                    raise trio.EndOfChannel from None
                self._received += data
            else:
                number, at = ber.read_number(ber.INTEGER, self._received, begin, end)
                tag = self._received[at]
                self.last, self._received = self._received[:end], self._received[end:]
                return number, tag

    async def say(self, *messages: bytes) -> None:
        """All in one piece."""
        await self.stream.send_all(b"".join(messages))

    async def answer(self, code: int = SUCCESS) -> int:
        """Answer the next request that wants it, with one entry where it is a search; its tag."""
        number, tag = await self.request()
        match tag:
            case _ if tag == A_SEARCH:
                await self.say(entry(number), result(number, DONE, code))
            case _ if tag in (A_BIND, A_COMPARE, AN_EXTENDED):
                await self.say(result(number, {A_BIND: BIND, A_COMPARE: COMPARED, AN_EXTENDED: EXTENDED}[tag], code))
        return tag

    async def serve(self) -> None:
        """Say yes to everything, until the other side ends it."""
        try:
            while True:
                await self.answer()
        except (trio.EndOfChannel, trio.BrokenResourceError):
            await self.stream.aclose()


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Connection, Peer]]:
    """A connection that is served, and its other end; nothing of it is left at the end."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    async with trio.open_nursery() as nursery, trio.SocketStream(trio.socket.from_stdlib_socket(theirs)) as stream:
        connection = Connection(Link(ours), Stream(), 0)
        nursery.start_soon(connection.serve)
        yield connection, Peer(stream)
        connection.close()
        assert ours.fileno() == -1


Part = Callable[[Peer], Awaitable[None]]


class Fake:
    """A server on a socket of its own, whose part is `play`, for each connection anew. `peers`: all connections so far."""

    def __init__(self, path: Path, play: Part) -> None:
        self.where = LdapServer("ldapi", "ldap.test", path=str(path))
        self.play = play
        self.peers: list[Peer] = []
        self.open = 0
        self.most_open = 0
        self._path = path
        self._serving = trio.CancelScope()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until `stop`: the socket is gone then, and so are its connections."""
        self._path.unlink(missing_ok=True)
        listening = trio.socket.socket(socket.AF_UNIX)
        await listening.bind(str(self._path))
        listening.listen(64)
        with trio.CancelScope() as self._serving, listening:
            task_status.started()
            await trio.serve_listeners(self._connection, [trio.SocketListener(listening)])

    def stop(self) -> None:
        self._path.unlink(missing_ok=True)
        self._serving.cancel()

    async def _connection(self, stream: trio.SocketStream) -> None:
        peer = Peer(stream)
        self.peers.append(peer)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await self.play(peer)
        except (trio.EndOfChannel, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.open -= 1


@asynccontextmanager
async def asked(fake: Fake, manner: Manner = AS_SERVICE, *, connections: int = 8, timeout: float = 5.0) -> AsyncIterator[Server]:  # noqa: ASYNC109 - the setting of this name
    """A server of a backend whose other side is this one."""
    async with trio.open_nursery() as nursery:
        await nursery.start(fake.run)
        server = Server(fake.where, manner, (connections, timeout), nursery)
        yield server
        server.close()
        fake.stop()


async def silence(peer: Peer) -> None:
    """Take everything, say nothing."""
    while await peer.stream.receive_some(65536):
        pass


async def serving(peer: Peer) -> None:
    """Say yes to everything."""
    await peer.serve()


async def until(happened: Callable[[], bool]) -> float:
    """Wait where no event tells, for a minute at most; the seconds that it took."""
    began = trio.current_time()
    with trio.fail_after(60):
        while not happened():  # noqa: ASYNC110 - no event tells
            await trio.sleep(0.01)
    return trio.current_time() - began
