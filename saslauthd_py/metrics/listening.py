"""Where metrics are asked for: a TCP address of this machine alone, or a UNIX socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from saslauthd_py import listeners
from saslauthd_py.config.settings.metrics import Loopback
from saslauthd_py.listeners import ListenError, ListenerSpec

MODE = 0o666
"""Of a UNIX socket: as over TCP, who can reach it may read. Its directory can say otherwise."""

BACKLOG = 16


@contextmanager
def listening(address: Loopback | str) -> Iterator[socket.socket]:
    """A non-blocking listener, there and closed again; a path goes with it. Bound as whoever this process is now. Raises ListenError."""
    if isinstance(address, str):
        ours = listeners.bind(_spec(address))
        try:
            yield ours.socket
        finally:
            listeners.unlink_own(ours)
            ours.socket.close()
    else:
        with _bound(address) as listener:
            listener.listen(BACKLOG)
            listener.setblocking(False)
            yield listener


def check(address: Loopback | str) -> None:
    """Raise what `listening` would, and listen nowhere."""
    if isinstance(address, str):
        listeners.check(_spec(address))
    else:
        _bound(address).close()


def _spec(path: str) -> ListenerSpec:
    return ListenerSpec(path, os.geteuid(), os.getegid(), MODE)


def _bound(address: Loopback) -> socket.socket:
    family = socket.AF_INET if address.host.version == 4 else socket.AF_INET6
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((str(address.host), address.port))
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise ListenError(f"[metrics] address {address}: cannot be bound: {error.strerror}: choose another, or a path") from error
    return listener
