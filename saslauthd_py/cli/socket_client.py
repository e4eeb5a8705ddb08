"""A login asked of the daemon as a mail server's library asks it: a connection each, blocking; only that it does not wait for ever."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum

from saslauthd_py.cli.exits import CommandFailed, Exit

PATIENCE = 30.0
"""Seconds for connecting and for the whole answer: over any deadline and failure delay that a daemon answers within."""

_MAX_PORT = 65535
_DOVECOT = b"VERSION\t"  # as a reply of saslauthd's it would be 22085 bytes long


class Answer(Enum):
    """What came back; the value is the word for people and programs."""

    ACCEPTED = "OK"
    REJECTED = "NO"
    TEMPORARY = "a temporary failure"
    CLOSED = "closed without an answer"
    LATE = "no answer in time"


@dataclass(frozen=True, slots=True)
class Tcp:
    """A TCP address; `host` may be a name."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Where = str | Tcp
"""A socket's path, or an address."""

Judge = Callable[[bytes, bool], Answer | None]
"""Reads a protocol's reply: all bytes of it so far, and whether these are all there will be. None: it is not whole, and may become so."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, the seconds from before the connect until it was whole, and what the server said with it: `user`, `reason`, `code`."""

    answer: Answer
    seconds: float
    said: Mapping[str, str] = field(default_factory=dict)


class Line:
    """A connection until a point in time: TimeoutError after it, ConnectionError where the other side has left."""

    def __init__(self, connection: socket.socket, until: float) -> None:
        self._connection = connection
        self._until = until

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._wait()
        self._connection.sendall(data)

    def receive(self) -> bytes:
        """What comes next; empty at the end."""
        self._wait()
        return self._connection.recv(4096)

    def _wait(self) -> None:
        self._connection.settimeout(max(self._until - time.monotonic(), 0.001))


Talk = Callable[[Line], tuple[Answer, Mapping[str, str]]]
"""A whole conversation, and what came of it; errors of the Line go through."""


def tcp(text: str) -> Tcp:
    """The address in HOST:PORT; an IPv6 one stands in brackets. ValueError: it is none."""
    host, _, port = text.rpartition(":")
    inside = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not inside or (":" in inside and inside is host) or not (port.isascii() and port.isdecimal()) or not 0 < int(port) <= _MAX_PORT:
        raise ValueError(f"{text!r} is no HOST:PORT")
    return Tcp(inside, int(port))


def ask(where: Where, request: bytes, judge: Judge, patience: float = PATIENCE) -> Reply:
    """One request, one answer. Raises as `converse`; BAD_INPUT too for a server that greets its clients, as Dovecot's does."""

    def talk(line: Line) -> tuple[Answer, Mapping[str, str]]:
        line.send(request)
        data, ended = b"", False
        while (answer := judge(data, ended)) is None:
            more = line.receive()
            data, ended = data + more, not more
            if data.startswith(_DOVECOT):
                raise CommandFailed(Exit.BAD_INPUT, f"{where}: Dovecot's protocol is spoken there: --protocol dovecot")
        return answer, {}

    return converse(where, talk, patience)


def converse(where: Where, talk: Talk, patience: float = PATIENCE) -> Reply:
    """Talk once. Raises CommandFailed when nobody can be asked: no socket, nobody behind it, not permitted."""
    began = time.monotonic()
    with _connected(where, patience) as connection:
        said: Mapping[str, str] = {}
        try:
            answer, said = talk(Line(connection, began + patience))
        except TimeoutError:
            answer = Answer.LATE
        except ConnectionError:
            answer = Answer.CLOSED
    return Reply(answer, time.monotonic() - began, said)


def name_bytes(text: str) -> bytes:
    """A name as the bytes it was given in on the command line, even where those are not UTF-8."""
    return text.encode(errors="surrogateescape")


@contextmanager
def _connected(where: Where, patience: float) -> Iterator[socket.socket]:
    try:
        connection = _unix(where, patience) if isinstance(where, str) else socket.create_connection((where.host, where.port), patience)
    except (FileNotFoundError, ConnectionRefusedError):
        line = f"nobody listens at {where}: is the daemon running, and is this its socket?"
        raise CommandFailed(Exit.NOT_RUNNING, line) from None
    except PermissionError:
        line = f"{where}: permission denied: run this as root or as a member of the socket's group"
        raise CommandFailed(Exit.DENIED, line) from None
    except BlockingIOError:
        raise CommandFailed(Exit.UNAVAILABLE, f"{where}: the daemon takes no connection: its backlog is full") from None
    except TimeoutError:
        raise CommandFailed(Exit.UNAVAILABLE, f"{where}: no connection within {patience:g} s") from None
    except OSError as error:  # a path too long for a socket, a file that is none, a host that nobody knows, ...
        raise CommandFailed(Exit.NOT_RUNNING, f"{where}: {error.strerror or error}") from None
    with connection:
        yield connection


def _unix(path: str, patience: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # `settimeout` would make it non-blocking, and such a connect fails at once where the backlog is full
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(patience), int(patience % 1 * 1_000_000)))
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection
