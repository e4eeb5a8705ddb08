"""One request to the daemon over its socket as libsasl makes it: a connection each, blocking; only that it does not wait for ever."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from saslauthd_py.cli.exits import CommandFailed, Exit

PATIENCE = 30.0
"""Seconds for connecting and for the whole answer: over any deadline and failure delay that a daemon answers within."""


class Answer(Enum):
    """What came back; the value is the word for people and programs."""

    ACCEPTED = "OK"
    REJECTED = "NO"
    CLOSED = "closed without an answer"
    LATE = "no answer in time"


Judge = Callable[[bytes, bool], Answer | None]
"""Reads a protocol's reply: all bytes of it so far, and whether these are all there will be. None: it is not whole, and may become so."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and the seconds from before the connect until it was whole."""

    answer: Answer
    seconds: float


def ask(path: str, request: bytes, judge: Judge, patience: float = PATIENCE) -> Reply:
    """Ask once. Raises CommandFailed when nobody can be asked: no socket, nobody behind it, not permitted."""
    began = time.monotonic()
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with connection:
        _connect(connection, path, patience)
        try:
            connection.sendall(request)
            answer = _receive(connection, judge, began + patience)
        except TimeoutError:
            answer = Answer.LATE
        except ConnectionError:
            answer = Answer.CLOSED
    return Reply(answer, time.monotonic() - began)


def name_bytes(text: str) -> bytes:
    """A name as the bytes it was given in on the command line, even where those are not UTF-8."""
    return text.encode(errors="surrogateescape")


def _connect(connection: socket.socket, path: str, patience: float) -> None:
    # `settimeout` would make it non-blocking, and such a connect fails at once where the backlog is full
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(patience), int(patience % 1 * 1_000_000)))
    try:
        connection.connect(path)
    except (FileNotFoundError, ConnectionRefusedError):
        line = f"nobody listens at {path}: is the daemon running, and is this its socket?"
        raise CommandFailed(Exit.NOT_RUNNING, line) from None
    except PermissionError:
        line = f"{path}: permission denied: run this as root or as a member of the socket's group"
        raise CommandFailed(Exit.DENIED, line) from None
    except BlockingIOError:
        raise CommandFailed(Exit.UNAVAILABLE, f"{path}: the daemon takes no connection: its backlog is full") from None
    except OSError as error:  # a path too long for a socket, a file that is none, ...
        raise CommandFailed(Exit.NOT_RUNNING, f"{path}: {error.strerror or error}") from None


def _receive(connection: socket.socket, judge: Judge, until: float) -> Answer:
    data, ended = b"", False
    while (answer := judge(data, ended)) is None:
        connection.settimeout(max(until - time.monotonic(), 0.001))
        more = connection.recv(1024)
        data, ended = data + more, not more
    return answer
