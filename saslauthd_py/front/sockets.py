"""The private details of `socket` and the constants that the hot path uses (rule E10): change nothing without the benchmark.

`socket.socket.accept` turns family and type into enums, 6 us a connection; `_accept` and the C type beneath `socket.socket` do not.
MSG_DONTWAIT in each call spares the `setblocking` of each connection.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from fcntl import ioctl
from termios import FIONREAD

NOW = socket.MSG_DONTWAIT
UNIX = socket.AF_UNIX
STREAM = socket.SOCK_STREAM
SOL_SOCKET = socket.SOL_SOCKET
PEERCRED = getattr(socket, "SO_PEERCRED", 17)  # Linux; elsewhere the call fails and the peer is unknown
PEERCRED_SIZE = 12

_NO_BYTES = bytes(4)

Stream = socket.SocketType
"""A connection as the loop handles it: recv, send, getsockopt, shutdown, close."""

OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What accept(2) says when the process or the machine has no more descriptors or memory: later it may."""


def acceptor(listener: socket.socket) -> Callable[[], tuple[int, object]]:
    """A call that gives the descriptor of the next connection, and raises BlockingIOError when there is none."""
    accept: Callable[[], tuple[int, object]] = listener._accept  # type: ignore[attr-defined]  # noqa: SLF001 - see above; a test watches it
    return accept


def unread(client: Stream) -> bool:
    """Whether bytes have come that nobody has read; the end of them is none. Most clients send no more, and a failing recv costs double."""
    try:
        waiting: bytes = ioctl(client, FIONREAD, _NO_BYTES)
    except OSError:  # it has gone
        return False
    return waiting != _NO_BYTES
