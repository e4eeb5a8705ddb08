"""A front that is started before its configuration is checked, for both take a while, and there is a core for each.

It has the daemon's user and nothing else: no socket, no text, no worker. It waits for these, and is ended without a word where the check
fails, or the check's user is another one.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager

from saslauthd_py import privileges
from saslauthd_py.monitor import front
from saslauthd_py.privileges import Ids, PrivilegeError

_USUAL = "saslauthd-py"  # as ServerSettings has it; a test compares them
_MAX_SIZE = 1 << 20


class Early:
    """The front that is there, or none. Whoever takes it ends it."""

    def __init__(self, ids: Ids | None) -> None:
        self._ids = ids
        self._ours: socket.socket | None = None
        if ids is not None:
            self._pid, self._ours = _start(ids)

    def take(self, ids: Ids) -> tuple[int, socket.socket]:
        """Pid and channel of a front that is `ids`: this one, or where it is another's, a new one."""
        if self._ours is None or self._ids != ids:
            self.end()
            return _start(ids)
        ours, self._ours = self._ours, None
        return self._pid, ours

    def end(self) -> None:
        """If nobody took it."""
        if self._ours is not None:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._ours.close()
            self._ours = None


@contextmanager
def begun(path: str) -> Iterator[Early]:
    """With the front of the configuration at `path`, if it can be told so early whose it is. As root, in a process without threads."""
    privileges.raise_nofile()  # the front cannot
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, as some starters leave it, no end of a child can be waited for
    early = Early(_ids(path))
    try:
        yield early
    finally:
        early.end()


def _start(ids: Ids) -> tuple[int, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # as `channel.pair`, which imports all frames
    with theirs:
        return front.start(ids, (ours, theirs)), ours


def _ids(path: str) -> Ids | None:
    """Whose the front will be; None: what is wrong is for the check to say. The file is root's, or nobody is started for it (rule A3)."""
    if not os.path.isfile(path):  # a pipe can be read once, and that is for the check
        return None
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            if found.st_uid != 0 or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return None
            server = tomllib.loads(file.read(_MAX_SIZE).decode("utf-8-sig")).get("server", {})
        return privileges.account(str(server.get("user", _USUAL)), str(server.get("group", _USUAL)))
    except (OSError, ValueError, AttributeError, RecursionError, PrivilegeError):
        return None
