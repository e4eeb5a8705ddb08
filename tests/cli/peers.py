"""A daemon that answers as it is told, on a socket of whatever protocol."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from saslauthd_py.wire import saslauthd
from saslauthd_py.wire.saslauthd import Request

Reply = bytes | tuple[bytes, ...] | None


class Peer(threading.Thread):
    """Answers connections in turn: a reply (bytes, in pieces of a tuple), nothing and a close, or (None) a close without reading."""

    def __init__(self, path: Path, replies: list[Reply]) -> None:
        super().__init__()
        self.path = str(path)
        self.received: list[bytes] = []
        self._replies = replies
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()

    def run(self) -> None:
        for reply in self._replies:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed, and nobody has come
            with connection:
                if reply is None:
                    select.select([connection], [], [])  # the request is there, unread: the close resets the connection
                    continue
                self.received.append(connection.recv(65536))
                for piece in reply if isinstance(reply, tuple) else (reply,):
                    connection.sendall(piece)

    @property
    def requests(self) -> list[Request]:
        """What was received, as the saslauthd protocol has it."""
        parsed = [saslauthd.parse(data) for data in self.received]
        assert all(isinstance(request, Request) for request in parsed)
        return [request for request in parsed if isinstance(request, Request)]

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # ends an accept for which nobody comes any more
        self.join()
        self._listener.close()


@contextmanager
def answering(directory: Path, *replies: Reply) -> Iterator[Peer]:
    peer = Peer(directory / "mux", list(replies))
    peer.start()
    try:
        yield peer
    finally:
        peer.close()
