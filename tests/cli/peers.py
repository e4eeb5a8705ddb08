"""A saslauthd that answers as it is told."""

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
        self.requests: list[Request] = []
        self._replies = replies
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()

    def run(self) -> None:
        for reply in self._replies:
            connection, _ = self._listener.accept()
            with connection:
                if reply is None:
                    select.select([connection], [], [])  # the request is there, unread: the close resets the connection
                    continue
                request = saslauthd.parse(connection.recv(65536))
                assert isinstance(request, Request)
                self.requests.append(request)
                for piece in reply if isinstance(reply, tuple) else (reply,):
                    connection.sendall(piece)

    def close(self) -> None:
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
