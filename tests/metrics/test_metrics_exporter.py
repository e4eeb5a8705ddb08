"""The page over real sockets: what a scraper gets, and that nobody else can keep it from it, or the daemon from its work."""

from __future__ import annotations

import errno
import logging
import os
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from saslauthd_py.config.settings.metrics import Loopback
from saslauthd_py.metrics import http
from saslauthd_py.metrics.exporter import DEADLINE, FRESH, MOST, REST, Exporter
from saslauthd_py.metrics.listening import listening
from saslauthd_py.metrics.snapshot import Snapshot
from tests.interop.daemon import environment
from tests.metrics.snapshots import busy, families, number, snapshot

GET = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
NOT_FOUND = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""Answered without a thread, so that virtual time may jump."""

HOSTILE = 1000
"""Fewer than a UNIX listener's backlog takes."""


@dataclass
class Running:
    """An exporter on a socket, and how often it asked for a snapshot."""

    path: str
    snapshots: list[float] = field(default_factory=list)

    async def connect(self) -> trio.SocketStream:
        client = trio.socket.socket(socket.AF_UNIX)
        await client.connect(self.path)
        return trio.SocketStream(client)

    async def send(self, data: bytes) -> bytes:
        async with await self.connect() as stream:
            await stream.send_all(data)
            return await read_all(stream)

    async def page(self) -> bytes:
        head, _, body = (await self.send(GET)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        return body


async def read_all(stream: trio.SocketStream) -> bytes:
    return b"".join([chunk async for chunk in stream])


@contextmanager
def at(path: Path) -> Iterator[socket.socket]:
    with listening(str(path)) as listener:
        yield listener


@asynccontextmanager
async def running(
    tmp_path: Path, listener: socket.socket | None = None, take: Callable[[], Snapshot] = lambda: snapshot(busy())
) -> AsyncIterator[Running]:
    it = Running(str(tmp_path / "metrics"))

    def taken() -> Snapshot:
        it.snapshots.append(trio.current_time())
        return take()

    with at(tmp_path / "metrics") as bound:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Exporter(taken).serve, listener or bound)
            yield it
            nursery.cancel_scope.cancel()


async def test_a_scraper_gets_the_page(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        answer = await it.send(GET)
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    assert "Content-Type: text/plain; version=0.0.4; charset=utf-8" in lines
    assert f"Content-Length: {len(body)}" in lines
    assert "Connection: close" in lines
    assert "saslauthd_py_requests" in families(body)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (NOT_FOUND, b"HTTP/1.1 404 Not Found"),
        (b"POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 405 Method Not Allowed"),
        (b"\x16\x03\x01\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"a" * 100_000, b"HTTP/1.1 400 Bad Request"),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 8192 + b"\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
    ],
)
async def test_anything_else_is_refused_and_costs_no_snapshot(tmp_path: Path, data: bytes, line: bytes, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as it:
        answer = await it.send(data)
        assert it.snapshots == []
    assert answer.split(b"\r\n")[0] == line
    assert answer.endswith(b"; metrics are at GET /metrics\n")


async def test_a_request_may_come_byte_by_byte(tmp_path: Path) -> None:
    async with running(tmp_path) as it, await it.connect() as stream:
        for byte in GET:
            await stream.send_all(bytes([byte]))
            await wait_all_tasks_blocked()
        assert (await read_all(stream)).startswith(b"HTTP/1.1 200 OK")


async def test_one_request_a_connection(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        assert (await it.send(GET + GET)).count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("data", [b"", b"G", GET[:-1]], ids=["silent", "a byte", "all but a byte"])
async def test_who_does_not_ask_is_closed_at_the_deadline(tmp_path: Path, data: bytes, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as it, await it.connect() as stream:
        began = trio.current_time()
        if data:
            await stream.send_all(data)
        assert await read_all(stream) == b""
        assert trio.current_time() - began == pytest.approx(DEADLINE)


async def test_who_sends_a_byte_a_second_is_closed_at_the_deadline_too(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as it, await it.connect() as stream:
        began = trio.current_time()
        with pytest.raises(trio.BrokenResourceError):  # noqa: PT012 - whichever byte it is
            while True:
                await stream.send_all(b"G")
                await trio.sleep(1)
        assert trio.current_time() - began <= DEADLINE + 1


async def test_who_does_not_hang_up_is_closed_at_the_deadline(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as it, await it.connect() as stream:
        began = trio.current_time()
        await stream.send_all(NOT_FOUND)
        assert (await read_all(stream)).startswith(b"HTTP/1.1 404")
        assert trio.current_time() == began, "the answer waits for nobody"
        await trio.sleep(DEADLINE - 0.01)
        await stream.send_all(b"x")
        await trio.sleep(0.02)
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"x")


async def test_of_too_many_clients_the_oldest_goes(tmp_path: Path, autojump_clock: MockClock) -> None:
    ended: dict[int, float] = {}

    async def silent(place: int, stream: trio.SocketStream) -> None:
        assert await read_all(stream) == b""
        ended[place] = trio.current_time()
        await stream.aclose()

    async with running(tmp_path) as it, trio.open_nursery() as nursery:
        began = trio.current_time()
        for place in range(MOST + 3):
            nursery.start_soon(silent, place, await it.connect())
            await wait_all_tasks_blocked()
    first, others = [ended[place] - began for place in range(3)], [ended[place] - began for place in range(3, MOST + 3)]
    assert max(first) <= 3 * REST
    assert min(others) >= DEADLINE
    assert len(ended) == MOST + 3


async def test_a_scraper_is_served_while_others_hold_every_place(tmp_path: Path, mock_clock: MockClock) -> None:
    async with running(tmp_path) as it:
        silent = [await it.connect() for _ in range(MOST)]
        await wait_all_tasks_blocked()
        async with await it.connect() as stream:
            await stream.send_all(GET)
            await wait_all_tasks_blocked()
            mock_clock.jump(REST)
            assert (await read_all(stream)).startswith(b"HTTP/1.1 200 OK")
        for one in silent:
            await one.aclose()


async def test_a_place_is_not_taken_again_at_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as it:
        began = trio.current_time()
        for _ in range(10 * MOST):
            assert (await it.send(NOT_FOUND)).startswith(b"HTTP/1.1 404")
        assert trio.current_time() - began == pytest.approx(9 * REST, abs=REST)


async def test_a_page_is_made_once_for_all_who_ask_at_that_moment(tmp_path: Path, mock_clock: MockClock) -> None:
    async with running(tmp_path) as it:
        pages: list[bytes] = []

        async def ask() -> None:
            pages.append(await it.page())

        async with trio.open_nursery() as nursery:
            for _ in range(MOST):
                nursery.start_soon(ask)
        assert len(it.snapshots) == 1
        assert len(set(pages)) == 1
        mock_clock.jump(max(FRESH, REST))
        await it.page()
        assert len(it.snapshots) == 2


async def test_numbers_are_those_of_the_moment(tmp_path: Path, mock_clock: MockClock) -> None:
    counters = busy()
    async with running(tmp_path, take=lambda: snapshot(counters)) as it:
        assert number(await it.page(), "faults_total") == 1
        counters.faults += 1
        mock_clock.jump(FRESH)
        assert number(await it.page(), "faults_total") == 2


async def test_a_client_that_resets_disturbs_nobody(tmp_path: Path) -> None:
    with listening(Loopback(ip_address("127.0.0.1"), free_port())) as listener:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Exporter(lambda: snapshot(busy())).serve, listener)
            for data in (b"", b"GET", GET):
                with socket.create_connection(listener.getsockname()) as client:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    client.sendall(data)
                await wait_all_tasks_blocked()
            async with await trio.open_tcp_stream(*listener.getsockname()) as stream:
                await stream.send_all(GET)
                assert (await read_all(stream)).startswith(b"HTTP/1.1 200 OK")
            nursery.cancel_scope.cancel()


async def test_a_bug_is_told_once_to_the_client_and_with_its_traceback_to_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mock_clock: MockClock
) -> None:
    wrong = [True]

    def take() -> Snapshot:
        if wrong:
            raise ValueError(wrong.pop())
        return snapshot(busy())

    async with running(tmp_path, take=take) as it:
        assert (await it.send(GET)).startswith(b"HTTP/1.1 500 Internal Server Error")
        await it.page()
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.levelno == logging.ERROR


class _Exhausted:
    """A listener whose process has no descriptor left, for a while."""

    def __init__(self, listener: socket.socket, failures: list[OSError]) -> None:
        self._listener = listener
        self._failures = failures

    def fileno(self) -> int:
        return self._listener.fileno()

    def accept(self) -> tuple[socket.socket, object]:
        if self._failures:
            raise self._failures.pop()
        return self._listener.accept()


@pytest.mark.parametrize(("number", "told"), [(errno.EMFILE, 1), (errno.ECONNABORTED, 0), (errno.EAGAIN, 0)])
async def test_an_accept_that_fails_ends_nothing(
    tmp_path: Path, number: int, told: int, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    with listening(str(tmp_path / "m")) as bound:
        failing = _Exhausted(bound, [OSError(number, os.strerror(number))])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Exporter(lambda: snapshot(busy())).serve, cast("socket.socket", failing))
            client = trio.socket.socket(socket.AF_UNIX)
            await client.connect(str(tmp_path / "m"))
            async with trio.SocketStream(client) as stream:
                await stream.send_all(NOT_FOUND)
                assert (await read_all(stream)).startswith(b"HTTP/1.1 404")
            nursery.cancel_scope.cancel()
    assert len(caplog.records) == told
    assert all("cannot accept" in record.message for record in caplog.records)


async def test_a_thousand_hostile_clients_cost_the_next_scraper_nothing(tmp_path: Path, mock_clock: MockClock) -> None:
    async with running(tmp_path) as it:
        for turn in range(HOSTILE):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(it.path)
                client.send((b"", b"\0", b"GET /", b"A" * 4096, GET[:-2], NOT_FOUND)[turn % 6])
        for _ in range(HOSTILE // MOST + 1):
            await wait_all_tasks_blocked()
            mock_clock.jump(REST)
        assert number(await it.page(), "faults_total") == 1


async def test_cancelled_it_closes_every_client(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        stream = await it.connect()
        await wait_all_tasks_blocked()
    assert await read_all(stream) == b""
    await stream.aclose()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def python(program: str) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment(), cwd="/", capture_output=True, text=True, check=True).stdout


def test_nothing_of_it_is_imported_where_it_is_off() -> None:
    program = "import sys, saslauthd_py.app, saslauthd_py.metrics; print('prometheus_client' in sys.modules)"
    assert python(program) == "False\n"


def test_a2_nothing_is_imported_once_it_is_made() -> None:
    program = (
        "import sys, saslauthd_py.metrics.exporter as exporter\n"
        "from saslauthd_py.metrics import http\n"
        "from tests.metrics.snapshots import busy, snapshot\n"
        "made = exporter.Exporter(lambda: None)\n"
        "class Trap:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        print('imported:', name)\n"
        "sys.meta_path.insert(0, Trap())\n"
        "http.response(http.status(b'GET /metrics HTTP/1.0\\r\\n\\r\\n'), exporter.text(snapshot(busy()), made._process), 'text/plain')\n"
        "http.response(http.status(b'\\xff\\r\\n\\r\\n'), b'', 'text/plain')\n"
    )
    assert python(program) == ""


def test_bounds_are_those_that_are_promised() -> None:
    assert (MOST, DEADLINE, http.MAX_HEAD, http.PATH) == (8, 5.0, 8192, "/metrics")
