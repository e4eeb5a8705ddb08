"""A client of the saslauthd socket as libsasl is one: a connection a request, blocking; only that it does not wait for ever."""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass
from enum import Enum

from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.secret import Secret
from saslauthd_py.wire import saslauthd

PATIENCE = 30.0
"""Seconds for connecting and for the whole answer: over any deadline and failure delay that a daemon answers within."""


class Answer(Enum):
    """What came back; the value is the word for people and programs."""

    ACCEPTED = "OK"
    REJECTED = "NO"
    CLOSED = "closed without an answer"
    LATE = "no answer in time"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and the seconds from before the connect until it was whole."""

    answer: Answer
    seconds: float


def as_libsasl(user: str, secret: Secret, service: str, realm: str, client: str) -> saslauthd.Request:
    """The request that libsasl would send: `user` split at its last @, whose realm then counts instead of `realm` (`checkpw.c`).

    `client` is an address, or empty. Names are sent as the bytes they were given in, even where those are not UTF-8.
    """
    name, at, own = user.rpartition("@")
    login, realm = (name, own) if at else (user, realm)
    fifth = f"{client};0" if client else ""  # libsasl sends `address;port`; no port is known here, and none is looked at
    return saslauthd.Request(_bytes(login), secret, _bytes(service), _bytes(realm), _bytes(fifth))


def ask(path: str, request: saslauthd.Request, patience: float = PATIENCE) -> Reply:
    """Ask once. Raises CommandFailed when nobody can be asked: no socket, nobody behind it, not permitted, a request too large."""
    began = time.monotonic()
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with connection:
        _connect(connection, path, patience)
        try:
            connection.sendall(_encoded(request))
            answer = _receive(connection, began + patience)
        except TimeoutError:
            answer = Answer.LATE
        except ConnectionError:
            answer = Answer.CLOSED
    return Reply(answer, time.monotonic() - began)


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


def _encoded(request: saslauthd.Request) -> bytes:
    try:
        return saslauthd.encode(request)
    except OverflowError:
        raise CommandFailed(Exit.BAD_INPUT, "a field over 65535 bytes: the protocol cannot carry it") from None


def _receive(connection: socket.socket, until: float) -> Answer:
    data = b""
    while (text := saslauthd.parse_reply(data)) is None:
        connection.settimeout(max(until - time.monotonic(), 0.001))
        more = connection.recv(1024)
        if not more:
            return Answer.CLOSED
        data += more
    return Answer.ACCEPTED if text.startswith(saslauthd.OK[2:]) else Answer.REJECTED


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
