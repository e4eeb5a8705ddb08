"""Between a client and the daemon: a socket that hands every line on, keeps a copy, and may change what the daemon says."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

Change = Callable[[bytes], bytes]


class Relay:
    """`connections` holds for each, oldest first, the lines that its client sent."""

    def __init__(self, listener: socket.socket, to: Path, change: Change) -> None:
        self.connections: list[list[bytes]] = []
        self._listener = listener
        self._to = to
        self._change = change
        self._running: list[tuple[socket.socket, threading.Thread]] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def stop(self) -> None:
        """Cut every connection; returns when nothing is under way any more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        for client, thread in self._running:
            _cut(client)
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # it was shut down
                return
            thread = threading.Thread(target=self._connect, args=(client,))
            self._running.append((client, thread))
            thread.start()

    def _connect(self, client: socket.socket) -> None:
        lines: list[bytes] = []
        self.connections.append(lines)

        def noted(line: bytes) -> bytes:
            lines.append(line)
            return line

        with client, socket.socket(socket.AF_UNIX) as daemon:
            daemon.connect(str(self._to))
            forth = threading.Thread(target=_pump, args=(client, daemon, noted))
            forth.start()
            _pump(daemon, client, self._change)
            forth.join()


@contextmanager
def relaying(at: Path, to: Path, owner: str = "", change: Change = bytes) -> Iterator[Relay]:
    """Relay from `at` to the daemon at `to`, each of its lines through `change`, until the end of the block; `at` is made, for `owner`."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(at))
        at.chmod(0o600)
        if owner:
            shutil.chown(at, owner)
        listener.listen()
        relay = Relay(listener, to, change)
        try:
            yield relay
        finally:
            at.unlink()
            relay.stop()


def _pump(source: socket.socket, sink: socket.socket, change: Change) -> None:
    """Line by line, until either side is gone; then both are."""
    with source.makefile("rb") as received, suppress(OSError):
        for line in received:
            sink.sendall(change(line))
    _cut(sink)
    _cut(source)


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # it is cut already
        connection.shutdown(socket.SHUT_RDWR)
