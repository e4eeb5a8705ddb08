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
        with _named():
            listener = listeners.bind_tcp(address)
        with listener:
            yield listener


def check(address: Loopback | str) -> None:
    """Raise what `listening` would, and listen nowhere."""
    if isinstance(address, str):
        listeners.check(_spec(address))
    else:
        with _named():
            listeners.check_tcp(address)


def _spec(path: str) -> ListenerSpec:
    return ListenerSpec(path, os.geteuid(), os.getegid(), MODE)


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except ListenError as error:
        raise ListenError(f"[metrics] address {error}") from error
