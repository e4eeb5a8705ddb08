"""A SOCK_SEQPACKET pair with descriptors beside its frames."""

from __future__ import annotations

import socket
import struct

from saslauthd_py.wire.monitor import MAX_FRAME, Frame, Malformed, decode, encode

PATIENCE = 0.25
"""Seconds that a frame may wait for a reader with hundreds of them before it; then it is lost, and its sender goes on."""

_MOST_DESCRIPTORS = 4
_TIMEVAL = struct.Struct("ll")


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends, close-on-exec and blocking."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def bound_sends(channel: socket.socket) -> None:
    """From now on `send` waits PATIENCE at most, and then raises BlockingIOError: nobody is stopped by a reader that is."""
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL.pack(0, int(PATIENCE * 1_000_000)))


def send(channel: socket.socket, frame: Frame, descriptor: int | None = None) -> None:
    """One frame, with a copy of `descriptor`. Raises OSError."""
    data = encode(frame)
    if descriptor is None:
        channel.send(data, socket.MSG_NOSIGNAL)
    else:
        socket.send_fds(channel, [data], [descriptor], socket.MSG_NOSIGNAL)


def receive(channel: socket.socket, flags: int = 0) -> tuple[Frame | None, list[int]]:
    """The next frame and its descriptors, which are the caller's from then on, close-on-exec. None: the other end is gone.

    Raises OSError; Malformed, and then closes what came with the bytes.
    """
    data, descriptors, shown, _ = socket.recv_fds(channel, MAX_FRAME, _MOST_DESCRIPTORS, flags | socket.MSG_CMSG_CLOEXEC)
    if not data:
        return None, descriptors
    try:
        if shown & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise Malformed("longer than any frame, or with more descriptors")
        return decode(data), descriptors
    except Malformed:
        for descriptor in descriptors:
            socket.close(descriptor)
        raise
