"""A daemon that leaves its terminal: whoever started it returns when it listens, or with what kept it from that.

What the daemon says to standard error reaches whoever started it until then; afterwards a process of the daemon's user passes it on to
the syslog, for the daemon's own log is the front's alone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import selectors
import signal
import socket
import struct
import time
from collections.abc import Callable
from typing import NoReturn

from saslauthd_py import privileges
from saslauthd_py.log import cyrus
from saslauthd_py.log.syslog import Syslog
from saslauthd_py.privileges import Ids

_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid
_PIECE = 4096
_READY = b"READY=1"


def start(daemon: Callable[[], int], ids: Ids) -> int:
    """Run `daemon` in a process of its own; 0 once that is ready (sd_notify(3)), else what it ended with.

    `ids`: whom it becomes. Its code is what `daemon` returns, 1 where that is 0, or a signal ended it; it never returns here. Before any
    thread is started.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        meeting = f"saslauthd-py-{secrets.token_hex(8)}"
        notices.bind(f"\0{meeting}")  # a path in the run directory would be out of the daemon's reach
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        child = os.fork()
        if child == 0:
            notices.close()
            os.close(ours)
            os.environ["NOTIFY_SOCKET"] = f"@{meeting}"
            _become(daemon, theirs)
        os.close(theirs)
        try:
            if not _told(child, ours, notices, ids):
                return _failed(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        except BaseException:  # Ctrl-C, say: nobody would ever hear of the daemon again
            os.kill(child, signal.SIGTERM)
            raise
    if os.fork() == 0:
        _pass_on(ours, ids)
    os.close(ours)
    return 0


def _become(daemon: Callable[[], int], errors: int) -> NoReturn:
    code = 1
    try:
        os.setsid()
        os.chdir("/")
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor, source in ((0, null), (1, null), (2, errors)):
            os.dup2(source, descriptor)
        code = daemon()
    finally:
        os._exit(code)


def _told(child: int, errors: int, notices: socket.socket, ids: Ids) -> bool:
    """Pass on what the daemon says until it is ready; False: it has ended."""
    ended = os.pidfd_open(child)
    try:
        with selectors.DefaultSelector() as selector:
            for one in (ended, errors, notices):
                selector.register(one, selectors.EVENT_READ)
            while True:
                found = {key.fileobj for key, _ in selector.select()}
                if notices in found and _is_ready(notices, ids):
                    _drain(errors)  # what was said before
                    return True
                if ended in found:
                    _drain(errors)
                    return False
                if errors in found and not _copied(errors):
                    selector.unregister(errors)
    finally:
        os.close(ended)


def _failed(code: int) -> int:
    """The code of who ended before it was ready, told to or not: nobody listens, so it is no success."""
    if code < 0:
        with contextlib.suppress(OSError):
            os.write(2, f"saslauthd: ended by signal {-code} before it listened\n".encode())
    return code if code > 0 else 1


def _is_ready(notices: socket.socket, ids: Ids) -> bool:
    """A notice of the daemon's; anybody may send one."""
    text, ancillary, _, _ = notices.recvmsg(_PIECE, socket.CMSG_SPACE(_CREDENTIALS.size))
    for level, kind, credentials in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            return _CREDENTIALS.unpack(credentials)[1] in (ids.uid, os.geteuid()) and _READY in text.split(b"\n")
    return False


def _drain(errors: int) -> None:
    os.set_blocking(errors, False)
    with contextlib.suppress(BlockingIOError):
        while _copied(errors):
            pass
    os.set_blocking(errors, True)


def _copied(errors: int) -> bool:
    """Pass on what is there; False: nothing will come any more. That nobody takes it is no reason to end the daemon."""
    piece = os.read(errors, _PIECE)
    with contextlib.suppress(OSError):
        os.write(2, piece)
    return bool(piece)


def _pass_on(errors: int, ids: Ids) -> NoReturn:
    """Until nobody is left who could say anything."""
    try:
        os.setsid()
        os.chdir("/")
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # it ends with the daemon, whose last words it passes on
        if os.geteuid() == 0:
            privileges.drop(ids)
        privileges.seal()
        log = Syslog()
        with open(errors, "rb") as lines:
            for line in lines:
                text = line.decode("utf-8", "backslashreplace").rstrip("\n")
                opening = log.opening(cyrus, logging.ERROR, int(time.time()))
                log.write([opening + cyrus.message(text, "", "")[0]])
    finally:
        os._exit(0)
