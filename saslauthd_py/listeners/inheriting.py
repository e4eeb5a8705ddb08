"""Sockets handed over by who started us: sd_listen_fds(3), as systemd's socket units do it. They keep owner, mode and path (H2)."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping, MutableMapping

from saslauthd_py.listeners.spec import ListenError

_FIRST = 3  # SD_LISTEN_FDS_START


def inherited(environ: MutableMapping[str, str]) -> dict[str, socket.socket]:
    """The listening UNIX sockets that LISTEN_FDS promises, by path, and under its name in LISTEN_FDNAMES too where only one has it.

    They come back non-blocking and close-on-exec. The variables are taken out of `environ`, whoever they are meant for; where
    LISTEN_PID is another process they are not for us. Raises ListenError: a descriptor that is no listening UNIX stream socket with
    a path.
    """
    pid, count, names = (environ.pop(key, "") for key in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if pid != str(os.getpid()) or not count:
        return {}
    if not (count.isascii() and count.isdigit()):
        raise ListenError(f"LISTEN_FDS={count!r} is no number of inherited sockets: start through systemd, or without it")
    with contextlib.ExitStack() as undo:
        taken = [undo.enter_context(_take(descriptor)) for descriptor in range(_FIRST, _FIRST + int(count))]
        undo.pop_all()
    by_path = {str(listener.getsockname()): listener for listener in taken}
    given = names.split(":") if names else []
    by_name = {name: listener for name, listener in zip(given, taken, strict=False) if name and given.count(name) == 1}
    return by_name | by_path


def choose(sockets: Mapping[str, socket.socket], path: str) -> socket.socket | None:
    """The inherited socket for the [[listen]] with this path: by path, however it is spelt, else by name: the path's last component.

    So a socket unit whose path differs (a chroot, a bind mount) says FileDescriptorName=mux for /run/saslauthd/mux.
    """
    if path in sockets:
        return sockets[path]
    for other, listener in sockets.items():
        if other.startswith("/") and os.path.realpath(other) == os.path.realpath(path):
            return listener
    return sockets.get(os.path.basename(path))


def _take(descriptor: int) -> socket.socket:
    try:
        found = socket.socket(fileno=descriptor)
    except OSError as error:
        raise ListenError(
            f"LISTEN_FDS: descriptor {descriptor} is no socket ({error.strerror}): start through systemd, or without it"
        ) from error
    listening = (
        found.family == socket.AF_UNIX and found.type == socket.SOCK_STREAM and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    )
    if not listening or not str(found.getsockname()).startswith("/"):
        found.detach()
        raise ListenError(
            f"LISTEN_FDS: descriptor {descriptor} is no listening UNIX stream socket with a path: its unit needs ListenStream=/PATH"
        )
    os.set_inheritable(descriptor, False)
    found.setblocking(False)
    return found
