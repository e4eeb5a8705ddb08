"""Listeners to be bound, other programs' sockets, and processes of other users, for the tests in this folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import struct
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator

from saslauthd_py.listeners import Listener, ListenerSpec, bind

SOMEBODY = 65534
A_GROUP = 12345
ENTERABLE, SHARED, STICKY, SETGID = 0o755, 0o777, 0o1777, 0o2770  # modes of directories


def spec(path: str, mode: int = 0o660, uid: int | None = None, gid: int | None = None) -> ListenerSpec:
    return ListenerSpec(path, os.geteuid() if uid is None else uid, os.getegid() if gid is None else gid, mode)


@contextlib.contextmanager
def bound(wanted: ListenerSpec) -> Iterator[Listener]:
    listener = bind(wanted)
    try:
        yield listener
    finally:
        listener.socket.close()


@contextlib.contextmanager
def other_socket(path: str, kind: socket.SocketKind = socket.SOCK_STREAM, backlog: int = 8) -> Iterator[socket.socket]:
    """Another program's socket: bound and listening in the plain way."""
    with socket.socket(socket.AF_UNIX, kind) as made:
        made.bind(path)
        if kind == socket.SOCK_STREAM:
            made.listen(backlog)
        yield made


def leave_stale(path: str) -> None:
    with other_socket(path):
        pass


def answers(path: str) -> int:
    """The pid of who answers there."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        pid, _, _ = struct.unpack("iII", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(pid)


def rights(path: str) -> tuple[int, int, int]:
    found = os.lstat(path)
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


def forked(work: Callable[[], None]) -> Callable[[], None]:
    """Run `work` in a child process; calling what comes back waits for it, and fails as it did."""
    told = tempfile.TemporaryFile()  # noqa: SIM115 - closed by who waits
    report = fcntl.fcntl(told.fileno(), fcntl.F_DUPFD, 200)  # low numbers are for what a child inherits
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads: these children use none of them
        child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            os.write(report, traceback.format_exc().encode())
            os._exit(1)

    os.close(report)

    def wait() -> None:
        with told:
            _, status = os.waitpid(child, 0)
            told.seek(0)
            assert status == 0, told.read().decode()

    return wait


def as_somebody(work: Callable[[], None], groups: tuple[int, ...] = ()) -> None:
    """Run `work` without privileges; where the tests have none, as they are."""

    def child() -> None:
        if os.geteuid() == 0:
            os.setgroups(groups)
            os.setresgid(SOMEBODY, SOMEBODY, SOMEBODY)
            os.setresuid(SOMEBODY, SOMEBODY, SOMEBODY)
        work()

    forked(child)()


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody has just now: it was the kernel's own choice a moment ago."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
