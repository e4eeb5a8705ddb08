"""Bind a TCP listener, for Dovecot's protocol: on loopback, or for the networks that the configuration names (rule H2)."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from saslauthd_py.config.settings.address import TcpAddress
from saslauthd_py.listeners import occupants
from saslauthd_py.listeners.binding import BACKLOG
from saslauthd_py.listeners.spec import ListenError


def bind_tcp(address: TcpAddress) -> socket.socket:
    """A listener at `address`, non-blocking and close-on-exec; an IPv6 one is for IPv6 alone. Never waits. Raises ListenError."""
    with _reported(address), ExitStack() as undo:
        made = undo.enter_context(_bound(address))
        made.listen(BACKLOG)
        undo.pop_all()
        return made


def check_tcp(address: TcpAddress) -> None:
    """Raise what `bind_tcp` would, and listen nowhere."""
    with _reported(address):
        _bound(address).close()


def set_up(listener: socket.socket) -> None:
    """What connections have from their listener: an answer goes out at once, and a client whose machine is gone is found out."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _bound(address: TcpAddress) -> socket.socket:
    family = socket.AF_INET if address.host.version == 4 else socket.AF_INET6
    with ExitStack() as undo:
        made = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of the daemon before may be in TIME_WAIT
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        set_up(made)
        made.bind((str(address.host), address.port))
        undo.pop_all()
        return made


@contextmanager
def _reported(address: TcpAddress) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ListenError(f"{address}: {_advice(address, error)}") from error


def _advice(address: TcpAddress, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"{occupants.of_port(address)} listens there: stop it, or choose another port"
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT:
            later = "" if address.loopback else ", or not yet (After=network-online.target in the unit waits for it)"
            return f"this machine has no such address{later}: choose one that `ip address` shows"
        case errno.EACCES if os.geteuid() != 0:
            return f"uid {os.geteuid()} may not listen at port {address.port}: choose one from 1024 on, or start as root"
        case errno.EACCES:
            return f"root may not listen at port {address.port}: the service lacks CAP_NET_BIND_SERVICE, or SELinux refuses it"
    return f"cannot be bound: {error.strerror}"
