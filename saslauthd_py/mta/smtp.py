"""A login over SMTP as a mail program makes it (RFC 4954), against this machine: STARTTLS where it is offered, AUTH, and the time of each.

The certificate is looked at by nobody: the other end is this machine, and whether clients would trust it is another question.
"""

from __future__ import annotations

import base64
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from saslauthd_py.secret import Secret

_NAME = "doctor.invalid"
_LONGEST_REPLY = 1 << 16
_MECHANISMS = ("PLAIN", "LOGIN")
_CONTINUE, _LOGGED_IN = 334, 235
"""RFC 4954 sections 4 and 6."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where and how a login is to be tried. `tls_at_once`: TLS from the first byte. `proxied`: a PROXY line comes before all."""

    host: str
    port: int
    tls_at_once: bool = False
    proxied: bool = False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of it: the last reply and at which step, and what each step took in seconds. `code` 0: no reply came, `text` says why."""

    step: str
    code: int
    text: str
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Logged in."""
        return self.step == "AUTH" and self.code == _LOGGED_IN


class _Stopped(Exception):
    """The dialogue goes no further."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def login(server: Server, user: str, secret: Secret, seconds: float) -> Tried:
    """Log in and leave; all within `seconds`. A refusal, an outage and silence are what it returns: it raises nothing."""
    dialogue = _Dialogue(server, time.monotonic() + seconds)
    try:
        with closing(dialogue):
            code, text = dialogue.login(user, secret)
    except _Stopped as stopped:
        code, text = stopped.code, str(stopped)
    except TimeoutError:
        code, text = 0, f"no answer within {seconds:g} s"
    except OSError as error:
        code, text = 0, (error.strerror or str(error)).lower()
    return Tried(dialogue.step, code, text, dialogue.seconds)


class _Dialogue:
    """One connection. Its methods raise OSError, and _Stopped at a reply that ends it."""

    def __init__(self, server: Server, until: float) -> None:
        self.step = "connect"
        self.seconds: dict[str, float] = {}
        self._server = server
        self._until = until
        self._line: socket.socket | None = None
        self._received = b""

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.close()

    def login(self, user: str, secret: Secret) -> tuple[int, str]:
        """From the connection to the answer to AUTH."""
        with self._timed("connect"):
            self._connect()
        with self._timed("greeting"):
            self._expect(2)
        with self._timed("EHLO"):
            offered = self._hello()
        if not self._server.tls_at_once and "STARTTLS" in offered:
            with self._timed("STARTTLS"):
                self._say(b"STARTTLS")
                self._expect(2)
                self._start_tls()
                offered = self._hello()
        with self._timed("AUTH"):
            return self._auth(offered, user, secret)

    def _connect(self) -> None:
        server = self._server
        self._line = socket.create_connection((server.host, server.port), self._left())
        if server.proxied:
            family = "TCP6" if ":" in server.host else "TCP4"
            here = "::1" if family == "TCP6" else "127.0.0.1"
            self._say(f"PROXY {family} {here} {server.host} {self._line.getsockname()[1]} {server.port}".encode())
        if server.tls_at_once:
            self._start_tls()

    def _start_tls(self) -> None:
        assert self._line is not None  # noqa: S101 - `_connect` has made it
        if self._received:
            raise _Stopped(0, "it sent something before TLS began")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._line.settimeout(self._left())
        self._line = context.wrap_socket(self._line)

    def _hello(self) -> dict[str, frozenset[str]]:
        """The extensions that it offers, each with its words."""
        self._say(f"EHLO {_NAME}".encode())
        _, text = self._expect(2)
        lines = (line.upper().split() for line in text.splitlines()[1:])
        return {words[0]: frozenset(words[1:]) for words in lines if words}

    def _auth(self, offered: dict[str, frozenset[str]], user: str, secret: Secret) -> tuple[int, str]:
        mechanism = next((one for one in _MECHANISMS if one in offered.get("AUTH", ())), None)
        if mechanism is None:
            raise _Stopped(0, f"it offers no AUTH {' or '.join(_MECHANISMS)}" + ("" if self._encrypted else ", and no TLS"))
        name = user.encode(errors="surrogateescape")
        if mechanism == "PLAIN":
            self._say(b"AUTH PLAIN " + base64.b64encode(b"\0" + name + b"\0" + secret.reveal()))
            return self._reply()
        for line in (b"AUTH LOGIN", base64.b64encode(name), base64.b64encode(secret.reveal())):
            self._say(line)
            code, text = self._reply()
            if code != _CONTINUE:
                break
        return code, text

    @property
    def _encrypted(self) -> bool:
        return isinstance(self._line, ssl.SSLSocket)

    def _expect(self, first_digit: int) -> tuple[int, str]:
        code, text = self._reply()
        if code // 100 != first_digit:
            raise _Stopped(code, text)
        return code, text

    def _reply(self) -> tuple[int, str]:
        lines = []
        while True:
            line = self._one_line()
            if not line[:3].isdigit():
                raise _Stopped(0, f"no SMTP is spoken there: it says {line[:60]!r}")
            lines.append(line[4:])
            if line[3:4] != "-":
                return int(line[:3]), "\n".join(lines)

    def _one_line(self) -> str:
        assert self._line is not None  # noqa: S101 - as above
        while b"\n" not in self._received:
            if len(self._received) > _LONGEST_REPLY:
                raise _Stopped(0, "an endless reply")
            self._line.settimeout(self._left())
            data = self._line.recv(4096)
            if not data:
                raise _Stopped(0, "it closed the connection")
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line.rstrip(b"\r").decode("ascii", "replace")

    def _say(self, line: bytes) -> None:
        assert self._line is not None  # noqa: S101 - as above
        self._line.settimeout(self._left())
        self._line.sendall(line + b"\r\n")

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        self.step = step
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[step] = time.monotonic() - began
