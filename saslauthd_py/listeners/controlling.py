"""The two sockets for root and the daemon's user alone: the one of `status` and `reload`, and the one where monitor and front meet."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from saslauthd_py.config.settings import Settings
from saslauthd_py.listeners.binding import Listener, bind, check
from saslauthd_py.listeners.configured import daemon_ids
from saslauthd_py.listeners.directory import opened
from saslauthd_py.listeners.spec import ListenerSpec

MODE = 0o600


def bind_control(settings: Settings) -> Listener:
    """The socket at `[control] path` (rule H2). Root makes its directory where that alone is missing.

    Raises ListenError, PrivilegeError.
    """
    return _bind(settings, settings.control.path, socket.SOCK_STREAM)


def check_control(settings: Settings) -> None:
    """Raise what `bind_control` would, and make nothing."""
    spec = _spec(settings, settings.control.path, socket.SOCK_STREAM)
    directory = os.path.dirname(spec.path)
    if os.geteuid() == 0 and not os.path.lexists(directory):
        with opened(directory) as parent:
            if parent.safe:
                return
    check(spec)


def bind_meeting(settings: Settings, path: str) -> Listener:
    """Where a front that is a unit of its own finds the monitor. As `bind_control`."""
    return _bind(settings, path, socket.SOCK_SEQPACKET)


def _bind(settings: Settings, path: str, kind: socket.SocketKind) -> Listener:
    if os.geteuid() == 0:
        _make_directory(os.path.dirname(path))
    return bind(_spec(settings, path, kind))


def _spec(settings: Settings, path: str, kind: socket.SocketKind) -> ListenerSpec:
    ids = daemon_ids(settings)
    return ListenerSpec(path, ids.uid, ids.gid, MODE, kind)


def _make_directory(path: str) -> None:
    """Only below a directory that nobody but root can change, so that nothing is made where another user points to."""
    with suppress(FileExistsError), opened(path) as parent:
        if parent.safe:
            os.mkdir(os.path.basename(path), 0o755, dir_fd=parent.descriptor)
            os.chmod(os.path.basename(path), 0o755, dir_fd=parent.descriptor)  # noqa: S103 - umask; its socket is for two users all the same
