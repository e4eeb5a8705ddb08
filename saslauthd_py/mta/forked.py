"""Work in a child process: it may give up root or enter a chroot for good, and it may hang; its parent loses nothing but the answer.

A child is as its parent was at the fork, so it needs nothing that it could not import any more. What it says is JSON, and nothing else is
believed of it: after it has become another user, that user's other processes may speak in its place.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from saslauthd_py import privileges

Json = Any
"""What `json.loads` gives; its reader looks before it believes."""

Say = Callable[[Json], None]
"""Tells the parent a value; LARGEST bytes of JSON at most."""

LARGEST = 1 << 16


class Hung(Exception):
    """The child was not through in time, and is killed."""


class Lost(Exception):
    """The child ended without an answer."""


def ask(work: Callable[[], Json], seconds: float) -> Json:
    """What `work` returns in a child of its own. Raises Hung, and Lost where it raised."""
    for answer in _told(lambda say: say(work()), seconds, own_group=False):
        return answer
    raise Lost("the child process ended without an answer")


def told(work: Callable[[Say], None], seconds: float) -> Iterator[Json]:
    """All that `work` says in a child of its own, as it comes, until it and every process below it have let go of the line.

    Raises Hung after `seconds`; what was said before has been given out. Whatever the child has started is killed with it at the end.
    """
    return _told(work, seconds, own_group=True)


def _told(work: Callable[[Say], None], seconds: float, *, own_group: bool) -> Iterator[Json]:
    until = time.monotonic() + seconds
    with _line(work, own_group) as line:
        while True:
            line.settimeout(max(until - time.monotonic(), 0.001))
            try:
                datagram = line.recv(LARGEST)
            except TimeoutError:
                raise Hung(f"no answer within {seconds:g} s") from None
            if not datagram:
                return
            with suppress(ValueError):
                yield json.loads(datagram)


@contextmanager
def _line(work: Callable[[Say], None], own_group: bool) -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            parent = os.getpid()
            pid = os.fork()
            if pid == 0:
                ours.close()
                _child(work, theirs, parent, own_group)
        try:
            yield ours
        finally:
            for kill in (os.killpg, os.kill) if own_group else (os.kill,):  # the group is there once the child has come so far
                with suppress(ProcessLookupError, PermissionError):
                    kill(pid, signal.SIGKILL)
            _reap(pid)


def _child(work: Callable[[Say], None], line: socket.socket, parent: int, own_group: bool) -> None:
    code = 1
    try:
        if own_group:
            os.setpgid(0, 0)
        privileges.die_with_parent(parent)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        work(lambda value: _send(line, value))
        code = 0
    finally:
        os._exit(code)  # neither the parent's cleaning up nor its buffers are ours


def _send(line: socket.socket, value: Json) -> None:
    line.sendall(json.dumps(value).encode())


def _reap(pid: int) -> None:
    """It has been killed; one that the kernel holds (a dead file server) is left to init."""
    for _ in range(100):
        if os.waitpid(pid, os.WNOHANG)[0]:
            return
        time.sleep(0.001)
