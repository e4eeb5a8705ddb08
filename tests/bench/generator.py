"""The load generators: built by cc, saslload.c for saslauthd's protocol and dovload.c for Dovecot's, fed with requests in a file."""

from __future__ import annotations

import json
import os
import subprocess
from array import array
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

from saslauthd_py.secret import Secret
from saslauthd_py.wire import saslauthd
from tests.bench.failures import BenchError

_SOURCES = os.path.dirname(os.path.abspath(__file__))
_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror")


@dataclass(frozen=True, slots=True)
class Load:
    """One run: how many requests ended in which way, and how long they took from connect or write to whole answer, in seconds.

    `other`: an answer that is neither OK nor NO, or an OK for somebody else; `closed`: no whole answer; `unsent`: refused at connect
    or write; `unanswered`: silence until the generator gave up. `backlog_waits`: clients that met a full backlog, before anything was
    sent; `strays`: answers to nothing that was asked.
    """

    requests: int
    ok: int
    no: int
    other: int
    closed: int
    unsent: int
    unanswered: int
    seconds: float
    p50: float
    p99: float
    longest: float
    backlog_waits: int = 0
    strays: int = 0

    @property
    def not_ok(self) -> int:
        """Everything that was not OK, answers that nobody asked for included."""
        return self.requests - self.ok + self.strays

    @property
    def rate(self) -> float:
        """Requests a second, whatever became of them."""
        return self.requests / self.seconds


class Program:
    """One of the generators, and the files that it reads and writes in a directory."""

    def __init__(self, directory: str, name: str) -> None:
        """Build it there. BenchError: no compiler, or one that refuses the source."""
        self.directory = directory
        self._program = os.path.join(directory, name)
        self._numbers = count()
        sources = [os.path.join(_SOURCES, f"{source}.c") for source in (name, "load")]
        try:
            subprocess.run([os.environ.get("CC", "cc"), *_FLAGS, "-o", self._program, *sources], check=True)
        except FileNotFoundError:
            raise BenchError("no C compiler: apt-get install gcc libc6-dev, or set CC") from None
        except subprocess.CalledProcessError:
            raise BenchError(f"{sources[0]}: the C compiler refused it, see above") from None

    def write(self, frames: Iterable[bytes]) -> str:
        """A new file of frames."""
        path = f"{self._program}.{next(self._numbers)}"
        with open(path, "wb") as file:
            file.writelines(array("I", [len(frame)]).tobytes() + frame for frame in frames)
        return path

    def run(self, *arguments: object) -> Load:
        """BenchError: it says that it could not."""
        done = subprocess.run([self._program, *map(str, arguments)], check=False, capture_output=True, text=True)
        if done.returncode:
            raise BenchError(f"load generator: {done.stderr.strip() or f'ended with status {done.returncode}'}")
        return Load(**json.loads(done.stdout))


class Generator:
    """Clients of saslauthd."""

    def __init__(self, directory: str) -> None:
        """Build it there. BenchError as `Program`."""
        self._program = Program(directory, "saslload")

    def requests(self, requests: Iterable[saslauthd.Request]) -> str:
        """A file of requests, to be given to `run`."""
        return self._program.write(map(saslauthd.encode, requests))

    def run(self, socket: str, clients: int, requests: int, file: str) -> Load:
        """So many requests, one after the other out of `file`, by so many clients at once."""
        return self._program.run(socket, clients, requests, file)

    def latencies(self, socket: str, requests: int, file: str) -> tuple[Load, array[int]]:
        """As `run` with one client, and the nanoseconds that each request took."""
        path = os.path.join(self._program.directory, "latencies")
        load = self._program.run(socket, 1, requests, file, path)
        times = array("Q")
        with open(path, "rb") as taken:
            times.frombytes(taken.read())
        return load, times


@dataclass(frozen=True, slots=True)
class Connections:
    """How many there are at once, and how many requests are in flight on each."""

    number: int
    in_flight: int = 1


@dataclass(frozen=True, slots=True)
class Login:
    """A login with PLAIN, as Postfix asks for it. `address`: of its client; `user`: whom OK has to name."""

    user: str
    secret: str
    address: str

    def frames(self) -> tuple[bytes, bytes]:
        """Its line behind the id, and the user."""
        response = b64encode(f"\0{self.user}\0{self.secret}".encode()).decode()
        line = f"PLAIN\tservice=smtp\tnologin\tlip=192.0.2.1\trip={self.address}\tsecured\tresp={response}"
        return line.encode(), self.user.encode()


class DovecotGenerator:
    """Clients of Dovecot's auth protocol, as the mail servers of `Login`: connections that last."""

    def __init__(self, directory: str) -> None:
        """Build it there. BenchError as `Program`."""
        self._program = Program(directory, "dovload")

    def requests(self, logins: Iterable[Login]) -> str:
        """A file of requests, to be given to `run`."""
        return self._program.write(frame for login in logins for frame in login.frames())

    def run(self, socket: str, connections: Connections, requests: int, file: str) -> Load:
        """So many requests, one after the other out of `file`. BenchError: no handshake, or PLAIN is not offered."""
        return self._program.run(socket, connections.number, connections.in_flight, requests, file)


def login(name: str, secret: str, realm: str) -> saslauthd.Request:
    """A login as an MTA sends it."""
    return saslauthd.Request(name.encode(), Secret(secret.encode()), b"smtp", realm.encode())
