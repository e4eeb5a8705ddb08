"""Clients that log in all the time, each with one name and the right password, while something happens to the directory."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

from tests.interop.waiting import PATIENCE

PAUSE = 0.005
"""Seconds between two logins of a client: there is a machine to share."""

_BETWEEN = "between"
"""The phase of what begins in none, such as while a server stops."""

Login = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Told:
    """One answer. `began` and `seconds` by the monotonic clock."""

    answer: bytes
    began: float
    seconds: float


class Client:
    """One of them: a thread of its own."""

    def __init__(self, login: Login) -> None:
        self.told: list[Told] = []
        self.failure: Exception | None = None
        self._login = login
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        """After the login that is under way."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                began = time.monotonic()
                answer = self._login()
                self.told.append(Told(answer, began, time.monotonic() - began))
                self._ended.wait(PAUSE)
        except OSError as error:
            self.failure = error


class Load:
    """`groups`: clients by what they ask."""

    def __init__(self, groups: Mapping[str, list[Client]]) -> None:
        self._groups = groups
        self._marks: list[tuple[str, float]] = []

    def phase(self, name: str, logins: int = 2) -> None:
        """From now on, until each client has been told so many answers to logins that it began in this phase."""
        began = self._begin(name)
        self._wait(lambda client: sum(told.began >= began for told in client.told[-logins - 1 :]) >= logins, name)
        self._begin(_BETWEEN)

    def until_all(self, group: str, answer: bytes) -> float:
        """Until the last answer of each client of the group is this one, and to a login that it began from now on; the seconds it took."""
        began = self._begin("until all are answered so")
        self._wait(lambda client: bool(client.told) and client.told[-1].began >= began and client.told[-1].answer == answer, group, group)
        return self._begin(_BETWEEN) - began

    def answers(self, group: str, phase: str = "") -> Counter[bytes]:
        """Of all logins that began in the phase, or in any."""
        return Counter(told.answer for told in self._told(group, phase))

    def slowest(self, group: str) -> float:
        """Seconds of the slowest login."""
        return max(told.seconds for told in self._told(group))

    def report(self) -> str:
        """A line for each group and phase: how many logins, their answers, p50, p99 and the slowest in milliseconds."""
        lines = []
        for group in self._groups:
            for phase in dict.fromkeys(name for name, _ in self._marks):
                times = sorted(told.seconds * 1000 for told in self._told(group, phase))
                if times:
                    p50, p99 = (times[int(part * (len(times) - 1))] for part in (0.5, 0.99))
                    counts = ", ".join(f"{count} {answer[2:].decode() or 'outage'}" for answer, count in self.answers(group, phase).items())
                    lines.append(f"{group:8} {phase:25} {counts:30} p50 {p50:8.2f}  p99 {p99:8.2f}  longest {times[-1]:8.2f} ms")
        return "\n".join(lines)

    def _begin(self, phase: str) -> float:
        now = time.monotonic()
        self._marks.append((phase, now))
        return now

    def _told(self, group: str, phase: str = "") -> Iterator[Told]:
        spans = [(name, begins, ends) for (name, begins), (_, ends) in pairwise([*self._marks, ("", float("inf"))])]
        wanted = [(begins, ends) for name, begins, ends in spans if not phase or name == phase]
        for client in self._groups[group]:
            for told in client.told.copy():
                if any(begins <= told.began < ends for begins, ends in wanted):
                    yield told

    def _wait(self, done: Callable[[Client], bool], what: str, group: str = "") -> None:
        deadline = time.monotonic() + 2 * PATIENCE
        clients = [client for name, each in self._groups.items() if group in ("", name) for client in each]
        while waited := [client for client in clients if not done(client)]:
            failures = [client.failure for client in waited if client.failure]
            assert not failures, f"{what}: {failures}"
            assert time.monotonic() < deadline, f"{what}: {len(waited)} of {len(clients)} clients are still not answered so"
            time.sleep(0.01)


@contextmanager
def load(groups: Mapping[str, list[Login]]) -> Iterator[Load]:
    """A client for each login, until the end of the block."""
    clients = {group: [Client(login) for login in logins] for group, logins in groups.items()}
    try:
        yield Load(clients)
    finally:
        for each in clients.values():
            for client in each:
                client.end()
