"""A server of IMAP for what a real one would not say: it answers each line of its client by a table, and may fall silent or hang up."""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from saslauthd_py.config.settings.host import HostPort
from saslauthd_py.config.settings.imap import ImapSettings
from saslauthd_py.config.settings.imap_server import ImapServer

HANG_UP, SILENCE = b"hang up", b"silence"
GREETING = b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready\r\n"
OK = b"{tag} OK in\r\n"


@dataclass(slots=True)
class Conduct:
    """What it says: first, to STARTTLS and to the login. `{tag}` becomes the command's. `secrets`: those that it was shown, in order."""

    greeting: bytes = GREETING
    start_tls: bytes = b"{tag} BAD what?\r\n"
    login: bytes | Callable[[str, str], bytes] = OK
    context: ssl.SSLContext | None = None
    logins: list[tuple[str, str]] = field(default_factory=list)
    connections: int = 0
    goodbyes: int = 0
    ended: int = 0


async def _serve(conduct: Conduct, stream: trio.SocketStream) -> None:
    conduct.connections += 1
    async with stream:
        connection: trio.abc.Stream = stream
        if not await _say(connection, conduct.greeting):
            return
        received = b""
        while data := await connection.receive_some(4096):
            received += data
            while b"\r\n" in received:
                line, _, received = received.partition(b"\r\n")
                tag, _, command = line.partition(b" ")
                if not await _say(connection, _answer(conduct, command).replace(b"{tag}", tag)):
                    return
                if command == b"STARTTLS" and conduct.context is not None:
                    connection = trio.SSLStream(stream, conduct.context, server_side=True, https_compatible=True)
                    received = b""


def _answer(conduct: Conduct, command: bytes) -> bytes:
    if command == b"STARTTLS":
        return conduct.start_tls
    if command == b"CAPABILITY":
        return b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN\r\n{tag} OK done\r\n"
    if command == b"LOGOUT":
        conduct.goodbyes += 1
        return b"* BYE bye\r\n{tag} OK bye\r\n"
    _, name, secret = base64.b64decode(command.removeprefix(b"AUTHENTICATE PLAIN ")).decode().split("\0")
    conduct.logins.append((name, secret))
    return conduct.login if isinstance(conduct.login, bytes) else conduct.login(name, secret)


async def _say(connection: trio.abc.Stream, said: bytes) -> bool:
    """Whether it goes on."""
    if said == HANG_UP:
        return False
    if said == SILENCE:
        await trio.sleep_forever()
    await connection.send_all(said)
    return True


async def until(happened: Callable[[], bool]) -> None:
    """Wait for what the server sees."""
    with trio.fail_after(20):
        while not happened():  # noqa: ASYNC110 - the server is of many tests, and has no event for each
            await trio.sleep(0.005)


@asynccontextmanager
async def serving(conduct: Conduct) -> AsyncIterator[ImapServer]:
    """It listens on loopback until the end of the block."""

    async def serve(stream: trio.SocketStream) -> None:
        try:
            await _serve(conduct, stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):  # the client is gone
            return
        finally:
            conduct.ended += 1

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield ImapServer("imap", HostPort("127.0.0.1", listener.socket.getsockname()[1]))
        nursery.cancel_scope.cancel()


def settings(*servers: ImapServer, **more: object) -> ImapSettings:
    return ImapSettings.model_validate({"type": "imap", "servers": list(map(str, servers)), "timeout": "20s", **more})
