"""Clients that take a connection and give nothing for it: half a request, one byte a second, or none at all."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_TICK = 0.05
_OPENED_A_TICK = 100
"""At most: the peer's backlog is for its good clients."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """So many clients that write `first` at once, and then a byte of `slowly` every second."""

    clients: int
    first: bytes
    slowly: bytes = b""


@dataclass(eq=False, slots=True)
class _Client:
    behaviour: Behaviour
    socket: socket.socket | None = None
    written: int = 0
    due: float = 0.0


@dataclass(slots=True)
class Stall:
    """`opened` counts connections: those that the daemon closes are opened again."""

    path: str
    clients: list[_Client]
    opened: int = 0
    complete: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until `ended`; `complete` is set when all are connected for the first time."""
        with selectors.DefaultSelector() as selector:
            while not self.ended.wait(_TICK):
                for key, _ in selector.select(0):
                    self._close(key.data, selector)
                missing = [client for client in self.clients if client.socket is None]
                for client in missing[:_OPENED_A_TICK]:
                    self._open(client, selector)
                if len(missing) <= _OPENED_A_TICK:
                    self.complete.set()
                self._dribble(selector)
            for client in self.clients:
                self._close(client, selector)

    def _open(self, client: _Client, selector: selectors.BaseSelector) -> None:
        client.socket = socket.socket(socket.AF_UNIX)
        client.socket.setblocking(False)
        selector.register(client.socket, selectors.EVENT_READ, client)
        client.written, client.due = 0, time.monotonic() + 1
        try:
            client.socket.connect(self.path)
            client.socket.send(client.behaviour.first)
            self.opened += 1
        except OSError:  # backlog full, or closed at once: later
            self._close(client, selector)

    def _dribble(self, selector: selectors.BaseSelector) -> None:
        now = time.monotonic()
        for client in self.clients:
            left = client.behaviour.slowly[client.written : client.written + 1]
            if client.socket is None or not left or client.due > now:
                continue
            client.written, client.due = client.written + 1, now + 1
            try:
                client.socket.send(left)
            except OSError:
                self._close(client, selector)

    def _close(self, client: _Client, selector: selectors.BaseSelector) -> None:
        if client.socket:
            selector.unregister(client.socket)
            client.socket.close()
            client.socket = None


@contextmanager
def stalled(path: str, behaviours: tuple[Behaviour, ...]) -> Iterator[Stall]:
    """All of these clients hold their connections in this block."""
    stall = Stall(path, [_Client(behaviour) for behaviour in behaviours for _ in range(behaviour.clients)])
    thread = threading.Thread(target=stall.run, name="stalling clients")
    thread.start()
    try:
        stall.complete.wait(30)
        yield stall
    finally:
        stall.ended.set()
        thread.join()
