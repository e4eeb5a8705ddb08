"""What local clients may do to the front without harm: hold memory, take turns, forge lines (rules B6, D1, E1 to E3)."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from saslauthd_py.front import saslauthd
from saslauthd_py.front.connections import Connection, Port
from saslauthd_py.front.loop import BATCH
from saslauthd_py.front.one_request import READ
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Reason, Rejected
from saslauthd_py.wire import saslauthd as wire
from tests.front.fronts import Build, ScriptedBackend, running

REQUEST = wire.encode(wire.Request(b"alice", Secret(b"pw1"), b"smtp", b"example.test"))
MANY = Build(most=5000, per_peer=5000)


async def test_client_that_sends_byte_by_byte_has_one_deadline(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path, Build()) as front:
        client = front.connect_now()
        for byte in b"\0\xff" + b"x" * 200:
            client.send(bytes([byte]))
            await trio.sleep(0.001)
        assert len(front.loop._deadlines) == 1
        client.close()


async def test_closed_client_leaves_nothing_of_its_secret_in_memory(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path, MANY) as front:
        for _ in range(3 * BATCH):
            client = front.connect_now()
            client.send(b"\0\1a" + (15000).to_bytes(2, "big") + b"S" * 8000)
            await trio.sleep(0.0001)
            client.close()
            await trio.sleep(0.0001)
        assert len(front.loop.connections) == 0
        assert sum(len(entry[2].frame) for entry in front.loop._deadlines) == 0
        assert len(front.loop._deadlines) <= BATCH + 1


async def test_e3_turn_resumes_a_batch_of_waiting_clients_and_no_more(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path, MANY) as front:
        clients = []
        for _ in range(500):
            clients.append(front.connect_now())
            await trio.sleep(0.0001)
        resumed, gather = [], front.loop._gather

        def counting(until: float) -> int:
            resumed.append(gather(until))
            return resumed[-1]

        front.loop._gather = counting  # type: ignore[method-assign]
        for client in clients:
            client.send(b"\0")
        await trio.sleep(0.01)
        assert sum(resumed) == 500
        assert max(resumed) <= BATCH
        for client in clients:
            client.close()


async def test_e3_silent_clients_take_no_places_from_others(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path, MANY) as front:
        await front.ask()
        port = next(iter(front.loop._listeners))
        rounds, serve = [], port.round

        def counting() -> tuple[int, bool]:
            rounds.append(serve())
            return rounds[-1]

        port.round = counting  # type: ignore[method-assign]
        silent = [front.connect_now() for _ in range(BATCH - 1)]
        asking = [front.connect_now() for _ in range(400)]
        for client in asking:
            client.send(REQUEST)
        while front.counters.inline < 400:
            await trio.lowlevel.checkpoint()
        assert len(rounds) <= 400 // BATCH + 5
        assert len(front.loop.connections) == len(silent), "they wait in the selector, with a deadline"
        for client in silent + asking:
            client.close()


class _Flooded:
    """A port in whose backlog clients wait at every moment. Implements `Port`, as far as it is asked."""

    path = "flooded"

    def round(self) -> tuple[int, bool]:
        return BATCH, True

    def settle(self) -> None:
        return

    def resume(self, connection: Connection) -> int:
        raise NotImplementedError

    def expire(self, connection: Connection) -> None:
        raise NotImplementedError

    def retire(self, successor: Port | None) -> None:
        raise NotImplementedError

    def fault(self) -> None:
        raise NotImplementedError


async def test_e3_flood_on_one_listener_leaves_no_slow_client_of_another_waiting(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path, Build()) as front:
        await front.ask()
        flooded = socket.socket(socket.AF_UNIX)
        flooded.bind(str(tmp_path / "flooded"))
        flooded.listen()
        first = socket.socket(socket.AF_UNIX)
        first.connect(str(tmp_path / "flooded"))
        port = _Flooded()
        front.loop.add(flooded, port)
        slow = front.connect_now()
        for _ in range(20):
            await trio.lowlevel.checkpoint()
        slow.send(REQUEST)
        for _ in range(20):
            await trio.lowlevel.checkpoint()
        answered = front.counters.inline
        front.loop.remove(port)
        for one in (slow, first, flooded):
            one.close()
    assert answered == 1


async def test_drain_serves_the_backlog_behind_silent_clients(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path, MANY) as front:
        await front.ask()
        silent = [front.connect_now() for _ in range(BATCH)]
        asking = front.connect_now()
        asking.send(REQUEST)
        asking.setblocking(False)
        front.loop.stop_listening()
        assert asking.recv(10) == wire.OK
        for client in (*silent, asking):
            client.close()


async def test_e1_fault_leaves_no_connection_behind(tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, Build(per_peer=1)) as front:
        parse = wire.parse

        def explode(data: bytes, limits: wire.Limits = wire.LIMITS) -> object:
            if b"explode" in data:
                raise RuntimeError("a bug")
            return parse(data, limits)

        monkeypatch.setattr(wire, "parse", explode)
        for _ in range(5):
            assert await front.ask(b"explode") == b""
        assert len(front.loop.connections) == 0
        assert await front.ask() == wire.OK


async def test_e1_selector_that_refuses_one_client_is_survived(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, Build(per_peer=1)) as front:
        register = front.loop._selector.register

        def fail(*_: object) -> None:
            monkeypatch.setattr(front.loop._selector, "register", register)
            raise OSError(errno.ENOSPC, "no space left")

        monkeypatch.setattr(front.loop._selector, "register", fail)
        with front.connect_now() as client:
            await trio.sleep(0.001)
            assert client.recv(1) == b""
        assert await front.ask() == wire.OK


async def test_e2_accept_that_fails_for_any_reason_pauses_with_a_line(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path, Build()) as front:
        port = next(iter(front.loop._listeners))
        accept = port._accept  # type: ignore[attr-defined]
        calls: list[None] = []

        def fail() -> tuple[int, object]:
            calls.append(None)
            raise OSError(errno.EPERM, "not permitted")

        monkeypatch.setattr(port, "_accept", fail)
        with front.connect_now() as client:
            await trio.sleep(0.05)
            assert len(calls) == 1
            assert "not permitted" in caplog.text
            monkeypatch.setattr(port, "_accept", accept)
            client.send(REQUEST)
            await trio.sleep(0.1)
            assert client.recv(10) == wire.OK


async def test_e2_one_user_over_the_limit_makes_room_from_its_own(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path, Build(per_peer=2)) as front:
        first, second, third = (front.connect_now() for _ in range(3))
        await trio.sleep(0.001)
        first.setblocking(False)
        assert first.recv(1) == b""
        assert len(front.loop.connections) == 2
        for client in (first, second, third):
            client.close()


@pytest.mark.parametrize(
    "client", [b"fe80::1%\n2026-01-01T00:00:00Z INFO rejected user=root address=192.0.2.1\nx;25", b"fe80::1%eth0;25", b"1.2.3.4 x;1"]
)
async def test_b6_fifth_field_forges_no_line(tmp_path: Path, autojump_clock: MockClock, client: bytes) -> None:
    async with running(tmp_path, Build(dialect=saslauthd.dialect(trusted=True))) as front:
        await front.send(wire.encode(wire.Request(b"alice", Secret(b"wrong"), b"smtp", b"example.test", client)))
        (line,) = front.lines()
        assert "address=" not in line


async def test_forbidden_user_is_not_answered_from_the_cache_either(tmp_path: Path, autojump_clock: MockClock) -> None:
    build = Build()
    async with running(tmp_path, build) as front:
        await front.ask()
        port = next(iter(front.loop._listeners))
        port._settings = replace(port._settings, allowed=frozenset({os.geteuid() + 1}))  # type: ignore[attr-defined]
        with front.connect_now() as client:
            client.send(REQUEST)
            await trio.sleep(0.001)
            assert client.recv(10) == b""
        assert front.counters.inline == 0


@pytest.mark.parametrize("reason", [Reason.LOCKED, Reason.DISABLED, Reason.EXPIRED, Reason.SERVICE, Reason.NETWORK, Reason.NO_CREDENTIAL])
async def test_d1_failure_of_every_cause_is_told_after_the_same_delay(tmp_path: Path, autojump_clock: MockClock, reason: Reason) -> None:
    async with running(tmp_path, Build(), ScriptedBackend(verdicts=[Rejected(reason)])) as front:
        began = trio.current_time()
        assert await front.ask() == wire.NO
        assert 1.8 <= trio.current_time() - began <= 2.0


async def test_b3_name_without_a_route_is_told_after_the_same_delay(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path, Build()) as front:
        began = trio.current_time()
        assert await front.ask(realm=b"elsewhere.test") == wire.NO
        assert 1.8 <= trio.current_time() - began <= 2.0
        assert "WARNING rejected user=alice@elsewhere.test service=smtp" in front.lines()[-1]


async def test_e6_long_request_with_bytes_behind_it_gets_its_reply_and_no_reset(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path, Build()) as front:
        secret = b"x" * (READ - len(REQUEST) + len(b"pw1"))
        front.backend.accounts["alice@example.test"] = secret
        for _ in range(2):
            with front.connect_now() as client:
                client.send(wire.encode(wire.Request(b"alice", Secret(secret), b"smtp", b"example.test")) + b"more than one read takes")
                await trio.sleep(0.01)
                assert client.recv(10) == wire.OK
                assert client.recv(10) == b"", "the end, not a reset"
        assert len(front.backend.asked) == 1


async def test_f5_login_that_is_decided_inline_is_a_use_too(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path, Build()) as front:
        await front.ask()
        front.used.clear()
        await front.ask()
        assert front.counters.inline == 1
        assert list(front.used) == [0]


async def test_e6_client_that_talks_on_after_its_reply_is_not_served_again(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path, Build()) as front:
        with front.connect_now() as client:
            client.send(b"\xff\xff")
            await trio.sleep(0.001)
            assert client.recv(10) == wire.NO
            client.send(REQUEST)
            await trio.sleep(0.001)
            assert front.backend.asked == []
            assert client.recv(10) == b""
            assert len(front.loop.connections) == 1
            assert caplog.text == ""
