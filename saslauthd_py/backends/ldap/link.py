"""Bytes to and from one server, in clear or under TLS. Sending never waits: a login that is cancelled never cuts a message in two."""

from __future__ import annotations

import select
import socket
import ssl

import trio

MOST_RECEIVED = 16384
"""Bytes that are taken at once. Between two takings all other tasks have their turn, however fast the server sends."""

MOST_UNSENT = 1 << 20
"""Bytes that may wait for a server that does not read."""


class LinkBroken(Exception):
    """The server is not there, has gone, or is not who its certificate should say. Its text is one line, without the server's name."""


class Silent(LinkBroken):
    """The server has not answered in time."""


class Link:
    """A connected socket, non-blocking, which this object closes. Who sends must see to it that `keep_sending` runs, or `flush`."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._heard = select.poll()  # a recv that finds nothing raises, which costs three times as much
        self._heard.register(connected, select.POLLIN)
        self._unsent = bytearray()
        self._more = trio.Event()
        self._tls: _Tls | None = None

    @property
    def all_sent(self) -> bool:
        """There is nothing for `keep_sending` or `flush` to do."""
        return not self._unsent

    def send(self, data: bytes) -> None:
        """Now as far as the socket takes it, the rest by `keep_sending`. Raises LinkBroken."""
        self._push(data if self._tls is None else self._tls.encrypted(data))

    async def receive(self) -> bytes:
        """What has come; b"": the server has ended the connection. Raises LinkBroken, also once closed. Cancellation loses nothing."""
        tls = self._tls
        while True:
            if tls is not None:
                plain = tls.plain()
                self._push(tls.to_send())  # an answer to a key update
                if plain or tls.over:
                    return plain
            if self._socket.fileno() < 0:  # nothing can wait for it any more: closed while the waiting task had not run yet
                raise LinkBroken("closed")
            try:
                await trio.lowlevel.wait_readable(self._socket)
                data = self._socket.recv(MOST_RECEIVED)
            except BlockingIOError:
                continue
            except trio.ClosedResourceError:
                raise LinkBroken("closed") from None
            except OSError as error:
                raise LinkBroken(error.strerror or "lost") from None
            if tls is None or not data:
                return data
            tls.feed(data)

    def quiet(self) -> bool:
        """The server has sent nothing that was not received, and has not gone."""
        return not self._heard.poll(0)

    async def begin_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Encrypt from here on. Raises LinkBroken: no handshake, or a certificate that is not to be trusted, or is another host's."""
        tls = _Tls(context, host)
        while not tls.shake_hands():
            self._push(tls.to_send())
            await self.flush()
            if tls.refused:
                raise LinkBroken(tls.refused)
            data = await self.receive()
            if not data:
                raise LinkBroken("ended the connection within the TLS handshake")
            tls.feed(data)
        self._push(tls.to_send())
        self._tls = tls

    async def keep_sending(self) -> None:
        """Send what the socket did not take at once. Until cancelled. Raises LinkBroken."""
        while True:
            await self._more.wait()
            await self.flush()
            self._more = trio.Event()

    async def flush(self) -> None:
        """Return when all has been sent. Raises LinkBroken. Not while `keep_sending` runs."""
        while self._unsent:
            if self._socket.fileno() < 0:
                raise LinkBroken("closed")
            del self._unsent[: self._send_some(self._unsent)]
            if self._unsent:
                try:
                    await trio.lowlevel.wait_writable(self._socket)
                except trio.ClosedResourceError:
                    raise LinkBroken("closed") from None

    def close(self) -> None:
        """Any number of times; who waits for bytes here gets LinkBroken."""
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    def _push(self, data: bytes) -> None:
        if not data:
            return
        if not self._unsent:
            sent = self._send_some(data)
            if sent == len(data):
                return
            data = data[sent:]
        self._unsent += data
        if len(self._unsent) > MOST_UNSENT:
            raise LinkBroken("does not read what it is sent")
        self._more.set()

    def _send_some(self, data: bytes | bytearray) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise LinkBroken(error.strerror or "lost") from None


class _Tls:
    """TLS as bytes in and bytes out. `refused`: why the handshake has failed; `over`: the server has said that no more comes."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self.refused = ""
        self.over = False
        self._unread = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def feed(self, data: bytes) -> None:
        """What has come."""
        self._incoming.write(data)
        self._unread = True

    def to_send(self) -> bytes:
        """What the server is to get."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def shake_hands(self) -> bool:
        """Whether that is done. Where not, send what there is to send; unless `refused`, feed more."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            self.refused = _told(error)
            return False
        return True

    def encrypted(self, data: bytes) -> bytes:
        """The bytes of these. Raises LinkBroken."""
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            raise LinkBroken(_told(error)) from None
        return self._outgoing.read()

    def plain(self) -> bytes:
        """What can be read of all that was fed. Raises LinkBroken."""
        parts = []
        try:
            while self._unread and not self.over:
                part = self._tls.read(MOST_RECEIVED)
                parts.append(part)
                self.over = not part
                self._unread = bool(self._incoming.pending or self._tls.pending())
        except ssl.SSLWantReadError:
            self._unread = False
        except ssl.SSLError as error:
            raise LinkBroken(_told(error)) from None
        return b"".join(parts)


def _told(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {error.verify_message}"
    return f"TLS: {error.reason or error.strerror or error}"
