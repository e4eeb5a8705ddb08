"""The monitor's signals as bytes to read: it hears of them where it waits, and nowhere else."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

TERMINATING = (signal.SIGTERM, signal.SIGINT)

_ALL = (*TERMINATING, signal.SIGHUP, signal.SIGCHLD)


@contextmanager
def noted() -> Iterator[socket.socket]:
    """Every signal that matters is noted from here on, and by nobody else's handler: readable is the socket, for `heard`."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for end in (ours, theirs):
            end.setblocking(False)
        before = {number: signal.getsignal(number) for number in _ALL}
        try:
            signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)  # first: no handler swallows what comes in between
            for number in _ALL:
                signal.signal(number, lambda *_: None)
            yield ours
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)


def heard(wake: socket.socket) -> set[int]:
    """The numbers of the signals that came since the last call; never waits."""
    try:
        return set(wake.recv(4096))
    except BlockingIOError:
        return set()
