"""Sockets handed over by who started us: sd_listen_fds(3), as systemd's socket units do it. They keep owner, mode, path, address (H2)."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping, MutableMapping
from ipaddress import ip_address

from saslauthd_py.config.settings.address import TcpAddress
from saslauthd_py.listeners.spec import ListenError
from saslauthd_py.listeners.tcp import set_up

_FIRST = 3  # SD_LISTEN_FDS_START


def inherited(environ: MutableMapping[str, str]) -> dict[str, socket.socket]:
    """The listening sockets that LISTEN_FDS promises, by path or address, and under its name in LISTEN_FDNAMES too where only one has it.

    They come back non-blocking and close-on-exec. The variables are taken out of `environ`, whoever they are meant for; where
    LISTEN_PID is another process they are not for us. Raises ListenError: a descriptor that is no listening stream socket, or is one
    without a path or address.
    """
    pid, count, names = (environ.pop(key, "") for key in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if pid != str(os.getpid()) or not count:
        return {}
    if not (count.isascii() and count.isdigit()):
        raise ListenError(f"LISTEN_FDS={count!r} is no number of inherited sockets: start through systemd, or without it")
    with contextlib.ExitStack() as undo:
        taken = [undo.enter_context(_take(descriptor)) for descriptor in range(_FIRST, _FIRST + int(count))]
        undo.pop_all()
    by_place = {_place(listener): listener for listener in taken}
    given = names.split(":") if names else []
    by_name = {name: listener for name, listener in zip(given, taken, strict=False) if name and given.count(name) == 1}
    return by_name | by_place


def choose(sockets: Mapping[str, socket.socket], wanted: str) -> socket.socket | None:
    """The inherited socket for the [[listen]] with this path or address: by that, a path however it is spelt, else by its name.

    The name is the path's last component, or the port. So a socket unit whose path differs (a chroot, a bind mount) says
    FileDescriptorName=mux for /run/saslauthd/mux, and one that is at all addresses FileDescriptorName=12345 for 127.0.0.1:12345.
    """
    if wanted in sockets:
        return sockets[wanted]
    of_unix = wanted.startswith("/")
    for place, listener in sockets.items() if of_unix else ():
        if place.startswith("/") and os.path.realpath(place) == os.path.realpath(wanted):
            return listener
    named = sockets.get(os.path.basename(wanted) if of_unix else wanted.rpartition(":")[2])
    return named if named is not None and (named.family == socket.AF_UNIX) == of_unix else None


def _take(descriptor: int) -> socket.socket:
    try:
        found = socket.socket(fileno=descriptor)
    except OSError as error:
        raise ListenError(
            f"LISTEN_FDS: descriptor {descriptor} is no socket ({error.strerror}): start through systemd, or without it"
        ) from error
    if not (_listens(found) and _place(found)):
        found.detach()
        raise ListenError(
            f"LISTEN_FDS: descriptor {descriptor} is no listening stream socket with a path or an address: "
            "its unit needs ListenStream=/PATH or ListenStream=ADDRESS:PORT"
        )
    os.set_inheritable(descriptor, False)
    found.setblocking(False)
    if found.family != socket.AF_UNIX:
        set_up(found)
    return found


def _listens(found: socket.socket) -> bool:
    return found.type == socket.SOCK_STREAM and bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _place(listener: socket.socket) -> str:
    """Its path or address, as a [[listen]] has it; empty: it has neither."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX and str(name).startswith("/"):
        return str(name)
    if listener.family in (socket.AF_INET, socket.AF_INET6) and listener.proto == socket.IPPROTO_TCP:
        return str(TcpAddress(ip_address(name[0]), name[1]))
    return ""
