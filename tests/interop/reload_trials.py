"""Is a login lost while the daemon is reloaded? By hand: python -m tests.interop.reload_trials

The benchmark's generator logs in without a pause and without a second try, on a listener that every configuration keeps and on one
that every second configuration replaces. Each reload is asked for over the control socket, as `saslauthd-py reload` asks, and has
another file to read: a third listener comes and goes, and where root started the daemon, each configuration has workers of its own.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from saslauthd_py.control import client
from saslauthd_py.passwords.libcrypt import crypt, salt
from tests.bench.generator import Generator, Load, login
from tests.interop.daemon import Daemon, Site, listener, new_site
from tests.interop.waiting import PATIENCE, until

ACCOUNTS = [f"user{number}" for number in range(3)]
REALM, PASSWORD = "example.test", "pw-1"
BACKEND = "rehash = false\n"
STORED = crypt(PASSWORD.encode(), f"$6$rounds=1000${salt(16)}")
"""The fewest rounds there are: every reload begins with an empty cache, and the load is to log in and not to hash."""

CLIENTS = 8
"""For each of the two listeners."""

BATCH = 500
"""Requests of one run of the generator; it is started again until all reloads are done."""

WARM = 10
"""Reloads before the daemon is measured for the first time: by then its allocator has what it needs."""

MORE_DESCRIPTORS = 6
"""SQLite keeps some for a while: its locks are those of a process."""

MORE_THREADS = 4
"""Threads for hashes that nobody needs any more live on for 10 s."""

MORE_MEMORY = 5 << 20
"""Bytes; the budget of a million requests."""

_PAM = """
[backend.system]
type = "pam"
workers = 2

[[route]]
realm = ""
backends = ["system"]
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """What front and monitor have together."""

    memory: int
    descriptors: int
    threads: int
    children: int

    @classmethod
    def of(cls, both: frozenset[int]) -> Usage:
        """At this moment, of these two processes, or of one that is both."""
        status = [Path(f"/proc/{pid}/status").read_text() for pid in both]
        return cls(
            memory=sum(_number("VmRSS", text) for text in status) * 1024,
            descriptors=sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in both),
            threads=sum(_number("Threads", text) for text in status),
            children=sum(len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()) for pid in both),
        )

    def __str__(self) -> str:
        return f"{self.memory / (1 << 20):.1f} MiB, {self.descriptors} descriptors, {self.threads} threads, {self.children} children"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a trial: `load` of both listeners together; the daemon after WARM reloads and at the end, without load."""

    reloads: int
    seconds: float
    slowest: float
    load: Load
    before: Usage
    after: Usage

    def __str__(self) -> str:
        load = self.load
        return (
            f"{self.reloads} reloads in {self.seconds:.0f} s, the slowest {self.slowest * 1000:.0f} ms\n"
            f"{load.requests} logins, {load.not_ok} failed "
            f"(NO {load.no}, closed {load.closed}, unsent {load.unsent}, unanswered {load.unanswered}, other {load.other}); "
            f"p99 {load.p99 * 1000:.1f} ms (of the worst run), longest {load.longest * 1000:.0f} ms\n"
            f"after {WARM} reloads: {self.before}\nat the end:       {self.after}"
        )


def prepare(site: Site) -> None:
    """The accounts that the load logs in as."""
    configure(site, 0)
    for name in ACCOUNTS:
        site.add(f"{name}@{REALM}", PASSWORD)
    site.sql(f"UPDATE encoding SET scheme = 'sha512crypt', text = '{STORED}'")  # noqa: S608 - ours, and nothing to be quoted in it


def configure(site: Site, number: int) -> None:
    """The file of the reload of that number."""
    replaced = listener(site.directory / "replaced")
    tables = [listener(site.mux), replaced.replace("0600", "0666") if number % 2 else replaced]
    if number % 3 == 0:
        tables.append(listener(site.directory / "comes-and-goes"))
    site.configure(tables, BACKEND)
    text = site.configuration.read_text() + (_PAM if os.geteuid() == 0 else "")
    site.configuration.write_text(text.replace('to = "stderr"', 'to = "stderr"\nlevel = "warning"'))


def trial(site: Site, daemon: Daemon, reloads: int, interval: float) -> Outcome:
    """So many reloads, one each `interval` seconds, after WARM others; all under load."""
    both = frozenset({daemon.pid, daemon.front})
    with tempfile.TemporaryDirectory(prefix="reload-") as directory, _load(site, Generator(directory)) as loads:
        for number in range(1, WARM + 1):
            _reload(site, number)
            time.sleep(interval)
        loads.pause()
        before = _quiet(both, None)
        loads.go_on()
        began, slowest = time.monotonic(), 0.0
        for number in range(WARM + 1, WARM + 1 + reloads):
            slowest = max(slowest, _reload(site, number))
            time.sleep(max(0.0, began + (number - WARM) * interval - time.monotonic()))
        seconds = time.monotonic() - began
        total = loads.stop()
    after = _quiet(both, before)
    assert client.status(str(site.control))["generation"] == 1 + WARM + reloads
    return Outcome(reloads, seconds, slowest, total, before, after)


def _reload(site: Site, number: int) -> float:
    configure(site, number)
    began = time.monotonic()
    client.reload(str(site.control))
    return time.monotonic() - began


def _quiet(both: frozenset[int], before: Usage | None) -> Usage:
    """When the configurations of before have been left: their workers, and the threads that nobody needs any more, have ended."""
    seen: list[Usage] = []

    def settled() -> bool:
        seen.append(Usage.of(both))
        if before is not None:
            return _flat(before, seen[-1])
        return len(seen) > 100 and len({(one.descriptors, one.threads, one.children) for one in seen[-100:]}) == 1

    try:
        until(settled, "as few descriptors, threads and children as before")
    except AssertionError:
        if before is None:
            raise
    return seen[-1]


def _flat(before: Usage, after: Usage) -> bool:
    return (
        after.descriptors <= before.descriptors + MORE_DESCRIPTORS
        and after.threads <= before.threads + MORE_THREADS
        and after.children <= before.children
        and after.memory <= before.memory + MORE_MEMORY
    )


class Loads:
    """Threads that run the generator, one on each listener. They may be stopped for a while, and must be ended by `stop`."""

    def __init__(self, site: Site, generator: Generator) -> None:
        self._run = generator.run
        self._file = generator.requests(login(name, PASSWORD, REALM) for name in ACCOUNTS)
        self._done: list[Load] = []
        self._failed: list[BaseException] = []
        self._ended = False
        self._going = threading.Event()
        self._resting = threading.Semaphore(0)
        paths = (str(site.mux), str(site.directory / "replaced"))
        self._threads = [threading.Thread(target=self._work, args=(path,), name=f"load {path}") for path in paths]

    def start(self) -> None:
        self._going.set()
        for thread in self._threads:
            thread.start()

    def pause(self) -> None:
        """Returns when nobody logs in."""
        self._going.clear()
        for _ in self._threads:
            assert self._resting.acquire(timeout=2 * PATIENCE)

    def go_on(self) -> None:
        self._going.set()

    def stop(self) -> Load:
        """What became of all requests; the p99 is that of the worst run."""
        self._ended = True
        self._going.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        if self._failed:
            raise self._failed[0]
        worst = {"p50", "p99", "longest"}
        merge = {one.name: max if one.name in worst else sum for one in fields(Load)}
        return Load(**{name: how(getattr(load, name) for load in self._done) for name, how in merge.items()})

    def _work(self, path: str) -> None:
        try:
            while not self._ended:
                if not self._going.is_set():
                    self._resting.release()
                    self._going.wait()
                    continue
                self._done.append(self._run(path, CLIENTS, BATCH, self._file))
        except BaseException as error:
            self._failed.append(error)


@contextmanager
def _load(site: Site, generator: Generator) -> Iterator[Loads]:
    loads = Loads(site, generator)
    with ExitStack() as stack:
        stack.callback(loads.stop)
        loads.start()
        yield loads


def judge(outcome: Outcome) -> None:
    """AssertionError where a login was lost, or the daemon has grown."""
    assert outcome.load.not_ok == 0, outcome
    assert outcome.load.ok > outcome.reloads, outcome
    assert _flat(outcome.before, outcome.after), outcome


def _number(name: str, text: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)
    assert found
    return int(found[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--reloads", type=int, default=360)
    parser.add_argument("--interval", type=float, default=1.0, help="seconds from one to the next (default 1)")
    arguments = parser.parse_args()
    with new_site(Path("/run") if os.geteuid() == 0 else None) as site:
        prepare(site)
        with site.serving() as daemon:
            outcome = trial(site, daemon, arguments.reloads, arguments.interval)
    print(outcome)
    judge(outcome)
    return 0


if __name__ == "__main__":
    sys.exit(main())
