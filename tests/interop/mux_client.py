"""A client of a saslauthd socket that need not behave: it sends piece by piece, shuts its end or leaves before the answer."""

from __future__ import annotations

import array
import fcntl
import select
import socket
import termios
import time
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from saslauthd_py.wire.saslauthd import parse_reply
from tests.interop.waiting import PATIENCE

WAITS, LEFT, CLOSED = "waits", "left", "closed"
"""Answers that are none: it says nothing and stays; nobody was there any more to be told; it closed without one."""

RESET = ", reset"
"""Behind an answer: the connection ended so."""


class Ending(Enum):
    """What the client does when all is sent: wait for the answer, the same with its own end shut, or go."""

    WAIT = "waits"
    SHUT = "shuts its end"
    LEAVE = "leaves"


def converse(path: Path, writes: Sequence[bytes], ending: Ending, patience: float = PATIENCE) -> str:
    """What the daemon says until it closes: OK, NO, one of the above, or what went wrong. A piece is sent when the one before was read."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(patience)
        client.connect(str(path))
        try:
            for number, piece in enumerate(writes):
                if number:
                    _wait_until_read(client)
                client.sendall(piece)
            if ending is Ending.SHUT:
                client.shutdown(socket.SHUT_WR)
        except BrokenPipeError:  # it has answered already, and closed
            pass
        return LEFT if ending is Ending.LEAVE else _heard(client)


def _heard(client: socket.socket) -> str:
    heard = b""
    try:
        while more := client.recv(1024):
            heard += more
    except TimeoutError:
        return WAITS if not heard else f"{_word(heard)}, and stays"
    except ConnectionResetError:
        return _word(heard) + RESET
    return _word(heard)


def _word(heard: bytes) -> str:
    """The first two letters of the text decide, as libsasl reads it."""
    if not heard:
        return CLOSED
    text = parse_reply(heard)
    if text is None or len(heard) != 2 + len(text):
        return repr(heard)
    return text[:2].decode("latin-1")


def _wait_until_read(client: socket.socket) -> None:
    """Until the daemon has read all that was sent, or has answered before that."""
    unread = array.array("i", [0])
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        fcntl.ioctl(client, termios.TIOCOUTQ, unread)
        if not unread[0] or select.select([client], [], [], 0.0005)[0]:
            return
    raise AssertionError(f"after {PATIENCE:.0f} s {unread[0]} bytes are still unread")
