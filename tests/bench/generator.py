"""The load generator: built by cc from saslload.c, fed with requests in a file."""

from __future__ import annotations

import json
import os
import subprocess
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

from saslauthd_py.secret import Secret
from saslauthd_py.wire import saslauthd
from tests.bench.failures import BenchError

_SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "saslload.c")
_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror")


@dataclass(frozen=True, slots=True)
class Load:
    """One run: how many requests ended in which way, and how long they took from connect to whole answer, in seconds.

    `other`: an answer that is neither OK nor NO; `closed`: no whole answer; `unsent`: refused at connect or write; `unanswered`:
    silence until the generator gave up. `backlog_waits`: clients that met a full backlog, before anything was sent.
    """

    requests: int
    ok: int
    no: int
    other: int
    closed: int
    unsent: int
    unanswered: int
    backlog_waits: int
    seconds: float
    p50: float
    p99: float
    longest: float

    @property
    def not_ok(self) -> int:
        """Everything that was not OK."""
        return self.requests - self.ok

    @property
    def rate(self) -> float:
        """Requests a second, whatever became of them."""
        return self.requests / self.seconds


class Generator:
    """The program, and the files that it reads and writes in a directory."""

    def __init__(self, directory: str) -> None:
        """Build it there. BenchError: no compiler, or one that refuses the source."""
        self._directory = directory
        self._program = os.path.join(directory, "saslload")
        self._numbers = count()
        try:
            subprocess.run([os.environ.get("CC", "cc"), *_FLAGS, "-o", self._program, _SOURCE], check=True)
        except FileNotFoundError:
            raise BenchError("no C compiler: apt-get install gcc libc6-dev, or set CC") from None
        except subprocess.CalledProcessError:
            raise BenchError(f"{_SOURCE}: the C compiler refused it, see above") from None

    def requests(self, requests: Iterable[saslauthd.Request]) -> str:
        """A file of requests, to be given to `run`."""
        path = os.path.join(self._directory, f"requests.{next(self._numbers)}")
        with open(path, "wb") as file:
            for request in requests:
                frame = saslauthd.encode(request)
                file.write(array("I", [len(frame)]).tobytes() + frame)
        return path

    def run(self, socket: str, clients: int, requests: int, file: str) -> Load:
        """So many requests, one after the other out of `file`, by so many clients at once."""
        return self._run([socket, str(clients), str(requests), file])

    def latencies(self, socket: str, requests: int, file: str) -> tuple[Load, array[int]]:
        """As `run` with one client, and the nanoseconds that each request took."""
        path = os.path.join(self._directory, "latencies")
        load = self._run([socket, "1", str(requests), file, path])
        times = array("Q")
        with open(path, "rb") as taken:
            times.frombytes(taken.read())
        return load, times

    def _run(self, arguments: list[str]) -> Load:
        done = subprocess.run([self._program, *arguments], check=False, capture_output=True, text=True)
        if done.returncode:
            raise BenchError(f"load generator: {done.stderr.strip() or f'ended with status {done.returncode}'}")
        return Load(**json.loads(done.stdout))


def login(name: str, secret: str, realm: str) -> saslauthd.Request:
    """A login as an MTA sends it."""
    return saslauthd.Request(name.encode(), Secret(secret.encode()), b"smtp", realm.encode())
