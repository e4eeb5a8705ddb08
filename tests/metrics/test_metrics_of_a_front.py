"""What a front has counted after a known load, and what the daemon's parts say of themselves."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from saslauthd_py import identity
from saslauthd_py.admission import Admission
from saslauthd_py.app.composition import Composed, Resources, Shared
from saslauthd_py.app.measured import measured
from saslauthd_py.app.operations import Run
from saslauthd_py.authenticator import Authenticator, Grounds, Question
from saslauthd_py.backend import Attempt, BackendUnreadable
from saslauthd_py.cache import Cache
from saslauthd_py.config.settings import AdmissionSettings, ServerSettings, Settings
from saslauthd_py.front.connections import Connections
from saslauthd_py.hashing import Hashing
from saslauthd_py.metrics import Counters
from saslauthd_py.metrics.families import text
from saslauthd_py.metrics.process import Process
from saslauthd_py.metrics.snapshot import Pool, Requests, Snapshot, Turns
from saslauthd_py.proxy_users import ProxyUsers
from saslauthd_py.queue import Queue
from saslauthd_py.routing import Member, Route, Routes
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Unavailable
from tests.front.fronts import Build, ScriptedBackend, running
from tests.metrics.snapshots import number
from tests.test_workers import CALL, answer
from tests.test_workers import Pool as WorkersPool

EVERYTHING = frozenset({"*"})


async def test_a_known_load_is_counted_to_the_last_request(tmp_path: Path, autojump_clock: MockClock) -> None:
    limits = AdmissionSettings.model_validate({"per_account": "5/10m"})
    async with running(tmp_path, Build(admission=limits)) as front:
        front.counters.serves(front.path, "saslauthd")
        for _ in range(1 + 300):  # proved once, then answered by the loop
            await front.ask()
        for guess in range(5 + 2):  # five may fail, two are over the limit
            await front.ask(b"bob", b"guess%d" % guess)
        front.backend.verdicts = [Unavailable("down")]
        await front.ask(b"carol")
        await front.ask(realm=b"elsewhere.test")  # no route
        await front.send(b"\0\1\xff\0\0\0\0\0\0")  # no name: refused
        await front.send(b"\0\5ali")  # never whole
        page = text(_only(front.counters), Process())

    def requests(verdict: str, reason: str = "") -> float:
        return number(page, "requests_total", protocol="saslauthd", listener=front.path, verdict=verdict, reason=reason)

    assert requests("accepted") == 301
    assert requests("rejected", "unknown-user") == 5
    assert requests("rejected", "no-route") == 1
    assert requests("unavailable", "limit") == 2
    assert requests("unavailable", "outage") == 1
    assert requests("refused") == 1
    assert requests("incomplete") == 1
    assert number(page, "backend_requests_total", backend="users", verdict="accepted", reason="") == 301
    assert number(page, "backend_requests_total", backend="users", verdict="rejected", reason="unknown-user") == 5
    assert number(page, "backend_requests_total", backend="users", verdict="unavailable", reason="outage") == 1
    assert number(page, "cache_hits_total", by="loop") == 300
    assert number(page, "cache_misses_total") == 1 + 5 + 2 + 1
    assert number(page, "request_duration_seconds_count", backend="users", verdict="accepted") == 301


async def test_c9_the_loop_counts_while_lines_are_switched_off(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path, Build()) as front:
        front.output.level = logging.ERROR
        for _ in range(11):
            await front.ask()
        assert front.counters.inline == 10


@pytest.fixture
def pool() -> Iterator[WorkersPool]:
    pool = WorkersPool()
    try:
        yield pool
    finally:
        pool.close()


def _only(counters: Counters) -> Snapshot:
    return Snapshot(Requests.of(counters), {}, Turns(1, 0, 0), {}, {}, {}, 0, 1, {}, 0, {}, 1, 0, 1, False)


@dataclass
class Daemon:
    """A configuration at work, of scripted parts."""

    number: int
    settings: Settings
    resources: Resources
    parts: Composed
    run: Run

    def measured(self) -> Snapshot:
        return measured(self.run, self, lines_dropped=4, reload_failed=True)

    async def ask(self, secret: bytes, address: str | None = None) -> None:
        attempt = Attempt(identity.split("alice@example.test"), Secret(secret), "smtp", ip_address(address) if address else None)
        await self.parts.authenticator.verify(Question(attempt, "/run/mux", secret))


def daemon(nursery: trio.Nursery, pool: WorkersPool, **backends: ScriptedBackend) -> Daemon:
    cache = Cache(1000, trio.current_time, tuple(backends.items()))
    members = {name: Member(name, backend, Queue(2), 60.0, watched=backend) for name, backend in backends.items()}
    limits = AdmissionSettings.model_validate({"per_account": "3/10m"})
    shared = Shared(Admission(limits, trio.current_time), Hashing(2))
    routes = Routes([Route(EVERYTHING, EVERYTHING, EVERYTHING, tuple(members.values()))])
    parts = Composed(Authenticator(Grounds(routes, cache, shared.admission, ProxyUsers()), nursery, 8.0), cache, routes, members, (), ())
    run = Run(shared, Counters(), Connections(10, 10), 500, 0.0, monitor_pid=None)
    return Daemon(7, Settings(server=ServerSettings(max_connections=600)), Resources({}, {"system": pool.workers}), parts, run)


async def test_every_part_of_a_daemon_is_read_where_it_is_kept(pool: WorkersPool, autojump_clock: MockClock) -> None:
    backend = ScriptedBackend()
    async with trio.open_nursery() as nursery:
        it = daemon(nursery, pool, users=backend)
        quiet = it.measured()
        assert quiet.backends == {"users": Turns(2, 0, 0)}
        assert quiet.hashing == Turns(3, 0, 0)
        assert (quiet.proofs, quiet.most_proofs, quiet.tickets) == (0, 1000, 0)
        assert quiet.limits == {"account": 0, "address": 0, "network": 0, "pair": 0}
        assert quiet.connections == {"incomplete": 0, "whole": 0}
        assert (quiet.most_connections, quiet.lines_dropped, quiet.generation, quiet.reload_failed) == (500, 4, 7, True)
        assert quiet.workers == {"system": Pool(0, 0, 0, 0)}

        await it.ask(b"pw1")
        assert (it.measured().proofs, it.measured().tickets) == (1, 1)
        for guess in range(5):
            await it.ask(b"guess%d" % guess)
        assert it.measured().limits == {"account": 2, "address": 0, "network": 0, "pair": 0}
        nursery.cancel_scope.cancel()


async def test_calls_that_wait_and_outages_in_a_row_are_told(pool: WorkersPool, autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(gate=trio.Event())
    async with trio.open_nursery() as nursery:
        it = daemon(nursery, pool, users=backend)
        async with trio.open_nursery() as clients:
            for guess in range(3):
                clients.start_soon(it.ask, b"guess%d" % guess)
            await wait_all_tasks_blocked()
            assert it.measured().backends == {"users": Turns(2, 2, 1)}
            backend.verdicts = [Unavailable("down")] * 3
            assert backend.gate is not None
            backend.gate.set()
        assert it.measured().failing == {"users": 3}
        assert it.measured().backends == {"users": Turns(2, 0, 0)}
        await it.ask(b"pw1")
        assert it.measured().failing == {"users": 0}
        nursery.cancel_scope.cancel()


async def test_a_store_that_cannot_be_looked_at_is_told(pool: WorkersPool, autojump_clock: MockClock) -> None:
    backend = ScriptedBackend()
    async with trio.open_nursery() as nursery:
        it = daemon(nursery, pool, users=backend)
        assert it.measured().readable == {"users": True}
        backend.changed = [BackendUnreadable("gone")]
        it.parts.cache.look(1.0)
        assert it.measured().readable == {"users": False}
        it.parts.cache.look(2.0)
        assert it.measured().readable == {"users": True}
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("last", "ends"), [(False, False), (True, False), (False, True)], ids=["goes on", "used up", "fails"])
async def test_workers_are_counted_as_they_come_and_go(pool: WorkersPool, last: bool, ends: bool) -> None:
    other = pool.add()
    async with trio.open_nursery() as nursery:
        it = daemon(nursery, pool)
        assert it.measured().workers == {"system": Pool(1, 0, 0, 0)}

        async def call() -> None:
            try:
                await pool.workers.call(CALL)
            except Exception:
                assert ends

        nursery.start_soon(call)
        await wait_all_tasks_blocked()
        assert it.measured().workers == {"system": Pool(0, 1, 0, 0)}
        if ends:
            other.close()
        else:
            await answer(other, last=last)
        await wait_all_tasks_blocked()
        assert it.measured().workers == {"system": Pool(int(not last and not ends), 0, int(last), int(ends))}
        nursery.cancel_scope.cancel()
