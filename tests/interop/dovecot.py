"""The daemon's Dovecot sockets: their [[listen]] tables, and a client that sends any bytes to one."""

from __future__ import annotations

import base64
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from tests.interop.waiting import PATIENCE

SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-1")
ASKED = b"service=smtp\tnologin\tlip=192.0.2.1\trip=203.0.113.7\tsecured"
"""What stands in an AUTH line of Postfix behind the mechanism, for a client over TLS."""


def listener(path: Path, *, more: str = "") -> str:
    """A [[listen]] table for root and the daemon's own user, with the lines `more` in it."""
    owner = 'user = "nobody"\ngroup = "nogroup"\n' if os.geteuid() == 0 else ""
    return f'[[listen]]\nprotocol = "dovecot"\npath = "{path}"\n{owner}{more}'


def offering(mechanisms: tuple[str, ...]) -> str:
    """The line of a [[listen]] that says what is offered."""
    return f"mechanisms = {json.dumps(mechanisms)}\n"


def plain(name: str, password: str) -> bytes:
    """The message of PLAIN, in base64."""
    return base64.b64encode(f"\0{name}\0{password}".encode())


class Client:
    """One connection. `hello` is the server's handshake, line by line, without the LF, DONE left out."""

    def __init__(self, path: Path) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.settimeout(PATIENCE)
        self._connection.connect(str(path))
        self._received = self._connection.makefile("rb")
        self.hello = list(iter(self.line, b"DONE"))
        assert b"" not in self.hello, f"closed within its handshake: {self.hello}"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._received.close()
        self._connection.close()

    def send(self, sent: bytes) -> None:
        self._connection.sendall(sent)

    def line(self) -> bytes:
        """The next line, without its LF; b"" when the server has closed."""
        line = self._received.readline()
        assert line.endswith(b"\n") or not line, f"closed within a line: {line!r}"
        return line.removesuffix(b"\n")

    def ask(self, sent: bytes) -> bytes:
        """Send one line; the next line that comes."""
        self.send(sent + b"\n")
        return self.line()


@contextmanager
def greeted(path: Path, minor: int = 2) -> Iterator[Client]:
    """A connection with both handshakes done. Postfix and Exim, which send one request at a time, announce 1.0; others 1.1 or 1.2."""
    with Client(path) as client:
        client.send(b"VERSION\t1\t%d\nCPID\t4711\n" % minor)
        yield client


class Bystanders:
    """Requests of one connection that have nothing to do with what a test does to another: each must end as if that had not been.

    Numbers 101 to 103 wait for their client at each step there is, 104 is on its way in the write of `beside`.
    """

    def __init__(self, client: Client, name: str, password: str) -> None:
        self._client = client
        self._name = base64.b64encode(name.encode())
        self._password = base64.b64encode(password.encode())
        self._message = plain(name, password)
        self._user = b"user=" + name.encode()
        assert client.ask(b"AUTH\t101\tPLAIN\t" + ASKED) == b"CONT\t101\t"
        for number in (b"102", b"103"):
            assert client.ask(b"AUTH\t%b\tLOGIN\t%b" % (number, ASKED)) == b"CONT\t%b\tVXNlcm5hbWU6" % number
        assert client.ask(b"CONT\t103\t" + self._name) == b"CONT\t103\tUGFzc3dvcmQ6"

    def beside(self, *lines: bytes, answers: int | None = None) -> list[bytes]:
        """The answers to `lines`, by default one each, sent in one write with a login before and one after them, which must be accepted."""
        login = b"AUTH\t%%d\tPLAIN\t%b\tresp=%b" % (ASKED, self._message)
        self._client.send(b"".join(line + b"\n" for line in (login % 104, *lines, login % 105)))
        heard = [self._client.line() for _ in range((len(lines) if answers is None else answers) + 2)]
        for number in (b"104", b"105"):
            heard.remove(b"OK\t%b\t%b" % (number, self._user))
        return heard

    def finish(self) -> None:
        """Each goes on where it stood, and is accepted."""
        client = self._client
        assert client.ask(b"CONT\t103\t" + self._password) == b"OK\t103\t" + self._user
        assert client.ask(b"CONT\t102\t" + self._name) == b"CONT\t102\tUGFzc3dvcmQ6"
        assert client.ask(b"CONT\t102\t" + self._password) == b"OK\t102\t" + self._user
        assert client.ask(b"CONT\t101\t" + self._message) == b"OK\t101\t" + self._user
