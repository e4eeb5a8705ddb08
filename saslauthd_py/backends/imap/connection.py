"""One connection to one server, for one login: reached, encrypted, asked, and left with a good-bye."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TypeVar

import trio

from saslauthd_py.config.settings.imap import ImapSettings
from saslauthd_py.config.settings.imap_server import ImapServer
from saslauthd_py.remote.certificates import client_context
from saslauthd_py.remote.failing import Failed, why
from saslauthd_py.secret import Secret
from saslauthd_py.wire.imap import Client, Dialogue, ImapFault, Response, Stream, method

_T = TypeVar("_T")

_MOST_RECEIVED = 16384

Transport = trio.SocketStream | trio.SSLStream[trio.SocketStream]


@dataclass(frozen=True, slots=True)
class Manner:
    """How all connections of a backend are opened. `context` None: none has TLS."""

    context: ssl.SSLContext | None
    start_tls: bool

    @classmethod
    def of(cls, settings: ImapSettings) -> Manner:
        """As the settings say. Reads the certificates; OSError for those that cannot be, as `client_context`."""
        return cls(client_context(settings.ca_file, verify=settings.verify) if settings.tls else None, settings.start_tls)


class Connection:
    """`secret_sent`: a secret may have reached the server. All that waits raises Failed, and may be cancelled; then it is to be closed."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self._client = Client()
        self._stream = Stream()

    @classmethod
    async def open(cls, server: ImapServer, manner: Manner) -> Connection:
        """Reached and introduced: the server offers a way to log in (`method`). Cancelled, it leaves nothing open."""
        try:
            connection = cls(await trio.open_tcp_stream(server.place.host, server.place.port))
        except OSError as error:
            raise Failed(why(error)) from None
        try:
            await connection._introduce(server, manner)
        except BaseException:
            await connection.close()
            raise
        return connection

    @property
    def secret_sent(self) -> bool:
        """Whether a secret was sent."""
        return self._client.secret_sent

    @property
    def method(self) -> str:
        """How a password is sent here."""
        return method(self._client.offered or frozenset())

    async def login(self, name: bytes, secret: Secret) -> Response:
        """What the server says of it."""
        return await self._hold(self._client.login(name, secret))

    async def leave(self, patience: float) -> None:
        """Say good-bye, wait so many seconds for the server to close, and close. Never raises, but for cancellation."""
        try:
            with trio.move_on_after(patience):
                await self.transport.send_all(self._client.logout())
                while await self.transport.receive_some(_MOST_RECEIVED):
                    pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await self.close()

    async def close(self) -> None:
        """At once."""
        await trio.aclose_forcefully(self.transport)

    async def _introduce(self, server: ImapServer, manner: Manner) -> None:
        context = manner.context
        if context is not None and server.scheme == "imaps":
            await self._begin_tls(context, server.place.host)
        await self._hold(self._client.greeting())
        if context is not None and manner.start_tls:
            await self._hold(self._client.start_tls())
            if self._stream.pending:
                raise Failed("sent bytes in clear behind its answer to STARTTLS: somebody may stand between")
            await self._begin_tls(context, server.place.host)
        await self._hold(self._client.capabilities())
        try:
            _ = self.method
        except ImapFault as error:
            raise Failed(str(error)) from None

    async def _begin_tls(self, context: ssl.SSLContext, host: str) -> None:
        if not isinstance(self.transport, trio.SocketStream):
            raise TypeError("TLS is begun once")
        self._stream = Stream()
        self.transport = trio.SSLStream(self.transport, context, server_hostname=host, https_compatible=True)
        try:
            await self.transport.do_handshake()
        except trio.BrokenResourceError as error:
            raise Failed(_of_handshake(error)) from None

    async def _hold(self, dialogue: Dialogue[_T]) -> _T:
        try:
            data = next(dialogue)
            while True:
                if data:
                    await self.transport.send_all(data)
                data = dialogue.send(await self._response())
        except StopIteration as over:
            result: _T = over.value
            return result
        except ImapFault as error:
            raise Failed(str(error), sent=self.secret_sent) from None
        except trio.BrokenResourceError as error:
            raise Failed(why(error), sent=self.secret_sent) from None

    async def _response(self) -> Response:
        while (response := self._stream.next_response()) is None:
            data = await self.transport.receive_some(_MOST_RECEIVED)
            if not data:
                raise ImapFault("ended the connection")
            self._stream.feed(bytes(data))
        return response


def _of_handshake(error: trio.BrokenResourceError) -> str:
    met = why(error)
    if "WRONG_VERSION_NUMBER" in met:
        return f"speaks no TLS on this port ({met}): use imap:// with start_tls = true, or the port of imaps"
    return met if met != "lost" else "ended the connection within the TLS handshake"
